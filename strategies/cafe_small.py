"""``cafe-small``: CAFE with a mask network about as large as a CIAO mask: :mod:`strategies.base.cafe`."""

from strategies.base import Runner

TAKES_MASK = False


def strategy() -> Runner:
    from strategies.base.cafe import Cafe, small_mask

    return Cafe(small_mask)
