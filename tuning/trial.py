"""One trial: a world trained with some settings from features that are encoded already, judged after every epoch.

Nothing here loads Avalanche or decodes an image. A trial with one fold and one seed gives, to the last bit, what
``benchmark --judge-on validation`` gives for the same strategy, settings and seed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ciao_stream.encoders.base import Encoder, Level
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, Image
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.scores import evaluate
from ciao_stream.runtime.seeds import derive_seed
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import Scheme, World


@dataclass(frozen=True)
class EncodedImages:
    """Stands for images of which only the features travel: they cannot be read again.

    Args:
        fingerprint: That of the source.
        n: Number of its images.
    """

    fingerprint: str
    n: int

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        """Say which image it is."""
        return f"image {index}"

    def read(self, index: int) -> Image:
        """Refuse: there are only features.

        Raises:
            CiaoError: Always.
        """
        raise CiaoError(f"image {index} is encoded already; a trial reads no images")


@dataclass(frozen=True, eq=False)
class Member:
    """One of the trainings that a trial's score is the mean of.

    Args:
        seed: Of initial weights, order of samples and dropout.
        fold: Number of the fold that it is judged on.
        train: What it learns from.
        validation: What it is judged on; never a test split.
    """

    seed: int
    fold: int
    train: FaceDataset
    validation: FaceDataset


@dataclass(frozen=True, eq=False)
class Ground:
    """What all trials of one task share. It is handed to the workers once.

    Args:
        encoder: Name of the frozen encoder.
        fingerprint: That it must have.
        device: Where trials compute.
        scheme: What a world trains besides its mask.
        masked: Whether it has a mask.
        level: What it reads.
        members: Trainings of each trial.
        features: By fingerprint of the images: an array, or the file to map it from.
        settings: Those that a trial changes.
    """

    encoder: str
    fingerprint: str
    device: str
    scheme: Scheme
    masked: bool
    level: Level
    members: tuple[Member, ...]
    features: Mapping[str, npt.NDArray[Any] | Path]
    settings: Settings

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return self.members[0].train.spec

    def mapped(self) -> Ground:
        """Return the same with every file of features mapped to memory, where it costs nothing until it is read.

        Raises:
            CiaoError: A file cannot be read on this machine.
        """
        found = {}
        for fingerprint, given in self.features.items():
            try:
                found[fingerprint] = (
                    given if isinstance(given, np.ndarray) else np.load(given, mmap_mode="r", allow_pickle=False)
                )
            except (OSError, ValueError) as error:
                raise CiaoError(
                    f"features {given} cannot be read on this machine: share the cache's folder among all machines, or "
                    "give --share store"
                ) from error
        return replace(self, features=found)


@dataclass
class Seconds:
    """Where the time of a trial went."""

    load: float = 0.0
    train: float = 0.0
    judge: float = 0.0


@dataclass
class _Training:
    member: Member
    learner: WorldLearner
    train: EncodedFaces
    validation: EncodedFaces


@dataclass
class Trial:
    """A trial in progress.

    Args:
        ground: What it shares with others, mapped.
        encoder: The frozen encoder.
        settings: What it tries.
    """

    ground: Ground
    encoder: Encoder
    settings: Settings
    epoch: int = 0
    seconds: Seconds = field(default_factory=Seconds)
    trainings: list[_Training] = field(init=False)

    def __post_init__(self) -> None:
        start = time.perf_counter()
        self.trainings = [self._training(member) for member in self.ground.members]
        self.seconds.load += time.perf_counter() - start

    @property
    def done(self) -> bool:
        """Whether all epochs are trained."""
        return self.epoch == self.settings.epochs

    def next_epoch(self) -> list[float]:
        """Train every member for one epoch and return how each is judged, by the task's primary metric.

        Raises:
            CiaoError: The training diverged.
        """
        scores = []
        for training in self.trainings:
            start = time.perf_counter()
            epoch = range(self.epoch, self.epoch + 1)
            training.learner.fit(training.train, training.member.seed, epochs=epoch)
            trained = time.perf_counter()
            scores.append(self._judge(training))
            self.seconds.train += trained - start
            self.seconds.judge += time.perf_counter() - trained
        self.epoch += 1
        if not np.isfinite(scores).all():
            raise CiaoError(f"task {self.ground.spec.name!r}: {self.ground.spec.primary} is not a number")
        return scores

    def _training(self, member: Member) -> _Training:
        spec = self.ground.spec
        seed = derive_seed(member.seed, spec.name)
        world = World(spec, self.encoder, self.ground.scheme, self.ground.masked, self.settings, seed)
        learner = WorldLearner(world.to(self.encoder.device))
        train, validation = (
            EncodedFaces(split, self.ground.features[split.images.fingerprint])  # type: ignore[arg-type]
            for split in (member.train, member.validation)
        )
        return _Training(member, learner, train, validation)

    def _judge(self, training: _Training) -> float:
        faces = training.validation.faces
        outputs = training.learner.world.predict_split(training.validation)
        return evaluate(faces.spec, outputs, faces.targets, faces.groups)[faces.spec.primary]
