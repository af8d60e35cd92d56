"""100,000 frames through a real learner and a real server: memory and throughput stay constant.

The measurements go to the file named by CIAO_SOAK_CSV, if it is set. Speed is measured in the learner's own seconds of
processor time, so that other work on the machine does not count.
"""

import contextlib
import csv
import functools
import os
import signal
import statistics
import time
from pathlib import Path

import pytest

from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.settings import FollowSettings, StreamSettings
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.keys import StreamNames
from tests.helpers import stream_events, tiny
from tests.helpers.redis_server import running
from tests.helpers.stream_children import CONTEXT, Supervised, learn, send, spoiled, wire

NAMES = StreamNames("soak")
EVERY_S = 2.0
REMEMBER_S = 10
"""Seconds for which ids are remembered; the default of an hour would hide other growth."""

LATE, BAD = 10, 100
"""One frame in so many gets its label later; one message in so many is damaged."""

TASKS = [tiny.SPECS["categorical"], tiny.SPECS["multilabel"]]
MIB = 1 << 20
COLUMNS = ("seconds", "frames", "processor_s", "learner_mib", "redis_mib", "entries", "checkpoints_mib")
SECONDS, FRAMES, PROCESSOR, LEARNER, REDIS, _, CHECKPOINTS = range(len(COLUMNS))
pytestmark = [pytest.mark.slow, pytest.mark.soak]


def events(n):
    """Frames of two tasks, and their labels."""
    made = stream_events.Stream()
    yield from (made.declare(spec) for spec in TASKS)
    for number in range(n):
        late = number % LATE == LATE - 1
        frame = made.frame(TASKS[number % 2], labelled=not late)
        yield frame
        if late:
            yield made.label(TASKS[number % 2], frame.frame_id)


def sent(n):
    for seq, event in enumerate(events(n)):
        fields = wire(event, seq)
        yield spoiled(fields, seq) if seq % BAD == BAD - 1 else fields


def make_learner():
    return stream_events.learner(StreamSettings(micro_batch=16, replay_ratio=1.0))


def produce(address, n):
    send(address, NAMES, sent(n), remember_s=REMEMBER_S)


def spent(pid):
    """Seconds of processor time of a process, and its own memory in MiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    memory = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "RssAnon" in line)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(memory.split()[1]) / 1024


def soak(folder, n, out):
    """Learn n frames; return the measurements, which are also written to ``out``."""
    place, samples = LearnerFolder(folder / "learner"), []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(folder / "redis", fsync="everysec"))
        client = stack.enter_context(server.client())
        file = csv.writer(stack.enter_context(out.open("w", buffering=1)))
        file.writerow(COLUMNS)
        options = (place.path, server.address, NAMES, FollowSettings())
        learner = stack.enter_context(Supervised(functools.partial(learn, make=make_learner), *options))
        learner.pid()
        producer = CONTEXT.Process(target=produce, args=(server.address, n), daemon=True)
        producer.start()
        began, applied = time.monotonic(), 0
        while applied < len(TASKS) + n + n // LATE:
            time.sleep(EVERY_S)
            assert producer.exitcode in (None, 0)
            if not place.status.exists():
                continue
            status = read_status(place.status)
            assert (learner.ends, status["state"]) == ([], "following")
            processor, memory = spent(learner.pid())
            kept = sum(path.stat().st_size for path in place.checkpoints.glob("*") if path.exists())
            used, entries = client.info("memory")["used_memory"], client.xlen(NAMES.stream)
            applied = status["entries"]
            at = (time.monotonic() - began, status["frames"], processor)
            samples.append((*at, memory, used / MIB, entries, kept / MIB))
            file.writerow([round(value, 3) for value in samples[-1]])
        learner.signal(signal.SIGTERM)
        assert learner.finished()
    return samples, read_status(place.status)


def thirds(samples, column):
    """A column in the first and in the last third of the frames."""
    last = samples[-1][FRAMES]
    first = [sample[column] for sample in samples if sample[FRAMES] <= last / 3]
    return first, [sample[column] for sample in samples if sample[FRAMES] >= 2 * last / 3]


def cost(samples, n_third):
    """Seconds of processor time per frame in a third."""
    frames, processor = thirds(samples, FRAMES)[n_third], thirds(samples, PROCESSOR)[n_third]
    return (processor[-1] - processor[0]) / (frames[-1] - frames[0])


@pytest.mark.parametrize("n", [100_000])
def test_memory_and_throughput_are_constant(tmp_path, n):
    out = Path(os.environ.get("CIAO_SOAK_CSV", tmp_path / "soak.csv"))
    samples, status = soak(tmp_path, n, out)
    assert status["frames"] + sum(status["dead_letters"].values()) >= n
    assert status["lost"] == {}
    for name, column, margin in (("learner", LEARNER, 1.05), ("redis", REDIS, 1.1), ("checkpoints", CHECKPOINTS, 1.05)):
        first, last = (statistics.median(third) for third in thirds(samples, column))
        print(f"{name}: {first:.1f} MiB in the first third, {last:.1f} MiB in the last")
        assert last <= margin * first + 4, name
    first, last = (1000 * cost(samples, third) for third in (0, 1))
    print(f"{first:.2f} ms of processor time per frame in the first third, {last:.2f} ms in the last")
    print(f"{samples[-1][FRAMES] / samples[-1][SECONDS]:.0f} frames per second, in {samples[-1][SECONDS]:.0f} s")
    assert last <= 1.15 * first
