"""Make an encoder of any convolutional network or transformer."""

from __future__ import annotations

from ciao_stream.encoders.attach.split import attach

__all__ = ["attach"]
