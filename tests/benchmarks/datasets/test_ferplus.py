import numpy as np
import pytest

from benchmarks.datasets import fer, ferplus
from benchmarks.protocols.votes import COLUMNS, RULES
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS
from ciao_stream.faces.task import EMOTIONS
from tests.helpers import real_data
from tests.helpers.fer2013_files import VOTE_COLUMNS, edit_line, some_rows, write_csv, write_icml_csv, write_votes
from tests.helpers.vote_reference import reference

real_faces = real_data.real_faces
ROWS = some_rows()


# --- loading ---------------------------------------------------------------------------------------------------------


def some_votes(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.multinomial(10, rng.dirichlet(np.full(10, 0.2))).tolist() for _ in ROWS]


VOTES = some_votes()


def lay_out(root, votes=VOTES, place="ferplus/fer2013new.csv"):
    write_csv(root / "fer2013" / "fer2013.csv", ROWS)
    return write_votes(root / place, ROWS, votes)


@pytest.mark.parametrize("place", ["ferplus/fer2013new.csv", "fer2013new.csv", "fer2013/fer2013new.csv"])
@pytest.mark.parametrize("rule", [None, *RULES])
def test_load(tmp_path, place, rule):
    lay_out(tmp_path, place=place)
    data = ferplus.load(tmp_path, rule)
    rules = (rule or "majority", "majority", "majority")
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("ferplus", "votes", EMOTIONS)
    for dataset, used, usage in zip(data.splits(), rules, ("Training", "PublicTest", "PrivateTest"), strict=True):
        of_usage = [(face, reference(v, used)) for (_, face, name), v in zip(ROWS, VOTES, strict=True) if name == usage]
        kept = [(face, shares) for face, shares in of_usage if shares]
        assert dataset.label_rule == used
        assert dataset.targets.dtype == np.float32
        np.testing.assert_allclose(dataset.targets, [shares for _, shares in kept], atol=1e-6)
        assert all((dataset.image(i) == face).all() for i, (face, _) in enumerate(kept))
        assert dataset.dropped == {"no image name": 0, f"no emotion by {used}": len(of_usage) - len(kept)}


def test_the_source_is_that_of_fer(tmp_path):
    lay_out(tmp_path)
    for faces, votes in zip(fer.load(tmp_path).splits(), ferplus.load(tmp_path).splits(), strict=True):
        assert faces.images.fingerprint == votes.images.fingerprint
        assert len(faces.images) == len(votes.images) == len(faces)
        assert set(votes.rows) < set(faces.rows)
        assert all((faces.images.read(i) == votes.images.read(i)).all() for i in range(len(faces)))


def test_columns_by_name_and_icml_faces(tmp_path):
    path = lay_out(tmp_path)
    write_votes(tmp_path / "other" / "fer2013new.csv", ROWS, VOTES)
    write_icml_csv(tmp_path / "other" / "fer2013" / "icml_face_data.csv", ROWS)
    rows = [line.split(",") for line in path.read_text().strip().split("\n")]
    path.write_bytes(("\ufeff" + "\r\n".join(", ".join(row[::-1]) for row in rows)).encode())
    for one, other in zip(ferplus.load(tmp_path).splits(), ferplus.load(tmp_path / "other").splits(), strict=True):
        assert (one.targets == other.targets).all()
        assert all((one.image(i) == other.image(i)).all() for i in range(len(one)))


def test_rows_without_a_name_are_dropped_and_counted(tmp_path):
    path = lay_out(tmp_path, [[9, 1, 0, 0, 0, 0, 0, 0, 0, 0]] * len(ROWS))
    training = [i for i, row in enumerate(ROWS) if row[2] == "Training"]
    for i in training[:3]:
        edit_line(path, i + 2, f"fer{i:07d}.png", "")
    train = ferplus.load(tmp_path).train
    assert train.rows.tolist() == list(range(3, len(training)))
    assert train.dropped == {"no image name": 3, "no emotion by majority": 0}


def test_rules_and_columns():
    assert ferplus.RULES == ("majority", "probability", "multi_target", "argmax", "argmax8")
    assert COLUMNS == VOTE_COLUMNS
    assert COLUMNS[:8] == EMOTIONS
    assert len(SPLITS) == 3


# --- what is wrong, where, and what to do ----------------------------------------------------------------------------


def set_cell(column, value, number=5):
    def change(path):
        lines = path.read_text().split("\n")
        cells = lines[number - 1].split(",")
        cells[column] = value
        lines[number - 1] = ",".join(cells)
        path.write_text("\n".join(lines))

    return change


def set_votes(values):
    def change(path):
        for column, value in enumerate(values, start=2):
            set_cell(column, value)(path)

    return change


def keep_lines(count):
    return lambda path: path.write_text("".join(line + "\n" for line in path.read_text().split("\n")[:count]))


OTHER_USAGE = "PublicTest" if ROWS[3][2] == "Training" else "Training"

DAMAGED = {
    "negative": (set_cell(2, "-1"), "line 5: '-1' votes for neutral; expected an integer from 0 up"),
    "not an integer": (set_cell(4, "2.5"), "line 5: '2.5' votes for surprise"),
    "not a number": (set_cell(11, "x"), "line 5: 'x' votes for NF"),
    "empty": (set_cell(9, ""), "line 5: '' votes for contempt"),
    "no votes": (set_votes("0" * 10), "line 5: no votes (all 10 columns are 0)"),
    "unknown Usage": (set_cell(0, "Public"), "line 5: unknown Usage 'Public'"),
    "other Usage": (set_cell(0, OTHER_USAGE), "fer2013.csv, line 5: the files are not in the same order"),
    "a row less": (keep_lines(len(ROWS)), f"has {len(ROWS) - 1} rows but"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-12]), f"line {len(ROWS) + 1}: expected 12 columns but found"),
    "no column": (lambda p: edit_line(p, 1, "contempt", "disdain"),
        "line 1: no column contempt; expected Usage, Image"),
    "empty file": (lambda p: p.write_text(""), "the file is empty"),
    "header only": (keep_lines(1), "has 0 rows but"),
    "not text": (lambda p: p.write_bytes(p.read_bytes().replace(b"Training", b"Tr\xff", 1)), "not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_votes(tmp_path, case):
    damage, expected = DAMAGED[case]
    path = lay_out(tmp_path)
    damage(path)
    with pytest.raises(DataError) as caught:
        ferplus.load(tmp_path)
    message = str(caught.value)
    assert str(path) in message
    assert expected in message
    assert "\n" not in message


def test_missing_files(tmp_path):
    path = lay_out(tmp_path)
    path.rename(tmp_path / "aside.csv")
    with pytest.raises(
        DataError, match=r"no votes \(fer2013new.csv\).*expected ROOT/ferplus.*found aside.csv, fer2013"
    ):
        ferplus.load(tmp_path)
    (tmp_path / "aside.csv").rename(path)
    (tmp_path / "fer2013" / "fer2013.csv").unlink()
    with pytest.raises(DataError, match="no csv with the faces"):
        ferplus.load(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        ferplus.load(tmp_path / "absent")


def test_a_rule_that_keeps_nothing(tmp_path):
    lay_out(tmp_path, [[0, 0, 0, 0, 0, 0, 0, 0, 0, 10]] * len(ROWS))
    with pytest.raises(DataError, match="no samples; check the files and the label rule"):
        ferplus.load(tmp_path)


# --- real faces ------------------------------------------------------------------------------------------------------


def test_real_faces(real_faces):
    data = ferplus.load(real_faces, "probability")
    assert [d.label_rule for d in data.splits()] == ["probability", "majority", "majority"]
    for dataset, faces in zip(data.splits(), fer.load(real_faces).splits(), strict=True):
        assert len(dataset) + sum(dataset.dropped.values()) == len(dataset.images) == 200
        assert dataset.images.fingerprint == faces.images.fingerprint
        assert (dataset.image(0).shape, dataset.image(0).dtype) == ((48, 48), np.uint8)
        agree = dataset.classes() == faces.targets[dataset.rows]
        assert agree.mean() > 0.5  # FER+ corrects many of FER's labels, but not most
