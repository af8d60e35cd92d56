"""Learner, server, producer and network fail at random: nothing is lost, repeated or reordered.

What is killed is killed with -9, at moments drawn from a seed. In the end the learner must be, bit for bit, what it
is when the same log is applied in one go.
"""

import contextlib
import itertools
import json
import os
import random
import resource
import signal
import time

import pytest

from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.counters import Counters
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.settings import FollowSettings
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.keys import START, StreamNames
from ciao_stream.stream.log.log import FrameLog, History
from tests.helpers.redis_proxy import between
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import PATIENCE_S, until
from tests.helpers.stream_children import (
    CONTEXT,
    Supervised,
    TrustingLog,
    append_all,
    learn,
    messages,
    newest,
    publish,
    slowdown,
    uninterrupted,
)
from tests.helpers.stream_events import snapshot

NAMES = StreamNames("chaos")
BRISK = FollowSettings(checkpoint_entries=16, checkpoint_s=0.2, trim_s=2, history=50)
REPLIES = ("XREADGROUP", "XREADGROUP", "XACK", "EVALSHA", "XRANGE", "SETID")
pytestmark = pytest.mark.chaos


class Archive:
    """Copies all entries of a stream; its consumer group keeps the learner from trimming entries before that."""

    def __init__(self, address):
        self.entries = []
        self._history = History(address, NAMES)
        self._client = address.client()
        self._client.xgroup_create(NAMES.stream, "archive", START, mkstream=True)

    def read_on(self):
        after = self.entries[-1].position if self.entries else START
        self.entries += self._history.entries(after)
        if self.entries:
            self._client.xgroup_setid(NAMES.stream, "archive", self.entries[-1].position)
        return len(self.entries)

    def pending(self):
        return self._client.xpending(NAMES.stream, NAMES.group)["pending"]

    def close(self):
        self._history.close()
        self._client.close()


def run_chaos(tmp_path, seed, n, quotas, per_round):
    """Let everything fail as often as the quotas say while messages are learned, then check the result."""
    rng, left = random.Random(seed), dict(quotas)
    folder = tmp_path / "learner"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(tmp_path / "redis", fsync="everysec"))
        proxy = stack.enter_context(between(server.socket))
        archive = stack.enter_context(contextlib.closing(Archive(server.address)))
        allowed = CONTEXT.Value("q", 0)
        options = {"n": n, "seed": seed, "bad_every": 20}
        producer = stack.enter_context(Supervised(publish, proxy.address, NAMES, options, allowed))
        learner = stack.enter_context(Supervised(learn, folder, proxy.address, NAMES, BRISK))
        while any(left.values()):
            allowed.value = min(allowed.value + per_round, n - 1)  # the last message comes after all failures
            learner.pid()
            time.sleep(rng.uniform(0.05, 0.4))
            kind = rng.choice([kind for kind, n_left in left.items() for _ in range(n_left)])
            if kind == "reply":
                proxy.lose_reply(rng.choice(REPLIES), silent=rng.random() < 0.1)
            elif kind == "redis":
                server.kill()
                server.start()
            else:
                {"learner": learner, "producer": producer}[kind].kill()
            left[kind] -= kind != "reply"
            left["reply"] = max(0, quotas["reply"] - proxy.lost)
            archive.read_on()
        allowed.value = n
        kept = Checkpoints(LearnerFolder(folder).checkpoints)
        until(
            lambda: archive.read_on() == n and kept.kept()[-1].position == archive.entries[-1].position,
            PATIENCE_S + n / 20,
        )
        until(lambda: archive.pending() == 0)
        assert producer.finished()
        learner.signal(signal.SIGTERM)
        assert learner.finished()
        dead = [letter.position for letter in dead_letters(server.address, NAMES)]
        assert proxy.lost >= quotas["reply"]
        assert learner.ends == [-signal.SIGKILL] * quotas["learner"] + [0]
        assert producer.ends == [-signal.SIGKILL] * quotas["producer"] + [0]
    check(newest(folder), archive.entries, dead, [*messages(**options)])


def check(restored, entries, dead, sent):
    assert [entry.fields for entry in entries] == sent
    reference, refused = uninterrupted(entries)
    counters = Counters.from_json(restored.notes)
    assert (counters.entries, counters.tracker.lost, counters.tracker.repeated) == (len(sent), 0, 0)
    assert dead == refused
    assert restored.learner.report() == reference.report()
    worlds = restored.learner.worlds
    assert {name: world.world.sha256() for name, world in worlds.items()} == {
        name: world.world.sha256() for name, world in reference.worlds.items()
    }
    assert snapshot(restored.learner) == snapshot(reference)


def test_nothing_is_lost_repeated_or_reordered_whatever_is_killed(tmp_path):
    run_chaos(tmp_path, seed=1, n=800, quotas={"learner": 26, "redis": 6, "reply": 22, "producer": 2}, per_round=13)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11])
def test_nothing_is_lost_repeated_or_reordered_in_a_long_run(tmp_path, seed):
    quotas = {"learner": 120, "redis": 30, "reply": 100, "producer": 6}
    run_chaos(tmp_path, seed, n=20_000, quotas=quotas, per_round=75)


def test_control_a_learner_that_trusts_the_group_loses_frames(server, names, tmp_path):
    append_all(server.address, names, messages(60))
    seldom = FollowSettings(checkpoint_entries=10_000, checkpoint_s=1000, until_idle=3)
    with Supervised(learn, tmp_path, server.address, names, seldom, TrustingLog) as learner, server.client() as client:
        until(lambda: client.exists(names.stream) and read_up_to(client, names) != "0-0")
        learner.kill()
        append_all(server.address, names, itertools.islice(messages(80), 60, 80))
        assert learner.finished()
    restored = newest(tmp_path)
    counters = Counters.from_json(restored.notes)
    assert counters.entries < 80
    assert counters.tracker.lost == 80 - counters.entries
    with server.client() as client, contextlib.closing(History(server.address, names)) as history:
        assert client.xpending(names.stream, names.group)["pending"] == 0
        assert snapshot(restored.learner) != snapshot(uninterrupted([*history.entries()])[0])


def test_control_a_plain_xadd_repeats_frames(server, names, tmp_path):
    with between(server.socket) as proxy, proxy.address.client() as client:
        for number, fields in enumerate(messages(40)):
            if number % 8 == 5:
                proxy.lose_reply("XADD")
            client.xadd(names.stream, fields)
        assert proxy.lost == 5
    with contextlib.closing(History(server.address, names)) as history:
        entries = [*history.entries()]
    assert len(entries) == 45
    with Supervised(learn, tmp_path, server.address, names, FollowSettings(until_idle=0.5)) as learner:
        assert learner.finished()
    restored = newest(tmp_path)
    assert Counters.from_json(restored.notes).tracker.repeated == 5
    unique = [
        entry for before, entry in itertools.pairwise([None, *entries]) if not before or before.fields != entry.fields
    ]
    learned = uninterrupted(unique)[0]
    learned.skip(restored.learner.position)
    assert snapshot(restored.learner) == snapshot(learned) != snapshot(uninterrupted(entries)[0])


def read_up_to(client, names):
    return next((group["last-delivered-id"].decode() for group in client.xinfo_groups(names.stream)), START)


def test_a_frame_that_crashes_the_process_is_refused_and_learning_continues(server, names, tmp_path):
    positions = append_all(server.address, names, messages(40))
    with contextlib.closing(History(server.address, names)) as history:
        entries = [*history.entries()]
    poison = next(e for e in entries[20:] if b'"type":"frame"' in e.fields[b"header"])
    killer = b'"seq":%d,' % json.loads(poison.fields[b"header"])["seq"]
    settings = FollowSettings(until_idle=0.5)
    with Supervised(learn, tmp_path, server.address, names, settings, FrameLog, killer) as learner:
        assert learner.finished()
        assert 3 <= learner.ends.count(-signal.SIGABRT) <= 6
    letters = [*dead_letters(server.address, names)]
    assert [(letter.position, letter.reason) for letter in letters] == [(poison.position, "crash")]
    restored = newest(tmp_path)
    assert restored.learner.position == positions[-1]
    assert snapshot(restored.learner) == snapshot(uninterrupted([e for e in entries if e is not poison])[0])


@pytest.mark.parametrize("redis_hangs", [False, True])
def test_sigterm_is_a_clean_end_within_seconds(server, names, tmp_path, redis_hangs):
    append_all(server.address, names, messages(400))
    folder = LearnerFolder(tmp_path)
    kept = Checkpoints(folder.checkpoints)
    with Supervised(learn, tmp_path, server.address, names, FollowSettings(checkpoint_entries=20)) as learner:
        until(lambda: kept.kept() and kept.kept()[-1].position != START)
        if redis_hangs:
            os.kill(server.pid, signal.SIGSTOP)
        try:
            limit, began = 4 * slowdown(), time.monotonic()
            learner.signal(signal.SIGTERM)
            assert learner.finished()
            assert time.monotonic() - began < limit  # 2 s on an idle machine
        finally:
            os.kill(server.pid, signal.SIGCONT)
    status = read_status(folder.status)
    assert (status["state"], status["entries"]) == ("stopped", Counters.from_json(newest(tmp_path).notes).entries)
    assert 0 < status["entries"] < 400
    assert not folder.starts.exists()


def test_a_full_disk_stops_the_learning_and_loses_nothing(server, names, tmp_path):
    sent = [*messages(90)]
    append_all(server.address, names, sent[:30])
    folder = LearnerFolder(tmp_path)
    kept = Checkpoints(folder.checkpoints)
    settings = FollowSettings(checkpoint_entries=10)
    with Supervised(learn, tmp_path, server.address, names, settings) as learner, server.client() as client:
        until(lambda: folder.status.exists() and read_status(folder.status)["entries"] == 30)
        until(lambda: kept.kept()[-1].position == read_status(folder.status)["position"])
        unlimited = resource.prlimit(learner.pid(), resource.RLIMIT_FSIZE)
        resource.prlimit(learner.pid(), resource.RLIMIT_FSIZE, (16 * 1024, unlimited[1]))
        positions = append_all(server.address, names, sent[30:])
        until(lambda: read_status(folder.status)["state"] == "paused")
        status = read_status(folder.status)
        assert "ulimit -f" in status["trouble"]
        assert status["entries"] < 90
        assert client.xpending(names.stream, names.group)["pending"] > 0
        resource.prlimit(learner.pid(), resource.RLIMIT_FSIZE, unlimited)
        until(lambda: kept.kept()[-1].position == positions[-1])
        learner.signal(signal.SIGTERM)
        assert learner.finished()
        assert learner.ends == [0]
    with contextlib.closing(History(server.address, names)) as history:
        assert snapshot(newest(tmp_path).learner) == snapshot(uninterrupted([*history.entries()])[0])
