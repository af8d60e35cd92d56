"""``replay``: a shared head, fine-tuned with a memory of earlier samples (Avalanche's ``Replay``)."""

from strategies.base import Runner

TAKES_MASK = True


def strategy() -> Runner:
    from strategies.base.shared_head import SharedHead, balanced_replay

    return SharedHead(balanced_replay)
