"""The ground truth of the synthetic worlds: how far their readings agree, and the best accuracy of a common reading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import draw_actions
from benchmarks.synthetic.readings import CLASS_WORLDS, SPECS, read_classes
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.task import EMOTIONS


def agreement(world_names: Sequence[str] = CLASS_WORLDS, n: int = 20_000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Share of faces that two worlds give the same label, for each pair of worlds.

    The faces are ``n`` draws from the distribution of AU vectors that all worlds share; readings are without annotation
    errors. Entry (i, j) is ``mean(label_i == label_j)`` over all faces, compared by name.

    Args:
        world_names: Worlds with classes (:data:`~benchmarks.synthetic.readings.CLASS_WORLDS`).
        n: Number of faces, at least 1.
        seed: Selects the faces.

    Returns:
        float64 (W, W), symmetric with ones on the diagonal.

    Raises:
        UnknownNameError: One of the names is not a world with classes.
        CiaoError: No world, or ``n`` below 1.
    """
    answers = _answers(world_names, n, seed)
    return np.array([[float((a == b).mean()) for b in answers] for a in answers])


def universal_ceiling(world_names: Sequence[str] = CLASS_WORLDS, n: int = 20_000, seed: int = 0) -> float:
    """The best mean accuracy over the worlds of any single reading of faces.

    A single reading gives each face x one answer, the same in every world. Its mean accuracy over the W worlds is
    ``E_x[mean_w 1(label_w(x) = answer(x))]``, so the best is ``E_x[max_c mean_w 1(label_w(x) = c)]``. This assumes
    that the answer depends only on the AUs, not on the world that an image seems to be from, and labels without errors.
    One reading per world reaches 1.

    Args, raises: as :func:`agreement`.

    Returns:
        A number in ``[1 / W, 1]``.
    """
    answers = _answers(world_names, n, seed)
    shares = np.stack([(answers == c).mean(axis=0) for c in range(len(EMOTIONS))])
    return float(shares.max(axis=0).mean())


def _answers(world_names: Sequence[str], n: int, seed: int) -> npt.NDArray[np.int64]:
    """Label the same faces in every world: int64 (W, n), indices of EMOTIONS."""
    if not world_names or n < 1:
        raise CiaoError(f"expected at least one world and one face but got {len(world_names)} and {n}")
    for name in world_names:
        if name not in CLASS_WORLDS:
            raise UnknownNameError("synthetic world with classes", name, CLASS_WORLDS)
    aus = draw_actions(f"agreement/{seed}", np.arange(n))
    to_emotion = {name: np.array([EMOTIONS.index(label) for label in SPECS[name].labels]) for name in world_names}
    return np.stack([to_emotion[name][read_classes(name, aus)] for name in world_names])
