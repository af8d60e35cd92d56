"""RAF-DB, SFEW and MMAFEDB, damaged: each fault is one line that says what is wrong and where."""

from functools import partial

import pytest

from benchmarks.datasets import mmafedb, rafdb, sfew
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.damaged import change_lines, damaged_test, empty, error_line, move, remove, set_line, write
from tests.helpers.mmafedb_files import write_mmafedb
from tests.helpers.rafdb_files import write_rafdb, write_rafdb_folders
from tests.helpers.sfew_files import write_sfew

LIST = "rafdb/basic/EmoLabel/list_patition_label.txt"
IMAGES = "rafdb/basic/Image"
SETS = {
    "rafdb": (rafdb, write_rafdb),
    "rafdb-folders": (rafdb, write_rafdb_folders),
    "sfew": (sfew, write_sfew),
    "mmafedb": (mmafedb, write_mmafedb),
}
line = partial(set_line, LIST)


def keep_lines(start):
    return change_lines(LIST, lambda lines: [text for text in lines if text.startswith(start)])


def link_to_parent(name):
    return lambda root: (root / name).symlink_to(root / name.rpartition("/")[0])


TRAIN, VAL = "sfew/Train_Aligned_Faces", "sfew/Val_Aligned_Faces"
DAMAGED = {
    "rafdb": {
        "label 0": (line(3, "train_00003.jpg 0"), f"{LIST}, line 3: label '0'; expected one of 1 surprise, 2 fear, 3"),
        "label 8": (line(3, "train_00003.jpg 8"), f"{LIST}, line 3: label '8'"),
        "label 5.0": (line(3, "train_00003.jpg 5.0"), "line 3: label '5.0'"),
        "label by name": (line(3, "train_00003.jpg happy"), "line 3: label 'happy'"),
        "no label": (line(4, "train_00004.jpg"), f"{LIST}, line 4: 1 words; expected a file name and a label"),
        "three words": (line(4, "train_00004.jpg 5 5"), "line 4: 3 words"),
        "another name": (line(5, "IMG_0005.jpg 5"), "line 5: file name 'IMG_0005.jpg'; expected train_NUMBER.jpg"),
        "a path": (line(5, "../train_00005.jpg 5"), "line 5: file name '../train_00005.jpg'"),
        "an image twice": (line(6, "train_00002.jpg 2"), "line 6: train_00002.jpg is already in line 2"),
        "no such image": (line(7, "train_77777.jpg 2"),
            f"{LIST}, line 7: no image TMP/{IMAGES}/aligned/train_77777_aligned.jpg; unpack the aligned images again"),
        "images lack": (remove(f"{IMAGES}/aligned/train_00002_aligned.jpg", f"{IMAGES}/aligned/test_0003_aligned.jpg"),
            f"line 2: no image TMP/{IMAGES}/aligned/train_00002_aligned.jpg (and 1 more); unpack"),
        "no image folder": (remove(f"{IMAGES}/aligned"),
            f"{IMAGES}/aligned: no such folder; unpack the aligned images"),
        "no test": (keep_lines("train"), f"{LIST}: no line for an image of test (test_*.jpg)"),
        "no train": (keep_lines("test"), f"{LIST}: no line for an image of train (train_*.jpg)"),
        "an empty list": (write(LIST, b""), f"{LIST}: no line for an image of train"),
        "utf-16": (write(LIST, "train_00001.jpg 5\n".encode("utf-16")), f"{LIST}, line 1: not UTF-8 text"),
        "binary": (write(LIST, b"\x01" * 100_000), "line 1: longer than 65536 bytes"),
        "a folder for a list": (empty(LIST), "cannot be read (Is a")},
    "rafdb-folders": {"a class by name": (move("rafdb/DATASET/train/4", "rafdb/DATASET/train/happy"),
                          "rafdb/DATASET/train: unknown class folder 'happy'; known: 1, 2, 3, 4, 5, 6, 7"),
        "class 8": (move("rafdb/DATASET/test/7", "rafdb/DATASET/test/8"),
            "rafdb/DATASET/test: unknown class folder '8'"),
        "a class lacks": (remove("rafdb/DATASET/test/2"), "DATASET/test: no class folder for fear; expected one for"),
        "an empty class": (empty("rafdb/DATASET/train/3"), "rafdb/DATASET/train/3: no images in it")},
    "sfew": {"a class misspelled": (move(f"{TRAIN}/Happy", f"{TRAIN}/Hapy"),
                 f"{TRAIN}: unknown class folder 'Hapy': did you mean 'happy'?"),
        "a class lacks": (remove(f"{VAL}/Disgust"), f"{VAL}: no class folder for disgust"),
        "an empty class": (empty(f"{VAL}/Fear"), f"{VAL}/Fear: no images in it"),
        "contempt": (move(f"{TRAIN}/Sad", f"{TRAIN}/Contempt"), f"{TRAIN}: unknown class folder 'Contempt'"),
        "a circle of links": (link_to_parent(f"{TRAIN}/Angry/again"),
            f"{TRAIN}/Angry/again: a link to a folder that contains it"),
        "an empty train": (empty(TRAIN), f"{TRAIN}: no class folder for neutral, happiness, surprise")},
    "mmafedb": {"a class misspelled": (move("mmafedb/MMAFEDB/valid/surprise", "mmafedb/MMAFEDB/valid/suprise"),
                    "mmafedb/MMAFEDB/valid: unknown class folder 'suprise': did you mean 'surprise'"),
        "a class lacks": (remove("mmafedb/MMAFEDB/test/sad"), "MMAFEDB/test: no class folder for sadness"),
        "an empty class": (empty("mmafedb/MMAFEDB/train/angry"), "MMAFEDB/train/angry: no images in it")},
}  # fmt: skip

test_damaged_rafdb = damaged_test(write_rafdb, [rafdb.load], DAMAGED["rafdb"], longest=700)
test_damaged_rafdb_folders = damaged_test(write_rafdb_folders, [rafdb.load], DAMAGED["rafdb-folders"], longest=700)
test_damaged_sfew = damaged_test(write_sfew, [sfew.load], DAMAGED["sfew"], longest=700)
test_damaged_mmafedb = damaged_test(write_mmafedb, [mmafedb.load], DAMAGED["mmafedb"], longest=700)

MISSING = {
    "rafdb": (remove(LIST), "no EmoLabel/list_patition_label.txt and no folders train and test under"),
    "rafdb-folders": (remove("rafdb/DATASET/test"), "no EmoLabel/list_patition_label.txt and no test folder under"),
    "sfew": (remove(VAL), "no two folders with the faces of Train and of Val, both aligned or neither under"),
    "mmafedb": (remove("mmafedb/MMAFEDB/valid"), "no folder valid under"),
}


@pytest.mark.parametrize("name", SETS)
def test_missing(tmp_path, name):
    module, write_set = SETS[name]
    missing = partial(error_line, module.load, kind=MissingDataError, longest=700)
    assert f"there is no folder {tmp_path / 'absent'}; expected {module.LAYOUT}" in missing(tmp_path / "absent")
    assert f"under {tmp_path}; expected {module.LAYOUT}; found nothing" in missing(tmp_path)
    write_set(tmp_path)
    damage, expected = MISSING[name]
    damage(tmp_path)
    task = name.split("-")[0]
    assert f"task {task!r}: {expected} {tmp_path}; expected {module.LAYOUT}; found {task}" in missing(tmp_path)


def test_the_folders_of_rafdb_have_no_original_images(tmp_path):
    write_rafdb_folders(tmp_path)
    with pytest.raises(MissingDataError, match=r"\(the version in folders has no original images\) under"):
        rafdb.load(tmp_path, "original")


def test_no_original_images(tmp_path):
    write_rafdb(tmp_path)
    remove(f"{IMAGES}/original/test_0004.jpg")(tmp_path)
    rafdb.load(tmp_path, "aligned")
    with pytest.raises(DataError, match=r"line 25: no image .*/Image/original/test_0004\.jpg; unpack the original im"):
        rafdb.load(tmp_path, "original")
