"""How one world is built and trained: plain, frozen, checked settings that are stored with every result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.worlds.masks import AUTO, mask_names

Pool = Literal["max2", "mean", "none"]
HeadNorm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "gelu", "tanh", "elu"]
Start = Literal["random", "zero"]
ContrastForm = Literal["eq3", "supcon", "npairs"]
ContrastOn = Literal["output", "map"]
UnlabelledTerm = Literal["none", "consistency", "contrast"]
OptimizerName = Literal["sgd", "adam"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class HeadSettings:
    """The decision layer.

    Args:
        pool: ``max2``: 2x2 max pool, then flatten; ``mean``: global mean; ``none``: flatten.
        norm: Normalisation of the pooled features: of each over the ``batch``, of each face's over themselves
            (``layer``), or ``none``.
        hidden: Units of each hidden layer.
        dropout: Dropout probability after each hidden layer, in [0, 1).
        activation: Of each hidden layer.
        start: The output layer's weights before anything is learned; from ``zero`` the first answers commit to nothing.
    """

    pool: Pool = "max2"
    norm: HeadNorm = "batch"
    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.5
    activation: Activation = "relu"
    start: Start = "random"


@dataclass(frozen=True)
class Settings:
    """One world's training.

    Args:
        head: The decision layer.
        mask: What a masked world's mask is: one of :func:`ciao_stream.worlds.masks.mask_names`, or ``auto``: the full
            one where it is small enough, see :func:`ciao_stream.worlds.masks.choose_mask`.
        rank: Of a ``low-rank`` mask and of the scheme ``lora``, >= 1. None: the mask's own choice; for ``lora`` the
            largest with which it has no more parameters than the mask that ``mask`` stands for.
        contrast: Form of the contrastive term (Eq. 2-4): see :func:`ciao_stream.worlds.losses.contrastive`.
        contrast_on: What is contrasted: the normalised ``output`` of the head, or the pooled masked ``map``.
        temperature: ``t`` of Eq. 2, > 0.
        contrast_weight: Factor of the contrastive term in Eq. 5, >= 0; 0 leaves it out.
        unlabelled: Self-supervised term on faces without a label, where there are any: ``consistency`` of the answers,
            or ``contrast`` of the maps, each between a face and a view of it: see :mod:`ciao_stream.worlds.unlabelled`.
        unlabelled_weight: Factor of that term, >= 0.
        alternate: True: per batch one step of the mask on the contrastive term, then one of everything else on the
            decision term, with two optimisers; the self-supervised term goes with the contrastive one. False: one step
            on their sum.
        optimizer: ``adam``, or ``sgd`` with momentum.
        lr: Learning rate, > 0.
        mask_rate: Factor of it for the mask, > 0.
        momentum: Of ``sgd``, in [0, 1); Nesterov's where > 0.
        weight_decay: Decoupled for ``adam``; >= 0.
        batch_size: Faces per step, >= 2: one alone has nothing to contrast, and no variance.
        epochs: Passes over the training split, >= 1.
        schedule: ``cosine`` falls from ``lr`` to 0 over the epochs.
        balanced: Whether every epoch draws all classes equally often: see :mod:`ciao_stream.faces.sampling`.

    Raises:
        CiaoError: A value is out of range; all such problems stand in the one message.
    """

    head: HeadSettings = field(default_factory=HeadSettings)
    mask: str = AUTO
    rank: int | None = None
    contrast: ContrastForm = "supcon"
    contrast_on: ContrastOn = "output"
    temperature: float = 0.1
    contrast_weight: float = 0.1
    unlabelled: UnlabelledTerm = "none"
    unlabelled_weight: float = 1.0
    alternate: bool = False
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    mask_rate: float = 1.0
    momentum: float = 0.0
    weight_decay: float = 1e-4
    batch_size: int = 64
    epochs: int = 6
    schedule: Schedule = "cosine"
    balanced: bool = False

    def __post_init__(self) -> None:
        hidden = self.head.hidden
        hidden_fits = isinstance(hidden, tuple) and all(map(_at_least_1, hidden))
        masks = [AUTO, *mask_names()]
        limits: list[tuple[str, Any, bool, str]] = [
            ("mask", self.mask, self.mask in masks, "one of " + ", ".join(masks)),
            ("rank", self.rank, self.rank is None or _at_least_1(self.rank), "a whole number >= 1, or none"),
            ("head.hidden", hidden, hidden_fits, "a tuple of units >= 1"),
            ("head.dropout", self.head.dropout, _in_unit(self.head.dropout), "a probability in [0, 1)"),
            ("temperature", self.temperature, _is_number(self.temperature) and self.temperature > 0, "a number > 0"),
            ("contrast_weight", self.contrast_weight, _is_number(self.contrast_weight), "a number >= 0"),
            ("unlabelled_weight", self.unlabelled_weight, _is_number(self.unlabelled_weight), "a number >= 0"),
            ("alternate", self.alternate, isinstance(self.alternate, bool), "true or false"),
            ("balanced", self.balanced, isinstance(self.balanced, bool), "true or false"),
            ("lr", self.lr, _is_number(self.lr) and self.lr > 0, "a number > 0"),
            ("mask_rate", self.mask_rate, _is_number(self.mask_rate) and self.mask_rate > 0, "a number > 0"),
            ("momentum", self.momentum, _in_unit(self.momentum), "a number in [0, 1)"),
            ("weight_decay", self.weight_decay, _is_number(self.weight_decay), "a number >= 0"),
            (
                "batch_size",
                self.batch_size,
                _at_least_1(self.batch_size) and self.batch_size > 1,
                "a whole number >= 2",
            ),
            ("epochs", self.epochs, _at_least_1(self.epochs), "a whole number >= 1"),
        ]
        for owner, prefix in ((self, ""), (self.head, "head.")):
            for name, hint in get_type_hints(type(owner)).items():
                if choices := [c for c in get_args(hint) if isinstance(c, str)]:
                    value = getattr(owner, name)
                    limits.append((prefix + name, value, value in choices, "one of " + ", ".join(choices)))
        problems = [f"{name}: expected {wanted} but got {value!r}" for name, value, ok, wanted in limits if not ok]
        if problems:
            raise CiaoError("settings: " + "; ".join(problems))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; :meth:`from_json` is its inverse."""
        return dataclasses.asdict(self) | {"head": dataclasses.asdict(self.head) | {"hidden": list(self.head.hidden)}}

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with some replaced.

        Args:
            changes: New values by name, as in :meth:`to_json`; those of the head as ``head.NAME``.

        Raises:
            UnknownNameError: A setting of that name does not exist.
            CiaoError: A value is out of range.
        """
        data = self.to_json()
        for name, value in changes.items():
            owner, _, own = name.rpartition(".")
            (data["head"] if owner == "head" else data)[own if owner == "head" else name] = value
        return Settings.from_json(data)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Settings:
        """Rebuild settings written by :meth:`to_json`.

        Raises:
            UnknownNameError: A setting of that name does not exist.
            CiaoError: A value is out of range.
        """
        head = data.get("head", {}) if isinstance(data, dict) else None
        if not isinstance(head, dict):
            raise CiaoError(f"settings: expected an object, and one under 'head', but got {data!s:.200}")
        for owner, values in ((cls, data), (HeadSettings, head)):
            known = [f.name for f in dataclasses.fields(owner)]
            for name in values:
                if name not in known:
                    raise UnknownNameError("setting", name, known)
        if isinstance(hidden := head.get("hidden"), list):
            head = head | {"hidden": tuple(hidden)}
        return cls(**{**data, "head": HeadSettings(**head)})


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number >= 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _in_unit(value: Any) -> bool:
    return _is_number(value) and value < 1


def _at_least_1(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 1


PRESETS: dict[str, Settings] = {
    "default": Settings(),
    "paper": Settings(
        head=HeadSettings(pool="max2", norm="none", hidden=(128,), dropout=0.5),
        contrast="eq3",
        contrast_on="output",
        temperature=0.2326,
        contrast_weight=1.0,
        alternate=True,
        optimizer="adam",
        lr=2.38e-4,
        weight_decay=0.0,
        batch_size=64,
        epochs=50,
        schedule="constant",
    ),
    "online": Settings(
        head=HeadSettings(hidden=(), start="zero"),
        optimizer="sgd",
        lr=0.02,
        mask_rate=5.0,
        weight_decay=0.0,
        schedule="constant",
    ),
}
"""Named settings. ``paper`` follows the equations as written and, where they are silent, the authors' code; the
per-dataset values that the authors searched stand in :mod:`ciao_stream.worlds.published`. ``default`` departs from it
where a measurement says so: ``docs/presets.md``. ``online`` is for learning each face once, as the streaming learner
does: ``docs/streaming.md``."""
