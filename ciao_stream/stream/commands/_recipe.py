"""What a learner is to be: the options of all commands that make one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ciao_stream.runtime.command import changes
from ciao_stream.stream.commands._settings import given, setting_options
from ciao_stream.stream.learner.pace import FollowSettings
from ciao_stream.stream.learner.settings import StreamSettings

if TYPE_CHECKING:
    from ciao_stream.stream.learner.recipe import Recipe


def recipe_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="what all worlds stand on (%(default)s)")
    p.add_argument("--preset", metavar="P", help="what worlds are made of: online, default or paper (online)")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="replace one of the preset's settings"
    )
    p.add_argument("--seed", type=int, metavar="N", help="of the run (0)")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    learning = p.add_argument_group("learning", "fixed when the learner is made; later they must be the same")
    setting_options(learning, StreamSettings)
    setting_options(p.add_argument_group("following"), FollowSettings)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return what the options say.

    Raises:
        CiaoError: A setting is unknown or out of range.
    """
    from ciao_stream.stream.learner.recipe import Recipe

    return Recipe(
        encoder=options.encoder,
        device=options.device,
        preset=options.preset,
        changes=changes(options.set),
        seed=options.seed,
        learning=given(options, StreamSettings),
        following=FollowSettings(**given(options, FollowSettings)),
    )
