"""One training of PK: load, prepare, train, keep what can be gone on with, and show."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from rich.console import Console

from ciao_stream.allocator import keep_memory
from ciao_stream.atomic import open_for_replace
from ciao_stream.claim import claim, given_up_on_bad_data
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.features import DEFAULT_BUDGET, FeatureCache
from ciao_stream.precision import fast_dtype
from ciao_stream.preparation import data_sha256, progress_bars
from ciao_stream.pretraining.pk.board import Board
from ciao_stream.pretraining.pk.curves import Curves, mean
from ciao_stream.pretraining.pk.data import Faces, describe, is_conditioned, load_some, source_of
from ciao_stream.pretraining.pk.pictures import (
    arousal_valence_sheet,
    reconstruction_sheet,
    write_arousal_valence,
    write_reconstructions,
)
from ciao_stream.pretraining.pk.trainer import PkLearner, Recipe, draw_prior
from ciao_stream.saved_encoder import load_saved, save_encoder
from ciao_stream.seeds import derive_seed, numpy_generator

FORMAT = "ciao_stream/pretrain-pk/1"
CHECKPOINT_EVERY_S = 60.0
"""Seconds of training between two checkpoints inside an epoch; the end of an epoch is always kept."""

SHOWN, SHOWN_ALONG = 10, 3
"""Validation faces in the pictures of reconstructions, and along arousal and valence."""


@dataclass(frozen=True)
class Plan:
    """What to train; the options of the command."""

    tasks: list[str]
    data_root: Path | None
    epochs: int
    recipe: Recipe
    seed: int
    out: Path
    resume: bool
    device: str
    limit: int | None
    identity: Path | None
    cache: Path


def run(plan: Plan, command: str) -> None:
    """Train PK and write the encoder, with what it saw, into ``plan.out``.

    Raises:
        CiaoError: The plan or its data are bad, the output cannot be written, or ``--resume`` meets another run.
    """
    keep_memory()
    console = Console(stderr=True)
    training = _Training(plan, console)
    training.train()
    training.save(command)


class _Training:
    """A training that is under way: data, learner, curves, and how far it has come."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        encoder = load_encoder("pk", seed=plan.seed).to(plan.device)
        identity = None if plan.identity is None else load_saved(plan.identity).to(plan.device)
        self.tasks = load_some(plan.tasks, plan.data_root, plan.limit, plan.seed, console)
        self.conditioned = is_conditioned([data.spec for data in self.tasks])
        if plan.recipe.emotion and not self.conditioned:
            raise CiaoError(f"--emotion: arousal and valence are not known of every face of {', '.join(plan.tasks)}")
        self.source = source_of(self.tasks)
        data = {task.spec.name: data_sha256(task) for task in self.tasks}
        claim(plan.out, _identity(plan, data, encoder.fingerprint(), identity), plan.resume)
        cache = FeatureCache(plan.cache, DEFAULT_BUDGET)
        with given_up_on_bad_data(plan.out, plan.resume):
            self.faces = Faces.encode([task.train for task in self.tasks], encoder, cache, console)
            self.validation = Faces.encode([task.validation for task in self.tasks], encoder, cache, console)
        self.learner = PkLearner(encoder, plan.recipe, plan.seed, identity)
        self.curves = Curves()
        self.epoch = self.batch = self.step = 0
        self.seconds = 0.0
        self._load()
        self._told()

    @property
    def checkpoint(self) -> Path:
        return self.plan.out / "checkpoint.pt"

    def train(self) -> None:
        """Train the epochs that are left; each ends in a checkpoint and pictures."""
        plan = self.plan
        batches = len(_batches(len(self.faces), plan.recipe.batch, np.random.default_rng()))
        board = Board(plan.out / "tensorboard", self.step)
        with progress_bars(self.console) as progress:
            bar = progress.add_task("train pk", total=batches * plan.epochs, completed=self.step)
            if self.step == 0:
                self._measure(board)

            def on_step(measures: dict[str, float]) -> None:
                shown = (
                    f"train pk, L1 {measures['reconstruction']:.3f}, discriminators right: "
                    f"image {measures['image_accuracy']:.0%}, prior {measures['prior_accuracy']:.0%}"
                )
                progress.update(bar, advance=1, description=shown)

            while self.epoch < plan.epochs:
                self._train_epoch(board, on_step)
        board.close()

    def save(self, command: str) -> None:
        """Write the encoder, the curves and the pictures."""
        plan = self.plan
        self._show()
        trained_on = {
            "method": "pk",
            "source": self.source,
            "tasks": [describe(data) for data in self.tasks],
            "conditioned_on_arousal_and_valence": self.conditioned,
            "epochs": self.epoch,
            "steps": self.step,
            "recipe": asdict(plan.recipe),
            "identity_network": None if plan.identity is None else load_saved(plan.identity).fingerprint(),
            "seed": plan.seed,
            "limit": plan.limit,
            "command": command,
            "device": plan.device,
            "precision": str(fast_dtype(plan.device)).removeprefix("torch."),
            "validation": self.curves.rows[-1],
        }
        save_encoder(plan.out, self.learner.encoder(), trained_on)
        first, last = (
            {
                name: self.curves.of("validation", name)[1][at]
                for name in ("reconstruction", "image_accuracy", "prior_accuracy")
            }
            for at in (0, -1)
        )
        shown = Console()
        shown.print(
            f"{self.source} validation faces: L1 {first['reconstruction']:.3f} -> {last['reconstruction']:.3f}; "
            f"discriminators right: image {last['image_accuracy']:.0%}, prior {last['prior_accuracy']:.0%}; "
            f"{self.step * plan.recipe.batch / max(self.seconds, 1e-9):.1f} images/s",
            soft_wrap=True,
        )
        shown.print(f"encoder, curves and pictures: {plan.out}", soft_wrap=True)

    def _train_epoch(self, board: Board, on_step: Callable[[dict[str, float]], None]) -> None:
        plan, kept = self.plan, time.monotonic()
        order = _batches(len(self.faces), plan.recipe.batch, numpy_generator(plan.seed, "pk", "epoch", self.epoch))
        for indices in order[self.batch :]:
            start = time.monotonic()
            batch = self.faces.batch(indices, self.learner.device)
            measures = self.learner.step(batch, self._prior(len(indices), "step", self.step))
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
        """Look at the validation faces; the pictures of them go to TensorBoard."""
        batches = self.validation.parted(self.plan.recipe.batch, self.learner.device)
        measured = [
            self.learner.measure(batch, self._prior(len(batch.pixels), "validation", i))
            for i, batch in enumerate(batches)
        ]
        measures = mean(measured)
        self.curves.measured(self.epoch, self.step, measures)
        board.scalars("validation", self.step, measures)
        if board.writes:
            shown = self._shown(SHOWN)
            board.picture(f"reconstructions ({self.source})", self.step, reconstruction_sheet(self.learner, shown))
            for i, face in enumerate(shown.pixels[:SHOWN_ALONG].split(1) if self.conditioned else ()):
                sheet = arousal_valence_sheet(self.learner, face)
                board.picture(f"arousal and valence ({self.source})/{i}", self.step, sheet)

    def _show(self) -> None:
        names = ", ".join(self.plan.tasks)
        about = f"PK after {self.epoch} epochs on {names} ({self.source})"
        pictures = self.plan.out / "pictures"
        write_reconstructions(
            pictures / "reconstructions.png", self.learner, self._shown(SHOWN), f"{about}: validation faces"
        )
        if self.conditioned:
            write_arousal_valence(
                pictures / "arousal_valence.png",
                self.learner,
                self._shown(SHOWN_ALONG),
                f"{about}: validation faces at other arousal and valence",
            )
        self.curves.write(self.plan.out, about, self.source)

    def _shown(self, n: int) -> Any:
        n = min(n, len(self.validation))
        chosen = numpy_generator(self.plan.seed, "pk", "shown").permutation(len(self.validation))[:n]
        return self.validation.batch(chosen, self.learner.device)

    def _prior(self, n: int, *purpose: str | int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self.plan.seed, "pk", "prior", *purpose))
        return draw_prior(n, generator).to(self.learner.device)

    def _keep(self) -> None:
        """Write the checkpoint: tensors and plain values, whole or not at all."""
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "seconds": self.seconds,
            "curves": self.curves.state_dict(),
            "learner": self.learner.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with open_for_replace(self.checkpoint) as file:
            file.write(buffer.getbuffer())

    def _load(self) -> None:
        """Go on where the checkpoint stopped, if there is one.

        Raises:
            CiaoError: It is damaged.
        """
        if not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.learner.device)
            self.learner.load_state_dict(state["learner"])
            self.curves.load_state_dict(state["curves"])
            self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
            self.seconds = state["seconds"]
        except (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, UnpicklingError) as error:
            raise CiaoError(f"checkpoint {self.checkpoint} is damaged: delete it to train anew") from error

    def _told(self) -> None:
        """Say what of the paper's method is left out for want of labels or weights."""
        if not self.conditioned:
            kinds = ", ".join(f"{data.spec.name} is {data.spec.kind}" for data in self.tasks)
            self.console.print(
                f"unconditioned: arousal and valence are not known of every face ({kinds}); both are 0 everywhere, "
                "and no faces are drawn along them",
                soft_wrap=True,
            )
        if self.plan.identity is None:
            self.console.print(
                "no identity term: the paper's VGG-Face features are not here (--identity takes a saved encoder)",
                soft_wrap=True,
            )


def _batches(n: int, size: int, rng: np.random.Generator) -> list[np.typing.NDArray[np.int64]]:
    """Return the batches of one epoch; a single sample that is left over stays out: it has no batch statistics."""
    order = rng.permutation(n)
    return [part for start in range(0, n, size) if len(part := order[start : start + size]) > 1]


def _identity(plan: Plan, data: dict[str, Any], encoder: str, identity: Any) -> dict[str, Any]:
    """Return what decides the numbers of this run. The number of epochs does not: a run may be extended."""
    return {
        "format": FORMAT,
        "tasks": plan.tasks,
        "data": data,
        "limit": plan.limit,
        "recipe": asdict(plan.recipe),
        "identity": None if identity is None else identity.fingerprint(),
        "encoder": encoder,
        "seed": plan.seed,
        "device": plan.device,
        "threads": torch.get_num_threads(),
    }
