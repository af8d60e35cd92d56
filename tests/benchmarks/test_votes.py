"""FER+'s label rules: against a slow reference, by hand, and by the counts of the official file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.datasets.ferplus import read_votes
from benchmarks.protocols.votes import RULES, apply_rule
from ciao_stream.exceptions import UnknownNameError
from tests.helpers import real_data
from tests.helpers.vote_reference import reference

few = arrays(np.int64, (10,), elements=st.integers(0, 6))
ten = st.lists(st.integers(0, 9), min_size=9, max_size=10).map(lambda v: np.bincount(v, minlength=10).astype(np.int64))
skewed = st.lists(st.sampled_from([0, 0, 0, 1, 4, 4, 8, 8, 9, 9]), min_size=10, max_size=10).map(
    lambda v: np.bincount(v, minlength=10).astype(np.int64)
)


@pytest.mark.parametrize("rule", RULES)
@given(table=st.lists(st.one_of(few, ten, skewed), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_rules_against_the_reference(rule, table):
    keep, shares = apply_rule(np.stack(table), rule)
    expected = [reference(votes.tolist(), rule) for votes in table]
    assert keep.tolist() == [e is not None for e in expected]
    np.testing.assert_allclose(shares, [e or [0.0] * 8 for e in expected], atol=1e-6)
    assert (keep.dtype, shares.dtype, shares.shape) == (np.bool_, np.float32, (len(table), 8))


@pytest.mark.parametrize("rule", RULES)
def test_rules_against_the_reference_on_all_real_votes(rule):
    table = read_votes(real_data.shared_data() / "fer2013new.csv").votes
    distinct = np.unique(table, axis=0)
    keep, shares = apply_rule(distinct, rule)
    expected = [reference(votes.tolist(), rule) for votes in distinct]
    assert keep.tolist() == [e is not None for e in expected]
    np.testing.assert_allclose(shares, [e or [0.0] * 8 for e in expected], atol=1e-6)


def test_rules_leave_the_votes_alone_and_take_none():
    votes = np.random.default_rng(0).integers(0, 5, (50, 10))
    before = votes.copy()
    for rule in RULES:
        apply_rule(votes, rule)
        assert apply_rule(votes[:0], rule)[1].shape == (0, 8)
    assert (votes == before).all()


# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
HAND_WORKED = [
    ("majority", [5, 4, 0, 0, 0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0, 0]),  # 5 of the 9 that remain
    ("majority", [5, 5, 0, 0, 0, 0, 0, 0, 0, 0], None),  # half is not more than half
    ("majority", [4, 0, 0, 0, 0, 0, 0, 0, 6, 0], None),
    ("probability", [6, 3, 0, 0, 0, 0, 0, 0, 1, 0], [2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0]),
    ("probability", [8, 2, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]),  # 80 % already
    ("probability", [2, 2, 2, 2, 2, 0, 0, 0, 0, 0], None),  # five tie
    ("probability", [5, 0, 0, 0, 0, 0, 0, 0, 5, 0], None),  # unknown is put back; half is too little
    ("probability", [6, 0, 0, 0, 0, 0, 0, 0, 4, 0], [1, 0, 0, 0, 0, 0, 0, 0]),  # unknown is put back
    ("multi_target", [4, 3, 0, 3, 0, 0, 0, 0, 0, 0], [1 / 3, 1 / 3, 0, 1 / 3, 0, 0, 0, 0]),
    ("multi_target", [5, 2, 2, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0]),
    ("multi_target", [2, 2, 2, 2, 2, 0, 0, 0, 0, 0], None),
    ("argmax", [1, 1, 1, 1, 1, 1, 1, 1, 2, 0], None),
    ("argmax", [0, 0, 0, 3, 3, 0, 0, 0, 3, 1], [0, 0, 0, 1, 0, 0, 0, 0]),  # the first in a tie
    ("argmax8", [0, 0, 0, 0, 0, 0, 1, 0, 9, 0], [0, 0, 0, 0, 0, 0, 1, 0]),
]


@pytest.mark.parametrize(("rule", "votes", "expected"), HAND_WORKED)
def test_hand_worked(rule, votes, expected):
    keep, shares = apply_rule(np.array([votes]), rule)
    assert keep.tolist() == [expected is not None]
    np.testing.assert_allclose(shares[0], expected or [0] * 8, atol=1e-6)
    assert reference(votes, rule) == (expected if expected is None else pytest.approx(expected))


# --- golden counts of the real file ----------------------------------------------------------------------------------

TOTALS = {
    "majority": (25060, 3199, 3153),
    "probability": (27956, 3505, 3505),
    "multi_target": (27671, 3472, 3472),
    "argmax": (28389, 3553, 3546),
    "argmax8": (28561, 3579, 3574),
}
PER_CLASS = {
    "majority": (
        [8740, 7287, 3149, 3014, 2100, 119, 532, 119],
        [1182, 865, 415, 351, 287, 24, 62, 13],
        [1090, 893, 396, 384, 273, 18, 83, 16],
    ),
    "probability": (
        [10122, 7503, 3524, 3430, 2407, 169, 641, 160],
        [1317, 897, 450, 401, 314, 31, 72, 23],
        [1251, 925, 435, 435, 320, 22, 92, 25],
    ),
    "multi_target": (
        [10071, 7492, 3486, 3399, 2327, 153, 598, 145],
        [1307, 893, 446, 400, 307, 30, 71, 18],
        [1243, 921, 438, 434, 302, 21, 90, 23],
    ),
}


@pytest.fixture(scope="module")
def real_votes():
    return read_votes(real_data.shared_data() / "fer2013new.csv")


@pytest.mark.parametrize("rule", RULES)
def test_golden_counts(real_votes, rule):
    for position, total in enumerate(TOTALS[rule]):
        rows = (real_votes.splits == position) & real_votes.named
        keep, shares = apply_rule(real_votes.votes[rows], rule)
        assert keep.sum() == total
        if rule in PER_CLASS:  # the official count: the kept emotion with most votes
            kept_votes = np.where(shares > 0, real_votes.votes[rows][:, :8], 0)[keep]
            counts = np.bincount(kept_votes.argmax(axis=1), minlength=8)
            assert counts.tolist() == PER_CLASS[rule][position]


def test_rows_without_an_image_name(real_votes):
    assert [int((~real_votes.named[real_votes.splits == s]).sum()) for s in range(3)] == [148, 10, 15]
    assert (real_votes.votes[~real_votes.named][:, 9] == 10).all()


def test_unknown_rule():
    with pytest.raises(UnknownNameError, match="unknown label rule 'majorty': did you mean 'majority'"):
        apply_rule(np.zeros((1, 10), dtype=np.int64), "majorty")
