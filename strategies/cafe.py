"""``cafe``: CAFE with its authors' mask network, a ResNet-18 of 11 million parameters: :mod:`strategies.base.cafe`."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from strategies.base.cafe import Cafe, ResNetMask

    return Cafe(ResNetMask)
