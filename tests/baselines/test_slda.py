"""Streaming LDA equals its paper and scikit-learn, whatever the order and the batches of the stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from ciao_stream.baselines.slda import StreamingLDA
from ciao_stream.exceptions import CiaoError
from strategies import load_strategy
from strategies.base import frozen
from strategies.base.frozen import FrozenFeatures
from tests.helpers import sequences, tiny

cache = sequences.cache
ground = sequences.ground


def samples(n=60, d=5, classes=(0, 1, 2), seed=0, scale=1.0):
    """Samples of classes with different means and correlated features, in mixed order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.resize(classes, n))
    mix, means = rng.normal(size=(d, d)), rng.normal(size=(max(classes) + 1, d))
    return scale * (rng.normal(size=(n, d)) @ mix + 2 * means[y] + 3), y


def learned(x, y, sizes=None, **options):
    """A classifier that learned the samples in batches of these sizes; all at once by default."""
    model = StreamingLDA(x.shape[1], **options)
    for batch in np.split(np.arange(len(x)), np.cumsum(sizes or [])):
        model.update(x[batch], y[batch])
    return model


def by_definition(x, y, e):
    """Counts, means, covariance, weights and offsets, computed as in section 3 of the paper."""
    labels = np.unique(y)
    means = np.stack([x[y == k].mean(axis=0) for k in labels])
    inside = x - means[np.searchsorted(labels, y)]
    covariance = sum(np.outer(one, one) for one in inside) / len(x)
    inverse = np.linalg.inv((1 - e) * covariance + e * np.eye(x.shape[1]))
    offsets = [-m @ inverse @ m / 2 for m in means]
    return [(y == k).sum() for k in labels], means, covariance, means @ inverse, offsets


def assert_same(model, other, rtol=1e-9):
    """Assert that two states agree, each array within a share of its largest value."""
    ours, theirs = model.to_arrays(), other.to_arrays()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ("classes", "counts", "shrinkage"))
    for name in ("means", "scatter"):
        assert np.allclose(ours[name], theirs[name], rtol=0, atol=rtol * max(1e-300, abs(theirs[name]).max()))


@pytest.mark.parametrize("e", [1e-4, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [None, [1] * 59, [7, 1, 30]])
def test_it_equals_a_reference_written_from_the_paper(e, sizes):
    x, y = samples()
    model = learned(x, y, sizes, shrinkage=e)
    counts, means, covariance, weights, offsets = by_definition(x, y, e)
    assert model.counts.tolist() == counts
    assert np.allclose(model.means, means)
    assert np.allclose(model.covariance(), covariance)
    assert np.allclose(model.outputs(x), x @ weights.T + offsets, rtol=1e-6)


@pytest.mark.parametrize("e", [1e-3, 0.2])
def test_it_equals_scikit_learn_if_the_mean_variance_is_one(e):
    """Scikit-learn shrinks to the mean variance, the paper to 1; scikit-learn adds the frequencies of the classes."""
    x, y = samples(90, 6)
    x /= np.sqrt(np.trace(learned(x, y).covariance()) / 6)
    model, theirs = learned(x, y, [1] * 40, shrinkage=e), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=e)
    theirs.fit(x, y)
    weights, offsets = model.classifier()
    assert np.allclose(weights, theirs.coef_, rtol=1e-6)
    assert np.allclose(offsets, theirs.intercept_ - np.log(model.counts / 90), rtol=1e-6)
    estimator = frozen.StreamingLDAClassifier(e).fit(x, y)
    assert np.allclose(estimator.predict_proba(x), theirs.predict_proba(x), atol=1e-6), (
        "all classes have the same frequency"
    )
    assert [*estimator.classes_] == [*theirs.classes_]


streams = st.tuples(
    st.integers(1, 40), st.integers(1, 6), st.integers(0, 9), st.sampled_from([1e-3, 1.0, 1e4]), st.randoms()
)


@tiny.examples(max_examples=60)
@given(streams, st.lists(st.integers(0, 12), max_size=12))
def test_neither_order_nor_batches_matter(stream, sizes):
    n, d, seed, scale, random = stream
    x, y = samples(n, d, (-3, 0, 7, 2), seed, scale)
    whole, order = learned(x, y), random.sample(range(n), n)
    assert_same(learned(x[order], y[order], sizes), whole)
    assert_same(learned(x[order], y[order], [1] * (n - 1)), whole)


def test_features_far_from_zero_cost_no_precision():
    x, y = samples(200)
    near, far = learned(x, y, [1] * 199), learned(x + 1e6, y, [1] * 199)
    assert np.allclose(far.covariance(), near.covariance(), rtol=1e-6)
    assert np.array_equal(far.covariance(), far.covariance().T)


def test_a_class_may_appear_at_any_time_and_does_not_change_the_others():
    x, y = samples(60, classes=(4, 9, 6))
    model = StreamingLDA(5)
    known = y != 6
    model.update(x[known], y[known])
    means, counts = model.means.copy(), model.counts.copy()
    assert (model.classes.tolist(), model.outputs(x).shape) == ([4, 9], (60, 2))
    model.update(x[~known], y[~known])
    assert (model.classes.tolist(), model.outputs(x).shape) == ([4, 6, 9], (60, 3))
    assert np.array_equal(model.means[[0, 2]], means)
    assert np.array_equal(model.counts[[0, 2]], counts)
    assert (model.classes[model.outputs(x).argmax(axis=1)] == y).mean() > 0.9


def test_it_predicts_from_the_first_sample_on():
    model = StreamingLDA(3)
    x = np.eye(3)
    assert model.outputs(x).shape == (3, 0)
    model.update(x[:0], [])
    assert model.outputs(x).shape == (3, 0)
    model.update(x[:1], [1])
    assert np.isfinite(model.outputs(x)).all()
    model.update(x[1:2], [0])
    assert model.outputs(x).argmax(axis=1)[:2].tolist() == [1, 0], "the nearest mean, because S is 0"


def test_outputs_follow_every_update():
    x, y = samples()
    model = learned(x, y)
    before = model.outputs(x)
    assert np.array_equal(model.outputs(x), before)
    model.update(x[:1] + 9, y[:1])
    assert not np.allclose(model.outputs(x), before)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_fewer_samples_than_features_and_features_of_any_size_give_finite_outputs(scale):
    x, y = samples(20, 50, seed=3)
    x[:, 10:20] = x[:, :10]  # S is singular with any number of samples
    model = learned(x * scale, y)
    assert np.isfinite(model.outputs(x * scale)).all()


def test_its_state_is_restored_bit_for_bit_and_learns_on(tmp_path):
    x, y = samples()
    model = learned(x[:30], y[:30], shrinkage=0.01)
    (tmp_path / "state").write_bytes(save(model.to_arrays()))
    again = StreamingLDA.from_arrays(load((tmp_path / "state").read_bytes()))
    for one in (model, again):
        one.update(x[30:], y[30:])
    assert all(np.array_equal(model.to_arrays()[name], array) for name, array in again.to_arrays().items())
    assert np.array_equal(model.outputs(x), again.outputs(x))


def test_the_arrays_are_copies():
    x, y = samples()
    model = learned(x, y)
    arrays = model.to_arrays()
    again = StreamingLDA.from_arrays(arrays)
    arrays["means"][:] = 0
    arrays["scatter"][:] = 0
    assert_same(model, again, rtol=0)


DAMAGE = {
    "nothing": (lambda a: a.clear(), "expected the arrays classes, counts, means, scatter, shrinkage but got"),
    "no means": (lambda a: a.pop("means"), "expected the arrays"),
    "one too many": (lambda a: a.update(more=np.zeros(1)), "expected the arrays"),
    "another type": (lambda a: a.update(means=a["means"].astype(np.float32)), "means: expected float64 of shape"),
    "another shape": (lambda a: a.update(means=a["means"][:, 1:]),
        r"means: expected float64 of shape \(3, 5\) but got"),
    "a flat scatter": (lambda a: a.update(scatter=a["scatter"][0]), "scatter: expected"),
    "shrinkage 0": (lambda a: a.update(shrinkage=np.array(0.0)), r"shrinkage in \(0, 1\] but got 5 and 0.0"),
    "no features": (lambda a: a.update(scatter=np.zeros((0, 0)), means=np.zeros((3, 0))), "n_features >= 1"),
    "a class twice": (lambda a: a.update(classes=np.array([0, 1, 1])), "its state is damaged"),
    "unsorted": (lambda a: a.update(classes=np.array([0, 2, 1])), "its state is damaged"),
    "a class of nobody": (lambda a: a.update(counts=np.array([1, 0, 2])), "its state is damaged"),
    "no number": (lambda a: a.update(scatter=a["scatter"] * np.nan), "its state is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_refused_in_one_line(damage):
    arrays = learned(*samples()).to_arrays()
    change, message = DAMAGE[damage]
    change(arrays)
    with pytest.raises(CiaoError, match=f"streaming LDA: .*{message}") as caught:
        StreamingLDA.from_arrays(arrays)
    assert "\n" not in str(caught.value)


BAD = {
    "a single sample without its dimension": (np.zeros(5), [0], r"expected features of shape \(N, 5\) but got \(5,\)"),
    "too many features": (np.zeros((2, 6)), [0, 1], "expected features of"),
    "no number": (np.full((1, 5), np.nan), [0], "expected finite features"),
    "infinity among good ones": (np.array([[0.0] * 5, [np.inf] * 5]), [0, 1], "expected finite features"),
    "too few labels": (np.zeros((2, 5)), [0], "expected 2 integer labels"),
    "half a label": (np.zeros((2, 5)), [0, 0.5], "but got float64"),
    "a label in words": (np.zeros((1, 5)), ["glad"], "expected 1 integer labels"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_samples_are_refused_and_none_is_learned(bad):
    model = learned(*samples())
    before = model.to_arrays()
    x, y, message = BAD[bad]
    with pytest.raises(CiaoError, match=f"streaming LDA: .*{message}"):
        model.update(x, y)
    assert all(np.array_equal(array, before[name]) for name, array in model.to_arrays().items())
    if "label" not in bad:
        with pytest.raises(CiaoError, match="streaming LDA: "):
            model.outputs(x)


@pytest.mark.parametrize("arguments", [(0,), (3, 0.0), (3, 1.1), (3, float("nan"))])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(CiaoError, match="streaming LDA: expected n_features >= 1 and shrinkage in"):
        StreamingLDA(*arguments)


def test_as_a_strategy_it_uses_standardised_features_of_tasks_with_classes(ground):
    outcome = load_strategy("slda")[0].run(ground.job("slda"), masked=False)
    classes = [spec for spec in ground.specs if spec.has_classes]
    assert [task.task for task in outcome.tasks] == [spec.name for spec in classes]
    assert {*outcome.not_run} == {spec.name for spec in ground.specs} - {spec.name for spec in classes}
    features = FrozenFeatures({}).features
    for spec, task in zip(classes, outcome.tasks, strict=True):
        train, test = (ground.faces(spec, split, "u") for split in ("train", "test"))
        scale = StandardScaler().fit(features(train))
        model = learned(scale.transform(features(train)), train.faces.classes(), [1] * 9)
        answers = model.classes[model.outputs(scale.transform(features(test))).argmax(axis=1)]
        assert task.metrics["accuracy"] == pytest.approx((answers == test.faces.classes()).mean())
        assert task.trained_parameters == len(model.classes) * (model.n_features + 1)


def test_the_estimator_learns_batch_by_batch_what_it_would_at_once(monkeypatch):
    sizes = []

    class Counting(StreamingLDA):
        def update(self, x, y):
            sizes.append(len(x))
            super().update(x, y)

    x, y = samples()
    whole = frozen.StreamingLDAClassifier().fit(x, y)
    monkeypatch.setattr(frozen, "StreamingLDA", Counting)
    monkeypatch.setattr(frozen, "BATCH", 25)
    parts = frozen.StreamingLDAClassifier().fit(x, y)
    assert sizes == [25, 25, 10]
    assert np.allclose(parts.coef_, whole.coef_)
