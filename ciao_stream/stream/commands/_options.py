"""Options that several commands share: the stream and its server, the learner's folder, and how a learner is made."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.command import changes
from ciao_stream.runtime.options import Parser, add_options, given
from ciao_stream.stream.learner.settings import FollowSettings, StreamSettings

if TYPE_CHECKING:
    from ciao_stream.stream.learner.config import LearnerConfig
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.log.connection import RedisAddress

DEVICES = ("auto", "cpu", "cuda")


def server_options(many: bool = False) -> Parser:
    """Return the options of every command, as a parent of its parser.

    Args:
        many: Whether the command takes several streams.
    """
    p = Parser(add_help=False)
    group = p.add_argument_group("stream")
    if many:
        group.add_argument("--streams", required=True, metavar="NAME,NAME", help="Names of the streams")
    else:
        group.add_argument("--stream", default="frames", metavar="NAME", help="Name of the stream (default: frames)")
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="Data folder of the private server, which starts with the first command that needs it (default: "
        "$XDG_DATA_HOME/ciao_stream/stream)",
    )
    group.add_argument(
        "--redis",
        metavar="URL",
        help="Use your own server instead: redis://, rediss:// (TLS) or unix://; the password may be in "
        "$CIAO_REDIS_PASSWORD",
    )
    group.add_argument("--insecure", action="store_true", help="Allow unencrypted redis:// to another host")
    return p


@contextlib.contextmanager
def server_of(options: argparse.Namespace) -> Iterator[Callable[[], RedisAddress]]:
    """Yield a function that returns the server's address; a private server that was started here ends with the block.

    Call the function again whenever the server does not respond: see
    :class:`~ciao_stream.stream.log.server.SharedServer`.

    Raises:
        CiaoError: Options contradict each other, the URL cannot be read, or no server can be started.
    """
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.server import SharedServer, default_data

    if options.redis is None:
        if options.insecure:
            raise CiaoError("--insecure needs --redis: a private server sends nothing over a network")
        with SharedServer(options.data or default_data()) as shared:
            shared()
            yield shared
        return
    if options.data is not None:
        raise CiaoError("--data is the folder of a private server and --redis is another server: give one of them")
    address = RedisAddress.parse(options.redis, insecure=options.insecure)
    yield lambda: address


def learner_option(p: argparse.ArgumentParser) -> None:
    """Add ``--worlds``."""
    p.add_argument(
        "--worlds",
        type=Path,
        metavar="DIR",
        help="The learner's folder, with its worlds, checkpoints and status (default: worlds/STREAM in --data)",
    )


def folder_of(options: argparse.Namespace) -> LearnerFolder:
    """Return the learner's folder.

    Raises:
        CiaoError: None is given, and there is no home folder to keep it in.
    """
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.server import default_data

    if options.worlds is not None:
        return LearnerFolder(options.worlds)
    return LearnerFolder((options.data or default_data()) / "worlds" / StreamNames(options.stream).stream)


def encoder_options(p: argparse.ArgumentParser) -> None:
    """Add ``--encoder`` and ``--device``."""
    p.add_argument("--encoder", default="ciao-face", metavar="NAME", help="Encoder of all worlds (default: ciao-face)")
    p.add_argument("--device", default="auto", choices=DEVICES, help="Where to compute (default: auto)")


def check_encoder_name(name: str) -> None:
    """Refuse a misspelt name without loading torch.

    Raises:
        UnknownNameError: It is neither an encoder of ours, nor a file, nor written ``PREFIX:NAME``.
    """
    from ciao_stream.encoders.names import encoder_names

    known = encoder_names()
    if name not in known and ":" not in name and not Path(name).exists():
        raise UnknownNameError("encoder", name, known)


def learner_config_options(p: argparse.ArgumentParser) -> None:
    """Add the options of all commands that make a learner."""
    encoder_options(p)
    p.add_argument(
        "--preset", metavar="NAME", help="Settings of the worlds: online, default or paper (default: online)"
    )
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="Change one setting of the preset")
    p.add_argument("--seed", type=int, metavar="N", help="Seed of the run (default: 0)")
    fixed = "fixed when the learner is created; afterwards omit or repeat them"
    add_options(p.add_argument_group("learning", fixed), StreamSettings)
    add_options(p.add_argument_group("following"), FollowSettings)


def config_of(options: argparse.Namespace) -> LearnerConfig:
    """Return how the learner is made.

    Raises:
        CiaoError: A setting is unknown, out of range, or given in two ways.
    """
    from ciao_stream.stream.learner.config import LearnerConfig

    check_encoder_name(options.encoder)
    learning, changed = given(options, StreamSettings), changes(options.set)
    if twice := [name for name in learning if name in changed]:
        flags = ", ".join(f"--{name.replace('_', '-')} and --set {name}=" for name in twice)
        raise CiaoError(f"{flags} are the same setting: give it once")
    return LearnerConfig(
        encoder=options.encoder,
        device=options.device,
        preset=options.preset,
        changes=changed,
        seed=options.seed,
        learning=learning,
        following=FollowSettings(**given(options, FollowSettings)),
    )
