"""Which point of a space is tried next: Hyperopt's tree-structured Parzen estimators under Ray Tune, or random draws.

A proposal depends only on the seed of the search, the task, the number of the trial and the earlier trials: a search
that was stopped, and that gets its earlier trials back, continues as if it had not been stopped.

References:
    - [0] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization, NIPS 2011
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hyperopt
import numpy as np
from hyperopt import hp
from hyperopt.base import JOB_STATE_DONE, JOB_STATE_ERROR
from hyperopt.fmin import generate_trial
from hyperopt.pyll import scope
from ray.tune.search.hyperopt import HyperOptSearch

from ciao_stream.runtime.seeds import derive_seed
from tuning.space import Dimension, Point, Space

STARTUP = 10
"""Trials, the given points among them, before TPE models what it has seen; until then it draws at random."""

WORST = -1.0
"""Score of a trial that failed because of its own settings: no primary metric can be lower."""

_DRAWN = "drawn"
_ABSENT = ""


@dataclass(frozen=True)
class Known:
    """A trial that ended before this search began.

    Args:
        number: Its number.
        point: What was drawn.
        score: The score that the search gets; None if the trial says nothing about its point.
    """

    number: int
    point: Point
    score: float | None


class HeadSearch(HyperOptSearch):
    """Proposes points of a space, one per trial, in the order of the trials' numbers.

    Each proposal has the ``number`` of the trial, the ``point`` that was drawn and the ``changes`` of settings that it
    stands for.

    Args:
        space: The space; it has at least one dimension.
        task: Name of the task.
        numbers: Numbers of the trials to run.
        points: Proposed by the trials 0, 1, 2, ... before anything is drawn.
        known: Trials that ended before.
        search: ``tpe`` or ``random``; both draw from the very same space.
        seed: Of everything that is drawn.
    """

    def __init__(
        self,
        space: Space,
        task: str,
        numbers: Sequence[int],
        points: Sequence[Point] = (),
        known: Sequence[Known] = (),
        search: str = "tpe",
        seed: int = 0,
    ) -> None:
        ahead = [dict(points[n]) for n in numbers if n < len(points)]
        super().__init__(
            space={_DRAWN: expression(space)},
            metric="score",
            mode="max",
            points_to_evaluate=ahead or None,
            n_initial_points=STARTUP,
        )
        if search == "random":
            self.algo: Any = hyperopt.rand.suggest
        self.space = space
        self.task = task
        self.seed = seed
        self.numbers = [*numbers]
        self._remember(known, len(points))

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next proposal; None where all numbers have had theirs."""
        if not self.numbers:
            return None
        number = self.numbers.pop(0)
        self.rstate.seed(derive_seed(self.seed, "search", self.task, number) % 2**32)
        proposed = super().suggest(trial_id)
        if proposed is None:
            return None
        point = _plain(proposed[_DRAWN])
        return {"number": number, "point": point, "changes": self.space.changes(point)}

    def _remember(self, known: Sequence[Known], n_points: int) -> None:
        """Add the trials that ended before, as if this search had run them."""
        state = self.get_state()
        trials, labels = state["hyperopt_trials"], [dimension.label for dimension in self.space.dimensions]
        for doc in trials.trials:  # Hyperopt's reader wants absent dimensions to be named
            for label in labels:
                doc["misc"]["idxs"].setdefault(label, [])
                doc["misc"]["vals"].setdefault(label, [])
        # Hyperopt holds points to evaluate in the reverse of their order.
        order = sorted(known, key=lambda one: n_points - 1 - one.number if one.number < n_points else one.number)
        for tid, one in zip(trials.new_trial_ids(len(order)), order, strict=True):
            doc = generate_trial(tid, one.point)
            for label in labels:
                doc["misc"]["idxs"].setdefault(label, [])
                doc["misc"]["vals"].setdefault(label, [])
            doc["state"] = JOB_STATE_ERROR if one.score is None else JOB_STATE_DONE
            if one.score is not None:
                doc["result"] = {"loss": -one.score, "status": hyperopt.STATUS_OK}
            trials.insert_trial_docs([doc])
        trials.refresh()
        self.set_state(state)


def expression(space: Space) -> dict[str, Any]:
    """Translate a space for Hyperopt: by label, what is drawn, or an empty text where the dimension does not exist."""
    drawn = {dimension.label: _drawn(dimension) for dimension in space.dimensions}
    found = {}
    for dimension in space.dimensions:
        node = drawn[dimension.label]
        for condition in dimension.conditions:
            parent = drawn[condition.parent]
            n = len(parent.pos_args) - 1
            options = [node if i in condition.options else _ABSENT for i in range(n)]
            node = scope.switch(parent.pos_args[0], *options)
        found[dimension.label] = node
    return found


def _drawn(dimension: Dimension) -> Any:
    if dimension.kind == "choice":
        return hp.choice(dimension.label, range(len(dimension.options)))
    if dimension.kind == "uniform":
        return hp.uniform(dimension.label, dimension.low, dimension.high)
    return hp.loguniform(dimension.label, np.log(dimension.low), np.log(dimension.high))


def _plain(drawn: Mapping[str, Any]) -> dict[str, int | float]:
    """Return what was drawn as JSON numbers, without what does not exist."""
    there = {label: value for label, value in drawn.items() if value != _ABSENT}
    return {
        label: int(value) if isinstance(value, int | np.integer) else float(value) for label, value in there.items()
    }
