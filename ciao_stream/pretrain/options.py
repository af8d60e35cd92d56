"""What the commands of all methods share: options, the way a run begins, and how it ends."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import (
    count,
    data_root,
    default_cache,
    default_out,
    names,
    run_command,
    shell_line,
    torch_device,
)
from ciao_stream.runtime.run_folder import begun

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.pretrain.method import Method

MODULE = "ciao_stream.pretrain"
SHARED = ("tasks", "data_root", "epochs", "batch", "seed", "limit", "device", "cache")
"""Options with a value that every method has, beside ``--out``."""

DESCENT = ("encoder", "lr", "weight_decay")
"""Options of methods that train any encoder by gradient descent alone."""


def add_shared(p: argparse.ArgumentParser, tasks_help: str, epochs: int, batch: int) -> None:
    """Add the options of :data:`SHARED`, ``--out`` and ``--resume``.

    Args:
        p: Where.
        tasks_help: What the tasks are for.
        epochs: Default number of passes over the faces.
        batch: Default number of faces per step.
    """
    p.epilog = "Without --data-root (nor $CIAO_DATA_ROOT) the tasks are synthetic worlds, and marked so everywhere."
    p.add_argument("--tasks", required=True, metavar="T,T", help=tasks_help)
    p.add_argument("--data-root", metavar="DIR", help="folder that holds the data sets")
    p.add_argument("--epochs", type=count, default=epochs, metavar="N", help="passes over the faces (%(default)s)")
    p.add_argument("--batch", type=count, default=batch, metavar="N", help="faces per step, at least 2 (%(default)s)")
    p.add_argument("--seed", type=_seed, default=0, metavar="N", help="of weights, order and draws (%(default)s)")
    p.add_argument("--limit", type=count, metavar="N", help="training faces per task at most, drawn at random (all)")
    p.add_argument("--out", type=Path, metavar="DIR", help="results (runs/pretrain-METHOD-TIME)")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    p.add_argument("--cache", type=Path, metavar="DIR", help="prepared pixels ($CIAO_CACHE or ~/.cache/ciao_stream)")


def add_descent(p: argparse.ArgumentParser) -> None:
    """Add the options of :data:`DESCENT`."""
    p.add_argument(
        "--encoder",
        default="ciao-face",
        metavar="E",
        help="architecture, from random weights; or a folder with encoder.json to start from (%(default)s)",
    )
    p.add_argument("--lr", type=share, default=0.2, metavar="X", help="largest learning rate (%(default)s)")
    p.add_argument("--weight-decay", type=weight, default=5e-4, metavar="X", help="(%(default)s)")


def first_encoder(options: argparse.Namespace, device: str) -> Encoder:
    """Return the encoder that ``--encoder`` asks to start from."""
    from ciao_stream.encoders import load_encoder
    from ciao_stream.encoders.untrained import untrained_encoder

    trained = (Path(options.encoder) / "encoder.json").is_file()
    load = load_encoder if trained else untrained_encoder
    return load(options.encoder, seed=options.seed).to(device)


def main(
    options: argparse.Namespace, name: str, own: Sequence[str], flags: Sequence[str], method: Callable[[str], Method]
) -> int:
    """Run a method's command and return its exit code.

    Args:
        options: As parsed.
        name: The method's, as in the command.
        own: Names of its own options with a value.
        flags: Names of its own options without one.
        method: Makes the method, for a device.
    """
    out: Path = options.out or default_out(f"pretrain-{name}")

    def line(resume: bool) -> str:
        given = [(option, getattr(options, option)) for option in (*SHARED, *own)]
        valued = [
            word
            for option, value in given
            if value is not None
            for word in (f"--{option.replace('_', '-')}", str(value))
        ]
        switched = [f"--{flag}" for flag in flags if getattr(options, flag)]
        return shell_line(MODULE, [name, *valued, *switched, "--out", str(out), *["--resume"] * resume])

    def body() -> None:
        if options.batch < 2:
            raise CiaoError("--batch 1: a face is normalised over its batch; give at least 2")
        from ciao_stream.pretrain.training import Plan, run

        device = torch_device(options.device)
        plan = Plan(
            tasks=names(options.tasks),
            data_root=data_root(options.data_root),
            epochs=options.epochs,
            batch=options.batch,
            seed=options.seed,
            out=out,
            resume=options.resume,
            device=device,
            limit=options.limit,
            cache=options.cache or default_cache(out),
        )
        run(plan, method(device), line(options.resume))

    return run_command(body, lambda: line(resume=True) if begun(out) else None)


def share(text: str) -> float:
    """Read a number above 0 and at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 1 but got {text!r}")
    return number


def weight(text: str) -> float:
    """Read a number >= 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0 but got {text!r}")
    return number


def _seed(text: str) -> int:
    """Read a whole number >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0 but got {text!r}")
    return int(text)
