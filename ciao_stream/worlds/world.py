"""A world: the mask and the head of one task, over a shared frozen encoder.

On disk a world is one folder with ``world.json``, which has the task, the settings and the fingerprint of the encoder,
and ``weights.safetensors``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ciao_stream.encoders.base import Carry, Encoder, LastUnit, Level, state_sha256
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.faces.statistics import FaceStatistics
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.artifact import Artifact
from ciao_stream.runtime.device import autocast
from ciao_stream.runtime.expect import Dtype, expect, expect_tensor
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.adapters import adapter_names, load_adapter, scheme_names
from ciao_stream.worlds.heads import Head
from ciao_stream.worlds.masks import choose_mask, make_mask
from ciao_stream.worlds.settings import AUTO, Settings

FOLDER = Artifact(
    "world",
    about="world.json",
    weights="weights.safetensors",
    format="ciao_stream/world/1",
    fields=("task", "scheme", "masked", "encoder", "settings", "sha256"),
    error=WorldError,
)
"""A world on disk."""

FACES = "faces.safetensors"
"""File of the statistics of the faces that a world has learned from, if it has any."""

Scheme: TypeAlias = str
"""What a world trains in addition to its mask: one of :func:`ciao_stream.worlds.adapters.scheme_names`."""


def level_read(scheme: Scheme, masked: bool) -> Level:
    """Return the level at which a world of a scheme reads faces.

    >>> level_read("dl", masked=False), level_read("dl", masked=True), level_read("full", masked=False)
    ('u', 'z', 'pixels')
    """
    if scheme == "full":
        return "pixels"
    return "u" if scheme == "dl" and not masked else "z"


class World(nn.Module):
    """One task's mask and head, and the adapter or the copy of encoder layers that its scheme trains.

    Its parameters are exactly those that training may change. They are on the device of the shared encoder, which is
    not a part of the world.

    Args:
        spec: The task.
        encoder: The shared frozen encoder.
        scheme: One of :func:`ciao_stream.worlds.adapters.scheme_names`.
        masked: Whether the map passes through a mask.
        settings: Settings of adapter, mask, head and training. :attr:`settings` has the chosen mask in place of
            ``auto``.
        seed: Seeds the initial weights of the head and of the adapter.

    Raises:
        UnknownNameError: There is no such scheme.
        CiaoError: An argument has another type, or the settings do not fit the encoder.
    """

    def __init__(
        self, spec: TaskSpec, encoder: Encoder, scheme: Scheme, masked: bool, settings: Settings, seed: int = 0
    ) -> None:
        super().__init__()
        expect("spec", spec, TaskSpec)
        expect("encoder", encoder, Encoder)
        expect("masked", masked, bool)
        expect("settings", settings, Settings)
        expect("seed", seed, int)
        if scheme not in scheme_names():
            raise UnknownNameError("scheme", scheme, scheme_names())
        self.spec = spec
        self.scheme = scheme
        if masked and settings.mask == AUTO:
            settings = replace(settings, mask=choose_mask(encoder.last))
        self.settings = settings
        self._shared = (encoder,)  # in a tuple, so that it is not a submodule
        self.encoder = encoder.thawed() if scheme == "full" else None
        self.last = encoder.last.retrainable() if scheme == "lc" else None
        with seeded_torch(seed, "adapter", spec.name):
            adapted = scheme in adapter_names()
            self.adapter = load_adapter(scheme)(encoder.last, settings) if adapted else None
        self.mask = make_mask(encoder.last, settings) if masked else None
        with seeded_torch(seed, "head", spec.name):
            z, u = encoder.shapes()
            self.head = Head(spec, u, settings.head)
        shapes: dict[Level, tuple[int, ...]] = {"pixels": encoder.preprocessing.shape, "z": tuple(z), "u": tuple(u)}
        self._shape = shapes[self.level]
        self.to(encoder.device)
        self.faces: FaceStatistics | None = None
        """Statistics of the faces that it has learned from, if known: see :mod:`ciao_stream.worlds.choice`."""

    @property
    def level(self) -> Level:
        """The level that :meth:`forward` reads: ``pixels``, ``z`` or ``u``."""
        return level_read(self.scheme, self.mask is not None)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.shared.device

    @property
    def shared(self) -> Encoder:
        """The shared frozen encoder."""
        return self._shared[0]

    def map(self, x: Tensor) -> Tensor:
        """Return the map that the head reads, (N, C, h, w), of a batch at :attr:`level`."""
        if self.level == "u":
            return x
        last, x, u, carry = self.before_mask(x)
        return last.leave(u if self.mask is None else self.mask(x, u), carry)

    def before_mask(self, x: Tensor) -> tuple[LastUnit, Tensor, Tensor, Carry]:
        """Return the last unit, the input of its convolution, its ``u``, and what it needs after the mask.

        Args:
            x: Batch of pixels or of ``z``, as :attr:`level` says.
        """
        z = self.encoder.encode(x) if self.encoder is not None else x
        if self.encoder is not None:
            last = self.encoder.last
        elif self.last is not None:
            last = self.last
        else:
            last = self.shared.last
        x, carry = last.enter(z)
        u = last.activate(x, carry) if self.adapter is None else self.adapter.activate(last, x, carry)
        return last, x, u, carry

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (N, n_out), of a batch at :attr:`level`: logits, or values in [-1, 1] (dimensional)."""
        return self.head(self.map(x))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return the outputs of a batch at :attr:`level` in evaluation mode, float32 (N, n_out).

        Args:
            x: As for :meth:`check_batch`.

        Raises:
            WorldError: It has another dtype or shape.
        """
        self.check_batch(x)
        self.eval()
        with autocast(x.device):
            return self(x).float()

    def predict_split(self, faces: EncodedFaces, batch_size: int = 256) -> Tensor:
        """Return the outputs of a whole split in evaluation mode, float32 (N, n_out), on the CPU.

        Args:
            faces: The split, encoded at :attr:`level`.
            batch_size: Faces per batch.

        Raises:
            CiaoError: ``faces`` is not an encoded split.
            WorldError: The faces are encoded at another level, or by another encoder.
        """
        expect("faces", faces, EncodedFaces)
        return torch.cat([self.predict(x.to(self.device)).cpu() for x, _ in faces.batches(batch_size)])

    def check_batch(self, x: Tensor) -> None:
        """Check dtype and shape of a batch.

        Args:
            x: uint8 (N, channels, size, size) at level ``pixels``; a float tensor of shape (N, ...) at ``z`` or ``u``,
                where the rest of the shape is as in the encoder's :meth:`~ciao_stream.encoders.base.Encoder.shapes`.

        Raises:
            WorldError: It has another dtype or shape, as one of another level or another encoder has.
        """
        dtype: Dtype = "uint8" if self.level == "pixels" else "float"
        hint = f"encode the faces at level {self.level!r}"
        expect_tensor(f"world {self.spec.name!r} reads {self.level}", x, (None, *self._shape), dtype, hint, WorldError)

    def check_targets(self, x: Tensor, y: Tensor) -> None:
        """Check dtype and shape of the targets of a batch, and that classes exist.

        Args:
            x: The batch.
            y: int64 (N,) for a categorical task, else a float tensor of shape (N, n_out).

        Raises:
            WorldError: They have another dtype or shape, or there is no such class.
        """
        classes = self.spec.kind == "categorical"
        shape = (len(x),) if classes else (len(x), self.spec.n_out)
        what = f"targets of {self.spec.kind} world {self.spec.name!r}"
        expect_tensor(what, y, shape, "int64" if classes else "float", error=WorldError)
        if classes and ((y < 0) | (y >= self.spec.n_out)).any():
            raise WorldError(f"{what}: expected 0 to {self.spec.n_out - 1} but got {y.tolist()!s:.60}")

    def mask_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the mask; none without a mask."""
        return [] if self.mask is None else [*self.mask.parameters()]

    def parameter_count(self) -> int:
        """Return the number of parameters that training changes."""
        return sum(p.numel() for p in self.parameters())

    def sha256(self) -> str:
        """Return a hash of all weights and buffers."""
        return state_sha256(self)

    def save(self, folder: Path | str, **provenance: Any) -> None:
        """Write the world to a folder; each file is whole or absent, and ``world.json`` is written last.

        Args:
            folder: Created if it is missing. Gets ``world.json``, ``weights.safetensors`` and, if the statistics of the
                faces are known, ``faces.safetensors``.
            provenance: JSON values about the training, stored as ``trained_on``.

        Raises:
            CiaoError: A file cannot be written.
        """
        expect("folder", folder, str, Path)
        about = {
            "task": self.spec.to_json(),
            "scheme": self.scheme,
            "masked": self.mask is not None,
            "encoder": {"name": self.shared.name, "fingerprint": self.shared.fingerprint()},
            "settings": self.settings.to_json(),
            "sha256": self.sha256(),
            "trained_on": provenance,
        }
        others = {} if self.faces is None else {FACES: self.faces.to_tensors()}
        FOLDER.write(Path(folder), about, self, others)

    @classmethod
    def load(cls, folder: Path | str, encoder: Encoder) -> World:
        """Read a world that :meth:`save` wrote.

        Raises:
            WorldError: A file is missing or damaged, a weight is missing or superfluous, or the world was made for
                another encoder.
        """
        expect("folder", folder, str, Path)
        expect("encoder", encoder, Encoder)
        folder = Path(folder)
        about, weights = FOLDER.read(folder)
        theirs, masked = about["encoder"], about["masked"]
        named = isinstance(theirs, dict) and all(isinstance(theirs.get(k), str) for k in ("name", "fingerprint"))
        if not (named and isinstance(masked, bool)):
            got = f"encoder {theirs!s:.100} and masked {masked!s:.20}"
            raise FOLDER.damaged(folder, f"expected an encoder's name and fingerprint, and masked, but got {got}")
        if theirs["fingerprint"] != encoder.fingerprint():
            made_for = f"{theirs['name']} ({theirs['fingerprint'][:12]})"
            ours = f"{encoder.name} ({encoder.fingerprint()[:12]})"
            raise WorldError(f"world in {folder} was made for encoder {made_for}, not for {ours}")
        spec, settings = TaskSpec.from_json(about["task"]), Settings.from_json(about["settings"])
        world: World = FOLDER.restore(
            folder,
            lambda: cls(spec, encoder, about["scheme"], masked, settings),
            weights,
            lambda made: made.sha256() == about["sha256"],
        )
        if (faces := FOLDER.read_other(folder, about, FACES)) is not None:
            try:
                world.faces = FaceStatistics.from_tensors(faces)
            except CiaoError as error:
                raise FOLDER.damaged(folder, f"{FACES}: {error}") from error
        return world
