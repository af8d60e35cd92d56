"""Prequential metrics against slow references, and detectors restored without pickle."""

import dataclasses

import numpy as np
import pytest
import torch
from river.drift import ADWIN
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from ciao_stream.metrics import scores as metrics
from ciao_stream.stream.learner.prequential import RESET_AFTER, DriftWatch, Prequential, watches
from ciao_stream.stream.learner.settings import StreamSettings
from tests.helpers import tiny

WINDOW, FADING = 50, 0.97
SETTINGS = StreamSettings(window=WINDOW, fading=FADING)


def answers(spec, n, seed=0, skill=1.5):
    """Outputs and targets of one kind that agree partly."""
    rng = np.random.default_rng(seed)
    targets = tiny.targets(spec.kind, n, seed)
    if spec.kind == "categorical":
        targets = rng.choice(spec.n_out, n, p=[0.6, 0.3, 0.1])
        truth = np.eye(spec.n_out)[targets]
    else:
        truth = targets
    outputs = rng.standard_normal((n, spec.n_out)) + skill * truth - (0.5 if spec.kind == "multilabel" else 0)
    outputs = np.tanh(outputs) if spec.kind == "dimensional" else outputs
    return outputs.astype(np.float32), targets


def judged(spec, n=300, seed=0, **changes):
    judge = Prequential(spec, dataclasses.replace(SETTINGS, **changes))
    outputs, targets = answers(spec, n, seed)
    for row, target in zip(outputs, targets, strict=True):
        judge.update(row, target)
    return judge, outputs, targets


@pytest.mark.parametrize("kind", ["categorical", "votes"])
def test_metrics_of_classes_equal_a_slow_reference(kind):
    judge, outputs, targets = judged(tiny.SPECS[kind])
    truth = targets if kind == "categorical" else targets.argmax(axis=1)
    predicted, report = outputs.argmax(axis=1), judge.report()
    weights = FADING ** np.arange(len(truth))[::-1]
    for name, t, p, w in (
        ("rolling", truth[-WINDOW:], predicted[-WINDOW:], None),
        ("fading", truth, predicted, weights),
    ):
        wanted = {
            "accuracy": accuracy_score(t, p, sample_weight=w),
            "macro_f1": f1_score(t, p, average="macro", sample_weight=w),
            "kappa": cohen_kappa_score(t, p, sample_weight=w),
        }
        assert report[name] == pytest.approx(wanted, abs=1e-6)
    assert report["n"] == 300


def test_metrics_of_labels_equal_a_slow_reference():
    spec = tiny.SPECS["multilabel"]
    judge, outputs, targets = judged(spec)
    report, predicted = judge.report(), outputs > 0
    weights = FADING ** np.arange(len(targets))[::-1]
    for name, rows, w in (("rolling", slice(-WINDOW, None), None), ("fading", slice(None), weights)):
        each = [f1_score(t[rows], p[rows], sample_weight=w) for t, p in zip(targets.T, predicted.T, strict=True)]
        assert [report[name][f"f1_{label}"] for label in spec.labels] == pytest.approx(each, abs=1e-6)
        assert report[name]["macro_f1"] == pytest.approx(np.mean(each), abs=1e-6)
    offline = metrics.evaluate(spec, torch.from_numpy(outputs[-WINDOW:]), targets[-WINDOW:])
    assert report["rolling"]["macro_f1"] == pytest.approx(offline["macro_f1"])


def weighted_concordance(x, y, weights):
    mx, my = np.average(x, weights=weights), np.average(y, weights=weights)
    cov = np.average((x - mx) * (y - my), weights=weights)
    vx, vy = np.average((x - mx) ** 2, weights=weights), np.average((y - my) ** 2, weights=weights)
    return 2 * cov / (vx + vy + (mx - my) ** 2)


def test_concordance_equals_a_slow_reference():
    spec = tiny.SPECS["dimensional"]
    judge, outputs, targets = judged(spec)
    report = judge.report()
    x, y = outputs.astype(np.float64), targets.astype(np.float64)
    weights = FADING ** np.arange(len(x))[::-1]
    fading = [weighted_concordance(x[:, k], y[:, k], weights) for k in range(2)]
    assert [report["fading"][f"ccc_{label}"] for label in spec.labels] == pytest.approx(fading, abs=1e-12)
    assert report["fading"]["ccc"] == pytest.approx(np.mean(fading), abs=1e-12)
    offline = metrics.evaluate(spec, torch.from_numpy(outputs[-WINDOW:]), targets[-WINDOW:])
    assert report["rolling"] == pytest.approx({k: v for k, v in offline.items() if k.startswith("ccc")})


def test_fading_concordance_does_not_cancel_far_from_zero():
    spec = tiny.SPECS["dimensional"]
    judge, rng = Prequential(spec, SETTINGS), np.random.default_rng(0)
    x = (0.9 + 1e-4 * rng.standard_normal((5000, 2))).astype(np.float32)
    y = (x + 1e-5 * rng.standard_normal((5000, 2))).astype(np.float32)
    for row, target in zip(x, y, strict=True):
        judge.update(row, target)
    weights = FADING ** np.arange(len(x))[::-1]
    wanted = weighted_concordance(x[:, 0].astype(np.float64), y[:, 0].astype(np.float64), weights)
    assert judge.report()["fading"]["ccc_arousal"] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("kind", tiny.SPECS)
def test_zero_and_one_prediction_can_be_reported(kind):
    spec = tiny.SPECS[kind]
    judge = Prequential(spec, SETTINGS)
    assert judge.report() == {
        "n": 0, "rolling": {}, "fading": {}, "drift": {"adwin": 0, "page-hinkley": 0, "dummy": 0}
    }  # fmt: skip
    outputs, targets = answers(spec, 1)
    judge.update(outputs[0], targets[0])
    figures = [*judge.report()["rolling"].values(), *judge.report()["fading"].values()]
    assert figures
    assert all(type(value) is float and np.isfinite(value) for value in figures)


def test_labels_that_never_occur_do_not_count():
    spec = tiny.SPECS["multilabel"]
    judge = Prequential(spec, SETTINGS)
    judge.update(-np.ones(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    assert judge.report()["rolling"] == {}
    judge.update(np.array([1, -1, -1, -1], dtype=np.float32), np.array([1, 1, 0, 0], dtype=np.float32))
    assert judge.report()["rolling"] == judge.report()["fading"] == {"macro_f1": 0.5, "f1_calm": 1.0, "f1_glad": 0.0}


@pytest.mark.parametrize("kind", tiny.SPECS)
@pytest.mark.parametrize("split", [0, 1, 37, 120])
def test_restored_metrics_and_signals_continue_bit_for_bit(kind, split):
    spec = tiny.SPECS[kind]
    one, other = (Prequential(spec, SETTINGS) for _ in range(2))
    outputs, targets = answers(spec, 700)
    outputs[350:] *= -1
    for number, (row, target) in enumerate(zip(outputs, targets, strict=True)):
        if number == split or number % 300 == 299:
            again = Prequential(spec, SETTINGS)
            again.load(other.state())
            other = again
        assert one.update(row, target) == other.update(row, target)
    assert one.report() == other.report()
    assert one.report()["drift"]["dummy"] == 2
    assert all(torch.equal(t, other.state().tensors[name]) for name, t in one.state().tensors.items())


@pytest.mark.parametrize("kind", ["categorical", "votes", "multilabel"])
def test_new_labels_join_the_metrics(kind):
    spec = tiny.SPECS[kind]
    wider = dataclasses.replace(spec, labels=(*spec.labels, "new"))
    judge, _, _ = judged(spec, 40)
    before = judge.report()
    judge.grow(wider)
    assert judge.report() == before, "a label that never occurred changes nothing"
    target = np.array(spec.n_out) if kind == "categorical" else np.eye(wider.n_out, dtype=np.float32)[-1]
    for _ in range(WINDOW):
        judge.update(np.eye(wider.n_out, dtype=np.float32)[-1], target)
    rolling = judge.report()["rolling"]
    assert rolling["macro_f1"] == 1.0
    again = Prequential(wider, SETTINGS)
    again.load(judge.state())
    assert again.report() == judge.report()


def errors(before, after, n, seed=0):
    rng = np.random.default_rng(seed)
    return [float(rng.random() < share) for share in [before] * n + [after] * n]


@pytest.mark.parametrize("name", ["adwin", "page-hinkley"])
@pytest.mark.parametrize("seed", range(5))
def test_a_rising_error_is_signalled_and_a_steady_or_falling_one_is_not(name, seed):
    watch = DriftWatch(name)
    assert not any(map(watch.update, errors(0.3, 0.3, 600, seed)))
    found = [number for number, error in enumerate(errors(0.3, 0.8, 300, seed)) if watch.update(error)]
    assert len(found) == 1
    assert 300 < found[0] < 500
    falling = DriftWatch(name)
    assert not any(map(falling.update, errors(0.8, 0.2, 600, seed)))


@pytest.mark.parametrize("seed", range(5))
def test_adwin_detects_a_rise_soon_after_a_fall(seed):
    rng, watch, plain, fallen = np.random.default_rng(seed), DriftWatch("adwin"), ADWIN(), False
    for error in [*(rng.random(200) < 0.5), *(rng.random(88) < 0.05)]:
        assert not watch.update(float(error))
        plain.update(float(error))
        fallen |= plain.drift_detected
    assert fallen
    assert any(watch.update(float(rng.random() < 0.7)) for _ in range(100))


def test_the_dummy_signals_whatever_the_error():
    watch = DriftWatch("dummy")
    assert [number for number in range(1, 1000) if watch.update(0.0)] == [300, 600, 900]


def test_the_state_of_a_detector_is_bounded():
    for watch in watches():
        sizes = []
        for _ in range(2 * RESET_AFTER + 100):
            watch.update(0.0)
            sizes.append(watch._inputs.__len__())
        assert max(sizes) < RESET_AFTER
        assert watch.state().tensors["inputs"].nbytes < 8 * RESET_AFTER


@pytest.mark.parametrize("name", ["adwin", "page-hinkley", "dummy"])
def test_a_restored_detector_continues_identically(name):
    one, other = DriftWatch(name), DriftWatch(name)
    for number, error in enumerate([*errors(0.2, 0.7, 400), *errors(0.1, 0.6, 400)]):
        if number % 50 == 7:
            again = DriftWatch(name)
            again.load(other.state())
            other = again
        assert one.update(error) == other.update(error)
    assert one.signals == other.signals >= 2
