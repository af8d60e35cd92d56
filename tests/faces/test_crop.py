import dataclasses

import numpy as np
import pytest

from benchmarks.synthetic import load
from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.faces.crop import FaceCrop, crop_faces, searches
from ciao_stream.faces.dataset import SPLITS, FaceDataset, TaskData
from ciao_stream.faces.task import TaskSpec
from tests.helpers import tiny

SPEC = TaskSpec("mine", "categorical", ("calm", "glad"))
FACES = [load("emoreact", train=16, size=96).train.image(4 * i) for i in range(4)]
BLANK = np.full((96, 96, 3), 90, np.uint8)


def photo(*places, width=420, height=220):
    """A picture with a face at each (x, y, face number)."""
    canvas = np.full((height, width, 3), 90, np.uint8)
    for x, y, number in places:
        canvas[y : y + 96, x : x + 96] = FACES[number]
    return canvas


ONE, NONE, TWO = photo((10, 20, 0)), photo(), photo((5, 5, 1), (160, 60, 2))
PHOTOS = [ONE, NONE, TWO, photo((300, 100, 3))]


def task(images=PHOTOS, framing="photo", **options):
    source = tiny.Pictures(images)
    rows = np.arange(len(images))
    splits = [
        FaceDataset(SPEC, split, source, rows, rows % 2, "real", framing=framing, groups=rows + 7, **options)
        for split in SPLITS
    ]
    return TaskData(*splits)


def test_photographs_are_cut_to_the_face_and_faces_are_left_alone():
    data = task()
    cropped = crop_faces(data, FaceCrop())
    assert [split.framing for split in cropped.splits()] == ["face"] * 3
    one, none, two, last = (cropped.train.image(i) for i in range(4))
    assert one.shape[0] < 110
    assert last.shape[0] < 110
    assert abs(one.astype(int).mean() - FACES[0].mean()) < 30
    assert np.array_equal(none, NONE)
    assert two.shape[0] < 110
    faces = task(framing="face")
    assert crop_faces(faces, FaceCrop()) is faces
    assert crop_faces(data, FaceCrop("never")) is data
    assert crop_faces(faces, FaceCrop("always")).train.image(0).shape == one.shape
    assert [searches(t, c) for t, c in ((data, FaceCrop()), (faces, FaceCrop()), (data, FaceCrop("never")))] == [
        4, 0, 0,
    ]  # fmt: skip


def test_what_was_found_is_counted():
    cropped = crop_faces(task(), FaceCrop())
    assert cropped.test.detection == {"detector": "haar", "images": 4, "none": 1, "several": 1}
    assert cropped.test.dropped == {}
    assert len(cropped.test) == 4


def test_images_without_a_face_can_be_dropped_and_are_counted():
    cropped = crop_faces(task(dropped={"too dark": 2}), FaceCrop(no_face="drop"))
    assert cropped.train.rows.tolist() == [0, 2, 3]
    assert cropped.train.targets.tolist() == [0, 0, 1]
    assert cropped.train.groups.tolist() == [7, 9, 10]
    assert cropped.train.dropped == {"too dark": 2, "no face found": 1}
    assert cropped.train.detection["images"] == 4


def test_the_central_face_of_several():
    central = crop_faces(task(), FaceCrop(several_faces="central"))
    boxes = central.train.images.boxes
    assert 160 - 20 < boxes[2][0] < 160 + 96
    assert boxes[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("images", "crop", "message"),
    [
        (PHOTOS, FaceCrop(no_face="error"), "found no face in 1 of 4 images, the first of them image 1"),
        (PHOTOS, FaceCrop(several_faces="error"), "found several faces in 1 of 4 images, the first of them image 2"),
        ([BLANK, BLANK], FaceCrop(no_face="drop"), "found a face in none of 2 images"),
    ],
)
def test_what_is_an_error_names_task_split_and_image(images, crop, message):
    with pytest.raises(DataError, match=f"^task 'mine', split 'train': haar {message}"):
        crop_faces(task(images), crop)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"face_crop": "sometimes"}, "face_crop: expected one of auto, always, never but got 'sometimes'"),
        ({"no_face": "hole"}, "no_face: expected one of whole, drop, error but got 'hole'"),
        ({"several_faces": "all"}, "several_faces: expected one of largest, central, error but got 'all'"),
        ({"detector": "mtcnn"}, "unknown face detector 'mtcnn'"),
    ],
)
def test_unknown_options(options, message):
    with pytest.raises(CiaoError, match=message):
        crop_faces(task(), FaceCrop(**options))


def test_each_image_is_searched_once(monkeypatch, tmp_path):
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path))
    data, seen = task(), []
    first = crop_faces(data, FaceCrop(), seen.append)
    assert sum(seen) == 4
    assert data.train.images.reads == 4
    again = crop_faces(data, FaceCrop(several_faces="central"), seen.append)
    assert sum(seen) == 4
    assert data.train.images.reads == 4
    assert first.train.images.fingerprint != data.train.images.fingerprint
    assert again.train.images.fingerprint != first.train.images.fingerprint


def test_a_damaged_cache_is_built_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path))
    before = crop_faces(task(), FaceCrop()).train.images.boxes
    for path in (tmp_path / "indexes").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(crop_faces(task(), FaceCrop()).train.images.boxes, before)


def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIAO_CACHE", str(tmp_path / "file"))
    assert crop_faces(task(), FaceCrop()).train.detection["none"] == 1


def test_every_fold_is_cropped_and_they_share_their_images():
    data = task()
    folds = TaskData.cross_validation([dataclasses.replace(data, fold=name) for name in "AB"])
    cropped = crop_faces(folds, FaceCrop())
    assert [fold.fold for fold in cropped.folds] == ["A", "B"]
    assert cropped.fold == "A"
    assert len({id(split.images) for fold in cropped.folds for split in fold.splits()}) == 1
    assert searches(folds, FaceCrop()) == 4
