"""``check_encoder`` accepts every encoder of ours and of libraries, and refuses each kind of broken one."""

import sys

import pytest
import torch
from torch import nn

from ciao_stream.checks import ContractError
from ciao_stream.checks.encoder import CHECKS, check_encoder
from ciao_stream.encoders import architectures as home
from ciao_stream.encoders import encoder_names, load_encoder
from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.base import Encoder, LastConv, Preprocessing, state_sha256
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny


@pytest.mark.parametrize("name", [*encoder_names(), "torchvision:mobilenet_v3_small"])
def test_every_encoder_keeps_the_contract(name):
    check_encoder(tiny.real(name))


def own_network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.SiLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()


def test_an_own_network_keeps_the_contract_once_it_is_split():
    network = own_network()
    check_encoder(attach(network, Preprocessing(16, "gray", (0.5,), (0.25,)), "mine"), network[:5])


NEW = '''
"""A new encoder."""
from torch import nn
from ciao_stream.encoders.base import LastConv, Preprocessing

PREPROCESSING = Preprocessing(size=24, channels="rgb", mean=(0.5,) * 3, std=(0.25,) * 3)


def build():
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
    return trunk, LastConv(nn.Conv2d(8, 16, 3, padding=1))
'''


def test_a_new_encoder_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "brand_new.py").write_text(NEW)
    monkeypatch.setattr(home, "__path__", [*home.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{home.__name__}.brand_new", raising=False)
    assert "brand-new" in encoder_names()
    encoder = load_encoder("brand-new")
    assert encoder.shapes() == ((8, 12, 12), (16, 12, 12))
    check_encoder(encoder)
    learner = WorldLearner(World(tiny.SPECS["categorical"], encoder, "dl", True, tiny.small()))
    faces = torch.randint(0, 256, (6, 3, 24, 24), dtype=torch.uint8)
    learner.step(encoder.stored_z(faces).float(), torch.arange(6) % 3)


# --- broken encoders


class Last(LastConv):
    """A last convolution of 4 to 6 channels."""

    def __init__(self):
        super().__init__(nn.Conv2d(4, 6, 3, padding=1))


class Trunk(nn.Module):
    """A convolution of 1 to 4 channels, and what a test adds after it."""

    def __init__(self, then):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.register_buffer("seen", torch.zeros(1))
        self.calls = 0
        self.then = then

    def forward(self, x):
        self.calls += 1
        return self.then(self.conv(x).relu(), self)


def made(then=lambda z, _: z, last=Last, kind=Encoder, **changes):
    torch.manual_seed(0)
    prepare = {"size": 16, "channels": "gray", "mean": (0.5,), "std": (0.25,), **changes}
    return kind("broken", Preprocessing(**prepare), Trunk(then), last())


def test_the_small_encoder_that_the_others_break_is_sound():
    check_encoder(made())


def trainable():
    encoder = made()
    encoder.trunk.conv.weight.requires_grad_(True)
    return encoder


def never_frozen():
    encoder = made()
    encoder.frozen = False
    return encoder


def unregistered():
    encoder = made()
    encoder.trunk.constant = torch.ones(1)
    return encoder


def counting(z, trunk):
    trunk.seen += 1
    return z


class Unfinished(Last):
    def activate(self, x, _):
        return self.conv(x)


class Longer(Last):
    def forward(self, z):
        return super().forward(z) + 0.001


class NotRetrainable(Last):
    def retrainable(self):
        return self


class Shared(Last):
    def retrainable(self):
        return self.requires_grad_(True)


class WrongShapes(Encoder):
    def shapes(self):
        z, u = super().shapes()
        return z, torch.Size((u[0] + 1, *u[1:]))


class NoGrid(Last):
    def leave(self, u, _):
        return u.flatten(1)


class Float32Cache(Encoder):
    def stored_z(self, pixels):
        return self.encode(pixels)


class Fixed(Encoder):
    def fingerprint(self):
        return "0" * 64

    def frozen_copy(self):
        return self


class Nameless(Fixed):
    def fingerprint(self):
        return state_sha256(self)


class Restless(Encoder):
    def fingerprint(self):
        return super().fingerprint() + str(self.trunk.calls)


def faint(z, _):
    """Values that float16 rounds to zero."""
    return z * 1e-9


class Loud(LastConv):
    """A last convolution that amplifies."""

    def __init__(self):
        super().__init__(nn.Conv2d(4, 6, 3, padding=1, bias=False))

    def finish(self, y, carry):
        return super().finish(y * 1e9, carry)


BROKEN = {
    "trainable": (trainable, "parameters require a gradient: trunk.conv.weight"),
    "training mode": (never_frozen, "modules are in training mode: the encoder, trunk, trunk.conv"),
    "buffer": (lambda: made(counting), "a forward pass changes its weights or buffers"),
    "channels": (lambda: made(channels="rgb", mean=(0.5,) * 3, std=(0.5,) * 3),
        r"does not accept preprocessed images \(3, 16, 16\)"),
    "shapes": (lambda: made(kind=WrongShapes), r"shapes\(\) gives \(4, 8, 8\), \(7, 8, 8\) but .* \(6, 8, 8\)"),
    "no grid": (lambda: made(last=NoGrid), r"its map has the shape \(384,\) per image"),
    "random": (lambda: made(lambda z, _: z + torch.rand(())), "draws from the global random generator"),
    "calls": (lambda: made(lambda z, trunk: z + 0.1 * trunk.calls), "two forward passes differ"),
    "activate": (lambda: made(last=Unfinished), "activate differs from finish after the convolution: by"),
    "forward": (lambda: made(last=Longer), "enter, activate and leave give another map than the encoder: by 0.001"),
    "batch": (lambda: made(lambda z, _: z - z.mean()), "a face alone has another map than in a batch: by"),
    "empty batch": (lambda: made(lambda z, _: z if len(z) else z[..., :4]), "an empty batch"),
    "no empty batch": (lambda: made(lambda z, _: z.view(len(z), -1, 8, 8)), "check_takes_any_batch: cannot reshape"),
    "float32 cache": (lambda: made(kind=Float32Cache), "z is stored as torch.float32, expected float16"),
    "nan in the cache": (lambda: made(lambda z, _: z * (float("nan") if torch.is_autocast_enabled("cpu") else 1)),
        r"stored values of z are not within \+-65280"),
    "faint": (lambda: made(faint, Loud), "stored as float16, the map differs by 100%"),
    "fixed fingerprint": (lambda: made(kind=Fixed), "its fingerprint does not change with trunk.conv.weight"),
    "no name": (lambda: made(kind=Nameless), "its fingerprint does not change with its name"),
    "restless fingerprint": (lambda: made(kind=Restless), "its fingerprint changes without a change of weights"),
    "not retrainable": (lambda: made(last=NotRetrainable), r"last.retrainable\(\) has no trainable parameter"),
    "shared": (lambda: made(last=Shared), r"training last.retrainable\(\) changes the encoder"),
    "device": (unregistered, r"trunk.constant: tensors that .to\(device\) leaves behind"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_encoder_is_refused_with_the_promise_that_it_breaks(how):
    make, message = BROKEN[how]
    with pytest.raises(ContractError, match=f"^broken: .*{message}"):
        check_encoder(make())


def test_a_network_that_differs_from_its_encoder_is_refused():
    network = own_network()
    encoder = attach(network, Preprocessing(16, "gray", (0.5,), (0.25,)), "mine")
    with pytest.raises(ContractError, match=r"mine: its map differs from that of the network: by 0\.5"):
        check_encoder(encoder, lambda x: network[:5](x) + 0.5)


def test_every_check_is_broken_by_an_encoder_above():
    left = set(CHECKS)
    for make, _ in BROKEN.values():
        for check in CHECKS:
            try:
                check(make())
            except (ContractError, RuntimeError):
                left.discard(check)
                break
    assert not left
