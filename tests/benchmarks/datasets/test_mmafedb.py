import pytest

from benchmarks.datasets import mmafedb
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.mmafedb_files import write_mmafedb
from tests.helpers.own_files import labels_seen

FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


def check(data, truth):
    assert labels_seen(data, truth) == {
        split: {name: label for name, label in truth.items() if name.startswith(f"{folder}/")}
        for split, folder in FOLDERS.items()
    }


@pytest.mark.parametrize("home", ["mmafedb", "MMAFEDB", "mmafedb/MMAFEDB", "MMA-facial-expression/MMAFEDB", "mma"])
def test_every_face_has_its_label(tmp_path, home):
    truth = write_mmafedb(tmp_path, home=home)
    data = mmafedb.load(tmp_path)
    check(data, truth)
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("mmafedb", "categorical", EMOTIONS[:7])
    assert data.protocol == "the data set's own splits"
    for faces, n in zip(data.splits(), (3, 2, 2), strict=True):
        assert faces.counts() == dict.fromkeys(EMOTIONS[:7], n)
        assert (faces.source, faces.label_rule, faces.framing) == ("real", "as annotated", "face")
        assert (faces.dropped, faces.subjects, faces.groups) == ({}, None, None)


@pytest.mark.parametrize("name", ["val", "validation", "Valid"])
def test_other_names_of_valid(tmp_path, name):
    truth = write_mmafedb(tmp_path, home="mmafedb")
    (tmp_path / "mmafedb" / "valid").rename(tmp_path / "mmafedb" / name)
    check(mmafedb.load(tmp_path), truth)


def test_published_counts_add_up():
    test = mmafedb.PUBLISHED["test"]
    assert tuple(test) == EMOTIONS[:7]
    assert sum(test.values()) == mmafedb.PUBLISHED["validation"] == 17356
    assert mmafedb.PUBLISHED["train"] == 92968
