import numpy as np
import pytest

from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import SPLITS, TaskData
from tests.helpers import tiny

ROWS = np.arange(3)


def as_float(*rows):
    return np.array(rows, np.float32)


def small(kind, targets, **options):
    return tiny.faces(kind, tiny.pictures(3), rows=ROWS, targets=targets, **options)


@pytest.mark.parametrize("kind", tiny.SPECS)
def test_good_targets_are_taken(kind):
    faces = tiny.faces(kind)
    assert len(faces) == faces.n_judged() == 20


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("categorical", np.array([0, 1]), r"expected targets of shape \(3,\) but got \(2,\)"),
        ("categorical", np.array([[0], [1], [2]]), r"expected targets of shape \(3,\) but got \(3, 1\)"),
        ("categorical", np.array([0, 1, 3]), "class 3 at sample 2: expected 0 to 2"),
        ("categorical", np.array([0, -1, 3]), "class -1 at sample 1: expected 0 to 2"),
        ("categorical", np.array([0.0, 1.0, 2.0]), "expected integer classes but got float64"),
        ("votes", np.array([0, 1, 2]), r"expected targets of shape \(3, 3\) but got \(3,\)"),
        ("votes", as_float([1, 0, 0], [0.5, 0.4, 0], [0, 1, 0]), "votes of sample 1 are not shares"),
        ("votes", as_float([1, 0, 0], [0, 1, 0], [1.5, -0.5, 0]), "votes of sample 2 are not shares"),
        ("votes", as_float([1, 0, 0], [0, 1, 0], [np.nan, 1, 0]), r"a target is not a number \(sample 2\)"),
        ("dimensional", as_float([0, 1], [-1.001, 0], [0, 0]), r"value of sample 1 is outside \[-1, 1\]"),
        ("dimensional", as_float([0, 1], [1, 0], [0, np.inf]), r"a target is not a number \(sample 2\)"),
        ("multilabel", as_float(*[[0, 1, 0, 1]] * 2, [0, 0.5, 0, 0]), "label of sample 2 is neither 0 nor 1"),
        ("multilabel", as_float(*[[0, 1, 0]] * 3), r"expected targets of shape \(3, 4\) but got \(3, 3\)"),
    ],
)
def test_bad_targets_are_refused_and_the_sample_is_named(kind, targets, message):
    with pytest.raises(DataError, match=f"^task '{tiny.SPECS[kind].name}', split 'train': {message}"):
        small(kind, targets)


def test_rounded_vote_shares_are_taken():
    assert len(small("votes", as_float(*[[0.33333, 0.33333, 0.33333]] * 3))) == 3


def test_an_empty_split_is_refused_and_its_label_rule_named():
    with pytest.raises(DataError, match=r"split 'test': no samples; check the files and the label rule \(majority\)"):
        tiny.faces(rows=ROWS[:0], targets=ROWS[:0], split="test", label_rule="majority")


def test_groups_must_fit_and_are_judged_as_one():
    with pytest.raises(DataError, match=r"expected one group per sample but got \(2,\)"):
        small("categorical", ROWS, groups=np.array([0, 0]))
    assert small("categorical", ROWS, groups=np.array([7, 7, 2])).n_judged() == 2


def test_samples_may_take_the_images_in_any_order_and_twice():
    images = tiny.pictures(3)
    faces = tiny.faces("categorical", images, rows=np.array([2, 0, 2, 1]), targets=np.array([0, 1, 0, 2]))
    assert len(faces) == 4
    assert images.reads == 0, "making a data set reads no image"
    assert [np.array_equal(faces.image(0), image) for image in images.images] == [False, False, True]
    assert np.array_equal(faces.image(3), images.images[1])


@pytest.mark.parametrize(
    ("kind", "targets", "counts"),
    [
        ("categorical", np.array([2, 0, 2]), {"calm": 1, "glad": 0, "mad": 2}),
        ("votes", as_float([0, 1, 0], [0.2, 0.2, 0.6], [0.5, 0.5, 0]), {"calm": 1, "glad": 1, "mad": 1}),
        ("dimensional", as_float([0, 1], [0, 0], [1, 1]), {"samples": 3}),
        ("multilabel", as_float([0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]), {"calm": 0, "glad": 2, "mad": 0, "sad": 1}),
    ],
)
def test_samples_are_counted_per_label(kind, targets, counts):
    assert small(kind, targets).counts() == counts


def test_the_class_with_most_votes_is_the_class_and_the_first_in_a_tie():
    faces = small("votes", as_float([0.1, 0.9, 0], [0.4, 0.2, 0.4], [0, 0.5, 0.5]))
    assert faces.classes().tolist() == [1, 0, 1]
    assert small("categorical", np.array([2, 0, 1])).classes().tolist() == [2, 0, 1]


@pytest.mark.parametrize("kind", ["dimensional", "multilabel"])
def test_kinds_without_classes_say_so(kind):
    with pytest.raises(DataError, match=f"is {kind}: it has no classes"):
        tiny.faces(kind).classes()


def test_a_task_gives_its_splits_in_order():
    data = TaskData(*(tiny.faces(split=split) for split in SPLITS))
    assert [faces.split for faces in data.splits()] == ["train", "validation", "test"]
    assert data.spec == tiny.SPECS["categorical"]
