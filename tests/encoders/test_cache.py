"""The feature cache: each face is encoded once, entries are whole or absent, disk and memory are bounded."""

import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ciao_stream.encoders import cache as features
from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import encode
from ciao_stream.exceptions import CiaoError, DataError
from tests.helpers import ROOT, tiny

LEVELS = ("pixels", "z", "u")
PIXELS_OF_20 = 20 * tiny.SIZE**2


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(features, "ENCODE_BATCH", 8)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def entries(cache):
    return {path.name: path.read_bytes() for path in cache.folder.iterdir()}


@pytest.mark.parametrize("channels", ["gray", "rgb", "bgr"])
def test_features_equal_direct_computation(cache, channels):
    encoder, images = tiny.encoder(channels=channels), tiny.pictures(20, size=19)
    pixels = np.stack([encoder.preprocessing.fit(image) for image in images.images])
    z = torch.cat([encoder.stored_z(batch) for batch in torch.from_numpy(pixels).split(8)])
    u = torch.cat([encoder.stored_u(batch) for batch in z.split(8)])
    shapes = {"pixels": pixels.shape, "z": (20, 4, 8, 8), "u": (20, 6, 4, 4)}
    for level, expected in zip(LEVELS, (pixels, z.numpy(), u.numpy()), strict=True):
        got = cache.get(images, encoder, level)
        assert (got.shape, got.dtype) == (shapes[level], np.uint8 if level == "pixels" else np.float16)
        assert np.array_equal(got, expected)
        assert isinstance(got, np.memmap)
        assert not got.flags.writeable


def test_cached_images_are_neither_read_nor_encoded_again(cache, monkeypatch):
    images, first = tiny.pictures(20), {}
    for level in ("u", "z", "pixels"):
        first[level] = cache.get(images, tiny.encoder(), level)
    assert images.reads == 20, "each level is made from the one below"
    assert len(entries(cache)) == 3
    for name in ("encode", "stored_z", "stored_u"):
        monkeypatch.delattr(Encoder, name)
    images.broken = 0
    for level in LEVELS:
        again = FeatureCache(cache.folder).get(images, tiny.encoder(), level)
        assert np.array_equal(again, first[level])
    assert images.reads == 20


def test_tasks_and_splits_that_share_images_are_encoded_once(cache):
    images, encoder = tiny.pictures(20), tiny.encoder()
    fer = tiny.faces("categorical", images)
    plus = tiny.faces("votes", images, rows=np.array([5, 3, 5]), targets=tiny.targets("votes", 3), split="test")
    one, two = (encode(faces, encoder, cache, "z") for faces in (fer, plus))
    assert images.reads == 20
    assert [len(one), len(two)] == [20, 3]
    x, y = two.batch(np.array([0, 1]))
    assert np.array_equal(x, one.features[[5, 3]].astype(np.float32))
    assert np.array_equal(y, plus.targets[:2])


class Renamed(tiny.Pictures):
    fingerprint = "another"


CHANGES = {
    "weights": (lambda _, i: (tiny.encoder(1), i), {"z", "u"}),
    "a running mean": (lambda e, i: (e.trunk[1].running_mean[0].add_(0.1) is None or e, i), {"z", "u"}),
    "preprocessing": (lambda e, i: (setattr(e, "preprocessing", replace(e.preprocessing, mean=(0.4,))) or e, i),
        {*LEVELS}),
    "images": (lambda e, i: (e, Renamed(i.images)), {*LEVELS}),
    "number of images": (lambda e, i: (e, Renamed(i.images[:-1])), {*LEVELS}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_features_are_computed_again_when_an_input_changes(cache, change):
    encoder, images = tiny.encoder(), tiny.pictures(20)
    if change == "number of images":
        images = Renamed(images.images)
    for level in LEVELS:
        cache.get(images, encoder, level)
    make, expected = CHANGES[change]
    encoder, images = make(encoder, images)
    assert {level for level in LEVELS if cache.work(images, encoder, level)} == expected
    before = set(entries(cache))
    for level in LEVELS:
        assert len(cache.get(images, encoder, level)) == len(images)
    assert len(set(entries(cache)) - before) == len(expected)


@pytest.mark.parametrize(("level", "total"), [("pixels", 20), ("z", 40), ("u", 60)])
def test_progress_counts_every_image_once_per_level(cache, level, total):
    images, done = tiny.pictures(20), []
    assert cache.work(images, tiny.encoder(), level) == total
    cache.get(images, tiny.encoder(), level, done.append)
    assert sum(done) == total
    assert done[:3] == [8, 8, 4]
    assert cache.work(images, tiny.encoder(), level) == 0


@pytest.mark.parametrize("level", LEVELS)
def test_an_unreadable_image_is_an_error_and_no_file_is_left(cache, level):
    with pytest.raises(DataError, match="image 13 is unreadable"):
        cache.get(tiny.pictures(20, broken=13), tiny.encoder(), level)
    assert entries(cache) == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.helpers import tiny
from ciao_stream.encoders import cache as features
features.ENCODE_BATCH = 8

def die(owner, name, calls):
    whole, left = getattr(owner, name), [calls]
    def dying(*arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)
    setattr(owner, name, dying)

for level, name in (("pixels", "read"), ("z", "stored_z"), ("u", "stored_u")):
    if not (pid := os.fork()):
        images, encoder = tiny.pictures(20), tiny.encoder()
        die(images, name, 13) if level == "pixels" else die(encoder, name, 2)
        features.FeatureCache(Path(sys.argv[1]) / level).get(images, encoder, level)
        os._exit(0)
    print(level, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_kill_9_while_encoding_leaves_no_entry_and_a_rerun_gives_the_same_bytes(tmp_path, cache):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [word for level in LEVELS for word in (level, str(-signal.SIGKILL))], done.stderr
    cache.get(tiny.pictures(20), tiny.encoder(), "u")
    whole = entries(cache)
    assert len(whole) == 3
    for below, level in enumerate(LEVELS):
        folder = FeatureCache(tmp_path / level)
        left = entries(folder)
        kept = {name: content for name, content in left.items() if name.endswith(".npy")}
        assert len(kept) == below, "the levels below are complete"
        assert kept.items() <= whole.items()
        assert [name for name in left if name not in kept and name.endswith(".tmp")], "it was killed while writing"
        folder.get(tiny.pictures(20), tiny.encoder(), "u")
        again = {name: content for name, content in entries(folder).items() if name.endswith(".npy")}
        assert again == whole


def aged(cache, images, mtime):
    """Encode the pixels of a source, set the time of last use and return the path of the entry."""
    before = set(cache.folder.glob("*.npy"))
    cache.get(images, tiny.encoder(), "pixels")
    (path,) = set(cache.folder.glob("*.npy")) - before
    os.utime(path, (mtime, mtime))
    return path


def test_the_least_recently_used_entries_are_evicted(tmp_path):
    cache = FeatureCache(tmp_path, budget=3 * PIXELS_OF_20 + 3 * 128)
    sources = [tiny.pictures(20, seed) for seed in range(4)]
    oldest, older, old = (aged(cache, images, 100 + i) for i, images in enumerate(sources[:3]))
    cache.get(sources[0], tiny.encoder(), "pixels")  # no longer the oldest
    newest = aged(cache, sources[3], 200)
    assert set(tmp_path.iterdir()) == {oldest, old, newest}
    assert not older.exists()


def test_entries_within_the_budget_stay(tmp_path):
    cache = FeatureCache(tmp_path, budget=3 * PIXELS_OF_20 + 3 * 128)
    paths = {aged(cache, tiny.pictures(20, seed), 100 + seed) for seed in range(3)}
    assert set(tmp_path.iterdir()) == paths


def test_a_level_can_be_encoded_when_the_level_below_is_evicted(tmp_path):
    images, encoder = tiny.pictures(20), tiny.encoder()
    z = FeatureCache(tmp_path / "large").get(images, encoder, "z")
    cache = FeatureCache(tmp_path / "small", budget=z.nbytes + 128)
    assert np.array_equal(cache.get(images, encoder, "z"), z)
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("short", [0, 1])
def test_an_entry_larger_than_the_budget_is_refused_and_no_file_is_left(tmp_path, short):
    cache = FeatureCache(tmp_path / "cache", budget=PIXELS_OF_20 - short)
    if not short:
        assert len(cache.get(tiny.pictures(20), tiny.encoder(), "pixels")) == 20
        return
    with pytest.raises(CiaoError, match=r"but the budget of the cache is .* increase it with --cache-budget"):
        cache.get(tiny.pictures(20), tiny.encoder(), "pixels")
    assert not cache.folder.exists() or entries(cache) == {}


def test_temporary_files_of_killed_processes_are_removed_after_an_hour(cache):
    cache.folder.mkdir()
    young, old = cache.folder / ".a.npy.1.tmp", cache.folder / ".b.npy.2.tmp"
    young.touch()
    old.touch()
    os.utime(old, (1, 1))
    cache.get(tiny.pictures(20), tiny.encoder(), "pixels")
    assert (young.exists(), old.exists()) == (True, False)


def test_batches_are_in_order_or_shuffled(cache):
    faces = tiny.faces("votes")
    split = encode(faces, tiny.encoder(), cache, "u")
    ordered, shuffled = [*split.batches(6)], [*split.batches(6, np.random.default_rng(3))]
    assert [len(x) for x, _ in ordered] == [len(x) for x, _ in shuffled] == [6, 6, 6, 2]
    assert np.array_equal(torch.cat([y for _, y in ordered]), faces.targets)
    assert np.array_equal(torch.cat([x for x, _ in ordered]), split.features.astype(np.float32))
    order = np.random.default_rng(3).permutation(20)
    assert np.array_equal(torch.cat([y for _, y in shuffled]), faces.targets[order])
    assert np.array_equal(torch.cat([x for x, _ in shuffled]), split.features[order].astype(np.float32))


@pytest.mark.parametrize(("n", "sizes"), [(13, [6, 6]), (14, [6, 6, 2]), (1, [1])])
def test_a_shuffled_pass_drops_a_last_batch_of_one_face(cache, n, sizes):
    split = encode(tiny.faces("votes", tiny.pictures(n)), tiny.encoder(), cache, "u")
    assert [len(x) for x, _ in split.batches(6, np.random.default_rng(0))] == sizes
    assert sum(len(x) for x, _ in split.batches(6)) == n


@pytest.mark.parametrize("kind", tiny.SPECS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_sample_has_the_type_of_its_level_and_kind(cache, kind, level):
    faces = tiny.faces(kind)
    x, y = encode(faces, tiny.encoder(), cache, level)[7]
    assert x.dtype == (torch.uint8 if level == "pixels" else torch.float32)
    assert isinstance(y, int) if kind == "categorical" else y.dtype == torch.float32
    assert np.array_equal(y, faces.targets[7])


class Million(tiny.Pictures):
    """A simulated source of a million 8x8 images."""

    fingerprint = "million"

    def __len__(self):
        return 1_000_000

    def read(self, index):
        return self.images[index % 7]


def anonymous_memory():
    """Return the bytes of the process that are not backed by a file, so without memory maps."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not report the memory of a process")
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("RssAnon"))


def test_a_million_faces_are_encoded_and_read_in_bounded_memory(cache, monkeypatch):
    monkeypatch.setattr(features, "ENCODE_BATCH", 5000)
    encoder = tiny.encoder(size=8)
    images = Million(tiny.pictures(7, size=8).images)
    rows = np.arange(len(images))
    faces = tiny.faces("categorical", images, rows=rows, targets=rows % 3)
    peaks = []
    cache.get(tiny.pictures(20, size=8), encoder, "z")  # one-off allocations
    start = anonymous_memory()
    split = encode(faces, encoder, cache, "z", lambda _: peaks.append(anonymous_memory() - start))
    assert split.features.nbytes == 1_000_000 * 4 * 4 * 4 * 2
    tracemalloc.start()  # also counts memory that is freed within one batch
    try:
        for x, _ in split.batches(5000, np.random.default_rng(0)):
            assert len(x) == 5000
        peaks += [tracemalloc.get_traced_memory()[1], anonymous_memory() - start]
    finally:
        tracemalloc.stop()
    assert len(peaks) == 200 + 200 + 2
    assert max(peaks) < split.features.nbytes / 3, "the order alone takes 8 MB"
