"""JAFFE, damaged: each fault is one line that says what is wrong, where, and what to do."""

from benchmarks.datasets import jaffe
from ciao_stream.exceptions import MissingDataError
from tests.helpers.damaged import copy, damaged_test, empty, error_line, move, remove, unreadable_test, write
from tests.helpers.jaffe_files import MINIATURE, write_jaffe


def add(name):
    return write(f"jaffe/{name}")


def drop(*patterns):
    return remove(*(f"jaffe/{pattern}" for pattern in patterns))


def keep(*subjects):
    return drop(*(f"{subject}.*" for subject in MINIATURE if subject not in subjects))


DAMAGED = {
    "no serial": (move("jaffe/KA.AN1.*", "jaffe/KA.AN1.1.x.tiff"), "the name does not give subject and emotion"),
    "a foreign image": (add("group.png"), "jaffe/group.png: the name does not give subject and emotion; expected one"),
    "a copy's name": (add("KA.AN1.39 (1).tiff"), "KA.AN1.39 (1).tiff: the name does not give subject"),
    "no take": (add("KA.AN.39.tiff"), "KA.AN.39.tiff: the name does not give subject"),
    "no subject": (add("AN1.39.tiff"), "AN1.39.tiff: the name does not give subject"),
    "a longer subject": (add("KAX.AN1.39.tiff"), "KAX.AN1.39.tiff: the name does not give subject"),
    "other digits": (add("KA.AN١.39.tiff"), "KA.AN١.39.tiff: the name does not give subject"),
    "an unknown emotion": (add("KA.CO1.999.tiff"),
        "jaffe/KA.CO1.999.tiff: unknown emotion 'CO'; expected one of NE, HA, SU, SA, AN, DI, FE"),
    "a second format": (copy("jaffe/KA.HA1.*", "jaffe/KA.HA1.1.png"), "claim to be the same photo; keep one of them"),
    "a copy below": (copy("jaffe/KA.AN1.*", "jaffe/more/KA.AN1.70.tiff"),
        "claim to be the same photo; keep one of them"),
    "one take, two serials": (add("KA.AN1.999.tiff"), "KA.AN1.999.tiff claim to be the same photo"),
    "one serial, two emotions": (add("KA.FE9.1.tiff"), "KA.FE9.1.tiff and KR.NE1.1.tiff claim to be the same"),
    "an empty folder": (empty("jaffe"), "jaffe: no images in it; expected ROOT/jaffe/"),
    "a README only": (drop("*.tiff"), "jaffe: no images in it; expected ROOT/jaffe/"),
    "a file": (write("jaffe"), "jaffe: cannot be read (Not a directory)"),
    "two subjects": (keep("KA", "KL"), "jaffe: found only KA, KL; a train, a validation and a test split"),
    "one subject": (keep("KR"), "jaffe: found only KR; a train, a validation and a test split", "loso-210"),
    "no fear": (drop("*.FE*"), "jaffe: no images of FE; get the whole data set", "kfold"),
    "two classes only": (drop("*.FE*", "*.SA*", "*.DI*", "*.AN*", "*.NE*"), "jaffe: no images of NE, SA, AN, DI, FE"),
    "no third takes": (drop("??.??[345].*"),
        "jaffe: no subject has more than 2 images of an emotion; 3 folds by take need 3", "loeo"),
    "too few for ten folds": (drop("K[AML]*", "??.??[23].*"), "jaffe: 7 images or clips for 10 folds", "kfold"),
    "eleven of a class": (drop("KA.AN1.*"),
        "jaffe: 11 images of anger; expected 10 for the test split and at least one each for train and validation",
        "ciaoface-70"),
}  # fmt: skip

test_damaged = damaged_test(write_jaffe, [jaffe.load], DAMAGED)
test_an_unreadable_image = unreadable_test(write_jaffe, jaffe.load, "jaffe/KA.SU2.*")


def test_nothing_there(tmp_path):
    message = error_line(jaffe.load, tmp_path, kind=MissingDataError)
    assert f"task 'jaffe': no folder jaffe under {tmp_path}; expected {jaffe.LAYOUT}; found nothing" in message
    message = error_line(jaffe.load, tmp_path / "absent", kind=MissingDataError)
    assert f"there is no folder {tmp_path / 'absent'}" in message
