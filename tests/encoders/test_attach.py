"""``attach``: any network split at its last convolution computes what it computed whole."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.attach.layout import Layout, grid_layout
from ciao_stream.encoders.base import Preprocessing, state_sha256
from ciao_stream.exceptions import CiaoError
from ciao_stream.worlds.masks import load_mask
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny

GRAY = Preprocessing(16, "gray", (0.5,), (0.25,))
PIXELS = tiny.pixels(4)


def norms(network):
    """Give every norm random statistics and weights."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, 0.1, 0.5)
    return network


class Residual(nn.Module):
    """A stem, one residual block, pooling, a linear classifier."""

    def __init__(self, gate=False, early=False):
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.last, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.gate = nn.Conv2d(6, 1, 1) if gate else None
        self.early = early
        self.classifier = nn.Linear(6, 3)

    def map(self, x):
        x = self.stem(x).relu()
        out = self.norm(self.last(F.relu(self.first(x), True)))
        if self.early:
            out = F.relu(out)
        out += x
        if self.gate is not None:
            out = out * self.gate(out).sigmoid()
        return out if self.early else F.relu(out, inplace=True)

    def forward(self, x, scale=None):
        x = self.map(x).mean((2, 3))
        return self.classifier(x if scale is None else x * scale)


def normalised(pixels=PIXELS):
    return GRAY.normalise(pixels)


@pytest.mark.parametrize("options", [{}, {"gate": True}, {"early": True}])
def test_the_map_equals_that_of_the_whole_residual_network(options):
    network = norms(Residual(**options)).eval()
    encoder = attach(network, GRAY, "mine")
    with torch.no_grad():
        assert torch.allclose(encoder(PIXELS), network.map(normalised()), atol=1e-6)
    assert encoder.last.conv.weight.equal(network.last.weight), "not the gate of one channel"
    assert encoder.name == "mine"


def test_a_residual_sum_is_part_of_the_unit_only_before_the_activation():
    network = norms(Residual())
    inner, outer = attach(network, GRAY, "inner"), attach(norms(Residual(early=True)), GRAY, "outer")
    z = inner.encode(PIXELS)
    x, carry = inner.last.enter(z)
    u = inner.last.activate(x, carry)
    assert inner.last.leave(u, carry).equal(u), "no layer follows"
    assert u.min() == 0
    z = outer.encode(PIXELS)
    x, carry = outer.last.enter(z)
    u = outer.last.activate(x, carry)
    assert torch.allclose(u, outer.last.after(outer.last.conv(x), *carry)[0])
    assert not outer.last.leave(u, carry).equal(u)
    assert torch.allclose(u, F.relu(outer.last.folded()(x)), atol=1e-5), "the norm is folded"


def test_z_holds_the_convolutions_input_and_all_that_is_needed_later():
    encoder = attach(Residual(), GRAY, "mine")
    assert encoder.shapes() == ((12, 8, 8), (6, 8, 8))
    x, carry = encoder.last.enter(encoder.encode(PIXELS))
    assert (x.shape, len(carry)) == ((4, 6, 8, 8), 1)


def test_a_wide_input_is_recomputed_from_the_tensor_before_it():
    class Inverted(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)
            self.wide, self.last = nn.Conv2d(4, 64, 1), nn.Conv2d(64, 4, 1)

        def forward(self, x):
            x = self.stem(x).relu()
            return x + self.last(self.wide(x).relu())

    network = Inverted()
    encoder = attach(network, GRAY, "inverted")
    assert encoder.shapes()[0] == (4, 8, 8)
    assert torch.allclose(encoder(PIXELS), network(normalised()), atol=1e-6)


def test_attach_does_not_change_the_network():
    network = norms(Residual()).train()
    before = state_sha256(network)
    encoder = attach(network, GRAY, "mine")
    encoder.last.conv.weight.data.zero_()
    assert state_sha256(network) == before
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())


def test_an_attached_encoder_has_no_classifier():
    encoder = attach(Residual(), GRAY, "mine")
    assert not [name for name in encoder.state_dict() if "classifier" in name]
    assert encoder.parameter_count() == sum(p.numel() for p in Residual().parameters()) - 21


def test_the_fingerprint_depends_on_the_weights_and_the_split():
    torch.manual_seed(0)
    network = Residual()
    same = attach(network, GRAY, "mine").fingerprint()
    assert attach(copy.deepcopy(network), GRAY, "mine").fingerprint() == same
    assert attach(network, GRAY, "mine", at="first").fingerprint() != same
    network.stem.weight.data.add_(1e-3)
    assert attach(network, GRAY, "mine").fingerprint() != same


@pytest.mark.parametrize("at", ["stem", "first", "last"])
def test_a_network_can_be_split_at_any_convolution_by_name(at):
    network = norms(Residual()).eval()
    encoder = attach(network, GRAY, "mine", at=at)
    assert encoder.last.conv.weight.equal(getattr(network, at).weight)
    assert torch.allclose(encoder(PIXELS), network.map(normalised()), atol=1e-6)


@pytest.mark.parametrize("scheme", ["dl", "lc", "full"])
def test_worlds_train_on_an_attached_encoder_and_do_not_change_it(tmp_path, scheme):
    encoder = attach(norms(Residual(early=True)), GRAY, "mine")
    before = encoder.fingerprint()
    world = World(tiny.SPECS["categorical"], encoder, scheme, True, tiny.small())
    start = tiny.frozen_copy(world)
    x, y = tiny.batch(encoder, level=world.level)
    learner = WorldLearner(world)
    for _ in range(3):
        learner.step(x, y)
    assert {f"mask.{name}" for name in world.mask.state_dict()} <= tiny.moved(start, world)
    if scheme == "lc":
        assert sum(p.numel() for p in world.last.parameters()) == 6 * 6 * 9 + 6 + 12, "convolution and norm"
    assert encoder.fingerprint() == before
    world.save(tmp_path)
    again = World.load(tmp_path, encoder)
    assert torch.equal(again.predict(x), world.predict(x))


def test_a_worlds_map_equals_the_networks_without_a_mask_and_is_masked_before_the_last_sum():
    network = norms(Residual(early=True)).eval()
    encoder = attach(network, GRAY, "mine")
    z = encoder.encode(PIXELS)
    plain = World(tiny.SPECS["votes"], encoder, "lc", False, tiny.small()).eval()
    assert torch.allclose(plain.map(z), network.map(normalised()), atol=1e-6)
    masked = World(tiny.SPECS["votes"], encoder, "dl", True, tiny.small()).eval()
    with torch.no_grad():
        skip = network.stem(normalised()).relu()
        u = F.relu(network.norm(network.last(network.first(skip).relu())))
        assert torch.allclose(masked.map(z), u / (0.5 + u) + skip, atol=1e-5)


# What a trace must get right.


class InPlace(nn.Module):
    """Changes tensors in place and reads them again."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, stride=2), nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.first(x)
        kept = x
        self.act(x)
        out = self.last(x)
        out.mul_(2.0)
        out += kept
        return out


class Sized(nn.Module):
    """Uses the sizes of its input."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.first(x)
        b, c, h, w = x.shape
        tokens = x.flatten(2).softmax(-1).view(b, c, h, w)
        return self.last(tokens + x)


class Shared(nn.Module):
    """Calls one convolution twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Conv2d(1, 4, 3, stride=2), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.again(self.again(self.first(x)).relu()).relu()


class Branching(nn.Module):
    """Control flow that depends on values, which cannot be traced."""

    def forward(self, x):
        return x * 2 if x.mean() > 100 else x


class Standardised(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias, padding=self.padding)


SOUND = {
    "in place": InPlace,
    "sizes": Sized,
    "shared": Shared,
    "control flow in the trunk": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Branching(), nn.Conv2d(4, 4, 3), nn.ReLU()),
    "no activation": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3)),
    "a single layer": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()),
    "group norm": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8), nn.GELU()
    ),
    "dropout": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Dropout(0.5), nn.ReLU()),
    "standardised": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), Standardised(4, 4, 3, padding=1), nn.ReLU()),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_network_computes_the_same_split_and_whole(name):
    torch.manual_seed(0)
    network = SOUND[name]().eval()
    encoder = attach(network, GRAY, name)
    for pixels in (PIXELS, PIXELS[:1], tiny.pixels(7)):
        with torch.no_grad():
            expected = network(normalised(pixels).clone())
            assert torch.allclose(encoder(pixels), expected, atol=1e-5)
    z = encoder.encode(PIXELS)
    kept = z.clone()
    encoder.last(z)
    assert z.equal(kept), "stored features are not changed"


def test_a_convolution_that_standardises_its_weight_folds_to_an_ordinary_one():
    encoder = attach(SOUND["standardised"](), GRAY, "standardised")
    x, carry = encoder.last.enter(encoder.encode(PIXELS))
    folded = encoder.last.folded()
    assert type(folded) is nn.Conv2d
    assert torch.allclose(folded(x).relu(), encoder.last.activate(x, carry), atol=1e-5)


def test_only_batch_normalisation_is_folded():
    encoder = attach(SOUND["group norm"](), GRAY, "group norm")
    assert encoder.last.folded().weight.equal(encoder.last.conv.weight)
    assert encoder.last.folding_norm() is None


def test_the_map_precedes_the_final_pooling():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(196, 2))
    assert attach(network, GRAY, "pooled").shapes()[1] == (4, 14, 14)


class Transformer(nn.Module):
    """Patches and a class token, one block; returns the class token."""

    def __init__(self, attention=True):
        super().__init__()
        self.patches, self.token = nn.Conv2d(1, 8, 4, stride=4), nn.Parameter(torch.randn(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if attention else None
        self.up, self.down, self.norm = nn.Linear(8, 64), nn.Linear(64, 8), nn.LayerNorm(8)

    def tokens(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        if self.attention is not None:
            x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.norm(x + self.down(F.gelu(self.up(x))))

    def forward(self, x):
        return self.tokens(x)[:, 0]


@pytest.mark.parametrize("attention", [True, False])
def test_a_transformers_map_is_its_grid_of_tokens_without_the_class_token(attention):
    network = Transformer(attention).eval()
    encoder = attach(network, GRAY, "vit")
    with torch.no_grad():
        grid = network.tokens(normalised())[:, 1:].transpose(1, 2).reshape(4, 8, 4, 4)
        assert torch.allclose(encoder(PIXELS), grid, atol=1e-6)
    assert encoder.shapes() == ((17, 8), (8, 4, 4)), "tokens before the block's linear layers"
    assert encoder.last.conv.weight[:, :, 0, 0].equal(network.down.weight)
    x, carry = encoder.last.enter(encoder.encode(PIXELS))
    assert torch.allclose(load_mask("ciao")(encoder.last).inhibition(x), encoder.last.conv(x), atol=1e-6)
    assert encoder.last.activate(x, carry).shape == (4, 8, 4, 4)


@pytest.mark.parametrize("layout", [Layout("nchw", 3), Layout("nhwc", 3), Layout("tokens", 3), Layout("tokens", 3, 2)])
def test_a_layout_converts_to_a_grid_and_back(layout):
    shape = {"nchw": (2, 5, 3, 3), "nhwc": (2, 3, 3, 5), "tokens": (2, 9 + layout.prefix, 5)}[layout.kind]
    x = torch.randn(shape)
    assert grid_layout(shape, tokens=True) == layout
    grid = layout.grid(x)
    assert grid.shape == (2, 5, 3, 3)
    assert layout.ungrid(grid, x[:, : layout.prefix] if layout.prefix else None).equal(x)


@pytest.mark.parametrize("shape", [(2, 5, 1, 1), (2, 5), (2, 3, 1), (2, 4, 5, 6)])
def test_a_tensor_without_a_grid_has_no_layout(shape):
    assert grid_layout(shape, tokens=True) is None


# What cannot be split.


class Counting(nn.Module):
    """Random output."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return self.conv(x) + torch.rand(1)


class Loop(nn.Module):
    def forward(self, x):
        while x.abs().max() > 1:
            x = x / 2
        return x


REFUSED = {
    "control flow at the top": (Loop, r"its forward cannot be traced \(.*control flow"),
    "control flow around the last convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(Loop(), nn.Conv2d(4, 4, 3), Loop()), HidesLast()),
        "cannot split mine at its last convolution: 2 cannot be traced .*give `at` \\(for instance 1.1\\)"),
    "no convolution": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), "no map is larger than 1x1"),
    "only pooling": (lambda: nn.AvgPool2d(2), "no convolution precedes its map"),
    "a map of 1x1": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Conv2d(4, 4, 5, 4), nn.Flatten()),
        "of 16x16 give a map of 1x1"),
    "other channels": (lambda: nn.Conv2d(3, 4, 3), "cannot run mine on images \\(1, 16, 16\\): "),
    "chance": (Counting, "the split network and the whole one give different outputs"),
}  # fmt: skip


class HidesLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.conv(x) if x.mean() > -100 else x


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_cannot_be_split_is_refused_in_one_line_with_the_reason(case):
    make, message = REFUSED[case]
    with pytest.raises(CiaoError, match=message) as caught:
        attach(make(), GRAY, "mine")
    assert "\n" not in str(caught.value)


def test_an_unknown_layer_is_refused_with_a_suggestion():
    with pytest.raises(CiaoError, match=r"cannot split mine at 'lats': did you mean 'last'\? \(possible: 3 layers"):
        attach(Residual(), GRAY, "mine", at="lats")
