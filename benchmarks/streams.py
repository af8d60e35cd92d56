"""Tasks as an Avalanche benchmark: one experience per data set, task labels 0, 1, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.avalanche_home import avalanche_home
from ciao_stream.encoders.encoded import EncodedFaces


def build_benchmark(train: Sequence[EncodedFaces], test: Sequence[EncodedFaces]) -> Any:
    """Build a benchmark with one experience per task in each stream.

    No sample is read. Targets may be of any kind: they are plain tensors in the samples. No ``targets`` attribute is
    set, because Avalanche's attributes only hold integer classes.

    Args:
        train: Training split of each task.
        test: Test split of each task.

    Returns:
        An Avalanche benchmark with ``train_stream`` and ``test_stream``; ``experience.task_label`` is the position of
        the task, ``experience.faces`` its data set.
    """
    with avalanche_home():
        from avalanche.benchmarks import benchmark_from_datasets, with_task_labels
        from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, TaskLabels

    def labelled(data: EncodedFaces, task: int) -> Any:
        labels = TaskLabels(ConstantSequence(task, len(data)))
        return AvalancheDataset([data], data_attributes=[labels])

    streams = {
        name: [labelled(data, task) for task, data in enumerate(sets)]
        for name, sets in (("train", train), ("test", test))
    }
    benchmark = with_task_labels(benchmark_from_datasets(**streams))
    for name, sets in (("train", train), ("test", test)):
        for experience, data in zip(benchmark.streams[name], sets, strict=True):
            experience.faces = data
    return benchmark
