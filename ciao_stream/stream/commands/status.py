"""``status``: progress, accuracy and problems of the learner."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from ciao_stream.runtime.command import output_console
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ciao_stream.stream.learner.folder import LearnerFolder

SUMMARY = "show progress, accuracy and problems of the learner"

LOOK_S = 1.0
"""Seconds between updates."""

SHOWN_INCIDENTS = 5
"""Number of newest incidents to show."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    p.add_argument("--json", action="store_true", help="Print the status once, as JSON")
    p.add_argument("--once", action="store_true", help="Print the status once")


def run(options: argparse.Namespace) -> None:
    """Show the status, live where the output is a terminal."""
    folder = folder_of(options)
    if options.redis:
        _require_server(options)
    document = _current(folder)
    if options.json:
        print(json.dumps(document, indent=1))
        return
    console = output_console(highlight=False)
    if options.once or not console.is_terminal:
        console.print(_shown(document))
        return
    from rich.live import Live

    with Live(_shown(document), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(LOOK_S)
            live.update(_shown(_current(folder)), refresh=True)


def _require_server(options: argparse.Namespace) -> None:
    from ciao_stream.stream.log.connection import translated_errors

    with server_of(options) as address, translated_errors(address()), address().reader() as client:
        client.ping()


def _current(folder: LearnerFolder) -> dict[str, Any]:
    """Return the status, with what only another process can know."""
    from ciao_stream.stream.learner.status import read_status

    document = read_status(folder.status)
    document["running"] = folder.owner() is not None
    document["age_s"] = round(time.time() - document["updated_at"], 1)
    if not document["running"] and document["state"] in ("following", "paused"):
        document["state"] = "killed"
    return document


def _shown(document: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    about = Table.grid(padding=(0, 2))
    for name, value in _lines(document):
        about.add_row(Text(name, style="bold"), Text(value))
    worlds = Table("world", "evaluated", "rolling", "fading", "drift", "waiting", "steps")
    for name, world in document["worlds"].items():
        figures = world["prequential"]
        drift = ", ".join(f"{detector} {n}" for detector, n in figures["drift"].items() if n and detector != "dummy")
        worlds.add_row(
            Text(name),
            f"{figures['n']:,}",
            _figures(figures["rolling"]),
            _figures(figures["fading"]),
            drift or "none",
            f"{world['pending']:,}",
            f"{world['counts'].get('steps', 0):,}",
        )
        for baseline, figures in world.get("beside", {}).items():
            own = Text(f"  baseline {baseline}", style="dim")
            worlds.add_row(own, f"{figures['n']:,}", _figures(figures["rolling"]), _figures(figures["fading"]))
    return Group(about, worlds)


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    state = document["state"] + (f" for {document['trouble_s']} s" if document["trouble_s"] else "")
    lag = "unknown" if document["lag"] is None else f"{document['lag']:,}"
    lines = [
        ("state", state + (f": {document['trouble']}" if document["trouble"] else "")),
        ("stream", document["redis"]),
        ("backlog", f"{lag}; {document['frames_per_s']} frames per second"),
        ("learned", f"{document['frames']:,} frames, {document['applied']:,} events, up to {document['position']}"),
        ("on disk", f"checkpoint {document['checkpoint']}, up to {document['watermark']}"),
        ("refused", _counts(document["dead_letters"])),
        ("lost", _counts(document["lost"])),
    ]
    if orphans := sum(world["counts"].get("orphan_labels", 0) for world in document["worlds"].values()):
        lines.append(("too late", f"{orphans:,} labels of frames that the learner does not know or has forgotten"))
    if document["repeated"] or document["passed_over"]:
        lines.append(("skipped", f"{document['repeated']:,} repeated, {document['passed_over']:,} undone"))
    lines += [("group", _group(group)) for group in document["groups"]]
    for incident in document["incidents"][-SHOWN_INCIDENTS:]:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(incident["at"]))
        lines.append(("incident", f"{at} {incident['text']}"))
    return lines


def _group(group: dict[str, Any]) -> str:
    behind = "unknown" if group["behind"] is None else f"{group['behind']:,}"
    idle = "no reader" if group["idle_s"] is None else f"last read {group['idle_s']:,.0f} s ago"
    text = f"{group['name']}: {behind} entries behind, {idle}"
    if group["abandoned"]:
        text += f"; the stream keeps them: start a predictor, or `drop-group {group['name']}`"
    return text


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda item: -item[1])) or "none"


def _figures(figures: dict[str, float]) -> str:
    wanted = ("accuracy", "macro_f1", "kappa", "ccc")
    return ", ".join(f"{name} {figures[name]:.3f}" for name in wanted if name in figures) or "none yet"
