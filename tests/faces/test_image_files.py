"""Every kind of image that users have: one decoder, uint8 gray or RGB, upright, and never a part of it."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers.image_files import SUFFIXES, Cropped, ImageFiles, decode

RAMP = np.linspace(0, 255, 64).astype(np.uint8)
COLOUR = np.stack([np.tile(RAMP, (48, 1)), np.tile(RAMP[::-1], (48, 1)), np.full((48, 64), 80, np.uint8)], axis=2)
GRAY = COLOUR[:, :, 0]


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def opencv(image, suffix):
    return cv2.imencode(suffix, image)[1].tobytes()


def as_mode(mode, form, **options):
    return saved(Image.fromarray(COLOUR).convert(mode), form, **options)


def rotated(form):
    """An image whose EXIF asks for a rotation by 90 degrees."""
    image = Image.fromarray(COLOUR)
    exif = image.getexif()
    exif[274] = 6
    return saved(image, form, exif=exif)


SIXTEEN = GRAY.astype(np.uint16) * 257
COLOUR_KINDS = {
    "rgb jpg": as_mode("RGB", "JPEG", quality=98),
    "cmyk jpg": as_mode("CMYK", "JPEG", quality=98),
    "rgb png": as_mode("RGB", "PNG"),
    "rgba png": as_mode("RGBA", "PNG"),
    "16-bit rgb png": opencv(COLOUR[:, :, ::-1].astype(np.uint16) * 257, ".png"),
    "rgb tiff": as_mode("RGB", "TIFF"),
    "cmyk tiff": as_mode("CMYK", "TIFF"),
    "lzw tiff": as_mode("RGB", "TIFF", compression="tiff_lzw"),
    "16-bit rgb tiff": opencv(COLOUR[:, :, ::-1].astype(np.uint16) * 257, ".tiff"),
    "bmp": as_mode("RGB", "BMP"),
    "webp": as_mode("RGB", "WEBP", lossless=True),
}
GRAY_KINDS = {
    "gray jpg": saved(Image.fromarray(GRAY), "JPEG", quality=98),
    "gray png": saved(Image.fromarray(GRAY), "PNG"),
    "gray png with transparency": saved(Image.fromarray(GRAY).convert("LA"), "PNG"),
    "16-bit gray png": saved(Image.fromarray(SIXTEEN), "PNG"),
    "16-bit gray tiff": saved(Image.fromarray(SIXTEEN), "TIFF"),
    "gray tiff": saved(Image.fromarray(GRAY), "TIFF"),
    "deflated tiff": saved(Image.fromarray(GRAY), "TIFF", compression="tiff_adobe_deflate"),
    "gray bmp": saved(Image.fromarray(GRAY), "BMP"),
}


def read(content, tmp_path, name="a.png"):
    (tmp_path / name).write_bytes(content)
    return ImageFiles(tmp_path, (name,)).read(0)


@pytest.mark.parametrize("kind", COLOUR_KINDS)
def test_colour_is_rgb(kind, tmp_path):
    image = read(COLOUR_KINDS[kind], tmp_path)
    assert (image.dtype, image.shape) == (np.uint8, (48, 64, 3))
    assert np.abs(image.astype(int) - COLOUR).max() <= 6


@pytest.mark.parametrize("kind", GRAY_KINDS)
def test_gray_stays_gray(kind, tmp_path):
    image = read(GRAY_KINDS[kind], tmp_path)
    assert (image.dtype, image.shape) == (np.uint8, (48, 64))
    assert np.abs(image.astype(int) - GRAY).max() <= 3


def test_few_colours_and_black_and_white(tmp_path):
    assert read(as_mode("P", "PNG"), tmp_path).shape == (48, 64, 3)
    bits = read(saved(Image.fromarray(GRAY).convert("1"), "PNG"), tmp_path)
    assert set(np.unique(bits)) == {0, 255}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_as_its_exif_says(form, tmp_path):
    image = read(rotated(form), tmp_path)
    assert image.shape == (64, 48, 3)
    assert np.abs(image.astype(int) - np.rot90(COLOUR, -1)).mean() < 8


WHOLE = {**COLOUR_KINDS, **GRAY_KINDS}


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.75])
@pytest.mark.parametrize("kind", WHOLE)
def test_an_image_that_was_cut_short_is_never_read_in_part(kind, share, tmp_path, capfd):
    content = WHOLE[kind]
    with pytest.raises(DataError, match=r"a\.png: (not a whole image|an empty file).*get the file again") as caught:
        read(content[: int(share * len(content))], tmp_path)
    assert "\n" not in str(caught.value)
    if "tiff" not in kind:  # libtiff raises its own error
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content", [b"<html>sign in</html>", b"\x00" * 500, opencv(COLOUR.astype(np.float32), ".tiff")]
)
def test_what_is_no_image_that_can_be_shown(content, tmp_path):
    with pytest.raises(DataError, match=r"a\.png: not a whole image"):
        read(content, tmp_path)


def test_a_file_that_is_gone_or_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"a\.png: cannot be read \(No such file"):
        ImageFiles(tmp_path, ("a.png",)).read(0)
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"a\.png: cannot be read \(Is a directory"):
        ImageFiles(tmp_path, ("a.png",)).read(0)
    with pytest.raises(DataError, match=r"b\.png: cannot be read \(No such file"):
        _ = ImageFiles(tmp_path, ("b.png",)).fingerprint


def test_decode_names_the_file():
    with pytest.raises(DataError, match=r"^some/where\.jpg: an empty file"):
        decode(b"", "some/where.jpg")
    assert ".tiff" in SUFFIXES


def test_the_content_is_read_once_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path / "cache"))
    for name in "ab":
        (tmp_path / name).write_bytes(GRAY_KINDS["gray png"])
    first = ImageFiles(tmp_path, ("a", "b")).fingerprint
    with monkeypatch.context() as patch:
        patch.setattr("ciao_stream.faces.readers.index_cache._sha256", lambda _: pytest.fail("read again"))
        assert ImageFiles(tmp_path, ("a", "b")).fingerprint == first
    assert ImageFiles(tmp_path, ("b", "a")).fingerprint != first
    (tmp_path / "b").write_bytes(GRAY_KINDS["gray bmp"])
    assert ImageFiles(tmp_path, ("a", "b")).fingerprint != first
    (tmp_path / "b").write_bytes(GRAY_KINDS["gray png"])
    assert ImageFiles(tmp_path, ("a", "b")).fingerprint == first


# --- crops -----------------------------------------------------------------------------------------------------------


def cropped(tmp_path, *boxes):
    (tmp_path / "a.png").write_bytes(COLOUR_KINDS["rgb png"])
    return Cropped(ImageFiles(tmp_path, ("a.png",) * len(boxes)), np.array(boxes, dtype=np.int64))


def test_a_box_is_x_y_width_height(tmp_path):
    images = cropped(tmp_path, (10, 20, 30, 8), (50, 40, 30, 30), (-5, -6, 20, 20), (0, 0, 0, 0))
    assert np.array_equal(images.read(0), COLOUR[20:28, 10:40])
    assert np.array_equal(images.read(1), COLOUR[40:, 50:])
    assert np.array_equal(images.read(2), COLOUR[:14, :15])
    assert np.array_equal(images.read(3), COLOUR)


@pytest.mark.parametrize("box", [(64, 0, 10, 10), (0, 48, 10, 10), (-10, 0, 10, 10), (0, -9, 5, 9), (5, 5, 8, 0)])
def test_a_box_outside_the_image(tmp_path, box):
    with pytest.raises(
        DataError, match=rf"a\.png: the face box \(x {box[0]}, y {box[1]}, .* is outside the image \(64x48 pixels\)"
    ):
        cropped(tmp_path, box).read(0)


def test_another_box_another_fingerprint(tmp_path):
    one, two = cropped(tmp_path, (0, 0, 9, 9)), cropped(tmp_path, (0, 0, 9, 8))
    assert one.fingerprint != two.fingerprint
    assert one.fingerprint == cropped(tmp_path, (0, 0, 9, 9)).fingerprint
