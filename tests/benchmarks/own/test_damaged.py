"""Folders and csv files of a user's own, with mistakes in them: each is one line that says what, and where."""

import os
import shutil

import pytest

from benchmarks.own import csv_file as own_csv
from benchmarks.own import folder as own_folder
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.own_files import save, write_own_csv, write_own_folder


def one_line_error(load, path):
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


# --- folders ---------------------------------------------------------------------------------------------------------


def remove(name):
    return lambda folder: shutil.rmtree(folder / name)


def rename(name, new):
    return lambda folder: (folder / name).rename(folder / new)


def make(*names):
    return lambda folder: save(folder, names)


def make_empty(name):
    return lambda folder: (folder / name).mkdir(parents=True)


def several(*changes):
    def change(folder):
        for one in changes:
            one(folder)

    return change


DAMAGED_SPLITS = {
    "no test": (remove("test"), "DIR: no folder test; expected DIR/{train"),
    "no train": (remove("train"), "DIR: no folder train; expected"),
    "only validation": (several(remove("train"), remove("test")), "DIR: no folder train nor test"),
    "test misspelled": (
        rename("test", "tets"),
        "DIR: unknown folder 'tets' beside those of splits; expected train, validation, test; move it away",
    ),
    "a class beside the splits": (make("happy/a.png"), "DIR: unknown folder 'happy' beside those of splits"),
    "validation twice": (make("validation/happy/a.png"), "DIR: val and validation both are validation; merge them"),
    "a class of test that train lacks": (
        make("test/angry/a.png"),
        "DIR/test: unknown class folder 'angry': (known: ",
    ),
    "a class of test misspelled": (
        rename("test/happy", "test/hapy"),
        "DIR/test: unknown class folder 'hapy': did you mean 'happy'?",
    ),
    "a class of validation misspelled": (
        rename("val/sad", "val/sda"),
        "DIR/val: unknown class folder 'sda': did you mean 'sad'",
    ),
    "a class of train misspelled": (
        rename("train/sad", "train/saad"),
        "DIR/test: unknown class folder 'sad': did you mean 'saad'",
    ),
    "an empty class": (several(remove("test/sad"), make_empty("test/sad")), "DIR/test/sad: no images in it"),
    "an empty test": (several(remove("test"), make_empty("test")), "DIR/test: no class folders in it; expected some"),
    "an empty train": (several(remove("train"), make_empty("train")), "DIR/train: expected folders of at least two"),
    "one class": (
        several(remove("train/sad"), remove("train/Neutral")),
        "DIR/train: expected folders of at least two classes but found happy; expected DIR/{",
    ),
    "two names of one class alone": (
        several(remove("train/sad"), rename("train/Neutral", "train/joy")),
        "DIR/train: expected folders of at least two classes but found happy, joy",
    ),
    "classes that differ in case": (
        several(rename("train/sad", "train/Bored"), rename("train/Neutral", "train/bored")),
        "DIR/train: the classes 'Bored' and 'bored' differ in case only; write them alike",
    ),
    "a circle of links": (
        lambda folder: (folder / "train" / "sad" / "again").symlink_to(folder / "train"),
        "DIR/train/sad/again: a link to a folder that it lies in",
    ),
}
DAMAGED_CLASSES = {
    "one class": (several(remove("sad"), remove("Neutral")), "DIR: expected folders of at least two classes but found"),
    "no classes": (
        several(remove("sad"), remove("Neutral"), remove("happy"), make("a.png")),
        "DIR: expected folders of at least two classes but found none",
    ),
    "an empty class": (make_empty("fear"), "DIR/fear: no images in it; expected files that end in .jpg"),
    "no images by their names": (
        lambda folder: (
            [(folder / "sad" / f"sad_{n}.png") for n in range(3)]
            and [file.rename(file.with_suffix(".heic")) for file in sorted((folder / "sad").iterdir())]
        ),
        "DIR/sad: no images in it; expected files that end in .jpg",
    ),
    "sessions of classes": (
        several(*(make(f"day{n}/{name}/a.png") for n in (1, 2) for name in ("happy", "sad")), remove("happy")),
        "DIR/day1 holds folders of classes in turn (happy, sad), but is the folder of a class itself",
    ),
    "a data set within": (
        several(*(remove(name) for name in ("happy", "sad", "Neutral")), make("faces/train/happy/a.png")),
        "DIR: expected folders of at least two classes but found faces",
    ),
    "one image per class": (
        lambda folder: [file.unlink() for file in folder.rglob("*.png") if not file.stem.endswith("_0")],
        "DIR: too few images to hold out some for test; expected three or more of a class",
    ),
    "two images per class": (
        lambda folder: [file.unlink() for file in folder.rglob("*.png") if file.stem.endswith("_0")],
        "DIR: too few images to hold out some for validation; expected three or more of a class",
    ),
}


@pytest.mark.parametrize(
    ("splits", "case"),
    [(("train", "val", "test"), case) for case in DAMAGED_SPLITS] + [((), case) for case in DAMAGED_CLASSES],
)
def test_damaged_folder(tmp_path, splits, case):
    damage, expected = (DAMAGED_SPLITS if splits else DAMAGED_CLASSES)[case]
    write_own_folder(tmp_path, splits=splits)
    folder = tmp_path / "mine"
    own_folder.load(folder)
    damage(folder)
    assert expected.replace("DIR", str(folder), 1) in one_line_error(own_folder.load, folder)


def test_a_csv_that_is_refused_is_closed(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("image,label,split\na.png,glad\nb.png,sad,train\n")
    with pytest.raises(DataError, match="expected 3 cells but found 2") as caught:
        own_csv.load(path)
    held = [frame.frame.f_locals.get("lines") for frame in caught.traceback]
    assert all(lines.gi_frame is None for lines in held if lines is not None)
    assert any(lines is not None for lines in held), "or nothing is shown"


def test_no_folder(tmp_path):
    with pytest.raises(MissingDataError, match=r"there is no folder .*/mine; expected DIR/\{train"):
        own_folder.load(tmp_path / "mine")
    (tmp_path / "mine.csv").touch()
    message = one_line_error(own_folder.load, tmp_path / "mine.csv")
    assert message == f"{tmp_path}/mine.csv is no folder; a csv file is given as csv:{tmp_path}/mine.csv"


@pytest.mark.parametrize("name", ["my,faces", "my:faces", "my\tfaces"])
def test_a_folder_whose_name_cannot_name_a_task(tmp_path, name):
    write_own_folder(tmp_path, name=name)
    message = one_line_error(own_folder.load, tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ")
    assert repr(name) in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    write_own_folder(tmp_path)
    folder = tmp_path / "mine" / "test" / "sad"
    folder.chmod(0)
    try:
        assert f"{folder}: cannot be read (Permission denied)" in one_line_error(own_folder.load, tmp_path / "mine")
    finally:
        folder.chmod(0o755)


# --- csv files -------------------------------------------------------------------------------------------------------

GOOD = (
    "file,label,split,group,subject,x,y,width,height",
    "a.png,happy,train,1,ann,0,0,8,8",
    "b.png,sad,train,2,bob,0,0,8,8",
    "c.png,happy,validation,3,eve,0,0,8,8",
    "d.png,sad,test,4,joe,0,0,8,8",
    "e.png,happy,test,5,kim,0,0,8,8",
)
VOTES = ("file,votes:happy,votes:sad,split", "a.png,1,2,train", "b.png,3,0,val", "c.png,0,1,test")
VALUES = ("file,value:arousal,value:valence,split", "a.png,1,-1,train", "b.png,0.5,0,val", "c.png,0,1,test")
HAS = ("file,has:fear,has:happy,split", "a.png,1,1,train", "b.png,0,0,val", "c.png,0,1,test")
PLAIN = ("file,label", *(f"{name}.png,{label}" for name, label in zip("abcdef", ["x", "y"] * 3, strict=True)))


def lines(*changes, of=GOOD):
    """Lines with some put in place of others: (number from 1, text)."""
    text = list(of)
    for number, line in changes:
        text[number - 1 : number] = [line]
    return "\n".join(text) + "\n"


def without(*columns, of=GOOD):
    """Lines without some columns."""
    head = of[0].split(",")
    keep = [index for index, name in enumerate(head) if name not in columns]
    return [",".join(line.split(",")[index] for index in keep) for line in of]


BARE = tuple(without("group", "subject", "x", "y", "width", "height"))
DAMAGED_CSV = {
    # the file
    "empty": ("", "CSV: the file is empty"),
    "header alone": (GOOD[0], "CSV: no rows under the header"),
    "an empty first line": ("\n" + lines(), "CSV, line 1: empty; expected the names of the columns"),
    "semicolons": (lines(of=BARE).replace(",", ";"), "line 1: the columns are separated by semicolons"),
    "tabs": (lines(of=BARE).replace(",", "\t"), "CSV, line 1: the columns are separated by tabs"),
    "utf-16": (lines().encode("utf-16"), "CSV, line 1: not UTF-8 text; save the file as a UTF-8 csv"),
    "utf-16 without a mark": (lines().encode("utf-16-le"), "CSV, line 1: not text; save the file as a UTF-8 csv"),
    "latin-1": (lines((3, BARE[2].replace("b", "é"))).encode("latin-1"), "CSV, line 3: not UTF-8 text"),
    "binary": (b"\x00" * 100_000, "CSV, line 1: longer than 65536 bytes; is this the csv file?"),
    "an open quote": (lines((3, '"b.png,sad,train'), of=BARE), "CSV, line 6: not csv (unexpected end of data)"),
    "text after a quote": (lines((3, '"b.png"x,sad,train'), of=BARE), "CSV, line 3: not csv ("),
    "a cell too few": (
        lines((4, "c.png,happy"), of=BARE),
        "CSV, line 4: expected 3 cells but found 2",
    ),
    "a cell too many": (lines((4, "c, d.png,happy,val"), of=BARE), "CSV, line 4: expected 3 cells but found 4"),
    "lines count on through quotes": (
        lines((2, '"a.png",happy,train,"1\n\n",ann,0,0,8,8'), (3, "b.png,sad")),
        "CSV, line 5: expected 9 cells but found 2",
    ),
    # columns
    "split misspelled": (
        lines((1, "file,label,splt"), of=BARE),
        "CSV, line 1: unknown column 'splt' (did you mean 'split'?); known: file, split, subject, group, x, y,",
    ),
    "a column in capitals": (lines((1, "File,label,split"), of=BARE), "unknown column 'File' (did you mean 'file'?)"),
    "two unknown columns": (
        lines((1, "file,emotion,splits"), of=BARE),
        "unknown column 'emotion', column 'splits' (did you mean 'split'?); known",
    ),
    "votes misspelled": (
        lines((1, "file,vote:happy,votes:sad,split"), of=VOTES),
        "unknown column 'vote:happy' (did you mean 'votes:happy'?)",
    ),
    "an index of pandas": (
        lines((1, ",label,split"), of=BARE),
        "CSV, line 1: column 1 has no name; name it",
    ),
    "a column twice": (lines((1, "file,label,label"), of=BARE), "CSV, line 1: the column 'label' stands twice"),
    "no file": (lines((1, "subject,label,split"), of=BARE), "CSV, line 1: no column file; expected a csv"),
    "half a box": (
        "\n".join(without("width", "y")),
        "CSV, line 1: no column y nor width; a face box needs x",
    ),
    "no targets": (
        "\n".join(without("label")),
        "CSV, line 1: expected targets in one form, a column label (classes), columns votes:NAME (votes per class), "
        "columns value:NAME (dimensions in [-1, 1]) or columns has:NAME (labels, 0 or 1); found none",
    ),
    "two forms": (
        lines((1, "file,label,value:x,split"), of=VOTES),
        "CSV, line 1: expected targets in one form, a column label (classes), columns votes:NAME",
    ),
    "three forms": (lines((1, "file,label,value:x,has:y"), of=VOTES), "found label, value: and has:"),
    "votes of nothing": (
        lines((1, "file,votes:,votes:b,split"), of=VOTES),
        "the column 'votes:' names nothing",
    ),
    "votes of one class twice": (
        lines((1, "file,votes:happy,votes:Joy,split"), of=VOTES),
        "CSV, line 1: the columns votes:happy and votes:Joy are both happiness; remove one",
    ),
    "votes of one class alone": ("\n".join(without("votes:sad", of=VOTES[:3])), "expected at least 2 labels but got 1"),
    # targets
    "no label": (lines((3, "b.png, ,train"), of=BARE), "CSV, line 3: no label; fill the cell in, or remove the row"),
    "one class": (lines(of=BARE).replace("sad", "happy"), "CSV: task 'mine': expected at least 2 labels but got 1"),
    "classes that differ in case": (
        lines((3, "b.png,Bored,train"), (5, "d.png,bored,test"), of=BARE),
        "CSV: the classes 'Bored' and 'bored' differ in case only; write them alike",
    ),
    "a class of test that train lacks": (
        lines((5, "d.png,angry,test"), of=BARE),
        "CSV, line 5: class 'angry' in test, but no row of train has it",
    ),
    "a class of validation that train lacks": (
        lines((4, "c.png,bored,val"), of=BARE),
        "CSV, line 4: class 'bored' in validation, but no row of train has it",
    ),
    "votes below 0": (
        lines((3, "b.png,3,-1,val"), of=VOTES),
        "CSV, line 3: votes:sad is '-1'; expected a",
    ),
    "votes in words": (
        lines((3, "b.png,many,1,val"), of=VOTES),
        "CSV, line 3: votes:happy is 'many'; expected a",
    ),
    "endless votes": (lines((3, "b.png,inf,1,val"), of=VOTES), "line 3: votes:happy is 'inf'; expected a number"),
    "empty votes": (lines((3, "b.png,,1,val"), of=VOTES), "CSV, line 3: no votes:happy; fill the cell in"),
    "no votes": (lines((4, "c.png,0,0.0,test"), of=VOTES), "CSV, line 4: no votes in any column; remove the row"),
    "a value beyond 1": (lines((2, "a.png,1,-1.01,train"), of=VALUES), "CSV, line 2: value:valence is '-1.01'"),
    "no number": (lines((2, "a.png,nan,0,train"), of=VALUES), "CSV, line 2: value:arousal is 'nan'; expected a"),
    "a decimal comma": (
        lines((2, 'a.png,"0,5",0,train'), of=VALUES),
        "line 2: value:arousal is '0,5'; expected",
    ),
    "a number as in Python": (lines((2, "a.png,0,0_1,train"), of=VALUES), "line 2: value:valence is '0_1'; expected a"),
    "half a label": (lines((3, "b.png,0.5,0,val"), of=HAS), "CSV, line 3: has:fear is '0.5'; expected 0 or 1"),
    "a label in words": (lines((3, "b.png,yes,0,val"), of=HAS), "CSV, line 3: has:fear is 'yes'; expected a number"),
    # images
    "an image lacks": (lines((3, "bb.png,sad,train"), of=BARE), "CSV, line 3: there is no file 'FOLDER/bb.png'"),
    "images lack": (
        lines((3, "bb.png,sad,train"), (5, "dd.png,sad,test"), of=BARE),
        "CSV, line 3: there is no file 'FOLDER/bb.png' (2 files of the rows are not there)",
    ),
    "a folder for an image": (lines((3, "empty,sad,train"), of=BARE), "line 3: there is no file 'FOLDER/empty'"),
    "a name that no file has": (
        lines((3, "b" * 5000 + ",sad,train"), of=BARE),
        "CSV, line 3: there is no",
    ),
    "no image": (lines((3, ",sad,train"), of=BARE), "CSV, line 3: no file; fill the cell in"),
    "an image twice": (
        lines((5, "./a.png,sad,test"), of=BARE),
        "CSV, line 5: 'a.png' stands in line 2 already; remove one of the two rows",
    ),
    "an image twice by two paths": (
        lines((5, "../FOLDERNAME/empty/../a.png,happy,test"), of=BARE),
        "stands in line 2 already",
    ),
    "a box twice": (
        lines((5, "a.png,happy,test,4,joe,0,0,8,8")),
        "CSV, line 5: 'a.png' stands in line 2 already; remove one of the two rows",
    ),
    "an incomplete box": (lines((3, "b.png,sad,train,2,bob,0,0,8,")), "CSV, line 3: no height; fill the cell in"),
    "an empty box": (
        lines((3, "b.png,sad,train,2,bob,0,0,0,8")),
        "CSV, line 3: the face box (x 0, y 0, width 0, height 8) holds no pixel of the image; correct it",
    ),
    "a box left of the image": (lines((3, "b.png,sad,train,2,bob,-9,0,8,8")), "CSV, line 3: the face box (x -9, y 0,"),
    "a box in words": (lines((3, "b.png,sad,train,2,bob,left,0,8,8")), "CSV, line 3: x is 'left'; expected a number"),
    "a huge box": (lines((3, "b.png,sad,train,2,bob,0,0,1e9,8")), "line 3: a face box of more than 1,000,000 pixels"),
    # splits, subjects, groups
    "an unknown split": (
        lines((3, "b.png,sad,trian"), of=BARE),
        "CSV, line 3: unknown split 'trian': did you mean 'train'? (known: train, validation, test)",
    ),
    "no split": (lines((3, "b.png,sad,"), of=BARE), "CSV, line 3: no split; fill the cell in"),
    "no test": (lines(of=BARE).replace(",test", ",train"), "CSV: no row is in split test; add some, or leave"),
    "no train": (lines(of=BARE).replace(",train", ",test"), "CSV: no row is in split train; add some"),
    "no subject": (lines((3, "b.png,sad,train,2,,0,0,8,8")), "CSV, line 3: no subject; fill the cell in"),
    "no group": (lines((3, "b.png,sad,train,,bob,0,0,8,8")), "CSV, line 3: no group; fill the cell in"),
    "a group with two targets": (
        lines((3, "b.png,sad,train,1,ann,0,0,8,8")),
        "CSV, line 3: the rows of a group are judged as one, but this row's target is not that of line 2, of the same "
        "group '1'",
    ),
    "a group in two splits": (
        lines((4, "c.png,happy,test,1,ann,0,0,8,8")),
        "line 4: the rows of a group",
    ),
    "a group with two subjects": (
        lines((3, "b.png,happy,train,1,bob,0,0,8,8")),
        "this row's subject is not that",
    ),
    "one subject": (
        "file,label,subject\na.png,x,ann\nb.png,y,ann\nc.png,x,ann\n",
        "CSV: too few subjects to carve test from (1); add some, or give the splits in a column split",
    ),
    "two subjects": (
        "file,label,subject\na.png,x,ann\nb.png,y,bob\nc.png,x,ann\n",
        "CSV: too few subjects to carve validation from (1)",
    ),
    "one image per class": ("\n".join(PLAIN[:3]), "CSV: too few files to carve test from (2); add some"),
    "a class of one subject": (
        "file,label,subject\n" + "".join(f"{n}.png,{'xyzuvw'[i]},{n}\n" for i, n in enumerate("abcdef")),
        "but no row of train has it; add some, or give other splits in a column split",
    ),
}


@pytest.mark.parametrize("case", DAMAGED_CSV)
def test_damaged_csv(tmp_path, case):
    content, expected = DAMAGED_CSV[case]
    save(tmp_path, [f"{name}.png" for name in "abcdef"])
    (tmp_path / "empty").mkdir()
    path = tmp_path / "mine.csv"
    if isinstance(content, str):
        content = content.replace("FOLDERNAME", tmp_path.name).encode()
    path.write_bytes(content)
    message = one_line_error(own_csv.load, path)
    assert expected.replace("CSV", str(path)).replace("FOLDER", str(tmp_path)) in message
    assert str(path) in message


@pytest.mark.parametrize("good", [GOOD, BARE, VOTES, VALUES, HAS, PLAIN], ids=lambda good: good[0])
def test_the_undamaged_files_load(tmp_path, good):
    save(tmp_path, [f"{name}.png" for name in "abcdef"])
    (tmp_path / "mine.csv").write_text("\n".join(good))
    own_csv.load(tmp_path / "mine.csv")


def test_no_csv(tmp_path):
    with pytest.raises(
        MissingDataError, match=r"there is no file .*/mine\.csv; expected a csv file with a column file"
    ):
        own_csv.load(tmp_path / "mine.csv")
    message = one_line_error(own_csv.load, tmp_path)
    assert message == f"{tmp_path} is a folder; a folder of images is given as folder:{tmp_path}"


@pytest.mark.parametrize("name", ["my,faces", "my:faces"])
def test_a_file_whose_name_cannot_name_a_task(tmp_path, name):
    path = write_own_csv(tmp_path, {"file": ["a.png", "b.png"], "label": ["happy", "sad"]}, name=name)
    assert f"{path}: {name!r} cannot name a task" in one_line_error(own_csv.load, path)


def test_a_box_outside_of_its_image(tmp_path):
    save(tmp_path, ["a.png", "b.png", "c.png", "d.png", "e.png"])
    (tmp_path / "mine.csv").write_text(lines((3, "b.png,sad,train,2,bob,64,0,8,8")))
    data = own_csv.load(tmp_path / "mine.csv")
    with pytest.raises(DataError, match=r"b\.png: the face box \(x 64, y 0, width 8, height 8\) lies outside"):
        data.train.image(1)


def test_a_csv_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_own_csv(tmp_path, {"file": ["a.png"], "label": ["happy"]})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert one_line_error(own_csv.load, path) == f"{path}: cannot be read (Permission denied)"
