"""The online learner: applies the events of a stream one by one, in memory, independent of their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import Image
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import expect
from ciao_stream.runtime.options import from_json, to_json
from ciao_stream.runtime.retired import removed, without_retired
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.replay import require_room
from ciao_stream.stream.learner.settings import DetectorName, StreamSettings
from ciao_stream.stream.learner.training import check_growth
from ciao_stream.stream.learner.world import FrameResult, OnlineWorld, Outcome
from ciao_stream.stream.log.events import Event, FrameCame, LabelCame, TaskDeclared
from ciao_stream.stream.log.keys import START, order
from ciao_stream.stream.log.labels import label_target
from ciao_stream.worlds.settings import PRESETS, Settings


@dataclass(frozen=True, eq=False)
class Applied:
    """Result of one event.

    Args:
        position: Of the event.
        task: Of the event.
        world: Name of the world that predicted.
        outcome: See :data:`~ciao_stream.stream.learner.world.Outcome`.
        outputs: float32 (n_out,), the prediction made when the frame came, before anything was learned from its label;
            None for a task, and for a frame that is no longer known.
        evaluated: Whether the prediction was evaluated now.
        steps: Optimiser steps that followed.
        drift: Detectors that signalled.
        opened: Name of the world created in response to drift, which learns from now on; or None.
    """

    position: str
    task: str
    world: str
    outcome: Outcome
    outputs: npt.NDArray[np.float32] | None = None
    evaluated: bool = False
    steps: int = 0
    drift: tuple[DetectorName, ...] = ()
    opened: str | None = None


class OnlineLearner:
    """Online worlds over one frozen encoder. The same events in the same order give the same learner, bit for bit.

    Args:
        encoder: The shared encoder; never changed.
        settings: How worlds learn.
        world_settings: Mask, head and training settings of each world; the preset ``online`` by default.
        seed: Of the run.

    Raises:
        CiaoError: The replay memory of one world would not fit into this machine.
    """

    def __init__(
        self,
        encoder: Encoder,
        settings: StreamSettings | None = None,
        world_settings: Settings | None = None,
        seed: int = 0,
    ) -> None:
        expect("encoder", encoder, Encoder)
        expect("settings", settings, StreamSettings, NoneType)
        expect("world_settings", world_settings, Settings, NoneType)
        expect("seed", seed, int)
        self.encoder = encoder
        self.fingerprint = encoder.fingerprint()
        self.settings = settings or StreamSettings()
        require_room(self.settings.replay_capacity, encoder.shapes()[0])
        self.world_settings = world_settings or PRESETS["online"]
        self.seed = seed
        self.position = START
        self.n_applied = 0
        self.remarks: tuple[str, ...] = ()
        """A line for each setting that this version ignores, in a learner that an older one saved."""
        self._worlds: dict[str, OnlineWorld] = {}
        self._of_task: dict[str, list[str]] = {}

    @property
    def worlds(self) -> Mapping[str, OnlineWorld]:
        """All worlds by name, in the order in which they were created."""
        return dict(self._worlds)

    @property
    def tasks(self) -> dict[str, TaskSpec]:
        """The declared tasks by name, with their current labels."""
        return {task: TaskSpec(task, spec.kind, spec.labels) for task in self._of_task for spec in [self.of(task).spec]}

    def of(self, task: str) -> OnlineWorld:
        """Return the world that learns from a task's frames.

        Raises:
            UnknownNameError: No such task was declared.
        """
        if task not in self._of_task:
            raise UnknownNameError("task", task, self._of_task)
        return self._worlds[self._of_task[task][-1]]

    def apply(self, event: Event) -> Applied:
        """Apply the next event: predict a labelled frame, evaluate the prediction, then learn.

        Args:
            event: The next one; its position must come after :attr:`position`.

        Raises:
            CiaoError: The event is invalid: an unknown task or label, or a task that contradicts its earlier
                declaration. Nothing has changed.
            ValueError: The event was applied or skipped before.
        """
        if order(event.position) <= order(self.position):
            raise ValueError(f"expected an event after {self.position}, the last one applied, but got {event.position}")
        if isinstance(event, TaskDeclared):
            applied = self._declare(event)
        elif isinstance(event, FrameCame):
            world = self.of(event.task)
            target = None if event.label is None else label_target(world.spec, event.label)
            applied = self._learn(event, world.frame(event.frame_id, self._encode(event.image), target))
        elif isinstance(event, LabelCame):
            world = self.of(event.task)
            applied = self._learn(event, world.label(event.frame_id, label_target(world.spec, event.label)))
        else:
            raise TypeError(f"expected TaskDeclared, FrameCame or LabelCame but got {type(event).__name__}")
        self.position = event.position
        self.n_applied += 1
        return applied

    def _learn(self, event: Event, result: FrameResult) -> Applied:
        """After prediction and evaluation: answer drift, then learn if the micro-batch is full."""
        predicted = self.of(event.task).spec.name
        opened = self._answer_drift(event.task) if self.settings.detector in result.drift else None
        steps = self.of(event.task).learn()
        return Applied(
            event.position,
            event.task,
            predicted,
            result.outcome,
            result.outputs,
            result.evaluated,
            steps,
            result.drift,
            opened,
        )

    def skip(self, position: str) -> None:
        """Move past an entry of the stream that is not applied."""
        self.position = position

    def predict(self, image: Image, *worlds: str) -> dict[str, npt.NDArray[np.float32]]:
        """Predict one face in several worlds, without side effects.

        Args:
            image: The face, uint8 (height, width) or (height, width, 3).
            worlds: Names of worlds; all by default.

        Returns:
            float32 (n_out,) by world.

        Raises:
            UnknownNameError: There is no such world.
        """
        for name in worlds:
            if name not in self._worlds:
                raise UnknownNameError("world", name, self._worlds)
        z = self._encode(image)
        return {name: self._worlds[name].predict(z) for name in worlds or self._worlds}

    def report(self) -> dict[str, Any]:
        """Return position, counts and the metrics of every world as JSON values."""
        worlds = {name: world.report() for name, world in self._worlds.items()}
        return {"position": self.position, "n_applied": self.n_applied, "worlds": worlds}

    def forget_faces(self) -> None:
        """Delete all faces kept for learning, replay or correction, and their ids."""
        for world in self._worlds.values():
            world.forget_faces()

    def save_worlds(self, folder: Path) -> list[str]:
        """Write each world to a folder of its name: see :meth:`ciao_stream.worlds.world.World.save`.

        Args:
            folder: Created if it is missing.

        Returns:
            One line for each world that could not be written.
        """
        problems = []
        for name, world in self._worlds.items():
            about = {"position": self.position, "n_applied": self.n_applied, "counts": dict(world.counts)}
            try:
                world.world.save(folder / name, stream=about)
            except CiaoError as error:
                problems.append(str(error))
        return problems

    def to_state(self) -> State:
        """Return everything that :meth:`from_state` needs; the tensors are the live ones."""
        values = {
            "position": self.position,
            "n_applied": self.n_applied,
            "seed": self.seed,
            "encoder": {"name": self.encoder.name, "fingerprint": self.fingerprint},
            "settings": to_json(self.settings),
            "world_settings": self.world_settings.to_json(),
            "tasks": {task: [*names] for task, names in self._of_task.items()},
            "worlds": [*self._worlds],
        }
        return State.of(values, parts={f"world{i}": world.state() for i, world in enumerate(self._worlds.values())})

    @classmethod
    def from_state(cls, state: State, encoder: Encoder) -> OnlineLearner:
        """Rebuild the learner from what :meth:`to_state` returned; it shares no memory with the state.

        Raises:
            CiaoError: The learner was saved with another encoder.
        """
        values = state.values
        settings = from_json(StreamSettings, without_retired(values["settings"]), "stream setting")
        made = cls(encoder, settings, Settings.from_json(values["world_settings"]), values["seed"])
        theirs = values["encoder"]
        if theirs["fingerprint"] != made.fingerprint:
            ours = f"{encoder.name} ({made.fingerprint[:12]})"
            raise CiaoError(f"it uses encoder {theirs['name']} ({theirs['fingerprint'][:12]}), not {ours}")
        told = (removed(values[part]) for part in ("settings", "world_settings"))
        made.remarks = tuple(line for line in told if line)
        made.position, made.n_applied = values["position"], values["n_applied"]
        made._of_task = {task: [*names] for task, names in values["tasks"].items()}
        for index, name in enumerate(values["worlds"]):
            made._worlds[name] = OnlineWorld.restored(state.part(f"world{index}"), encoder, settings, made.seed)
        return made

    def _encode(self, image: Image) -> Tensor:
        """Return stored ``z`` of one face, without a batch dimension, on the CPU."""
        pixels = torch.from_numpy(self.encoder.preprocessing.fit(image)[None])
        return self.encoder.stored_z(pixels)[0].cpu()

    def _declare(self, event: TaskDeclared) -> Applied:
        spec = event.spec
        if spec.name != event.task:
            raise CiaoError(f"expected the declaration of task {event.task!r} but its name is {spec.name!r}")
        outcome: Outcome = "known"
        if event.task not in self._of_task:
            self._add(event.task, self._fresh(spec))
            outcome = "declared"
        elif check_growth(self.tasks[event.task], spec):
            world = self.of(event.task)
            world.grow(TaskSpec(world.spec.name, spec.kind, spec.labels))
            outcome = "grown"
        return Applied(event.position, event.task, self.of(event.task).spec.name, outcome)

    def _fresh(self, spec: TaskSpec) -> OnlineWorld:
        return OnlineWorld.fresh(spec, self.encoder, self.settings, self.world_settings, self.seed)

    def _add(self, task: str, world: OnlineWorld) -> None:
        name = world.spec.name
        if name in self._worlds:
            raise CiaoError(f"a world {name!r} exists: declare a task with another name")
        self._worlds[name] = world
        self._of_task.setdefault(task, []).append(name)

    def _answer_drift(self, task: str) -> str | None:
        """Respond to drift as set by ``on_drift``; return the name of the world created for it, if any."""
        world, answer = self.of(task), self.settings.on_drift
        if answer == "raise-rate":
            world.raise_rate()
        elif answer == "refresh-replay":
            world.replay.clear()
        elif answer == "new-world" and len(self._of_task[task]) < self.settings.worlds_per_task:
            name = self._free_name(task)
            self._add(task, world.fork(name))
            return name
        return None

    def _free_name(self, task: str) -> str:
        number = len(self._of_task[task]) + 1
        while f"{task}#{number}" in self._worlds:
            number += 1
        return f"{task}#{number}"
