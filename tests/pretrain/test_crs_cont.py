"""CRS-CONT: coarse labels, views, and its three-part loss against a slow one written from the papers."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ciao_stream.encoders.base import state_sha256
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.pretrain.augment import Augmentation, augment
from ciao_stream.pretrain.crs_cont import COARSE, NEGATIVE, ContrastLearner, Recipe, Weights, coarse_shares, loss_parts
from ciao_stream.pretrain.descent import Descent
from tests.helpers import tiny


def split(spec, targets):
    rows = np.arange(len(targets))
    return FaceDataset(spec, "train", tiny.pictures(len(targets)), rows, targets, "real")


# --- coarse labels ---------------------------------------------------------------------------------------------------


def test_classes_become_coarse_labels():
    shares = coarse_shares(split(TaskSpec("t", "categorical", EMOTIONS), np.arange(8)))
    names = [COARSE[k] for k in shares.argmax(axis=1)]
    assert names == ["neutral", "positive", "surprise", *["negative"] * 5]
    assert (shares.sum(axis=1) == 1).all()


def test_votes_are_summed():
    votes = np.array([[0.2, 0, 0.1, 0.3, 0.25, 0.15, 0, 0], [0.5, 0.5, 0, 0, 0, 0, 0, 0]], np.float32)
    shares = coarse_shares(split(TaskSpec("t", "votes", EMOTIONS), votes))
    assert np.allclose(shares, [[0, 0.7, 0.2, 0.1], [0.5, 0, 0.5, 0]])
    assert shares.dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "message"),
    [("dimensional", "is dimensional: coarse labels come from classes"), ("votes", "no coarse label for calm, glad")],
)
def test_tasks_that_have_no_coarse_labels(kind, message):
    with pytest.raises(CiaoError, match=message):
        coarse_shares(tiny.faces(kind))


# --- views -----------------------------------------------------------------------------------------------------------

NOTHING = Augmentation(least_area=1, stretch=1, turn=0, jitter=0, jitter_share=0, erase_share=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_with_nothing_to_change_a_view_is_the_face_or_its_mirror_image():
    faces = tiny.pixels(40)
    views = augment(faces, NOTHING, seeded())
    mirrored = [i for i in range(40) if torch.equal(views[i], faces[i].flip(-1))]
    same = [i for i in range(40) if torch.equal(views[i], faces[i])]
    assert sorted(mirrored + same) == list(range(40))
    assert 8 < len(same) < 32


@given(st.integers(0, 50))
@tiny.examples(max_examples=20)
def test_a_view_keeps_shape_and_type_and_is_drawn_from_its_generator(seed):
    faces = tiny.pixels(6, channels=3)
    views = augment(faces, Augmentation(), seeded(seed))
    assert (views.shape, views.dtype) == (faces.shape, torch.uint8)
    assert torch.equal(views, augment(faces, Augmentation(), seeded(seed)))
    assert not torch.equal(views, augment(faces, Augmentation(), seeded(seed + 1)))


def test_every_face_of_a_batch_has_a_view_of_its_own():
    face = tiny.pixels(1).repeat(16, 1, 1, 1)
    assert len({view.numpy().tobytes() for view in augment(face, Augmentation(), seeded())}) == 16


def test_a_crop_stays_inside_the_face():
    faces = torch.full((64, 1, 16, 16), 200, dtype=torch.uint8)
    faces[:, :, :8] = 50
    shares = (augment(faces, Augmentation(0.5, 4 / 3, 0, 0, 0, 0), seeded()) > 125).float().mean(dim=(1, 2, 3))
    assert shares.min() >= 0.14
    assert shares.max() <= 0.86
    assert shares.std() > 0.05


def test_a_patch_is_erased_from_the_share_that_is_asked_for():
    faces = torch.full((400, 1, 16, 16), 100, dtype=torch.uint8)
    faces[:, :, ::2] = 200
    erased = augment(faces, Augmentation(1, 1, 0, 0, 0, 0.5), seeded()) == 150
    some = erased.flatten(1).any(dim=1).float().mean()
    assert 0.4 < some < 0.6
    assert erased.flatten(1).float().mean(dim=1).max() < 0.35


# --- the loss --------------------------------------------------------------------------------------------------------


def slow_supcon(vectors, labels, temperature, weights):
    """Eq. 2 of Khosla et al., one anchor at a time, each term times its anchor's weight."""
    z = [v / np.linalg.norm(v) for v in vectors]
    terms = []
    for i, anchor in enumerate(z):
        others = [k for k in range(len(z)) if k != i]
        below = sum(math.exp(anchor @ z[k] / temperature) for k in others)
        same = [k for k in others if labels[k] == labels[i]]
        if same:
            logs = [math.log(math.exp(anchor @ z[k] / temperature) / below) for k in same]
            terms.append(-weights[i] * sum(logs) / len(same))
    return sum(terms) / len(terms)


@given(st.integers(0, 30), st.sampled_from([0.07, 0.5]))
@tiny.examples(max_examples=30)
def test_the_loss_is_that_of_the_papers(seed, temperature):
    rng, n = np.random.default_rng(seed), 5
    projections, private, logits = (rng.normal(size=(2 * n, d)) for d in (6, 3, 4))
    shares = rng.dirichlet(np.ones(4), n)
    weights = Weights(temperature=temperature, views=0.3)
    tensors = [torch.tensor(array, dtype=torch.float32) for array in (projections, private, logits, shares)]
    parts = loss_parts(*tensors, weights)
    labels = shares.argmax(axis=1)
    anchor_weights = [0.5 if k == NEGATIVE else 1.0 for k in labels]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    faces = list(range(n)) * 2
    supervised = slow_supcon(projections, [*labels, *labels], temperature, anchor_weights * 2)
    coarse = -np.mean([(shares[i] * np.log(softmax[i])).sum() for i in range(n)])
    instance = slow_supcon(softmax, faces, temperature, [1] * 2 * n)
    views = slow_supcon(private, faces, temperature, [1] * 2 * n)
    slow = {"supervised": supervised, "coarse": coarse, "instance": instance, "views": views}
    assert {name: getattr(parts, name).item() for name in slow} == pytest.approx(slow, rel=1e-3)
    total = supervised + coarse + 0.4 * instance + 0.3 * views
    assert parts.total(weights).item() == pytest.approx(total, rel=1e-3)


# --- learning --------------------------------------------------------------------------------------------------------


def batch(n=32):
    """Faces whose brightness tells their coarse label."""
    labels = torch.arange(n) % 4
    faces = (tiny.pixels(n).float() * 0.2 + 50 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return faces, torch.eye(4)[labels]


def test_training_teaches_the_coarse_labels_and_leaves_the_encoder_it_began_with():
    encoder = tiny.encoder(norm=True)
    before = state_sha256(encoder)
    learner = ContrastLearner(encoder, Recipe(Descent(lr=0.05), Weights(views=0.5), NOTHING), 60, seed=0)
    faces, shares = batch()
    losses = [learner.step(faces, shares, seeded(i))["coarse"] for i in range(60)]
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    assert state_sha256(encoder) == before
    trained = learner.encoder()
    assert state_sha256(trained) != before
    assert not any(p.requires_grad for p in trained.parameters())
    u = trained(faces).mean(dim=(2, 3))
    nearest = torch.cdist(u, u).fill_diagonal_(math.inf).argmin(dim=1)
    assert (nearest % 4 == torch.arange(32) % 4).float().mean() > 0.9


def test_a_learner_resumes_where_it_stopped():
    faces, shares = batch(16)
    one = ContrastLearner(tiny.encoder(norm=True), Recipe(), 6, seed=0)
    for i in range(3):
        one.step(faces, shares, seeded(i))
    two = ContrastLearner(tiny.encoder(seed=1, norm=True), Recipe(), 6, seed=1)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for learner in (one, two):
        for i in range(3, 6):
            learner.step(faces, shares, seeded(i))
    assert state_sha256(one.net) == state_sha256(two.net)
