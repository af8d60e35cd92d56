"""``replay``: a shared head, fine-tuned with a memory of earlier samples (Avalanche's ``Replay``)."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.replay import balanced_replay
    from strategies.base.shared_head import SharedHead

    return SharedHead(balanced_replay)
