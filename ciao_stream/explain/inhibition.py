"""What a mask does: how much it lets through where, and in which channels training has silenced the most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ciao_stream.explain.views import BATCH, Views
from ciao_stream.worlds.mask import InhibitoryMask
from ciao_stream.worlds.masks import make_mask
from ciao_stream.worlds.world import World

ACTIVE = 0.05
"""A channel counts where its mean activity is at least this share of the mean over all channels: what a mask does to
one that is silent anyway says nothing."""


@dataclass(frozen=True, eq=False)
class MaskEffect:
    """A mask over a set of faces; "passed" is ``sum M / sum u``, the mean of ``1 / (a + I)`` weighted by ``u``.

    Args:
        raw: float32 (N, h, w), the map's strength without the mask: mean of ``u`` over channels.
        passed: float32 (N, h, w), what the mask lets through at each place, over all channels; 0 where ``u`` is.
        activity: float32 (N, C), mean of ``u`` over the places of each face.
        channel_passed: float32 (C,), what it lets through of each channel, over all faces.
        channel_passed_at_start: float32 (C,), what the same mask let through before training, of the same ``u``.
    """

    raw: Tensor
    passed: Tensor
    activity: Tensor
    channel_passed: Tensor
    channel_passed_at_start: Tensor

    @property
    def active(self) -> Tensor:
        """Whether each channel counts, bool (C,): see :data:`ACTIVE`."""
        mean = self.activity.mean(dim=0)
        return (mean >= ACTIVE * mean.mean()) & (mean > 0)

    @property
    def learned(self) -> Tensor:
        """What training changed, float32 (C,): the binary logarithm of passed by passed before; 0 if not active.

        Less its median over active channels, which the layer behind makes up for: below 0 a channel is silenced more
        than most.
        """
        ratio = torch.where(self.active, self.channel_passed / self.channel_passed_at_start, 1).log2()
        centre = ratio[self.active].median() if bool(self.active.any()) else ratio.new_zeros(())
        return torch.where(self.active, ratio - centre, 0)

    def silenced(self, n: int) -> list[int]:
        """Return the channels that training silenced most, at most ``n``, the most silent first."""
        learned = torch.where(self.active, self.learned, torch.inf)
        return learned.argsort(stable=True)[: min(n, int(self.active.sum()))].tolist()

    def exciting(self, channel: int, n: int) -> list[int]:
        """Return the faces in which a channel is most active before the mask, the most active first."""
        return self.activity[:, channel].argsort(descending=True, stable=True)[:n].tolist()


@torch.no_grad()
def mask_effect(world: World, views: Views) -> MaskEffect:
    """Measure what a world's mask does to a set of faces. The map's absolute values count, where it may be negative.

    Args:
        world: A world with a mask.
        views: The faces.

    Raises:
        ValueError: The world has no mask.
    """
    if world.mask is None:
        raise ValueError(f"world {world.spec.name!r} has no mask")
    world.eval()
    start = _at_start(world)
    raw, passed, activity, sums = [], [], [], []
    for at in range(0, len(views), BATCH):
        _, x, u, _ = world.before_mask(views.batch(world, slice(at, at + BATCH)))
        masked, before, size = world.mask(x, u).float().abs(), start(x, u).float().abs(), u.float().abs()
        raw.append(size.mean(dim=1))
        passed.append(_ratio(masked.sum(dim=1), size.sum(dim=1)))
        activity.append(size.mean(dim=(2, 3)))
        sums.append(torch.stack([m.double().sum(dim=(0, 2, 3)) for m in (masked, before, size)]))
    masked_sum, before_sum, size_sum = torch.stack(sums).sum(dim=0).float().cpu()
    return MaskEffect(
        torch.cat(raw).cpu(),
        torch.cat(passed).cpu(),
        torch.cat(activity).cpu(),
        _ratio(masked_sum, size_sum),
        _ratio(before_sum, size_sum),
    )


def channel_maps(world: World, views: Views, channel: int) -> Tensor:
    """Return one channel of ``u`` before the mask, float32 (N, h, w)."""
    with torch.no_grad():
        u = world.eval().before_mask(views.batch(world, slice(None)))[2]
    return u[:, channel].float().cpu()


def _at_start(world: World) -> InhibitoryMask:
    return make_mask(world.shared.last, world.settings).to(world.device).eval()


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=torch.finfo(whole.dtype).tiny), 0)
