"""Encoders that are cut further up: ``lastN:NAME``, whose worlds mask their last N convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.attach import attach, deepen
from ciao_stream.encoders.base import Encoder, Preprocessing
from ciao_stream.exceptions import CiaoError, WorldError
from ciao_stream.explain.sanity import shuffled
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.world import OnlineWorld
from ciao_stream.worlds.masks import choose_mask, load_mask, mask_size
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.worlds import World
from tests.helpers import tiny

FER = tiny.SPECS["categorical"]
GRAY = Preprocessing(tiny.SIZE, "gray", (0.5,), (0.25,))


class Blocks(nn.Module):
    """A stem, a residual block and a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.first, self.second = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 3)

    def block(self, x: torch.Tensor) -> torch.Tensor:
        return (self.norm(self.second(self.first(x).relu())) + x).relu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.block(self.stem(x).relu())).relu().mean(dim=(2, 3)))


class Patches(nn.Module):
    """Attention over patches: linear layers over tokens, of which the first is no place."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 4, stride=4)
        self.start = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp, self.out = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.start.expand(x.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return (tokens + self.out(self.mlp(tokens).relu()))[:, 0]


@pytest.fixture(scope="module")
def blocks() -> tuple[Blocks, Encoder, Encoder]:
    """A network, its encoder, and that cut at the last convolution but one."""
    torch.manual_seed(0)
    network = Blocks().eval()
    nn.init.uniform_(network.norm.running_mean, -0.3, 0.3)
    encoder = attach(network, GRAY, "blocks")
    return network, encoder, deepen(encoder, 2)


def world(encoder: Encoder, scheme: str = "dl", masked: bool = True, **settings: object) -> World:
    return World(FER, encoder, scheme, masked, tiny.small(**settings))


@pytest.mark.parametrize("name", ["ciao-face", "random:facechannel", "random:pk", "random:resnet18"])
@pytest.mark.parametrize("n", [2, 4])
def test_the_map_stays_the_same_however_far_up_an_encoder_is_cut(name, n):
    encoder, deeper = tiny.real(name), load_encoder(f"last{n}:{name}")
    size, channels = encoder.preprocessing.size, 1 if encoder.preprocessing.channels == "gray" else 3
    faces = torch.randint(0, 256, (3, channels, size, size), dtype=torch.uint8)
    torch.testing.assert_close(deeper(faces), encoder(faces), atol=1e-5, rtol=1e-5)
    assert (deeper.name, len(deeper.last.units)) == (f"last{n}:{encoder.name}", n)
    assert deeper.weights == encoder.weights
    assert deeper.parameter_count() == encoder.parameter_count()
    assert deeper.fingerprint() == load_encoder(f"last{n}:{name}").fingerprint() != encoder.fingerprint()


def test_each_mask_stands_behind_its_own_convolution(blocks):
    """Eq. 1 twice: on the output of the block, then on the last convolution."""
    network, _, deeper = blocks
    own = world(deeper)
    with torch.no_grad():
        x = deeper.preprocessing.normalise(tiny.pixels())
        z = network.stem(x).relu()
        inside = network.first(z).relu()
        first = network.block(z) / (0.5 + network.norm(network.second(inside)).relu())
        last = network.last(first).relu()
        wanted = last / (0.5 + last)
        got = own.map(deeper.encode(tiny.pixels()))
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    assert len(own.mask_parameters()) == 6
    assert (
        sum(p.numel() for p in own.mask_parameters())
        == mask_size("ciao", deeper.last)
        == 6 * 6 * 9 + 12 + 6 * 8 * 9 + 16
    )


def test_without_a_mask_a_world_answers_as_on_the_encoder_itself(blocks):
    _, encoder, deeper = blocks
    answers = [world(e, masked=False).eval() for e in (encoder, deeper)]
    maps = [e.stored_u(e.stored_z(tiny.pixels()).float()).float() for e in (encoder, deeper)]
    torch.testing.assert_close(maps[0], maps[1], atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(answers[0](maps[0]), answers[1](maps[0]))


@pytest.mark.parametrize("scheme", ["dl", "lc", "full", "lora"])
def test_training_moves_all_masks_and_what_the_scheme_says_and_nothing_of_the_encoder(blocks, scheme):
    _, _, deeper = blocks
    before, own = deeper.fingerprint(), world(deeper, scheme)
    start = tiny.frozen_copy(own)
    learner = WorldLearner(own)
    level = "pixels" if scheme == "full" else "z"
    for _ in range(3):
        learner.step(*tiny.batch(deeper, level=level))
    still = {name for name, tensor in own.state_dict().items() if tensor.equal(start[name])}
    assert not {name for name in still if "mask" in name}
    assert deeper.fingerprint() == before
    trained = {id(p) for group in learner.optimizers[-1].param_groups for p in group["params"]}
    assert trained == {id(p) for p in own.parameters()}
    if scheme == "lc":
        convolutions = [unit.conv.weight for unit in own.last.units]
        assert [w.shape[0] for w in convolutions] == [6, 8]
        assert sum(p.numel() for p in own.last.parameters()) == (6 * 6 * 9 + 6 + 12) + (6 * 8 * 9 + 8)
        moved = [not w.equal(unit.conv.weight) for w, unit in zip(convolutions, deeper.last.units, strict=True)]
        assert moved == [True, True]


def test_the_masks_have_one_rate_of_their_own(blocks):
    _, _, deeper = blocks
    learner = WorldLearner(world(deeper, mask_rate=0.25, lr=0.1))
    masks, rest = learner.optimizers[0].param_groups
    assert {id(p) for p in masks["params"]} == {id(p) for p in learner.world.mask_parameters()}
    assert (masks["lr"], rest["lr"]) == (0.025, 0.1)


def test_a_world_is_read_again_on_the_same_cut_and_on_no_other(blocks, tmp_path):
    _, encoder, deeper = blocks
    own = world(deeper)
    WorldLearner(own).step(*tiny.batch(deeper, level="z"))
    own.save(tmp_path)
    z = deeper.stored_z(tiny.pixels()).float()
    assert World.load(tmp_path, deepen(encoder, 2)).predict(z).equal(own.predict(z))
    with pytest.raises(WorldError, match=r"stands on encoder last2:blocks .*, not on blocks"):
        World.load(tmp_path, encoder)


def test_masks_share_one_budget_and_are_of_one_kind(blocks):
    _, encoder, deeper = blocks
    both, alone = mask_size("ciao", deeper.last), mask_size("ciao", encoder.last)
    assert alone < both
    assert choose_mask(deeper.last, both) == "ciao"
    assert choose_mask(deeper.last, both - 1) != "ciao" == choose_mask(encoder.last, both - 1)
    own = world(deeper, mask="low-rank", rank=2)
    assert [type(mask) for mask in (*own.earlier_masks, own.mask)] == [load_mask("low-rank")] * 2


def test_a_stream_that_stopped_goes_on_with_all_masks(blocks):
    _, _, deeper = blocks
    settings = StreamSettings(micro_batch=2)
    faces = deeper.stored_z(tiny.pixels(8))

    def learn(online: OnlineWorld, part: range) -> OnlineWorld:
        for i in part:
            online.frame(f"camera/{i}", faces[i], np.array(i % 3))
            online.learn()
        return online

    stopped = learn(OnlineWorld.fresh(FER, deeper, settings, tiny.small(), seed=0), range(4))
    masks = tiny.frozen_copy(stopped.world.earlier_masks)
    went_on = learn(OnlineWorld.restored(stopped.state(), deeper, settings, seed=0), range(4, 8))
    assert went_on.world.sha256() == learn(stopped, range(4, 8)).world.sha256()
    assert not any(tensor.equal(masks[name]) for name, tensor in went_on.world.earlier_masks.state_dict().items())


def test_shuffling_the_last_layer_shuffles_every_mask(blocks):
    _, _, deeper = blocks
    own = world(deeper)
    twin = shuffled(own, "head and last layer")
    weights = [
        (a.inhibition.weight, b.inhibition.weight) for a, b in zip(own.earlier_masks, twin.earlier_masks, strict=True)
    ]
    assert all(not a.equal(b) for a, b in weights)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("last1:ciao-face", "last1:ciao-face: give at least 2, or the encoder's own name"),
        ("last99:ciao-face", r"last99:ciao-face: no mask on convolution 15 from the end: cannot split"),
        ("last2:ciao-fase", r"unknown encoder 'ciao-fase'.*ciao-face"),
        ("last2:", "unknown library of encoders 'last2'"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(name, said):
    with pytest.raises(CiaoError, match=said) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)


def test_a_transformer_whose_tokens_are_more_than_its_map_is_refused():
    torch.manual_seed(0)
    encoder = attach(Patches().eval(), GRAY, "patches")
    with pytest.raises(CiaoError, match="last2:patches: no mask on convolution 2 from the end"):
        deepen(encoder, 2)
