"""Masks that adapt the output of a frozen encoder's last convolution to one world. One file, one mask."""

from ciao_stream.masks.ciao import CiaoMask

__all__ = ["CiaoMask"]
