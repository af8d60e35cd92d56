"""Images in messages: JPEG or PNG bytes of bounded size, decoded completely or refused."""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np

from ciao_stream.faces.dataset import Image
from ciao_stream.stream.log.refusals import BadMessage, Reason

IMAGE_BYTES = 256 * 1024
"""Most bytes of an encoded image."""

IMAGE_PIXELS = 4 * 1024 * 1024
"""Most pixels of a decoded image."""

JPEG_QUALITY = 95
"""JPEG quality, 1 to 100."""

_FORMATS = ("JPEG", "PNG")
_GRAY_MODES = ("1", "L", "LA", "La")


def write_image(image: Image, form: Literal["jpeg", "png"] = "png") -> bytes:
    """Encode a face; PNG is lossless, JPEG is smaller.

    Raises:
        BadMessage: ``too_large``.
    """
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, form.upper(), **({"quality": JPEG_QUALITY} if form == "jpeg" else {}))
    check_size(buffer.getbuffer())
    return buffer.getvalue()


def check_size(data: bytes | memoryview) -> None:
    """Refuse more than :data:`IMAGE_BYTES`.

    Raises:
        BadMessage: ``too_large``.
    """
    if len(data) > IMAGE_BYTES:
        raise BadMessage(
            Reason.TOO_LARGE,
            f"the image has {len(data):,} bytes: at most {IMAGE_BYTES:,} are allowed; crop it to the face",
        )


def read_image(data: bytes) -> Image:
    """Decode an image: upright according to its EXIF data, without transparency, 16 bits reduced to 8.

    The size that the file declares is checked before any pixel is decoded.

    Returns:
        uint8, (height, width) for gray images, (height, width, 3) in RGB order for all others.

    Raises:
        BadMessage: ``too_large``, ``not_an_image``, ``bomb``, ``truncated`` or ``corrupt``.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps, UnidentifiedImageError

    check_size(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors are raised as well
            image: Pillow.Image = Pillow.open(io.BytesIO(data), formats=_FORMATS)
            width, height = image.size
            if width * height > IMAGE_PIXELS:
                raise _bomb(f"{width:,} x {height:,} pixels")
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                return np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.array(image.convert("L" if image.mode in _GRAY_MODES else "RGB"))
    except (BadMessage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BadMessage(Reason.NOT_AN_IMAGE, f"{len(data):,} bytes that are neither JPEG nor PNG") from error
    except Pillow.DecompressionBombError as error:
        raise _bomb("too many pixels") from error
    except Exception as error:  # a decoder may raise anything on damaged bytes
        reason = Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.CORRUPT
        raise BadMessage(reason, f"the image cannot be decoded ({error or type(error).__name__})") from error


def _bomb(size: str) -> BadMessage:
    return BadMessage(Reason.BOMB, f"the image declares {size}: at most {IMAGE_PIXELS:,} pixels are allowed")
