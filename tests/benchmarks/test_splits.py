import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.protocols.splits import hold_out, hold_out_groups

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


# --- whole groups ----------------------------------------------------------------------------------------------------

GROUPS = [f"subject {n % 23}" for n in range(200)]


def test_no_group_is_on_both_sides():
    train, held = hold_out_groups(GROUPS)
    assert sorted([*train, *held]) == list(range(200))
    assert not {GROUPS[i] for i in train} & {GROUPS[i] for i in held}
    assert train.dtype == held.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()
    assert 20 <= len(held) < 20 + 9


def test_the_choice_of_groups_is_fixed_for_all_time():
    held = hold_out_groups([f"{i % 12}" for i in range(24)], fraction=0.2)[1]
    assert held.tolist() == [0, 4, 10, 12, 16, 22]
    assert hold_out_groups(GROUPS, seed=1)[1].tolist() != hold_out_groups(GROUPS)[1].tolist()


@given(st.permutations(range(60)))
@settings(max_examples=25, deadline=None)
def test_order_of_rows_changes_no_group(order):
    names, classes = GROUPS[:60], np.arange(60) % 23 % 3
    held = {names[i] for i in hold_out_groups(names, classes)[1]}
    shuffled = [names[i] for i in order]
    assert {shuffled[i] for i in hold_out_groups(shuffled, classes[list(order)])[1]} == held


def test_groups_of_one_row_are_stratified_as_files_are():
    names = [f"{i}.png" for i in range(100)]
    classes = np.repeat([0, 1, 2], [10, 30, 60])
    assert hold_out_groups(names, classes)[1].tolist() == hold_out(names, classes)[1].tolist()


def test_a_group_counts_with_the_class_that_most_of_its_rows_have():
    groups = [str(n // 3) for n in range(60)]
    classes = np.array([(0, 0, 1) if n < 10 else (1, 1, 0) for n in range(20)]).ravel()
    held = hold_out_groups(groups, classes, fraction=0.3)[1]
    assert np.bincount([int(groups[i]) // 10 for i in held]).tolist() == [9, 9]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_of_two_groups_one_is_kept_and_one_held_out(rows, fraction, seed):
    groups = [str(group) for group, _ in rows]
    for classes in (None, np.array([group % 3 for group, _ in rows])):
        train, held = hold_out_groups(groups, classes, fraction=fraction, seed=seed)
        assert sorted([*train, *held]) == list(range(len(rows)))
        for label in range(3) if classes is not None else [None]:
            of = {g for g in groups if label is None or int(g) % 3 == label}
            out = of & {groups[i] for i in held}
            assert out.isdisjoint(groups[i] for i in train)
            assert 1 <= len(out) <= len(of) - 1 if len(of) > 1 else not out


def test_no_more_groups_than_the_share_needs():
    groups = ["a"] * 50 + ["b"] * 50 + ["c"] * 100
    order = [hold_out_groups(groups, fraction=f)[1] for f in (0.01, 0.99)]
    assert len({groups[i] for i in order[0]}) == 1
    assert len({groups[i] for i in order[1]}) == 2


@pytest.mark.parametrize(
    ("classes", "fraction", "message"),
    [([0, 1], 0.1, "1 names and 2 classes"), ([0], 0.0, "between 0 and 1"), ([0], 1.0, "between 0 and 1")],
)
def test_wrong_arguments_for_groups(classes, fraction, message):
    with pytest.raises(ValueError, match=message):
        hold_out_groups(["a"], np.array(classes), fraction=fraction)
