from collections import Counter

import numpy as np
import pytest

from benchmarks.datasets import jaffe
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.jaffe_files import (
    CANONICAL,
    MINIATURE,
    OTHER_TAKES,
    SUBJECTS,
    file_names,
    image_of,
    write_jaffe,
    write_names,
)

FOLDS = {"loso": 4, "loeo": 3, "kfold": 10, "loso-210": 4, "loeo-210": 3, "kfold-210": 10}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("jaffe")
    write_jaffe(place)
    return place


def gray(image):
    if image.ndim == 3:
        assert np.ptp(image, axis=2).max() == 0
        return image[..., 0]
    return image


def files(split):
    return [split.images.names[row] for row in split.rows]


def parts(name):
    """Subject, emotion and number of the take of a file."""
    subject, take, *_ = name.split("/")[-1].split(".")
    return subject, CANONICAL[take[:2]], int(take[2:])


def rank(name):
    """How many takes of the same emotion a subject has before this one."""
    subject, take, *_ = name.split(".")
    return OTHER_TAKES.get(f"{subject}.{take[:2]}", "123").index(take[2:])


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", jaffe.RULES)
def test_every_face_has_its_label_and_its_subject(root, rule):
    data = jaffe.load(root, rule)
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("jaffe", "categorical", EMOTIONS[:7])
    expected = {name: parts(name)[:2] for name in file_names() if not rule.endswith("-210") or rank(name) < 3}
    for fold in (data.folds or [data])[:3]:
        found = {}
        for split in fold.splits():
            assert (split.source, split.label_rule, split.framing) == ("real", "as annotated", "photo")
            assert split.images is data.train.images
            assert split.targets.dtype == split.rows.dtype == np.int64
            for i, name in enumerate(files(split)):
                found[name] = str(split.subjects[i]), EMOTIONS[split.targets[i]]
                if split.split == "test":
                    assert (gray(split.image(i)) == image_of(name)).all()
        assert found == expected
        assert sum(len(split) for split in fold.splits()) == len(expected)


@pytest.mark.parametrize("rule", jaffe.RULES)
def test_every_class_is_in_every_split(root, rule):
    data = jaffe.load(root, rule)
    for fold in data.folds or [data]:
        assert all(min(split.counts().values()) > 0 for split in fold.splits())


@pytest.mark.parametrize("rule", FOLDS)
def test_every_photo_is_tested_once(root, rule):
    data = jaffe.load(root, rule)
    assert len(data.folds) == FOLDS[rule]
    tested = [name for fold in data.folds for name in files(fold.test)]
    assert sorted(tested) == sorted(data.train.images.names)
    assert len({fold.fold for fold in data.folds}) == len(data.folds)
    assert data.of_run(len(data.folds) + 1) is data.folds[1]


# --- protocols -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, "loso", "loso-210"])
def test_leave_one_subject_out(root, rule):
    data = jaffe.load(root, rule)
    assert [fold.fold for fold in data.folds] == list(MINIATURE)
    for k, fold in enumerate(data.folds):
        assert {*fold.test.subjects} == {MINIATURE[k]}
        assert {*fold.validation.subjects} == {MINIATURE[(k + 1) % 4]}
        assert {*fold.train.subjects} == {MINIATURE[(k + 2) % 4], MINIATURE[(k + 3) % 4]}
        assert fold.shared_subjects() == []
    assert data.protocol == "leave one subject out, 4 folds" + ("; at most 3 takes" if rule == "loso-210" else "")


@pytest.mark.parametrize("rule", ["loeo", "loeo-210"])
def test_leave_one_emotion_image_out(root, rule):
    data = jaffe.load(root, rule)
    assert [fold.fold for fold in data.folds] == ["take 1", "take 2", "take 3"]
    for k, fold in enumerate(data.folds):
        assert {rank(name) % 3 for name in files(fold.test)} == {k}
        assert k not in {rank(name) % 3 for name in files(fold.train) + files(fold.validation)}
        assert fold.shared_subjects() == sorted(MINIATURE)
        train, held = fold.train.counts(), fold.validation.counts()
        assert held == {label: max(round(0.1 * (train[label] + held[label])), 1) for label in train}
    assert data.protocol.startswith("leave one emotion image out, 3 folds by take; identities shared by train and test")


def test_take_numbers_may_have_gaps(root):
    of_fold = [{name[:6] for name in files(fold.test)} for fold in jaffe.load(root, "loeo").folds]
    assert [{"KM.SA1", "KM.SA2", "KM.SA3", "KM.SA5"} & names for names in of_fold] == [
        {"KM.SA1", "KM.SA5"},
        {"KM.SA2"},
        {"KM.SA3"},
    ]
    assert [{"KM.DI1", "KM.DI2", "KM.DI3"} & names for names in of_fold] == [{"KM.DI1"}, {"KM.DI3"}, set()]


def test_k_folds_are_stratified_and_leak(root):
    data = jaffe.load(root, "kfold")
    counts = np.array([[*fold.test.counts().values()] for fold in data.folds])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert data.protocol == "10 stratified folds, seeded; identity leak"
    assert data.shared_subjects()
    assert [fold.fold for fold in data.folds][:2] == ["part 1 of 10", "part 2 of 10"]


def test_the_first_files_of_each_class(root):
    data = jaffe.load(root, "ciaoface-70")
    assert (data.folds, data.fold) == ((), "")
    for code, emotion in CANONICAL.items():
        of_class = sorted(name for name in file_names() if name.split(".")[1][:2] == code)
        tested = [name for name in files(data.test) if parts(name)[1] == emotion]
        assert sorted(tested) == of_class[:10]
        assert data.validation.counts()[emotion] == 1
    assert len(data.test) == 70
    assert data.protocol == "the first 10 files of each class are test, as in the authors' code; identity leak"
    assert data.shared_subjects() == ["KM", "KR"]


@pytest.mark.parametrize("rule", ["loso-210", "loeo-210", "kfold-210"])
def test_at_most_three_takes(root, rule):
    data = jaffe.load(root, rule)
    names = data.train.images.names
    assert max(Counter(parts(name)[:2] for name in names).values()) == 3
    assert {*file_names()} - {*names} == {name for name in file_names() if rank(name) == 3}
    assert data.protocol.endswith("; at most 3 takes")
    assert data.published == {}
    for fold in data.folds:
        assert [split.dropped for split in fold.splits()] == [{"beyond 3 takes": 5}, {}, {}]


@pytest.mark.parametrize("rule", [rule for rule in jaffe.RULES if not rule.endswith("-210")])
def test_counts_of_the_distributed_files(tmp_path, rule):
    write_names(tmp_path)
    data = jaffe.load(tmp_path, rule)
    published = {"neutral": 30, "happiness": 31, "surprise": 30, "sadness": 31, "anger": 30, "disgust": 29, "fear": 32}
    for fold in data.folds or [data]:
        assert fold.published == {"train+validation+test": published}
        total = Counter()
        for split in fold.splits():
            total.update(split.counts())
            assert split.dropped == {}
        assert total == published
    if rule == "loso":
        per_subject = {
            "KA": 23,
            "KL": 22,
            "KM": 22,
            "KR": 20,
            "MK": 21,
            "NA": 21,
            "NM": 20,
            "TM": 21,
            "UY": 21,
            "YM": 22,
        }
        assert {fold.fold: len(fold.test) for fold in data.folds} == per_subject
        assert data.protocol == "leave one subject out, 10 folds"
    if rule == "ciaoface-70":
        assert (len(data.test), len(data.train) + len(data.validation)) == (70, 143)


def test_the_balanced_set_has_207(tmp_path):
    write_names(tmp_path)
    data = jaffe.load(tmp_path, "loso-210")
    assert len(data.train.images) == 207
    assert data.train.dropped == {"beyond 3 takes": 6}
    assert [fold.fold for fold in data.folds] == list(SUBJECTS)


# --- layouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["jaffe", "jaffedbase", "jaffeimages/jaffe", "JAFFE", "jaffe/images", "Jaffe/jaffe"])
@pytest.mark.parametrize("suffix", [".tiff", ".TIF", ".png", ".jpg"])
def test_folders_and_formats(tmp_path, root, folder, suffix):
    write_jaffe(tmp_path, folder=folder, suffix=suffix)
    data, usual = jaffe.load(tmp_path, "kfold"), jaffe.load(root, "kfold")
    for one, other in zip(data.folds, usual.folds, strict=True):
        for split, same in zip(one.splits(), other.splits(), strict=True):
            assert [parts(name) for name in files(split)] == [parts(name) for name in files(same)]
            assert split.rows.tolist() == same.rows.tolist()
            assert split.targets.tolist() == same.targets.tolist()


def test_readme_hidden_and_other_files_are_passed_over(tmp_path, root):
    write_jaffe(tmp_path)
    for name in (".DS_Store", "._KA.AN1.39.tiff", "README_FIRST.txt", "a_names.dat"):
        (tmp_path / "jaffe" / name).write_text("x")
    (tmp_path / "jaffe" / "__MACOSX").mkdir()
    (tmp_path / "jaffe" / "__MACOSX" / "._KA.AN1.39.tiff").write_text("x")
    assert jaffe.load(tmp_path).train.images.names == jaffe.load(root).train.images.names
