"""The plan of a training: the options that all methods share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.names import OWN, split_rule, task_names
from ciao_stream.encoders import check_encoder_name
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.options import option, validate

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder


@dataclass(frozen=True)
class Plan:
    """What to train on, for how long, and where results go; the options that all methods share.

    Args:
        tasks: Tasks whose training faces to learn from.
        data_root: Folder that holds the data sets. Without it (and $CIAO_DATA_ROOT) the tasks are synthetic worlds.
        epochs: Passes over the faces.
        batch: Faces per step; a face is normalised over its batch, so at least two.
        seed: Seed of weights, order and draws.
        limit: Training faces per task at most, drawn at random.
        device: Where to compute.
        cache: Folder of prepared pixels.
        out: Folder of the results.
        resume: Whether to resume the run in ``out``.
        record: The options as JSON, for ``run.json``.

    Raises:
        CiaoError: A task does not exist or is given twice, or a value is out of range.
    """

    tasks: tuple[str, ...] = ()
    data_root: Path | None = option(None, metavar="DIR", read=str)
    epochs: int = option(1, least=1)
    batch: int = option(256, least=2)
    seed: int = option(0, least=0)
    limit: int | None = option(None, least=2, shown="all")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: Path | None = option(None, metavar="DIR", shown="$CIAO_CACHE or ~/.cache/ciao_stream")
    out: Path = Path()
    resume: bool = False
    record: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        validate(self)
        if not self.tasks:
            raise CiaoError("no task given: name one with --tasks")
        if twice := {name for name in self.tasks if self.tasks.count(name) > 1}:
            raise CiaoError(f"task {min(twice)!r} is given twice")
        for task in self.tasks:
            if (name := split_rule(task)[0]) not in (*task_names(), *OWN):
                raise UnknownNameError("task", name, [*task_names(), *OWN.values()])


@dataclass(frozen=True)
class DescentPlan(Plan):
    """A training of any encoder by gradient descent alone.

    Args:
        encoder: Architecture, from random weights; or a folder with encoder.json to start from.
        lr: Largest learning rate.
        weight_decay: Weight decay.
    """

    encoder: str = "ciao-face"
    lr: float = option(0.2, above=0, most=1)
    weight_decay: float = option(5e-4, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_encoder_name(self.encoder)

    def first_encoder(self) -> Encoder:
        """Return the encoder to start from: one of random weights by name, or the trained one of a folder."""
        from ciao_stream.encoders import load_encoder
        from ciao_stream.encoders.untrained import untrained_encoder

        load = load_encoder if (Path(self.encoder) / "encoder.json").is_file() else untrained_encoder
        return load(self.encoder, seed=self.seed).to(self.device)
