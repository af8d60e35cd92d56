"""Attach to any convolutional network or transformer: split it at its last convolution into an encoder."""

from __future__ import annotations

from ciao_stream.encoders.attach.split import attach

__all__ = ["attach"]
