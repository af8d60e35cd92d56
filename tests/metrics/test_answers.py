"""Details of answers and curves of losses, against slow references."""

import json

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.answers import BINS, POINTS, describe_answers, detail_problems
from strategies.base.driver import LossCurve

LABELS = ("calm", "glad", "mad")
SPECS = {kind: TaskSpec("t", kind, LABELS) for kind in ("categorical", "votes", "multilabel", "dimensional")}


def answers(kind, n=400, seed=0):
    """Outputs that know something of the targets."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 3))
    if kind == "categorical":
        targets = rng.integers(0, 3, n)
        return noise + 1.5 * np.eye(3)[targets], targets
    if kind == "votes":
        targets = rng.dirichlet(np.ones(3), n).astype(np.float32)
        return noise + 3 * targets, targets
    if kind == "multilabel":
        targets = rng.integers(0, 2, (n, 3)).astype(np.float32)
        return noise + targets - 0.5, targets
    targets = rng.uniform(-1, 1, (n, 3)).astype(np.float32)
    return np.clip(targets + 0.2 * noise, -1, 1), targets


def described(kind, **options):
    outputs, targets = answers(kind, **options)
    details = describe_answers(SPECS[kind], torch.from_numpy(outputs), targets)
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    assert list(detail_problems(SPECS[kind], details)) == []
    return details, outputs, targets


@pytest.mark.parametrize("kind", ["categorical", "votes"])
def test_confusion_counts_are_those_of_scikit_learn(kind):
    details, outputs, targets = described(kind)
    classes = targets if kind == "categorical" else targets.argmax(axis=1)
    reference = confusion_matrix(classes, outputs.argmax(axis=1), labels=range(3))
    assert details["confusion"] == reference.tolist()
    assert np.trace(reference) < len(classes)


def test_decisions_are_those_of_scikit_learn():
    details, outputs, targets = described("multilabel")
    reference = multilabel_confusion_matrix(targets, outputs > 0)  # [[tn, fp], [fn, tp]] per label
    assert details["decisions"] == reference.reshape(3, 4).tolist()


@pytest.mark.parametrize("kind", ["categorical", "votes", "multilabel"])
def test_calibration_is_that_of_the_formula(kind):
    details, outputs, targets = described(kind)
    found = details["calibration"]
    if kind == "multilabel":
        sure, right = expit(outputs).ravel(), targets.ravel() > 0
    else:
        classes = targets if kind == "categorical" else targets.argmax(axis=1)
        sure, right = softmax(outputs, axis=1).max(axis=1), outputs.argmax(axis=1) == classes
    error = 0.0
    for b in range(BINS):
        chosen = (sure >= b / BINS) & (sure < (b + 1) / BINS)
        assert found["n"][b] == chosen.sum()
        if chosen.any():
            assert found["confidence"][b] == pytest.approx(sure[chosen].mean(), abs=1e-6)
            assert found["right"][b] == pytest.approx(right[chosen].mean(), abs=1e-6)
            error += chosen.mean() * abs(sure[chosen].mean() - right[chosen].mean())
        else:
            assert found["confidence"][b] is found["right"][b] is None
    assert found["ece"] == pytest.approx(error, abs=1e-6)
    assert error > 0.01


def test_a_certain_answer_lies_in_the_last_bin():
    details = describe_answers(SPECS["categorical"], torch.tensor([[1e4, 0.0, 0.0]]), np.array([0]))
    assert details["calibration"]["n"] == [0] * (BINS - 1) + [1]
    assert details["calibration"]["ece"] == 0


def test_points_are_the_same_samples_whatever_the_answers():
    details, outputs, targets = described("dimensional")
    points = details["points"]
    assert points["of"] == len(targets) > POINTS == len(points["target"])
    rows = [int(np.flatnonzero((np.abs(targets - t) < 1e-5).all(axis=1))[0]) for t in points["target"]]
    assert rows == sorted(set(rows))
    np.testing.assert_allclose(points["answer"], outputs[rows], atol=1e-6)
    other = describe_answers(SPECS["dimensional"], torch.zeros(len(targets), 3), targets)["points"]
    assert other["target"] == points["target"] != other["answer"]
    assert len(described("dimensional", n=5)[0]["points"]["answer"]) == 5


def test_frames_of_a_clip_are_one_answer():
    outputs, targets = answers("categorical", n=60)
    clips = np.arange(60) // 3
    details = describe_answers(SPECS["categorical"], torch.from_numpy(outputs), targets[clips * 3], clips)
    assert np.sum(details["confusion"]) == sum(details["calibration"]["n"]) == 20


def test_a_curve_is_the_mean_over_samples_and_goes_on_where_it_stopped():
    curve = LossCurve()
    curve.add(3, decision=1.0, contrast=torch.tensor(4.0))
    curve.add(1, decision=2.0, contrast=torch.tensor(8.0))
    curve.end_epoch()
    gone_on = LossCurve(curve.terms)
    gone_on.add(2, decision=float("nan"), contrast=0.1234567)
    gone_on.end_epoch()
    assert gone_on.details(2) == {"curve": {"decision": [1.25, None], "contrast": [5.0, 0.123457]}}
    assert len(curve.terms["decision"]) == 1


def test_a_curve_with_a_gap_is_left_out():
    curve = LossCurve()
    assert curve.details(1) == {}
    curve.add(2, decision=1.0, contrast=None)
    curve.end_epoch()
    assert curve.details(1) == {"curve": {"decision": [1.0]}}
    assert curve.details(2) == {}
