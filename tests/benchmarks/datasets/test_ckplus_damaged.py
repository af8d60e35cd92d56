"""CK+, damaged: each fault is one line that says what is wrong, where, and what to do."""

import shutil

import pytest

from benchmarks.datasets import ckplus
from ciao_stream.exceptions import MissingDataError
from tests.helpers.ckplus_files import write_ck48, write_ckplus, write_image
from tests.helpers.damaged import copy, damaged_test, empty, error_line, move, remove, unreadable_test, write

IMAGES, LABELS = "ckplus/cohn-kanade-images", "ckplus/Emotion"
LABEL = f"{LABELS}/S005/002/S005_002_00000012_emotion.txt"


def label(text):
    return write(LABEL, text if isinstance(text, bytes) else text.encode())


def move_label(new):
    return move(LABEL, f"{LABELS}/{new}")


def add(name):
    return lambda root: write_image(root / name)


def keep_frames(n):
    """Keep the last frames of a clip, whose label stays right."""
    return remove(*(f"{IMAGES}/S005/002/S005_002_{i:08d}.png" for i in range(1, 13 - n)))


def no_fear(root):
    for path in (root / LABELS).rglob("*.txt"):
        path.write_text(path.read_text().replace("4.0", "3.0"))


WHOLE = "expected a whole number from 0 to 7; get the file again"
DAMAGED = {
    "label 8": (label("   8.0000000e+00\n"), f"_emotion.txt: the label is '8.0000000e+00'; {WHOLE}"),
    "label -1": (label("-1"), f"_emotion.txt: the label is '-1'; {WHOLE}"),
    "label 3.5": (label("3.5000000e+00"), f"_emotion.txt: the label is '3.5000000e+00'; {WHOLE}"),
    "a name for a label": (label("anger"), f"_emotion.txt: the label is 'anger'; {WHOLE}"),
    "label nan": (label("nan"), f"_emotion.txt: the label is 'nan'; {WHOLE}"),
    "label inf": (label("1e999"), f"_emotion.txt: the label is '1e999'; {WHOLE}"),
    "an empty label": (label(""), f"_emotion.txt: the label is ''; {WHOLE}"),
    "two lines": (label("3.0\n4.0\n"), f"_emotion.txt: the label is '3.0\\n4.0'; {WHOLE}"),
    "bytes": (label(b"\xff\xfe3"), f"the label is '��3'; {WHOLE}"),
    "two labels": (write(LABEL.replace("0000", "0001"), b"   3.0000000e+00\n"),
        f"{LABELS}/S005/002: two labels, S005_002_0000"),
    "another clip's label": (move_label("S005/003/S005_002_00000004_emotion.txt"),
        "Emotion/S005/003/S005_002_00000004_emotion.txt: expected labels in files like S005/001/"),
    "another subject's label": (move_label("S010/002/S005_002_00000004_emotion.txt"),
        "Emotion/S010/002/S005_002_00000004_emotion.txt: expected labels in files like S005/001/"),
    "a label next to the clips": (move_label("S005/S005_002_00000004_emotion.txt"),
        "Emotion/S005/S005_002_00000004_emotion.txt: expected labels in files like S005/001/"),
    "a label of another name": (move_label("S005/002/emotion.txt"),
        "Emotion/S005/002/emotion.txt: expected labels in files like S005/001/S005_001_00000011_emotion.txt; move or"),
    "a label for no clip": (remove(f"{IMAGES}/S005/002"),
        f"_emotion.txt: there is no sequence TMP/{IMAGES}/S005/002 with images; get the sequence again"),
    "a label for no subject": (remove(f"{IMAGES}/S010"),
        f"_emotion.txt: there is no sequence TMP/{IMAGES}/S010/001 with images"),
    "the peak is missing": (remove(f"{IMAGES}/S005/002/S005_002_00000012.png"),
        f"is not in TMP/{IMAGES}/S005/002; get the sequence again"),
    "no images in a clip": (empty(f"{IMAGES}/S005/002"), "S005/002: no images in it; get the sequence again"),
    "no images in a clip without a label": (empty(f"{IMAGES}/S005/008"), "S005/008: no images in it; get the"),
    "no clips of a subject": (empty(f"{IMAGES}/S005"),
        "cohn-kanade-images/S005: nothing in it; expected one folder per sequence, named like 001; get the"),
    "no subjects": (empty(IMAGES), "cohn-kanade-images: nothing in it; expected one folder per subject"),
    "a strange subject": (move(f"{IMAGES}/S005", f"{IMAGES}/subject 5"),
        "cohn-kanade-images/subject 5: not expected here; expected one folder per subject, named like S005"),
    "a strange clip": (move(f"{IMAGES}/S005/008", f"{IMAGES}/S005/eight"),
        "S005/eight: not expected here; expected one folder per sequence, named like 001; move or remove it"),
    "an image next to the clips": (add(f"{IMAGES}/S005/S005_001_00000001.png"),
        "S005/S005_001_00000001.png: not expected here; expected one folder per sequence"),
    "another clip's frame": (add(f"{IMAGES}/S005/002/S005_003_00000001.png"),
        "S005/002/S005_003_00000001.png: expected a frame named like S005_002_00000011.png; move or remove it"),
    "a strange frame": (add(f"{IMAGES}/S005/002/contact sheet.png"),
        "S005/002/contact sheet.png: expected a frame named like S005_002_00000011.png"),
    "a frame twice": (add(f"{IMAGES}/S005/002/S005_002_1.png"),
        "S005/002/S005_002_1.png: the same frame as S005_002_00000001.png; keep one of them"),
    "three frames for 8": (keep_frames(3), "S005/002: rule '8' needs 4 frames but found 3; get the sequence again",
        "8"),
    "two frames for 7": (keep_frames(2), "S005/002: rule '7' needs 3 frames but found 2; get the sequence again", "7"),
    "one frame for 8-peak1": (keep_frames(1), "S005/002: rule '8-peak1' needs 2 frames but found 1", "8-peak1"),
    "two subjects": (remove(f"{IMAGES}/S01*", f"{LABELS}/S01*"),
        "cohn-kanade-images: found only S005, S999; a train, a validation and a test split without common people need"),
    "no fear": (no_fear, "Emotion: no clip is labelled fear; get all of the labels", "7"),
    "no labels in the folder": (empty(LABELS), "Emotion: no clip is labelled happiness, surprise, sadness", "7"),
    "a file for the images": (write(IMAGES), "cohn-kanade-images: cannot be read (Not a directory)"),
    "a file for the labels": (write(LABELS), "Emotion: cannot be read (Not a directory)"),
}  # fmt: skip

CK48 = {
    "a strange class": (move("CK+48/happy", "CK+48/hapy"), "CK+48: unknown class folder 'hapy': did you mean"),
    "neutral": (move("CK+48/happy", "CK+48/neutral"), "CK+48: unknown class folder 'neutral'"),
    "no contempt": (remove("CK+48/contempt"), "CK+48: no class folder for contempt"),
    "an empty class": (empty("CK+48/contempt"), "CK+48/contempt: no images in it", "7"),
    "an empty folder": (empty("CK+48"), "CK+48: no class folder for happiness, surprise"),
    "a frame in two classes": (copy("CK+48/fear/*", "CK+48/anger/S005_004_00000009.png"),
        "CK+48: anger/S005_004_00000009.png and fear/S005_004_00000009.png are of one clip but of two classes"),
    "a clip in two classes": (move("CK+48/fear/S005_004_00000010.png", "CK+48/sadness/S005_004_00000010.png"),
        "CK+48: fear/S005_004_00000009.png and sadness/S005_004_00000010.png are of one clip but of two classes"),
    "two subjects": (remove("CK+48/*/S01*"), "CK+48: found only S005, S999; a train, a validation and a test"),
    "a file": (write("CK+48"), "CK+48: cannot be read (Not a directory)"),
}  # fmt: skip

test_damaged_clips = damaged_test(write_ckplus, [ckplus.load], DAMAGED)
test_damaged_ck48 = damaged_test(write_ck48, [ckplus.load], CK48)
test_an_unreadable_frame = unreadable_test(write_ckplus, ckplus.load, f"{IMAGES}/S005/001/*")
test_an_unreadable_image_of_ck48 = unreadable_test(write_ck48, ckplus.load, "CK+48/fear/*")


@pytest.mark.parametrize("rule", ["8", "8-peak1", "7-peak1"])
def test_ck48_cannot_follow_rules_that_need_other_frames(tmp_path, rule):
    write_ck48(tmp_path)
    message = error_line(ckplus.load, tmp_path, rule)
    assert f"{tmp_path}/CK+48: CK+48 holds three peak frames per clip and no neutral ones, so it cannot" in message
    assert f"cannot follow rule {rule!r}; use ckplus:7, or get the clips" in message


def test_too_few_for_ten_folds(tmp_path):
    write_ck48(tmp_path, named=False)
    remove("CK+48/*/*0[1-9].png", "CK+48/*/*1?.png")(tmp_path)
    assert "CK+48: 7 images or clips for 10 folds; get the whole data set" in error_line(ckplus.load, tmp_path)


def test_nothing_there(tmp_path):
    expected = f"task 'ckplus': no clips (cohn-kanade-images) and no CK+48 under {tmp_path}; expected {ckplus.LAYOUT}"
    assert error_line(ckplus.load, tmp_path, kind=MissingDataError) == f"{expected}; found nothing"
    (tmp_path / "CK+" / "FACS").mkdir(parents=True)
    assert error_line(ckplus.load, tmp_path, kind=MissingDataError) == f"{expected}; found CK+, CK+/FACS"


def test_images_without_labels(tmp_path):
    write_ckplus(tmp_path)
    write_ck48(tmp_path)
    shutil.rmtree(tmp_path / LABELS)
    message = error_line(ckplus.load, tmp_path, kind=MissingDataError)
    assert f"task 'ckplus': no labels (Emotion) under {tmp_path}; expected" in message
    assert "found CK+48, ckplus, ckplus/cohn-kanade-images" in message
