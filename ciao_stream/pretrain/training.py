"""One training of an encoder: load, prepare, train, save checkpoints, and show."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ciao_stream.benchmark.prepare import data_sha256
from ciao_stream.encoders.cache import DEFAULT_BUDGET, FeatureCache
from ciao_stream.encoders.saved import save_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.pretrain.curves import Board, Curves, mean
from ciao_stream.pretrain.data import Faces, describe, load_some, source_of
from ciao_stream.pretrain.method import Batch, Measures, Method
from ciao_stream.pretrain.plan import Plan
from ciao_stream.runtime.atomic import open_for_replace
from ciao_stream.runtime.device import fast_dtype, keep_memory
from ciao_stream.runtime.folders import default_cache
from ciao_stream.runtime.progress import SILENT, Progress
from ciao_stream.runtime.run_folder import claim, released_on_bad_data
from ciao_stream.runtime.seeds import derive_seed, numpy_generator

FORMAT = "ciao_stream/pretrain/1"
logger = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 60.0
"""Seconds of training between two checkpoints inside an epoch; an epoch always ends with one."""

SHOWN = 10
"""Validation faces in images."""


def run(
    plan: Plan,
    method: Method,
    command: str,
    progress: Progress = SILENT,
    remark: Callable[[str], None] = logger.warning,
) -> str:
    """Train an encoder, write it, with what it saw, into ``plan.out``, and return a summary in one line.

    Args:
        plan: What to train on.
        method: How.
        command: The command line, for the record.
        progress: Shows the progress.
        remark: Called with each remark of the method on what it omits.

    Raises:
        CiaoError: The plan or its data are bad, the output cannot be written, or ``--resume`` meets another run.
    """
    keep_memory()
    training = _Training(plan, method, progress)
    for text in method.remarks():
        remark(text)
    training.train()
    return training.save(command)


class _Training:
    """A training in progress: data, method, curves and position."""

    def __init__(self, plan: Plan, method: Method, progress: Progress) -> None:
        self.plan = plan
        self.method = method
        self.progress = progress
        self.tasks = load_some(plan.tasks, plan.data_root, plan.limit, plan.seed, progress)
        method.admit(self.tasks)
        self.source = source_of(self.tasks)
        claim(plan.out, self._identity(), plan.record, plan.resume)
        cache = FeatureCache(plan.cache or default_cache(plan.out), DEFAULT_BUDGET)
        with released_on_bad_data(plan.out, plan.resume):
            self.faces = self._encode("train", cache)
            self.validation = self._encode("validation", cache)
        self.steps = len(self._order(0)) * plan.epochs
        method.begin(self.steps, plan.seed)
        self.curves = Curves(method.measures, method.panels)
        self.epoch = self.batch = self.step = 0
        self.seconds = 0.0
        self._load()

    @property
    def checkpoint(self) -> Path:
        return self.plan.out / "checkpoint.pt"

    def train(self) -> None:
        """Train the epochs that are left; each ends with a checkpoint and images."""
        name = f"train {self.method.name}"
        board = Board(self.plan.out / "tensorboard", self.step)
        with self.progress.bar(name, self.steps) as bar:
            bar.reach(self.step)
            if self.step == 0:
                self._measure(board)

            def on_step(measures: Measures) -> None:
                bar.advance(what=f"{name}, {self.method.progress(measures)}")

            while self.epoch < self.plan.epochs:
                self._train_epoch(board, on_step)
        board.close()

    def save(self, command: str) -> str:
        """Write the encoder, the curves and the images; return a summary in one line."""
        plan, method = self.plan, self.method
        self._show()
        first, last = (self.curves.validation(at) for at in (0, -1))
        trained_on = {
            "method": method.name,
            "source": self.source,
            "tasks": [describe(data) for data in self.tasks],
            "epochs": self.epoch,
            "steps": self.step,
            "batch": plan.batch,
            **method.identity(),
            **method.about(),
            "seed": plan.seed,
            "limit": plan.limit,
            "command": command,
            "device": plan.device,
            "precision": str(fast_dtype(plan.device)).removeprefix("torch."),
            "validation": last,
        }
        save_encoder(plan.out, method.learner.encoder(), trained_on)
        per_second = self.step * plan.batch / max(self.seconds, 1e-9)
        return f"{self.source} validation faces: {method.summary(first, last)}; {per_second:.1f} images/s"

    def _encode(self, split: str, cache: FeatureCache) -> Faces:
        splits = [getattr(task, split) for task in self.tasks]
        labels = np.concatenate([self.method.labels(faces) for faces in splits])
        return Faces.encode(splits, labels, self.method.encoder, cache, self.progress)

    def _order(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Return the batches of an epoch; a last batch of one sample is dropped: it has no batch statistics."""
        n, size = len(self.faces), self.plan.batch
        order = numpy_generator(self.plan.seed, self.method.name, "epoch", epoch).permutation(n)
        return [part for start in range(0, n, size) if len(part := order[start : start + size]) > 1]

    def _train_epoch(self, board: Board, on_step: Callable[[Measures], None]) -> None:
        plan, kept = self.plan, time.monotonic()
        order = self._order(self.epoch)
        for indices in order[self.batch :]:
            start = time.monotonic()
            batch = self.faces.batch(indices, self.method.encoder.device)
            measures = self.method.step(batch, self._generator("step", self.step))
            self.batch, self.step = self.batch + 1, self.step + 1
            if means := self.curves.trained(self.epoch + 1, self.step, measures, self.batch == len(order)):
                board.scalars("train", self.step, means)
            on_step(measures)
            self.seconds += time.monotonic() - start
            if time.monotonic() - kept > CHECKPOINT_EVERY_S and self.batch < len(order):
                self._keep()
                kept = time.monotonic()
        self.epoch, self.batch = self.epoch + 1, 0
        self._measure(board)
        self._keep()
        if self.epoch < plan.epochs:
            self._show()

    def _measure(self, board: Board) -> None:
        """Measure the validation faces; images of them go to TensorBoard."""
        batches = self.validation.parted(self.plan.batch, self.method.encoder.device)
        measures = mean([self.method.measure(batch, self._generator("measure", i)) for i, batch in enumerate(batches)])
        self.curves.measured(self.epoch, self.step, measures)
        board.scalars("validation", self.step, measures)
        if board.writes:
            for name, picture in self.method.pictures(self._shown()).items():
                board.picture(f"{name} ({self.source})", self.step, picture)

    def _show(self) -> None:
        epochs = f"{self.epoch} epoch{'s' * (self.epoch > 1)}"
        title = f"{self.method.name} after {epochs} on {', '.join(self.plan.tasks)} ({self.source})"
        self.method.show(self.plan.out / "pictures", self._shown(), title)
        self.curves.write(self.plan.out, title, self.source)

    def _shown(self) -> Batch:
        order = numpy_generator(self.plan.seed, self.method.name, "shown").permutation(len(self.validation))
        return self.validation.batch(order[:SHOWN], self.method.encoder.device)

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.plan.seed, self.method.name, *purpose))

    def _keep(self) -> None:
        """Write the checkpoint: tensors and plain values, whole or not at all."""
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "seconds": self.seconds,
            "curves": self.curves.state_dict(),
            "method": self.method.learner.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with open_for_replace(self.checkpoint) as file:
            file.write(buffer.getbuffer())

    def _load(self) -> None:
        """Resume from the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.method.encoder.device)
            self.method.learner.load_state_dict(state["method"])
            self.curves.load_state_dict(state["curves"])
            self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
            self.seconds = state["seconds"]
        except (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, UnpicklingError) as error:
            raise CiaoError(f"checkpoint {self.checkpoint} is damaged: delete it to start again") from error

    def _identity(self) -> dict[str, Any]:
        """Return what determines the numbers of this run; the number of epochs only if the method depends on it."""
        plan = self.plan
        return {
            "format": FORMAT,
            "method": self.method.name,
            "tasks": list(plan.tasks),
            "data": {task.spec.name: data_sha256(task) for task in self.tasks},
            "limit": plan.limit,
            "epochs": None if self.method.extendable else plan.epochs,
            "batch": plan.batch,
            **self.method.identity(),
            "encoder": self.method.encoder.fingerprint(),
            "seed": plan.seed,
            "device": plan.device,
            "threads": torch.get_num_threads(),
        }
