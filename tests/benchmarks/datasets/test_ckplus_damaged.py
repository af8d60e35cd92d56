"""CK+ as it should not be: each fault is one line that says what is wrong, where, and what to do."""

import shutil

import pytest

from benchmarks.datasets import ckplus
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.ckplus_files import write_ck48, write_ckplus, write_image

IMAGES, LABELS = "ckplus/cohn-kanade-images", "ckplus/Emotion"


def label_file(root, place="S005/002"):
    return min((root / LABELS / place).iterdir())


def label(text):
    return lambda root: label_file(root).write_text(text)


def move(old, new):
    """Move a path under the data root; a folder takes what is in it along."""

    def damage(root):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return damage


def move_label(new):
    def damage(root):
        label_file(root).rename(root / LABELS / new)

    return damage


def add(name):
    return lambda root: write_image(root / name)


def remove(*patterns):
    def damage(root):
        paths = [path for pattern in patterns for path in root.glob(pattern)]
        assert paths
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def empty(name):
    return lambda root: (shutil.rmtree(root / name), (root / name).mkdir())


def second_label(root):
    path = label_file(root)
    path.with_name(path.name.replace("0000", "0001")).write_text("   3.0000000e+00\n")


def keep_frames(n):
    """Keep the last frames of a clip, whose label stays right."""

    def damage(root):
        for path in sorted((root / IMAGES / "S005" / "002").iterdir())[:-n]:
            path.unlink()

    return damage


def no_fear(root):
    for path in (root / LABELS).rglob("*.txt"):
        path.write_text(path.read_text().replace("4.0", "3.0"))


def a_file(name):
    return lambda root: (shutil.rmtree(root / name), (root / name).write_bytes(b"x"))


WHOLE = "expected a whole number from 0 to 7; get the file again"
DAMAGED = {
    "label 8": (label("   8.0000000e+00\n"), None, f"_emotion.txt: the label is '8.0000000e+00'; {WHOLE}"),
    "label -1": (label("-1"), None, f"_emotion.txt: the label is '-1'; {WHOLE}"),
    "label 3.5": (label("3.5000000e+00"), None, f"_emotion.txt: the label is '3.5000000e+00'; {WHOLE}"),
    "a name for a label": (label("anger"), None, f"_emotion.txt: the label is 'anger'; {WHOLE}"),
    "label nan": (label("nan"), None, f"_emotion.txt: the label is 'nan'; {WHOLE}"),
    "label inf": (label("1e999"), None, f"_emotion.txt: the label is '1e999'; {WHOLE}"),
    "an empty label": (label(""), None, f"_emotion.txt: the label is ''; {WHOLE}"),
    "two lines": (label("3.0\n4.0\n"), None, f"_emotion.txt: the label is '3.0\\n4.0'; {WHOLE}"),
    "bytes": (lambda root: label_file(root).write_bytes(b"\xff\xfe3"), None, f"the label is '��3'; {WHOLE}"),
    "two labels": (second_label, None, f"{LABELS}/S005/002: two labels, S005_002_0000"),
    "another clip's label": (
        move_label("S005/003/S005_002_00000004_emotion.txt"),
        None,
        "Emotion/S005/003/S005_002_00000004_emotion.txt: expected labels in files like S005/001/",
    ),
    "another subject's label": (
        move_label("S010/002/S005_002_00000004_emotion.txt"),
        None,
        "Emotion/S010/002/S005_002_00000004_emotion.txt: expected labels in files like S005/001/",
    ),
    "a label beside the clips": (
        move_label("S005/S005_002_00000004_emotion.txt"),
        None,
        "Emotion/S005/S005_002_00000004_emotion.txt: expected labels in files like S005/001/",
    ),
    "a label of another name": (
        move_label("S005/002/emotion.txt"),
        None,
        "Emotion/S005/002/emotion.txt: expected labels in files like S005/001/S005_001_00000011_emotion.txt; move or",
    ),
    "a label for no clip": (
        remove(f"{IMAGES}/S005/002"),
        None,
        f"_emotion.txt: there is no sequence {{root}}/{IMAGES}/S005/002 with images; get the sequence again",
    ),
    "a label for no subject": (
        remove(f"{IMAGES}/S010"),
        None,
        f"_emotion.txt: there is no sequence {{root}}/{IMAGES}/S010/001 with images",
    ),
    "the peak is missing": (
        lambda root: max((root / IMAGES / "S005" / "002").iterdir()).unlink(),
        None,
        f"is not in {{root}}/{IMAGES}/S005/002; get the sequence again",
    ),
    "no images in a clip": (empty(f"{IMAGES}/S005/002"), None, "S005/002: no images in it; get the sequence again"),
    "no images in a clip without a label": (empty(f"{IMAGES}/S005/008"), None, "S005/008: no images in it; get the"),
    "no clips of a subject": (
        empty(f"{IMAGES}/S005"),
        None,
        "cohn-kanade-images/S005: nothing in it; expected one folder per sequence, named like 001; get the",
    ),
    "no subjects": (empty(IMAGES), None, "cohn-kanade-images: nothing in it; expected one folder per subject"),
    "a strange subject": (
        move(f"{IMAGES}/S005", f"{IMAGES}/subject 5"),
        None,
        "cohn-kanade-images/subject 5: not expected here; expected one folder per subject, named like S005",
    ),
    "a strange clip": (
        move(f"{IMAGES}/S005/008", f"{IMAGES}/S005/eight"),
        None,
        "S005/eight: not expected here; expected one folder per sequence, named like 001; move or remove it",
    ),
    "an image beside the clips": (
        add(f"{IMAGES}/S005/S005_001_00000001.png"),
        None,
        "S005/S005_001_00000001.png: not expected here; expected one folder per sequence",
    ),
    "another clip's frame": (
        add(f"{IMAGES}/S005/002/S005_003_00000001.png"),
        None,
        "S005/002/S005_003_00000001.png: expected a frame named like S005_002_00000011.png; move or remove it",
    ),
    "a strange frame": (
        add(f"{IMAGES}/S005/002/contact sheet.png"),
        None,
        "S005/002/contact sheet.png: expected a frame named like S005_002_00000011.png",
    ),
    "a frame twice": (
        add(f"{IMAGES}/S005/002/S005_002_1.png"),
        None,
        "S005/002/S005_002_1.png: the same frame as S005_002_00000001.png; keep one of them",
    ),
    "three frames for 8": (
        keep_frames(3),
        "8",
        "S005/002: rule '8' needs 4 frames but found 3; get the sequence again",
    ),
    "two frames for 7": (keep_frames(2), "7", "S005/002: rule '7' needs 3 frames but found 2; get the sequence again"),
    "one frame for 8-peak1": (keep_frames(1), "8-peak1", "S005/002: rule '8-peak1' needs 2 frames but found 1"),
    "two subjects": (
        remove(f"{IMAGES}/S01*", f"{LABELS}/S01*"),
        None,
        "cohn-kanade-images: found only S005, S999; a train, a validation and a test split that share nobody need 3",
    ),
    "no fear": (no_fear, "7", "Emotion: no clip is labelled fear; get all of the labels"),
    "no labels in the folder": (empty(LABELS), "7", "Emotion: no clip is labelled happiness, surprise, sadness"),
    "a file for the images": (a_file(IMAGES), None, "cohn-kanade-images: cannot be read (Not a directory)"),
    "a file for the labels": (a_file(LABELS), None, "Emotion: cannot be read (Not a directory)"),
}

CK48 = {
    "rule 8": (lambda _: None, "8", "CK+48: CK+48 holds three peak frames per clip and no neutral ones, so it cannot"),
    "rule 8-peak1": (lambda _: None, "8-peak1", "cannot follow rule '8-peak1'; use ckplus:7, or get the clips"),
    "rule 7-peak1": (lambda _: None, "7-peak1", "cannot follow rule '7-peak1'; use ckplus:7, or get the clips"),
    "a strange class": (move("CK+48/happy", "CK+48/hapy"), None, "CK+48: unknown class folder 'hapy': did you mean"),
    "neutral": (move("CK+48/happy", "CK+48/neutral"), None, "CK+48: unknown class folder 'neutral'"),
    "no contempt": (remove("CK+48/contempt"), None, "CK+48: no class folder for contempt"),
    "an empty class": (empty("CK+48/contempt"), "7", "CK+48/contempt: no images in it"),
    "an empty folder": (empty("CK+48"), None, "CK+48: no class folder for happiness, surprise"),
    "a frame in two classes": (
        lambda root: shutil.copy(min((root / "CK+48" / "fear").iterdir()), root / "CK+48" / "anger"),
        None,
        "CK+48: anger/S005_004_00000009.png and fear/S005_004_00000009.png are of one clip but of two classes",
    ),
    "a clip in two classes": (
        move("CK+48/fear/S005_004_00000010.png", "CK+48/sadness/S005_004_00000010.png"),
        None,
        "CK+48: fear/S005_004_00000009.png and sadness/S005_004_00000010.png are of one clip but of two classes",
    ),
    "two subjects": (remove("CK+48/*/S01*"), None, "CK+48: found only S005, S999; a train, a validation and a test"),
    "a file": (a_file("CK+48"), None, "CK+48: cannot be read (Not a directory)"),
}


def message_of(root, rule=None):
    with pytest.raises(DataError) as caught:
        ckplus.load(root, rule)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root) in message
    assert len(message) < 600
    return message, type(caught.value)


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_clips(tmp_path, case):
    damage, rule, expected = DAMAGED[case]
    write_ckplus(tmp_path)
    ckplus.load(tmp_path, rule)
    damage(tmp_path)
    message, kind = message_of(tmp_path, rule)
    assert expected.format(root=tmp_path) in message
    assert kind is DataError


@pytest.mark.parametrize("case", CK48)
def test_damaged_ck48(tmp_path, case):
    damage, rule, expected = CK48[case]
    write_ck48(tmp_path)
    ckplus.load(tmp_path)
    damage(tmp_path)
    message, kind = message_of(tmp_path, rule)
    assert expected in message
    assert kind is DataError


def test_too_few_for_ten_folds(tmp_path):
    write_ck48(tmp_path, named=False)
    remove("CK+48/*/*0[1-9].png", "CK+48/*/*1?.png")(tmp_path)
    assert "CK+48: 7 images or clips for 10 folds; get the whole data set" in message_of(tmp_path)[0]


def test_nothing_there(tmp_path):
    expected = f"task 'ckplus': no clips (cohn-kanade-images) and no CK+48 under {tmp_path}; expected {ckplus.LAYOUT}"
    assert message_of(tmp_path) == (f"{expected}; found nothing", MissingDataError)
    (tmp_path / "CK+" / "FACS").mkdir(parents=True)
    assert message_of(tmp_path) == (f"{expected}; found CK+, CK+/FACS", MissingDataError)


def test_images_without_labels(tmp_path):
    write_ckplus(tmp_path)
    write_ck48(tmp_path)
    shutil.rmtree(tmp_path / LABELS)
    message, kind = message_of(tmp_path)
    assert kind is MissingDataError
    assert f"task 'ckplus': no labels (Emotion) under {tmp_path}; expected" in message
    assert "found CK+48, ckplus, ckplus/cohn-kanade-images" in message


@pytest.mark.parametrize("write", [write_ckplus, write_ck48])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda old: old[: len(old) // 2], "not a whole image"),
        (lambda _: b"", "an empty file"),
        (lambda _: b"<html>", "not a whole image"),
    ],
    ids=["cut", "empty", "html"],
)
def test_an_unreadable_image_names_its_file(tmp_path, write, content, what):
    write(tmp_path)
    test = ckplus.load(tmp_path).test
    path = test.images.folder / test.images.names[test.rows[5]]
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        test.image(5)
    assert f"{path}: {what}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_that_vanishes(tmp_path):
    write_ckplus(tmp_path)
    test = ckplus.load(tmp_path).test
    (test.images.folder / test.images.names[test.rows[0]]).unlink()
    with pytest.raises(DataError, match=r"S005_001_00000001\.png: cannot be read \(No such file"):
        test.image(0)
