"""``python -m ciao_stream.pretrain supervised``: train an encoder with fine labels, to compare with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ciao_stream.pretrain import options as shared

if TYPE_CHECKING:
    from ciao_stream.pretrain.supervised.method import Supervised


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the options of ``supervised``."""
    p = subparsers.add_parser(
        "supervised",
        help="training with fine labels",
        description="Train an encoder with the classes of its tasks, to compare with encoders that never saw them.",
    )
    shared.add_shared(p, "whose training faces to learn from; each has classes or votes", epochs=30, batch=256)
    shared.add_descent(p)
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""

    def method(device: str) -> Supervised:
        from ciao_stream.pretrain.descent import Descent
        from ciao_stream.pretrain.supervised.method import Supervised
        from ciao_stream.pretrain.supervised.trainer import Recipe

        recipe = Recipe(Descent(lr=options.lr, weight_decay=options.weight_decay))
        return Supervised(shared.first_encoder(options, device), recipe)

    return shared.main(options, "supervised", shared.DESCENT, (), method)
