"""``python -m ciao_stream.pretrain pk``: train the paper's PK encoder as one half of an adversarial autoencoder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.command import (
    count,
    data_root,
    default_cache,
    default_out,
    names,
    run_command,
    shell_line,
    torch_device,
)
from ciao_stream.exceptions import CiaoError

if TYPE_CHECKING:
    from ciao_stream.pretraining.pk.run import Plan

MODULE = "ciao_stream.pretrain"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the options of ``pk``."""
    p = subparsers.add_parser(
        "pk",
        help="the paper's adversarial autoencoder",
        description="Train the PK encoder as one half of an adversarial autoencoder, whose discriminators learn too.",
        epilog="Without --data-root (nor $CIAO_DATA_ROOT) the tasks are synthetic worlds, and marked so everywhere.",
    )
    p.add_argument(
        "--tasks",
        required=True,
        metavar="T,T",
        help="whose training faces to learn from; arousal and valence only count where every task has them",
    )
    p.add_argument("--data-root", metavar="DIR", help="folder that holds the data sets")
    p.add_argument("--epochs", type=count, default=2, metavar="N", help="passes over the faces (%(default)s)")
    p.add_argument("--batch", type=count, default=49, metavar="N", help="faces per step, at least 2 (%(default)s)")
    p.add_argument("--lr", type=_rate, default=2e-4, metavar="X", help="learning rate (%(default)s)")
    p.add_argument("--width", type=_rate, default=1.0, metavar="X", help="share of the generator's channels (1)")
    p.add_argument(
        "--adversarial",
        type=_rate,
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
    p.add_argument("--seed", type=_seed, default=0, metavar="N", help="of weights, order and draws (%(default)s)")
    p.add_argument("--limit", type=count, metavar="N", help="training faces per task at most, drawn at random (all)")
    p.add_argument("--out", type=Path, metavar="DIR", help="results (runs/pretrain-pk-TIME)")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    p.add_argument("--cache", type=Path, metavar="DIR", help="prepared pixels ($CIAO_CACHE or ~/.cache/ciao_stream)")
    return p


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    out: Path = options.out or default_out("pretrain-pk")

    def hint() -> str | None:
        return shell_line(MODULE, _arguments(options, out, resume=True)) if (out / "run.json").exists() else None

    def body() -> None:
        if options.batch < 2:
            raise CiaoError("--batch 1: a face is normalised over its batch; give at least 2")
        from ciao_stream.pretraining.pk.run import run

        run(_plan(options, out), shell_line(MODULE, _arguments(options, out, resume=options.resume)))

    return run_command(body, hint)


def _plan(options: argparse.Namespace, out: Path) -> Plan:
    from ciao_stream.pretraining.pk.losses import Weights
    from ciao_stream.pretraining.pk.run import Plan
    from ciao_stream.pretraining.pk.trainer import Recipe

    return Plan(
        tasks=names(options.tasks),
        data_root=data_root(options.data_root),
        epochs=options.epochs,
        recipe=Recipe(
            batch=options.batch,
            lr=options.lr,
            width=options.width,
            emotion=options.emotion,
            weights=Weights(prior=options.adversarial, image=options.adversarial),
        ),
        seed=options.seed,
        out=out,
        resume=options.resume,
        device=torch_device(options.device),
        limit=options.limit,
        identity=options.identity,
        cache=options.cache or default_cache(out),
    )


def _arguments(options: argparse.Namespace, out: Path, resume: bool) -> list[str]:
    """Return the arguments that ask for the same."""
    named = ("tasks", "data_root", "epochs", "batch", "lr", "width", "adversarial", "identity", "seed", "limit")
    given = [(name, getattr(options, name)) for name in (*named, "device", "cache")]
    valued = [
        word for name, value in given if value is not None for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return ["pk", *valued, *["--emotion"] * options.emotion, "--out", str(out), *["--resume"] * resume]


def _rate(text: str) -> float:
    """Read a number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 1 but got {text!r}")
    return number


def _seed(text: str) -> int:
    """Read a whole number >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0 but got {text!r}")
    return int(text)
