"""Streaming linear discriminant analysis: a classifier on fixed features that learns every sample once, in any order.

References:
    - [0] Hayes, Kanan: Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis, CVPR Workshops 2020,
      https://arxiv.org/abs/1909.01520 (section 3)
    - [1] Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh

from ciao_stream.baselines import Features
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.state import State

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHRINKAGE = 1e-4
"""``e`` as in [0]."""

ONLINE_SHRINKAGE = 0.01
"""``e`` for streams of a few thousand faces: with the published 1e-4 the accuracy over the first 500, 1,000 and 2,500
faces is 2, 8 and 7 points lower (FER+ with ciao-face, 1,024 features, one order)."""

BATCH = 8
"""Faces between updates of the classifier; with 1,024 features an update takes as long as a step of a world."""


class StreamingLDA:
    """Running class means ``m_k`` and one within-class covariance ``S``, which define a linear classifier.

    The output of class ``k`` is ``w_k x - m_k w_k / 2`` with ``w_k = ((1 - e) S + e I)^-1 m_k`` [0]: all classes have
    the same prior.

    The means and ``S`` are those of all samples so far, exactly: the same, up to rounding, however the stream is
    ordered and cut into batches. (In the authors' code each sample adds its square distance from the mean before it,
    weighted by ``t / (t + 1)`` of all samples so far, which depends on the order. Here the weight is ``n / (n + 1)`` of
    the sample's own class [1].)

    Args:
        n_features: Features per sample, >= 1.
        shrinkage: ``e``, in (0, 1].

    Raises:
        CiaoError: An argument is out of range.
    """

    def __init__(self, n_features: int, shrinkage: float = SHRINKAGE) -> None:
        if n_features < 1 or not 0 < shrinkage <= 1:
            raise CiaoError(
                f"streaming LDA: expected n_features >= 1 and shrinkage in (0, 1] but got {n_features} and {shrinkage}"
            )
        self.shrinkage = float(shrinkage)
        self.classes: Ints = np.zeros(0, np.int64)
        """Labels seen so far, (K,), sorted."""
        self.counts: Ints = np.zeros(0, np.int64)
        """Samples of each class, (K,)."""
        self.means: Floats = np.zeros((0, n_features))
        """Mean of each class, (K, n_features)."""
        self.scatter: Floats = np.zeros((n_features, n_features))
        """Sum over all samples of the outer square of their distance from their class's mean."""
        self._classifier: tuple[Floats, Floats] | None = None

    @property
    def n_features(self) -> int:
        """Features per sample."""
        return len(self.scatter)

    def update(self, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Learn samples of known or new classes: all of them, or none if one is invalid.

        Args:
            x: Features, (N, n_features), finite.
            y: Labels, integers (N,).

        Raises:
            CiaoError: A shape is wrong, a label is not an integer, or a feature is not finite.
        """
        x, labels = self._checked(x), np.asarray(y)
        if labels.shape != x.shape[:1] or not (np.issubdtype(labels.dtype, np.integer) or not labels.size):
            raise CiaoError(
                f"streaming LDA: expected {len(x)} integer labels but got {labels.dtype} of shape {labels.shape}"
            )
        if not len(x):
            return
        present, row, counts = np.unique(labels.astype(np.int64), return_inverse=True, return_counts=True)
        members = np.zeros((len(present), len(x)))
        members[row, np.arange(len(x))] = 1
        means = members @ x / counts[:, None]  # (classes in the batch, n_features)
        self._make_room(present)
        own = np.searchsorted(self.classes, present)
        before, after = self.counts[own], self.counts[own] + counts
        apart = means - self.means[own]
        inside = x - means[row]
        between = apart * np.sqrt(before * (counts / after))[:, None]
        self.scatter += inside.T @ inside + between.T @ between
        self.means[own] += apart * (counts / after)[:, None]
        self.counts[own] = after
        self._classifier = None

    def covariance(self) -> Floats:
        """Return ``S``, the covariance within classes, (n_features, n_features); 0 before any sample."""
        return self.scatter / max(1, int(self.counts.sum()))

    def classifier(self) -> tuple[Floats, Floats]:
        """Return the weights (K, n_features) and offsets (K,) of the current linear classifier."""
        if self._classifier is None:
            shrunk = (1 - self.shrinkage) * self.covariance()
            shrunk[np.diag_indices_from(shrunk)] += self.shrinkage
            try:
                weights = cho_solve(cho_factor(shrunk), self.means.T).T
            except LinAlgError:  # the rounding of large features outweighs the shrinkage
                weights = self.means @ pinvh(shrunk)
            self._classifier = weights, -0.5 * (self.means * weights).sum(axis=1)
        return self._classifier

    def outputs(self, x: npt.ArrayLike) -> Floats:
        """Return one number per class, in the order of :attr:`classes`; a softmax makes them probabilities.

        Args:
            x: Features, (N, n_features), finite.

        Returns:
            (N, K); no column before the first sample.

        Raises:
            CiaoError: The shape is wrong, or a feature is not finite.
        """
        x = self._checked(x)
        weights, offsets = self.classifier()
        return x @ weights.T + offsets

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that is learned; :meth:`from_arrays` is the inverse, bit for bit."""
        return {
            "classes": self.classes.copy(),
            "counts": self.counts.copy(),
            "means": self.means.copy(),
            "scatter": self.scatter.copy(),
            "shrinkage": np.array(self.shrinkage),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> StreamingLDA:
        """Rebuild a classifier from what :meth:`to_arrays` returned.

        Raises:
            CiaoError: An array is missing or unknown, has a wrong dtype or shape, or holds impossible values.
        """
        expected = cls(1).to_arrays()
        if arrays.keys() != expected.keys():
            raise CiaoError(f"streaming LDA: expected the arrays {', '.join(expected)} but got {', '.join(arrays)}")
        k, n = len(np.atleast_1d(arrays["classes"])), len(np.atleast_1d(arrays["scatter"]))
        shapes = {"classes": (k,), "counts": (k,), "means": (k, n), "scatter": (n, n), "shrinkage": ()}
        for name, shape in shapes.items():
            got, wanted = arrays[name], f"{expected[name].dtype} of shape {shape}"
            if got.shape != shape or got.dtype != expected[name].dtype:
                raise CiaoError(f"streaming LDA: {name}: expected {wanted} but got {got.dtype} of shape {got.shape}")
        made = cls(n, float(arrays["shrinkage"]))
        made.classes, made.counts, made.means, made.scatter = (arrays[name].copy() for name in list(shapes)[:4])
        sorted_once = bool((np.diff(made.classes) > 0).all())
        finite = all(np.isfinite(array).all() for array in (made.means, made.scatter))
        if not (sorted_once and finite and (made.counts > 0).all()):
            raise CiaoError("streaming LDA: its state is damaged: expected sorted classes, counts > 0, finite numbers")
        return made

    def _make_room(self, present: Ints) -> None:
        """Add the classes that are new."""
        new = np.setdiff1d(present, self.classes)
        if not len(new):
            return
        places = np.searchsorted(self.classes, new)
        self.classes = np.insert(self.classes, places, new)
        self.counts = np.insert(self.counts, places, 0)
        self.means = np.insert(self.means, places, 0.0, axis=0)

    def _checked(self, x: npt.ArrayLike) -> Floats:
        array = np.asarray(x, np.float64)
        if array.ndim != 2 or array.shape[1] != self.n_features:
            raise CiaoError(f"streaming LDA: expected features of shape (N, {self.n_features}) but got {array.shape}")
        if not np.isfinite(array).all():
            raise CiaoError("streaming LDA: expected finite features but got an infinity or NaN")
        return array


class SLDA:
    """Streaming LDA over a fixed list of classes; a class without a sample is never predicted.

    Args:
        n_features: Features per face.
        n_classes: Classes of the task.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        self.model = StreamingLDA(n_features, ONLINE_SHRINKAGE)
        self.n_classes = n_classes
        self._waiting: list[tuple[Features, int]] = []

    def outputs(self, x: Features) -> npt.NDArray[np.float64]:
        """See :class:`ciao_stream.baselines.Baseline`."""
        if not len(self.model.classes):
            return np.zeros((len(x), self.n_classes))
        known = self.model.outputs(x)
        outputs = np.repeat(known.min(axis=1, keepdims=True) - 1, self.n_classes, axis=1)
        outputs[:, self.model.classes] = known
        return outputs

    def learn(self, x: Features, y: int) -> None:
        """See :class:`ciao_stream.baselines.Baseline`."""
        self._waiting.append((x, y))
        if len(self._waiting) == BATCH:
            self.settle()

    def settle(self) -> None:
        """See :class:`ciao_stream.baselines.Baseline`."""
        if self._waiting:
            faces, classes = zip(*self._waiting, strict=True)
            self.model.update(np.stack(faces), classes)
            self._waiting = []

    def state(self) -> State:
        """See :class:`ciao_stream.baselines.Baseline`."""
        tensors = {name: torch.from_numpy(array) for name, array in self.model.to_arrays().items()}
        faces = torch.from_numpy(np.array([x for x, _ in self._waiting], np.float32))
        return State.of({"waiting": [y for _, y in self._waiting]}, tensors | {"waiting": faces})

    def load(self, state: State) -> None:
        """See :class:`ciao_stream.baselines.Baseline`."""
        arrays = {name: tensor.numpy() for name, tensor in state.tensors.items()}
        faces = arrays.pop("waiting")
        self.model = StreamingLDA.from_arrays(arrays)
        self._waiting = [*zip(faces, state.values["waiting"], strict=True)]


make = SLDA
