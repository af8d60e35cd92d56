"""One world that learns online: it predicts, evaluates, then learns, one frame after the other.

It depends neither on the clock, nor on how frames were read, nor on a generator's state: the same frames and labels in
the same order give the same world, bit for bit, whether or not it was saved and restored in between.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ciao_stream.encoders.base import Encoder
from ciao_stream.faces.statistics import LEAST, FaceStatistics, n_features, pooled
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.baselines import WorldBaselines
from ciao_stream.stream.learner.pending import FrameBuffer, PredictedFrame
from ciao_stream.stream.learner.prequential import Prequential
from ciao_stream.stream.learner.replay import Replay, Sample, stack
from ciao_stream.stream.learner.settings import DetectorName, StreamSettings
from ciao_stream.stream.learner.training import grow, guarded_step, log_shift, read_state, write_state
from ciao_stream.stream.log.labels import Target
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World

Outcome = Literal["declared", "grown", "known", "waiting", "learned", "corrected", "orphan"]
"""Result of an event. A task: ``declared`` (new), ``grown`` (it has new labels) or ``known`` (unchanged). A frame
without a label: ``waiting``. A label: ``learned`` (the frame's first), ``corrected`` (a later one) or ``orphan`` (its
frame is no longer known)."""

STEP = "stream step"
"""Step ``n`` of a world draws its random numbers (dropout) for the purpose ``(STEP, name of the world, n)``."""


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What a world did with one frame or label.

    Args:
        outcome: See :data:`Outcome`.
        outputs: float32 (n_out,), the prediction made when the frame came; None if the frame is no longer known.
        evaluated: Whether that prediction was evaluated now.
        drift: Detectors that signalled.
    """

    outcome: Outcome
    outputs: npt.NDArray[np.float32] | None
    evaluated: bool = False
    drift: tuple[DetectorName, ...] = ()


class OnlineWorld:
    """A world with its optimisers, replay memory, metrics, and the frames that may still get a label.

    Args:
        world: The world. It predicts with what it has learned so far.
        settings: How it learns.
        seed: Of the run.
    """

    def __init__(self, world: World, settings: StreamSettings, seed: int) -> None:
        self.learner = WorldLearner(world)
        self.settings = settings
        self.encoder: Encoder = world.shared
        z_shape = self.encoder.shapes()[0]
        self.replay = Replay(world.spec, settings.replay_capacity, z_shape, seed)
        if world.faces is None:
            world.faces = FaceStatistics(n_features(z_shape))
        self.prequential = Prequential(world.spec, settings)
        self.beside = WorldBaselines(world.spec, self.encoder, settings)
        self.pending = FrameBuffer(settings.pending_capacity)
        self.recent = FrameBuffer(settings.recent_capacity)
        self.batch: list[Sample] = []
        self.counts: Counter[str] = Counter()
        self._seed = seed

    @classmethod
    def fresh(
        cls, spec: TaskSpec, encoder: Encoder, settings: StreamSettings, world_settings: Settings, seed: int
    ) -> OnlineWorld:
        """Make a world that has learned nothing."""
        lr = world_settings.lr if settings.lr is None else settings.lr
        learned = replace(world_settings, lr=lr)
        return cls(World(spec, encoder, settings.scheme, settings.masked, learned, seed), settings, seed)

    @property
    def world(self) -> World:
        """The world in its current state."""
        return self.learner.world

    @property
    def faces(self) -> FaceStatistics:
        """Statistics of the labelled faces; each face counts once, with its first label."""
        faces = self.world.faces
        if faces is None:
            raise RuntimeError(f"world {self.spec.name!r} has lost the statistics of its faces")
        return faces

    @property
    def spec(self) -> TaskSpec:
        """The task that the world predicts."""
        return self.world.spec

    # ---- predict, evaluate, learn -------------------------------------------------------------------------------

    def frame(self, frame_id: str, z: Tensor, target: Target | None) -> FrameResult:
        """Predict a frame; with its target, also evaluate the prediction and add the sample to the micro-batch.

        The caller then answers drift and calls :meth:`learn`.

        Args:
            frame_id: Unique among all frames.
            z: Output of the encoder's trunk, float16, without a batch dimension.
            target: In the layout of the task's kind; None if the label may come later.
        """
        self.counts["frames"] += 1
        frame = PredictedFrame(z, self.predict(z))
        if target is not None:
            return self._evaluate(frame_id, frame, target)
        self.counts["made_way_unlabelled"] += self.pending.put(frame_id, frame)
        return FrameResult("waiting", frame.outputs)

    def label(self, frame_id: str, target: Target) -> FrameResult:
        """Apply a later label: the first one evaluates the prediction made when the frame came, others correct it."""
        frame = self.pending.pop(frame_id)
        if frame is None:
            return self._correct(frame_id, target)
        self.counts["late_labels"] += 1
        return self._evaluate(frame_id, frame, target)

    def predict(self, z: Tensor) -> npt.NDArray[np.float32]:
        """Predict one face, float32 (n_out,), without side effects."""
        outputs: npt.NDArray[np.float32] = self.world.predict(self._input(z[None]))[0].cpu().numpy()
        return outputs

    def _evaluate(self, frame_id: str, frame: PredictedFrame, target: Target) -> FrameResult:
        """Evaluate a prediction on its first label, then add the sample to the micro-batch."""
        drift = self.prequential.update(frame.outputs, target)
        self.beside.learn(frame.z, target)
        self.faces.update(pooled(frame.z[None]))
        self.recent.put(frame_id, frame)
        self.batch.append(Sample(frame_id, frame.z, target))
        self.counts["labelled"] += 1
        return FrameResult("learned", frame.outputs, evaluated=True, drift=drift)

    def learn(self) -> int:
        """Learn from the micro-batch if it is full, then offer its samples to the replay memory.

        Returns:
            How many steps changed the world.
        """
        if len(self.batch) < self.settings.micro_batch:
            return 0
        taken = sum(self._step() for _ in range(self.settings.steps))
        for sample in self.batch:
            self.replay.offer(sample)
        self.batch = []
        return taken

    def _step(self) -> bool:
        """Take one step on the micro-batch and samples from the memory; return whether it changed the world."""
        turn = self.counts["turns"]
        self.counts["turns"] += 1
        z, y = stack(self.batch)
        if self.settings.replay_ratio:
            old_z, old_y = self.replay.draw(math.ceil(self.settings.replay_ratio * len(z)), turn)
            z, y = torch.cat([z, old_z]), torch.cat([y, old_y])
        if len(z) < 2:
            self.counts["steps_too_small"] += 1
            return False
        self._set_rate(turn)
        device, shift = self.world.device, self._log_shift(len(self.batch), len(z) - len(self.batch))
        with seeded_torch(self._seed, STEP, self.spec.name, turn):
            losses = guarded_step(self.learner, self._input(z), y.to(device), shift)
        self.counts["steps" if losses is not None else "steps_not_finite"] += 1
        return losses is not None

    def _correct(self, frame_id: str, target: Target) -> FrameResult:
        """Learn another target of a face that is still buffered; its prediction was evaluated before."""
        recent = self.recent.get(frame_id)
        outputs = None if recent is None else recent.outputs
        remembered = self.replay.get(frame_id)
        if remembered is not None:
            self.replay.correct(frame_id, target)
        for index, sample in enumerate(self.batch):
            if sample.frame_id == frame_id:
                self.batch[index] = replace(sample, target=target)
                self.counts["corrections"] += 1
                return FrameResult("corrected", outputs)
        known = recent or remembered
        if known is None:
            self.counts["orphan_labels"] += 1
            return FrameResult("orphan", None)
        self.batch.append(Sample(frame_id, known.z, target))
        self.counts["corrections"] += 1
        return FrameResult("corrected", outputs)

    def _set_rate(self, turn: int) -> None:
        raised = self.counts["raised_steps_left"] > 0
        self.counts["raised_steps_left"] -= raised
        fall, fallen = self.settings.fall_steps, turn - self.counts["falls_from"]
        share = (1 + fallen / fall) ** -0.5 if fall else 1.0
        self.learner.set_rate(share * self.settings.drift_rate if raised else share)

    def _log_shift(self, new: int, drawn: int) -> Tensor | None:
        """Return the logit adjustment of a step; None if it needs none."""
        natural = self.settings.class_prior == "stream" and not drawn
        if not self.spec.has_classes or natural:
            return None
        shift = log_shift(self.settings.class_prior, new, drawn, self.replay.seen, self.replay.kept)
        return torch.from_numpy(shift).to(self.world.device)

    def _input(self, z: Tensor) -> Tensor:
        """Return stored ``z`` as a batch at the world's level, float32."""
        z = z.to(self.world.device)
        return (self.encoder.stored_u(z) if self.world.level == "u" else z).float()

    # ---- drift, new labels, wipe --------------------------------------------------------------------------------

    def raise_rate(self) -> None:
        """Raise the learning rate for ``drift_steps`` steps and restart its decay."""
        self.counts["raised_steps_left"] = self.settings.drift_steps
        self.counts["falls_from"] = self.counts["turns"]

    def fork(self, name: str) -> OnlineWorld:
        """Return a copy with another name, which takes over the buffered frames and the micro-batch.

        The copy has mask and head, but fresh optimisers, an empty memory and no metrics. It keeps the face statistics
        with little weight, so that new faces soon dominate them.
        """
        old = self.world
        spec = replace(self.spec, name=name)
        world = World(spec, self.encoder, old.scheme, old.mask is not None, old.settings, self._seed)
        world.load_state_dict(old.state_dict())
        world.faces = self.faces.carried(LEAST)
        copy = OnlineWorld(world, self.settings, self._seed)
        copy.pending, copy.recent, copy.batch = self.pending, self.recent, self.batch
        self._empty_buffers()
        return copy

    def grow(self, spec: TaskSpec) -> None:
        """Append labels to the task."""
        new = spec.n_out - self.spec.n_out
        faces = self.faces
        self.learner = grow(self.learner, spec, self._seed)
        self.world.faces = faces
        for part in (self.replay, self.prequential, self.beside):
            part.grow(spec)
        for frames in (self.pending, self.recent):
            frames.grow(new)
        if spec.kind != "categorical":
            none = np.zeros(new, dtype=np.float32)
            self.batch = [replace(s, target=np.concatenate([s.target, none], dtype=np.float32)) for s in self.batch]

    def forget_faces(self) -> None:
        """Delete all buffered frames, the micro-batch and the replay memory."""
        self.replay.clear()
        self._empty_buffers()
        self.beside.forget_faces()
        if self.faces.n < LEAST:
            self.world.faces = FaceStatistics(len(self.faces.mean))

    def _empty_buffers(self) -> None:
        self.pending, self.recent = FrameBuffer(self.pending.capacity), FrameBuffer(self.recent.capacity)
        self.batch = []

    # ---- report, save, restore ----------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return metrics and counts as JSON values."""
        sizes = {"pending": len(self.pending), "memory": self.replay.counts(), "micro_batch": len(self.batch)}
        beside = self.beside.report()
        metrics = {"prequential": self.prequential.report(), **({"beside": beside} if beside else {})}
        return {**metrics, "counts": dict(self.counts), **sizes}

    def state(self) -> State:
        """Return what :meth:`restored` needs; its tensors are the live ones."""
        tensors = {f"world.{name}": tensor for name, tensor in self.world.state_dict().items()}
        for index, optimizer in enumerate(self.learner.optimizers):
            tensors |= {f"optimizer{index}.{name}": tensor for name, tensor in read_state(optimizer).items()}
        if self.batch:
            tensors["batch.z"], tensors["batch.targets"] = stack(self.batch)
        values = {
            "task": self.spec.to_json(),
            "settings": self.world.settings.to_json(),
            "counts": dict(self.counts),
            "batch": [sample.frame_id for sample in self.batch],
        }
        parts = {name: getattr(self, name).state() for name in ("replay", "prequential", "pending", "recent", "beside")}
        parts["faces"] = State({}, self.faces.to_tensors())
        return State.of(values, tensors, parts)

    @classmethod
    def restored(cls, state: State, encoder: Encoder, settings: StreamSettings, seed: int) -> OnlineWorld:
        """Rebuild the world from what :meth:`state` returned."""
        values, tensors = state.values, state.tensors
        spec, learned = TaskSpec.from_json(values["task"]), Settings.from_json(values["settings"])
        made = cls.fresh(spec, encoder, settings, learned, seed)
        made.world.load_state_dict(_under(tensors, "world."))
        for index, optimizer in enumerate(made.learner.optimizers):
            write_state(optimizer, _under(tensors, f"optimizer{index}."))
        made.counts = Counter(values["counts"])
        if values["batch"]:
            targets = tensors["batch.targets"].numpy()
            faces = zip(values["batch"], tensors["batch.z"], targets, strict=True)
            made.batch = [Sample(frame_id, z.clone(), np.array(target)) for frame_id, z, target in faces]
        for name in ("replay", "prequential", "pending", "recent"):
            getattr(made, name).load(state.part(name))
        if "beside" in values:
            made.beside.load(state.part("beside"))
        if "faces" in values:  # older checkpoints have none
            made.world.faces = FaceStatistics.from_tensors(state.part("faces").tensors)
        return made


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
