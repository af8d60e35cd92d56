"""FER+'s label rules: they decide from ten annotators' votes which faces are kept, and their shares of emotions.

Source: Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
distribution", ICMI 2016, section 4, as implemented by ``_process_data`` in ``src/ferplus.py`` of
github.com/microsoft/FERPlus. The columns are the eight emotions in canonical order, then ``unknown`` and ``NF`` (no
face). Numbers published as "FER+ accuracy" use different rules, which keep different faces: state the rule with each.

The paper's three rules first set votes of 0 or 1 in any of the ten columns to 0 (outliers). Of the votes that remain:

``majority``
    The winner must hold more than half of them.
``probability``
    Take the largest count, with all ties, then the next, until at least 75 % of the votes or three columns are taken.
    Taking ``unknown`` or ``NF`` ends this, and that column is put back if an emotion was taken before it. The face is
    dropped if at most half of the votes, or more than three columns, were taken.
``multi_target``
    Take every column with at least 30 % of them. The face is dropped if at most half of the votes were taken.

A face whose largest taken count (the first in a tie) is ``unknown`` or ``NF`` is dropped too. Two rules of later papers
keep outliers:

``argmax``
    The winner among all ten columns (the first in a tie); the face is dropped if it is ``unknown`` or ``NF``.
``argmax8``
    The winner among the eight emotions (the first in a tie); no face is dropped, not even one that all call ``NF``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.faces.task import EMOTIONS

COLUMNS: tuple[str, ...] = (*EMOTIONS, "unknown", "NF")
"""The columns of votes, in order."""

Votes = npt.NDArray[np.int64]


def apply_rule(votes: Votes, rule: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Choose the faces to keep and the shares of their emotions.

    Args:
        votes: int64 (N, 10), votes per column of :data:`COLUMNS`, at least 0.
        rule: One of :data:`RULES`.

    Returns:
        Which faces are kept, bool (N,), and their shares, float32 (N, 8), in [0, 1]; they sum to 1 for kept
        faces and are 0 for others. ``probability`` normalises the votes taken (the official code draws one class from
        these shares at each step), ``multi_target`` gives each emotion taken the same share, and the other rules give
        the winner 1.

    Raises:
        UnknownNameError: There is no such rule.

    >>> keep, shares = apply_rule(np.array([[6, 3, 0, 0, 0, 0, 0, 0, 1, 0]]), "probability")
    >>> keep, shares.round(2)
    (array([ True]), array([[0.67, 0.33, 0.  , 0.  , 0.  , 0.  , 0.  , 0.  ]], dtype=float32))
    """
    if rule not in _RULES:
        raise UnknownNameError("label rule", rule, RULES)
    taken = _RULES[rule](votes)
    keep = (taken.max(axis=1) > 0) & (taken.argmax(axis=1) < len(EMOTIONS))
    emotions = np.where(keep[:, None], taken[:, : len(EMOTIONS)], 0)
    if rule == "multi_target":
        emotions = (emotions > 0).astype(np.int64)
    total = np.maximum(emotions.sum(axis=1, keepdims=True), 1)
    return keep, (emotions / total).astype(np.float32)


def _without_outliers(votes: Votes) -> Votes:
    """Return the votes with single ones set to 0."""
    return np.where(votes <= 1, 0, votes)


def _majority(votes: Votes) -> Votes:
    """Return the votes of the winner with more than half, else none."""
    votes = _without_outliers(votes)
    return np.where(2 * votes > votes.sum(axis=1, keepdims=True), votes, 0)


def _probability(votes: Votes) -> Votes:
    """Return the votes of the peaks taken, else none."""
    rest = _without_outliers(votes)
    total = rest.sum(axis=1)
    taken = np.zeros_like(rest)
    integrated = np.zeros_like(total)
    count = np.zeros_like(total)
    going = total > 0
    while going.any():
        peak = rest.max(axis=1, keepdims=True)
        tied = (rest == peak) & going[:, None]
        tied[:, 9] &= ~tied[:, 8]  # the first of unknown and NF ends the round
        taken = np.where(tied, rest, taken)
        integrated += np.where(tied, rest, 0).sum(axis=1)
        rest = np.where(tied, 0, rest)
        count += tied.sum(axis=1)
        ended = tied[:, 8:].any(axis=1)
        put_back = ended & (taken.sum(axis=1) > peak[:, 0])
        taken[put_back, 8:] = 0
        count -= put_back
        going &= ~ended & (4 * integrated < 3 * total) & (count < 3)
    enough = (2 * taken.sum(axis=1) > total) & (count <= 3)
    return np.where(enough[:, None], taken, 0)


def _multi_target(votes: Votes) -> Votes:
    """Return the votes of the columns with at least 30 %, else none."""
    votes = _without_outliers(votes)
    total = votes.sum(axis=1, keepdims=True)
    taken = np.where(10 * votes >= 3 * total, votes, 0)
    return np.where(2 * taken.sum(axis=1, keepdims=True) > total, taken, 0)


def _winner(votes: Votes) -> Votes:
    """Return 1 for the column with most votes, the first in a tie."""
    winners: npt.NDArray[np.bool_] = np.arange(votes.shape[1]) == votes.argmax(axis=1)[:, None]
    return winners.astype(np.int64)


def _argmax8(votes: Votes) -> Votes:
    """Return 1 for the emotion with most votes, the first in a tie."""
    return _winner(votes[:, : len(EMOTIONS)])


_RULES: dict[str, Callable[[Votes], Votes]] = {
    "majority": _majority,
    "probability": _probability,
    "multi_target": _multi_target,
    "argmax": _winner,
    "argmax8": _argmax8,
}

RULES: tuple[str, ...] = tuple(_RULES)
"""The label rules, by name; ``majority`` also labels validation and test, as in the official ``train.py``."""
