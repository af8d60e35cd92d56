"""Consumer groups other than the learner's: `status` shows abandoned ones, `drop-group` removes them."""

import contextlib
import functools
import json
import re
import time

import pytest

from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.follow import Follower
from ciao_stream.stream.learner.settings import FollowSettings
from ciao_stream.stream.learner.status import StatusWriter
from ciao_stream.stream.log import feed
from ciao_stream.stream.log.keys import START, StreamNames
from ciao_stream.stream.log.log import FrameLog
from tests.helpers.redis_server import running
from tests.helpers.stream_children import append_all, learner, messages

NAMES = StreamNames()


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "redis", fsync="everysec") as server:
        yield server


@pytest.fixture
def command(server, capsys):
    """A function that runs a command, and returns its code and its output."""

    def command(*words):
        code = stream.main([*words, "--redis", server.url])
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return command


def follow(server, folder, watched, n):
    """Learn from n entries, keeping one for undo; ``watched`` is called while learning."""
    place = LearnerFolder(folder)
    writer = StatusWriter(place.status, "redis")

    def watch(follower):
        if follower.state == "following":
            watched()
        writer(follower)

    append_all(server.address, NAMES, messages(n))
    settings = FollowSettings(until_idle=0.3, trim_s=0, history=1, checkpoint_entries=16)
    with place.claimed():
        connect = functools.partial(FrameLog, server.address, NAMES)
        Follower(learner(), place, connect, settings, watch=watch).run()


def test_an_abandoned_group_is_shown_and_can_be_dropped(server, client, command, tmp_path, monkeypatch):
    monkeypatch.setattr("ciao_stream.stream.learner.follow.CHECKPOINT_SHARE", 1e9)
    folder = tmp_path / "learner"
    client.xgroup_create("frames", "robots", START, mkstream=True)
    client.xgroup_create("frames", "prompt", START, mkstream=True)

    def read_promptly():
        for _, entries in client.xreadgroup("prompt", "one", {"frames": ">"}, count=1000):
            client.xack("frames", "prompt", *[position for position, _ in entries])

    follow(server, folder, read_promptly, 40)
    client.xreadgroup("robots", "killed", {"frames": ">"}, count=5)
    assert client.xlen("frames") == 40, "the group holds all of it"
    shown = {group["name"]: group for group in status_of(command, folder)["groups"]}
    assert (shown["prompt"]["behind"], shown["prompt"]["readers"], shown["prompt"]["abandoned"]) == (0, 1, False)
    assert shown["robots"] == {"name": "robots", "behind": 40, "readers": 0, "idle_s": None, "abandoned": True}
    printed = command("status", "--once", "--worlds", str(folder))[1]
    assert "robots: 40 entries behind, no reader; the stream keeps them" in printed
    assert "`drop-group robots`" in printed
    code, printed = command("drop-group", "robots")
    assert code == 2
    assert re.search(r"group 'robots' is in use \(last read \d+ s ago\): stop its predictors", printed)
    monkeypatch.setattr(feed, "ABANDONED_S", 0.05)
    time.sleep(0.1)
    (robots,) = [group for group in groups_of(server) if group.name == "robots"]
    assert (robots.behind, robots.readers, robots.abandoned) == (40, 1, True)
    code, printed = command("drop-group", "robots")
    assert (code, printed) == (0, "dropped group 'robots': 40 entries stay unprocessed by it")
    follow(server, folder, read_promptly, 40)
    assert client.xlen("frames") < 60, "earlier entries are removed"
    assert [group["name"] for group in status_of(command, folder)["groups"]] == ["prompt"]


def status_of(command, folder):
    return json.loads(command("status", "--json", "--worlds", str(folder))[1])


def groups_of(server):
    with contextlib.closing(FrameLog(server.address, NAMES)) as log:
        return log.other_groups()


def test_the_learners_own_group_and_an_unknown_one_are_refused(client, command):
    assert command("drop-group", "robots") == (2, "error: unknown group 'robots'; known: none")
    client.xgroup_create("frames", "robots", START, mkstream=True)
    assert "did you mean 'robots'" in command("drop-group", "robot")[1]
    assert "is the learner's" in command("drop-group", "learner")[1]


def test_dropping_a_group_while_the_learner_lists_groups_does_no_harm(server, client, monkeypatch):
    positions = append_all(server.address, NAMES, messages(9))
    with contextlib.closing(FrameLog(server.address, NAMES)) as log:
        log.resync(START)
        for look in (log.other_groups, lambda: log.trim(positions[4])):
            client.xgroup_create("frames", "robots", START)
            found = log._client.xinfo_groups("frames")
            client.xgroup_destroy("frames", "robots")
            with monkeypatch.context() as patch:
                patch.setattr(log._client, "xinfo_groups", lambda _, found=found: found)
                assert look() in ([], 4)
