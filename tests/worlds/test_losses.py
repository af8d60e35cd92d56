import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from ciao_stream.worlds.losses import contrast_classes, contrastive, contrastive_loss, decision_loss, output_embedding
from tests.helpers import tiny

FORMS = ("eq3", "supcon", "npairs")
T = 0.5


def scores_of(embeddings, t):
    """Eq. 2: s_ij of normalised embeddings, by plain loops."""
    rows = [[float(v) for v in row] for row in embeddings]
    unit = [[v / max(math.sqrt(sum(w * w for w in row)), 1e-12) for v in row] for row in rows]
    return [[sum(a * b for a, b in zip(x, y, strict=True)) / t for y in unit] for x in unit]


def slow_eq3(embeddings, classes, t):
    """Eq. 3-4 as written: numerator a positive, denominator the samples of other classes, 1 / (N - 1)."""
    s, n, total = scores_of(embeddings, t), len(classes), 0.0
    for i in range(n):
        positives = [j for j in range(n) if j != i and classes[j] == classes[i]]
        negatives = [k for k in range(n) if classes[k] != classes[i]]
        if not positives or not negatives:
            continue
        below = sum(math.exp(s[i][k]) for k in negatives)
        total += -sum(math.log(math.exp(s[i][j]) / below) for j in positives) / (n - 1)
    return total


def slow_supcon(embeddings, classes, t):
    """Khosla et al., Eq. 2 (sum outside the logarithm), mean over the anchors that have a positive."""
    s, n, per_anchor = scores_of(embeddings, t), len(classes), []
    for i in range(n):
        positives = [j for j in range(n) if j != i and classes[j] == classes[i]]
        if positives:
            below = sum(math.exp(s[i][k]) for k in range(n) if k != i)
            per_anchor.append(-sum(math.log(math.exp(s[i][j]) / below) for j in positives) / len(positives))
    return sum(per_anchor) / len(per_anchor) if per_anchor else 0.0


def slow_npairs(embeddings, classes, t):
    """Row softmax, the self-pair included, against the same-class indicator normalised per row."""
    s, n, total = scores_of(embeddings, t), len(classes), 0.0
    for i in range(n):
        same = [j for j in range(n) if classes[j] == classes[i]]
        below = sum(math.exp(s[i][k]) for k in range(n))
        total -= sum(math.log(math.exp(s[i][j]) / below) / len(same) for j in same)
    return total / n


SLOW = {"eq3": slow_eq3, "supcon": slow_supcon, "npairs": slow_npairs}


@st.composite
def batches(draw, least=1):
    n, d = draw(st.integers(least, 9)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    return torch.randn(n, d, generator=generator), draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))


@pytest.mark.parametrize("form", FORMS)
@tiny.examples(max_examples=60)
@given(batch=batches(), t=st.floats(0.05, 5))
def test_contrast_equals_the_formula_written_as_loops(form, batch, t):
    z, classes = batch
    fast = contrastive(z, torch.tensor(classes), t, form).item()
    assert fast == pytest.approx(SLOW[form](z, classes, t), rel=1e-3, abs=1e-3)


# z0 = z1 (class 0), z2 at a right angle (class 1): s is 2 or 0. Sample 2 has no positive.
HAND = {
    "eq3": 2 * -math.log(math.exp(2) / math.exp(0)) / (3 - 1),
    "supcon": -math.log(math.exp(2) / (math.exp(2) + 1)),
    "npairs": (2 * -math.log(math.exp(2) / (2 * math.exp(2) + 1)) - math.log(math.exp(2) / (math.exp(2) + 2))) / 3,
}


@pytest.mark.parametrize("form", FORMS)
def test_contrast_by_hand(form):
    z = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 7.0]])
    assert contrastive(z, torch.tensor([0, 0, 1]), T, form).item() == pytest.approx(HAND[form], rel=1e-5)


def test_eq3_is_negative_where_the_classes_lie_apart_and_the_others_are_not():
    z, classes = torch.tensor([[1.0, 0.0]] * 2 + [[-1.0, 0.0]] * 2), torch.tensor([0, 0, 1, 1])
    assert contrastive(z, classes, T, "eq3").item() == pytest.approx(-4 * (2 + 2 - math.log(2)) / 3)
    assert contrastive(z, classes, T, "supcon") > 0
    assert contrastive(z, classes, T, "npairs") > 0


@pytest.mark.parametrize("form", FORMS)
@tiny.examples(max_examples=60)
@given(batch=batches(least=2), seed=st.integers(0, 99), scale=st.floats(0.01, 100))
def test_contrast_does_not_depend_on_order_length_or_names_of_classes(form, batch, seed, scale):
    z, classes = batch[0], torch.tensor(batch[1])
    plain = contrastive(z, classes, T, form).item()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(z)))
    scales = scale * torch.linspace(1, 3, len(z)).unsqueeze(1)
    assert contrastive(z[order], classes[order], T, form).item() == pytest.approx(plain, rel=1e-3, abs=1e-4)
    assert contrastive(z * scales, classes, T, form).item() == pytest.approx(plain, rel=1e-3, abs=1e-4)
    assert contrastive(z, 10 - 2 * classes, T, form).item() == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_contrast_falls_as_a_class_draws_together(form):
    classes = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[1.0, 0.2], [1.0, -0.2], [-0.2, 1.0], [0.2, 1.0]])
    mixed = torch.tensor([[1.0, 0.2], [0.2, 1.0], [1.0, -0.2], [-0.2, 1.0]])
    assert contrastive(apart, classes, T, form) < contrastive(mixed, classes, T, form)


EDGE = {
    "one sample": ([0], torch.randn(1, 3)),
    "two of one class": ([0, 0], torch.randn(2, 3)),
    "two of two classes": ([0, 1], torch.randn(2, 3)),
    "no positives": ([0, 1, 2, 3], torch.randn(4, 3)),
    "no negatives": ([1, 1, 1, 1], torch.randn(4, 3)),
    "one anchor alone": ([0, 0, 1], torch.randn(3, 3)),
    "zero embeddings": ([0, 0, 1, 1], torch.zeros(4, 3)),
    "equal embeddings": ([0, 0, 1, 1], torch.ones(4, 3)),
    "huge embeddings": ([0, 0, 1, 1], torch.randn(4, 3) * 1e18),
    "tiny embeddings": ([0, 0, 1, 1], torch.randn(4, 3) * 1e-30),
    "opposite embeddings": ([0, 0, 1, 1], torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])),
}


@pytest.mark.parametrize("t", [0.01, 1.0])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", EDGE)
def test_contrast_and_its_gradient_are_finite_on_any_batch(case, form, t):
    classes, z = EDGE[case]
    z = z.clone().requires_grad_()
    loss = contrastive(z, torch.tensor(classes), t, form)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.shape == ()
    assert loss.isfinite()
    assert gradient.isfinite().all()
    usable = {"eq3": len(set(classes)) > 1, "supcon": True, "npairs": True}[form] and len(set(classes)) < len(classes)
    if not usable and form != "npairs":
        assert loss == 0
        assert (gradient == 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_embeddings_are_contrasted_in_float32(form):
    z, classes = torch.randn(6, 4).bfloat16(), torch.tensor([0, 0, 1, 1, 2, 2])
    loss = contrastive(z, classes, 0.05, form)
    assert loss.dtype is torch.float32
    assert loss == contrastive(z.float(), classes, 0.05, form)


def test_bins_of_values_at_their_edges():
    values = torch.tensor([[-1.0, -0.79], [-0.8001, 0.0], [-0.0001, 0.79], [1.0, 0.81]])
    passes = contrast_classes(tiny.SPECS["dimensional"], values)
    assert passes.tolist() == [[0, 0, 4, 9], [1, 5, 8, 9]]


@pytest.mark.parametrize(
    ("kind", "targets", "passes"),
    [
        ("categorical", torch.tensor([2, 0, 1]), [[2, 0, 1]]),
        ("votes", torch.tensor([[0.1, 0.2, 0.7], [0.4, 0.2, 0.4], [0, 0.5, 0.5]]), [[2, 0, 1]]),
        ("multilabel", torch.tensor([[0.0, 1, 1, 0], [1, 0, 1, 0]]), [[0, 1], [1, 0], [1, 1], [0, 0]]),
    ],
)
def test_every_kind_has_classes_to_contrast(kind, targets, passes):
    classes = contrast_classes(tiny.SPECS[kind], targets)
    assert classes.tolist() == passes
    assert classes.dtype is torch.int64


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", tiny.SPECS)
def test_the_contrastive_loss_is_the_mean_over_the_passes(kind, form):
    z, y = torch.randn(8, 3), torch.from_numpy(tiny.targets(kind, 8))
    passes = contrast_classes(tiny.SPECS[kind], y)
    assert len(passes) == {"dimensional": 2, "multilabel": 4}.get(kind, 1)
    expected = sum(SLOW[form](z, row.tolist(), T) for row in passes) / len(passes)
    assert contrastive_loss(tiny.SPECS[kind], z, y, T, form).item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


def slow_decision(kind, outputs, targets):
    total, count = 0.0, 0
    for row, target in zip(outputs.tolist(), targets.tolist(), strict=True):
        log_total = math.log(sum(map(math.exp, row)))
        if kind == "categorical":
            total, count = total + log_total - row[target], count + 1
        elif kind == "votes":
            total, count = total + sum(p * (log_total - o) for o, p in zip(row, target, strict=True)), count + 1
        elif kind == "dimensional":
            total, count = total + sum((o - v) ** 2 for o, v in zip(row, target, strict=True)), count + len(row)
        else:
            present = [1 / (1 + math.exp(-o)) for o in row]
            total -= sum(math.log(p if v else 1 - p) for p, v in zip(present, target, strict=True))
            count += len(row)
    return total / count


@pytest.mark.parametrize("kind", tiny.SPECS)
def test_the_decision_loss_equals_the_formula_of_its_kind(kind):
    outputs, y = 3 * torch.randn(9, tiny.SPECS[kind].n_out), torch.from_numpy(tiny.targets(kind, 9))
    expected = slow_decision(kind, outputs, y)
    assert decision_loss(tiny.SPECS[kind], outputs, y).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", tiny.SPECS)
def test_outputs_are_contrasted_as_shares_presence_or_values(kind):
    outputs = torch.randn(5, tiny.SPECS[kind].n_out)
    expected = {"dimensional": outputs, "multilabel": 1 / (1 + (-outputs).exp())}.get(kind, F.softmax(outputs, dim=1))
    assert torch.allclose(output_embedding(tiny.SPECS[kind], outputs), expected)
