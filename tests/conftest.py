"""What holds for every test: its cache is its own, its faces are synthetic; and how many processes run tests."""

import os
import signal

import pytest

# Tests run side by side: a second thread would only wait for a core, on a busy machine for minutes.
os.environ["OMP_NUM_THREADS"] = "1"

from tests.helpers.browser import browser as browser

# Where Ctrl-C is ignored, as under nohup, the processes that tests start and interrupt would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache_and_no_data_of_the_user(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CIAO_DATA_ROOT", raising=False)
        patch.setenv("CIAO_CACHE", str(tmp_path_factory.mktemp("user_cache")))
        yield


def pytest_xdist_auto_num_workers(config):  # noqa: ARG001  (a hook of pytest-xdist)
    """One process more than there are cores: many tests wait for a server, for Ray or for a browser."""
    return min(len(os.sched_getaffinity(0)) + 1, 4)
