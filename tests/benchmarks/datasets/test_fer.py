import cv2
import numpy as np
import pytest

from benchmarks.datasets import fer
from ciao_stream.exceptions import DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS
from ciao_stream.faces.readers import csv_lines
from ciao_stream.faces.readers.labels import SYNONYMS, canonical, class_map
from ciao_stream.faces.readers.pixel_csv import PixelCsv
from ciao_stream.faces.task import EMOTIONS
from tests.helpers import real_data
from tests.helpers.fer2013_files import (
    CANONICAL,
    CSV_CLASSES,
    USAGES,
    edit_line,
    some_rows,
    write_csv,
    write_folders,
    write_icml_csv,
)
from tests.helpers.one_line import watch_lines

real_faces = real_data.real_faces
ROWS = some_rows()


def images(dataset):
    return np.stack([dataset.image(i) for i in range(len(dataset))])


def by_face(data, splits=SPLITS):
    """Face bytes -> canonical class name, over some splits."""
    sets = [getattr(data, split) for split in splits]
    return {s.image(i).tobytes(): s.spec.labels[t] for s in sets for i, t in enumerate(s.targets)}


EXPECTED = {face.tobytes(): CANONICAL[emotion] for emotion, face, _ in ROWS}


# --- names -----------------------------------------------------------------------------------------------------------


def test_class_maps_of_the_field_notes():
    assert class_map(CSV_CLASSES, EMOTIONS[:7]).tolist() == [4, 5, 6, 1, 3, 2, 0]
    assert class_map(sorted(CSV_CLASSES), EMOTIONS[:7]).tolist() == [4, 5, 6, 1, 0, 3, 2]
    assert class_map(["NE", "HA", "SU", "SA", "AN", "DI", "FE"], EMOTIONS).tolist() == list(range(7))


def test_no_name_means_two_emotions():
    names = [name for emotion in EMOTIONS for name in (emotion, *SYNONYMS[emotion])]
    assert len(names) == len(set(names))
    assert all(canonical(name.upper() + " ") in EMOTIONS for name in names)


def test_an_unknown_emotion_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'happy'"):
        canonical("happpy")
    with pytest.raises(UnknownNameError, match="unknown emotion 'contempt'"):
        canonical("contempt", EMOTIONS[:7])


# --- every layout, same faces, same labels ---------------------------------------------------------------------------

CSV_PLACES = ["fer2013/fer2013.csv", "fer2013.csv", "fer/fer2013.csv"]


@pytest.mark.parametrize("place", CSV_PLACES)
@pytest.mark.parametrize(("quote", "end"), [("", "\n"), ('"', "\n"), ("", "\r\n"), ('"', "\r\n")])
def test_csv(tmp_path, place, quote, end):
    write_csv(tmp_path / place, ROWS, quote, end)
    data = fer.load(tmp_path)
    assert by_face(data) == EXPECTED
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("fer", "categorical", EMOTIONS[:7])
    for dataset, usage in zip(data.splits(), USAGES, strict=True):
        of_usage = [(CANONICAL[emotion], face) for emotion, face, name in ROWS if name == usage]
        assert [EMOTIONS[t] for t in dataset.targets] == [name for name, _ in of_usage]
        assert (images(dataset) == np.stack([face for _, face in of_usage])).all()
        assert dataset.counts() == dict.fromkeys(EMOTIONS[:7], 2)
        assert (dataset.source, dataset.label_rule, dataset.dropped) == ("real", "as annotated", {})
        assert dataset.targets.dtype == dataset.rows.dtype == np.int64


@pytest.mark.parametrize("place", ["fer2013/icml_face_data.csv", "icml_face_data.csv", "fer/icml_face_data.csv"])
def test_icml_csv_has_blanks_in_its_header_and_another_order(tmp_path, place):
    write_icml_csv(tmp_path / place, ROWS)
    assert by_face(fer.load(tmp_path)) == EXPECTED


def test_folders(tmp_path):
    write_folders(tmp_path / "fer2013", ROWS)
    data = fer.load(tmp_path)
    assert by_face(data) == EXPECTED
    assert data.train.images is data.validation.images
    assert data.validation.counts() == dict.fromkeys(EMOTIONS[:7], 1)
    trained_on = {face.tobytes(): CANONICAL[emotion] for emotion, face, usage in ROWS if usage == "Training"}
    assert by_face(data, ["train", "validation"]) == trained_on


def test_jpg_folders_and_names_in_capitals(tmp_path):
    flat = [(emotion, np.full_like(face, 30 * emotion), usage) for emotion, face, usage in ROWS]
    write_folders(tmp_path / "fer", flat, suffix=".JPG")
    (tmp_path / "fer" / "train" / "happy").rename(tmp_path / "fer" / "train" / "Happiness")
    (tmp_path / "fer" / "train" / "angry" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "fer" / "train" / "angry" / "Thumbs.db").write_bytes(b"x")
    data = fer.load(tmp_path)
    assert set(by_face(data).values()) == set(EMOTIONS[:7])
    assert {
        CANONICAL[round(d.image(i).mean() / 30)] == EMOTIONS[t] for d in data.splits() for i, t in enumerate(d.targets)
    } == {True}


def test_the_csv_is_preferred_to_the_folders(tmp_path):
    write_folders(tmp_path / "fer2013", ROWS)
    write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    assert isinstance(fer.load(tmp_path).train.images, PixelCsv)


def test_blank_lines_and_a_byte_order_mark(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join([lines[0], b"", *lines[1:20], b"  ", *lines[20:]]) + b"\n\n")
    assert by_face(fer.load(tmp_path)) == EXPECTED


# --- lazy, picklable, fingerprinted ----------------------------------------------------------------------------------


def test_no_pixel_is_parsed_before_it_is_read(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    first = " ".join(map(str, ROWS[0][1].ravel()[:2]))
    edit_line(path, 2, first, "abc 999")
    data = fer.load(tmp_path)
    position = USAGES.index(ROWS[0][2])
    with pytest.raises(DataError, match=r"fer2013\.csv, line 2: pixel 1 is 'abc'"):
        data.splits()[position].image(0)
    assert data.splits()[position].image(1).shape == (48, 48)


def test_one_line_at_a_time(tmp_path, monkeypatch):
    write_csv(tmp_path / "fer2013.csv", ROWS)
    sizes = watch_lines(monkeypatch, "ciao_stream.faces.readers.pixel_csv")
    fer.load(tmp_path)
    assert max(sizes) < csv_lines.MAX_LINE
    assert len(sizes) == len(ROWS) + 1


def test_the_fingerprint_changes_with_any_pixel_and_split(tmp_path):
    path = write_csv(tmp_path / "fer2013.csv", ROWS)
    before = [d.images.fingerprint for d in fer.load(tmp_path).splits()]
    assert len(set(before)) == 3
    text = path.read_text()
    path.write_text(text.replace(" 17 ", " 18 ", 1))
    assert all(d.images.fingerprint != b for d, b in zip(fer.load(tmp_path).splits(), before, strict=True))


def test_the_fingerprint_of_files_changes_with_any_pixel(tmp_path):
    write_folders(tmp_path / "fer", ROWS)
    before = fer.load(tmp_path).train.images.fingerprint
    face = sorted((tmp_path / "fer" / "train" / "sad").iterdir())[0]
    image = cv2.imread(str(face), cv2.IMREAD_GRAYSCALE)
    image[5, 5] ^= 1
    cv2.imwrite(str(face), image)
    assert fer.load(tmp_path).train.images.fingerprint != before


# --- real faces ------------------------------------------------------------------------------------------------------


def test_real_faces(real_faces):
    data = fer.load(real_faces)
    assert [len(d) for d in data.splits()] == [200, 200, 200]
    faces = images(data.train)
    assert (faces.shape, faces.dtype) == ((200, 48, 48), np.uint8)
    assert faces.std(axis=(1, 2)).mean() > 30
    labels = (real_data.shared_data() / "fer2013_labels.csv").read_text().split("\n")[1:]
    for dataset, usage in zip(data.splits(), USAGES, strict=True):
        native = [int(row.split(",")[1]) for row in labels if row.endswith(usage)][:200]
        assert [EMOTIONS[t] for t in dataset.targets] == [CANONICAL[n] for n in native]
