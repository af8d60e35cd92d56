import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch

from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError, WorldError
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds import training
from ciao_stream.worlds.losses import contrastive_loss, decision_loss, output_embedding
from ciao_stream.worlds.settings import HeadSettings
from ciao_stream.worlds.training import WorldLearner, make_optimizer
from ciao_stream.worlds.world import World
from tests.helpers import tiny

SCHEMES = ("dl", "lc", "full")
PLAIN = HeadSettings("max2", "none", (8,), 0.0)
SGD = {"head": PLAIN, "optimizer": "sgd", "lr": 0.05, "momentum": 0.0, "weight_decay": 0.0}


def learner_of(scheme="dl", masked=True, kind="categorical", settings=None, shared=None):
    shared = shared or tiny.encoder(norm=True)
    world = World(tiny.SPECS[kind], shared, scheme, masked, settings or tiny.small())
    return WorldLearner(world), tiny.batch(shared, kind, level=world.level)


def parameters(world, prefix=""):
    return {name for name, _ in world.named_parameters() if name.startswith(prefix)}


def stages(learner, x, y):
    """The names of the parameters that each optimiser's step moves, in the order of the steps."""
    states = [tiny.frozen_copy(learner.world)]
    hooks = [
        optimizer.register_step_post_hook(lambda *_: states.append(tiny.frozen_copy(learner.world)))
        for optimizer in learner.optimizers
    ]
    with seeded_torch(0):
        learner.step(x, y)
    for hook in hooks:
        hook.remove()
    names = parameters(learner.world)
    steps = itertools.pairwise(states)
    return [{name for name in names if not torch.equal(before[name], after[name])} for before, after in steps]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", tiny.SPECS)
def test_paper_moves_the_mask_alone_and_then_all_the_rest(scheme, kind):
    learner, (x, y) = learner_of(scheme, kind=kind, settings=tiny.small(tiny.PAPER))
    mask, everything = parameters(learner.world, "mask."), parameters(learner.world)
    assert len(mask) == 3
    assert stages(learner, x, y) == [mask, everything - mask]


def held(optimizer):
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_two_optimisers_of_paper_share_no_parameter(scheme):
    learner, _ = learner_of(scheme, settings=tiny.small(tiny.PAPER))
    of_mask, of_rest = map(held, learner.optimizers)
    assert of_mask == {id(p) for p in learner.world.mask.parameters()}
    assert of_mask | of_rest == {id(p) for p in learner.world.parameters()}
    assert not of_mask & of_rest


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_default_moves_everything_in_one_step(scheme, masked):
    learner, (x, y) = learner_of(scheme, masked)
    assert len(learner.optimizers) == 1
    assert held(learner.optimizers[0]) == {id(p) for p in learner.world.parameters()}
    assert stages(learner, x, y) == [parameters(learner.world)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_a_mask_paper_is_one_step_on_the_decision_term(scheme):
    learner, (x, y) = learner_of(scheme, masked=False, settings=tiny.small(tiny.PAPER))
    assert stages(learner, x, y) == [parameters(learner.world)]
    assert learner.step(x, y).contrast is None


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("scheme", "own"), [("dl", ()), ("lc", ("last",)), ("full", ("encoder",))])
def test_a_world_trains_what_its_scheme_says_and_the_shared_encoder_stays(scheme, own, masked):
    shared = tiny.encoder(norm=True)
    before = shared.fingerprint()
    learner, (x, y) = learner_of(scheme, masked, shared=shared)
    assert {name.split(".")[0] for name in parameters(learner.world)} == {"head", *own, *["mask"] * masked}
    start = tiny.frozen_copy(learner.world)
    learner.step(x, y)
    buffers = {"head.layers.2.running_mean", "head.layers.2.running_var", "head.layers.2.num_batches_tracked"}
    if scheme != "dl":
        norms = {"lc": ["last.norm"], "full": ["encoder.last.norm", "encoder.trunk.1"]}[scheme]
        buffers |= {f"{norm}.{b}" for norm in norms for b in ("running_mean", "running_var", "num_batches_tracked")}
    assert tiny.moved(start, learner.world) == parameters(learner.world) | buffers
    assert shared.fingerprint() == before
    assert all(p.grad is None for p in shared.parameters())
    assert not any(module.training for module in shared.modules())


def zero(*arguments):
    return sum(a for a in arguments if isinstance(a, torch.Tensor) and a.requires_grad).sum() * 0


@pytest.mark.parametrize(("silenced", "moves"), [("contrastive_loss", "rest"), ("decision_loss", "mask")])
def test_in_paper_each_term_moves_its_own_part(monkeypatch, silenced, moves):
    learner, (x, y) = learner_of("lc", settings=tiny.small(tiny.PAPER))
    monkeypatch.setattr(training, silenced, zero)
    mask = parameters(learner.world, "mask.")
    expected = mask if moves == "mask" else parameters(learner.world) - mask
    assert set.union(*stages(learner, x, y)) == expected


@pytest.mark.parametrize("silenced", ["contrastive_loss", "decision_loss"])
def test_in_default_each_term_moves_everything(monkeypatch, silenced):
    learner, (x, y) = learner_of("lc", settings=tiny.small(weight_decay=0.0))
    monkeypatch.setattr(training, silenced, zero)
    assert stages(learner, x, y) == [parameters(learner.world)]


def terms(world, settings, x, y):
    """Both terms of Eq. 5, from the world's own map and head."""
    with autocast(x.device):
        masked = world.map(x)
        outputs = world.head(masked).float()
    pooled = masked.flatten(2).mean(2)
    embedding = pooled if settings.contrast_on == "map" else output_embedding(world.spec, outputs)
    contrast = contrastive_loss(world.spec, embedding, y, settings.temperature, settings.contrast)
    return decision_loss(world.spec, outputs, y), contrast


def descend(world, loss, prefixes, lr):
    """One step of plain gradient descent on the parameters of these prefixes."""
    chosen = [p for name, p in world.named_parameters() if name.startswith(prefixes)]
    for parameter, gradient in zip(chosen, torch.autograd.grad(loss, chosen), strict=True):
        parameter.data -= lr * gradient


@pytest.mark.parametrize("alternate", [True, False])
@pytest.mark.parametrize("contrast_on", ["output", "map"])
@pytest.mark.parametrize("form", ["eq3", "supcon", "npairs"])
@pytest.mark.parametrize("kind", ["votes", "dimensional"])
def test_a_step_is_gradient_descent_on_equation_5(alternate, contrast_on, form, kind):
    settings = tiny.small(alternate=alternate, contrast_on=contrast_on, contrast=form, contrast_weight=3.0, **SGD)
    learner, (x, y) = learner_of("dl", kind=kind, settings=settings)
    reference = copy.deepcopy(learner.world)
    decision, contrast = terms(reference, settings, x, y)
    if alternate:
        descend(reference, 3.0 * contrast, ("mask.",), 0.05)
        decision, _ = terms(reference, settings, x, y)
        descend(reference, decision, ("head.",), 0.05)
    else:
        descend(reference, decision + 3.0 * contrast, ("mask.", "head."), 0.05)
    losses = learner.step(x, y)
    assert losses.decision == pytest.approx(decision.item(), rel=1e-5)
    assert losses.contrast == pytest.approx(contrast.item(), rel=1e-5)
    for (name, got), expected in zip(learner.world.named_parameters(), reference.parameters(), strict=True):
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5), name


def test_a_contrast_of_no_weight_is_left_out():
    learner, (x, y) = learner_of(settings=tiny.small(contrast_weight=0.0))
    assert learner.step(x, y).contrast is None


def test_a_batch_of_one_face_can_be_learned_without_normalisation():
    learner, (x, y) = learner_of(settings=tiny.small(tiny.PAPER))
    losses = learner.step(x[:1], y[:1])
    assert math.isfinite(losses.decision)
    assert losses.contrast == 0


@pytest.mark.parametrize(("epoch", "share"), [(0, 1.0), (1, (1 + math.cos(math.pi / 4)) / 2), (2, 0.5), (4, 0.0)])
def test_the_cosine_schedule_falls_to_zero_in_all_optimisers(epoch, share):
    learner, _ = learner_of(settings=tiny.small(tiny.PAPER, schedule="cosine", epochs=4, lr=0.1))
    learner.start_epoch(epoch)
    rates = [group["lr"] for optimizer in learner.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.1 * share] * 2)


def test_the_constant_schedule_keeps_the_rate():
    learner, _ = learner_of(settings=tiny.small(schedule="constant", lr=0.1))
    learner.start_epoch(7)
    assert learner.optimizers[0].param_groups[0]["lr"] == 0.1


def test_optimisers_are_made_as_the_settings_say():
    weights = [torch.nn.Parameter(torch.ones(2))]
    adam = make_optimizer(weights, tiny.small(optimizer="adam", lr=0.1, weight_decay=0.01))
    assert isinstance(adam, torch.optim.AdamW)
    assert {k: adam.defaults[k] for k in ("lr", "weight_decay")} == {"lr": 0.1, "weight_decay": 0.01}
    for momentum in (0.0, 0.4):
        sgd = make_optimizer(weights, tiny.small(optimizer="sgd", lr=0.1, momentum=momentum, weight_decay=0.0))
        assert isinstance(sgd, torch.optim.SGD)
        assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (momentum, momentum > 0)


@pytest.mark.parametrize("alternate", [False, True])
def test_the_mask_has_a_rate_of_its_own(alternate):
    def moved(mask_rate):
        settings = tiny.small(optimizer="sgd", lr=0.01, weight_decay=0.0, mask_rate=mask_rate, alternate=alternate)
        learner, (x, y) = learner_of("dl", settings=settings)
        start = tiny.frozen_copy(learner.world)
        with seeded_torch(0, "step"):
            learner.step(x, y)
        return {name: p.detach() - start[name] for name, p in learner.world.named_parameters()}

    once, tenfold = moved(1.0), moved(10.0)
    for name, step in once.items():
        if name.startswith("mask."):
            torch.testing.assert_close(tenfold[name], 10 * step, rtol=1e-3, atol=1e-6)
        elif not alternate:
            torch.testing.assert_close(tenfold[name], step, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["categorical", "votes"])
def test_a_shift_of_the_outputs_changes_the_decision_term_alone(kind):
    def losses(shift, **changes):
        learner, (x, y) = learner_of("dl", kind=kind, settings=tiny.small(**changes))
        with seeded_torch(0, "step"):
            return learner.step(x, y, log_shift=shift), learner.world.sha256()

    n_out = tiny.SPECS[kind].n_out
    plain, zero = losses(None), losses(torch.zeros(n_out))
    assert zero == plain
    tilted, other = losses(torch.arange(n_out, dtype=torch.float32))
    assert tilted.contrast == plain[0].contrast
    assert tilted.decision != plain[0].decision
    assert other != plain[1]


@pytest.mark.parametrize("preset", [tiny.DEFAULT, tiny.PAPER], ids=["default", "paper"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_goes_on_from_its_state_as_if_it_had_never_stopped(scheme, preset):
    def steps(learner, start, stop):
        for number in range(start, stop):
            with seeded_torch(0, "step", number):
                learner.step(x, y)

    whole, (x, y) = learner_of(scheme, settings=tiny.small(preset))
    steps(whole, 0, 4)
    half, _ = learner_of(scheme, settings=tiny.small(preset))
    steps(half, 0, 2)
    state = copy.deepcopy(half.state_dict())
    steps(half, 2, 3)
    again, _ = learner_of(scheme, settings=tiny.small(preset))
    again.load_state_dict(state)
    steps(again, 2, 4)
    assert again.world.sha256() == whole.world.sha256() != half.world.sha256()


@pytest.mark.parametrize(
    ("kind", "scheme", "masked"),
    [*((kind, "dl", True) for kind in tiny.SPECS), *(("categorical", s, m) for s in SCHEMES for m in (True, False))],
)
def test_a_few_faces_can_be_learned(kind, scheme, masked):
    settings = replace(tiny.small(lr=0.01, contrast_weight=0.01), head=HeadSettings("none", "batch", (32,), 0.0))
    learner, (x, y) = learner_of(scheme, masked, kind, settings)
    floor = decision_loss(learner.world.spec, y.clamp(1e-6).log(), y).item() if kind == "votes" else 0.0
    first = learner.step(x, y).decision
    for _ in range(40):
        last = learner.step(x, y).decision
    assert last - floor < (first - floor) / 4


def encoded(shared, level, kind="categorical", n=9):
    faces = tiny.faces(kind, tiny.pictures(n))
    x, _ = tiny.batch(shared, kind, n=n, level=level)
    return EncodedFaces(faces, x.numpy())


@pytest.mark.parametrize("balanced", [False, True])
def test_fit_stopped_between_epochs_and_resumed_ends_with_the_same_weights(balanced):
    shared, settings = tiny.encoder(norm=True), tiny.small(epochs=4, batch_size=4, balanced=balanced)
    whole, stopped, resumed = (learner_of(settings=settings, shared=shared)[0] for _ in range(3))
    faces = encoded(shared, "z")
    fresh = whole.world.sha256()
    whole.fit(faces, seed=5)
    stopped.fit(faces, seed=5, epochs=range(1))
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    torch.rand(7)
    resumed.fit(faces, seed=5, epochs=range(1, 4))
    assert resumed.world.sha256() == whole.world.sha256() != stopped.world.sha256() != fresh
    resumed.fit(faces, seed=6, epochs=range(1))
    assert resumed.world.sha256() != whole.world.sha256()


def test_fit_and_predict_split_refuse_faces_encoded_at_another_level():
    learner, _ = learner_of(shared=(shared := tiny.encoder()))
    for use in (learner.fit, learner.world.predict_split):
        with pytest.raises(
            WorldError,
            match=r"reads z: expected a tensor, float \(N, 4, 8, 8\), .*6, 4, 4\); encode the faces at level 'z'",
        ):
            use(encoded(shared, "u"))
    assert learner.world.predict_split(encoded(shared, "z"), batch_size=4).shape == (9, learner.world.spec.n_out)


def test_fit_and_predict_split_refuse_what_is_not_encoded_and_fit_refuses_faces_of_other_labels():
    shared = tiny.encoder(norm=True)
    learner, _ = learner_of(shared=shared)
    for use in (learner.fit, learner.world.predict_split):
        with pytest.raises(CiaoError, match="faces: expected EncodedFaces but got FaceDataset"):
            use(tiny.faces())
    before = tiny.frozen_copy(learner.world)
    others = encoded(shared, "z")
    others = replace(others, faces=replace(others.faces, spec=replace(others.faces.spec, labels=("a", "b", "c"))))
    with pytest.raises(WorldError, match=r"world 'fer' cannot be trained on .* calm, glad, mad .*a, b, c"):
        learner.fit(others)
    assert not tiny.moved(before, learner.world)
