"""Everything small: an encoder of a few channels on 16x16 faces, images in memory, splits of all four kinds."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import settings as hypothesis_settings
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder, LastConv, Preprocessing, build
from ciao_stream.exceptions import DataError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec
from ciao_stream.worlds.settings import PRESETS, HeadSettings, Settings

torch.set_num_threads(1)  # with layers this small, threads mostly wait for each other

SIZE = 16
SPECS = {
    "categorical": TaskSpec("fer", "categorical", ("calm", "glad", "mad")),
    "votes": TaskSpec("ferplus", "votes", ("calm", "glad", "mad")),
    "dimensional": TaskSpec("affectnet-va", "dimensional", ("arousal", "valence")),
    "multilabel": TaskSpec("emoreact", "multilabel", ("calm", "glad", "mad", "sad")),
}
examples = functools.partial(hypothesis_settings, deadline=None)
real = functools.cache(load_encoder)
PAPER = PRESETS["paper"]
DEFAULT = PRESETS["default"]


class Pictures:
    """Images in memory that count how often they are read; the image ``broken`` cannot be."""

    def __init__(self, images: Any, broken: int | None = None) -> None:
        self.images = images
        self.broken = broken
        self.reads = 0

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(f"{image.shape} {image.dtype}".encode() + image.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"image {index}"

    def read(self, index: int) -> np.ndarray:
        if index == self.broken:
            raise DataError(f"image {index} is unreadable")
        self.reads += 1
        return self.images[index]


def pictures(n: int = 20, seed: int = 0, size: int = SIZE, broken: int | None = None) -> Pictures:
    rng = np.random.default_rng(seed)
    return Pictures(rng.integers(0, 256, (n, size, size), dtype=np.uint8), broken)


def encoder(
    seed: int = 0, *, channels: str = "gray", size: int = SIZE, norm: bool = False, skip: bool = False
) -> Encoder:
    """A trunk with normalisation, z 4x8x8, and a last convolution, u 6x4x4; with a skip, z 10x8x8 and u 6x8x8."""

    def make() -> tuple[nn.Module, LastConv]:
        n_in, n_z = (1 if channels == "gray" else 3), (10 if skip else 4)
        trunk = nn.Sequential(nn.Conv2d(n_in, n_z, 3, stride=2, padding=1), nn.BatchNorm2d(n_z), nn.ReLU())
        last = LastConv(
            nn.Conv2d(4, 6, 3, stride=1 if skip else 2, padding=1, bias=not norm),
            nn.BatchNorm2d(6) if norm else None,
            skip_channels=6 if skip else 0,
        )
        for layer in (*trunk.modules(), *last.modules()):
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.running_mean, -0.5, 0.5)
                nn.init.uniform_(layer.running_var, 0.5, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, 0.1, 0.5)
        return trunk, last

    n = 1 if channels == "gray" else 3
    preprocessing = Preprocessing(size, channels, (0.5,) * n, (0.25,) * n)  # type: ignore[arg-type]
    return build("tiny", SimpleNamespace(PREPROCESSING=preprocessing, build=make), seed)  # type: ignore[arg-type]


def targets(kind: str, n: int, seed: int = 0) -> np.ndarray:
    rng, n_out = np.random.default_rng(seed), SPECS[kind].n_out
    if kind == "categorical":
        return np.arange(n) % n_out
    if kind == "votes":
        return rng.dirichlet(np.ones(n_out), n).astype(np.float32)
    if kind == "dimensional":
        return rng.uniform(-1, 1, (n, n_out)).astype(np.float32)
    return rng.integers(0, 2, (n, n_out)).astype(np.float32)


def faces(kind: str = "categorical", images: Pictures | None = None, **options: Any) -> FaceDataset:
    images = images or pictures()
    rows = np.arange(len(images))
    about = {"split": "train", "source": "synthetic", "rows": rows, "targets": targets(kind, len(rows)), **options}
    return FaceDataset(SPECS[kind], images=images, **about)


def small(settings: Settings = DEFAULT, **changes: Any) -> Settings:
    """The settings with a head of 8 hidden units, and other changes."""
    head = HeadSettings(settings.head.pool, settings.head.norm, (8,), settings.head.dropout)
    return Settings(**{**vars(settings), "head": head, **changes})


def pixels(n: int = 12, seed: int = 0, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def batch(shared: Encoder, kind: str = "categorical", n: int = 12, level: str = "pixels") -> tuple[Tensor, Tensor]:
    """Faces at a level and targets of a kind."""
    x, y = pixels(n), torch.from_numpy(targets(kind, n))
    z = shared.stored_z(x)
    return {"pixels": x, "z": z.float(), "u": shared.stored_u(z).float()}[level], y


def frozen_copy(module: nn.Module) -> dict[str, Tensor]:
    """The module's state as it is now."""
    return copy.deepcopy(module.state_dict())


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    """Names of the parameters and buffers that are not bit-identical to ``before``."""
    after = module.state_dict()
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


# Ways to damage a saved world: each returns a function of its folder.

Damage = Callable[[Path], None]


def described(**changes: Any) -> Damage:
    """Change fields of the description; ``...`` removes one."""

    def damage(folder: Path) -> None:
        path = folder / "world.json"
        about = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({name: value for name, value in about.items() if value is not ...}))

    return damage


def text(content: bytes) -> Damage:
    return lambda folder: (folder / "world.json").write_bytes(content) and None


def weights(change: Callable[[bytes], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "weights.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return damage


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        state = load_file(folder / "weights.safetensors")
        change(state)
        save_file(state, folder / "weights.safetensors")

    return damage


def gone(name: str, folder_instead: bool = False) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        if folder_instead:
            (folder / name).mkdir()

    return damage
