from collections import Counter

import numpy as np
import pytest

from benchmarks.datasets import ckplus
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.ckplus_files import NATIVE, SUBJECTS, image_of, write_ck48, write_ckplus

CLIPS = {"happiness": 69, "surprise": 83, "sadness": 28, "anger": 45, "disgust": 59, "fear": 25, "contempt": 18}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("ckplus")
    write_ckplus(place)
    return place


@pytest.fixture(scope="module")
def truths(tmp_path_factory):
    return {rule: write_ckplus(tmp_path_factory.mktemp("truth"), rule=rule) for rule in ckplus.RULES}


def files(split):
    return [split.images.names[row] for row in split.rows]


def labels_of(fold):
    """File -> class, over the splits of a fold; no file is in two of them."""
    pairs = [(n, s.spec.labels[t]) for s in fold.splits() for n, t in zip(files(s), s.targets, strict=True)]
    assert len(dict(pairs)) == len(pairs)
    return dict(sorted(pairs))


def subject_of(name):
    return name.split("/")[-1].split("_")[0]


def same_splits(data, again):
    for one, other in zip(data.folds, again.folds, strict=True):
        assert one.fold == other.fold
        for split, same in zip(one.splits(), other.splits(), strict=True):
            assert files(split) == files(same)
            assert split.rows.tolist() == same.rows.tolist()
            assert split.targets.tolist() == same.targets.tolist()


# --- clips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ckplus.RULES)
def test_every_frame_has_its_label_and_its_subject(root, truths, rule):
    data = ckplus.load(root, rule)
    labels = EMOTIONS if rule.startswith("8") else EMOTIONS[1:]
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("ckplus", "categorical", labels)
    assert list(data.train.images.names) == list(truths[rule])
    for fold in data.folds:
        assert labels_of(fold) == truths[rule]
        for split in fold.splits():
            assert (split.source, split.framing, split.groups) == ("real", "photo", None)
            assert split.images is data.train.images
            assert split.subjects.tolist() == [subject_of(name) for name in files(split)]
            assert min(split.counts().values()) > 0
    test = data.test
    for i, name in enumerate(files(test)):
        assert (test.image(i)[..., 0] if test.image(i).ndim == 3 else test.image(i)).tolist() == image_of(name).tolist()


def test_what_the_rules_take(root):
    clip = "S005/001/S005_001_"  # five or more frames, labelled

    def taken(rule):
        names = ckplus.load(root, rule).train.images.names
        return [int(name[-12:-4]) for name in names if name.startswith(clip)]

    last = taken("7-peak1")[0]
    assert last in (4, 5, 12)
    assert taken(None) == taken("8") == [1, last - 2, last - 1, last]
    assert taken("7") == [last - 2, last - 1, last]
    assert taken("8-peak1") == [1, last]


def test_the_rules_say_how_labels_are_made(root):
    rules = [{split.label_rule for split in ckplus.load(root, rule).splits()} for rule in ckplus.RULES]
    assert rules == [
        {"8 classes: last 3 frames, first is neutral"},
        {"7 classes: last 3 frames"},
        {"8 classes: last frame, first is neutral"},
        {"7 classes: last frame"},
    ]


def test_native_numbers_are_the_field_notes():
    from benchmarks.datasets.ckplus import CLASSES
    from ciao_stream.faces.readers.labels import class_map

    assert class_map(CLASSES, EMOTIONS).tolist() == [0, 4, 7, 5, 6, 1, 3, 2]
    assert [EMOTIONS[i] for i in class_map(CLASSES, EMOTIONS)] == list(NATIVE)


@pytest.mark.parametrize("rule", ckplus.RULES)
def test_clips_without_a_label_are_counted(root, rule):
    data = ckplus.load(root, rule)
    assert not any("_008_" in name for name in data.train.images.names)
    for fold in data.folds:
        assert [split.dropped for split in fold.splits()] == [{"no emotion label": len(SUBJECTS)}, {}, {}]


def test_a_clip_without_a_label_folder(root, tmp_path):
    write_ckplus(tmp_path)
    (tmp_path / "ckplus" / "Emotion" / "S005" / "008").rmdir()
    same_splits(ckplus.load(root), ckplus.load(tmp_path))


def test_a_clip_labelled_neutral(tmp_path):
    write_ckplus(tmp_path)
    label = min((tmp_path / "ckplus" / "Emotion" / "S010" / "003").iterdir())
    label.write_text("0.0000000e+00")
    eight, seven = ckplus.load(tmp_path, "8"), ckplus.load(tmp_path, "7")
    assert {name: label for name, label in labels_of(eight).items() if "S010_003" in name}.keys() == {
        name for name in eight.train.images.names if "S010_003" in name
    }
    assert {label for name, label in labels_of(eight).items() if "S010_003" in name} == {"neutral"}
    assert not any("S010_003" in name for name in seven.train.images.names)
    assert seven.train.dropped == {"no emotion label": 4, "labelled neutral": 1}
    assert eight.train.dropped == {"no emotion label": 4}


# --- folds -----------------------------------------------------------------------------------------------------------


def test_nobody_is_in_two_splits(root):
    data = ckplus.load(root)
    assert [fold.fold for fold in data.folds] == list(SUBJECTS)
    for k, fold in enumerate(data.folds):
        assert {*fold.test.subjects} == {SUBJECTS[k]}
        assert {*fold.validation.subjects} == {SUBJECTS[(k + 1) % 4]}
        assert {*fold.train.subjects} == {SUBJECTS[(k + 2) % 4], SUBJECTS[(k + 3) % 4]}
        assert fold.shared_subjects() == []
        assert fold.protocol == "4 folds by subject, no person in two splits"
    assert data.of_run(6) is data.folds[2]


@pytest.mark.parametrize("write", [write_ckplus, write_ck48])
def test_ten_folds_of_many(tmp_path, write):
    people = [f"S{n:03d}" for n in range(100, 113)]
    truth = write(tmp_path, subjects=people)
    data = ckplus.load(tmp_path)
    assert len(data.folds) == 10
    assert data.protocol == "10 folds by subject, no person in two splits"
    assert [fold.fold for fold in data.folds[2:4]] == ["S102 and 1 more", "S103"]
    for k, fold in enumerate(data.folds):
        assert {*fold.test.subjects} == {*people[k::10]}
        assert {*fold.validation.subjects} == {*people[(k + 1) % 10 :: 10]}
        assert fold.shared_subjects() == []
        assert len(labels_of(fold)) == len(truth)
    assert sorted(name for fold in data.folds for name in files(fold.test)) == sorted(data.train.images.names)


@pytest.mark.parametrize("rule", ckplus.RULES)
def test_published_counts(root, rule):
    times = 1 if rule.endswith("-peak1") else 3
    published = ckplus.load(root, rule).folds[-1].published
    assert published == {"train+validation+test": {label: n * times for label, n in CLIPS.items()}}
    assert sum(published["train+validation+test"].values()) == 327 * times


# --- layouts ---------------------------------------------------------------------------------------------------------

LAYOUTS = [
    ("ckplus/extended-cohn-kanade-images/cohn-kanade-images", "ckplus/Emotion_labels/Emotion"),
    ("CK+/cohn-kanade-images", "CK+/Emotion"),
    ("ck+/Cohn-Kanade-Images", "ck+/emotion"),
    ("cohn-kanade/cohn-kanade-images", "cohn-kanade/Emotion_labels"),
    ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
    ("cohn-kanade-images", "ckplus/Emotion"),
]


@pytest.mark.parametrize(("images", "labels"), LAYOUTS)
def test_folders(tmp_path, root, images, labels):
    write_ckplus(tmp_path, images=images, labels=labels)
    same_splits(ckplus.load(root), ckplus.load(tmp_path))


def test_hidden_and_other_files_are_passed_over(tmp_path, root):
    write_ckplus(tmp_path)
    for place in ("", "S005", "S005/001"):
        for name in (".DS_Store", "._S005_001_00000001.png", "Thumbs.db"):
            (tmp_path / "ckplus" / "cohn-kanade-images" / place / name).write_bytes(b"x")
            (tmp_path / "ckplus" / "Emotion" / place / name).write_bytes(b"x")
    (tmp_path / "ckplus" / "Emotion" / "ReadMe.txt").write_text("about the labels")
    (tmp_path / "ckplus" / "Emotion" / "S005" / "001" / "._S005_001_00000011_emotion.txt").write_bytes(b"x")
    same_splits(ckplus.load(root), ckplus.load(tmp_path))


def test_clips_are_preferred_to_ck48(tmp_path, root):
    write_ck48(tmp_path)
    write_ckplus(tmp_path)
    same_splits(ckplus.load(root), ckplus.load(tmp_path))


# --- CK+48 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["CK+48", "ckplus/CK+48", "ck+48", "ck+/CK+48", "CK48"])
@pytest.mark.parametrize("named", [True, False])
def test_ck48(tmp_path, folder, named):
    truth = write_ck48(tmp_path, folder=folder, named=named)
    data = ckplus.load(tmp_path)
    assert data.spec.labels == EMOTIONS[1:]
    for fold in data.folds:
        assert labels_of(fold) == dict(sorted(truth.items()))
        for split in fold.splits():
            assert (split.framing, split.label_rule) == ("face", "7 classes: last 3 frames (CK+48)")
            assert split.images is data.train.images
            assert split.dropped == {}
        assert fold.published["train+validation+test"] == {label: 3 * n for label, n in CLIPS.items()}
    for i, name in enumerate(files(data.test)):
        assert data.test.image(i).tolist() == image_of(name, 48).tolist()
    same_splits(data, ckplus.load(tmp_path, "7"))


def test_ck48_with_subjects(tmp_path):
    write_ck48(tmp_path)
    data = ckplus.load(tmp_path)
    assert data.protocol == "4 folds by subject, no person in two splits"
    for k, fold in enumerate(data.folds):
        assert {*fold.test.subjects} == {subject_of(name) for name in files(fold.test)} == {SUBJECTS[k]}
        assert fold.shared_subjects() == []
        assert all(min(split.counts().values()) > 0 for split in fold.splits())


def test_ck48_without_subjects(tmp_path):
    write_ck48(tmp_path, named=False)
    data = ckplus.load(tmp_path)
    assert data.protocol == "10 folds, identities unknown: leak likely"
    assert len(data.folds) == 10
    assert Counter(name for fold in data.folds for name in files(fold.test)) == Counter(data.train.images.names)
    counts = np.array([[*fold.test.counts().values()] for fold in data.folds])
    assert np.ptp(counts, axis=0).max() <= 1
    for fold in data.folds:
        assert fold.shared_subjects() is None
        assert all(split.subjects is None for split in fold.splits())
        assert min(fold.validation.counts().values()) > 0


def test_ck48_where_some_names_tell_the_clip(tmp_path):
    people = [f"S{n:03d}" for n in range(100, 112)]
    write_ck48(tmp_path, subjects=people)
    place = tmp_path / "CK+48" / "anger"
    for number, path in enumerate(sorted(place.iterdir())[:12]):
        path.rename(place / f"{number}.png")
    data = ckplus.load(tmp_path)
    assert data.protocol == "10 folds, identities unknown: leak likely"
    assert Counter(name for fold in data.folds for name in files(fold.test)) == Counter(data.train.images.names)
    for fold in data.folds:
        clips = [{name.rpartition("_")[0] for name in files(split) if "_" in name} for split in fold.splits()]
        assert all(len(names) > 3 for names in clips)
        assert clips[0] & clips[1] == clips[0] & clips[2] == clips[1] & clips[2] == set()
