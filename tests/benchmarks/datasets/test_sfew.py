import pytest

from benchmarks.datasets import sfew
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.own_files import labels_seen
from tests.helpers.sfew_files import write_sfew


def check(data, truth, train, val):
    found = labels_seen(data, truth)
    assert found["test"] == {name: label for name, label in truth.items() if name.startswith(f"{val}/")}
    of_train = {name: label for name, label in truth.items() if name.startswith(f"{train}/")}
    assert found["train"] | found["validation"] == of_train
    assert len(found["train"]) + len(found["validation"]) == len(of_train)
    assert sorted(found["validation"].values()) == sorted(EMOTIONS[:7])


PLACES = [
    ("sfew", "Train_Aligned_Faces", "Val_Aligned_Faces"),
    ("SFEW", "Train_Aligned_Faces", "Val_Aligned_Faces_new"),
    ("SFEW_2.0", "Train", "Val"),
    ("sfew 2.0", "train", "val"),
    ("SFEW2", "Train_Aligned_Faces/Train_Aligned_Faces", "Val_Aligned_Faces_new/Val_Aligned_Faces_new"),
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("home", "train", "val"), PLACES)
def test_every_face_has_its_label(tmp_path, home, train, val, nested):
    truth = write_sfew(tmp_path, home=home, train=train, val=val, nested=nested)
    data = sfew.load(tmp_path)
    check(data, truth, train, val)
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("sfew", "categorical", EMOTIONS[:7])
    assert "their test labels are private" in data.protocol
    for faces in data.splits():
        assert (faces.source, faces.label_rule, faces.framing) == ("real", "as annotated", "face")
        assert (faces.dropped, faces.subjects, faces.groups) == ({}, None, None)
    assert data.train.images is data.validation.images


def test_published_counts_add_up():
    assert {split: sum(counts.values()) for split, counts in sfew.PUBLISHED.items()} == {
        "train+validation": 891,
        "test": 431,
    }
    assert all(tuple(counts) == EMOTIONS[:7] for counts in sfew.PUBLISHED.values())
    assert sfew.PUBLISHED["train+validation"]["disgust"] == 52
    assert sfew.PUBLISHED["test"]["neutral"] == 84


def test_aligned_faces_are_preferred_and_never_mixed_with_frames(tmp_path):
    aligned = write_sfew(tmp_path)
    frames = write_sfew(tmp_path, train="Train", val="Val")
    found = labels_seen(sfew.load(tmp_path), [*aligned, *frames])
    assert {name.split("/")[0] for of_split in found.values() for name in of_split} == {
        "Train_Aligned_Faces",
        "Val_Aligned_Faces",
    }
    (tmp_path / "sfew" / "Val_Aligned_Faces").rename(tmp_path / "aside")
    found = labels_seen(sfew.load(tmp_path), [*aligned, *frames])
    assert {name.split("/")[0] for of_split in found.values() for name in of_split} == {"Train", "Val"}


def test_nested_folders_hold_the_same_faces_out(tmp_path):
    write_sfew(tmp_path / "a")
    write_sfew(tmp_path / "b", nested=True)
    held = []
    for folder in ("a", "b"):
        faces = sfew.load(tmp_path / folder).validation
        held.append({faces.images.names[row].split("/")[-1] for row in faces.rows})
    assert held[0] == held[1]


def test_what_unpackers_leave_behind_is_passed_over(tmp_path):
    truth = write_sfew(tmp_path)
    train = tmp_path / "sfew" / "Train_Aligned_Faces"
    (train / "__MACOSX" / "Angry").mkdir(parents=True)
    (train / "__MACOSX" / "Angry" / "._a.png").touch()
    (train / "Angry.zip").touch()
    (train / "Angry" / "._b.png").touch()
    (train / "Angry" / "Thumbs.db").touch()
    check(sfew.load(tmp_path), truth, "Train_Aligned_Faces", "Val_Aligned_Faces")
