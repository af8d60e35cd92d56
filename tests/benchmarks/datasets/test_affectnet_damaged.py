"""AffectNet, damaged: each fault is one line that says what is wrong, where, and what to do."""

from functools import partial

import numpy as np
import pytest

from benchmarks.datasets import affectnet, affectnet_va
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.affectnet_files import write_affectnet_2017, write_affectnet_2021, write_annotation, write_image
from tests.helpers.damaged import (
    change,
    change_lines,
    damaged_test,
    empty,
    encode,
    error_line,
    remove,
    set_cell,
    several,
    unreadable_test,
    write,
)

LISTS = "affectnet/Manually_Annotated_file_lists"
IMAGES = "affectnet/Manually_Annotated_Images"
TRAINING = f"{LISTS}/training.csv"
ROW = 4
"""Line of the training list that is changed; it has a face box."""

cell = partial(set_cell, TRAINING, ROW)


def photo_of(root):
    return root / IMAGES / (root / TRAINING).read_text().split("\n")[ROW - 1].split(",")[0]


def remove_folder_of_photos(root):
    for path in photo_of(root).parent.iterdir():
        path.unlink()
    photo_of(root).parent.rmdir()


def without_boxes(lines):
    header, *rows = lines
    return [header, *(",".join([r.split(",")[0], *["NULL"] * 4, *r.split(",")[5:]]) for r in rows)]


DAMAGED_2017 = {
    "expression 11": (cell(6, "11"), "training.csv, line 4: expression 11; expected one of 0 neutral, 1 happiness"),
    "expression -1": (cell(6, "-1"), "training.csv, line 4: expression -1; expected one of"),
    "expression 2.5": (cell(6, "2.5"), "training.csv, line 4: expression 2.5; expected one of"),
    "expression in words": (cell(6, "happy"), "training.csv, line 4: expression 'happy'; expected a number"),
    "expression NULL": (cell(6, "NULL"), "training.csv, line 4: expression 'NULL'; expected a number"),
    "no expression": (cell(6, ""), "training.csv, line 4: expression ''; expected a number"),
    "expression nan": (cell(6, "nan"), "training.csv, line 4: expression nan; expected one of"),
    "huge expression": (cell(6, "9" * 400), "training.csv, line 4: expression inf; expected one of"),
    "valence above 1": (cell(7, "1.0000001"), "training.csv, line 4: valence 1.0000001; expected -1 to 1, or -2"),
    "valence in words": (cell(7, "high"), "training.csv, line 4: valence 'high'; expected a number"),
    "valence inf": (cell(7, "inf"), "training.csv, line 4: valence inf; expected -1 to 1"),
    "no valence": (cell(7, ""), "training.csv, line 4: valence ''; expected a number"),
    "arousal below -1": (cell(8, "-1.5"), "training.csv, line 4: arousal -1.5; expected -1 to 1, or -2"),
    "arousal nan": (cell(8, "nan"), "training.csv, line 4: arousal nan; expected -1 to 1"),
    "arousal in words": (cell(8, "low"), "training.csv, line 4: arousal 'low'; expected a number"),
    "no path": (cell(0, ""), "training.csv, line 4: subDirectory_filePath ''; expected the path of a photo"),
    "zeros for a path": (cell(0, "\0" * 30 + "/a"), "line 4: subDirectory_filePath '\\x00\\x00"),
    "a long path": (cell(0, "x/" + "a" * 9000), "training.csv, line 4: there is no photo x/aaa"),
    "a comma too many": (cell(7, "0,5"), "training.csv, line 4: expected 9 columns but found 10"),
    "cut in the last line": (change(TRAINING, lambda c: c[:-600]),
        "training.csv, line 48: expected 9 columns but found 6; the file may be cut"),
    "no such photo": (lambda r: photo_of(r).unlink(), "training.csv, line 4: there is no photo"),
    "no such folder of photos": (remove_folder_of_photos, " missing); get all of them"),
    "no photos": (remove(IMAGES),
        "affectnet: no photos next to the csv lists; expected a folder Manually_Annotated_Images or"),
    "no validation list": (remove(f"{LISTS}/validation.csv"),
        "affectnet: no validation.csv next to the other csv list; expected it in Manually_Annotated_file_lists"),
    "no training list": (remove(TRAINING), "affectnet: no training.csv next to the other csv list"),
    "empty list": (write(TRAINING, b""), "training.csv: the file is empty; expected the columns subDirectory"),
    "header only": (change_lines(TRAINING, lambda ls: ls[:1]),
        "training.csv: no row with a face box; expected rows of"),
    "no boxes at all": (change_lines(f"{LISTS}/validation.csv", without_boxes),
        "validation.csv: no row with a face box"),
    "other columns": (change(TRAINING, lambda c: c.replace(b"valence", b"pleasure", 1).replace(b"face_x", b"x", 1)),
        "training.csv, line 1: no column face_x nor valence; expected subDirectory_filePath, face_x"),
    "latin-1": (change(TRAINING, lambda c: c.replace(b"\n1/", b"\n1/\xe4", 1)),
        "not UTF-8 text; save the file as a UTF-8 csv"),
    "utf-16": (encode(TRAINING, "utf-16"), "training.csv, line 1: not UTF-8 text"),
    "one long line": (change(TRAINING, lambda c: c.replace(b"\n", b" ") * 2),
        "training.csv, line 1: longer than 65536"),
    "a folder": (empty(TRAINING), "training.csv: cannot be read (Is a directory)"),
}  # fmt: skip

TRAIN, VAL = "affectnet/train_set", "affectnet/val_set"
FIRST = "5"
"""The lowest id, which is in train_set."""


def value(kind, new):
    return lambda root: write_annotation(root / TRAIN, FIRST, kind, new)


def content(new_content):
    return change(f"{TRAIN}/annotations/{FIRST}_val.npy", new_content)


def image(name):
    return lambda root: write_image(root / name, np.zeros((8, 8, 3)))


def claim_more(old):
    """A header that promises a huge array."""
    return old.replace(b"'shape': ()", b"'shape': (99999999999,)").replace(b" " * 13 + b"\n", b"\n")


DAMAGED_2021 = {
    "expression 11": (value("exp", "11"), "5_exp.npy: expression 11; expected one of 0 neutral"),
    "expression 2.5": (value("exp", 2.5), "5_exp.npy: expression 2.5; expected one of"),
    "expression in words": (value("exp", "happy"), "5_exp.npy: holds 'happy'; expected one number"),
    "huge expression": (value("exp", "9" * 30), "5_exp.npy: expression 1e+30; expected one of"),
    "bytes of no text": (value("exp", b"\xff"), "5_exp.npy: holds b'\\xff'; expected one number"),
    "valence above 1": (value("val", "1.25"), "5_val.npy: valence 1.25; expected -1 to 1, or -2"),
    "valence nan": (value("val", np.nan), "5_val.npy: valence nan; expected -1 to 1"),
    "arousal below -1": (value("aro", -1.5), "5_aro.npy: arousal -1.5; expected -1 to 1, or -2"),
    "two values": (value("aro", [0.5, 0.5]), "5_aro.npy: holds [0.5, 0.5]; expected one number"),
    "no value": (value("val", []), "5_val.npy: holds []; expected one number"),
    "a complex value": (value("val", 1j), "5_val.npy: holds 1j; expected one number"),
    "a date": (value("val", np.datetime64("2021-03-01")), "5_val.npy: holds datetime.date(2021, 3, 1)"),
    "no characters": (several(value("val", "0"), content(lambda c: c[:-4] + b"\xff" * 4)),
        "5_val.npy: not a whole npy file"),
    "objects": (value("exp", np.array({"a": 1}, dtype=object)), "5_exp.npy: not a whole npy file"),
    "an empty file": (content(lambda _: b""), "5_val.npy: an empty file; expected an array of one number"),
    "no npy file": (content(lambda _: b"0.5\n"), "5_val.npy: not a whole npy file (4 bytes)"),
    "cut": (content(lambda c: c[:-1]), "5_val.npy: not a whole npy file"),
    "cut in the header": (content(lambda c: c[:50]), "5_val.npy: not a whole npy file (50 bytes)"),
    "a broken header": (content(lambda c: c.replace(b"{", b"(", 1)), "5_val.npy: not a whole npy file"),
    "an open header": (content(lambda c: c.replace(b"}", b" ", 1)), "5_val.npy: not a whole npy file"),
    "a huge array": (content(claim_more), "5_val.npy: not a whole npy file"),
    "no expression": (remove(f"{TRAIN}/annotations/{FIRST}_exp.npy"),
        "train_set: there is no annotations/5_exp.npy, although other files have its id; get the full set"),
    "no arousal": (remove(f"{TRAIN}/annotations/{FIRST}_aro.npy"), "train_set: there is no annotations/5_aro.npy"),
    "no image": (remove(f"{TRAIN}/images/{FIRST}.jpg"),
        "train_set: there is no images/5.jpg, although other files have its id"),
    "images without annotations": (several(image(f"{VAL}/images/1000.jpg"), image(f"{VAL}/images/999.jpg")),
        "val_set: there is no annotations/999_exp.npy, although other files have its id (one of 2 missing); get the"),
    "two images": (image(f"{TRAIN}/images/5.png"), "images: two images of id 5: 5.jpg and 5.png; remove one"),
    "no images": (empty(f"{VAL}/images"), "images: no images in it; expected files that end in .jpg"),
    "no folder of images": (remove(f"{TRAIN}/images"),
        "train_set: no folder images in it; expected images/ID.jpg and annotations/ID_exp.npy"),
    "no folder of annotations": (remove(f"{VAL}/annotations"), "val_set: no folder annotations in it"),
    "a file for a folder": (write(f"{VAL}/images"), "images: cannot be read (Not a directory)"),
    "no val_set": (remove(VAL), "affectnet: no val_set next to train_set"),
    "no train_set": (remove(TRAIN), "affectnet: no train_set next to val_set"),
}  # fmt: skip

LOADS = (affectnet.load, affectnet_va.load)
test_damaged_2017 = damaged_test(write_affectnet_2017, LOADS, DAMAGED_2017, "affectnet", longest=700)
test_damaged_2021 = damaged_test(write_affectnet_2021, LOADS, DAMAGED_2021, "affectnet", longest=700)
test_an_unreadable_photo_of_2017 = unreadable_test(write_affectnet_2017, affectnet_va.load, f"{IMAGES}/*/*.*")
test_an_unreadable_image_of_2021 = unreadable_test(write_affectnet_2021, affectnet_va.load, f"{TRAIN}/images/*")


@pytest.mark.parametrize(
    ("column", "new", "reason"),
    [
        (1, "NULL", "no face box (NULL)"),
        (2, "", "no face box (NULL)"),
        (3, "12.5", "no face box (NULL)"),
        (4, "9" * 30, "no face box (NULL)"),
        (3, "0", "empty face box"),
        (4, "-3", "empty face box"),
    ],
)
def test_unusable_boxes_are_counted(tmp_path, column, new, reason):
    write_affectnet_2017(tmp_path)
    before = affectnet_va.load(tmp_path)
    cell(column, new)(tmp_path)
    photo_of(tmp_path).unlink()
    after = affectnet_va.load(tmp_path)
    assert after.train.dropped[reason] == before.train.dropped[reason] + 1
    assert len(after.train.images) == len(before.train.images) - 1


def test_a_box_outside_of_the_photo(tmp_path):
    write_affectnet_2017(tmp_path)
    cell(1, "500")(tmp_path)
    name = photo_of(tmp_path).relative_to(tmp_path / IMAGES).as_posix()
    source = affectnet.load(tmp_path).train.images
    with pytest.raises(DataError, match=r"\.png: the face box \(x 500, .*is outside"):
        source.read(source.images.names.index(name))


def test_nothing_there(tmp_path):
    missing = partial(error_line, kind=MissingDataError, longest=700)
    for task in (affectnet, affectnet_va):
        message = missing(task.load, tmp_path / "absent")
        assert f"there is no folder {tmp_path / 'absent'}; expected {task.LAYOUT}" in message
        assert task.LAYOUT.startswith("ROOT/")
    message = missing(affectnet.load, tmp_path)
    assert message.startswith("task 'affectnet': no train_set (2021) and no training.csv (2017) under")
    (tmp_path / "AffectNet" / "Manually_Annotated_Images").mkdir(parents=True)
    message = missing(affectnet_va.load, tmp_path)
    assert message.startswith("task 'affectnet-va': ")
    assert "found AffectNet, AffectNet/Manually_Annotated_Images" in message
