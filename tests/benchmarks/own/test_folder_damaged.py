"""A user's own folders, damaged: each fault is one line that says what is wrong, and where."""

import os
from functools import partial

import pytest

from benchmarks.own import folder as own_folder
from benchmarks.tasks import load_task
from ciao_stream.exceptions import MissingDataError
from tests.helpers.damaged import damaged_test, empty, error_line, move, remove, several
from tests.helpers.own_files import save, write_own_folder


def make(*names):
    return lambda root: save(root, [f"mine/{name}" for name in names])


DAMAGED_SPLITS = {
    "no test": (remove("mine/test"), "TMP/mine: no folder test; expected DIR/{train"),
    "no train": (remove("mine/train"), "TMP/mine: no folder train; expected"),
    "only validation": (remove("mine/train", "mine/test"), "TMP/mine: no folder train nor test"),
    "test misspelled": (move("mine/test", "mine/tets"),
        "TMP/mine: unknown folder 'tets' next to the splits; expected train, validation, test; move it away"),
    "a class next to the splits": (make("happy/a.png"), "TMP/mine: unknown folder 'happy' next to the splits"),
    "validation twice": (make("validation/happy/a.png"),
        "TMP/mine: val and validation are both validation; merge them"),
    "a class of test that train lacks": (make("test/angry/a.png"),
        "TMP/mine/test: unknown class folder 'angry'; known: "),
    "a class of test misspelled": (move("mine/test/happy", "mine/test/hapy"),
        "TMP/mine/test: unknown class folder 'hapy': did you mean 'happy'?"),
    "a class of validation misspelled": (move("mine/val/sad", "mine/val/sda"),
        "TMP/mine/val: unknown class folder 'sda': did you mean 'sad'"),
    "a class of train misspelled": (move("mine/train/sad", "mine/train/saad"),
        "TMP/mine/test: unknown class folder 'sad': did you mean 'saad'"),
    "an empty class": (empty("mine/test/sad"), "TMP/mine/test/sad: no images in it"),
    "an empty test": (empty("mine/test"), "TMP/mine/test: no class folders in it; expected some"),
    "an empty train": (empty("mine/train"), "TMP/mine/train: expected folders of at least two"),
    "one class": (remove("mine/train/sad", "mine/train/Neutral"),
        "TMP/mine/train: expected folders of at least two classes but found happy; expected DIR/{"),
    "two names of one class alone": (several(remove("mine/train/sad"), move("mine/train/Neutral", "mine/train/joy")),
        "TMP/mine/train: expected folders of at least two classes but found happy, joy"),
    "classes that differ in case": (
        several(move("mine/train/sad", "mine/train/Bored"), move("mine/train/Neutral", "mine/train/bored")),
        "TMP/mine/train: the classes 'Bored' and 'bored' differ only in case; spell them the same"),
    "a circle of links": (lambda root: (root / "mine/train/sad/again").symlink_to(root / "mine/train"),
        "TMP/mine/train/sad/again: a link to a folder that contains it"),
}  # fmt: skip
DAMAGED_CLASSES = {
    "one class": (remove("mine/sad", "mine/Neutral"), "TMP/mine: expected folders of at least two classes but found"),
    "no classes": (several(remove("mine/*"), make("a.png")),
        "TMP/mine: expected folders of at least two classes but found none"),
    "an empty class": (empty("mine/fear"), "TMP/mine/fear: no images in it; expected files that end in .jpg"),
    "no images by their names": (several(*(move(f"mine/sad/_sad_{n}.png", f"mine/sad/{n}.heic") for n in range(3))),
        "TMP/mine/sad: no images in it; expected files that end in .jpg"),
    "sessions of classes": (
        several(*(make(f"day{n}/{name}/a.png") for n in (1, 2) for name in ("happy", "sad")), remove("mine/happy")),
        "TMP/mine/day1 contains class folders (happy, sad), but is a class folder itself"),
    "a data set within": (several(remove("mine/*"), make("faces/train/happy/a.png")),
        "TMP/mine: expected folders of at least two classes but found faces"),
    "one image per class": (remove("mine/*/*_[12].png"),
        "TMP/mine: too few images to hold out some for test; expected at least three of a class"),
    "two images per class": (remove("mine/*/*_0.png"),
        "TMP/mine: too few images to hold out some for validation; expected at least three of a class"),
}  # fmt: skip


def load_folder(root):
    return own_folder.load(root / "mine")


test_damaged_splits = damaged_test(write_own_folder, [load_folder], DAMAGED_SPLITS, longest=700)
test_damaged_classes = damaged_test(partial(write_own_folder, splits=()), [load_folder], DAMAGED_CLASSES, longest=700)


def test_no_folder(tmp_path):
    with pytest.raises(MissingDataError, match=r"there is no folder .*/mine; expected DIR/\{train"):
        load_task(f"folder:{tmp_path / 'mine'}")
    (tmp_path / "mine.csv").touch()
    message = error_line(load_task, f"folder:{tmp_path / 'mine.csv'}")
    assert message == f"{tmp_path}/mine.csv is not a folder; for a csv file use csv:{tmp_path}/mine.csv"


@pytest.mark.parametrize("name", ["my,faces", "my:faces", "my\tfaces"])
def test_a_folder_whose_name_cannot_name_a_task(tmp_path, name):
    write_own_folder(tmp_path, name=name)
    message = error_line(own_folder.load, tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ")
    assert repr(name) in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    write_own_folder(tmp_path)
    folder = tmp_path / "mine" / "test" / "sad"
    folder.chmod(0)
    try:
        assert f"{folder}: cannot be read (Permission denied)" in error_line(own_folder.load, tmp_path / "mine")
    finally:
        folder.chmod(0o755)
