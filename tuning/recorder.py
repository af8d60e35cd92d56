"""What Ray Tune tells of trials, written into the journal and onto the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback

from ciao_stream.worlds.settings import Settings
from tuning.journal import Journal, TrialRow
from tuning.live import Progress
from tuning.space import Space
from tuning.worker import WHOLE


class Recorder(Callback):
    """Writes every trial down when it ends.

    Args:
        journal: Where.
        space: What points mean.
        base: The settings that trials change.
        progress: What is shown; kept up to date.
        told: Called after every change of it, with whether a trial has ended.
    """

    def __init__(
        self, journal: Journal, space: Space, base: Settings, progress: Progress, told: Callable[[bool], None]
    ) -> None:
        self.journal = journal
        self.space = space
        self.base = base
        self.progress = progress
        self.told = told
        self.curves: dict[str, list[float]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Keep it out of what Ray Tune writes of a search: the journal alone is gone on from."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Begin its curve; also where it begins anew on another machine."""
        self.curves[trial.trial_id] = []
        self.progress.running[trial.config["number"]] = (0, None)
        self.told(False)

    def on_trial_result(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[Any],  # noqa: ARG002
        trial: Any,
        result: dict[str, Any],
        **_: Any,
    ) -> None:
        """Go on with its curve."""
        if not result.get("error"):
            self.curves[trial.trial_id].append(result["score"])
            self.progress.running[trial.config["number"]] = (result["epoch"], result["score"])
            self.told(False)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Write it down: finished, stopped early, or failed by its own settings."""
        result = trial.last_result
        if error := result.get("error"):
            self._write(trial, status="failed", score=None, error=error, at_fault=True)
        else:
            status = "finished" if result["percent"] == WHOLE else "stopped"
            self._write(trial, status=status, score=result["score"], values=result["values"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Write down that its worker died, more often than it was given another try."""
        self._write(trial, status="failed", score=None, error=_last_line(trial.error_file) or "its worker died")

    def _write(self, trial: Any, **fields: Any) -> None:
        number, point, changes = (trial.config[key] for key in ("number", "point", "changes"))
        result = trial.last_result or {}
        row = TrialRow(
            task=self.progress.task,
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
        self.progress.ended.append(row)
        self.progress.running.pop(number, None)
        self.told(True)


def _last_line(path: str | None) -> str:
    """Return the last line of a report of errors; nothing where there is none."""
    try:
        lines = Path(path or "").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((" ".join(line.split())[:500] for line in reversed(lines) if line.strip()), "")
