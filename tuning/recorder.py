"""Ray Tune's reports of trials, written to the journal and shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback

from ciao_stream.worlds.settings import Settings
from tuning.journal import Journal, SearchState, TrialRow
from tuning.space import Space
from tuning.worker import WHOLE


class Recorder(Callback):
    """Records every trial when it ends.

    Args:
        journal: Where to record it.
        space: The space of the search.
        base: The settings that trials change.
        state: What is shown; kept up to date.
        on_change: Called after every change of it, with whether a trial has ended.
    """

    def __init__(
        self, journal: Journal, space: Space, base: Settings, state: SearchState, on_change: Callable[[bool], None]
    ) -> None:
        self.journal = journal
        self.space = space
        self.base = base
        self.state = state
        self.on_change = on_change
        self.curves: dict[str, list[float]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Keep it out of Ray Tune's own files: only the journal is resumed from."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Start its curve; also if it starts again on another machine."""
        self.curves[trial.trial_id] = []
        self.state.running[trial.config["number"]] = (0, None)
        self.on_change(False)

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[Any],  # noqa: ARG002
        trial: Any,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        """Extend its curve."""
        if not result.get("error"):
            self.curves[trial.trial_id].append(result["score"])
            self.state.running[trial.config["number"]] = (result["epoch"], result["score"])
            self.on_change(False)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Record it: finished, stopped early, or failed because of its own settings."""
        result = trial.last_result
        if error := result.get("error"):
            self._write(trial, status="failed", score=None, error=error, at_fault=True)
        else:
            status = "finished" if result["percent"] == WHOLE else "stopped"
            self._write(trial, status=status, score=result["score"], values=result["values"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Record that its worker died, more often than it is retried."""
        self._write(trial, status="failed", score=None, error=_last_line(trial.error_file) or "its worker died")

    def _write(self, trial: Any, **fields: Any) -> None:
        number, point, changes = (trial.config[key] for key in ("number", "point", "changes"))
        result = trial.last_result or {}
        row = TrialRow(
            task=self.state.task,
            number=number,
            config=changes,
            point=point,
            settings=self.base.changed(changes).to_json(),
            curve=self.curves.pop(trial.trial_id, []),
            seconds=dict(result.get("seconds", {})),
            worker=result.get("worker"),
            ended=time.time(),
            **fields,
        )
        self.journal.add(row)
        self.state.ended.append(row)
        self.state.running.pop(number, None)
        self.on_change(True)


def _last_line(path: str | None) -> str:
    """Return the last line of an error report, or an empty text."""
    try:
        lines = Path(path or "").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((" ".join(line.split())[:500] for line in reversed(lines) if line.strip()), "")
