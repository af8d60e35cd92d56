"""EmoReact as it should not be: each fault is one line that says what is wrong, where, and what to do."""

import shutil

import pytest

from benchmarks.datasets import emoreact
from ciao_stream.exceptions import DataError, MissingDataError, UnknownNameError
from tests.helpers.emoreact_files import rewrite_lines, write_emoreact

NAMES = "Labels/Train_names.txt"
LABELS = "Labels/train_labels.text"
TRAIN = "Data/Train"


def set_line(file, number, text):
    """Replace line ``number``, from 1."""
    return lambda base: rewrite_lines(base / file, lambda lines: [*lines[: number - 1], text, *lines[number:]])


def set_cell(column, text, number=3):
    def change(base):
        def edit(lines):
            cells = lines[number - 1].split(",")
            cells[column] = text
            return [*lines[: number - 1], ",".join(cells), *lines[number:]]

        rewrite_lines(base / LABELS, edit)

    return change


def change_lines(file, change):
    return lambda base: rewrite_lines(base / file, change)


def write(file, content):
    return lambda base: (base / file).write_bytes(content)


def remove(file):
    return lambda base: (base / file).unlink()


def move_clip(base):
    (base / TRAIN / "it's alive_3_train.mp4").rename(base / "Data" / "Test" / "it's alive_3_train.mp4")


def latin_1(base):
    (base / NAMES).write_bytes((base / NAMES).read_text().encode("latin-1"))


def label_twice(base):
    rewrite_lines(base / NAMES, lambda lines: [*lines, lines[1]])
    rewrite_lines(base / LABELS, lambda lines: [*lines, lines[1]])


DAMAGED = {
    "label 2": (set_cell(0, "2"), f"{LABELS}, line 3: curiosity is '2'; expected 0 or 1"),
    "label -1": (set_cell(6, "-1"), f"{LABELS}, line 3: fear is '-1'; expected 0 or 1"),
    "label 0.5": (set_cell(7, "0.5", 1), f"{LABELS}, line 1: frustration is '0.5'; expected 0 or 1"),
    "no label": (set_cell(3, ""), f"{LABELS}, line 3: happiness is ''; expected 0 or 1"),
    "label as a word": (set_cell(4, "yes"), f"{LABELS}, line 3: surprise is 'yes'; expected 0 or 1"),
    "likert scale": (set_cell(5, "4"), f"{LABELS}, line 3: disgust is '4'; expected 0 or 1"),
    "another digit one": (set_cell(1, "１"), f"{LABELS}, line 3: uncertainty is '１'; expected 0 or 1"),
    "valence 0": (set_cell(8, "0"), f"{LABELS}, line 3: valence is '0'; expected a number from 1 to 7"),
    "valence 7.1": (set_cell(8, "7.1", 4), f"{LABELS}, line 4: valence is '7.1'; expected a number from 1 to 7"),
    "valence nan": (set_cell(8, "nan"), f"{LABELS}, line 3: valence is 'nan'; expected a number from 1 to 7"),
    "valence inf": (set_cell(8, "inf"), f"{LABELS}, line 3: valence is 'inf'; expected a number from 1 to 7"),
    "valence as a word": (set_cell(8, "high"), f"{LABELS}, line 3: valence is 'high'; expected a number"),
    "no valence": (set_cell(8, ""), f"{LABELS}, line 3: valence is ''; expected a number from 1 to 7"),
    "eight fields": (set_line(LABELS, 2, "0,1,0,1,0,1,0,1"), f"{LABELS}, line 2: expected 9 columns but found 8"),
    "ten fields": (set_line(LABELS, 2, "0,1,0,1,0,1,0,1,4,4"), f"{LABELS}, line 2: expected 9 columns but found 10"),
    "semicolons": (set_line(LABELS, 2, "0;1;0;1;0;1;0;1;4"), f"{LABELS}, line 2: expected 9 columns but found 1"),
    "cut in the last line": (
        lambda base: (base / LABELS).write_bytes((base / LABELS).read_bytes()[:-8]),
        f"{LABELS}, line 4: expected 9 columns but found 7; the file may be cut short",
    ),
    "a header": (
        change_lines(LABELS, lambda lines: ["Curiosity,Uncertainty,Excitement,H,S,D,F,F,Valence", *lines]),
        f"{LABELS}, line 1: curiosity is 'Curiosity'; expected 0 or 1",
    ),
    "a label line too few": (
        change_lines(LABELS, lambda lines: lines[:-1]),
        f"{NAMES} has 4 lines but ROOT/emoreact/{LABELS} has 3: line i of one belongs to line i of the other",
    ),
    "a name too few": (
        change_lines(NAMES, lambda lines: lines[1:]),
        f"{NAMES} has 3 lines but ROOT/emoreact/{LABELS} has 4: line i of one belongs to line i of the other",
    ),
    "the labels of another split": (
        lambda base: (
            rewrite_lines(base / LABELS, lambda lines: lines * 2),
            shutil.copy(base / LABELS, base / "Labels/val_labels.text"),
            rewrite_lines(base / LABELS, lambda lines: lines[:4]),
        ),
        "Labels/Val_names.txt has 4 lines but ROOT/emoreact/Labels/val_labels.text has 8",
    ),
    "a blank line among the names": (
        change_lines(NAMES, lambda lines: [*lines[:2], "", *lines[2:]]),
        f"{NAMES}, line 3: blank, but line i of the names belongs to line i of the labels",
    ),
    "a blank line among the labels": (
        change_lines(LABELS, lambda lines: ["", *lines]),
        f"{LABELS}, line 1: blank, but line i of the names belongs to line i of the labels",
    ),
    "a blank line in both": (
        lambda base: [
            rewrite_lines(base / NAMES, lambda lines: [*lines[:1], "", *lines[1:]]),
            rewrite_lines(base / LABELS, lambda lines: [*lines[:3], "", *lines[3:]]),
        ],
        f"{NAMES}, line 2: blank",
    ),
    "a name of no clip": (
        set_line(NAMES, 2, "'absent.mp4'"),
        f"{NAMES}, line 2: clip 'absent.mp4' is not in ROOT/emoreact/{TRAIN}; get all clips",
    ),
    "a clip removed": (
        remove(f"{TRAIN}/Crème_10_train.mp4"),
        f"{NAMES}, line 4: clip 'Crème_10_train.mp4' is not in ROOT/emoreact/{TRAIN}; get all clips",
    ),
    "a clip in another split": (
        move_clip,
        f'{NAMES}, line 1: clip "it\'s alive_3_train.mp4" is not in ROOT/emoreact/{TRAIN}; get all clips',
    ),
    "a path for a name": (
        set_line(NAMES, 2, "'../Train/Crème_10_train.mp4'"),
        f"{NAMES}, line 2: clip '../Train/Crème_10_train.mp4' is not in",
    ),
    "a folder for a clip": (
        lambda base: [(base / TRAIN / "absent.mp4").mkdir(), set_line(NAMES, 2, "'absent.mp4'")(base)],
        f"{NAMES}, line 2: clip 'absent.mp4' is not in",
    ),
    "a clip named twice": (
        label_twice,
        f"{NAMES}, line 5: clip 'ZOO, a fish!_1_train.mp4' stands in line 2 already; get the file again",
    ),
    "no quote at the end": (
        set_line(NAMES, 4, "'Crème_1"),
        f'{NAMES}, line 4: "\'Crème_1" is no name of a clip in single quotes; get the file again',
    ),
    "no quote at the beginning": (set_line(NAMES, 2, "ZOO.mp4'"), f'{NAMES}, line 2: "ZOO.mp4\'" is no name'),
    "an empty name": (set_line(NAMES, 2, "''"), f"{NAMES}, line 2: \"''\" is no name of a clip"),
    "one quote": (set_line(NAMES, 2, "'"), f'{NAMES}, line 2: "\'" is no name of a clip'),
    "a byte order mark alone": (write(NAMES, b"\xef\xbb\xbf"), f"{NAMES}, line 1: '' is no name of a clip"),
    "latin-1 names": (latin_1, f"{NAMES}, line 4: not UTF-8 text; save the file as UTF-8"),
    "utf-16 labels": (
        lambda base: (base / LABELS).write_text((base / LABELS).read_text(), encoding="utf-16"),
        f"{LABELS}, line 1: not UTF-8 text",
    ),
    "binary names": (write(NAMES, b"\x00\x00\x00 ftypisom" * 9000), f"{NAMES}, line 1: longer than 65536 bytes"),
    "empty names": (write(NAMES, b""), f"{NAMES}: the file is empty; get the file again"),
    "empty labels": (write(LABELS, b"\n\n  \n"), f"{LABELS}: the file is empty; get the file again"),
    "no names": (
        remove(NAMES),
        "emoreact: no train_names.text or train_names.txt, neither in Labels nor beside it; get the data set in full",
    ),
    "no labels": (
        remove("Labels/test_labels.text"),
        "emoreact: no test_labels.text or test_labels.txt, neither in Labels nor beside it",
    ),
    "labels are a folder": (
        lambda base: [(base / LABELS).unlink(), (base / LABELS).mkdir()],
        f"{LABELS}: cannot be read (Is a directory)",
    ),
    "no folder of a split": (
        lambda base: shutil.rmtree(base / "Data/Validation"),
        "Data: no folder Validation; expected Train, Validation, Test: get all clips",
    ),
    "a file for a split": (
        lambda base: [shutil.rmtree(base / TRAIN), (base / TRAIN).touch()],
        f"{TRAIN}: cannot be read (Not a directory)",
    ),
    "no clips": (
        lambda base: [path.unlink() for path in (base / "Data/Test").iterdir()],
        "Labels/Test_names.txt, line 1: clip",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    write_emoreact(root)
    emoreact.load(root)
    return root


def one_line_error(root):
    with pytest.raises(DataError) as caught:
        emoreact.load(root)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 900
    return caught.value


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(tmp_path, whole, case):
    damage, expected = DAMAGED[case]
    root = shutil.copytree(whole, tmp_path / "root")
    damage(root / "emoreact")
    error = one_line_error(root)
    assert not isinstance(error, MissingDataError)
    assert expected.replace("ROOT", str(root)) in str(error)
    assert str(root / "emoreact") in str(error)


def test_nothing_there(tmp_path):
    error = one_line_error(tmp_path / "absent")
    assert isinstance(error, MissingDataError)
    assert f"there is no folder {tmp_path / 'absent'}; expected {emoreact.LAYOUT}" in str(error)
    (tmp_path / "EmoReact" / "Labels").mkdir(parents=True)
    (tmp_path / "readme.txt").touch()
    error = one_line_error(tmp_path)
    assert isinstance(error, MissingDataError)
    assert "task 'emoreact': no folder Data with clips under" in str(error)
    assert "found EmoReact, readme.txt, EmoReact/Labels" in str(error)


@pytest.mark.parametrize("rule", ["0", "-1", "ten", "10.0", "as annotated", " 10", "1000000000", "１０"])
def test_unknown_rule(tmp_path, rule):
    with pytest.raises(UnknownNameError, match=r"unknown label rule .*known: 10, 1, 5, 20"):
        emoreact.load(tmp_path, rule)


def test_a_damaged_clip_is_named_when_it_is_read(tmp_path):
    write_emoreact(tmp_path)
    path = tmp_path / "emoreact" / TRAIN / "ZOO, a fish!_1_train.mp4"
    path.write_bytes(path.read_bytes()[:300])
    train = emoreact.load(tmp_path).train
    assert train.image(9).shape == train.image(20).shape == (64, 80, 3)
    for index in (10, 19):
        with pytest.raises(DataError) as caught:
            train.image(index)
        assert str(caught.value) == f"{path}: no video that can be decoded (300 bytes); get the file again"


def test_a_clip_that_vanishes_after_loading(tmp_path):
    write_emoreact(tmp_path)
    data = emoreact.load(tmp_path)
    path = tmp_path / "emoreact" / "Data" / "Test" / "it's alive_3_test.mp4"
    path.unlink()
    with pytest.raises(DataError) as caught:
        data.test.image(0)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory)"
