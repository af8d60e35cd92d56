"""Random numbers that depend on their purpose, never on what ran before.

Every draw is seeded by the run's seed and the names of its purpose. A resumed run therefore draws the same numbers as
one that never stopped, without any generator state on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed in [0, 2**63) for one purpose of a run.

    >>> derive_seed(0, "fer", "epoch", 1) == derive_seed(0, "fer", "epoch", 1)
    True
    >>> derive_seed(0, "fer") == derive_seed(0, "jaffe")
    False
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose of a run."""
    import numpy as np

    return np.random.default_rng(derive_seed(seed, *purpose))


@contextmanager
def seeded_torch(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's default generators for one purpose inside the block; their state outside is untouched."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
