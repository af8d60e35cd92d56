"""The synthetic worlds as tasks: targets in memory, images drawn when they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.names import WORLDS
from benchmarks.synthetic.action_units import Actions, draw_actions
from benchmarks.synthetic.draws import uniform
from benchmarks.synthetic.populations import POPULATIONS, draw_person, draw_scene
from benchmarks.synthetic.readings import SPECS, class_scores, read_dimensions, read_labels
from ciao_stream.exceptions import CiaoError, DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, Image, Split, TaskData

RENDERER_VERSION = 2
"""Part of every fingerprint: raise it with any change to an image or AU, so that no old cache is used."""

SLIPS = 0.04
"""Share of annotation errors: categorical labels with the second best class, and flipped multilabel entries."""

ANNOTATORS = 10
"""Votes per face in ferplus."""

DOUBT = 0.12
"""Temperature of ferplus's votes: each annotator votes by ``softmax(class score / DOUBT)``."""

SCATTER = 0.08
"""Half-width of the uniform noise on arousal and valence."""

ENVELOPE: tuple[float, ...] = (0.7, 1.0, 0.95, 0.75)
"""Strength of the AUs in the frames of a clip: onset, apex, apex, offset."""

_POPULATION_OF = {"affectnet-va": "affectnet", "ferplus": "fer"}
_CHUNK = 1 << 15


@dataclass(frozen=True)
class SyntheticFaces:
    """Images of one split of one population; :meth:`read` draws image ``index`` each time.

    Args:
        population: A name in :data:`benchmarks.synthetic.populations.POPULATIONS`.
        split: Selects people and events.
        count: Number of images; image i does not depend on it.
        size: Height and width in pixels.
        seed: Selects people and events.
    """

    population: str
    split: Split
    count: int
    size: int
    seed: int

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that affects the images, including :data:`RENDERER_VERSION`."""
        return hashlib.sha256(f"synthetic/{RENDERER_VERSION}/{self!r}".encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return f"synthetic {self.population}, split {self.split!r}, image {index}"

    def read(self, index: int) -> Image:
        """Draw image ``index``: uint8, (size, size), or (size, size, 3) in RGB order.

        Raises:
            DataError: There is no such image.
        """
        from benchmarks.synthetic.renderer import render

        if not 0 <= index < self.count:
            raise DataError(f"synthetic {self.population}, split {self.split!r}: no image {index} of {self.count}")
        population = POPULATIONS[self.population]
        event, frame = divmod(index, population.frames)
        aus = draw_actions(_events(self.population, self.split, self.seed), [event])[0]
        if population.frames > 1:
            aus = aus * ENVELOPE[frame]
        who = draw_person(population, self.split, self.seed, event)
        scene = draw_scene(population, self.split, self.seed, event, frame)
        return render(who, aus, scene, self.size, gray=population.gray)


def load(
    name: str, *, train: int = 1200, validation: int = 200, test: int = 400, size: int = 64, seed: int = 0
) -> TaskData:
    """Return a synthetic world: three splits without common events. No image is drawn yet.

    Splits have no common people, except in jaffe, whose ten people are in every split as in the paper's protocol.

    Args:
        name: One of :data:`~benchmarks.names.WORLDS`.
        train: Training images; in emoreact four of them are one clip, and a group.
        validation: Validation images.
        test: Test images.
        size: Height and width of each image in pixels, at least 16.
        seed: Selects people, events and annotation errors.

    Raises:
        UnknownNameError: No world of that name.
        CiaoError: A count below 1, a size below 16, or a negative seed.
    """
    if name not in WORLDS:
        raise UnknownNameError("synthetic world", name, WORLDS)
    counts: dict[Split, int] = {"train": train, "validation": validation, "test": test}
    for split, count in counts.items():
        if count < 1:
            raise CiaoError(f"synthetic world {name!r}: expected at least 1 face in split {split!r} but got {count}")
    if size < 16:
        raise CiaoError(f"synthetic world {name!r}: expected a size of at least 16 pixels but got {size}")
    if seed < 0:
        raise CiaoError(f"synthetic world {name!r}: expected a seed of 0 or more but got {seed}")
    drawn_train, drawn_validation, drawn_test = (_split(name, split, counts[split], size, seed) for split in SPLITS)
    return TaskData(drawn_train, drawn_validation, drawn_test, protocol="drawn separately for each split")


def _split(name: str, split: Split, count: int, size: int, seed: int) -> FaceDataset:
    population = _POPULATION_OF.get(name, name)
    frames = POPULATIONS[population].frames
    rows = np.arange(count, dtype=np.int64)
    groups = rows // frames if frames > 1 else None
    n_events = -(-count // frames)
    targets = np.concatenate(
        [_annotate(name, split, seed, np.arange(at, min(at + _CHUNK, n_events))) for at in range(0, n_events, _CHUNK)]
    )
    return FaceDataset(
        SPECS[name],
        split,
        SyntheticFaces(population, split, count, size, seed),
        rows,
        targets if groups is None else targets[groups],
        source="synthetic",
        label_rule=f"synthetic: reading {name!r}",
        groups=groups,
    )


def _events(population: str, split: Split, seed: int) -> str:
    """The stream of AU vectors of all worlds of a population."""
    return f"{population}/{seed}/{split}/events"


def _annotate(
    name: str, split: Split, seed: int, events: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """Return the targets of some events: the world's reading, with annotation errors."""
    aus = draw_actions(_events(_POPULATION_OF.get(name, name), split, seed), events)
    return annotate(name, aus, f"{name}/{seed}/{split}/annotators", events)


def annotate(
    name: str, aus: Actions, key: str, events: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """Label faces as world ``name`` does, with annotation errors.

    Categorical: a share of :data:`SLIPS` gets the second best class. Votes: :data:`ANNOTATORS` draws from
    ``softmax(score / DOUBT)``. Dimensional: uniform noise of :data:`SCATTER`. Multilabel: a share of :data:`SLIPS`
    flipped.

    Args:
        name: One of :data:`~benchmarks.names.WORLDS`.
        aus: float64 (N, len(AUS)).
        key: Name of the stream of noise.
        events: int64 (N,), rows of that stream.

    Returns:
        Targets in the layout of the world's kind.
    """
    spec = SPECS[name]
    if spec.kind == "dimensional":
        noise = SCATTER * (2 * uniform(key, events, spec.n_out) - 1)
        return np.clip(read_dimensions(aus) + noise, -1, 1).astype(np.float32)
    if spec.kind == "multilabel":
        return (read_labels(aus) ^ (uniform(key, events, spec.n_out) < SLIPS)).astype(np.float32)
    scores = class_scores(name, aus)
    if spec.kind == "votes":
        return _votes(scores, uniform(key, events, ANNOTATORS))
    order = scores.argsort(axis=1)
    slip = uniform(key, events, 1)[:, 0] < SLIPS
    return np.where(slip, order[:, -2], order[:, -1]).astype(np.int64)


def _votes(scores: npt.NDArray[np.float64], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Let each annotator vote by softmax(score / DOUBT); return the share of votes per class."""
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / DOUBT)
    below = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    answers = (draws[:, :, None] >= below[:, None, :]).sum(axis=2)
    votes = (answers[:, :, None] == np.arange(scores.shape[1])).sum(axis=1)
    shares: npt.NDArray[np.float32] = (votes / draws.shape[1]).astype(np.float32)
    return shares
