"""New labels for a world that has learned already: its output layer grows, everything else stays bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.optimizer_state import read_state, write_state
from ciao_stream.stream.log.refusals import BadMessage, Reason
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World


def check_growth(old: TaskSpec, new: TaskSpec) -> bool:
    """Say whether a task that is declared again has further labels.

    Raises:
        BadMessage: It is no longer the same task: of another kind (``wrong_kind``), or its labels do not begin with
            those of before (``bad_task``); or it gets new dimensions (``bad_task``), whose values nobody gave for the
            faces of before.
    """
    where = f"task {new.name!r} is there already"
    if new.kind != old.kind:
        text = f"{where} and is {old.kind}, not {new.kind}: declare a task of another name"
        raise BadMessage(Reason.WRONG_KIND, text)
    if new.labels[: old.n_out] != old.labels:
        began, begins = ", ".join(old.labels), ", ".join(new.labels)
        text = f"{where} with labels {began}: give these first, then new ones, not {begins}"
        raise BadMessage(Reason.BAD_TASK, text)
    if new.labels != old.labels and new.kind == "dimensional":
        text = f"{where}, and a dimensional task cannot get new dimensions: declare a task of another name"
        raise BadMessage(Reason.BAD_TASK, text)
    return new.labels != old.labels


def grow(learner: WorldLearner, spec: TaskSpec, seed: int) -> WorldLearner:
    """Return a learner whose world answers more labels.

    The rows of the old labels in the output layer, all other weights and buffers and the optimisers' moments are those
    of before, bit for bit. The rows of the new labels are as in a fresh world; their moments are 0.

    Args:
        learner: A learner; it stays as it is.
        spec: The task with its further labels, which :func:`check_growth` let pass.
        seed: Of the run.
    """
    old = learner.world
    world = World(spec, old.shared, old.scheme, old.mask is not None, old.settings, seed)
    fresh = world.state_dict()
    world.load_state_dict({name: _in_front(tensor, fresh[name]) for name, tensor in old.state_dict().items()})
    grown = WorldLearner(world)
    for optimizer, before in zip(grown.optimizers, learner.optimizers, strict=True):
        write_state(optimizer, read_state(before))
    return grown


def _in_front(old: Tensor, fresh: Tensor) -> Tensor:
    """Return the old rows, followed by the fresh ones that come after them."""
    return old if old.shape == fresh.shape else torch.cat([old, fresh[len(old) :]])
