"""What every command that learns tasks is told about tasks, training and machine, and the plan that comes of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.names import OWN, task_names
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import changes, count, data_root, default_cache, names, torch_device
from ciao_stream.worlds.settings import PRESETS

if TYPE_CHECKING:
    from ciao_stream.benchmark.plan import Plan
    from ciao_stream.faces.crop import FaceCrop
    from ciao_stream.faces.dataset import Split
    from ciao_stream.worlds.tuned import TunedHeads


def task_options(p: argparse.ArgumentParser) -> None:
    """Add which tasks, and how much of them."""
    p.add_argument(
        "--tasks",
        required=True,
        metavar="T,T",
        help=f"NAME or NAME:RULE, of {', '.join([*task_names(), *OWN.values()])}",
    )
    p.add_argument("--data-root", metavar="DIR", help="folder that holds the data sets")
    p.add_argument(
        "--labels", type=float, default=1.0, metavar="SHARE", help="use this share of the training labels (%(default)s)"
    )
    p.add_argument("--balance", default="", metavar="T,T", help="tasks that are trained on equally frequent classes")
    p.add_argument("--synthetic-size", type=count, metavar="N", help="training faces of each synthetic world")


def training_options(p: argparse.ArgumentParser, fixed: str, epochs: str) -> None:
    """Add how worlds are trained.

    Args:
        p: The parser.
        fixed: What ``--set`` does.
        epochs: What ``--epochs`` says, and what stands in for it.
    """
    p.add_argument("--preset", default="default", metavar="P", help=f"{' or '.join(PRESETS)} (%(default)s)")
    p.add_argument("--epochs", type=count, metavar="N", help=epochs)
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=fixed)


def machine_options(p: argparse.ArgumentParser, ray: str) -> None:
    """Add where it runs; ``ray`` says what ``--ray`` does."""
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    p.add_argument("--ray", nargs="?", const="", metavar="ADDRESS", help=ray)
    p.add_argument("--cache", type=Path, metavar="DIR", help="encoded features ($CIAO_CACHE or ~/.cache/ciao_stream)")
    p.add_argument(
        "--cache-budget", type=count, default=64, metavar="GiB", help="most that the cache takes (%(default)s)"
    )


def plan_of(
    options: argparse.Namespace,
    out: Path,
    *,
    strategies: Sequence[str],
    seeds: int,
    judged: Split,
    crop: FaceCrop,
    heads: TunedHeads | None = None,
) -> Plan:
    """Return the plan that the options of this module make, with ``--encoder`` and ``--resume``.

    Args:
        options: As read.
        out: The results folder.
        strategies: What is compared.
        seeds: Number of runs.
        judged: The split of the results.
        crop: How faces are found in photographs.
        heads: What a search found for the tasks.

    Raises:
        CiaoError: An option is out of range, or contradicts another.
    """
    from ciao_stream.benchmark.plan import Plan

    changed = changes(options.set)
    if options.epochs is not None and "epochs" in changed:
        raise CiaoError(f"--epochs {options.epochs} and --set epochs={changed['epochs']}: give one of them")
    if heads is not None and options.preset != "default":
        raise CiaoError(f"--preset {options.preset}: the file of --heads says all settings; give one of them")
    return Plan(
        tasks=names(options.tasks),
        data_root=data_root(options.data_root),
        encoder=options.encoder,
        strategies=[*strategies],
        preset=options.preset,
        seeds=seeds,
        epochs=options.epochs,
        out=out,
        resume=options.resume,
        device=torch_device(options.device),
        cache=options.cache or default_cache(out),
        cache_budget=options.cache_budget * 2**30,
        synthetic_size=options.synthetic_size,
        crop=crop,
        balance=names(options.balance),
        ray=options.ray,
        labels=options.labels,
        judged=judged,
        changes=changed,
        heads=heads,
    )
