"""Cut an encoder further up, so that its worlds mask more than its last convolution."""

from __future__ import annotations

import copy

from torch import nn

from ciao_stream.encoders.attach.split import attach
from ciao_stream.encoders.base import Encoder
from ciao_stream.exceptions import CiaoError


def deepen(encoder: Encoder, convolutions: int) -> Encoder:
    """Return an encoder whose worlds have a mask on each of its last convolutions.

    The trunk is split at its own last convolution, and so on: ``z`` is then what the first of these works from, and
    lies before more of the network. Each convolution comes with what follows it up to the next one's ``z``; the mask of
    one that ends a residual block stands on the output of the block.

    Args:
        encoder: A frozen encoder. It is copied, never written.
        convolutions: How many, >= 2; of one, each encoder has a mask already.

    Returns:
        A frozen encoder of the same map, named ``lastN:NAME``.

    Raises:
        CiaoError: There are fewer, or the network cannot be split there.
    """
    name = f"last{convolutions}:{encoder.name}"
    if convolutions < 2:
        raise CiaoError(f"{name}: give at least 2, or the encoder's own name: its last convolution is always masked")
    trunk, earlier = encoder.trunk, nn.ModuleList()
    z_shape = encoder.shapes()[0]
    for n in range(2, convolutions + 1):
        try:
            inner = attach(trunk, encoder.preprocessing, encoder.name)
        except CiaoError as error:
            raise CiaoError(f"{name}: no mask on convolution {n} from the end: {error}") from error
        if inner.shapes()[1] != z_shape:
            raise CiaoError(f"{name}: no mask on convolution {n} from the end: what follows takes more than its map")
        trunk, z_shape = inner.trunk, inner.shapes()[0]
        earlier.insert(0, inner.last)
    last = copy.deepcopy(encoder.last)
    last.earlier = earlier
    deeper = Encoder(name, encoder.preprocessing, trunk, last)
    deeper.weights = encoder.weights
    return deeper
