"""Ray: a cluster that is there already, or one of this machine's cores for as long as it is needed."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

from ciao_stream.exceptions import CiaoError

STARTS = 3
"""How often a start on this machine is tried."""


@contextlib.contextmanager
def ray_cluster(address: str, **here: Any) -> Iterator[None]:
    """Be connected to Ray in the block; what was started for it ends with it.

    Args:
        address: ``HOST:PORT`` of a cluster; empty for one of this machine's own.
        here: Options of ``ray.init`` for one that is started here.

    Raises:
        CiaoError: No cluster answers there, or none can be started here.
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
    """Connect; a start on a busy machine, which Ray gives up after 30 s, is tried again."""
    import ray

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
        except Exception as error:  # Ray raises nothing more precise than this
            ray.shutdown()
            problem = error
    why = " ".join(str(problem).split())[:300]
    if not address:
        raise CiaoError(f"Ray does not start on this machine: {why}") from problem
    hint = "if it asks for a token, set RAY_AUTH_MODE=token here too"
    raise CiaoError(f"--ray {address}: no Ray cluster answers there ({why}); {hint}") from problem


def require_answer(address: str) -> None:
    """Refuse a cluster that does not answer; Ray itself would go on asking for minutes.

    Raises:
        CiaoError: Nobody answers at ``HOST:PORT``.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise CiaoError(f"--ray {address}: no Ray cluster answers there ({error}); expected HOST:PORT") from error
