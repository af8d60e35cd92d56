"""``python -m ciao_stream.pretrain pk``: train the paper's PK encoder as one half of an adversarial autoencoder."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.pretrain.options import add_method
from ciao_stream.pretrain.plan import Plan
from ciao_stream.runtime.options import option

if TYPE_CHECKING:
    from ciao_stream.pretrain.pk.method import Pk


@dataclass(frozen=True)
class PkPlan(Plan):
    """A training of PK.

    Args:
        lr: Learning rate.
        width: Share of the generator's channels.
        adversarial: Weight of fooling each discriminator.
        identity: Folder with encoder.json of a frozen network whose features the reconstruction should keep.
        emotion: Make arousal and valence readable from the code too.
    """

    epochs: int = option(2, least=1)
    batch: int = option(49, least=2)
    lr: float = option(2e-4, above=0, most=1)
    width: float = option(1.0, above=0, most=1)
    adversarial: float = option(0.01, above=0, most=1)
    identity: Path | None = option(None, metavar="DIR")
    emotion: bool = option(False, switch=True)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``pk``."""
    about = (
        "the paper's adversarial autoencoder",
        "Train the PK encoder as one half of an adversarial autoencoder, whose discriminators learn too. Arousal and "
        "valence count only if every task has them.",
    )
    add_method(subparsers, "pk", PkPlan, method, about)


def method(plan: PkPlan) -> Pk:
    """Return the method of a plan."""
    from ciao_stream.encoders import load_encoder
    from ciao_stream.encoders.saved import load_saved
    from ciao_stream.pretrain.pk.losses import Weights
    from ciao_stream.pretrain.pk.method import Pk
    from ciao_stream.pretrain.pk.trainer import Recipe

    recipe = Recipe(
        lr=plan.lr,
        width=plan.width,
        emotion=plan.emotion,
        weights=Weights(prior=plan.adversarial, image=plan.adversarial),
    )
    identity = None if plan.identity is None else load_saved(plan.identity).to(plan.device)
    return Pk(load_encoder("pk", seed=plan.seed).to(plan.device), recipe, identity)
