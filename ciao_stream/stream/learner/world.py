"""One world that learns online: predict, evaluate, then learn, one frame after the other.

Nothing here depends on the clock, on how frames were read, or on a generator's state: the same frames and labels in the
same order give the same world, bit for bit, whether or not it was written down and restored in between.
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
from ciao_stream.runtime.seeds import numpy_generator, seeded_torch
from ciao_stream.runtime.state import State
from ciao_stream.stream.learner.baselines import Beside
from ciao_stream.stream.learner.class_prior import log_shift
from ciao_stream.stream.learner.growth import grow
from ciao_stream.stream.learner.guarded import guarded_step
from ciao_stream.stream.learner.held import Held, HeldFrames
from ciao_stream.stream.learner.optimizer_state import read_state, write_state
from ciao_stream.stream.learner.prequential import Prequential
from ciao_stream.stream.learner.replay import Replay, Sample, stack
from ciao_stream.stream.learner.settings import DetectorName, StreamSettings
from ciao_stream.stream.log.labels import Target
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World

Outcome = Literal["declared", "grown", "known", "waiting", "learned", "corrected", "orphan"]
"""What became of an event: the task is new, has new labels, or is as it was; the frame waits for its label; its label
was taken for learning, for the first time or as a correction; or the label's frame is not known any more."""

STEP = "stream step"
"""Step ``n`` of a world draws its random numbers (dropout) for the purpose ``(STEP, name of the world, n)``."""

UNLABELLED = "stream unlabelled"
"""Which frames that wait take part in step ``n`` is drawn for the purpose ``(UNLABELLED, name of the world, n)``."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What a world made of one frame or label.

    Args:
        outcome: What became of it.
        outputs: float32 (n_out,), what the world answered when the frame came; None where it is not known any more.
        evaluated: Whether that answer was judged now.
        drift: Detectors that signalled.
    """

    outcome: Outcome
    outputs: npt.NDArray[np.float32] | None
    evaluated: bool = False
    drift: tuple[DetectorName, ...] = ()


class OnlineWorld:
    """A world, what trains it, what it rehearses, how well it does, and the frames that it still has to do with.

    Args:
        world: The world. It answers with what it has learned so far.
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
        self.beside = Beside(world.spec, self.encoder, settings)
        self.pending = HeldFrames(settings.pending_capacity)
        self.recent = HeldFrames(settings.recent_capacity)
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
        if settings.unlabelled != "none":
            learned = replace(learned, unlabelled=settings.unlabelled, unlabelled_weight=settings.unlabelled_weight)
        return cls(World(spec, encoder, settings.scheme, settings.masked, learned, seed), settings, seed)

    @property
    def world(self) -> World:
        """The world as it is now."""
        return self.learner.world

    @property
    def faces(self) -> FaceStatistics:
        """What the labelled faces look like; each counts once, when its first label comes."""
        faces = self.world.faces
        if faces is None:
            raise RuntimeError(f"world {self.spec.name!r} has lost the statistics of its faces")
        return faces

    @property
    def spec(self) -> TaskSpec:
        """What the world answers."""
        return self.world.spec

    def frame(self, frame_id: str, z: Tensor, target: Target | None) -> Heard:
        """Take in a frame: answer, and with its target judge the answer and keep the sample for learning.

        Args:
            frame_id: Its name among all frames.
            z: What the last convolution works from, float16, without a batch dimension.
            target: None where it is not known yet.
        """
        self.counts["frames"] += 1
        held = Held(z, self.predict(z))
        if target is None:
            self.counts["made_way_unlabelled"] += self.pending.put(frame_id, held)
            return Heard("waiting", held.outputs)
        return self._labelled(frame_id, held, target)

    def label(self, frame_id: str, target: Target) -> Heard:
        """Take in the label of an earlier frame: its first, which is judged on the answer of then, or a correction."""
        held = self.pending.pop(frame_id)
        if held is not None:
            self.counts["late_labels"] += 1
            return self._labelled(frame_id, held, target)
        return self._corrected(frame_id, target)

    def predict(self, z: Tensor) -> npt.NDArray[np.float32]:
        """Answer, float32 (n_out,), without a trace."""
        outputs: npt.NDArray[np.float32] = self.world.predict(self._input(z[None]))[0].cpu().numpy()
        return outputs

    def learn(self) -> int:
        """Learn from the micro-batch if it is full, each step with samples from the memory, which then take it in.

        Returns:
            How many steps moved the world.
        """
        if len(self.batch) < self.settings.micro_batch:
            return 0
        taken = sum(self._step() for _ in range(self.settings.steps))
        for sample in self.batch:
            self.replay.offer(sample)
        self.batch = []
        return taken

    def raise_rate(self) -> None:
        """Learn faster for a while, and let the rate fall anew."""
        self.counts["raised_steps_left"] = self.settings.drift_steps
        self.counts["falls_from"] = self.counts["turns"]

    def forget_faces(self) -> None:
        """Forget all frames: those that wait, the micro-batch, and the memory."""
        self.replay.clear()
        self.pending, self.recent = HeldFrames(self.pending.capacity), HeldFrames(self.recent.capacity)
        self.batch = []
        self.beside.forget_faces()
        if self.faces.n < LEAST:
            self.world.faces = FaceStatistics(len(self.faces.mean))

    def grow(self, spec: TaskSpec) -> None:
        """Take in labels that come after those of now."""
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

    def fork(self, name: str) -> OnlineWorld:
        """Return a copy of the world under another name; it takes over all frames that this one has to do with.

        The copy has mask and head, but a fresh optimiser, an empty memory, and no figures yet. What its faces look like
        it takes over with little weight, so that those that come now soon decide.
        """
        old = self.world
        spec = replace(self.spec, name=name)
        world = World(spec, self.encoder, old.scheme, old.mask is not None, old.settings, self._seed)
        world.load_state_dict(old.state_dict())
        world.faces = self.faces.carried(LEAST)
        twin = OnlineWorld(world, self.settings, self._seed)
        twin.pending, twin.recent, twin.batch = self.pending, self.recent, self.batch
        self.pending, self.recent = HeldFrames(self.pending.capacity), HeldFrames(self.recent.capacity)
        self.batch = []
        return twin

    def report(self) -> dict[str, Any]:
        """Return figures and counts as JSON values."""
        sizes = {"pending": len(self.pending), "memory": self.replay.counts(), "micro_batch": len(self.batch)}
        beside = self.beside.report()
        figures = {"prequential": self.prequential.report(), **({"beside": beside} if beside else {})}
        return {**figures, "counts": dict(self.counts), **sizes}

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
        """Make the world that :meth:`state` told of."""
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
        if "faces" in values:  # a checkpoint of before has none
            made.world.faces = FaceStatistics.from_tensors(state.part("faces").tensors)
        return made

    def _labelled(self, frame_id: str, held: Held, target: Target) -> Heard:
        drift = self.prequential.update(held.outputs, target)
        self.beside.learn(held.z, target)
        self.faces.update(pooled(held.z[None]))
        self.recent.put(frame_id, held)
        self.batch.append(Sample(frame_id, held.z, target))
        self.counts["labelled"] += 1
        return Heard("learned", held.outputs, evaluated=True, drift=drift)

    def _corrected(self, frame_id: str, target: Target) -> Heard:
        """Learn another target of a face that is still here somewhere; its answer was judged before."""
        recent = self.recent.get(frame_id)
        outputs = None if recent is None else recent.outputs
        remembered = self.replay.get(frame_id)
        if remembered is not None:
            self.replay.correct(frame_id, target)
        for index, sample in enumerate(self.batch):
            if sample.frame_id == frame_id:
                self.batch[index] = replace(sample, target=target)
                self.counts["corrections"] += 1
                return Heard("corrected", outputs)
        known = recent or remembered
        if known is None:
            self.counts["orphan_labels"] += 1
            return Heard("orphan", None)
        self.batch.append(Sample(frame_id, known.z, target))
        self.counts["corrections"] += 1
        return Heard("corrected", outputs)

    def _step(self) -> bool:
        """Take one step on the micro-batch and what is rehearsed with it; say whether it moved the world."""
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
            losses = guarded_step(self.learner, self._input(z), y.to(device), self._unlabelled(turn), shift)
        self.counts["steps" if losses is not None else "steps_not_finite"] += 1
        return losses is not None

    def _log_shift(self, new: int, drawn: int) -> Tensor | None:
        """Return what takes the share of each class in a step out of it; None where there is nothing to take out."""
        as_they_came = self.settings.class_prior == "stream" and not drawn
        if not self.spec.has_classes or as_they_came:
            return None
        shift = log_shift(self.settings.class_prior, new, drawn, self.replay.seen, self.replay.kept)
        return torch.from_numpy(shift).to(self.world.device)

    def _unlabelled(self, turn: int) -> Tensor | None:
        """Draw frames that wait for their label, at the world's level; None where nothing is learned from them."""
        if not self.learner.uses_unlabelled:
            return None
        n = math.ceil(self.settings.unlabelled_ratio * self.settings.micro_batch)
        z = self.pending.draw(n, numpy_generator(self._seed, UNLABELLED, self.spec.name, turn))
        return None if z is None else self._input(z)

    def _set_rate(self, turn: int) -> None:
        raised = self.counts["raised_steps_left"] > 0
        self.counts["raised_steps_left"] -= raised
        fall, fallen = self.settings.fall_steps, turn - self.counts["falls_from"]
        share = (1 + fallen / fall) ** -0.5 if fall else 1.0
        self.learner.set_rate(share * self.settings.drift_rate if raised else share)

    def _input(self, z: Tensor) -> Tensor:
        """Return a batch at the world's level, float32, of stored ``z``."""
        z = z.to(self.world.device)
        return (self.encoder.stored_u(z) if self.world.level == "u" else z).float()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
