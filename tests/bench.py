"""``make bench``: what the design saves, as ratios measured within one run on synthetic faces.

Absolute times belong to the machine and the hour; ratios of things done in turn, in one process, are what to compare.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.tasks import load_task
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import EncodedFaces, encode
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime import device as precision
from ciao_stream.runtime.device import keep_memory
from ciao_stream.worlds.settings import Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import Scheme, World
from ciao_stream.worlds.worlds import Worlds

ROUNDS = 5
FACES = {"train": 512, "validation": 64, "test": 64}
BATCH = 64
WORLDS = 4


def main() -> None:
    """Measure and print the table."""
    keep_memory()
    encoder = load_encoder("facechannel")
    task = load_task("fer", None, sizes=FACES)
    table = Table("what", "against", "times faster", title="ratios, median of paired rounds (synthetic faces)")
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        faces = {level: encode(task.train, encoder, cache, level) for level in ("pixels", "z", "u")}
        pixels = torch.from_numpy(np.array(faces["pixels"].features[:BATCH]))

        def learner(scheme: Scheme, masked: bool) -> WorldLearner:
            return WorldLearner(World(task.spec, encoder, scheme, masked, Settings()))

        full, ciao, dl = learner("full", False), learner("dl", True), learner("dl", False)
        worlds = Worlds(encoder)
        for i in range(WORLDS):
            worlds.add(TaskSpec(f"fer{i}", task.spec.kind, task.spec.labels), seed=i)

        def epoch(who: WorldLearner, data: EncodedFaces) -> Callable[[], object]:
            return lambda: [who.step(x, y) for x, y in data.batches(BATCH, np.random.default_rng(0))]

        def epoch_encoding_again() -> None:
            for x, y in faces["pixels"].batches(BATCH, np.random.default_rng(0)):
                ciao.step(encoder.stored_z(x).float(), y)

        def read_by_sample() -> None:
            for _ in torch.utils.data.DataLoader(faces["z"], batch_size=BATCH, shuffle=True):
                pass

        rows: list[tuple[str, str, Callable[[], object], Callable[[], object]]] = [
            (
                "epoch of dl+ciao, features cached",
                "encoding every epoch",
                epoch(ciao, faces["z"]),
                epoch_encoding_again,
            ),
            ("epoch of dl+ciao", "epoch of full", epoch(ciao, faces["z"]), epoch(full, faces["pixels"])),
            ("epoch of dl", "epoch of dl+ciao", epoch(dl, faces["u"]), epoch(ciao, faces["z"])),
            (
                "read z in whole batches",
                "sample by sample",
                lambda: [None for _ in faces["z"].batches(BATCH, np.random.default_rng(0))],
                read_by_sample,
            ),
            (
                f"{WORLDS} worlds, one trunk pass",
                f"{WORLDS} passes",
                lambda: worlds.predict(pixels),
                lambda: [worlds.predict(pixels, name) for name in worlds],
            ),
            (
                f"encode {BATCH} faces in {str(precision.fast_dtype()).removeprefix('torch.')}",
                "float32",
                lambda: encoder.stored_z(pixels),
                lambda: _in_float32(lambda: encoder.stored_z(pixels)),
            ),
        ]
        own = _encoding(load_encoder("random:ciao-face"))
        rows += [
            (f"encode {BATCH} faces by ciao-face", f"by {name}", own, _encoding(load_encoder(name)))
            for name in ("facechannel", "resnet18")
        ]
        for what, against, ours, other in rows:
            table.add_row(what, against, f"{_ratio(ours, other):.1f}")
    Console().print(table)


def _encoding(encoder: Encoder) -> Callable[[], object]:
    """Return what encodes a batch of the encoder's own size, to the map."""
    size, channels = encoder.preprocessing.size, 1 if encoder.preprocessing.channels == "gray" else 3
    pixels = torch.randint(0, 256, (BATCH, channels, size, size), dtype=torch.uint8)
    return lambda: encoder.stored_u(encoder.stored_z(pixels))


def _ratio(ours: Callable[[], object], other: Callable[[], object]) -> float:
    """Return the median over rounds of the other's time by ours, each pair measured back to back."""
    ours(), other()
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        other()
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return statistics.median(ratios)


def _in_float32(body: Callable[[], object]) -> None:
    fast = precision.fast_dtype
    precision.fast_dtype = lambda _device_type="cpu": torch.float32  # type: ignore[assignment]
    try:
        body()
    finally:
        precision.fast_dtype = fast


if __name__ == "__main__":
    main()
