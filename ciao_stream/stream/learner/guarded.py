"""A step of learning that moves either everything or nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ciao_stream.stream.learner.optimizer_state import parameters, read_state, write_state
from ciao_stream.worlds.training import StepLosses, WorldLearner


class _NotFiniteError(Exception):
    """A gradient is not finite."""


def guarded_step(
    learner: WorldLearner, x: Tensor, y: Tensor, unlabelled: Tensor | None = None, log_shift: Tensor | None = None
) -> StepLosses | None:
    """Take one step of a learner, unless a gradient has a NaN, an infinity, or a square beyond float32.

    Such a gradient is what a loss that is not finite leaves behind. It is seen before the optimiser moves anything;
    what has moved by then, the statistics of batch normalisation and, where mask and head take turns, the mask, is put
    back.

    Args:
        learner: The learner.
        x: Batch at the world's level.
        y: Targets in the layout of the task's kind.
        unlabelled: Faces without a label at the world's level, if there are any.
        log_shift: See :meth:`WorldLearner.step`.

    Returns:
        The losses; None where the world and its optimisers are bit for bit as they were.
    """
    buffers = [(buffer, buffer.clone()) for buffer in learner.world.buffers()]
    earlier = learner.optimizers[:-1]
    weights = [(p, p.detach().clone()) for optimizer in earlier for p in parameters(optimizer)]
    moments = [{name: tensor.clone() for name, tensor in read_state(optimizer).items()} for optimizer in earlier]
    hooks = [optimizer.register_step_pre_hook(_require_finite) for optimizer in learner.optimizers]
    try:
        return learner.step(x, y, unlabelled, log_shift)
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


def _require_finite(optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    """Refuse a step whose gradients, or their squares, which optimisers keep, are not finite."""
    norms = [torch.linalg.vector_norm(p.grad) for p in parameters(optimizer) if p.grad is not None]
    if norms and not bool(torch.stack(norms).isfinite().all()):
        raise _NotFiniteError
