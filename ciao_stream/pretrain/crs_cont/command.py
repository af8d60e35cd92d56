"""``python -m ciao_stream.pretrain crs-cont``: train a general encoder from coarse labels and contrast."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ciao_stream.pretrain import options as shared

if TYPE_CHECKING:
    from ciao_stream.pretrain.crs_cont.method import CrsCont

OWN = (*shared.DESCENT, "negative", "instance", "views", "temperature")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the options of ``crs-cont``."""
    p = subparsers.add_parser(
        "crs-cont",
        help="coarse-contrastive training of a general encoder",
        description="Train a general encoder from coarse labels (positive, negative, neutral, surprise) and contrast.",
    )
    shared.add_shared(p, "whose training faces to learn from; each has classes or votes", epochs=100, batch=256)
    shared.add_descent(p)
    p.add_argument(
        "--negative", type=shared.weight, default=0.5, metavar="X", help="weight of negative anchors (%(default)s)"
    )
    p.add_argument(
        "--instance", type=shared.weight, default=0.4, metavar="X", help="weight of contrast of logits (%(default)s)"
    )
    p.add_argument(
        "--views",
        type=shared.weight,
        default=0.0,
        metavar="X",
        help="weight of a further contrast, of views alone, that the paper does not have (%(default)s)",
    )
    p.add_argument(
        "--temperature", type=shared.share, default=0.07, metavar="X", help="of every contrast (%(default)s)"
    )
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""

    def method(device: str) -> CrsCont:
        from ciao_stream.pretrain.crs_cont.losses import Weights
        from ciao_stream.pretrain.crs_cont.method import CrsCont
        from ciao_stream.pretrain.crs_cont.trainer import Recipe
        from ciao_stream.pretrain.descent import Descent

        weights = Weights(options.negative, options.instance, options.views, options.temperature)
        recipe = Recipe(Descent(lr=options.lr, weight_decay=options.weight_decay), weights)
        return CrsCont(shared.first_encoder(options, device), recipe)

    return shared.main(options, "crs-cont", OWN, (), method)
