"""``lora``: trains the head and a low-rank change of the last convolution, as large as a mask."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.per_task import PerTaskStrategy

    return PerTaskStrategy.of("lora")
