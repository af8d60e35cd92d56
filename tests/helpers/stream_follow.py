"""Followers of a test's stream, run until they are idle."""

import contextlib
import functools

import pytest

from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.follow import Follower
from ciao_stream.stream.learner.settings import FollowSettings
from ciao_stream.stream.learner.status import StatusWriter
from ciao_stream.stream.log.log import FrameLog, History
from tests.helpers.stream_children import TIMEOUT_S, learner

SOON = {"until_idle": 0.1, "checkpoint_entries": 16}


def follow_on(server, names, folder, **settings):
    """Follow a stream until it is idle; return the follower."""
    place = LearnerFolder(folder)
    with place.claimed():
        paced = FollowSettings(**{**SOON, **settings})
        watch = StatusWriter(place.status, "redis")
        log = functools.partial(FrameLog, server.address, names, timeout_s=TIMEOUT_S)
        follower = Follower(learner(), place, log, paced, watch=watch)
        follower.run()
    return follower


@pytest.fixture
def follow(server, names, tmp_path):
    """Function that follows the test's stream until it is idle, in a folder of this name, and returns the follower."""
    return lambda folder="learner", **settings: follow_on(server, names, tmp_path / folder, **settings)


def entries(server, names):
    with contextlib.closing(History(server.address, names)) as history:
        return [*history.entries()]
