"""``python -m ciao_stream.pretrain supervised``: train an encoder with fine labels, to compare with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ciao_stream.pretrain.options import add_method
from ciao_stream.pretrain.plan import DescentPlan
from ciao_stream.runtime.options import option

if TYPE_CHECKING:
    from ciao_stream.pretrain.supervised.method import Supervised


@dataclass(frozen=True)
class SupervisedPlan(DescentPlan):
    """A training with fine labels."""

    epochs: int = option(30, least=1)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``supervised``."""
    about = (
        "training with fine labels",
        "Train an encoder with the classes of its tasks, to compare with encoders that never saw them. Every task "
        "needs classes or votes.",
    )
    add_method(subparsers, "supervised", SupervisedPlan, method, about)


def method(plan: SupervisedPlan) -> Supervised:
    """Return the method of a plan."""
    from ciao_stream.pretrain.descent import Descent
    from ciao_stream.pretrain.supervised.method import Supervised
    from ciao_stream.pretrain.supervised.trainer import Recipe

    recipe = Recipe(Descent(lr=plan.lr, weight_decay=plan.weight_decay))
    return Supervised(plan.first_encoder(), recipe)
