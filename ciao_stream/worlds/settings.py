"""How one world is built and trained: plain, frozen, checked settings that are stored with every result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime import options
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.options import option, problems
from ciao_stream.runtime.plugins import plugin_names

AUTO = "auto"
"""The mask that :func:`ciao_stream.worlds.masks.choose_mask` chooses."""

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
    hidden: tuple[int, ...] = option((128,), least=1)
    dropout: float = option(0.5, least=0, below=1)
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
    mask: str = option(AUTO, choices=lambda: [AUTO, *plugin_names("ciao_stream.worlds.masks")])
    rank: int | None = option(None, least=1)
    contrast: ContrastForm = "supcon"
    contrast_on: ContrastOn = "output"
    temperature: float = option(0.1, above=0)
    contrast_weight: float = option(0.1, least=0)
    unlabelled: UnlabelledTerm = "none"
    unlabelled_weight: float = option(1.0, least=0)
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
        if found := [*problems(self), *problems(self.head, "head.")]:
            raise CiaoError("settings: " + "; ".join(found))

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
        return Settings.from_json(data)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Settings:
        """Rebuild settings written by :meth:`to_json`; a missing one takes its default.

        Raises:
            UnknownNameError: A setting of that name does not exist.
            CiaoError: A value is out of range.
        """
        return options.from_json(cls, data)


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
