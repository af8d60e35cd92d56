"""Pictures that several tasks or splits have in common are found, as the same files and as copies."""

from dataclasses import replace

import numpy as np

from benchmarks.synthetic import load as load_synthetic
from benchmarks.tasks import load_task
from ciao_stream.benchmark.sharing import find_shared, shared_images
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.faces.dataset import TaskData
from tests.helpers import own_files, tiny


def test_images_that_two_splits_read_are_counted():
    images = tiny.pictures(20)

    def split(name, first, last, source="real"):
        return replace(tiny.faces(images=images, source=source).take(np.arange(first, last)), split=name)

    task = TaskData(split("train", 0, 12), split("validation", 12, 15), split("test", 10, 20))
    places = [{"task": "fer", "split": name} for name in ("train", "validation", "test")]
    assert shared_images([task]) == [
        {"one": places[0], "other": places[2], "images": 2, "leak": True},
        {"one": places[1], "other": places[2], "images": 3, "leak": True},
    ]
    apart = TaskData(split("train", 0, 10), split("validation", 10, 12), split("test", 12, 20))
    assert shared_images([apart]) == []
    assert shared_images([replace(task, train=split("train", 0, 12, "synthetic"))]) == []


def shared_of(tasks, tmp_path, judged="test"):
    encoder = tiny.encoder(size=48)
    seen = []
    found = find_shared(tasks, judged, encoder, FeatureCache(tmp_path / "cache"), seen.append)
    return {(one.train, one.test): (one.pictures, one.learned) for one in found}, sum(seen)


def test_the_same_files_are_shared(tmp_path):
    tasks = [load_synthetic(name, train=9, validation=4, test=5, size=16) for name in ("fer", "ferplus", "jaffe")]
    found, looked_at = shared_of(tasks, tmp_path)
    assert found == {("fer", "ferplus"): (14, 0), ("ferplus", "fer"): (14, 0)}
    assert looked_at == 0, "drawn faces resemble each other"


def test_copies_in_other_files_are_shared(tmp_path):
    own_files.write_copies(tmp_path)
    tasks = [load_task(f"folder:{tmp_path / name}", None) for name in ("seven", "three")]
    found, looked_at = shared_of(tasks, tmp_path)
    assert found == {("seven", "three"): (3, 3), ("three", "seven"): (3, 0)}
    assert looked_at == sum(len(split) for task in tasks for split in (task.train, task.test))
