"""``python -m ciao_stream.tune``: search for the best decision layer, mask and training of each task."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.benchmark.options import machine_options, plan_of, task_options, training_options
from ciao_stream.runtime.command import count, default_out, run_command, shell_line
from ciao_stream.runtime.run_folder import begun

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
    task_options(p)
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="as in benchmark (%(default)s)")
    p.add_argument("--trials", type=count, default=DEFAULT_TRIALS, metavar="N", help="of each task (%(default)s)")
    p.add_argument("--scheme", default="dl+ciao", metavar="S", help="what is trained, as in benchmark (%(default)s)")
    p.add_argument("--space", type=Path, metavar="FILE", help=".toml or .json: what is searched (tuning/space.toml)")
    p.add_argument("--search", default="tpe", metavar="W", help="tpe or random (%(default)s)")
    training_options(
        p,
        fixed="fix a setting, which is then not searched",
        epochs="passes of each trial (the space's, or the preset's)",
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
    machine_options(p, ray="run on the Ray cluster at ADDRESS, not on this machine")
    p.add_argument(
        "--share",
        default="path",
        metavar="W",
        help="how workers get features: path (from --cache, which all machines see) or store (%(default)s)",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="results (runs/tune-TIME)")
    p.add_argument("--resume", action="store_true", help="go on with the search in --out, also with more --trials")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)
    out: Path = options.out or default_out("tune")

    def hint() -> str | None:
        if not begun(out):
            return None
        fresh = [] if options.out else ["--out", str(out)]
        return shell_line(MODULE, [*argv, *fresh, *([] if options.resume else ["--resume"])])

    def body() -> None:
        from tuning.run import run

        run(_plan(options, out), [MODULE, *argv])

    return run_command(body, hint)


def _plan(options: argparse.Namespace, out: Path) -> TunePlan:
    from ciao_stream.faces.crop import FaceCrop
    from tuning.plan import TunePlan
    from tuning.space import DEFAULT_SPACE

    strategies, seeds = [options.scheme], options.trial_seeds
    shared = plan_of(options, out, strategies=strategies, seeds=seeds, judged="validation", crop=FaceCrop())
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
