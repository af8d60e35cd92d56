import os
from collections import Counter

import numpy as np
import pytest

from benchmarks.datasets import _affectnet_2021 as affectnet_2021
from benchmarks.datasets import affectnet, affectnet_va
from benchmarks.synthetic.readings import SPECS
from ciao_stream.exceptions import UnknownNameError
from ciao_stream.faces.readers import csv_lines
from ciao_stream.faces.task import EMOTIONS
from tests.helpers import affectnet_files
from tests.helpers.affectnet_files import CODES, SETS, write_affectnet_2017, write_affectnet_2021, write_annotation
from tests.helpers.one_line import watch_lines

WRITERS = {2017: write_affectnet_2017, 2021: write_affectnet_2021}
both_releases = pytest.mark.parametrize("release", WRITERS)


def images(dataset):
    return [dataset.image(i) for i in range(len(dataset))]


def names(dataset):
    """File name of each sample."""
    source = dataset.images
    files = getattr(source, "images", source).names
    return [files[row] for row in dataset.rows]


def official(dataset):
    return "validation" if dataset.split == "test" else "training"


def assert_same_image(one, other):
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 4


# --- what each face is -----------------------------------------------------------------------------------------------


@both_releases
def test_every_face_has_its_own_expression(tmp_path, release):
    faces = {face.name: face for face in WRITERS[release](tmp_path)}
    data = affectnet.load(tmp_path)
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("affectnet", "categorical", EMOTIONS)
    seen = []
    for dataset in data.splits():
        assert (dataset.source, dataset.label_rule, dataset.framing) == ("real", "8 classes", "face")
        assert dataset.groups is None
        assert dataset.subjects is None
        for name, image, target in zip(names(dataset), images(dataset), dataset.targets, strict=True):
            assert faces[name].official == official(dataset)
            assert CODES[faces[name].code] == EMOTIONS[target]
            assert_same_image(image, faces[name].image)
        seen += names(dataset)
    assert sorted(seen) == sorted(name for name, face in faces.items() if face.code < 8)


@both_releases
def test_every_face_has_its_own_arousal_and_valence(tmp_path, release):
    faces = {face.name: face for face in WRITERS[release](tmp_path)}
    data = affectnet_va.load(tmp_path)
    assert data.spec == SPECS["affectnet-va"]
    seen = []
    for dataset in data.splits():
        assert (dataset.source, dataset.label_rule, dataset.framing) == ("real", "as annotated", "face")
        assert dataset.targets.dtype == np.float32
        for name, image, target in zip(names(dataset), images(dataset), dataset.targets, strict=True):
            assert faces[name].official == official(dataset)
            assert target.tolist() == [np.float32(faces[name].arousal), np.float32(faces[name].valence)]
            assert_same_image(image, faces[name].image)
        seen += names(dataset)
    assert sorted(seen) == sorted(name for name, face in faces.items() if face.rated)


def test_the_box_runs_along_the_columns_first(tmp_path):
    face = write_affectnet_2017(tmp_path)[0]
    path = tmp_path / "affectnet" / "Manually_Annotated_Images" / face.name
    photo = np.zeros((72, 96, 3), dtype=np.uint8)
    photo[5:25, 60:90] = 200
    affectnet_files.write_image(path, photo)
    csv = tmp_path / "affectnet" / "Manually_Annotated_file_lists" / affectnet_files.LISTS[face.official]
    lines = csv.read_text().split("\n")
    row = next(i for i, line in enumerate(lines) if line.startswith(face.name))
    lines[row] = ",".join([face.name, "60", "5", "30", "20", *lines[row].split(",")[5:]])
    csv.write_text("\n".join(lines))
    (image,) = (
        dataset.image(i)
        for dataset in affectnet_va.load(tmp_path).splits()
        for i, name in enumerate(names(dataset))
        if name == face.name
    )
    assert image.shape == (20, 30, 3)
    assert (image == 200).all()


# --- splits, counts, dropped faces -----------------------------------------------------------------------------------


@both_releases
@pytest.mark.parametrize(("rule", "n"), [(None, 8), ("8", 8), ("7", 7)])
def test_every_class_in_every_split(tmp_path, release, rule, n):
    WRITERS[release](tmp_path)
    data = affectnet.load(tmp_path, rule)
    assert data.spec.name == "affectnet"
    assert data.spec.labels == EMOTIONS[:n]
    assert data.protocol == (
        "official training and validation set, reported on the latter; validation carved from training"
    )
    assert [d.counts() for d in data.splits()] == [dict.fromkeys(EMOTIONS[:n], each) for each in (3, 1, 2)]
    assert {d.label_rule for d in data.splits()} == {f"{n} classes"}
    assert [d.dropped.get("contempt") for d in data.splits()] == ([None] * 3 if n == 8 else [3, 1, 2])


def test_dropped_faces_are_counted(tmp_path):
    faces = write_affectnet_2017(tmp_path)
    data, rated = affectnet.load(tmp_path), affectnet_va.load(tmp_path)
    assert [d.dropped for d in data.splits()] == [
        {"no face box (NULL)": 2, "empty face box": 1, "none": 3, "uncertain": 3, "no face": 3},
        {"none": 1, "uncertain": 1, "no face": 1},
        {"no face box (NULL)": 1, "none": 2, "uncertain": 2, "no face": 2},
    ]
    for dataset in rated.splits():
        assert "none" not in dataset.dropped
        boxes = dataset.dropped.get("no face box (NULL)", 0) + dataset.dropped.get("empty face box", 0)
        assert boxes == {"train": 3, "validation": 0, "test": 1}[dataset.split]
    not_rated = Counter(face.official for face in faces if not face.rated)
    dropped = [d.dropped["not rated (-2)"] for d in rated.splits()]
    assert [dropped[0] + dropped[1], dropped[2]] == [not_rated["training"], not_rated["validation"]]
    rows = [len(d) + sum(d.dropped.values()) for d in data.splits()]
    assert rows == [len(d) + sum(d.dropped.values()) for d in rated.splits()]
    assert sum(rows) == len(faces) + 4


def test_faces_without_an_emotion_may_be_rated(tmp_path):
    faces = {face.name: face for face in write_affectnet_2017(tmp_path)}
    codes = Counter(CODES[faces[n].code] for d in affectnet_va.load(tmp_path).splits() for n in names(d))
    assert codes["none"] == 3
    assert (codes["uncertain"], codes["no face"]) == (0, 0)


def test_codes_and_ratings_that_are_not_applicable_are_dropped_from_2021_too(tmp_path):
    face = next(face for face in write_affectnet_2021(tmp_path) if face.official == "validation")
    place, face_id = tmp_path / "affectnet" / "val_set", face.name.removesuffix(".jpg")
    write_annotation(place, face_id, "exp", "9")
    write_annotation(place, face_id, "aro", "-2.0")
    assert affectnet.load(tmp_path).test.dropped == {"uncertain": 1}
    assert affectnet_va.load(tmp_path).test.dropped == {"not rated (-2)": 1}


@both_releases
def test_both_tasks_share_images_and_hold_out_the_same_faces(tmp_path, release):
    WRITERS[release](tmp_path)
    tasks = [affectnet.load(tmp_path), affectnet.load(tmp_path, "7"), affectnet_va.load(tmp_path)]
    for split in range(3):
        assert len({data.splits()[split].images.fingerprint for data in tasks}) == 1
    for data in tasks:
        assert data.train.images is data.validation.images
        assert data.train.images.fingerprint != data.test.images.fingerprint
        assert not set(names(data.train)) & set(names(data.validation))
    for one in tasks:
        for other in tasks:
            assert not set(names(one.train)) & set(names(other.validation))


@pytest.mark.parametrize(
    ("release", "rule", "expected"),
    [
        (2017, "8", {"train+validation": 287_651, "test": 4_000}),
        (2017, "7", {"train+validation": 283_901, "test": 3_500}),
        (2021, "8", {"train+validation": 287_651, "test": 3_999}),
        (2021, "7", {"test": 3_500}),
    ],
)
def test_published_counts(tmp_path, release, rule, expected):
    WRITERS[release](tmp_path)
    data = affectnet.load(tmp_path, rule)
    totals = {key: n if isinstance(n, int) else sum(n.values()) for key, n in data.published.items()}
    assert totals == expected
    for counts in data.published.values():
        assert isinstance(counts, int) or set(counts) == set(data.spec.labels)
    if release == 2017:
        by_name = data.published["train+validation"]
        assert (by_name["sadness"], by_name["surprise"], by_name["disgust"]) == (25_459, 14_090, 3_803)
    assert affectnet_va.load(tmp_path).published == {}


def test_a_photo_that_is_listed_twice_counts_once(tmp_path):
    write_affectnet_2017(tmp_path)
    csv = tmp_path / "affectnet" / "Manually_Annotated_file_lists" / "training.csv"
    before = affectnet.load(tmp_path)
    lines = csv.read_text().splitlines()
    csv.write_text("\n".join([*lines, lines[1]]) + "\n")
    after = affectnet.load(tmp_path)
    assert after.train.dropped == {**before.train.dropped, "photo listed before": 1}
    assert [names(d) for d in after.splits()] == [names(d) for d in before.splits()]


# --- layouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "photos"),
    [
        ("affectnet", "affectnet/Manually_Annotated_Images"),
        ("AffectNet", "AffectNet/Manually_Annotated/Manually_Annotated_Images"),
        ("AffectNet/manually_annotated_file_lists", "AffectNet/Manually_annotated/manually_annotated_images"),
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_places_and_headers_of_2017(tmp_path, lists, photos, header):
    faces = write_affectnet_2017(tmp_path / "there", lists=lists, images=photos, header=header)
    write_affectnet_2017(tmp_path / "usual")
    there, usual = affectnet.load(tmp_path / "there"), affectnet.load(tmp_path / "usual")
    assert sum(map(len, there.splits())) == sum(face.code < 8 for face in faces)
    for one, other in zip(there.splits(), usual.splits(), strict=True):
        assert names(one) == names(other)
        assert one.targets.tolist() == other.targets.tolist()
        assert one.dropped == other.dropped


@pytest.mark.parametrize("header", [True, False])
def test_quotes_blanks_line_ends_and_a_byte_order_mark(tmp_path, header):
    write_affectnet_2017(tmp_path, header=header)
    expected = [(names(d), d.targets.tolist(), d.dropped) for d in affectnet_va.load(tmp_path).splits()]
    for path in (tmp_path / "affectnet" / "Manually_Annotated_file_lists").iterdir():
        rows = [",".join(f'"{cell}"' for cell in line.split(",")) for line in path.read_text().splitlines()]
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*rows[:4], "", *rows[4:]]).encode())
    assert [(names(d), d.targets.tolist(), d.dropped) for d in affectnet_va.load(tmp_path).splits()] == expected


def test_columns_go_by_name(tmp_path):
    write_affectnet_2017(tmp_path)
    expected = [d.targets.tolist() for d in affectnet_va.load(tmp_path).splits()]
    for path in (tmp_path / "affectnet" / "Manually_Annotated_file_lists").iterdir():
        rows = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text("\n".join(",".join([*reversed(cells), "more"]) for cells in rows))
    assert [d.targets.tolist() for d in affectnet_va.load(tmp_path).splits()] == expected


def test_2021_is_preferred(tmp_path):
    write_affectnet_2017(tmp_path)
    write_affectnet_2021(tmp_path)
    (tmp_path / "affectnet" / "Manually_Annotated_file_lists" / "training.csv").write_text("damaged")
    assert affectnet.load(tmp_path).train.image(0).shape == (64, 64, 3)


def test_ids_are_ordered_by_number(tmp_path):
    faces = write_affectnet_2021(tmp_path)
    for split in (affectnet_va.load(tmp_path).train, affectnet_va.load(tmp_path).test):
        expected = [face.name for face in faces if face.official == official(split)]
        assert list(split.images.names) == expected
        assert expected != sorted(expected)


@pytest.mark.parametrize("value", ["3", 3, b"3", "3.0", 3.0, ["3"], [[3]], np.int8(3), np.float32(3)])
def test_expressions_may_be_written_in_many_ways(tmp_path, value):
    face = next(f for f in write_affectnet_2021(tmp_path) if f.official == "validation" and f.code == 0)
    write_annotation(tmp_path / "affectnet" / "val_set", face.name.removesuffix(".jpg"), "exp", value)
    test = affectnet.load(tmp_path).test
    assert EMOTIONS[test.targets[names(test).index(face.name)]] == "surprise"


def test_other_files_are_ignored(tmp_path):
    write_affectnet_2021(tmp_path)
    before = affectnet.load(tmp_path)
    place = tmp_path / "affectnet" / "train_set"
    for file in ("images/Thumbs.db", "images/._5.jpg", "images/readme", "images/.jpg", "annotations/._5_exp.npy"):
        (place / file).write_bytes(b"x")
    (place / "annotations" / "999_lnd.npy").write_bytes(b"x")
    after = affectnet.load(tmp_path)
    assert names(after.train) == names(before.train)


# --- deterministic, cached -------------------------------------------------------------------------------------------


@both_releases
def test_the_order_of_a_directory_changes_nothing(tmp_path, release, monkeypatch):
    WRITERS[release](tmp_path / "a")
    WRITERS[release](tmp_path / "b", reverse=True)
    one = affectnet.load(tmp_path / "a")
    scandir = os.scandir

    class Reversed:
        def __init__(self, folder):
            with scandir(folder) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", Reversed)
    other = affectnet.load(tmp_path / "b")
    monkeypatch.undo()
    for left, right in zip(one.splits(), other.splits(), strict=True):
        assert left.images.fingerprint == right.images.fingerprint
        assert left.rows.tolist() == right.rows.tolist()
        assert left.targets.tolist() == right.targets.tolist()


def test_the_fingerprint_changes_with_any_pixel_and_box(tmp_path):
    def fingerprints():
        data = affectnet.load(tmp_path)
        return data.train.images.fingerprint, data.test.images.fingerprint

    face = next(face for face in write_affectnet_2017(tmp_path) if face.official == "training")
    train, test = fingerprints()
    affectnet_files.write_image(
        tmp_path / "affectnet" / "Manually_Annotated_Images" / face.name, np.zeros((72, 96, 3), np.uint8)
    )
    other_pixels, same_test = fingerprints()
    assert (other_pixels != train, same_test == test) == (True, True)
    csv = tmp_path / "affectnet" / "Manually_Annotated_file_lists" / "validation.csv"
    lines = csv.read_text().split("\n")
    cells = lines[1].split(",")
    lines[1] = ",".join([cells[0], str(int(cells[1]) + 1), *cells[2:]])
    csv.write_text("\n".join(lines))
    same_train, other_box = fingerprints()
    assert (same_train == other_pixels, other_box != test) == (True, True)


def test_annotations_are_read_once_until_one_changes(tmp_path, monkeypatch):
    face = write_affectnet_2021(tmp_path)[0]
    place = tmp_path / "affectnet" / SETS[face.official]
    first = affectnet_va.load(tmp_path)
    read = []

    def spy(path):
        read.append(path.name)
        return read_number(path)

    read_number = affectnet_2021._read_number
    monkeypatch.setattr(affectnet_2021, "_read_number", spy)
    second = affectnet_va.load(tmp_path)
    assert read == []
    assert [d.targets.tolist() for d in second.splits()] == [d.targets.tolist() for d in first.splits()]
    write_annotation(place, face.name.removesuffix(".jpg"), "aro", 0.125)
    third = affectnet_va.load(tmp_path)
    assert read
    values = {n: t.tolist() for d in third.splits() for n, t in zip(names(d), d.targets, strict=True)}
    assert values[face.name] == [0.125, np.float32(face.valence)]


def test_one_line_at_a_time(tmp_path, monkeypatch):
    write_affectnet_2017(tmp_path)
    sizes = watch_lines(monkeypatch, "benchmarks.datasets._affectnet_2017")
    data = affectnet.load(tmp_path)
    assert max(sizes) < csv_lines.MAX_LINE
    assert len(sizes) == 2 + sum(len(d) + sum(d.dropped.values()) for d in data.splits())


@pytest.mark.parametrize(
    ("load", "rule", "known"),
    [(affectnet.load, "9", "8, 7"), (affectnet.load, "8 classes", "8, 7"), (affectnet_va.load, "8", "as annotated")],
)
def test_unknown_rule(tmp_path, load, rule, known):
    with pytest.raises(UnknownNameError, match=f"unknown label rule '{rule}'.*known: {known}"):
        load(tmp_path, rule)
