"""JAFFE as it should not be: each fault is one line that says what is wrong, where, and what to do."""

import shutil

import pytest

from benchmarks.datasets import jaffe
from ciao_stream.exceptions import DataError, MissingDataError
from tests.helpers.jaffe_files import write_jaffe


def one(folder, pattern):
    return min(folder.glob(pattern))


def rename(pattern, old, new):
    def damage(folder):
        path = one(folder, pattern)
        path.rename(path.with_name(path.name.replace(old, new)))

    return damage


def add(name):
    return lambda folder: (folder / name).write_bytes(b"x")


def keep(*subjects):
    return lambda folder: [path.unlink() for path in folder.glob("*.tiff") if path.name[:2] not in subjects]


def remove(*patterns):
    return lambda folder: [path.unlink() for pattern in patterns for path in folder.glob(pattern)]


def copy(pattern, name):
    return lambda folder: shutil.copy(one(folder, pattern), folder / name)


def copy_below(folder):
    (folder / "more").mkdir()
    path = one(folder, "KA.AN1.*")
    shutil.copy(path, folder / "more" / path.name)


def nothing(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


DAMAGED = {
    "no serial": (rename("KA.AN1.*", ".tiff", ".x.tiff"), "loso", "the name tells no subject and emotion"),
    "a foreign image": (
        add("group.png"),
        "loso",
        "jaffe/group.png: the name tells no subject and emotion; expected one",
    ),
    "a copy's name": (add("KA.AN1.39 (1).tiff"), "loso", "KA.AN1.39 (1).tiff: the name tells no subject"),
    "no take": (add("KA.AN.39.tiff"), "loso", "KA.AN.39.tiff: the name tells no subject"),
    "no subject": (add("AN1.39.tiff"), "loso", "AN1.39.tiff: the name tells no subject"),
    "a longer subject": (add("KAX.AN1.39.tiff"), "loso", "KAX.AN1.39.tiff: the name tells no subject"),
    "other digits": (add("KA.AN١.39.tiff"), "loso", "KA.AN١.39.tiff: the name tells no subject"),
    "an unknown emotion": (
        add("KA.CO1.999.tiff"),
        "loso",
        "jaffe/KA.CO1.999.tiff: unknown emotion 'CO'; expected one of NE, HA, SU, SA, AN, DI, FE",
    ),
    "a second format": (copy("KA.HA1.*", "KA.HA1.1.png"), "loso", "claim to be the same photo; keep one of them"),
    "a copy below": (copy_below, "loso", "claim to be the same photo; keep one of them"),
    "one take, two serials": (add("KA.AN1.999.tiff"), "loso", "KA.AN1.999.tiff claim to be the same photo"),
    "one serial, two emotions": (add("KA.FE9.1.tiff"), "loso", "KA.FE9.1.tiff and KR.NE1.1.tiff claim to be the same"),
    "an empty folder": (nothing, "loso", "jaffe: no images in it; expected ROOT/jaffe/"),
    "a README only": (remove("*.tiff"), "loso", "jaffe: no images in it; expected ROOT/jaffe/"),
    "a file": (a_file, "loso", "jaffe: cannot be read (Not a directory)"),
    "two subjects": (keep("KA", "KL"), "loso", "jaffe: found only KA, KL; a train, a validation and a test split"),
    "one subject": (keep("KR"), "loso-210", "jaffe: found only KR; a train, a validation and a test split"),
    "no fear": (remove("*.FE*"), "kfold", "jaffe: no images of FE; get the whole data set"),
    "two classes only": (
        remove("*.FE*", "*.SA*", "*.DI*", "*.AN*", "*.NE*"),
        "loso",
        "jaffe: no images of NE, SA, AN, DI, FE",
    ),
    "no third takes": (
        remove("??.??[345].*"),
        "loeo",
        "jaffe: no subject has more than 2 images of an emotion; 3 folds by take need 3",
    ),
    "too few for ten folds": (remove("K[AML]*", "??.??[23].*"), "kfold", "jaffe: 7 images or clips for 10 folds"),
    "eleven of a class": (
        remove("KA.AN1.*"),
        "ciaoface-70",
        "jaffe: 11 images of anger; expected 10 for the test split and at least one each for train and validation",
    ),
}


def message_of(root, rule=None):
    with pytest.raises(DataError) as caught:
        jaffe.load(root, rule)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root) in message
    assert len(message) < 600
    return message, type(caught.value)


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(tmp_path, case):
    damage, rule, expected = DAMAGED[case]
    write_jaffe(tmp_path)
    jaffe.load(tmp_path, rule)
    damage(tmp_path / "jaffe")
    message, kind = message_of(tmp_path, rule)
    assert expected in message
    assert kind is DataError


def test_nothing_there(tmp_path):
    message, kind = message_of(tmp_path)
    assert kind is MissingDataError
    assert f"task 'jaffe': no folder jaffe under {tmp_path}; expected {jaffe.LAYOUT}; found nothing" in message
    message, kind = message_of(tmp_path / "absent")
    assert (f"there is no folder {tmp_path / 'absent'}" in message, kind) == (True, MissingDataError)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda old: old[: len(old) // 2], "not a whole image"),
        (lambda _: b"", "an empty file"),
        (lambda _: b"<html>", "not a whole image"),
    ],
    ids=["cut", "empty", "html"],
)
def test_an_unreadable_image_names_its_file(tmp_path, content, what):
    write_jaffe(tmp_path)
    path = one(tmp_path / "jaffe", "KA.SU2.*")
    path.write_bytes(content(path.read_bytes()))
    test = jaffe.load(tmp_path).test
    with pytest.raises(DataError) as caught:
        [test.image(i) for i in range(len(test))]
    assert f"{path}: {what}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_that_vanishes(tmp_path):
    write_jaffe(tmp_path)
    data = jaffe.load(tmp_path)
    one(tmp_path / "jaffe", "KA.AN1.*").unlink()
    with pytest.raises(DataError, match=r"KA\.AN1\.\d+\.tiff: cannot be read \(No such file"):
        [data.test.image(i) for i in range(len(data.test))]
