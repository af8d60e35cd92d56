import pickle

import pytest

from benchmarks.datasets import mmafedb
from ciao_stream.exceptions import DataError
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.mmafedb_files import write_mmafedb
from tests.helpers.own_files import labels_seen, same_rows

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


def test_the_order_of_a_directory_changes_nothing(tmp_path):
    write_mmafedb(tmp_path / "a")
    write_mmafedb(tmp_path / "b", reverse=True)
    assert same_rows(mmafedb.load(tmp_path / "a"), mmafedb.load(tmp_path / "b"))


def test_pickle(tmp_path):
    write_mmafedb(tmp_path)
    data = mmafedb.load(tmp_path)
    copy = pickle.loads(pickle.dumps(data))
    assert same_rows(data, copy)
    assert (data.test.image(3) == copy.test.image(3)).all()


def test_no_image_is_decoded_before_it_is_read(tmp_path):
    truth = write_mmafedb(tmp_path)
    for name in truth:
        (tmp_path / "mmafedb" / "MMAFEDB" / name).write_bytes(b"broken")
    data = mmafedb.load(tmp_path)
    with pytest.raises(DataError, match=r"test/angry/test0angry\.jpg: not a whole image"):
        data.test.image(0)
