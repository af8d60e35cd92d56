"""``demo``: learn online from a synthetic robot camera whose person and light change midway."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.command import CHECK_FAILED, INTERRUPTED, output_console
from ciao_stream.runtime.folders import default_out
from ciao_stream.runtime.options import add_options as setting_options
from ciao_stream.runtime.options import given
from ciao_stream.runtime.stopping import ended_by_signals
from ciao_stream.stream.demo import DemoSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from ciao_stream.faces.dataset import Image

SUMMARY = "learn online from a synthetic robot camera whose person and light change midway"

SHOWN = 8
"""Frames of each person in the figure."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="Empty folder for the results (default: runs/demo-stream-TIME)"
    )
    p.add_argument("--seed", type=int, metavar="N", help="Seed of the images and the learner (default: 0)")
    setting_options(p, DemoSettings, leave_out=("seed",))


def run(options: argparse.Namespace) -> int | None:
    """Play the demonstration, print the curve, and write ``curve.png``, ``curve.csv`` and ``demo.json``.

    Returns:
        An exit code: ``CHECK_FAILED`` if the predictions of a world changed after it stopped learning.
    """
    from rich.console import Console

    from ciao_stream.report.stream_curve import curve_png
    from ciao_stream.runtime.atomic import write_bytes, write_text
    from ciao_stream.stream.demo.play import play
    from ciao_stream.stream.demo.results import document, table_of
    from ciao_stream.stream.log.keys import StreamNames

    if options.redis or options.data or options.insecure or options.stream != StreamNames().stream:
        raise CiaoError(
            "the demo has its own server and stream, in --out: omit --redis, --insecure, --data and --stream"
        )
    settings = DemoSettings(**given(options, DemoSettings))
    out = options.out or default_out("demo-stream")
    measured = None
    with ended_by_signals(), Console(stderr=True, highlight=False).status("starting") as line:
        measured = document(settings, play(settings, out, line.update))
    if measured is None:
        return INTERRUPTED
    write_text(out / "curve.csv", table_of(measured))
    write_bytes(out / "curve.png", curve_png(measured, _some_faces(settings)))
    write_text(out / "demo.json", json.dumps(measured, indent=1))
    _show(output_console(highlight=False), measured, out)
    return CHECK_FAILED if any(world["identical"] is False for world in measured["worlds"].values()) else None


def _some_faces(settings: DemoSettings) -> dict[str, Sequence[Image]]:
    from benchmarks.synthetic.robot_camera import ACTS, Take

    return {person: [Take(person, SHOWN, settings.seed).read(number) for number in range(SHOWN)] for person in ACTS}


def _show(console: Console, measured: dict[str, Any], out: Path) -> None:
    """Print the curve, the worlds at the end, and a summary."""
    people = "; ".join(f"{name}: {room}" for name, room in measured["people"].items())
    console.print(f"SYNTHETIC faces, drawn by program ({people}). Each frame is predicted before it is learned.\n")
    console.print(_curve(measured))
    console.print(_worlds(measured))
    accuracy, speed = measured["accuracy"], measured["throughput"]
    console.print(
        f"accuracy {_percent(accuracy['before'])} before the change at frame {measured['change']:,}, "
        f"{_percent(accuracy['fallen'])} right after it, {_percent(accuracy['end'])} at the end; "
        f"of the control, which stopped learning at the change, {_percent(accuracy['control'])}"
    )
    console.print(
        f"{speed['frames_per_s']:.0f} frames learned per second next to publisher and predictor, "
        f"which answered within {speed['latency_ms']:.0f} ms (median); {speed['seconds']:.0f} s in all"
    )
    console.print(f"written: {out / 'curve.png'}, curve.csv, demo.json", markup=False, soft_wrap=True)
    console.print(f"status of the learner: python -m ciao_stream.stream status --data {out / 'stream'}", soft_wrap=True)


def _curve(measured: dict[str, Any]) -> Table:
    from rich.table import Table

    from ciao_stream.stream.demo.results import spans

    frames = measured["frames"]
    table = Table(title="prequential accuracy, %", title_justify="left")
    for heading in ("frames", "person", "answered by", "learns on", "control", "drift signalled after frame"):
        table.add_column(heading, justify="right" if heading in ("frames", "learns on", "control") else "left")
    for begin, end in spans(measured):
        signals = [f"{name} {at:,}" for name, found in measured["signals"].items() for at in found if begin <= at < end]
        own, control = (sum(frames[name][begin:end]) / (end - begin) for name in ("right", "control_right"))
        table.add_row(
            f"{begin:,}-{end - 1:,}",
            frames["person"][begin],
            ", ".join(dict.fromkeys(frames["world"][begin:end])),
            _percent(own),
            _percent(control) + ("" if begin < measured["change"] else " frozen"),
            ", ".join(signals),
            end_section=end == measured["change"],
        )
    return table


def _worlds(measured: dict[str, Any]) -> Table:
    from rich.table import Table

    held = measured["settings"]["held"]
    table = Table(title=f"worlds at the end, on {held:,} faces of each person that were never streamed, %")
    table.title_justify = "left"
    table.add_column("world")
    table.add_column("learned", justify="right")
    for person in measured["people"]:
        table.add_column(person, justify="right")
    table.add_column("sha256 of its predictions when it stopped learning, and at the end")
    for name, world in measured["worlds"].items():
        accuracy = [_percent(world["accuracy"][person]) for person in measured["people"]]
        table.add_row(name, f"{world['learned']:,}", *accuracy, _sameness(world))
    return table


def _sameness(world: dict[str, Any]) -> str:
    if world["kept"] is None:
        return "learns on"
    verdict = "identical" if world["identical"] else "NOT IDENTICAL"
    return f"{world['kept']['answers'][:12]} {world['answers'][:12]}: {verdict}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
