"""Adapters of the last convolution: what each computes, how many parameters it has, and what it does not change."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ciao_stream.checks.mask import lasts
from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.base import HALF_MAX, LastConv, Preprocessing, state_sha256
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.adapters import adapter_names, load_adapter
from ciao_stream.worlds.adapters.lora import rank
from ciao_stream.worlds.masks import choose_mask, load_mask
from ciao_stream.worlds.settings import HeadSettings, Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny

SPEC = tiny.SPECS["categorical"]
DEFAULT = Settings()
EVERY = [pytest.param(name, shape, id=f"{name} at {shape}") for name in adapter_names() for shape in lasts()]


def made(name, last, settings=DEFAULT):
    with seeded_torch(0, "adapter"):
        return load_adapter(name)(last, settings)


def inputs(last):
    """Inputs of a convolution, and a carry for the residual, if there is one."""
    with seeded_torch(0, "inputs"), torch.no_grad():
        x = torch.randn(3, last.conv.in_channels, 8, 8)
        return x, (torch.rand_like(last.conv(x)),)


def size_of(module):
    return sum(p.numel() for p in module.parameters())


def trained(name, last, steps=3):
    """An adapter after a few steps."""
    adapter, (x, carry) = made(name, last), inputs(last)
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (adapter.activate(last, x, carry) - 1).square().mean().backward()
        optimizer.step()
    return adapter


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_an_untrained_adapter_changes_nothing(name, shape):
    last = lasts()[shape]
    x, carry = inputs(last)
    for fast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast), torch.no_grad():
            got, expected = made(name, last).activate(last, x, carry), last.activate(x, carry)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert torch.equal(got, expected)


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_training_changes_every_parameter_of_the_adapter_and_nothing_of_the_convolution(name, shape):
    last = lasts()[shape]
    before, start = state_sha256(last), made(name, last)
    adapter = trained(name, last)
    assert tiny.moved(tiny.frozen_copy(start), adapter) == {key for key, _ in adapter.named_parameters()}
    assert state_sha256(last) == before
    assert all(p.grad is None for p in last.parameters())
    x, carry = inputs(last)
    assert not torch.equal(adapter.activate(last, x, carry), last.activate(x, carry))


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_the_state_is_the_parameters_alone_and_restores_the_adapter(name, shape):
    last = lasts()[shape]
    adapter, again = trained(name, last), made(name, last)
    assert adapter.state_dict().keys() == dict(adapter.named_parameters()).keys()
    assert load_adapter(name).size(last, DEFAULT) == size_of(adapter)
    again.load_state_dict(adapter.state_dict(), strict=True)
    x, carry = inputs(last)
    assert torch.equal(again.activate(last, x, carry), adapter.activate(last, x, carry))


@pytest.mark.parametrize("shape", lasts())
def test_lora_is_the_convolution_whose_weight_is_w_plus_b_a(shape):
    last = lasts()[shape]
    conv, adapter = last.conv, trained("lora", last)
    x, carry = inputs(last)
    change = torch.einsum("or,rihw->oihw", adapter.up.weight[:, :, 0, 0], adapter.down.weight)
    geometry = {"stride": conv.stride, "padding": conv.padding}
    expected = last.finish(conv(x) + F.conv2d(x, change, **geometry), carry)
    assert torch.allclose(adapter.activate(last, x, carry), expected, atol=1e-5)
    assert torch.linalg.matrix_rank(change.flatten(1)) <= adapter.up.in_channels == rank(last, DEFAULT)


def test_ia3_multiplies_channels_of_the_activated_map():
    last = lasts()["a convolution with norm and residual"]
    adapter, (x, carry) = made("ia3", last), inputs(last)
    adapter.factor.data = torch.linspace(-1, 2, 12)
    expected = last.activate(x, carry) * torch.linspace(-1, 2, 12).view(12, 1, 1)
    assert torch.equal(adapter.activate(last, x, carry), expected)
    adapter.factor.data.fill_(1e30)
    assert adapter.activate(last, x, carry).max() == HALF_MAX


@pytest.mark.parametrize("bias", [True, False])
def test_bitfit_is_the_convolution_with_another_bias(bias):
    last = LastConv(nn.Conv2d(3, 5, 3, bias=bias)).requires_grad_(False)
    adapter, (x, carry) = made("bitfit", last), inputs(last)
    adapter.shift.data = torch.linspace(-1, 1, 5)
    other = adapter.shift + (last.conv.bias if bias else 0)
    expected = F.conv2d(x, last.conv.weight, other).relu()
    assert torch.allclose(adapter.activate(last, x, carry), expected, atol=1e-6)


def test_behind_a_frozen_norm_bitfit_can_be_any_bias_of_the_norm():
    last = lasts()["a convolution with norm and residual"]
    adapter, (x, carry) = made("bitfit", last), inputs(last)
    wanted, untouched = torch.linspace(-1, 1, 12), last.activate(x, carry)
    adapter.shift.data = wanted * torch.sqrt(last.norm.running_var + last.norm.eps) / last.norm.weight
    shifted = adapter.activate(last, x, carry)
    last.norm.bias.data.add_(wanted)
    assert torch.allclose(shifted, last.activate(x, carry), atol=1e-5)
    assert not torch.allclose(shifted, untouched, atol=1e-2)


@pytest.mark.parametrize("name", ["facechannel", "vggface", "pk", "resnet18", "ciao-face"])
@pytest.mark.parametrize("mask", ["auto", "pointwise", "low-rank", "depthwise"])
def test_lora_has_at_most_as_many_parameters_as_the_mask(name, mask):
    last = tiny.real(name).last
    settings = Settings(mask=mask)
    budget = load_mask(choose_mask(last) if mask == "auto" else mask).size(last)
    one = last.conv.in_channels * math.prod(last.conv.kernel_size) + last.conv.out_channels
    size = load_adapter("lora").size(last, settings)
    assert size == rank(last, settings) * one
    assert max(one, budget - one) <= max(one, size) <= max(one, budget)
    assert load_adapter("lora").size(last, replace(settings, rank=8)) == 8 * one


def test_the_budget_of_a_narrow_convolution_ends_at_its_full_rank():
    last = LastConv(nn.Conv2d(1, 64, 1))
    assert load_mask("ciao").size(last) // 65 == 2
    assert rank(last, DEFAULT) == 1


@pytest.mark.parametrize(("scheme", "mask", "most"), [("lora", "ciao", 6), ("dl", "low-rank", 4)])
def test_a_rank_above_that_of_the_convolution_is_refused(scheme, mask, most):
    encoder = tiny.encoder()  # the convolution has 4 inputs, 6 outputs, 3x3
    World(SPEC, encoder, scheme, True, tiny.small(mask=mask, rank=most))
    message = f"settings: rank: expected at most {most} for this encoder's last convolution but got {most + 1}"
    with pytest.raises(CiaoError, match=message):
        World(SPEC, encoder, scheme, True, tiny.small(mask=mask, rank=most + 1))


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_the_rank_of_a_low_rank_mask_is_that_of_the_settings(tmp_path, rank):
    encoder = tiny.encoder()
    world = World(SPEC, encoder, "dl", True, tiny.small(mask="low-rank", rank=rank))
    assert size_of(world.mask) == rank * (4 + 6 * 9) + 6 + 6
    assert size_of(world.mask) == type(world.mask).size(encoder.last, rank)
    world.save(tmp_path)
    again = World.load(tmp_path, encoder)
    assert (again.settings.rank, again.sha256()) == (rank, world.sha256())


def test_a_low_rank_mask_of_full_rank_starts_as_the_full_mask():
    encoder = tiny.encoder(norm=True)
    z, _ = tiny.batch(encoder, level="z")
    low, full = (
        World(SPEC, encoder, "dl", True, tiny.small(mask=mask, rank=4)).eval() for mask in ("low-rank", "ciao")
    )
    assert torch.allclose(low.map(z), full.map(z), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", adapter_names())
def test_only_the_adapter_and_the_head_get_a_gradient_and_the_norm_does_not_change(name, masked):
    """Also of the batch norm in the shared convolution: its statistics stay those of the frozen encoder."""
    encoder = tiny.encoder(norm=True)
    before = encoder.fingerprint()
    world = World(SPEC, encoder, name, masked, tiny.small())
    own = {"adapter", "head", *(["mask"] if masked else [])}
    assert {key.split(".")[0] for key in world.state_dict()} == own
    adapter = tiny.frozen_copy(world.adapter)
    x, y = tiny.batch(encoder, level="z")
    learner = WorldLearner(world)
    for _ in range(3):
        learner.step(x, y)
    assert tiny.moved(adapter, world.adapter) == set(adapter)
    assert encoder.fingerprint() == before
    assert all(p.grad is None for p in encoder.parameters())
    assert not any(module.training for module in encoder.modules())


@pytest.mark.parametrize("name", adapter_names())
def test_before_training_the_predictions_are_those_of_the_head_alone(name):
    encoder = tiny.encoder(norm=True, skip=True)
    plain, adapted = (World(SPEC, encoder, scheme, False, tiny.small(), seed=5) for scheme in ("dl", name))
    z, _ = tiny.batch(encoder, level="z")
    with autocast(z.device), torch.no_grad():
        u = encoder.last(z)
    assert torch.equal(adapted.predict(z), plain.predict(u.float()))


def test_the_seed_and_the_name_of_the_task_choose_the_adapter():
    def start(seed, kind="votes"):
        return World(tiny.SPECS[kind], tiny.encoder(), "lora", False, tiny.small(), seed).adapter.down.weight

    assert torch.equal(start(0), start(0))
    assert not torch.equal(start(0), start(1))
    assert not torch.equal(start(0), start(0, "categorical"))


@pytest.mark.parametrize("name", adapter_names())
def test_an_adapter_works_on_the_last_convolution_of_an_attached_network(name, tmp_path):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.last = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.norm, self.head = nn.GroupNorm(2, 6), nn.Linear(6, 3)

        def forward(self, x):
            x = self.stem(x).relu()
            return self.head((x + self.norm(self.last(x)).relu()).mean(dim=(2, 3)))

    with seeded_torch(0, "network"):
        encoder = attach(Network(), Preprocessing(tiny.SIZE, "gray", (0.5,), (0.25,)), "mine")
    before = encoder.fingerprint()
    world = World(SPEC, encoder, name, True, tiny.small())
    assert type(world.adapter) is load_adapter(name)
    x, y = tiny.batch(encoder, level="z")
    learner = WorldLearner(world)
    for _ in range(2):
        learner.step(x, y)
    assert encoder.fingerprint() == before
    world.save(tmp_path)
    assert torch.equal(World.load(tmp_path, encoder).predict(x), world.predict(x))


@pytest.mark.parametrize("name", adapter_names())
def test_an_adapter_learns_what_the_head_cannot(name):
    """The head sees only where a channel is above zero; biases, factors and filters can bring the rest there."""
    with seeded_torch(0, "learns"):
        encoder = tiny.encoder()
        settings = tiny.small(head=HeadSettings("mean", "none", (), 0.0), lr=0.05, contrast_weight=0.0)
        x, y = tiny.batch(encoder, level="z", n=24)
        y = y[torch.randperm(24)]
    losses = {}
    for scheme in ("dl", name):
        world = World(SPEC, encoder, scheme, False, settings)
        learner = WorldLearner(world)
        batch = x if scheme == name else encoder.stored_u(x).float()
        losses[scheme] = [learner.step(batch, y).decision for _ in range(60)][-1]
    assert losses[name] < losses["dl"]


def test_there_are_three_adapters_and_no_other():
    assert adapter_names() == ["bitfit", "ia3", "lora"]
    with pytest.raises(UnknownNameError, match="unknown adapter 'loora': did you mean 'lora'"):
        load_adapter("loora")
