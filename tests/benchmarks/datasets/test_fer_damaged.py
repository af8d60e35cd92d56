"""FER2013, damaged: each fault is one line that says what is wrong, where, and what to do."""

from functools import partial

import pytest

from benchmarks.datasets import fer
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.damaged import (
    change,
    change_lines,
    damaged_test,
    empty,
    encode,
    error_line,
    move,
    remove,
    set_cell,
    set_line,
    unreadable_test,
    write,
)
from tests.helpers.fer2013_files import USAGES, some_rows, write_csv, write_folders, write_icml_csv

ROWS = some_rows()
FILE = "fer2013/fer2013.csv"


def write_fer_csv(root):
    return write_csv(root / FILE, ROWS)


def write_fer_folders(root, suffix=".png"):
    write_folders(root / "fer2013", ROWS, suffix=suffix)


def drop_usage(usage):
    return change_lines(FILE, lambda lines: [line for line in lines if not line.endswith("," + usage)])


cell = partial(set_cell, FILE, 4)
header = partial(set_line, FILE, 1)

DAMAGED_CSV = {
    "2303 pixels": (cell(1, " ".join(["7"] * 2303)), "fer2013.csv, line 4: 2,303 pixels; expected 2,304"),
    "no pixels": (cell(1, ""), "line 4: 0 pixels; expected 2,304"),
    "label 9": (cell(0, "9"), "line 4: emotion '9'; expected one of 0 angry, 1 disgust"),
    "label -1": (cell(0, "-1"), "line 4: emotion '-1'"),
    "label 2.0": (cell(0, "2.0"), "line 4: emotion '2.0'"),
    "no label": (cell(0, ""), "line 4: emotion ''"),
    "unknown Usage": (cell(2, "Trainnig"), "line 4: unknown Usage 'Trainnig': did you mean 'Training'?"),
    "no Usage": (header("emotion,pixels"),
        "line 1: no column Usage; expected emotion, pixels, Usage; found emotion, pixels"),
    "other columns": (header("label,image,Usage"), "line 1: no column emotion nor pixels; expected"),
    "no header": (change_lines(FILE, lambda lines: lines[1:]), "line 1: no column emotion nor pixels nor Usage"),
    "no PublicTest": (drop_usage("PublicTest"), "no row has the Usage PublicTest (validation)"),
    "no Training": (drop_usage("Training"), "no row has the Usage Training (train)"),
    "no PrivateTest": (drop_usage("PrivateTest"), "no row has the Usage PrivateTest (test)"),
    "empty file": (write(FILE, b""), "the file is empty; expected the columns emotion, pixels, Usage"),
    "header only": (write(FILE, b"emotion,pixels,Usage\n"), "no row has the Usage Training"),
    "cut in the last line": (change(FILE, lambda old: old[:-4000]), "line 43: expected 3 columns but found 2"),
    "utf-16": (encode(FILE, "utf-16"), "line 1: not UTF-8 text"),
    "latin-1": (change(FILE, lambda old: old.replace(b",Training", b",Tr\xe4ining", 1)), "not UTF-8 text"),
    "binary": (write(FILE, b"\x89PNG\xff" * 50_000), "line 1: longer than 65536 bytes; is this the csv"),
    "a folder": (empty(FILE), "fer2013.csv: cannot be read (Is a directory)"),
}  # fmt: skip
DAMAGED_FOLDERS = {
    "a class misspelled": (move("fer2013/train/happy", "fer2013/train/hapy"),
        "TMP/fer2013/train: unknown class folder 'hapy': did you mean 'happy'"),
    "no folder of a class": (remove("fer2013/train/happy"), "TMP/fer2013/train: no class folder for happiness"),
    "an empty class": (empty("fer2013/train/happy"),
        "TMP/fer2013/train/happy: no images in it; expected files that end in .jpg"),
    "contempt": (move("fer2013/train/happy", "fer2013/train/contempt"), "unknown class folder 'contempt'"),
}  # fmt: skip
test_damaged_csv = damaged_test(write_fer_csv, [fer.load], DAMAGED_CSV, FILE)
test_damaged_folders = damaged_test(write_fer_folders, [fer.load], DAMAGED_FOLDERS)
test_an_unreadable_png = unreadable_test(write_fer_folders, fer.load, "fer2013/test/fear/*")
test_an_unreadable_jpg = unreadable_test(partial(write_fer_folders, suffix=".jpg"), fer.load, "fer2013/test/fear/*")


def test_icml_csv_cut_inside_its_last_pixels(tmp_path):
    path = write_icml_csv(tmp_path / "icml_face_data.csv", ROWS)
    path.write_bytes(path.read_bytes()[:-4000])
    message = error_line(fer.load, tmp_path)
    assert "icml_face_data.csv, line 43: 1," in message
    assert "the file may be cut short" in message


@pytest.mark.parametrize("bad", ["abc", "999", "256", "-1", "2.5", "99999999999999999999999", "1e2", "０", "\xb2"])
@pytest.mark.parametrize("place", [0, 1000, 2303])
def test_a_bad_pixel_names_its_line(tmp_path, bad, place):
    words = [str(v) for v in ROWS[2][1].ravel()]
    words[place] = bad
    path = write_fer_csv(tmp_path)
    cell(1, " ".join(words))(tmp_path)
    data = fer.load(tmp_path)
    dataset = data.splits()[USAGES.index(ROWS[2][2])]
    index = sum(row[2] == ROWS[2][2] for row in ROWS[:2])
    with pytest.raises(DataError) as caught:
        dataset.image(index)
    message = str(caught.value)
    assert f"{path}, line 4: pixel {place + 1} is {bad[:20]!r}; expected an integer from 0 to 255" in message


@pytest.mark.parametrize("text", ["{}  {}", "{}\t{}", " {} {}"])
def test_other_blanks_between_pixels(tmp_path, text):
    write_fer_csv(tmp_path)
    first, second, *rest = map(str, ROWS[2][1].ravel())
    cell(1, text.format(first, " ".join([second, *rest])))(tmp_path)
    dataset = fer.load(tmp_path).splits()[USAGES.index(ROWS[2][2])]
    assert (dataset.image(sum(row[2] == ROWS[2][2] for row in ROWS[:2])) == ROWS[2][1]).all()


def test_a_file_that_vanishes_after_loading(tmp_path):
    path = write_fer_csv(tmp_path)
    data = fer.load(tmp_path)
    path.write_text("short")
    with pytest.raises(DataError, match="0 pixels"):
        data.train.image(0)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        data.train.image(0)


def test_nothing_there(tmp_path):
    missing = partial(error_line, fer.load, kind=MissingDataError)
    message = missing(tmp_path / "absent")
    assert f"there is no folder {tmp_path / 'absent'}; expected {fer.LAYOUT}" in message
    assert f"expected {fer.LAYOUT}; found nothing" in missing(tmp_path)
    (tmp_path / "fer2013" / "train").mkdir(parents=True)
    (tmp_path / "readme.txt").touch()
    assert "found fer2013, readme.txt, fer2013/train" in missing(tmp_path)
