"""A user's own csv files, damaged: each fault is one line that says what is wrong, and where."""

import pytest

from benchmarks.own import csv_file as own_csv
from benchmarks.tasks import load_task
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.damaged import damaged_test, error_line, write
from tests.helpers.own_files import save, write_own_csv

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
    "a cell too few": (lines((4, "c.png,happy"), of=BARE), "CSV, line 4: expected 3 cells but found 2"),
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
    "an index of pandas": (lines((1, ",label,split"), of=BARE), "CSV, line 1: column 1 has no name; name it"),
    "a column twice": (lines((1, "file,label,label"), of=BARE), "CSV, line 1: the column 'label' is given twice"),
    "no file": (lines((1, "subject,label,split"), of=BARE), "CSV, line 1: no column file; expected a csv"),
    "half a box": ("\n".join(without("width", "y")), "CSV, line 1: no column y nor width; a face box needs x"),
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
    "votes of nothing": (lines((1, "file,votes:,votes:b,split"), of=VOTES), "the column 'votes:' has no name"),
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
        "CSV: the classes 'Bored' and 'bored' differ only in case; spell them the same",
    ),
    "a class of test that train lacks": (
        lines((5, "d.png,angry,test"), of=BARE),
        "CSV, line 5: class 'angry' in test, but no row of train has it",
    ),
    "a class of validation that train lacks": (
        lines((4, "c.png,bored,val"), of=BARE),
        "CSV, line 4: class 'bored' in validation, but no row of train has it",
    ),
    "votes below 0": (lines((3, "b.png,3,-1,val"), of=VOTES), "CSV, line 3: votes:sad is '-1'; expected a"),
    "votes in words": (lines((3, "b.png,many,1,val"), of=VOTES), "CSV, line 3: votes:happy is 'many'; expected a"),
    "endless votes": (lines((3, "b.png,inf,1,val"), of=VOTES), "line 3: votes:happy is 'inf'; expected a number"),
    "empty votes": (lines((3, "b.png,,1,val"), of=VOTES), "CSV, line 3: no votes:happy; fill the cell in"),
    "no votes": (lines((4, "c.png,0,0.0,test"), of=VOTES), "CSV, line 4: no votes in any column; remove the row"),
    "a value beyond 1": (lines((2, "a.png,1,-1.01,train"), of=VALUES), "CSV, line 2: value:valence is '-1.01'"),
    "no number": (lines((2, "a.png,nan,0,train"), of=VALUES), "CSV, line 2: value:arousal is 'nan'; expected a"),
    "a decimal comma": (lines((2, 'a.png,"0,5",0,train'), of=VALUES), "line 2: value:arousal is '0,5'; expected"),
    "a number as in Python": (lines((2, "a.png,0,0_1,train"), of=VALUES), "line 2: value:valence is '0_1'; expected a"),
    "half a label": (lines((3, "b.png,0.5,0,val"), of=HAS), "CSV, line 3: has:fear is '0.5'; expected 0 or 1"),
    "a label in words": (lines((3, "b.png,yes,0,val"), of=HAS), "CSV, line 3: has:fear is 'yes'; expected a number"),
    # images
    "an image lacks": (lines((3, "bb.png,sad,train"), of=BARE), "CSV, line 3: there is no file 'TMP/folder/bb.png'"),
    "images lack": (
        lines((3, "bb.png,sad,train"), (5, "dd.png,sad,test"), of=BARE),
        "CSV, line 3: there is no file 'TMP/folder/bb.png' (2 of the files are missing)",
    ),
    "a folder for an image": (lines((3, "empty,sad,train"), of=BARE), "line 3: there is no file 'TMP/folder/empty'"),
    "a name that no file has": (lines((3, "b" * 5000 + ",sad,train"), of=BARE), "CSV, line 3: there is no"),
    "no image": (lines((3, ",sad,train"), of=BARE), "CSV, line 3: no file; fill the cell in"),
    "an image twice": (
        lines((5, "./a.png,sad,test"), of=BARE),
        "CSV, line 5: 'a.png' is already in line 2; remove one of the two rows",
    ),
    "an image twice by two paths": (lines((5, "../folder/empty/../a.png,happy,test"), of=BARE), "is already in line 2"),
    "a box twice": (
        lines((5, "a.png,happy,test,4,joe,0,0,8,8")),
        "CSV, line 5: 'a.png' is already in line 2; remove one of the two rows",
    ),
    "an incomplete box": (lines((3, "b.png,sad,train,2,bob,0,0,8,")), "CSV, line 3: no height; fill the cell in"),
    "an empty box": (
        lines((3, "b.png,sad,train,2,bob,0,0,0,8")),
        "CSV, line 3: the face box (x 0, y 0, width 0, height 8) contains no pixel of the image; correct it",
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
    "no test": (
        lines(of=BARE).replace(",test", ",train"),
        "CSV: no row is in split test; add some, or remove the column split",
    ),
    "no train": (lines(of=BARE).replace(",train", ",test"), "CSV: no row is in split train; add some"),
    "no subject": (lines((3, "b.png,sad,train,2,,0,0,8,8")), "CSV, line 3: no subject; fill the cell in"),
    "no group": (lines((3, "b.png,sad,train,,bob,0,0,8,8")), "CSV, line 3: no group; fill the cell in"),
    "a group with two targets": (
        lines((3, "b.png,sad,train,1,ann,0,0,8,8")),
        "CSV, line 3: the rows of a group are evaluated as one, but this row's target differs from line 2 in the "
        "same group '1'",
    ),
    "a group in two splits": (lines((4, "c.png,happy,test,1,ann,0,0,8,8")), "line 4: the rows of a group"),
    "a group with two subjects": (
        lines((3, "b.png,happy,train,1,bob,0,0,8,8")),
        "this row's subject differs from line 2",
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


def write_images(root):
    save(root / "folder", [f"{name}.png" for name in "abcdef"])
    (root / "folder" / "empty").mkdir()
    (root / "folder" / "mine.csv").write_text("\n".join(GOOD))


def load_csv(root):
    return own_csv.load(root / "folder" / "mine.csv")


def content(text):
    return write("folder/mine.csv", text if isinstance(text, bytes) else text.encode())


test_damaged_csv = damaged_test(
    write_images,
    [load_csv],
    {name: (content(text), line.replace("CSV", "TMP/folder/mine.csv")) for name, (text, line) in DAMAGED_CSV.items()},
    "folder/mine.csv",
    longest=700,
)


@pytest.mark.parametrize("good", [GOOD, BARE, VOTES, VALUES, HAS, PLAIN], ids=lambda good: good[0])
def test_the_undamaged_files_load(tmp_path, good):
    save(tmp_path, [f"{name}.png" for name in "abcdef"])
    (tmp_path / "mine.csv").write_text("\n".join(good))
    own_csv.load(tmp_path / "mine.csv")


def test_no_csv(tmp_path):
    with pytest.raises(
        MissingDataError, match=r"there is no file .*/mine\.csv; expected a csv file with a column file"
    ):
        load_task(f"csv:{tmp_path / 'mine.csv'}")
    message = error_line(load_task, f"csv:{tmp_path}")
    assert message == f"{tmp_path} is a folder; for a folder of images use folder:{tmp_path}"


@pytest.mark.parametrize("name", ["my,faces", "my:faces"])
def test_a_file_whose_name_cannot_name_a_task(tmp_path, name):
    path = write_own_csv(tmp_path, {"file": ["a.png", "b.png"], "label": ["happy", "sad"]}, name=name)
    assert f"{path}: {name!r} cannot be the name of a task" in error_line(own_csv.load, path)


def test_a_box_outside_of_its_image(tmp_path):
    save(tmp_path, ["a.png", "b.png", "c.png", "d.png", "e.png"])
    (tmp_path / "mine.csv").write_text(lines((3, "b.png,sad,train,2,bob,64,0,8,8")))
    data = own_csv.load(tmp_path / "mine.csv")
    with pytest.raises(DataError, match=r"b\.png: the face box \(x 64, y 0, width 8, height 8\) is outside"):
        data.train.image(1)


def test_a_csv_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_own_csv(tmp_path, {"file": ["a.png"], "label": ["happy"]})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert error_line(own_csv.load, path) == f"{path}: cannot be read (Permission denied)"


def test_a_csv_that_is_refused_is_closed(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("image,label,split\na.png,glad\nb.png,sad,train\n")
    with pytest.raises(DataError, match="expected 3 cells but found 2") as caught:
        own_csv.load(path)
    held = [frame.frame.f_locals.get("lines") for frame in caught.traceback]
    assert all(lines.gi_frame is None for lines in held if lines is not None)
    assert any(lines is not None for lines in held), "or nothing is shown"
