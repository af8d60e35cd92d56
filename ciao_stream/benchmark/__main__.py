"""``python -m ciao_stream.benchmark``: learn tasks one after another with several strategies, and compare them."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ciao_stream.benchmark.options import machine_options, plan_of, task_options, training_options
from ciao_stream.encoders import LIBRARIES, encoder_names
from ciao_stream.runtime.command import count, default_out, names, run_command, shell_line
from ciao_stream.runtime.run_folder import begun, part_begun
from strategies import strategy_names

if TYPE_CHECKING:
    from ciao_stream.benchmark.plan import Plan
    from ciao_stream.faces.dataset import Split

MODULE = "ciao_stream.benchmark"
DEFAULT_STRATEGIES = "dl,dl+ciao,naive,joint"
DEFAULT_SEEDS = 3
SUITES = {
    "paper": "full, lc and dl without and with CIAO, and baselines, over each encoder of --encoder E,E; with the "
    "paper's Tables I and II and Figure 4",
    "generalise": "train on each task, test on all, on the seven classes in common",
    "ablation": "every setting changed by itself, on the validation split",
    "online": "each face once, answered before it is learned; beside what offline training gives",
}
"""Sets of runs that answer a question, one package of :mod:`ciao_stream.benchmark.suites` each, and what they do."""


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    p = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Learn tasks one after another over one frozen face encoder, with several strategies, and compare.",
        epilog="Without --data-root (nor $CIAO_DATA_ROOT) the tasks are synthetic worlds, and marked so everywhere.",
    )
    task_options(p)
    others = (*(f"{library}:NAME" for library in (*LIBRARIES, "weights")), "or a folder of pretrain's")
    encoders = ", ".join([*encoder_names(), *others])
    p.add_argument("--encoder", default="ciao-face", metavar="E", help=f"{encoders} (%(default)s)")
    p.add_argument(
        "--suite",
        choices=SUITES,
        help="; ".join(f"{name}: {what}" for name, what in SUITES.items()),
    )
    p.add_argument(
        "--strategies", metavar="S,S", help=f"of {', '.join(strategy_names())} ({DEFAULT_STRATEGIES}; the suite's)"
    )
    p.add_argument("--seeds", type=count, metavar="N", help="runs 0 to N-1 of every strategy (3; the suite's)")
    training_options(p, fixed="replace one of the preset's settings", epochs="passes over each task (the preset's)")
    p.add_argument(
        "--heads", type=Path, metavar="FILE", help="the tuned.json of `ciao_stream.tune`: each task's own settings"
    )
    p.add_argument(
        "--judge-on",
        choices=("validation", "test"),
        help="the split of the results: choose on validation, then report test once (test; the suite's)",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="results (runs/benchmark-TIME)")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")
    machine_options(
        p, ray="run the cells side by side, one core each: on this machine, or on the Ray cluster at ADDRESS"
    )
    p.add_argument(
        "--face-crop",
        default="auto",
        metavar="W",
        help="auto (data sets of photographs), always or never (%(default)s)",
    )
    p.add_argument("--detector", default="haar", metavar="D", help="haar or yunet:FILE (%(default)s)")
    p.add_argument("--no-face", default="whole", metavar="W", help="whole image, drop it, or error (%(default)s)")
    p.add_argument("--several-faces", default="largest", metavar="W", help="largest, central, or error (%(default)s)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    options = parser().parse_args(argv)
    out: Path = options.out or default_out("benchmark")

    def hint() -> str | None:
        if not begun(out) and not part_begun(out):
            return None
        fresh = [] if options.out else ["--out", str(out)]
        return shell_line(MODULE, [*argv, *fresh, *([] if options.resume else ["--resume"])])

    def body() -> None:
        if options.suite:
            suite = importlib.import_module(f"ciao_stream.benchmark.suites.{options.suite}.run")
            suite.run(make_plan(options, out, suite.STRATEGIES, suite.SEEDS, suite.JUDGED), [MODULE, *argv])
        else:
            from ciao_stream.benchmark.run import run

            run(make_plan(options, out, names(DEFAULT_STRATEGIES), DEFAULT_SEEDS), [MODULE, *argv])

    return run_command(body, hint)


def make_plan(
    options: argparse.Namespace, out: Path, strategies: list[str], seeds: int, judged: Split = "test"
) -> Plan:
    """Return the plan of what :func:`parser` read.

    Args:
        options: As read.
        out: The results folder.
        strategies: What stands in where none were given; as do ``seeds`` and ``judged``.
        seeds: Number of runs.
        judged: The split of the results.

    Raises:
        CiaoError: An option is out of range.
    """
    from ciao_stream.faces.crop import FaceCrop
    from ciao_stream.worlds.tuned import read_tuned

    return plan_of(
        options,
        out,
        strategies=strategies if options.strategies is None else names(options.strategies),
        seeds=options.seeds or seeds,
        judged=options.judge_on or judged,
        crop=FaceCrop(options.face_crop, options.detector, options.no_face, options.several_faces),
        heads=None if options.heads is None else read_tuned(options.heads),
    )


if __name__ == "__main__":
    sys.exit(main())
