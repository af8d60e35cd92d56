"""Detectors on drawn faces, which Haar's cascade takes for faces, and on real ones where they are to be had."""

import os
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets import fer
from benchmarks.synthetic import load
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.detection import LONGEST_SIDE, load_detector
from tests.helpers import real_data

real_faces = real_data.real_faces


def drawn(n=6, size=128):
    split = load("emoreact", train=n * 4, size=size).train
    return [split.image(4 * i) for i in range(n)]


def photo(face, x, y, width=400, height=300):
    """A face somewhere in a larger picture."""
    canvas = np.full((height, width, 3), 90, np.uint8)
    canvas[y : y + face.shape[0], x : x + face.shape[1]] = face
    return canvas


def covers(box, x, y, side):
    """Whether most of the middle of a drawn face lies in the box."""
    left, top, width, height = box
    middle = (x + side / 2, y + side / 2)
    return left < middle[0] < left + width and top < middle[1] < top + height and 0.3 * side < width <= 1.1 * side


@pytest.fixture(params=["haar", "yunet"], scope="module")
def detector(request):
    if request.param == "haar":
        return load_detector()
    model = os.environ.get("CIAO_YUNET")
    if not model:
        pytest.skip("no YuNet model (set CIAO_YUNET to face_detection_yunet_*.onnx of OpenCV's model zoo)")
    return load_detector(f"yunet:{model}")


@pytest.mark.parametrize("place", [(0, 0), (150, 90), (272, 172)])
def test_a_face_is_found_where_it_is(detector, place):
    for face in drawn():
        boxes = detector.find(photo(face, *place))
        assert boxes.dtype == np.int64
        assert len(boxes) == 1
        assert covers(boxes[0], *place, 128)
        assert abs(boxes[0][2] - boxes[0][3]) <= 1


def test_gray_and_colour_are_alike(detector):
    face = photo(drawn(1)[0], 100, 60)
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    assert np.abs(detector.find(face)[0] - detector.find(gray)[0]).max() <= 12


def test_the_largest_face_comes_first(detector):
    one, two = drawn(2)
    canvas = photo(one, 10, 10, 500, 300)
    canvas[40:240, 250:450] = cv2.resize(two, (200, 200))
    boxes = detector.find(canvas)
    assert len(boxes) == 2
    assert covers(boxes[0], 250, 40, 200)
    assert covers(boxes[1], 10, 10, 128)


def test_no_face(detector):
    assert detector.find(np.full((200, 300), 128, np.uint8)).shape == (0, 4)
    assert detector.find(np.zeros((1, 1), np.uint8)).shape == (0, 4)


def test_a_large_image_is_searched_at_a_bounded_size_and_boxes_are_in_its_own_pixels(detector):
    face = cv2.resize(drawn(1)[0], (900, 900))
    boxes = detector.find(photo(face, 500, 200, 2000, 1400))
    assert LONGEST_SIDE < 2000
    assert covers(boxes[0], 500, 200, 900)


def test_a_copy_in_another_process_finds_the_same(detector):
    image = photo(drawn(1)[0], 100, 60)
    before = detector.find(image)
    copy = pickle.loads(pickle.dumps(detector))
    assert copy.fingerprint == detector.fingerprint
    assert np.array_equal(copy.find(image), before)


def test_real_faces_are_found(detector, real_faces):
    train = fer.load(real_faces).train
    photos = [np.pad(cv2.resize(train.image(i), (144, 144)), 60, constant_values=90) for i in range(100)]
    found = [detector.find(image) for image in photos]
    assert sum(len(boxes) > 0 for boxes in found) > 70


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("har", "unknown face detector 'har': did you mean 'haar'"),
        ("haar:x", "unknown face detector 'haar:x'"),
        ("yunet", "'yunet' needs its model file: give yunet:FILE"),
        ("yunet:absent.onnx", r"absent\.onnx cannot be read \(No such file"),
    ],
)
def test_a_detector_that_cannot_be_had(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CiaoError, match=message) as caught:
        load_detector(name)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownNameError) == ("unknown" in message)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x08\x07" * 500])
def test_a_damaged_model_is_one_line(content, tmp_path):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(content)
    with pytest.raises(CiaoError, match=r"yunet\.onnx is not a YuNet model") as caught:
        load_detector(f"yunet:{path}")
    assert "\n" not in str(caught.value)


def test_an_image_file_can_be_no_model(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(CiaoError, match="is not a YuNet model"):
        load_detector(f"yunet:{tmp_path / 'x.png'}")
