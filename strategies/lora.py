"""``lora``: trains the decision layer and a low-rank change of the last convolution, as large as a mask."""

from __future__ import annotations

from strategies.base.per_task import PerTaskStrategy


class LoRA(PerTaskStrategy):
    """Trains the decision layer and a low-rank change of the last convolution, as large as a mask."""

    scheme = "lora"


STRATEGY = LoRA
