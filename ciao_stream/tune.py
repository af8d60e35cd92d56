"""``python -m ciao_stream.tune``: search for the best decision layer, mask and training of each task."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.names import OWN, task_names
from ciao_stream.command import (
    changes,
    count,
    data_root,
    default_cache,
    default_out,
    names,
    run_command,
    shell_line,
    torch_device,
)
from ciao_stream.settings import PRESETS

if TYPE_CHECKING:
    from tuning.plan import TunePlan

MODULE = "ciao_stream.tune"
DEFAULT_TRIALS = 60
DEFAULT_TRIAL_SEEDS = 2


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    p = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Search for the best decision layer, mask and training of each task over one frozen encoder, with "
        "tree-structured Parzen estimators; trials are judged on validation, never on test.",
        epilog="`python -m ciao_stream.benchmark --heads DIR/tuned.json` uses what was found. Without --data-root (nor "
        "$CIAO_DATA_ROOT) the tasks are synthetic worlds.",
    )
    p.add_argument(
        "--tasks",
        required=True,
        metavar="T,T",
        help=f"NAME or NAME:RULE, of {', '.join([*task_names(), *OWN.values()])}",
    )
    p.add_argument("--data-root", metavar="DIR", help="folder that holds the data sets")
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="as in benchmark (%(default)s)")
    p.add_argument("--trials", type=count, default=DEFAULT_TRIALS, metavar="N", help="of each task (%(default)s)")
    p.add_argument("--scheme", default="dl+ciao", metavar="S", help="what is trained, as in benchmark (%(default)s)")
    p.add_argument("--space", type=Path, metavar="FILE", help=".toml or .json: what is searched (tuning/space.toml)")
    p.add_argument("--search", default="tpe", metavar="W", help="tpe or random (%(default)s)")
    p.add_argument("--preset", default="default", metavar="P", help=f"{' or '.join(PRESETS)}: what is not searched")
    p.add_argument("--epochs", type=count, metavar="N", help="passes of each trial (the space's, or the preset's)")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="fix a setting, which is then not searched"
    )
    p.add_argument(
        "--labels", type=float, default=1.0, metavar="SHARE", help="use this share of the training labels (%(default)s)"
    )
    p.add_argument(
        "--folds",
        type=count,
        default=1,
        metavar="K",
        help="judge on K folds of the training faces; 1: on the task's validation split (%(default)s)",
    )
    p.add_argument(
        "--trial-seeds",
        type=count,
        default=DEFAULT_TRIAL_SEEDS,
        metavar="S",
        help="a trial's score is the mean over so many seeds (%(default)s)",
    )
    p.add_argument(
        "--early-stop",
        default="asha",
        metavar="W",
        help="asha, median or none: stop trials that do badly (%(default)s)",
    )
    p.add_argument(
        "--no-known-points", action="store_true", help="do not begin with the preset and the paper's own settings"
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the search (%(default)s)")
    p.add_argument("--concurrent", type=count, metavar="N", help="trials at a time (one per core; 4 per GPU)")
    p.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS", help="run on the Ray cluster at ADDRESS, not on this machine"
    )
    p.add_argument(
        "--share",
        default="path",
        metavar="W",
        help="how workers get features: path (from --cache, which all machines see) or store (%(default)s)",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="results (runs/tune-TIME)")
    p.add_argument("--resume", action="store_true", help="go on with the search in --out, also with more --trials")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    p.add_argument("--cache", type=Path, metavar="DIR", help="encoded features ($CIAO_CACHE or ~/.cache/ciao_stream)")
    p.add_argument(
        "--cache-budget", type=count, default=64, metavar="GiB", help="most that the cache takes (%(default)s)"
    )
    p.add_argument("--balance", default="", metavar="T,T", help="tasks that are trained on equally frequent classes")
    p.add_argument("--synthetic-size", type=count, metavar="N", help="training faces of each synthetic world")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)
    out: Path = options.out or default_out("tune")

    def hint() -> str | None:
        if not (out / "run.json").exists():
            return None
        fresh = [] if options.out else ["--out", str(out)]
        return shell_line(MODULE, [*argv, *fresh, *([] if options.resume else ["--resume"])])

    def body() -> None:
        from tuning.run import run

        run(_plan(options, out), [MODULE, *argv])

    return run_command(body, hint)


def _plan(options: argparse.Namespace, out: Path) -> TunePlan:
    from benchmarks.face_crop import FaceCrop
    from ciao_stream.plan import Plan
    from tuning.plan import TunePlan
    from tuning.space import DEFAULT_SPACE

    shared = Plan(
        tasks=names(options.tasks),
        data_root=data_root(options.data_root),
        encoder=options.encoder,
        strategies=[options.scheme],
        preset=options.preset,
        seeds=options.trial_seeds,
        epochs=options.epochs,
        out=out,
        resume=options.resume,
        device=torch_device(options.device),
        cache=options.cache or default_cache(out),
        cache_budget=options.cache_budget * 2**30,
        synthetic_size=options.synthetic_size,
        crop=FaceCrop(),
        balance=names(options.balance),
        ray=options.ray,
        labels=options.labels,
        judged="validation",
        changes=changes(options.set),
    )
    return TunePlan(
        plan=shared,
        trials=options.trials,
        space=options.space or DEFAULT_SPACE,
        search=options.search,
        folds=options.folds,
        early_stop=options.early_stop,
        concurrent=options.concurrent,
        seed=options.seed,
        known_points=not options.no_known_points,
        share=options.share,
    )


if __name__ == "__main__":
    sys.exit(main())
