"""Events of a stream on the tiny encoder, made from seeds, and learners that apply them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from ciao_stream.encoders.base import Encoder
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.checkpoint import decode, encode
from ciao_stream.stream.learner.learner import Applied, OnlineLearner
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.training import read_state
from ciao_stream.stream.log.events import Event, FrameCame, LabelCame, TaskDeclared
from ciao_stream.stream.log.labels import target_label
from ciao_stream.worlds.settings import Settings
from tests.helpers import tiny

QUICK = StreamSettings(micro_batch=4, replay_ratio=1.0, replay_capacity=6, pending_capacity=3, recent_capacity=2)
NO_REPLAY = dataclasses.replace(QUICK, replay_ratio=0, fall_steps=2)
shared = functools.cache(tiny.encoder)


def learner(
    settings: StreamSettings = QUICK, world: Settings | None = None, encoder: Encoder | None = None, seed: int = 0
) -> OnlineLearner:
    return OnlineLearner(encoder or shared(), settings, world or tiny.small(), seed)


class Stream:
    """Makes events one by one, each at the next position, with increasing frame ids."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = 0

    def declare(self, spec: TaskSpec) -> TaskDeclared:
        return TaskDeclared(self.position(), spec.name, spec)

    def frame(self, spec: TaskSpec, labelled: bool = True, frame_id: str | None = None) -> FrameCame:
        """A face whose brightness depends on its class, so that there is something to learn."""
        target = self.target(spec)
        shade = int(target) if spec.kind == "categorical" else int(target.argmax())
        image = self.rng.integers(0, 60, (tiny.SIZE, tiny.SIZE)) + 60 * shade
        label = target_label(spec, target) if labelled else None
        position = self.position()
        return FrameCame(position, spec.name, frame_id or f"f{self.n}", image.astype(np.uint8), label)

    def label(self, spec: TaskSpec, frame_id: str) -> LabelCame:
        return LabelCame(self.position(), spec.name, frame_id, target_label(spec, self.target(spec)))

    def frames(self, spec: TaskSpec, n: int) -> list[Event]:
        return [self.frame(spec) for _ in range(n)]

    def mixed(self, specs: Sequence[TaskSpec], n: int) -> list[Event]:
        """Tasks, frames with and without labels, late labels, corrections and orphans, in random order."""
        events: list[Event] = [self.declare(spec) for spec in specs]
        ids: dict[str, list[str]] = {spec.name: ["nobody"] for spec in specs}
        for _ in range(n):
            spec = specs[self.rng.integers(len(specs))]
            if self.rng.random() < 0.3:
                late = ids[spec.name][-6:]
                events.append(self.label(spec, late[self.rng.integers(len(late))]))
            else:
                events.append(self.frame(spec, labelled=bool(self.rng.random() < 0.7)))
                ids[spec.name].append(events[-1].frame_id)
        return events

    def position(self) -> str:
        self.n += 1
        return f"{1700000000000 + self.n // 3}-{self.n % 3}"

    def target(self, spec: TaskSpec) -> np.ndarray:
        if spec.kind == "categorical":
            return self.rng.integers(spec.n_out)
        if spec.kind == "votes":
            return self.rng.dirichlet(np.ones(spec.n_out)).astype(np.float32)
        if spec.kind == "dimensional":
            return self.rng.uniform(-1, 1, spec.n_out).astype(np.float32)
        return self.rng.integers(0, 2, spec.n_out).astype(np.float32)


def apply(online: OnlineLearner, events: Sequence[Event]) -> list[Applied]:
    return [online.apply(event) for event in events]


def reborn(online: OnlineLearner, encoder: Encoder | None = None) -> OnlineLearner:
    """The learner saved to bytes and restored, after reseeding torch, which must have no influence."""
    torch.manual_seed(54321)
    return decode(encode(online), encoder or shared())[0]


def snapshot(online: OnlineLearner) -> str:
    """A hash of the learner's complete state."""
    return hashlib.sha256(encode(online)).hexdigest()


def wider(spec):
    return dataclasses.replace(spec, labels=(*spec.labels, "new", "newer"))


def begun(settings=QUICK, spec=tiny.SPECS["categorical"], world=None, n=0, seed=0):
    """A stream whose task is declared, and a learner that has applied its first ``n`` labelled frames."""
    stream, online = Stream(seed), learner(settings, world)
    online.apply(stream.declare(spec))
    apply(online, stream.frames(spec, n))
    return stream, online


def moments_of(owner):
    """A copy of the optimisers' state of a learner or an online world."""
    optimizers = getattr(owner, "learner", owner).optimizers
    return {f"{i}.{k}": t.clone() for i, o in enumerate(optimizers) for k, t in read_state(o).items()}


def equal(some, others):
    return some.keys() == others.keys() and all(torch.equal(tensor, others[name]) for name, tensor in some.items())
