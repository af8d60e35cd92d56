from pathlib import Path

import numpy as np
import pytest

from benchmarks.own import folder as own_folder
from benchmarks.own.names import class_labels
from benchmarks.protocols.splits import hold_out
from ciao_stream.faces.readers.labels import canonical
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.own_files import EMOTION_FOLDERS, labels_seen, save, seen, write_own_folder

SPLIT_FOLDERS = {"train": "train", "validation": "val", "test": "test"}


def of(truth, folder, label_of=canonical):
    return {name: label_of(label) for name, label in truth.items() if name.startswith(f"{folder}/")}


def test_splits_as_given(tmp_path):
    truth = write_own_folder(tmp_path)
    data = own_folder.load(tmp_path / "mine")
    assert labels_seen(data, truth) == {split: of(truth, folder) for split, folder in SPLIT_FOLDERS.items()}
    assert (data.spec.name, data.spec.kind) == ("mine", "categorical")
    assert data.spec.labels == ("neutral", "happiness", "sadness")
    assert (data.protocol, data.published, data.folds) == ("splits as given", {}, ())
    for faces in data.splits():
        assert (faces.source, faces.label_rule, faces.framing) == ("real", "as annotated", "face")
        assert (faces.dropped, faces.subjects, faces.groups) == ({}, None, None)


@pytest.mark.parametrize("names", [("Train", "valid", "TEST"), ("training", "validation", "testing")])
def test_other_names_of_splits(tmp_path, names):
    truth = write_own_folder(tmp_path, splits=names)
    found = labels_seen(own_folder.load(tmp_path / "mine"), truth)
    assert found == {split: of(truth, name) for split, name in zip(SPLIT_FOLDERS, names, strict=True)}


def test_validation_is_carved_where_there_is_none(tmp_path):
    truth = write_own_folder(tmp_path, splits=("train", "test"), per_class=20)
    data = own_folder.load(tmp_path / "mine")
    found = labels_seen(data, truth)
    assert found["test"] == of(truth, "test")
    assert found["train"] | found["validation"] == of(truth, "train")
    assert data.validation.counts() == {"neutral": 2, "happiness": 2, "sadness": 2}
    assert data.train.counts() == {"neutral": 18, "happiness": 18, "sadness": 18}
    assert data.train.images is data.validation.images
    assert data.protocol == "train and test as given; validation (10 %) carved from train, stratified by class"


def test_no_splits(tmp_path):
    truth = write_own_folder(tmp_path, splits=(), per_class=50)
    data = own_folder.load(tmp_path / "mine")
    found = labels_seen(data, truth)
    assert found["train"] | found["validation"] | found["test"] == {n: canonical(label) for n, label in truth.items()}
    assert sum(map(len, found.values())) == len(truth) == 150
    assert [faces.counts()["sadness"] for faces in data.splits()] == [36, 4, 10]
    assert [len(faces) for faces in data.splits()] == [108, 12, 30]
    assert data.protocol == "test (20 %) and validation (10 %) carved, stratified by class"


def test_the_carved_test_is_fixed_for_all_time(tmp_path):
    write_own_folder(tmp_path, splits=(), per_class=10)
    data = own_folder.load(tmp_path / "mine")
    names, classes = data.train.images.names, np.repeat([0, 1, 2], 10)
    rest, test = hold_out(names, classes, fraction=0.2, seed=1)
    assert data.test.rows.tolist() == test.tolist()
    held = hold_out([names[row] for row in rest], classes[rest], fraction=0.1, seed=0)[1]
    assert data.validation.rows.tolist() == rest[held].tolist()


def test_a_new_image_moves_at_most_two_others(tmp_path):
    truth = write_own_folder(tmp_path, splits=(), per_class=20)
    before = labels_seen(own_folder.load(tmp_path / "mine"), truth)
    save(tmp_path / "mine", ["happy/new.png"])
    after = labels_seen(own_folder.load(tmp_path / "mine"), [*truth, "happy/new.png"])
    moved = {name for split in before for name in before[split] if name not in after[split]}
    assert len(moved) <= 2


def test_all_seven_emotions_by_any_name(tmp_path):
    truth = write_own_folder(tmp_path, classes=EMOTION_FOLDERS, suffix=".jpg")
    data = own_folder.load(tmp_path / "mine")
    assert data.spec.labels == EMOTIONS[:7]
    assert labels_seen(data, truth)["test"] == of(truth, "test")


def test_synonyms_are_one_class(tmp_path):
    truth = write_own_folder(tmp_path, classes=("joy", "happy", "Sad"))
    data = own_folder.load(tmp_path / "mine")
    assert data.spec.labels == ("happiness", "sadness")
    assert labels_seen(data, truth)["train"] == of(truth, "train")


def test_own_classes_keep_their_names_sorted(tmp_path):
    truth = write_own_folder(tmp_path, classes=("happy", "Tired", "bored", "Zen"))
    data = own_folder.load(tmp_path / "mine")
    assert data.spec.labels == ("bored", "happy", "Tired", "Zen")
    assert labels_seen(data, truth)["test"] == of(truth, "test", str)


def test_own_classes_in_another_case_in_test(tmp_path):
    truth = write_own_folder(tmp_path, classes=("Tired", "bored"))
    (tmp_path / "mine" / "test" / "Tired").rename(tmp_path / "mine" / "test" / "tired")
    data = own_folder.load(tmp_path / "mine")
    assert labels_seen(data, truth)["test"] == of(truth, "test", str)


def test_train_alone_has_to_have_every_class(tmp_path):
    write_own_folder(tmp_path, classes=("happy", "bored", "calm"))
    for split, name in (("test", "calm"), ("val", "bored")):
        (tmp_path / "mine" / split / name).rename(tmp_path / f"{name}-aside")
    data = own_folder.load(tmp_path / "mine")
    assert data.spec.labels == ("bored", "calm", "happy")
    assert [faces.counts() for faces in data.splits()] == [
        {"bored": 3, "calm": 3, "happy": 3},
        {"bored": 0, "calm": 3, "happy": 3},
        {"bored": 3, "calm": 0, "happy": 3},
    ]


def test_ignored_files_are_counted_by_type(tmp_path):
    truth = write_own_folder(tmp_path)
    train = tmp_path / "mine" / "train"
    for name in ("preview.png", "notes.txt", ".DS_Store", "happy/face.heic", "sad/later/Thumbs.db", "sad/.hidden.png"):
        (train / name).parent.mkdir(exist_ok=True)
        (train / name).touch()
    (tmp_path / "mine" / "README.md").touch()
    data = own_folder.load(tmp_path / "mine")
    assert data.train.dropped == {"image in no class folder": 1, "not an image (.heic)": 1, "not an image (.db)": 1}
    assert (data.validation.dropped, data.test.dropped) == ({}, {})
    assert labels_seen(data, truth)["train"] == of(truth, "train")


def test_ignored_files_are_counted_once_if_splits_are_carved(tmp_path):
    write_own_folder(tmp_path, splits=())
    (tmp_path / "mine" / "happy" / "face.gif").touch()
    data = own_folder.load(tmp_path / "mine")
    assert [faces.dropped for faces in data.splits()] == [{"not an image (.gif)": 1}, {}, {}]


def test_folders_within_class_folders(tmp_path):
    names = [
        f"{split}/{label}/ann/{split}{label}{n}.png"
        for split in ("train", "test")
        for label in ("a", "b")
        for n in (1, 2)
    ]
    save(tmp_path / "mine", names)
    data = own_folder.load(tmp_path / "mine")
    assert sorted(name for of_split in seen(data, names).values() for name in of_split) == sorted(names)


def test_the_current_folder_gives_its_name(tmp_path, monkeypatch):
    write_own_folder(tmp_path)
    monkeypatch.chdir(tmp_path / "mine")
    assert own_folder.load(Path()).spec.name == "mine"
    monkeypatch.chdir(tmp_path / "mine" / "test")
    assert own_folder.load(Path("..")).spec.name == "mine"


def test_a_link_names_the_task(tmp_path):
    write_own_folder(tmp_path)
    (tmp_path / "faces").symlink_to(tmp_path / "mine")
    assert own_folder.load(tmp_path / "faces").spec.name == "faces"


def test_class_labels_do_not_depend_on_order():
    assert class_labels(["b", "A", "c"]) == class_labels(["c", "b", "A"]) == ("A", "b", "c")
