"""Options that say which stream, and on which server; the same for every command."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciao_stream.stream.log.connection import RedisAddress


def server_options(many: bool = False) -> argparse.ArgumentParser:
    """Return the options, as a parent of a command's parser.

    Args:
        many: Whether the command takes several streams.
    """
    p = argparse.ArgumentParser(add_help=False)
    group = p.add_argument_group("stream")
    if many:
        group.add_argument("--streams", required=True, metavar="NAME,NAME", help="names of the streams")
    else:
        group.add_argument("--stream", default="frames", metavar="NAME", help="name of the stream (%(default)s)")
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the private server, which the first command on it starts ($XDG_DATA_HOME/ciao_stream/stream)",
    )
    group.add_argument(
        "--redis",
        metavar="URL",
        help="a server of your own instead: redis://, rediss:// (TLS) or unix://; a password may stand in "
        "$CIAO_REDIS_PASSWORD",
    )
    group.add_argument("--insecure", action="store_true", help="let redis:// go to another host unencrypted")
    return p


@contextlib.contextmanager
def server_of(options: argparse.Namespace) -> Iterator[Callable[[], RedisAddress]]:
    """Yield what returns the address of the server; a server that was started for it ends with the block.

    To be called again whenever the server does not answer: see
    :class:`~ciao_stream.stream.log.server.SharedServer`.

    Raises:
        CiaoError: Options contradict each other, the URL cannot be read, or there is no server to start.
    """
    from ciao_stream.exceptions import CiaoError
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.server import SharedServer, default_data

    if options.redis is None:
        if options.insecure:
            raise CiaoError("--insecure goes with --redis: nothing of a private server is sent over a network")
        with SharedServer(options.data or default_data()) as shared:
            shared()
            yield shared
        return
    if options.data is not None:
        raise CiaoError("--data is the folder of a private server, and --redis another server: give one of the two")
    address = RedisAddress.parse(options.redis, insecure=options.insecure)
    yield lambda: address
