import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score
from torchmetrics.functional import concordance_corrcoef

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.metrics.scores import concordance, evaluate

CATEGORICAL = TaskSpec("fer", "categorical", EMOTIONS[:4])
VOTES = TaskSpec("ferplus", "votes", EMOTIONS[:4])
DIMENSIONAL = TaskSpec("va", "dimensional", ("arousal", "valence"))
MULTILABEL = TaskSpec("emoreact", "multilabel", EMOTIONS[:4])


def targets_for(spec, n, rng):
    if spec.kind == "categorical":
        return rng.integers(0, spec.n_out, n)
    if spec.kind == "votes":
        return rng.dirichlet(np.ones(spec.n_out), n).astype(np.float32)
    if spec.kind == "dimensional":
        return rng.uniform(-1, 1, (n, spec.n_out)).astype(np.float32)
    return rng.integers(0, 2, (n, spec.n_out)).astype(np.float32)


def outputs_for(spec, n, rng):
    values = torch.from_numpy(rng.normal(size=(n, spec.n_out)).astype(np.float32))
    return values.tanh() if spec.kind == "dimensional" else values


def slow_f1(truth, guess):
    """F1 of one label from counts, None where the label never occurs."""
    hits = sum(t and g for t, g in zip(truth, guess, strict=True))
    occurrences = sum(truth) + sum(guess)
    return 2 * hits / occurrences if occurrences else None


def slow_macro(columns):
    scores = [score for score in columns if score is not None]
    return sum(scores) / len(scores)


def slow_concordance(x, y):
    """Lin's formula from sums, one value at a time."""
    n = len(x)
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    cov = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / n
    var_x = math.fsum((a - mean_x) ** 2 for a in x) / n
    var_y = math.fsum((b - mean_y) ** 2 for b in y) / n
    return 2 * cov / (var_x + var_y + (mean_x - mean_y) ** 2)


@pytest.mark.parametrize("spec", [CATEGORICAL, VOTES], ids=lambda spec: spec.kind)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_classes_equal_slow_reference_and_sklearn(spec, seed, n):
    rng = np.random.default_rng(seed)
    outputs, targets = outputs_for(spec, n, rng), targets_for(spec, n, rng)
    classes = [int(np.argmax(t)) if spec.kind == "votes" else int(t) for t in targets]
    guess = [int(row.argmax()) for row in outputs]
    got = evaluate(spec, outputs, targets)
    assert got["accuracy"] == pytest.approx(sum(a == b for a, b in zip(classes, guess, strict=True)) / n)
    one_against_all = [slow_f1([c == k for c in classes], [g == k for g in guess]) for k in range(spec.n_out)]
    assert got["macro_f1"] == pytest.approx(slow_macro(one_against_all))
    assert got["macro_f1"] == pytest.approx(f1_score(classes, guess, average="macro", zero_division=0))


def test_divergence_of_votes():
    probabilities = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    votes = np.array([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]], dtype=np.float32)
    by_hand = (0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.1)) / 2
    assert evaluate(VOTES, probabilities.log(), votes)["kl"] == pytest.approx(by_hand, rel=1e-5)


def test_divergence_is_finite_for_an_answer_that_is_certain_and_wrong():
    votes = np.array([[0.0, 1.0, 0.0, 0.0]], dtype=np.float32)
    assert math.isfinite(evaluate(VOTES, torch.tensor([[1e30, 0.0, 0.0, 0.0]]), votes)["kl"])


@given(seed=st.integers(0, 10_000), n=st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_dimensional_equals_slow_reference(seed, n):
    rng = np.random.default_rng(seed)
    outputs, targets = outputs_for(DIMENSIONAL, n, rng), targets_for(DIMENSIONAL, n, rng)
    got = evaluate(DIMENSIONAL, outputs, targets)
    for k, label in enumerate(DIMENSIONAL.labels):
        x, y = outputs[:, k].double().tolist(), targets[:, k].astype(float).tolist()
        assert got[f"ccc_{label}"] == pytest.approx(slow_concordance(x, y), abs=1e-9)
        assert got[f"rmse_{label}"] == pytest.approx(math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y)) / n))  # noqa: B905
    assert got["ccc"] == pytest.approx((got["ccc_arousal"] + got["ccc_valence"]) / 2)
    assert got["rmse"] == pytest.approx((got["rmse_arousal"] + got["rmse_valence"]) / 2)


def test_concordance_equals_torchmetrics_up_to_its_n_minus_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000)
    y = x + 0.3 + rng.normal(size=x.size)
    theirs = concordance_corrcoef(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert concordance(x, y) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.3, -1.0])
def test_concordance_with_a_constant_is_zero(constant):
    flat, other = np.full(7, constant), np.linspace(-1, 1, 7)
    assert concordance(flat, other) == concordance(other, flat) == concordance(flat, flat) == 0.0


@given(seed=st.integers(0, 10_000), shift=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_concordance_is_symmetric_bounded_and_lowered_by_a_shift(seed, shift):
    x, y = np.random.default_rng(seed).uniform(-1, 1, (2, 20))
    assert concordance(x, y) == pytest.approx(concordance(y, x))
    assert abs(concordance(x, y)) <= 1
    assert concordance(x, x) == pytest.approx(1)
    assert concordance(x, x + shift) <= 1 + 1e-12


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_multilabel_equals_slow_reference_and_sklearn(seed, n):
    rng = np.random.default_rng(seed)
    outputs, targets = outputs_for(MULTILABEL, n, rng), targets_for(MULTILABEL, n, rng)
    guess = (outputs.numpy() > 0).astype(int)
    got = evaluate(MULTILABEL, outputs, targets)
    slow = [slow_f1(targets[:, k].astype(int).tolist(), guess[:, k].tolist()) for k in range(4)]
    for label, score in zip(MULTILABEL.labels, slow, strict=True):
        assert got[f"f1_{label}"] == pytest.approx(math.nan if score is None else score, nan_ok=True)
    if any(score is not None for score in slow):
        assert got["macro_f1"] == pytest.approx(slow_macro(slow))
    mixed = [k for k in range(4) if 0 < targets[:, k].sum() < n]
    auc = np.mean([roc_auc_score(targets[:, k], outputs[:, k]) for k in mixed]) if mixed else math.nan
    assert got["roc_auc"] == pytest.approx(auc, nan_ok=True)


def test_one_label_is_judged_as_a_label_not_as_two_classes():
    spec = TaskSpec("smile", "multilabel", ("smile",))
    got = evaluate(spec, torch.tensor([[3.0], [-3.0], [-3.0]]), np.array([[1.0], [1.0], [0.0]], dtype=np.float32))
    assert got["macro_f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("spec", [CATEGORICAL, VOTES, DIMENSIONAL, MULTILABEL], ids=lambda spec: spec.kind)
def test_the_primary_metric_is_there_and_order_does_not_matter(spec):
    rng = np.random.default_rng(1)
    outputs, targets = outputs_for(spec, 50, rng), targets_for(spec, 50, rng)
    got = evaluate(spec, outputs, targets)
    order = rng.permutation(50)
    assert spec.primary in got
    assert "n" not in got
    assert all(type(value) is float for value in got.values())
    assert evaluate(spec, outputs[torch.from_numpy(order)], torch.from_numpy(targets[order])) == pytest.approx(got)


@pytest.mark.parametrize("spec", [CATEGORICAL, VOTES, DIMENSIONAL, MULTILABEL], ids=lambda spec: spec.kind)
def test_groups_of_one_change_nothing_and_copies_count_once(spec):
    rng = np.random.default_rng(2)
    outputs, targets = outputs_for(spec, 30, rng), targets_for(spec, 30, rng)
    alone = evaluate(spec, outputs, targets)
    assert evaluate(spec, outputs, targets, rng.permutation(30)) == pytest.approx(alone)
    copies = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 5, 30)))
    assert evaluate(spec, outputs[torch.from_numpy(copies)], targets[copies], copies) == pytest.approx(alone)


def test_groups_average_probabilities_not_logits():
    # The mean logits prefer class 0 (9 to 3), the mean probabilities class 1 (0.45 to 0.55).
    outputs = torch.tensor([[9.0, 0.0, -9.0, -9.0], *[[0.0, 1.0, -9.0, -9.0]] * 3])
    assert evaluate(CATEGORICAL, outputs, np.full(4, 1), np.full(4, 7))["accuracy"] == 1.0


def test_groups_whose_targets_differ_are_refused():
    with pytest.raises(CiaoError, match=r"'fer'.*group 5"):
        evaluate(CATEGORICAL, torch.zeros(3, 4), np.array([0, 1, 2]), np.array([4, 5, 5]))
    with pytest.raises(CiaoError, match=r"groups of shape \(3,\) but got \(2,\)"):
        evaluate(CATEGORICAL, torch.zeros(3, 4), np.array([0, 1, 2]), np.array([4, 5]))


def test_frames_of_a_clip_weigh_as_one():
    outputs = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 9 + [[0.0, 1.0, 0.0, 0.0]])
    targets, clips = np.array([0] * 9 + [2]), np.array([3] * 9 + [1])
    assert evaluate(CATEGORICAL, outputs, targets)["accuracy"] == 0.9
    assert evaluate(CATEGORICAL, outputs, targets, clips)["accuracy"] == 0.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_are_refused_by_task(bad):
    outputs = torch.zeros(5, 4)
    outputs[3, 1], outputs[3, 2] = bad, -bad
    with pytest.raises(CiaoError, match=r"'fer'.*1 of 5 outputs are not finite \(first: sample 3\)"):
        evaluate(CATEGORICAL, outputs, np.zeros(5, dtype=np.int64))


@pytest.mark.parametrize(("outputs", "targets"), [((5, 3), (5,)), ((0, 4), (0,)), ((5, 4), (4,)), ((5,), (5,))])
def test_shapes_that_do_not_fit_are_refused(outputs, targets):
    with pytest.raises(CiaoError, match=r"expected (outputs|targets) of shape"):
        evaluate(CATEGORICAL, torch.zeros(outputs), np.zeros(targets, dtype=np.int64))
