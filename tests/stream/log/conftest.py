"""Fixtures of the log's tests: its two ends, on the stream of the test."""

import pytest

from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.log import FrameLog


@pytest.fixture
def appender(server, names):
    """Appends to a stream that may have 50 entries waiting."""
    appender = Appender(server.address, names, max_backlog=50)
    yield appender
    appender.close()


@pytest.fixture
def log(server, names):
    """Reads the stream."""
    log = FrameLog(server.address, names)
    yield log
    log.close()
