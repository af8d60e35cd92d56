"""Which world is to answer for a face when nobody says: each rule gives every world a score, and the highest answers.

============  ==============================================================================  ========================
rule          score of a world                                                                judges
============  ==============================================================================  ========================
prototype     minus the squared distance of the face's features from the mean of the          every kind of target
              world's, over the covariance within all worlds [0], per feature
energy        log-sum-exp of the logits [1], above that of equal logits; of labels that do    categorical, votes,
              not exclude each other the mean of each one's [2]                               multilabel
entropy       1 - entropy of the answer / the most that it can be [3]; of labels that do not  categorical, votes,
              exclude each other the mean over labels                                         multilabel
majority      number of faces that the world has learned from: a baseline                     every kind of target
random        drawn from the frame's id and the world's name: a baseline                      every kind of target
============  ==============================================================================  ========================

Scores can be compared between worlds that have different numbers of labels: the features of ``prototype`` are those of
the one encoder, and ``energy`` and ``entropy`` are counted from what a world puts out that knows nothing. That does not
make heads alike that were trained apart: one may be surer than another on every face, and worlds that learn votes are
less sure by nature. A dimensional world puts out no logits; how well it fits only ``prototype`` can tell.

References:
    - [0] Lee, Lee, Lee, Shin: A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
      Attacks, NeurIPS 2018, https://arxiv.org/abs/1807.03888 (Eq. 1, 2; worlds stand in place of classes)
    - [1] Liu, Wang, Owens, Li: Energy-based Out-of-distribution Detection, NeurIPS 2020,
      https://arxiv.org/abs/2010.03759 (Eq. 4, with T = 1)
    - [2] Wang, Liu, Bocchieri, Li: Can multi-label classification networks know what they don't know?, NeurIPS 2021,
      https://arxiv.org/abs/2109.14162 (JointEnergy)
    - [3] Wortsman et al.: Supermasks in Superposition, NeurIPS 2020, https://arxiv.org/abs/2006.14769 (section 3.3:
      the task whose output has the least entropy)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.special import entr, expit, logsumexp, softmax

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.statistics import LEAST, FaceStatistics, Floats
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import derive_seed
from ciao_stream.worlds.world import World

SHRINKAGE = 0.1
"""By how much ``prototype`` draws the covariance to its diagonal."""

FLOOR = 1e-3
"""Least variance of a feature for ``prototype``, as a share of the mean one."""

TINY = 1e-12
"""What is added to every variance, for features that never vary."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces for which a world is chosen.

    Args:
        frame_ids: Their names.
        features: float64 (N, F): see :func:`ciao_stream.faces.statistics.pooled`.
        outputs: By world, (N, n_out).
    """

    frame_ids: Sequence[str]
    features: Floats
    outputs: Mapping[str, npt.NDArray[np.float32]]


class Rule(ABC):
    """Scores worlds as they are now. Build one with :func:`make_rule`.

    Args:
        worlds: The worlds, each of which :meth:`problem` lets pass.
    """

    kinds: tuple[str, ...] = ("categorical", "votes", "dimensional", "multilabel")
    """Kinds of target that it can judge."""

    needs_faces = False
    """Whether it needs to know what a world's faces look like."""

    def __init__(self, worlds: Sequence[World]) -> None:
        self.specs = {world.spec.name: world.spec for world in worlds}
        self.faces = {world.spec.name: world.faces for world in worlds if world.faces is not None}

    @classmethod
    def problem(cls, name: str, world: World) -> str:
        """Return in one line why the rule of this name cannot judge a world; nothing where it can."""
        spec = world.spec
        if spec.kind not in cls.kinds:
            return (
                f"rule {name!r} cannot judge world {spec.name!r}, which is {spec.kind} and puts out no logits: "
                f"leave it out, or choose by prototype"
            )
        if cls.needs_faces and world.faces is None:
            return (
                f"rule {name!r} needs to know what the faces of world {spec.name!r} look like, and nothing tells it: "
                "set `world.faces` (FaceStatistics.of) before it is saved, or choose by energy or entropy"
            )
        return ""

    @property
    def names(self) -> tuple[str, ...]:
        """The worlds that it can judge now; the others cannot be chosen."""
        return tuple(self.specs)

    @abstractmethod
    def scores(self, faces: Faces) -> Floats:
        """Return how well each of :attr:`names` fits each face, finite, (N, worlds); more is better."""


class Prototype(Rule):
    """The nearest mean of features. Worlds that have learned from fewer than :data:`LEAST` faces are not judged."""

    needs_faces = True

    def __init__(self, worlds: Sequence[World]) -> None:
        super().__init__(worlds)
        known = {name: faces for name, faces in self.faces.items() if faces.n >= LEAST}
        self._names = tuple(known)
        if known:
            self._whitener = _whitener([*known.values()])
            self._means = [self._white(faces.mean) for faces in known.values()]

    @property
    def names(self) -> tuple[str, ...]:
        """The worlds that have learned from enough faces."""
        return self._names

    def scores(self, faces: Faces) -> Floats:
        """See :meth:`Rule.scores`."""
        if not self._names:
            return np.zeros((len(faces.frame_ids), 0))
        white = self._white(np.nan_to_num(faces.features))
        return np.stack([-((white - mean) ** 2).mean(axis=1) for mean in self._means], axis=1)

    def _white(self, x: Floats) -> Floats:
        """Return features (..., F) so that their covariance within worlds is the identity."""
        white: Floats = x @ self._whitener.T if self._whitener.ndim == 2 else x * self._whitener
        return white


class Energy(Rule):
    """The highest log-sum-exp of logits."""

    kinds = ("categorical", "votes", "multilabel")

    def scores(self, faces: Faces) -> Floats:
        """See :meth:`Rule.scores`."""
        return _columns(faces, self.specs, _energy)


class Entropy(Rule):
    """The surest answer."""

    kinds = ("categorical", "votes", "multilabel")

    def scores(self, faces: Faces) -> Floats:
        """See :meth:`Rule.scores`."""
        return _columns(faces, self.specs, _certainty)


class Majority(Rule):
    """The world that has learned from most faces, whatever the face."""

    needs_faces = True

    def scores(self, faces: Faces) -> Floats:
        """See :meth:`Rule.scores`."""
        counts = np.array([self.faces[name].n for name in self.names], dtype=np.float64)
        return np.tile(counts, (len(faces.frame_ids), 1))


class Random(Rule):
    """Any world, and always the same one for the same frame."""

    def scores(self, faces: Faces) -> Floats:
        """See :meth:`Rule.scores`."""
        drawn = [[derive_seed(0, "world choice", i, name) / 2**63 for name in self.names] for i in faces.frame_ids]
        return np.array(drawn).reshape(-1, len(self.names))


RULES: dict[str, type[Rule]] = {
    "prototype": Prototype,
    "energy": Energy,
    "entropy": Entropy,
    "majority": Majority,
    "random": Random,
}
"""By name."""


def check_rule(name: str) -> None:
    """Refuse a rule that does not exist.

    Raises:
        UnknownNameError: As said.
    """
    if name not in RULES:
        raise UnknownNameError("rule of choice", name, RULES)


def problem(name: str, world: World) -> str:
    """Return in one line why a rule cannot judge a world; nothing where it can.

    Raises:
        UnknownNameError: There is no such rule.
    """
    check_rule(name)
    return RULES[name].problem(name, world)


def make_rule(name: str, worlds: Iterable[World]) -> Rule:
    """Return a rule over some worlds as they are now.

    Args:
        name: One of :data:`RULES`.
        worlds: The worlds to choose among, on one encoder.

    Raises:
        UnknownNameError: There is no such rule.
        CiaoError: It cannot judge one of the worlds.
    """
    check_rule(name)
    worlds = [*worlds]
    for world in worlds:
        if said := problem(name, world):
            raise CiaoError(said)
    return RULES[name](worlds)


def _whitener(known: Sequence[FaceStatistics]) -> Floats:
    """Return what features are multiplied by, (F, F); or (F,) where only their variances are known."""
    scatter = np.sum([faces.scatter for faces in known], axis=0) / sum(faces.n for faces in known)
    variances = scatter if scatter.ndim == 1 else np.diag(scatter)
    least = FLOOR * variances.mean() + TINY
    if scatter.ndim == 1:
        return 1 / np.sqrt(variances + least)
    covariance = (1 - SHRINKAGE) * scatter + np.diag(SHRINKAGE * variances + least)
    white: Floats = solve_triangular(cholesky(covariance, lower=True), np.eye(len(covariance)), lower=True)
    return white


def _columns(faces: Faces, specs: Mapping[str, TaskSpec], judge: Callable[[TaskSpec, Floats], Floats]) -> Floats:
    """Return one column per world; outputs that are no numbers count as those of a world that knows nothing."""
    columns = [judge(spec, faces.outputs[name].astype(np.float64)) for name, spec in specs.items()]
    return np.nan_to_num(np.stack(columns, axis=1), nan=0.0, posinf=0.0, neginf=0.0)


def _energy(spec: TaskSpec, logits: Floats) -> Floats:
    """Return minus the energy of logits (N, n_out), (N,); 0 for logits of 0."""
    if spec.kind == "multilabel":
        return np.logaddexp(0, logits).mean(axis=1) - math.log(2)
    energy: Floats = logsumexp(logits, axis=1) - math.log(spec.n_out)
    return energy


def _certainty(spec: TaskSpec, logits: Floats) -> Floats:
    """Return 1 - the share of the greatest entropy that the answers have, (N,): 0 for logits of 0."""
    if spec.kind == "multilabel":
        p = expit(logits)
        return 1 - (entr(p) + entr(1 - p)).mean(axis=1) / math.log(2)
    certainty: Floats = 1 - entr(softmax(logits, axis=1)).sum(axis=1) / math.log(spec.n_out)
    return certainty
