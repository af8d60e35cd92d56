import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.splits import hold_out

CLASSES = np.repeat(np.arange(4), [1, 2, 30, 100])
NAMES = [f"class{c}/{i:03d}.jpg" for i, c in enumerate(CLASSES)]


def test_every_row_once_and_a_tenth_of_each_class():
    train, held = hold_out(NAMES, CLASSES)
    assert sorted([*train, *held]) == list(range(len(NAMES)))
    assert np.bincount(CLASSES[held], minlength=4).tolist() == [0, 1, 3, 10]
    assert train.dtype == held.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()


@given(st.permutations(range(len(NAMES))))
@settings(max_examples=25, deadline=None)
def test_order_of_the_listing_changes_nothing(order):
    names = [NAMES[i] for i in order]
    _, held = hold_out(names, CLASSES[order])
    assert {names[i] for i in held} == {NAMES[i] for i in hold_out(NAMES, CLASSES)[1]}


def test_the_choice_is_fixed_for_all_time():
    names = [f"{i}.png" for i in range(30)]
    assert hold_out(names, np.zeros(30, dtype=np.int64))[1].tolist() == [6, 15, 29]


def test_another_seed_is_another_choice():
    assert hold_out(NAMES, CLASSES, seed=1)[1].tolist() != hold_out(NAMES, CLASSES)[1].tolist()


def test_a_new_file_moves_at_most_one_other():
    before = {NAMES[i] for i in hold_out(NAMES, CLASSES)[1]}
    for extra in ("class3/new.jpg", "class3/another.jpg"):
        names = [*NAMES, extra]
        after = {names[i] for i in hold_out(names, np.append(CLASSES, 3))[1]}
        assert len(before ^ (after - {extra})) <= 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_each_class_keeps_and_gives(classes, fraction, seed):
    labels = np.array(classes)
    _, held = hold_out([str(i) for i in range(len(labels))], labels, fraction=fraction, seed=seed)
    for label in np.unique(labels):
        n, out = (labels == label).sum(), (labels[held] == label).sum()
        assert out == 0 if n == 1 else 1 <= out <= n - 1
        assert n == 1 or out in (1, n - 1) or abs(out - fraction * n) <= 0.5


@pytest.mark.parametrize(
    ("names", "classes", "fraction", "message"),
    [
        (["a"], [0, 1], 0.1, "1 names and 2 classes"),
        (["a", "a"], [0, 1], 0.1, "unique"),
        (["a", "b"], [0, 1], 0.0, "between 0 and 1"),
        (["a", "b"], [0, 1], 1.0, "between 0 and 1"),
    ],
)
def test_wrong_arguments(names, classes, fraction, message):
    with pytest.raises(ValueError, match=message):
        hold_out(names, np.array(classes), fraction=fraction)
