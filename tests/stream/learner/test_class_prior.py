"""How common predictions assume classes to be, although the memory shows rare ones more often than they occur."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.stream.learner.training import log_shift
from ciao_stream.worlds.settings import PRESETS, HeadSettings
from tests.helpers import tiny
from tests.helpers.stream_events import QUICK, Stream, apply, learner

FER = tiny.SPECS["categorical"]
PLAIN = dataclasses.replace(
    PRESETS["online"],
    head=HeadSettings(pool="mean", hidden=(), start="zero"),
    contrast_weight=0.0,
    lr=0.03,
    mask_rate=1.0,
)
COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=9).map(np.array)


@given(COUNTS, st.integers(1, 64), st.integers(0, 500))
def test_there_is_no_shift_while_the_memory_holds_everything(counts, new, drawn):
    np.testing.assert_allclose(log_shift("stream", new, drawn, counts, counts), 0, atol=1e-6)


@given(COUNTS, COUNTS, st.integers(1, 64), st.integers(0, 500), st.sampled_from(["stream", "even"]))
def test_the_shift_maps_the_assumed_shares_to_those_of_the_mixture(seen, kept, new, drawn, prior):
    n = min(len(seen), len(kept))
    seen, kept = seen[:n], kept[:n]
    stream, memory = ((c + 1) / (c + 1).sum() for c in (seen, kept))
    assumed = stream if prior == "stream" else np.full(n, 1 / n)
    mixture = assumed * np.exp(log_shift(prior, new, drawn, seen, kept).astype(float))
    assert mixture.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(mixture, (new * stream + drawn * memory) / (new + drawn), rtol=1e-4)


def answered(shares, settings, n=600):
    """Mean prediction of a world for faces without information on their class, for classes with the given shares."""
    stream, online = Stream(), learner(settings, PLAIN)
    online.apply(stream.declare(FER))
    for label in stream.rng.choice(FER.labels, n, p=shares):
        image = stream.rng.integers(0, 256, (tiny.SIZE, tiny.SIZE)).astype(np.uint8)
        online.apply(dataclasses.replace(stream.frame(FER), image=image, label=str(label)))
    faces = stream.rng.integers(0, 256, (50, tiny.SIZE, tiny.SIZE)).astype(np.uint8)
    outputs = torch.from_numpy(np.stack([online.predict(face)[FER.name] for face in faces]))
    return online.worlds[FER.name].replay.kept, outputs.softmax(dim=1).mean(dim=0).numpy()


@pytest.mark.parametrize("prior", ["stream", "even"])
def test_predictions_assume_the_chosen_prior_whatever_the_memory_holds(prior):
    shares = np.array([0.1, 0.25, 0.65])
    settings = dataclasses.replace(QUICK, replay_ratio=7.0, replay_capacity=60, class_prior=prior, fall_steps=0)
    kept, answer = answered(shares, settings)
    wanted = shares if prior == "stream" else np.full(FER.n_out, 1 / FER.n_out)
    assert np.abs(kept / kept.sum() - shares).max() > 0.2, "otherwise there is nothing to adjust"
    np.testing.assert_allclose(answer, wanted, atol=0.08)


@pytest.mark.parametrize("prior", ["stream", "even"])
def test_predictions_assume_the_chosen_prior_without_a_memory_too(prior):
    shares = np.array([0.1, 0.25, 0.65])
    _, answer = answered(shares, dataclasses.replace(QUICK, replay_ratio=0, class_prior=prior, fall_steps=0))
    np.testing.assert_allclose(answer, shares if prior == "stream" else np.full(FER.n_out, 1 / FER.n_out), atol=0.12)


def test_tasks_without_classes_have_no_prior():
    for kind in ("dimensional", "multilabel"):
        spec = tiny.SPECS[kind]
        ends = []
        for prior in ("stream", "even"):
            stream, online = Stream(), learner(dataclasses.replace(QUICK, class_prior=prior))
            online.apply(stream.declare(spec))
            apply(online, stream.frames(spec, 40))
            ends.append(online.worlds[spec.name].world.sha256())
        assert ends[0] == ends[1]
