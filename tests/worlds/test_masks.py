import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.func import functional_call

from ciao_stream.checks.mask import CHECKS, ContractError, check_mask, lasts
from ciao_stream.encoders.base import LastConv
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.worlds import masks
from ciao_stream.worlds.mask import dense_weight
from ciao_stream.worlds.masks import BUDGET, CiaoMask, choose_mask, load_mask, mask_names
from ciao_stream.worlds.masks.ciao import A_MIN
from ciao_stream.worlds.masks.low_rank import bottleneck
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny

PARAMETERS = {"vggface": 2_360_320, "pk": 3_277_824, "facechannel": 590_336, "resnet18": 2_360_320}
HUGE = torch.finfo(torch.float32).max


def faces_of(encoder, n=2):
    size, channels = encoder.preprocessing.size, 1 if encoder.preprocessing.channels == "gray" else 3
    return torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_mask_has_the_parameters_of_the_last_convolution_and_one_per_channel(name):
    mask = CiaoMask(tiny.real(name).last)
    assert sum(p.numel() for p in mask.parameters()) == PARAMETERS[name]
    assert all(p.requires_grad for p in mask.parameters())


@pytest.mark.parametrize("name", ["facechannel", "vggface", "pk"])
def test_a_new_mask_maps_u_to_u_over_half_plus_u(name):
    encoder = tiny.real(name)
    mask = CiaoMask(encoder.last)
    with torch.no_grad():
        z = encoder.encode(faces_of(encoder))
        u = encoder.last(z)
        masked = mask(encoder.last.enter(z)[0], u)
    assert torch.allclose(mask.a, torch.tensor(0.5), rtol=0, atol=1e-6)
    assert (masked - u / (0.5 + u)).abs().max() < 1e-5
    assert masked.max() > 0.5, "not all zero"


def test_a_mask_follows_its_own_a_and_inhibition():
    last = LastConv(nn.Conv2d(1, 2, 1))
    mask = CiaoMask(last)
    mask.raw_a.data = torch.tensor([2.0, 0.25]).sub(A_MIN).expm1().log()
    mask.inhibition.weight.data = torch.tensor([3.0, -1.0]).view(2, 1, 1, 1)
    mask.inhibition.bias.data = torch.tensor([1.0, 0.0])
    z, u = torch.full((1, 1, 1, 1), 2.0), torch.tensor([4.5, 1.0]).view(1, 2, 1, 1)
    assert mask(z, u).flatten().tolist() == pytest.approx([4.5 / (2 + 7), 1 / (0.25 + 0)])


def test_the_inhibition_starts_as_u_if_the_convolution_has_a_norm():
    encoder = tiny.encoder(norm=True)
    with torch.no_grad():
        z = encoder.encode(tiny.pixels())
        u = encoder.last(z)
        mask = CiaoMask(encoder.last)
        assert torch.allclose(mask.inhibition(z).relu(), u, atol=1e-5)
        assert torch.allclose(mask(z, u), u / (0.5 + u), atol=1e-5)
        assert not torch.allclose(encoder.last.conv(z).relu(), u, atol=1e-2), "the norm does something"


def test_the_inhibition_reads_only_the_convolution_s_own_input():
    encoder = tiny.encoder(norm=True, skip=True)
    with torch.no_grad():
        z = encoder.encode(tiny.pixels())
        own = encoder.last.enter(z)[0]
        assert (z.shape[1], own.shape[1]) == (10, 4)
        mask, expected = CiaoMask(encoder.last), encoder.last.norm(encoder.last.conv(own)).relu()
        assert torch.allclose(mask.inhibition(own).relu(), expected, atol=1e-5)
        assert torch.allclose(encoder.last(z), (encoder.last.norm(encoder.last.conv(own)) + z[:, 4:]).relu(), atol=1e-5)


def test_gradients_equal_finite_differences():
    torch.manual_seed(0)
    mask = CiaoMask(LastConv(nn.Conv2d(2, 3, 3, stride=2, padding=1))).double()
    z = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    u = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*mask.named_parameters(), strict=True)
    assert mask(z, u).dtype is torch.float64

    def masked(z, u, *values):
        return functional_call(mask, dict(zip(names, values, strict=True)), (z, u))

    assert torch.autograd.gradcheck(masked, (z, u, *parameters))


def test_gradients_are_those_of_the_quotient():
    """dM/du = 1 / (a + I) and dM/da = -u / (a + I)^2, at I = 3."""
    mask = CiaoMask(LastConv(nn.Conv2d(1, 1, 1)))
    nn.init.ones_(mask.inhibition.weight)
    nn.init.zeros_(mask.inhibition.bias)
    z, u = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 7.0, requires_grad=True)
    mask(z, u).backward(torch.ones(1, 1, 1, 1))
    slope = torch.sigmoid(mask.raw_a).item()  # of softplus
    assert u.grad.item() == pytest.approx(1 / 3.5)
    assert mask.raw_a.grad.item() == pytest.approx(-7 / 3.5**2 * slope)
    assert mask.inhibition.bias.grad.item() == pytest.approx(-7 / 3.5**2)


numbers = st.floats(-HUGE, HUGE, width=32) | st.sampled_from([0.0, 1e30, -1e30, HUGE, -HUGE, 65504.0, 1e-45])
maps = arrays(np.float32, (1, 2, 3, 3), elements=numbers)
F32, F16, BF16, F64 = torch.float32, torch.float16, torch.bfloat16, torch.float64
KINDS = st.sampled_from([(F32, False), (F32, True), (F16, True), (BF16, True), (F64, False)])  # type, autocast
FULL = np.ones((1, 2, 3, 3), np.float32)


@tiny.examples(max_examples=60)
@given(maps, maps, KINDS, st.sampled_from([-HUGE, -1e4, -90.0, 0.0, 90.0, HUGE]))
@example(0 * FULL, 0 * FULL, (F16, True), -HUGE)
@example(HUGE * FULL, HUGE * FULL, (F32, False), -HUGE)
@example(-HUGE * FULL, HUGE * FULL, (BF16, True), -HUGE)
@example(-HUGE * FULL, HUGE * FULL, (F64, False), -HUGE)
@example(-65504 * FULL, 65504 * FULL, (F16, True), -1e4)
def test_no_finite_input_gives_a_nan_or_an_infinity(z, u, kind, raw_a):
    torch.manual_seed(0)
    dtype, fast = kind
    mask = CiaoMask(LastConv(nn.Conv2d(2, 2, 3, padding=1)))
    nn.init.constant_(mask.raw_a, raw_a)
    mask.to(F64 if dtype is F64 else F32)
    limit = torch.finfo(dtype).max
    z, u = (torch.from_numpy(array).double().clamp(-limit, limit).to(dtype) for array in (z, abs(u)))
    assert z.isfinite().all()
    assert u.isfinite().all()
    with torch.autocast("cpu", dtype=BF16, enabled=fast):
        masked = mask(z, u)
    assert masked.dtype is dtype
    assert masked.isfinite().all()
    assert (masked >= 0).all()
    masked.double().mean().backward()
    assert all(p.grad.isfinite().all() for p in mask.parameters())


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_stays_positive_through_aggressive_steps(optimizer, sign):
    torch.manual_seed(0)
    mask = CiaoMask(LastConv(nn.Conv2d(2, 3, 3, padding=1)))
    moves = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](mask.parameters(), lr=100.0)
    z, u = torch.randn(4, 2, 4, 4), 10 * torch.rand(4, 3, 4, 4)
    start = mask.a.clone()
    for _ in range(40):
        moves.zero_grad()
        (sign * mask(z, u).sum()).backward()
        moves.step()
        assert (mask.a >= A_MIN).all()
        assert A_MIN > 0
        assert mask(z, u).isfinite().all()
    pushed = mask.a > start if sign > 0 else mask.a < start
    assert pushed.all()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", mask_names())
def test_every_mask_keeps_its_promises(name, check):
    for last in lasts().values():
        check(load_mask(name), last)


class Shifted(CiaoMask):
    def forward(self, x, u):
        return super().forward(x, u) + 0.1


class Oversized(CiaoMask):
    @staticmethod
    def size(last):
        return CiaoMask.size(last) + 1


class Drawn(CiaoMask):
    @staticmethod
    def start(last):
        conv = last.folded()
        nn.init.normal_(conv.weight)
        return conv


class Frozen(CiaoMask):
    @staticmethod
    def start(last):
        return last.folded().requires_grad_(False)


class Tied(CiaoMask):
    @staticmethod
    def start(last):
        return last.conv.requires_grad_(True) if last.conv.bias is not None else last.folded()


class Unguarded(CiaoMask):
    def forward(self, x, u):
        return u / (self.a.view(1, -1, 1, 1) + self.inhibit(x, u.shape[2:]).relu())


class Subtracting(CiaoMask):
    def forward(self, x, u):
        return u - self.inhibit(x, u.shape[2:]).relu().to(u.dtype)


@pytest.mark.parametrize(
    ("mask", "broken"),
    [
        (Shifted, "changes the sign"),
        (Oversized, "its size is"),
        (Drawn, "draws from the global generator"),
        (Frozen, "cannot be trained"),
        (Tied, "changes the encoder's convolution"),
        (Unguarded, "changes torch.float16 to torch.float32|not finite"),
        (Subtracting, "changes the sign"),
    ],
)
def test_a_mask_that_breaks_a_promise_is_refused(mask, broken):
    with pytest.raises(ContractError, match=f"{mask.__name__} on a .*({broken})"):
        check_mask(mask)


NEW_MASK = """
from ciao_stream.worlds.masks.ciao import CiaoMask

class GlobalMask(CiaoMask):
    def inhibit(self, x, shape):
        return super().inhibit(x, shape).mean(dim=(2, 3), keepdim=True)

MASK = GlobalMask
"""


def test_a_new_mask_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "whole_map.py").write_text(NEW_MASK)
    monkeypatch.setattr(masks, "__path__", [*masks.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "ciao_stream.worlds.masks.whole_map", None)  # so that it is removed at the end
    del sys.modules["ciao_stream.worlds.masks.whole_map"]
    assert "whole-map" in mask_names()
    check_mask(load_mask("whole-map"))
    world = World(tiny.SPECS["votes"], tiny.encoder(), "dl", True, tiny.small(mask="whole-map"))
    before = tiny.frozen_copy(world)
    x, y = tiny.batch(tiny.encoder(), "votes", level="z")
    WorldLearner(world).step(x, y)
    assert {"mask.raw_a", "mask.inhibition.weight"} <= tiny.moved(before, world)
    world.save(tmp_path / "world")
    assert World.load(tmp_path / "world", tiny.encoder()).sha256() == world.sha256()


def test_there_are_four_masks_and_no_other():
    assert mask_names() == ["ciao", "depthwise", "low-rank", "pointwise"]
    with pytest.raises(UnknownNameError, match="unknown mask 'lowrank': did you mean 'low-rank'"):
        load_mask("lowrank")


def wide(n_in, n_out, k=1, **options):
    return LastConv(nn.Conv2d(n_in, n_out, k, padding=k // 2, **options))


@pytest.mark.parametrize(
    ("last", "chosen"),
    [
        ((512, 512, 3), "ciao"),
        ((512, 2048), "ciao"),
        ((1024, 1024, 3), "pointwise"),
        ((2048, 2048), "low-rank"),
        ((2560, 2560, 3), "low-rank"),
    ],
)
def test_the_first_mask_that_fits_the_budget_is_chosen(last, chosen):
    with torch.device("meta"):
        unit = wide(*last)
    assert choose_mask(unit) == chosen
    assert load_mask(chosen).size(unit) <= BUDGET


def test_a_smaller_budget_gives_a_smaller_mask_or_an_error():
    last = wide(64, 64, 3)
    sizes = {name: load_mask(name).size(last) for name in ("ciao", "pointwise", "low-rank", "depthwise")}
    assert sizes == {"ciao": 36_992, "pointwise": 4_224, "low-rank": 10_368, "depthwise": 704}
    assert [choose_mask(last, n) for n in (36_992, 36_991, 4_223, 704)] == [
        "ciao", "pointwise", "depthwise", "depthwise",
    ]  # fmt: skip
    with pytest.raises(CiaoError, match="no mask has at most 703 parameters: the smallest, depthwise, has 704"):
        choose_mask(last, 703)


@pytest.mark.parametrize("name", PARAMETERS)
def test_our_encoders_have_the_full_mask(name):
    assert choose_mask(tiny.real(name).last) == "ciao"


def test_a_low_rank_mask_starts_within_one_percent_of_the_best_approximation_of_its_rank():
    torch.manual_seed(0)
    last = wide(32, 48, 3)
    mask, r = load_mask("low-rank")(last), bottleneck(last)
    assert r == 8
    first, second = mask.inhibition
    start = torch.einsum("orhw,ri->oihw", second.weight, first.weight[:, :, 0, 0])
    left, values, right = torch.linalg.svd(last.conv.weight.detach().transpose(0, 1).flatten(1), full_matrices=False)
    best = (left[:, :r] * values[:r]) @ right[:r]
    ours, full = start.transpose(0, 1).flatten(1), last.conv.weight.transpose(0, 1).flatten(1)
    assert (best - full).norm() <= (ours - full).norm() <= 1.01 * (best - full).norm()
    x = torch.randn(1, 32, 5, 5)
    dense = nn.functional.conv2d(x, start, last.conv.bias, padding=1)
    assert torch.allclose(mask.inhibition(x), dense, atol=1e-4)


def test_a_low_rank_layer_is_approximated_without_loss():
    torch.manual_seed(0)
    last = wide(32, 48, 3)
    last.conv.weight.data = torch.einsum("orhw,ri->oihw", torch.randn(48, 6, 3, 3), torch.randn(6, 32))
    x = torch.randn(1, 32, 5, 5)
    assert torch.allclose(load_mask("low-rank")(last).inhibition(x), last.conv(x), atol=1e-3)


def test_a_pointwise_mask_agrees_with_the_full_one_on_a_constant_input():
    last = wide(6, 4, 3)
    mask = load_mask("pointwise")(last)
    x = torch.randn(1, 6, 1, 1).expand(-1, -1, 5, 5)
    u = last.conv(x)
    assert torch.allclose(mask.inhibit(x, u.shape[2:])[:, :, 2, 2], u[:, :, 2, 2], atol=1e-5)
    stride = LastConv(nn.Conv2d(6, 4, 1, stride=2))
    x = torch.randn(1, 6, 8, 8)
    assert torch.allclose(load_mask("pointwise")(stride).inhibit(x, torch.Size((4, 4))), stride.conv(x), atol=1e-6)


@pytest.mark.parametrize(("n_in", "n_out", "groups"), [(6, 6, 6), (6, 12, 6), (12, 6, 6), (6, 4, 2)])
def test_a_depthwise_mask_starts_with_the_blocks_on_the_diagonal(n_in, n_out, groups):
    last = wide(n_in, n_out, 3)
    mask = load_mask("depthwise")(last)
    assert mask.inhibition.groups == groups
    kept = dense_weight(mask.inhibition) != 0
    assert torch.equal(dense_weight(mask.inhibition)[kept], last.conv.weight[kept])
    assert kept.sum() == n_out * n_in // groups * 9


def test_the_dense_form_of_a_grouped_weight_computes_the_same():
    conv, x = nn.Conv2d(6, 9, 3, groups=3), torch.randn(2, 6, 5, 5)
    assert torch.allclose(nn.functional.conv2d(x, dense_weight(conv), conv.bias), conv(x), atol=1e-6)


@pytest.mark.parametrize("name", mask_names())
def test_a_world_keeps_the_mask_that_its_settings_name(tmp_path, name):
    settings = tiny.small(mask=name)
    world = World(tiny.SPECS["votes"], tiny.encoder(), "dl", True, settings)
    assert type(world.mask) is load_mask(name)
    world.save(tmp_path)
    again = World.load(tmp_path, tiny.encoder())
    assert type(again.mask) is load_mask(name)
    assert torch.equal(
        again.predict(tiny.batch(tiny.encoder(), level="z")[0]), world.predict(tiny.batch(tiny.encoder(), level="z")[0])
    )


def test_auto_becomes_the_name_of_the_mask_that_was_chosen(tmp_path):
    world = World(tiny.SPECS["votes"], tiny.encoder(), "dl", True, tiny.small())
    world.save(tmp_path)
    assert json.loads((tmp_path / "world.json").read_text())["settings"]["mask"] == "ciao"
    assert World(tiny.SPECS["votes"], tiny.encoder(), "dl", False, tiny.small()).settings.mask == "auto"
    tiny.described(settings={**tiny.small().to_json(), "mask": "pointwise"})(tmp_path)
    with pytest.raises(WorldError, match="weights do not fit"):
        World.load(tmp_path, tiny.encoder())


def test_an_unknown_mask_is_refused_by_the_settings():
    with pytest.raises(
        CiaoError, match="settings: mask: expected one of auto, ciao, depthwise, low-rank, pointwise but"
    ):
        Settings(mask="full")
