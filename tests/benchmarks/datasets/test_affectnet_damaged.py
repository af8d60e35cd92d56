"""AffectNet as it should not be: each fault is one line that says what is wrong, where, and what to do."""

import shutil

import numpy as np
import pytest

from benchmarks.datasets import affectnet, affectnet_va
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.affectnet_files import write_affectnet_2017, write_affectnet_2021, write_annotation, write_image

LISTS = "affectnet/Manually_Annotated_file_lists"
IMAGES = "affectnet/Manually_Annotated_Images"
ROW = 4
"""Line of the training list that is changed; it has a face box."""


def training(root):
    return root / LISTS / "training.csv"


def set_cell(column, value, number=ROW):
    def change(root):
        lines = training(root).read_text().split("\n")
        cells = lines[number - 1].split(",")
        cells[column] = value
        lines[number - 1] = ",".join(cells)
        training(root).write_text("\n".join(lines))

    return change


def change_list(change, name="training.csv"):
    def apply(root):
        path = root / LISTS / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def photo_of(root, number=ROW):
    return root / IMAGES / training(root).read_text().split("\n")[number - 1].split(",")[0]


def without_boxes(content):
    header, *rows = content.decode().splitlines()
    return "\n".join([header, *(",".join([r.split(",")[0], *["NULL"] * 4, *r.split(",")[5:]]) for r in rows)]).encode()


DAMAGED_2017 = {
    "expression 11": (set_cell(6, "11"), "training.csv, line 4: expression 11; expected one of 0 neutral, 1 happiness"),
    "expression -1": (set_cell(6, "-1"), "training.csv, line 4: expression -1; expected one of"),
    "expression 2.5": (set_cell(6, "2.5"), "training.csv, line 4: expression 2.5; expected one of"),
    "expression in words": (set_cell(6, "happy"), "training.csv, line 4: expression 'happy'; expected a number"),
    "expression NULL": (set_cell(6, "NULL"), "training.csv, line 4: expression 'NULL'; expected a number"),
    "no expression": (set_cell(6, ""), "training.csv, line 4: expression ''; expected a number"),
    "expression nan": (set_cell(6, "nan"), "training.csv, line 4: expression nan; expected one of"),
    "huge expression": (set_cell(6, "9" * 400), "training.csv, line 4: expression inf; expected one of"),
    "valence above 1": (set_cell(7, "1.0000001"), "training.csv, line 4: valence 1.0000001; expected -1 to 1, or -2"),
    "valence in words": (set_cell(7, "high"), "training.csv, line 4: valence 'high'; expected a number"),
    "valence inf": (set_cell(7, "inf"), "training.csv, line 4: valence inf; expected -1 to 1"),
    "no valence": (set_cell(7, ""), "training.csv, line 4: valence ''; expected a number"),
    "arousal below -1": (set_cell(8, "-1.5"), "training.csv, line 4: arousal -1.5; expected -1 to 1, or -2"),
    "arousal nan": (set_cell(8, "nan"), "training.csv, line 4: arousal nan; expected -1 to 1"),
    "arousal in words": (set_cell(8, "low"), "training.csv, line 4: arousal 'low'; expected a number"),
    "no path": (set_cell(0, ""), "training.csv, line 4: subDirectory_filePath ''; expected the path of a photo"),
    "zeros for a path": (set_cell(0, "\0" * 30 + "/a"), "line 4: subDirectory_filePath '\\x00\\x00"),
    "a long path": (set_cell(0, "x/" + "a" * 9000), "training.csv, line 4: there is no photo x/aaa"),
    "a comma too many": (set_cell(7, "0,5"), "training.csv, line 4: expected 9 columns but found 10"),
    "cut in the last line": (
        change_list(lambda c: c[:-600]),
        "training.csv, line 48: expected 9 columns but found 6; the file may be cut",
    ),
    "no such photo": (lambda r: photo_of(r).unlink(), "training.csv, line 4: there is no photo"),
    "no such folder of photos": (
        lambda r: shutil.rmtree(photo_of(r).parent),
        " missing); get all of them",
    ),
    "no photos": (
        lambda r: shutil.rmtree(r / IMAGES),
        "affectnet: no photos beside the csv lists; expected a folder Manually_Annotated_Images or",
    ),
    "no validation list": (
        lambda r: (r / LISTS / "validation.csv").unlink(),
        "affectnet: no validation.csv beside the other csv list; expected it in Manually_Annotated_file_lists",
    ),
    "no training list": (lambda r: training(r).unlink(), "affectnet: no training.csv beside the other csv list"),
    "empty list": (change_list(lambda _: b""), "training.csv: the file is empty; expected the columns subDirectory"),
    "header only": (change_list(lambda c: c.split(b"\n")[0]), "training.csv: no row with a face box; expected rows of"),
    "no boxes at all": (change_list(without_boxes, "validation.csv"), "validation.csv: no row with a face box"),
    "other columns": (
        change_list(lambda c: c.replace(b"valence", b"pleasure", 1).replace(b"face_x", b"x", 1)),
        "training.csv, line 1: no column face_x nor valence; expected subDirectory_filePath, face_x",
    ),
    "latin-1": (
        change_list(lambda c: c.replace(b"\n1/", b"\n1/\xe4", 1)),
        "not UTF-8 text; save the file as a UTF-8 csv",
    ),
    "utf-16": (change_list(lambda c: c.decode().encode("utf-16")), "training.csv, line 1: not UTF-8 text"),
    "one long line": (change_list(lambda c: c.replace(b"\n", b" ") * 2), "training.csv, line 1: longer than 65536"),
    "a folder": (
        lambda r: (training(r).unlink(), training(r).mkdir()),
        "training.csv: cannot be read (Is a directory)",
    ),
}


def annotation(root, kind, name="train_set"):
    """An annotation of the lowest id."""
    folder = root / "affectnet" / name / "annotations"
    return min(folder.glob(f"*_{kind}.npy"), key=lambda path: int(path.name.split("_")[0]))


def set_value(kind, value):
    def change(root):
        path = annotation(root, kind)
        write_annotation(path.parents[1], path.name.split("_")[0], kind, value)

    return change


def set_content(change):
    def apply(root):
        path = annotation(root, "val")
        path.write_bytes(change(path.read_bytes()))

    return apply


def save_objects(root):
    np.save(annotation(root, "exp"), np.array({"a": 1}, dtype=object), allow_pickle=True)


def claim_more(content):
    """A header that promises a huge array."""
    return content.replace(b"'shape': ()", b"'shape': (99999999999,)").replace(b" " * 13 + b"\n", b"\n")


DAMAGED_2021 = {
    "expression 11": (set_value("exp", "11"), "{first}_exp.npy: expression 11; expected one of 0 neutral"),
    "expression 2.5": (set_value("exp", 2.5), "{first}_exp.npy: expression 2.5; expected one of"),
    "expression in words": (set_value("exp", "happy"), "{first}_exp.npy: holds 'happy'; expected one number"),
    "huge expression": (set_value("exp", "9" * 30), "{first}_exp.npy: expression 1e+30; expected one of"),
    "bytes of no text": (set_value("exp", b"\xff"), "{first}_exp.npy: holds b'\\xff'; expected one number"),
    "valence above 1": (set_value("val", "1.25"), "{first}_val.npy: valence 1.25; expected -1 to 1, or -2"),
    "valence nan": (set_value("val", np.nan), "{first}_val.npy: valence nan; expected -1 to 1"),
    "arousal below -1": (set_value("aro", -1.5), "{first}_aro.npy: arousal -1.5; expected -1 to 1, or -2"),
    "two values": (set_value("aro", [0.5, 0.5]), "{first}_aro.npy: holds [0.5, 0.5]; expected one number"),
    "no value": (set_value("val", []), "{first}_val.npy: holds []; expected one number"),
    "a complex value": (set_value("val", 1j), "{first}_val.npy: holds 1j; expected one number"),
    "a date": (set_value("val", np.datetime64("2021-03-01")), "{first}_val.npy: holds datetime.date(2021, 3, 1)"),
    "no characters": (
        lambda r: (set_value("val", "0")(r), set_content(lambda c: c[:-4] + b"\xff" * 4)(r)),
        "{first}_val.npy: not a whole npy file",
    ),
    "objects": (save_objects, "{first}_exp.npy: not a whole npy file"),
    "an empty file": (set_content(lambda _: b""), "{first}_val.npy: an empty file; expected an array of one number"),
    "no npy file": (set_content(lambda _: b"0.5\n"), "{first}_val.npy: not a whole npy file (4 bytes)"),
    "cut": (set_content(lambda c: c[:-1]), "{first}_val.npy: not a whole npy file"),
    "cut in the header": (set_content(lambda c: c[:50]), "{first}_val.npy: not a whole npy file (50 bytes)"),
    "a broken header": (set_content(lambda c: c.replace(b"{", b"(", 1)), "{first}_val.npy: not a whole npy file"),
    "an open header": (set_content(lambda c: c.replace(b"}", b" ", 1)), "{first}_val.npy: not a whole npy file"),
    "a huge array": (set_content(claim_more), "{first}_val.npy: not a whole npy file"),
    "no expression": (
        lambda r: annotation(r, "exp").unlink(),
        "train_set: there is no annotations/{first}_exp.npy, though other files have its id; get the full set",
    ),
    "no arousal": (lambda r: annotation(r, "aro").unlink(), "train_set: there is no annotations/{first}_aro.npy"),
    "no image": (
        lambda r: (r / "affectnet" / "train_set" / "images" / f"{first_id(r)}.jpg").unlink(),
        "train_set: there is no images/{first}.jpg, though other files have its id",
    ),
    "images without annotations": (
        lambda r: [write_image(r / f"affectnet/val_set/images/{i}.jpg", np.zeros((8, 8, 3))) for i in (1000, 999)],
        "val_set: there is no annotations/999_exp.npy, though other files have its id (one of 2 missing); get the full",
    ),
    "two images": (
        lambda r: write_image(r / "affectnet" / "train_set" / "images" / f"{first_id(r)}.png", np.zeros((8, 8, 3))),
        "images: two images of id {first}: {first}.jpg and {first}.png; remove one",
    ),
    "no images": (
        lambda r: [path.unlink() for path in (r / "affectnet" / "val_set" / "images").iterdir()],
        "images: no images in it; expected files that end in .jpg",
    ),
    "no folder of images": (
        lambda r: shutil.rmtree(r / "affectnet" / "train_set" / "images"),
        "train_set: no folder images in it; expected images/ID.jpg and annotations/ID_exp.npy",
    ),
    "no folder of annotations": (
        lambda r: shutil.rmtree(r / "affectnet" / "val_set" / "annotations"),
        "val_set: no folder annotations in it",
    ),
    "a file for a folder": (
        lambda r: (shutil.rmtree(r / "affectnet/val_set/images"), (r / "affectnet/val_set/images").touch()),
        "images: cannot be read (Not a directory)",
    ),
    "no val_set": (lambda r: shutil.rmtree(r / "affectnet" / "val_set"), "affectnet: no val_set beside train_set"),
    "no train_set": (lambda r: shutil.rmtree(r / "affectnet" / "train_set"), "affectnet: no train_set beside val_set"),
}


def first_id(root):
    return annotation(root, "lnd").name.split("_")[0]


def one_line_error(root, load, kind=DataError):
    with pytest.raises(kind) as caught:
        load(root)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def both_tasks_say(root):
    message = one_line_error(root, affectnet.load)
    assert one_line_error(root, affectnet_va.load) == message
    return message


@pytest.mark.parametrize("case", DAMAGED_2017)
def test_damaged_2017(tmp_path, case):
    damage, expected = DAMAGED_2017[case]
    write_affectnet_2017(tmp_path)
    affectnet.load(tmp_path)
    damage(tmp_path)
    message = both_tasks_say(tmp_path)
    assert expected in message
    assert str(tmp_path / "affectnet") in message


@pytest.mark.parametrize("case", DAMAGED_2021)
def test_damaged_2021(tmp_path, case):
    damage, expected = DAMAGED_2021[case]
    write_affectnet_2021(tmp_path)
    affectnet.load(tmp_path)
    expected = expected.format(first=first_id(tmp_path))
    damage(tmp_path)
    message = both_tasks_say(tmp_path)
    assert expected in message
    assert str(tmp_path / "affectnet") in message


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (1, "NULL", "no face box (NULL)"),
        (2, "", "no face box (NULL)"),
        (3, "12.5", "no face box (NULL)"),
        (4, "9" * 30, "no face box (NULL)"),
        (3, "0", "empty face box"),
        (4, "-3", "empty face box"),
    ],
)
def test_unusable_boxes_are_counted(tmp_path, column, value, reason):
    write_affectnet_2017(tmp_path)
    before = affectnet_va.load(tmp_path)
    set_cell(column, value)(tmp_path)
    photo_of(tmp_path).unlink()
    after = affectnet_va.load(tmp_path)
    assert after.train.dropped[reason] == before.train.dropped[reason] + 1
    assert len(after.train.images) == len(before.train.images) - 1


def test_a_box_outside_of_the_photo(tmp_path):
    write_affectnet_2017(tmp_path)
    set_cell(1, "500")(tmp_path)
    name = photo_of(tmp_path).relative_to(tmp_path / IMAGES).as_posix()
    source = affectnet.load(tmp_path).train.images
    with pytest.raises(DataError, match=r"\.png: the face box \(x 500, .*lies outside"):
        source.read(source.images.names.index(name))


@pytest.mark.parametrize("write", [write_affectnet_2017, write_affectnet_2021])
def test_an_unreadable_image_names_its_file(tmp_path, write):
    write(tmp_path)
    path = sorted(path for path in (tmp_path / "affectnet").rglob("*") if path.suffix.lower() in (".jpg", ".png"))[0]
    path.write_bytes(path.read_bytes()[:200])
    data = affectnet_va.load(tmp_path)
    with pytest.raises(DataError) as caught:
        [source.read(i) for source in (data.train.images, data.test.images) for i in range(len(source))]
    assert f"{path}: not a whole image (200 bytes); get the file again" in str(caught.value)


def test_nothing_there(tmp_path):
    for load, layout in ((affectnet.load, affectnet.LAYOUT), (affectnet_va.load, affectnet_va.LAYOUT)):
        message = one_line_error(tmp_path / "absent", load, MissingDataError)
        assert f"there is no folder {tmp_path / 'absent'}; expected {layout}" in message
        assert layout.startswith("ROOT/")
    message = one_line_error(tmp_path, affectnet.load, MissingDataError)
    assert message.startswith("task 'affectnet': no train_set (2021) and no training.csv (2017) under")
    (tmp_path / "AffectNet" / "Manually_Annotated_Images").mkdir(parents=True)
    message = one_line_error(tmp_path, affectnet_va.load, MissingDataError)
    assert message.startswith("task 'affectnet-va': ")
    assert "found AffectNet, AffectNet/Manually_Annotated_Images" in message
