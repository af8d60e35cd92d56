import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ciao_stream.exceptions import CiaoError
from ciao_stream.metrics.continual import average, backward_transfer, forgetting, forward_transfer, summarise

NAN = math.nan

# Worked by hand. Rows: untrained, after task 1, 2, 3.
HAND = [
    [0.10, 0.20, 0.30],
    [0.80, 0.25, 0.30],
    [0.90, 0.70, 0.50],
    [0.60, 0.65, 0.80],
]


def test_by_hand():
    assert average(HAND) == pytest.approx((0.60 + 0.65 + 0.80) / 3)
    assert backward_transfer(HAND) == pytest.approx(((0.60 - 0.80) + (0.65 - 0.70)) / 2)
    assert forward_transfer(HAND) == pytest.approx(((0.25 - 0.20) + (0.50 - 0.30)) / 2)
    assert forgetting(HAND) == pytest.approx(((0.90 - 0.60) + (0.70 - 0.65)) / 2)
    assert summarise(HAND) == {
        "acc": average(HAND), "bwt": backward_transfer(HAND), "fwt": forward_transfer(HAND),
        "forgetting": forgetting(HAND),
    }  # fmt: skip


def test_forgetting_is_not_minus_bwt_and_may_be_negative():
    rising = [[0.0, 0.0], [0.5, 0.0], [0.7, 0.9]]
    assert forgetting(rising) == pytest.approx(-0.2)
    assert backward_transfer(rising) == pytest.approx(0.2)
    assert forgetting(HAND) != pytest.approx(-backward_transfer(HAND))


def test_what_a_task_scored_before_its_own_training_is_not_forgotten():
    lucky = [[0.1, 0.9], [0.8, 0.9], [0.8, 0.4]]
    assert forgetting(lucky) == 0.0


@given(arrays(np.float64, 5, elements=st.floats(-1, 1)), arrays(np.float64, (6, 5), elements=st.floats(-1, 1)))
def test_worlds_that_do_not_change_forget_exactly_nothing(final, before):
    rows, columns = np.indices((6, 5))
    matrix = np.where(rows > columns, final, before)
    assert forgetting(matrix) == 0.0
    assert backward_transfer(matrix) == 0.0
    assert average(matrix) == pytest.approx(final.mean())


@given(arrays(np.float64, (5, 4), elements=st.floats(-1, 1)))
def test_equals_the_formulas_written_as_loops(matrix):
    tasks = range(1, 5)
    r = {(i, j): matrix[i, j - 1] for i in range(5) for j in tasks}
    assert average(matrix) == pytest.approx(sum(r[4, j] for j in tasks) / 4)
    assert backward_transfer(matrix) == pytest.approx(sum(r[4, j] - r[j, j] for j in (1, 2, 3)) / 3)
    assert forward_transfer(matrix) == pytest.approx(sum(r[j - 1, j] - r[0, j] for j in (2, 3, 4)) / 3)
    fell = [max(r[i, j] for i in range(j, 4)) - r[4, j] for j in (1, 2, 3)]
    assert forgetting(matrix) == pytest.approx(sum(fell) / 3)


def test_one_task_has_an_average_and_nothing_else():
    assert summarise([[0.1], [0.8]]) == pytest.approx(
        {"acc": 0.8, "bwt": NAN, "fwt": NAN, "forgetting": NAN}, nan_ok=True
    )


def test_joint_training_has_only_a_last_row():
    joint = [[NAN] * 3, [NAN] * 3, [NAN] * 3, [0.6, 0.8, 0.7]]
    assert summarise(joint) == pytest.approx({"acc": 0.7, "bwt": NAN, "fwt": NAN, "forgetting": NAN}, nan_ok=True)
    without_last_task = [[NAN] * 3, [NAN] * 3, [NAN] * 3, [0.6, 0.8, NAN]]
    assert average(without_last_task) == pytest.approx(0.7)


@pytest.mark.parametrize("absent", [0, 1, 2, 3])
@pytest.mark.parametrize("copied", [False, True], ids=["row empty", "row copied"])
def test_a_task_that_was_not_run_is_left_out(absent, copied):
    whole = np.full((5, 4), NAN)
    kept = [j for j in range(4) if j != absent]
    whole[np.ix_([0, *(j + 1 for j in kept)], kept)] = HAND
    if copied:  # nothing was trained: as before
        whole[absent + 1] = whole[absent]
    assert summarise(whole) == pytest.approx(summarise(HAND))


def test_nothing_at_all_is_nan():
    assert all(math.isnan(value) for value in summarise(np.full((3, 2), NAN)).values())


def test_a_missing_value_that_is_needed_gives_nan_not_a_guess():
    matrix = np.array(HAND)
    matrix[2, 0] = NAN  # only the maximum needs it
    assert math.isnan(forgetting(matrix))
    assert backward_transfer(matrix) == backward_transfer(HAND)
    matrix[3, 1] = NAN
    assert math.isnan(average(matrix))
    assert forward_transfer(matrix) == forward_transfer(HAND)


def test_the_upper_half_is_needed_by_forward_transfer_only():
    matrix = np.where(np.indices((4, 3))[0] > np.indices((4, 3))[1], HAND, NAN)
    got = summarise(matrix)
    assert math.isnan(got.pop("fwt"))
    assert all(got[name] == summarise(HAND)[name] for name in got)


def test_the_callers_matrix_is_not_changed():
    matrix = np.array(HAND)
    summarise(matrix)
    assert (matrix == HAND).all()


@pytest.mark.parametrize("matrix", [[[0.5]], [[0.5, 0.5], [0.5, 0.5]], [0.1, 0.2], [], np.zeros((1, 0))])
def test_another_shape_is_refused(matrix):
    with pytest.raises(CiaoError, match=r"shape \(T \+ 1, T\)"):
        summarise(matrix)


def test_infinity_is_refused():
    with pytest.raises(CiaoError, match="infinite"):
        summarise([[0.1], [math.inf]])
