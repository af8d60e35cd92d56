"""The figures of an explanation and their titles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ciao_stream.explain import figures
from ciao_stream.explain.faces_of_run import Face
from ciao_stream.explain.folder import Name
from ciao_stream.explain.inhibition import MaskEffect, channel_maps
from ciao_stream.explain.measure import Look
from ciao_stream.explain.regions import REGIONS, Source
from ciao_stream.explain.tiles import write_figure
from ciao_stream.explain.views import Views
from ciao_stream.worlds.world import World

SILENCED = 4
"""Channels drawn of each mask."""

TITLES = {"grad-cam++": "Grad-CAM++", "grad-cam": "Grad-CAM", "hirescam": "HiResCAM"}
"""Names of methods as their authors write them."""

ACROSS = 6
"""Faces drawn side by side of each mask."""


@dataclass(frozen=True, eq=False)
class Findings:
    """All that is drawn.

    Args:
        faces: The faces.
        views: The same, before the encoder.
        source: Whether they are drawn ones.
        worlds: The worlds.
        looks: Where each looks, one or more of each world.
        entries: What was measured of each look: ``worlds`` of ``explain.json``.
        effects: What each mask does.
    """

    faces: list[Face]
    views: Views
    source: Source
    worlds: Mapping[Name, World]
    looks: Sequence[Look]
    entries: Sequence[Mapping[str, Any]]
    effects: Mapping[Name, MaskEffect]

    @property
    def method(self) -> str:
        """How it was found where worlds look."""
        return TITLES[self.looks[0].method]

    @property
    def mark(self) -> str:
        """What follows a title where faces are drawn ones."""
        return " Synthetic faces." if self.source == "synthetic" else ""

    def rows(self, task: str, n: int) -> list[int]:
        """Return at most ``n`` faces of a task, one of each label in turn; any faces where it has none."""
        own = [i for i, face in enumerate(self.faces) if task in face.labels]
        if not own:
            return [*range(len(self.faces))][:n]
        seen: Counter[str] = Counter()
        turns = []
        for i in own:
            label = self.faces[i].labels[task]
            turns.append((seen[label], i))
            seen[label] += 1
        return [i for _, i in sorted(turns)[:n]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure: its kind, the name of its files, and its title."""

    kind: str
    name: str
    title: str
    figure: Figure


def draw(found: Findings, rows: int, out: Path) -> list[dict[str, str]]:
    """Write all figures as PNG and PDF, each whole or not at all.

    Args:
        found: What is drawn.
        rows: Faces drawn of each task.
        out: Where to.

    Returns:
        ``kind``, ``title`` and the files' names of each, as in ``explain.json``.

    Raises:
        CiaoError: A file cannot be written.
    """
    written = []
    for one in chain(_schemes(found, rows), _worlds(found, rows), _means(found), _masks(found), _checks(found)):
        png, pdf = write_figure(one.figure, out, one.name)
        written.append({"kind": one.kind, "title": one.title, "png": png, "pdf": pdf})
    return written


def _schemes(found: Findings, rows: int) -> Iterator[Drawn]:
    """A task's faces, as every strategy's world of that task sees them."""
    for task, label in dict.fromkeys((one.name.task, one.label) for one in found.looks):
        own = [one for one in found.looks if (one.name.task, one.label) == (task, label)]
        columns = {_heading(one.name.strategy): one for one in own}
        title = f"Where the schemes look: {task}{f', {label}' if label else ''} ({found.method}).{found.mark}"
        name = f"schemes_{task}{f'_{label}' if label else ''}"
        yield Drawn("schemes", name, title, figures.grid(title, found.faces, found.rows(task, rows), columns, [task]))


def _worlds(found: Findings, rows: int) -> Iterator[Drawn]:
    """Faces of all tasks, with the maps of a strategy's worlds of all tasks."""
    tasks = list(dict.fromkeys(name.task for name in found.worlds))
    for strategy in dict.fromkeys(name.strategy for name in found.worlds):
        own = [one for one in found.looks if one.name.strategy == strategy]
        if len(own) < 2:
            continue
        columns = {f"{one.name.task}|{one.label}" if one.label else _heading(one.name.task): one for one in own}
        each = max(1, -(-rows // len(tasks)))
        chosen = list(dict.fromkeys(chain.from_iterable(found.rows(task, each) for task in tasks)))
        title = f"The same face in every world: {strategy} ({found.method}).{found.mark}"
        yield Drawn("worlds", f"worlds_{strategy}", title, figures.grid(title, found.faces, chosen, columns, tasks))


def _means(found: Findings) -> Iterator[Drawn]:
    title = (
        f"Mean map of {len(found.faces)} faces ({found.method}), and its share in each part of the face.{found.mark}"
    )
    masses = [entry["regions"] for entry in found.entries]
    yield Drawn("regions", "regions", title, figures.mean_maps(title, found.looks, REGIONS[found.source], masses))


def _masks(found: Findings) -> Iterator[Drawn]:
    for name, effect in found.effects.items():
        channels = {c: channel_maps(found.worlds[name], found.views, c) for c in effect.silenced(SILENCED)}
        title = (
            f"What the mask of {name.task} ({name.strategy}) does.{found.mark} Below: the channels that training "
            "silenced most, on the faces that excite them most; x0.5: it lets half as much through as before training, "
            "next to the median channel."
        )
        figure = figures.mask_figure(title, found.faces, found.rows(name.task, ACROSS), effect, channels)
        yield Drawn("mask", f"mask_{name.task}_{name.strategy}", title, figure)


def _checks(found: Findings) -> Iterator[Drawn]:
    if checked := [entry for entry in found.entries if "deletion" in entry]:
        title = f"Do the maps mean anything ({found.method})? Deletion, insertion and shuffled weights.{found.mark}"
        yield Drawn("checks", "checks", title, figures.checks_figure(title, checked))


def _heading(name: str) -> str:
    return name.replace("+", "|+")
