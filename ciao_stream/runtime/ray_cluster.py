"""Connect to a running Ray cluster, or start one on this machine for as long as it is needed."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.shadowed import shadowed

STARTS = 3
"""Attempts to start Ray on this machine."""


@contextlib.contextmanager
def ray_cluster(address: str, **here: Any) -> Iterator[None]:
    """Connect to Ray in the block; a cluster that was started for it ends with it.

    Args:
        address: ``HOST:PORT`` of a running cluster; empty to start one on this machine.
        here: Options of ``ray.init`` for a cluster that is started here.

    Raises:
        CiaoError: No cluster answers at the address, or none can be started here.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if address:
        require_answer(address)
        here = {}
    try:
        _connect(address, here)
        yield
    finally:
        ray.shutdown()


def _connect(address: str, here: dict[str, Any]) -> None:
    """Connect; Ray gives up after 30 s on a busy machine, so a start is tried again."""
    import ray

    if hidden := shadowed([str(Path.cwd()), *sys.path]):  # Ray's workers look in the current folder first
        raise CiaoError(hidden)
    problem: Exception
    for _ in range(1 if address else STARTS):
        try:
            ray.init(
                address=address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **here,
            )
            return
        except Exception as error:  # Ray raises no more specific error
            ray.shutdown()
            problem = error
    why = " ".join(str(problem).split())[:300]
    if not address:
        raise CiaoError(f"Ray could not be started on this machine: {why}") from problem
    hint = "if it asks for a token, set RAY_AUTH_MODE=token here too"
    raise CiaoError(f"--ray {address}: no Ray cluster answers at this address ({why}); {hint}") from problem


def require_answer(address: str) -> None:
    """Check that a cluster answers; Ray itself would keep trying for minutes.

    Raises:
        CiaoError: Nothing answers at ``HOST:PORT``.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise CiaoError(
            f"--ray {address}: no Ray cluster answers at this address ({error}); expected HOST:PORT"
        ) from error
