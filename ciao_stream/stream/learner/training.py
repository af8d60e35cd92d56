"""What one online world needs beyond :class:`~ciao_stream.worlds.training.WorldLearner`.

- :func:`guarded_step`: a step that changes either everything or nothing,
- :func:`log_shift`: the logit adjustment that removes the class balance of the replay memory from a step,
- :func:`check_growth` and :func:`grow`: new labels for a world that has already learned,
- :func:`read_state` and :func:`write_state`: the state of an optimiser as named tensors, and back.

References:
    - [0] Menon et al.: Long-tail Learning via Logit Adjustment, ICLR 2021, https://arxiv.org/abs/2007.07314 (Eq. 10)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.settings import ClassPrior
from ciao_stream.stream.log.refusals import BadMessage, Reason
from ciao_stream.worlds.training import StepLosses, WorldLearner
from ciao_stream.worlds.world import World


class _NotFiniteError(Exception):
    """A gradient is not finite."""


def guarded_step(learner: WorldLearner, x: Tensor, y: Tensor, log_shift: Tensor | None = None) -> StepLosses | None:
    """Take one step, unless a gradient has a NaN, an infinity or a square beyond float32.

    A loss that is not finite leaves such a gradient. It is detected before the optimiser changes anything. What changed
    earlier is restored: the statistics of batch normalisation and, where mask and head alternate, the mask.

    Args:
        learner: The learner.
        x: Batch at the world's level.
        y: Targets in the layout of the task's kind.
        log_shift: See :meth:`WorldLearner.step`.

    Returns:
        The losses; None if the step was rejected: world and optimisers are then unchanged, bit for bit.
    """
    buffers = [(buffer, buffer.clone()) for buffer in learner.world.buffers()]
    earlier = learner.optimizers[:-1]
    weights = [(p, p.detach().clone()) for optimizer in earlier for p in _parameters(optimizer)]
    moments = [{name: tensor.clone() for name, tensor in read_state(optimizer).items()} for optimizer in earlier]
    hooks = [optimizer.register_step_pre_hook(_require_finite) for optimizer in learner.optimizers]
    try:
        return learner.step(x, y, log_shift)
    except _NotFiniteError:
        with torch.no_grad():
            for tensor, before in [*buffers, *weights]:
                tensor.copy_(before)
        for optimizer, state in zip(earlier, moments, strict=True):
            write_state(optimizer, state)
        return None
    finally:
        for hook in hooks:
            hook.remove()


def log_shift(
    prior: ClassPrior, new: int, drawn: int, seen: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    r"""Return what a step adds to the outputs, :math:`\log(q_c / p_c)`, float32 (K,).

    A class-balanced memory shows rare classes more often than they occur, and a head trained on it predicts them as
    often. Logit adjustment [0] removes this: the loss is taken on ``outputs + log(q / p)``, so the outputs themselves,
    which predict, do not depend on the mixture.

    ``q`` is the mixture that the step learns from: new faces as the stream brings them, drawn ones as the memory holds
    them. ``p`` is the prior that predictions assume. Every count is increased by one, so that a class that has not
    come yet is rare, not impossible.

    Args:
        prior: ``p``: shares in the stream, or even ones.
        new: New faces in the step.
        drawn: Faces drawn from the memory.
        seen: (K,) faces of each class received so far.
        kept: (K,) faces of each class in the memory.
    """
    stream, memory = (((n + 1) / (n + 1).sum()) for n in (seen, kept))
    mixture = (new * stream + drawn * memory) / (new + drawn)
    assumed = stream if prior == "stream" else np.full(len(seen), 1 / len(seen))
    return np.log(mixture / assumed).astype(np.float32)


def check_growth(old: TaskSpec, new: TaskSpec) -> bool:
    """Return whether a task that is declared again has additional labels.

    Raises:
        BadMessage: The kind differs (``wrong_kind``), the labels do not begin with the known ones (``bad_task``), or a
            dimensional task has new dimensions (``bad_task``), for which the earlier faces have no values.
    """
    where = f"task {new.name!r} exists"
    if new.kind != old.kind:
        text = f"{where} and is {old.kind}, not {new.kind}: declare a task with another name"
        raise BadMessage(Reason.WRONG_KIND, text)
    if new.labels[: old.n_out] != old.labels:
        expected, got = ", ".join(old.labels), ", ".join(new.labels)
        text = f"{where} with labels {expected}: expected these first, then new ones, but got {got}"
        raise BadMessage(Reason.BAD_TASK, text)
    if new.labels != old.labels and new.kind == "dimensional":
        text = f"{where}, and a dimensional task cannot get new dimensions: declare a task with another name"
        raise BadMessage(Reason.BAD_TASK, text)
    return new.labels != old.labels


def grow(learner: WorldLearner, spec: TaskSpec, seed: int) -> WorldLearner:
    """Return a learner whose world predicts additional labels.

    The output layer's rows for the old labels, all other weights and buffers and the optimisers' moments stay the same,
    bit for bit. The rows for the new labels are as in a fresh world; their moments are 0.

    Args:
        learner: A learner; it is not changed.
        spec: The task with its additional labels, checked by :func:`check_growth`.
        seed: Of the run.
    """
    old = learner.world
    world = World(spec, old.shared, old.scheme, old.mask is not None, old.settings, seed)
    fresh = world.state_dict()
    world.load_state_dict({name: _with_new_rows(tensor, fresh[name]) for name, tensor in old.state_dict().items()})
    grown = WorldLearner(world)
    for optimizer, before in zip(grown.optimizers, learner.optimizers, strict=True):
        write_state(optimizer, read_state(before))
    return grown


def read_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the live tensors of an optimiser's state by ``INDEX.KEY``; empty before its first step."""
    kept = {index: optimizer.state.get(p, {}) for index, p in enumerate(_parameters(optimizer))}
    return {f"{i}.{key}": t for i, state in kept.items() for key, t in state.items() if isinstance(t, Tensor)}


def write_state(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser a copy of what :func:`read_state` returned.

    Each moment gets its parameter's memory layout: torch's fused AdamW reads parameter, gradient and moments in memory
    order whatever their strides, so with other strides it would apply a moment to the wrong weight.

    Args:
        optimizer: Over the same parameters; a parameter may have additional rows at its end, whose moments are 0.
        tensors: By ``INDEX.KEY``.
    """
    optimizer.state.clear()
    moved = _parameters(optimizer)
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = moved[int(index)]
        if tensor.ndim == 0:
            optimizer.state[parameter][key] = tensor.to(parameter.device, copy=True)
            continue
        own = torch.zeros_like(parameter, requires_grad=False)
        own[: len(tensor)] = tensor
        optimizer.state[parameter][key] = own


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _require_finite(optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    """Refuse a step if a gradient, or its square, which optimisers keep, is not finite."""
    norms = [torch.linalg.vector_norm(p.grad) for p in _parameters(optimizer) if p.grad is not None]
    if norms and not bool(torch.stack(norms).isfinite().all()):
        raise _NotFiniteError


def _with_new_rows(old: Tensor, fresh: Tensor) -> Tensor:
    """Return the old rows, followed by the fresh rows that come after them."""
    return old if old.shape == fresh.shape else torch.cat([old, fresh[len(old) :]])
