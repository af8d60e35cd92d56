"""Settings of a world and its training: frozen, checked, and stored with every result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime import options
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.options import option
from ciao_stream.runtime.plugins import plugin_names
from ciao_stream.runtime.retired import without_retired

AUTO = "auto"
"""The mask that :func:`ciao_stream.worlds.masks.choose_mask` chooses."""

Pool = Literal["max2", "mean", "none"]
HeadNorm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "gelu", "tanh", "elu"]
Start = Literal["random", "zero"]
ContrastForm = Literal["eq3", "supcon", "npairs"]
ContrastOn = Literal["output", "map"]
OptimizerName = Literal["sgd", "adam"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class HeadSettings:
    """The head.

    Args:
        pool: ``max2``: 2x2 max pooling, then flatten; ``mean``: global mean; ``none``: flatten.
        norm: Normalisation of the pooled features: ``batch``, ``layer`` or ``none``.
        hidden: Units of each hidden layer, >= 1.
        dropout: Dropout probability after each hidden layer, in [0, 1).
        activation: Activation after each hidden layer.
        start: Initial weights of the output layer: ``random``, or ``zero`` for outputs of 0 before training.

    Raises:
        CiaoError: A value is out of range. The one line lists all of them.
    """

    pool: Pool = "max2"
    norm: HeadNorm = "batch"
    hidden: tuple[int, ...] = option((128,), least=1)
    dropout: float = option(0.5, least=0, below=1)
    activation: Activation = "relu"
    start: Start = "random"

    def __post_init__(self) -> None:
        _check(self, "head.")


@dataclass(frozen=True)
class Settings:
    """A world and its training.

    Args:
        head: The head.
        mask: Mask of a masked world: one of :func:`ciao_stream.worlds.masks.mask_names`, or ``auto``, which takes the
            full mask if it is small enough: see :func:`ciao_stream.worlds.masks.choose_mask`.
        rank: Rank of a ``low-rank`` mask and of the scheme ``lora``, >= 1. None: the mask chooses it; for ``lora`` the
            largest with which it has no more parameters than the mask.
        contrast: Form of the contrastive term (Eq. 2-4): see :func:`ciao_stream.worlds.losses.contrastive`.
        contrast_on: Features in the contrastive term: normalised ``output`` of the head, or pooled masked ``map``.
        temperature: ``t`` of Eq. 2, > 0.
        contrast_weight: Factor of the contrastive term in Eq. 5, >= 0; 0 omits the term.
        alternate: True: for each batch one step of the mask on the contrastive term, then one step of all other
            parameters on the decision term, with two optimisers. False: one step on the sum of both terms.
        optimizer: ``adam``, or ``sgd`` with momentum.
        lr: Learning rate, > 0.
        mask_rate: Factor of ``lr`` for the mask, > 0.
        momentum: Momentum of ``sgd``, in [0, 1); Nesterov's if > 0.
        weight_decay: Weight decay, >= 0; decoupled for ``adam``.
        batch_size: Faces per step, >= 2, because a single face has no contrast and no variance.
        epochs: Passes over the training split, >= 1.
        schedule: ``cosine`` falls from ``lr`` to 0 over the epochs.
        balanced: Draw all classes equally often in every epoch: see :mod:`ciao_stream.faces.sampling`.

    Raises:
        CiaoError: A value is out of range. The one line lists all of them.
    """

    head: HeadSettings = field(default_factory=HeadSettings)
    mask: str = option(AUTO, choices=lambda: [AUTO, *plugin_names("ciao_stream.worlds.masks")])
    rank: int | None = option(None, least=1)
    contrast: ContrastForm = "supcon"
    contrast_on: ContrastOn = "output"
    temperature: float = option(0.1, above=0)
    contrast_weight: float = option(0.1, least=0)
    alternate: bool = False
    optimizer: OptimizerName = "adam"
    lr: float = option(1e-3, above=0)
    mask_rate: float = option(1.0, above=0)
    momentum: float = option(0.0, least=0, below=1)
    weight_decay: float = option(1e-4, least=0)
    batch_size: int = option(64, least=2)
    epochs: int = option(6, least=1)
    schedule: Schedule = "cosine"
    balanced: bool = False

    def __post_init__(self) -> None:
        expect("settings: head", self.head, HeadSettings)
        _check(self)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; :meth:`from_json` is its inverse."""
        return options.to_json(self)

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
        return options.from_json(Settings, data)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Settings:
        """Rebuild settings written by :meth:`to_json`, also by an older version; a missing one takes its default.

        Raises:
            UnknownNameError: A setting of that name does not exist.
            CiaoError: A value is out of range.
        """
        return options.from_json(cls, without_retired(data))


def _check(settings: HeadSettings | Settings, prefix: str = "") -> None:
    if found := options.problems(settings, prefix):
        raise CiaoError("settings: " + "; ".join(found))


class _Presets(dict[str, Settings]):
    def __missing__(self, name: str) -> Settings:
        raise UnknownNameError("preset", name, self)


PRESETS = _Presets(
    default=Settings(),
    paper=Settings(
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
    online=Settings(
        head=HeadSettings(hidden=(), start="zero"),
        optimizer="sgd",
        lr=0.02,
        mask_rate=5.0,
        weight_decay=0.0,
        schedule="constant",
    ),
)
"""Named settings. ``paper`` follows the equations as written and, where they are silent, the authors' code;
:mod:`ciao_stream.worlds.published` has the values that the authors found per data set. ``default`` differs where
measurements support it: ``docs/presets.md``. ``online`` is for learning each face once, as the streaming learner does:
``docs/streaming.md``."""
