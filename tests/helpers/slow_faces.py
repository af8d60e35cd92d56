"""Images that are slow to read, or kill the process that reads them, for tests of worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import TaskSpec


@dataclass(frozen=True)
class SlowFaces:
    """Images of noise; each read is recorded as a file ``PROCESS.SPLIT.IMAGE`` in ``log``.

    The file records whether the process ignores Ctrl-C.
    """

    split: str
    log: Path
    n: int
    seconds: float = 0.0
    deadly: bool = False

    @property
    def fingerprint(self) -> str:
        return self.split

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        return f"{self.split} {index}"

    def read(self, index: int) -> np.ndarray:
        ignores = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        (self.log / f"{os.getpid()}.{self.split}.{index}").write_text(str(ignores))
        time.sleep(self.seconds)
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.random.default_rng([index, len(self.split)]).integers(0, 256, (48, 48), dtype=np.uint8)


def slow_task(log: Path, n: int = 4, **how) -> TaskData:
    """A task of two classes."""
    spec = TaskSpec("slow", "categorical", ("no", "yes"))

    def dataset(split):
        return FaceDataset(spec, split, SlowFaces(split, log, n, **how), np.arange(n), np.arange(n) % 2, "real")

    return TaskData(dataset("train"), dataset("validation"), dataset("test"))


if __name__ == "__main__":  # check slow faces: LOG OUT
    import ciao_stream.data.check.run
    from ciao_stream.data import __main__ as data
    from tests.helpers import slow_faces

    ciao_stream.data.check.run.load_task = lambda *_: slow_faces.slow_task(Path(sys.argv[1]), 300, seconds=0.02)
    sys.exit(data.main(["check", sys.argv[1], "--tasks", "slow", "--out", sys.argv[2]]))
