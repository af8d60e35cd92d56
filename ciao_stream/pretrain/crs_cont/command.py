"""``python -m ciao_stream.pretrain crs-cont``: train a general encoder from coarse labels and contrast."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ciao_stream.pretrain.options import add_method
from ciao_stream.pretrain.plan import DescentPlan
from ciao_stream.runtime.options import option

if TYPE_CHECKING:
    from ciao_stream.pretrain.crs_cont.method import CrsCont


@dataclass(frozen=True)
class CrsContPlan(DescentPlan):
    """A training by CRS-CONT.

    Args:
        negative: Weight of negative anchors.
        instance: Weight of the contrast of logits.
        views: Weight of a further contrast, of views alone, that the paper does not have.
        temperature: Temperature of every contrast.
    """

    epochs: int = option(100, least=1)
    negative: float = option(0.5, least=0)
    instance: float = option(0.4, least=0)
    views: float = option(0.0, least=0)
    temperature: float = option(0.07, above=0, most=1)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``crs-cont``."""
    about = (
        "coarse-contrastive training of a general encoder",
        "Train a general encoder from coarse labels (positive, negative, neutral, surprise) and contrast. Every task "
        "needs classes or votes.",
    )
    add_method(subparsers, "crs-cont", CrsContPlan, method, about)


def method(plan: CrsContPlan) -> CrsCont:
    """Return the method of a plan."""
    from ciao_stream.pretrain.crs_cont.losses import Weights
    from ciao_stream.pretrain.crs_cont.method import CrsCont
    from ciao_stream.pretrain.crs_cont.trainer import Recipe
    from ciao_stream.pretrain.descent import Descent

    weights = Weights(plan.negative, plan.instance, plan.views, plan.temperature)
    recipe = Recipe(Descent(lr=plan.lr, weight_decay=plan.weight_decay), weights)
    return CrsCont(plan.first_encoder(), recipe)
