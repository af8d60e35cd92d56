"""``python -m ciao_stream.pretrain pk``: train the paper's PK encoder as one half of an adversarial autoencoder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.pretrain import options as shared

if TYPE_CHECKING:
    from ciao_stream.pretrain.pk.method import Pk


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the options of ``pk``."""
    p = subparsers.add_parser(
        "pk",
        help="the paper's adversarial autoencoder",
        description="Train the PK encoder as one half of an adversarial autoencoder, whose discriminators learn too.",
    )
    tasks = "whose training faces to learn from; arousal and valence only count where every task has them"
    shared.add_shared(p, tasks, epochs=2, batch=49)
    p.add_argument("--lr", type=shared.share, default=2e-4, metavar="X", help="learning rate (%(default)s)")
    p.add_argument("--width", type=shared.share, default=1.0, metavar="X", help="share of the generator's channels (1)")
    p.add_argument(
        "--adversarial",
        type=shared.share,
        default=0.01,
        metavar="X",
        help="weight of fooling each discriminator (%(default)s)",
    )
    p.add_argument("--emotion", action="store_true", help="arousal and valence are to be readable from the code too")
    p.add_argument(
        "--identity",
        type=Path,
        metavar="DIR",
        help="folder with encoder.json of a frozen network whose features reconstructions are to keep (none)",
    )
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""

    def method(device: str) -> Pk:
        from ciao_stream.encoders import load_encoder
        from ciao_stream.encoders.saved import load_saved
        from ciao_stream.pretrain.pk.losses import Weights
        from ciao_stream.pretrain.pk.method import Pk
        from ciao_stream.pretrain.pk.trainer import Recipe

        recipe = Recipe(
            lr=options.lr,
            width=options.width,
            emotion=options.emotion,
            weights=Weights(prior=options.adversarial, image=options.adversarial),
        )
        identity = None if options.identity is None else load_saved(options.identity).to(device)
        return Pk(load_encoder("pk", seed=options.seed).to(device), recipe, identity)

    return shared.main(options, "pk", ("lr", "width", "adversarial", "identity"), ("emotion",), method)
