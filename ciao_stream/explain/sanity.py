"""Whether maps depend on what was learned: a world whose weights are shuffled must look elsewhere.

References:
    - [0] Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS 2018,
      https://arxiv.org/abs/1810.03292 (cascading randomization)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.world import World

CASCADE: Mapping[str, tuple[str, ...]] = {
    "head": ("head",),
    "head and last layer": ("head", "mask", "adapter", "last", "encoder.last"),
    "everything": ("head", "mask", "adapter", "last", "encoder"),
}
"""What is shuffled, from the output down: the parts of a world, by the names of their weights. The shared encoder's
last convolution, and then all of it, are shuffled with them."""


def shuffled(world: World, extent: str, seed: int = 0) -> World:
    """Return a twin of a world in which the numbers of each weight tensor are in another, random order.

    A shuffled layer keeps the size of its weights and loses all that it learned. Norms and biases, tensors of one
    dimension, are not shuffled. The world itself and its encoder are not changed.

    Args:
        world: The world.
        extent: One of :data:`CASCADE`.
        seed: Draws the orders.

    Returns:
        A world with its own encoder.
    """
    with seeded_torch(seed, "shuffle", world.spec.name, extent):
        encoder = world.shared.frozen_copy()
        if extent != "head":
            _shuffle(encoder.last if extent != "everything" else encoder)
        twin = World(world.spec, encoder, world.scheme, world.mask is not None, world.settings)
        parts = tuple(f"{part}." for part in CASCADE[extent])
        state = {
            name: _in_another_order(tensor) if name.startswith(parts) else tensor
            for name, tensor in world.state_dict().items()
        }
        twin.load_state_dict(state)
    return twin.eval()


def _shuffle(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.data = _in_another_order(parameter.data)


def _in_another_order(tensor: Tensor) -> Tensor:
    if tensor.ndim < 2:
        return tensor
    flat = tensor.flatten()
    return flat[torch.randperm(len(flat), device="cpu").to(flat.device)].view(tensor.shape)
