import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.protocols.splits import (
    Fold,
    cross_validation,
    fold_data,
    leave_parts_out,
    leave_subjects_out,
    stratified,
)
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec

WHERE = Path("somewhere")


def splits(fold):
    return fold.train, fold.validation, fold.test


def assert_partitions(folds, n):
    """Every row is in one test split, and in one split of each fold."""
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(n))
    for fold in folds:
        assert sorted(np.concatenate(splits(fold))) == list(range(n))
        assert all(rows.dtype == np.int64 and (np.diff(rows) > 0).all() for rows in splits(fold))
    assert len({fold.name for fold in folds}) == len(folds)


def by_name(folds, names):
    return [(fold.name, *({names[row] for row in rows} for rows in splits(fold))) for fold in folds]


# --- subjects --------------------------------------------------------------------------------------------------------

PEOPLE = st.lists(st.integers(0, 14).map("S{:03d}".format), min_size=3, max_size=60).filter(lambda s: len({*s}) > 2)


@given(PEOPLE, st.none() | st.integers(3, 12))
@settings(max_examples=100, deadline=None)
def test_nobody_is_in_two_splits(subjects, n_folds):
    folds = leave_subjects_out(subjects, WHERE, n_folds)
    assert_partitions(folds, len(subjects))
    people = sorted(set(subjects))
    assert len(folds) == min(n_folds or 99, len(people))
    for k, fold in enumerate(folds):
        train, validation, test = ({subjects[row] for row in rows} for rows in splits(fold))
        assert train & validation == train & test == validation & test == set()
        assert train
        assert test == {*people[k :: len(folds)]}
        assert validation == {*people[(k + 1) % len(folds) :: len(folds)]}


@given(PEOPLE, st.none() | st.integers(3, 12), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_listing_order_moves_no_subject(subjects, n_folds, random):
    names = [f"{subject}_{i}" for i, subject in enumerate(subjects)]
    shuffled = random.sample(names, len(names))
    one = leave_subjects_out(subjects, WHERE, n_folds)
    other = leave_subjects_out([name.split("_")[0] for name in shuffled], WHERE, n_folds)
    assert by_name(one, names) == by_name(other, shuffled)


def test_folds_are_named_by_who_is_tested():
    assert [fold.name for fold in leave_subjects_out(["b", "c", "a", "b"], WHERE)] == ["a", "b", "c"]
    names = [fold.name for fold in leave_subjects_out(list("gfedcba"), WHERE, 3)]
    assert names == ["a and 2 more", "b and 1 more", "c and 1 more"]


@pytest.mark.parametrize("subjects", [["KA", "KL", "KA"], ["KA"]])
def test_two_subjects_are_too_few(subjects):
    found = ", ".join(sorted({*subjects}))
    with pytest.raises(DataError, match=f"^somewhere: found only {found}; .* need at least 3 subjects"):
        leave_subjects_out(subjects, WHERE)


# --- parts -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=6, max_size=60))
@settings(max_examples=100, deadline=None)
def test_parts(rows):
    part_of, classes = np.array(rows).T
    names = [str(i) for i in range(len(rows))]
    folds = leave_parts_out(part_of, ["x", "y", "z"], names, classes)
    assert_partitions(folds, len(rows))
    for k, fold in enumerate(folds):
        assert set(part_of[fold.test]) <= {k}
        for label in set(classes):
            rest = ((part_of != k) & (classes == label)).sum()
            held = (classes[fold.validation] == label).sum()
            assert held == (0 if rest < 2 else min(max(round(0.1 * rest), 1), rest - 1))


# --- strata ----------------------------------------------------------------------------------------------------------

CLASSES = st.lists(st.integers(0, 4), min_size=10, max_size=80)


@given(CLASSES, st.integers(3, 10), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_folds_are_alike(classes, n_folds, seed):
    classes = np.array(classes)
    folds = stratified([str(i) for i in range(len(classes))], classes, WHERE, n_folds=n_folds, seed=seed)
    assert_partitions(folds, len(classes))
    assert len(folds) == n_folds
    counts = np.array([np.bincount(classes[fold.test], minlength=5) for fold in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1


@given(CLASSES, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_listing_order_moves_no_file(classes, grouped, random):
    names = [f"{i}_{label}" for i, label in enumerate(classes)]

    def folds(listed):
        labels = np.array([int(name.split("_")[1]) for name in listed])
        together = [f"{int(name.split('_')[0]) % 7}-{name.split('_')[1]}" for name in listed] if grouped else None
        return by_name(stratified(listed, labels, WHERE, together=together, n_folds=3), listed)

    if grouped and len({(i % 7, label) for i, label in enumerate(classes)}) < 3:
        return
    assert folds(names) == folds(random.sample(names, len(names)))


@given(st.lists(st.integers(0, 30), min_size=20, max_size=90).filter(lambda groups: len({*groups}) >= 6))
@settings(max_examples=100, deadline=None)
def test_what_belongs_together_stays_together(groups):
    together = [f"clip{g}" for g in groups]
    classes = np.array([g % 3 for g in groups])
    folds = stratified([str(i) for i in range(len(groups))], classes, WHERE, together=together, n_folds=5)
    assert_partitions(folds, len(groups))
    for fold in folds:
        train, validation, test = ({groups[row] for row in rows} for rows in splits(fold))
        assert train & validation == train & test == validation & test == set()
        assert train


def test_the_choice_is_fixed_for_all_time():
    names = [f"{i}.png" for i in range(12)]
    folds = stratified(names, np.zeros(12, dtype=np.int64), WHERE, n_folds=4)
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"0/{name}".encode()).digest())
    assert [{names[row] for row in fold.test} for fold in folds] == [{*ranked[k::4]} for k in range(4)]
    assert [fold.name for fold in folds] == ["part 1 of 4", "part 2 of 4", "part 3 of 4", "part 4 of 4"]


def test_another_seed_is_another_choice():
    names, classes = [str(i) for i in range(40)], np.zeros(40, dtype=np.int64)
    one, other = (stratified(names, classes, WHERE, seed=seed)[0].test.tolist() for seed in (0, 1))
    assert one != other


def test_fewer_than_the_folds():
    with pytest.raises(DataError, match=r"^somewhere: 9 images or clips for 10 folds"):
        stratified([str(i) for i in range(9)], np.zeros(9, dtype=np.int64), WHERE)
    with pytest.raises(DataError, match=r"^somewhere: 2 images or clips for 3 folds"):
        stratified(list("abcd"), np.zeros(4, dtype=np.int64), WHERE, together=["x", "y", "y", "x"], n_folds=3)


def test_a_name_given_twice():
    with pytest.raises(ValueError, match="unique"):
        stratified([*map(str, range(12)), "3", "3"], np.zeros(14, dtype=np.int64), WHERE)


# --- samples ---------------------------------------------------------------------------------------------------------


class Pictures:
    """Two by two pixels of the image's number."""

    fingerprint = "00"

    def __len__(self):
        return 100

    def read(self, index):
        return np.full((2, 2), index, dtype=np.uint8)


def some_samples(**changes):
    spec = TaskSpec("t", "categorical", ("a", "b"))
    rows, targets = np.arange(10, 16), np.array([0, 1, 0, 1, 0, 1])
    subjects = np.array(list("pqrpqr"))
    return FaceDataset(spec, "train", Pictures(), rows, targets, "real", subjects=subjects, framing="photo", **changes)


def test_folds_of_samples():
    samples = some_samples(dropped={"blurred": 4}, label_rule="by hand")
    data = cross_validation(samples, leave_subjects_out(list("pqrpqr"), WHERE), "by subject", {"test": 2})
    assert [fold.fold for fold in data.folds] == ["p", "q", "r"]
    assert data.of_run(4) is data.folds[1]
    assert (data.fold, data.protocol, data.published) == ("p", "by subject", {"test": 2})
    for fold in data.folds:
        assert [part.split for part in fold.splits()] == ["train", "validation", "test"]
        assert fold.train.dropped == {"blurred": 4}
        assert fold.validation.dropped == fold.test.dropped == {}
        assert fold.shared_subjects() == []
        for part in fold.splits():
            assert part.images is samples.images
            assert (part.label_rule, part.framing) == ("by hand", "photo")
            assert part.subjects.tolist() == ["pqrpqr"[row - 10] for row in part.rows]
            assert part.targets.tolist() == [(row - 10) % 2 for row in part.rows]
    assert data.folds[1].test.rows.tolist() == [11, 14]
    assert data.folds[1].validation.rows.tolist() == [12, 15]


def test_an_empty_split():
    nobody = np.array([], dtype=np.int64)
    with pytest.raises(DataError, match="task 't', split 'validation': no samples"):
        fold_data(some_samples(), Fold("x", np.arange(3), nobody, np.arange(3, 6)), "p")
