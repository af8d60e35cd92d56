"""Baselines in closed form on frozen features: what they answer, and what they leave out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ciao_stream.checks.strategy import Ground
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.encoders.pooling import FEATURES
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from strategies import hog, load_strategy
from strategies.base.frozen import FrozenFeatures
from tests.helpers import tiny

features = FrozenFeatures({}).features


def run(name: str, ground: Ground, masked: bool = False):
    return load_strategy(name)[0].run(ground.job(name), masked)


def encoded(shape, n=4):
    faces = tiny.faces("categorical", tiny.pictures(n))
    return EncodedFaces(faces, np.random.default_rng(0).random((n, *shape)).astype(np.float16))


@pytest.mark.parametrize(
    ("shape", "width"), [((256, 6, 6), 1024), ((2048, 7, 7), 2048), ((36, 5, 5), 900), ((600, 3, 3), 600)]
)
def test_a_map_becomes_about_a_thousand_numbers(shape, width):
    maps = encoded(shape)
    found = features(maps)
    assert found.shape == (4, width)
    assert width <= max(FEATURES, shape[0])
    if width in (2048, 600):
        assert np.allclose(found, maps.features.astype(np.float32).mean(axis=(2, 3)), atol=1e-3)


def test_logistic_regression_is_that_of_scikit_learn_on_standardised_features(ground):
    outcome = run("logreg", ground)
    (spec, *_) = ground.specs
    train, test = (ground.faces(spec, split, "u") for split in ("train", "test"))
    scale = StandardScaler().fit(features(train))
    model = LogisticRegression(C=0.01, max_iter=200).fit(scale.transform(features(train)), train.faces.targets)
    right = model.predict(scale.transform(features(test))) == test.faces.targets
    (task, *_) = outcome.tasks
    assert task.metrics["accuracy"] == pytest.approx(right.mean())
    assert task.trained_parameters == model.coef_.size + model.intercept_.size
    assert (outcome.not_run, [t.task for t in outcome.tasks]) == ({}, [s.name for s in ground.specs])


def test_the_majority_is_the_most_frequent_class_and_the_mean(ground):
    outcome = run("majority", ground)
    by_name = {task.task: task for task in outcome.tasks}
    for spec in ground.specs:
        train, test = (ground.faces(spec, split, "u").faces for split in ("train", "test"))
        metrics = by_name[spec.name].metrics
        if spec.has_classes:
            likeliest = np.bincount(train.classes(), minlength=spec.n_out).argmax()
            assert metrics["accuracy"] == pytest.approx((test.classes() == likeliest).mean())
        if spec.kind == "dimensional":
            assert metrics["ccc"] == pytest.approx(0, abs=1e-6)
            error = np.sqrt(((test.targets - train.targets.mean(axis=0)) ** 2).mean(axis=0)).mean()
            assert metrics["rmse"] == pytest.approx(error, rel=1e-4)


def test_the_nearest_mean_is_for_classes_alone(ground):
    outcome = run("ncm", ground)
    classes = [spec for spec in ground.specs if spec.has_classes]
    assert [task.task for task in outcome.tasks] == [spec.name for spec in classes]
    assert outcome.not_run == {
        spec.name: f"{spec.kind} targets do not fit this baseline" for spec in ground.specs if not spec.has_classes
    }
    (spec, *_) = classes
    train, test = (ground.faces(spec, split, "u") for split in ("train", "test"))
    scale = StandardScaler().fit(features(train))
    known = np.unique(train.faces.targets)
    x, y = scale.transform(features(train)), scale.transform(features(test))
    means = np.stack([x[train.faces.targets == k].mean(axis=0) for k in known])
    apart = x - means[np.searchsorted(known, train.faces.targets)]
    unit = np.sqrt((apart**2).sum(axis=0) / (len(x) - len(known)))
    unit[unit == 0] = 1
    nearest = known[torch.cdist(torch.from_numpy(y / unit), torch.from_numpy(means / unit)).argmin(dim=1)]
    assert outcome.tasks[0].metrics["accuracy"] == pytest.approx((nearest == test.faces.targets).mean(), abs=1e-9)


def test_before_a_task_is_fitted_it_is_measured_with_no_knowledge(ground):
    outcome = run("logreg", ground)
    for column, spec in enumerate(ground.specs):
        assert len({*outcome.matrix[: column + 1, column]}) == 1
        assert len({*outcome.matrix[column + 1 :, column]}) == 1
        if spec.kind == "categorical":
            chance = (ground.faces(spec, "test", "u").faces.targets == 0).mean()
            assert outcome.matrix[0, column] == pytest.approx(chance)


@pytest.mark.parametrize("name", ["ncm", "slda", "logreg"])
def test_one_face_of_each_class_is_enough(name, ground):
    (spec, *_) = ground.specs

    def faces(spec, split, level):
        found = ground.faces(spec, split, level)
        first = np.unique(found.faces.targets, return_index=True)[1]
        return replace(found, faces=found.faces.take(np.sort(first)))  # what is learned is asked

    train = faces(spec, "train", "u")
    job = replace(ground.job(name), specs=(spec,), faces=lambda spec, _, level: faces(spec, "train", level))
    (task,) = load_strategy(name)[0].run(job, False).tasks
    assert len(train) == len(np.unique(train.faces.targets)) > 1
    assert task.metrics["accuracy"] == 1


@pytest.mark.parametrize("name", ["logreg", "majority"])
@pytest.mark.parametrize(
    ("kind", "value"), [("dimensional", None), ("multilabel", None), ("multilabel", 0.0), ("multilabel", 1.0)]
)
def test_a_task_may_have_a_single_output(name, kind, value, ground):
    """A single label may be there always, or never."""
    whole = next(spec for spec in ground.specs if spec.kind == kind)
    spec = TaskSpec("one", kind, whole.labels[:1])

    def faces(_, split, level):
        found = ground.faces(whole, split, level)
        targets = found.faces.targets[:, :1] if value is None else np.full((len(found), 1), value, np.float32)
        return replace(found, faces=replace(found.faces, spec=spec, targets=targets))

    job = replace(ground.job(f"{name} {kind} {value}"), specs=(spec,), faces=faces, settings={"one": ground.settings})
    (task,) = load_strategy(name)[0].run(job, False).tasks
    assert f"{'ccc' if kind == 'dimensional' else 'f1'}_{spec.labels[0]}" in task.metrics
    if value is not None:
        assert task.metrics["macro_f1"] == pytest.approx(1.0 if value else np.nan, nan_ok=True)


def test_a_mask_has_no_closed_form(ground):
    with pytest.raises(CiaoError, match="FrozenFeatures has no mask"):
        run("logreg", ground, masked=True)


def test_histograms_of_gradients_tell_directions_and_no_brightness():
    rows = torch.arange(48).view(1, 1, 48, 1).expand(1, 1, 48, 48)
    stripes = ((rows // 4 % 2) * 100 + 50).to(torch.uint8)
    faces = torch.cat([stripes, stripes.mT, stripes + 40])
    found = hog.describe(faces)
    assert (found.shape, found.dtype) == ((3, 900), torch.float32)
    assert torch.allclose(found[0], found[2], atol=1e-5)
    lying, standing = (one.view(-1, 9).mean(dim=0) for one in found[:2])
    assert lying.argmax() != standing.argmax()
    colour = faces.expand(-1, 3, -1, -1)
    assert torch.equal(hog.describe(colour), found)


def test_the_encoder_has_no_say_in_histograms_of_gradients(ground):
    assert load_strategy("hog")[0].level(masked=False) == "pixels"
    tasks = run("hog", ground).tasks
    assert [task.task for task in tasks] == [spec.name for spec in ground.specs]
