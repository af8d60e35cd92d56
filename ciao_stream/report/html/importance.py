"""How much each setting of a search matters to the score.

A random forest [0] learns the score from the settings of the trials that finished; a setting's importance is how far
the forest's R² falls when that setting's values are shuffled among the trials, mean and standard deviation over
:data:`SHUFFLES` shuffles. Like fANOVA [1] this looks at all settings at once, conditions included; unlike it, what two
settings do together counts for both.

References:
    - [0] Breiman: Random Forests, Machine Learning 45, 2001 (permutation importance is of section 10)
    - [1] Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST = 12
"""Fewest finished trials for which importance is computed."""

TREES, SHUFFLES = 300, 20


@dataclass(frozen=True)
class Importance:
    """What the forest says.

    Args:
        explained: R² out of bag; near 0 or below, importance means nothing.
        settings: Name, mean fall of R² and its standard deviation, the most important first.
    """

    explained: float
    settings: tuple[tuple[str, float, float], ...]


def importance(configs: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> Importance | None:
    """Return how much each setting matters; None for too few trials, or where score or settings never differ.

    Args:
        configs: Settings of each trial; one that a trial does not have is missing there.
        scores: Of the same trials.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    names = varied(configs)
    if len(scores) < LEAST or not names or np.ptp(scores) == 0:
        return None
    x = np.stack([numbers([config.get(name) for config in configs])[0] for name in names], axis=1)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(x, scores)
    found = permutation_importance(forest, x, scores, n_repeats=SHUFFLES, random_state=0)
    rows = zip(names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return Importance(float(forest.oob_score_), tuple(sorted(rows, key=lambda row: -row[1])))


def varied(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the settings that differ between trials, in the order in which they appear."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({json.dumps(config.get(name)) for config in configs}) > 1]


def numbers(values: Sequence[Any]) -> tuple[npt.NDArray[np.float64], list[str] | None]:
    """Return one number per value, NaN where it is missing: the value itself, or the place of its text among all texts.

    Returns:
        The numbers, and the texts; None where the values are numbers.

    >>> numbers([0.1, None, 0.3])[0].tolist(), numbers(["b", "a", "b"])
    ([0.1, nan, 0.3], (array([1., 0., 1.]), ['a', 'b']))
    """
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64), None
    texts = sorted({_text(value) for value in known})
    places = [np.nan if value is None else texts.index(_text(value)) for value in values]
    return np.array(places, dtype=np.float64), texts


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
