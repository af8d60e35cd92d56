"""FER2013 as it should not be: each fault is one line that says what is wrong, where, and what to do."""

import pytest

from benchmarks.datasets import fer
from ciao_stream.exceptions import DataError, UnknownNameError
from tests.helpers.fer2013_files import USAGES, some_rows, write_csv, write_folders, write_icml_csv

ROWS = some_rows()


def cut_pixel(path):
    lines = path.read_text().split("\n")
    emotion, pixels, usage = lines[2].split(",")
    lines[2] = ",".join((emotion, pixels.rsplit(" ", 1)[0], usage))
    path.write_text("\n".join(lines))


def set_cell(column, value, number=4):
    def change(path):
        lines = path.read_text().split("\n")
        cells = lines[number - 1].split(",")
        cells[column] = value
        lines[number - 1] = ",".join(cells)
        path.write_text("\n".join(lines))

    return change


def set_header(text):
    return lambda path: path.write_text("\n".join([text, *path.read_text().split("\n")[1:]]))


def drop_usage(usage):
    return lambda path: path.write_text(
        "\n".join(line for line in path.read_text().split("\n") if not line.endswith("," + usage))
    )


DAMAGED_CSV = {
    "2303 pixels": (cut_pixel, "fer2013.csv, line 3: 2,303 pixels; expected 2,304"),
    "no pixels": (set_cell(1, ""), "line 4: 0 pixels; expected 2,304"),
    "label 9": (set_cell(0, "9"), "line 4: emotion '9'; expected one of 0 angry, 1 disgust"),
    "label -1": (set_cell(0, "-1"), "line 4: emotion '-1'"),
    "label 2.0": (set_cell(0, "2.0"), "line 4: emotion '2.0'"),
    "no label": (set_cell(0, ""), "line 4: emotion ''"),
    "unknown Usage": (set_cell(2, "Trainnig"), "line 4: unknown Usage 'Trainnig': did you mean 'Training'?"),
    "no Usage": (
        set_header("emotion,pixels"),
        "line 1: no column Usage; expected emotion, pixels, Usage; found emotion, pixels",
    ),
    "other columns": (set_header("label,image,Usage"), "line 1: no column emotion nor pixels; expected"),
    "no header": (
        lambda p: p.write_text(p.read_text().split("\n", 1)[1]),
        "line 1: no column emotion nor pixels nor Usage",
    ),
    "no PublicTest": (drop_usage("PublicTest"), "no row has the Usage PublicTest (validation)"),
    "no Training": (drop_usage("Training"), "no row has the Usage Training (train)"),
    "no PrivateTest": (drop_usage("PrivateTest"), "no row has the Usage PrivateTest (test)"),
    "empty file": (lambda p: p.write_bytes(b""), "the file is empty; expected the columns emotion, pixels, Usage"),
    "header only": (lambda p: p.write_text("emotion,pixels,Usage\n"), "no row has the Usage Training"),
    "cut in the last line": (
        lambda p: p.write_bytes(p.read_bytes()[:-4000]),
        "line 43: expected 3 columns but found 2",
    ),
    "utf-16": (lambda p: p.write_text(p.read_text(), encoding="utf-16"), "line 1: not UTF-8 text"),
    "latin-1": (lambda p: p.write_bytes(p.read_bytes().replace(b",Training", b",Tr\xe4ining", 1)), "not UTF-8 text"),
    "binary": (lambda p: p.write_bytes(b"\x89PNG\xff" * 50_000), "line 1: longer than 65536 bytes; is this the csv"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "fer2013.csv: cannot be read (Is a directory)"),
}


def one_line_error(root, load=fer.load):
    with pytest.raises(DataError) as caught:
        load(root)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("case", DAMAGED_CSV)
def test_damaged_csv(tmp_path, case):
    damage, expected = DAMAGED_CSV[case]
    path = write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    damage(path)
    message = one_line_error(tmp_path)
    assert str(path) in message
    assert expected in message


def test_icml_csv_cut_inside_its_last_pixels(tmp_path):
    path = write_icml_csv(tmp_path / "icml_face_data.csv", ROWS)
    path.write_bytes(path.read_bytes()[:-4000])
    message = one_line_error(tmp_path)
    assert "icml_face_data.csv, line 43: 1," in message
    assert "the file may be cut short" in message


@pytest.mark.parametrize("bad", ["abc", "999", "256", "-1", "2.5", "99999999999999999999999", "1e2", "０", "\xb2"])
@pytest.mark.parametrize("place", [0, 1000, 2303])
def test_a_bad_pixel_names_its_line(tmp_path, bad, place):
    words = [str(v) for v in ROWS[2][1].ravel()]
    words[place] = bad
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    set_cell(1, " ".join(words))(path)
    data = fer.load(tmp_path)
    dataset = data.splits()[USAGES.index(ROWS[2][2])]
    index = sum(row[2] == ROWS[2][2] for row in ROWS[:2])
    with pytest.raises(DataError) as caught:
        dataset.image(index)
    message = str(caught.value)
    assert f"{path}, line 4: pixel {place + 1} is {bad[:20]!r}; expected an integer from 0 to 255" in message


@pytest.mark.parametrize("text", ["{}  {}", "{}\t{}", " {} {}"])
def test_other_blanks_between_pixels(tmp_path, text):
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    first, second, *rest = map(str, ROWS[2][1].ravel())
    set_cell(1, text.format(first, " ".join([second, *rest])))(path)
    dataset = fer.load(tmp_path).splits()[USAGES.index(ROWS[2][2])]
    assert (dataset.image(sum(row[2] == ROWS[2][2] for row in ROWS[:2])) == ROWS[2][1]).all()


def test_a_file_that_vanishes_after_loading(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    data = fer.load(tmp_path)
    path.write_text("short")
    with pytest.raises(DataError, match="0 pixels"):
        data.train.image(0)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        data.train.image(0)


def test_nothing_there(tmp_path):
    message = one_line_error(tmp_path / "absent")
    assert f"there is no folder {tmp_path / 'absent'}; expected {fer.LAYOUT}" in message
    assert f"expected {fer.LAYOUT}; found nothing" in one_line_error(tmp_path)
    (tmp_path / "fer2013" / "train").mkdir(parents=True)
    (tmp_path / "readme.txt").touch()
    assert "found fer2013, readme.txt, fer2013/train" in one_line_error(tmp_path)


def cut_file(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "damage",
    [
        cut_file,
        lambda p: p.write_bytes(p.read_bytes()[:-60]),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_text("<html>"),
    ],
    ids=["cut", "cut at the end", "empty", "html"],
)
def test_an_unreadable_image_names_its_file(tmp_path, suffix, damage):
    write_folders(tmp_path / "fer", ROWS, suffix=suffix)
    path = sorted((tmp_path / "fer" / "test" / "fear").iterdir())[0]
    damage(path)
    test = fer.load(tmp_path).test
    with pytest.raises(DataError) as caught:
        [test.image(i) for i in range(len(test))]
    what = "an empty file" if not path.stat().st_size else "not a whole image"
    assert f"{path}: {what}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_that_vanishes(tmp_path):
    write_folders(tmp_path / "fer", ROWS)
    data = fer.load(tmp_path)
    sorted((tmp_path / "fer" / "test" / "angry").iterdir())[0].unlink()
    with pytest.raises(DataError, match=r"angry.*cannot be read \(No such file"):
        data.test.image(0)


def test_damaged_folders(tmp_path):
    train = write_folders(tmp_path / "fer2013", ROWS) / "train"
    (train / "happy").rename(train / "hapy")
    message = one_line_error(tmp_path)
    assert f"{train}: unknown class folder 'hapy': did you mean 'happy'" in message
    (train / "hapy").rename(tmp_path / "aside")
    assert f"{train}: no class folder for happiness" in one_line_error(tmp_path)
    (train / "happy").mkdir()
    assert f"{train / 'happy'}: no images in it; expected files that end in .jpg" in one_line_error(tmp_path)
    (train / "happy").rmdir()
    (tmp_path / "aside").rename(train / "contempt")
    assert "unknown class folder 'contempt'" in one_line_error(tmp_path)


def test_unknown_rule(tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown label rule 'majority': \(known: as annotated\)"):
        fer.load(tmp_path, "majority")
