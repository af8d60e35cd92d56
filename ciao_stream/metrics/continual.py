"""What a sequence of tasks did to each other: ACC, BWT, FWT and forgetting, all derived from the matrix R.

``R`` is a float array (T + 1, T) of a metric where higher is better, such as every task's primary one. Row i holds
the metric after training task i, row 0 before any training; column j belongs to task j. In the formulas below rows
count from 0 and tasks from 1, so that ``R[j, j]`` is task j right after its own training and ``R[T]`` the end.

NaN means "not evaluated". A task without any value was not run: its column and row are dropped, and the others are
measured as if it had never been in the sequence. A quantity that needs any other missing value is NaN.

Libraries differ in what they call backward transfer and forgetting; these follow the papers. Where tasks have
different metrics (accuracy, CCC, macro F1) the means mix them: state this next to the number.

References:
    [1] Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, NeurIPS 2017, section 2.
    [2] Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018, section 3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError

Matrix = npt.NDArray[np.float64]


def average(matrix: npt.ArrayLike) -> float:
    """ACC [1]: the mean over tasks after the last one, ``sum_j R[T, j] / T``.

    >>> average([[0.1, 0.1], [0.8, 0.2], [0.6, 0.9]])
    0.75
    """
    return _mean(_run(matrix)[-1])


def backward_transfer(matrix: npt.ArrayLike) -> float:
    """BWT [1]: what later tasks did to earlier ones, ``sum_{j<T} (R[T, j] - R[j, j]) / (T - 1)``.

    Negative: they were harmed. NaN for a single task and for joint training, which has no ``R[j, j]``.

    >>> round(backward_transfer([[0.1, 0.1], [0.8, 0.2], [0.6, 0.9]]), 6)
    -0.2
    """
    r = _run(matrix)
    return _mean(r[-1, :-1] - np.diagonal(r, offset=-1)[:-1])


def forward_transfer(matrix: npt.ArrayLike) -> float:
    """FWT [1]: what earlier tasks did to a later one before it was trained.

    ``sum_{j>1} (R[j-1, j] - R[0, j]) / (T - 1)``; the baseline is the same model untrained. NaN for a single task,
    and where tasks were not evaluated before their training.

    >>> forward_transfer([[0.1, 0.1], [0.8, 0.2], [0.6, 0.9]])
    0.1
    """
    r = _run(matrix)
    return _mean(np.diagonal(r)[1:] - r[0, 1:])


def forgetting(matrix: npt.ArrayLike) -> float:
    """Forgetting [2]: how far tasks fell from the best they ever were.

    ``sum_{j<T} (max_{j<=i<T} R[i, j] - R[T, j]) / (T - 1)``. Positive: worse than it was; negative: the end is the
    best; exactly 0.0 when nothing changed. NaN for a single task and for joint training. The paper's maximum starts
    at the first task; here it starts at the task's own training, before which there is nothing to forget.

    >>> round(forgetting([[0.1, 0.1], [0.8, 0.2], [0.6, 0.9]]), 6)
    0.2
    """
    r = _run(matrix)
    best = [r[j + 1 : -1, j].max() for j in range(r.shape[1] - 1)]
    return _mean(best - r[-1, :-1])


def summarise(matrix: npt.ArrayLike) -> dict[str, float]:
    """Return ``acc``, ``bwt``, ``fwt`` and ``forgetting`` of R, each NaN where it is not defined.

    Raises:
        CiaoError: The matrix has not the shape (T + 1, T), or holds an infinite value.
    """
    return {
        "acc": average(matrix),
        "bwt": backward_transfer(matrix),
        "fwt": forward_transfer(matrix),
        "forgetting": forgetting(matrix),
    }


def _run(matrix: npt.ArrayLike) -> Matrix:
    """Return R (t + 1, t) of the t tasks that were run."""
    r = np.asarray(matrix, dtype=np.float64)
    if r.ndim != 2 or r.shape[0] != r.shape[1] + 1 or r.shape[1] == 0:
        raise CiaoError(f"matrix R: expected shape (T + 1, T) but got {r.shape}")
    if np.isinf(r).any():
        raise CiaoError("matrix R: a value is infinite")
    columns = np.flatnonzero(~np.isnan(r).all(axis=0))
    rows = [0, *(columns + 1)]
    if not np.isnan(r[-1]).all():
        rows[-1] = len(r) - 1  # joint training fills the last row only, whichever task it belongs to
    run: Matrix = r[np.ix_(rows, columns)]
    return run


def _mean(values: Matrix) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")
