"""A worker of Ray Tune: it imports, maps the features and loads the encoder once, and then runs trial after trial."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import torch
from ray import tune

from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.device import keep_memory
from tuning.search import WORST
from tuning.trial import Ground, Seconds, Trial

WHOLE = 100
"""``percent`` of a trial that has trained all its epochs."""


class HeadTrial(tune.Trainable):
    """Runs trials; each step is one epoch of all members of one.

    A step reports ``score`` (the mean over the members), ``values`` (of each), ``epoch``, ``percent`` of the trial's
    epochs, ``seconds`` and ``worker``. An error in a trial is its last report, as ``error``, and leaves the worker
    as it was.
    """

    def setup(self, config: dict[str, Any], ground: Ground) -> None:  # type: ignore[override]
        """Prepare for the first trial."""
        keep_memory()
        torch.set_num_threads(1)
        self.started = time.perf_counter()
        self.waited = 0.0
        self.trial: Trial | None = None
        self.changes: dict[str, Any] = {}
        self.ended: float | None = None
        self.ground = ground.mapped()
        self.encoder = load_encoder(ground.encoder).to(ground.device)
        if self.encoder.fingerprint() != ground.fingerprint:
            raise CiaoError(f"encoder {ground.encoder!r} differs on {socket.gethostname()}: install the same")
        self.encoder.shapes()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:  # type: ignore[override]
        """Prepare for the next trial."""
        self.started = time.perf_counter()
        self.waited = 0.0 if self.ended is None else self.started - self.ended
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train and judge one epoch."""
        try:
            if self.trial is None:
                self.trial = Trial(self.ground, self.encoder, self.ground.settings.changed(self.changes))
            values = self.trial.next_epoch()
        except Exception as error:  # a trial may fail in any way; the search continues
            return self._report(score=WORST, values=[], error=one_line(error), done=True)
        return self._report(score=sum(values) / len(values), values=values, done=self.trial.done)

    def cleanup(self) -> None:
        """Drop the last trial."""
        self.trial = None

    def _begin(self, config: dict[str, Any]) -> None:
        self.trial = None
        self.changes = config["changes"]
        self.prepared = time.perf_counter() - self.started

    def _report(self, **found: Any) -> dict[str, Any]:
        self.ended = time.perf_counter()
        trial = self.trial
        spent = Seconds() if trial is None else trial.seconds
        epochs = self.ground.settings.epochs if trial is None else trial.settings.epochs
        epoch = 0 if trial is None else trial.epoch
        return {
            "epoch": epoch,
            "percent": WHOLE * epoch // epochs,
            "seconds": {
                "total": self.ended - self.started,
                "load": self.prepared + spent.load,
                "train": spent.train,
                "judge": spent.judge,
                "wait": self.waited,
            },
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            **found,
        }


def one_line(error: BaseException) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, CiaoError) else f"{type(error).__name__}: {text}".rstrip(": ")
