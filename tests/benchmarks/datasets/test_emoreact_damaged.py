"""EmoReact, damaged: each fault is one line that says what is wrong, where, and what to do."""

from functools import partial

import pytest

from benchmarks.datasets import emoreact
from ciao_stream.exceptions import DataError, MissingDataError, UnknownNameError
from tests.helpers.damaged import (
    change,
    change_lines,
    copy,
    damaged_test,
    empty,
    encode,
    error_line,
    move,
    remove,
    set_cell,
    set_line,
    several,
    write,
)
from tests.helpers.emoreact_files import write_emoreact

NAMES = "emoreact/Labels/Train_names.txt"
LABELS = "emoreact/Labels/train_labels.text"
TRAIN = "emoreact/Data/Train"


def cell(column, text, number=3):
    return set_cell(LABELS, number, column, text)


def repeat_line(file, number):
    return change_lines(file, lambda lines: [*lines, lines[number - 1]])


def insert_blank(file, number):
    return change_lines(file, lambda lines: [*lines[: number - 1], "", *lines[number - 1 :]])


DAMAGED = {
    "label 2": (cell(0, "2"), f"{LABELS}, line 3: curiosity is '2'; expected 0 or 1"),
    "label -1": (cell(6, "-1"), f"{LABELS}, line 3: fear is '-1'; expected 0 or 1"),
    "label 0.5": (cell(7, "0.5", 1), f"{LABELS}, line 1: frustration is '0.5'; expected 0 or 1"),
    "no label": (cell(3, ""), f"{LABELS}, line 3: happiness is ''; expected 0 or 1"),
    "label as a word": (cell(4, "yes"), f"{LABELS}, line 3: surprise is 'yes'; expected 0 or 1"),
    "likert scale": (cell(5, "4"), f"{LABELS}, line 3: disgust is '4'; expected 0 or 1"),
    "another digit one": (cell(1, "１"), f"{LABELS}, line 3: uncertainty is '１'; expected 0 or 1"),
    "valence 0": (cell(8, "0"), f"{LABELS}, line 3: valence is '0'; expected a number from 1 to 7"),
    "valence 7.1": (cell(8, "7.1", 4), f"{LABELS}, line 4: valence is '7.1'; expected a number from 1 to 7"),
    "valence nan": (cell(8, "nan"), f"{LABELS}, line 3: valence is 'nan'; expected a number from 1 to 7"),
    "valence inf": (cell(8, "inf"), f"{LABELS}, line 3: valence is 'inf'; expected a number from 1 to 7"),
    "valence as a word": (cell(8, "high"), f"{LABELS}, line 3: valence is 'high'; expected a number"),
    "no valence": (cell(8, ""), f"{LABELS}, line 3: valence is ''; expected a number from 1 to 7"),
    "eight fields": (set_line(LABELS, 2, "0,1,0,1,0,1,0,1"), f"{LABELS}, line 2: expected 9 columns but found 8"),
    "ten fields": (set_line(LABELS, 2, "0,1,0,1,0,1,0,1,4,4"), f"{LABELS}, line 2: expected 9 columns but found 10"),
    "semicolons": (set_line(LABELS, 2, "0;1;0;1;0;1;0;1;4"), f"{LABELS}, line 2: expected 9 columns but found 1"),
    "cut in the last line": (change(LABELS, lambda old: old[:-8]),
        f"{LABELS}, line 4: expected 9 columns but found 7; the file may be cut short"),
    "a header": (change_lines(LABELS, lambda lines: ["Curiosity,Uncertainty,Excitement,H,S,D,F,F,Valence", *lines]),
        f"{LABELS}, line 1: curiosity is 'Curiosity'; expected 0 or 1"),
    "a label line too few": (change_lines(LABELS, lambda lines: lines[:-1]),
        f"{NAMES} has 4 lines but TMP/{LABELS} has 3: line i of one belongs to line i of the other"),
    "a name too few": (change_lines(NAMES, lambda lines: lines[1:]),
        f"{NAMES} has 3 lines but TMP/{LABELS} has 4: line i of one belongs to line i of the other"),
    "the labels of another split": (several(change_lines(LABELS, lambda lines: lines * 2),
                                        copy(LABELS, "emoreact/Labels/val_labels.text"),
                                        change_lines(LABELS, lambda lines: lines[:4])),
        "Labels/Val_names.txt has 4 lines but TMP/emoreact/Labels/val_labels.text has 8"),
    "a blank line among the names": (insert_blank(NAMES, 3),
        f"{NAMES}, line 3: blank, but line i of the names belongs to line i of the labels"),
    "a blank line among the labels": (insert_blank(LABELS, 1),
        f"{LABELS}, line 1: blank, but line i of the names belongs to line i of the labels"),
    "a blank line in both": (several(insert_blank(NAMES, 2), insert_blank(LABELS, 4)), f"{NAMES}, line 2: blank"),
    "a name of no clip": (set_line(NAMES, 2, "'absent.mp4'"),
        f"{NAMES}, line 2: clip 'absent.mp4' is not in TMP/{TRAIN}; get all clips"),
    "a clip removed": (remove(f"{TRAIN}/Crème_10_train.mp4"),
        f"{NAMES}, line 4: clip 'Crème_10_train.mp4' is not in TMP/{TRAIN}; get all clips"),
    "a clip in another split": (move(f"{TRAIN}/it's alive_3_train.mp4", "emoreact/Data/Test/it's alive_3_train.mp4"),
        f'{NAMES}, line 1: clip "it\'s alive_3_train.mp4" is not in TMP/{TRAIN}; get all clips'),
    "a path for a name": (set_line(NAMES, 2, "'../Train/Crème_10_train.mp4'"),
        f"{NAMES}, line 2: clip '../Train/Crème_10_train.mp4' is not in"),
    "a folder for a clip": (several(empty(f"{TRAIN}/absent.mp4"), set_line(NAMES, 2, "'absent.mp4'")),
        f"{NAMES}, line 2: clip 'absent.mp4' is not in"),
    "a clip named twice": (several(repeat_line(NAMES, 2), repeat_line(LABELS, 2)),
        f"{NAMES}, line 5: clip 'ZOO, a fish!_1_train.mp4' is already in line 2; get the file again"),
    "no quote at the end": (set_line(NAMES, 4, "'Crème_1"),
        f'{NAMES}, line 4: "\'Crème_1" is not the name of a clip in single quotes; get the file again'),
    "no quote at the beginning": (set_line(NAMES, 2, "ZOO.mp4'"), f'{NAMES}, line 2: "ZOO.mp4\'" is not the name'),
    "an empty name": (set_line(NAMES, 2, "''"), f"{NAMES}, line 2: \"''\" is not the name of a clip"),
    "one quote": (set_line(NAMES, 2, "'"), f'{NAMES}, line 2: "\'" is not the name of a clip'),
    "a byte order mark alone": (write(NAMES, b"\xef\xbb\xbf"), f"{NAMES}, line 1: '' is not the name of a clip"),
    "latin-1 names": (encode(NAMES, "latin-1"), f"{NAMES}, line 4: not UTF-8 text; save the file as UTF-8"),
    "utf-16 labels": (encode(LABELS, "utf-16"), f"{LABELS}, line 1: not UTF-8 text"),
    "binary names": (write(NAMES, b"\x00\x00\x00 ftypisom" * 9000), f"{NAMES}, line 1: longer than 65536 bytes"),
    "empty names": (write(NAMES, b""), f"{NAMES}: the file is empty; get the file again"),
    "empty labels": (write(LABELS, b"\n\n  \n"), f"{LABELS}: the file is empty; get the file again"),
    "no names": (remove(NAMES),
        "emoreact: no train_names.text or train_names.txt, neither in Labels nor next to it; get the data set in full"),
    "no labels": (remove("emoreact/Labels/test_labels.text"),
        "emoreact: no test_labels.text or test_labels.txt, neither in Labels nor next to it"),
    "labels are a folder": (empty(LABELS), f"{LABELS}: cannot be read (Is a directory)"),
    "no folder of a split": (remove("emoreact/Data/Validation"),
        "Data: no folder Validation; expected Train, Validation, Test: get all clips"),
    "a file for a split": (write(TRAIN), f"{TRAIN}: cannot be read (Not a directory)"),
    "no clips": (empty("emoreact/Data/Test"), "Labels/Test_names.txt, line 1: clip"),
}  # fmt: skip

test_damaged = damaged_test(write_emoreact, [emoreact.load], DAMAGED, "emoreact", longest=900)


def test_nothing_there(tmp_path):
    missing = partial(error_line, emoreact.load, kind=MissingDataError, longest=900)
    assert f"there is no folder {tmp_path / 'absent'}; expected {emoreact.LAYOUT}" in missing(tmp_path / "absent")
    (tmp_path / "EmoReact" / "Labels").mkdir(parents=True)
    (tmp_path / "readme.txt").touch()
    message = missing(tmp_path)
    assert "task 'emoreact': no folder Data with clips under" in message
    assert "found EmoReact, readme.txt, EmoReact/Labels" in message


@pytest.mark.parametrize("rule", ["0", "-1", "ten", "10.0", "as annotated", " 10", "1000000000", "１０"])
def test_unknown_rule(tmp_path, rule):
    with pytest.raises(UnknownNameError, match=r"unknown label rule .*known: 10, 1, 5, 20"):
        emoreact.load(tmp_path, rule)


def test_a_damaged_clip_is_named_when_it_is_read(tmp_path):
    write_emoreact(tmp_path)
    path = tmp_path / TRAIN / "ZOO, a fish!_1_train.mp4"
    path.write_bytes(path.read_bytes()[:300])
    train = emoreact.load(tmp_path).train
    assert train.image(9).shape == train.image(20).shape == (64, 80, 3)
    for index in (10, 19):
        with pytest.raises(DataError) as caught:
            train.image(index)
        assert str(caught.value) == f"{path}: not a video that can be decoded (300 bytes); get the file again"


def test_a_clip_that_vanishes_after_loading(tmp_path):
    write_emoreact(tmp_path)
    data = emoreact.load(tmp_path)
    path = tmp_path / "emoreact" / "Data" / "Test" / "it's alive_3_test.mp4"
    path.unlink()
    with pytest.raises(DataError) as caught:
        data.test.image(0)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory)"
