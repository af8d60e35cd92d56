"""The drawings of a search: scores over trials, and which settings went with which score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ciao_stream.report.formats import PERCENT, show
from ciao_stream.report.html.charts import percent
from ciao_stream.report.html.importance import numbers
from ciao_stream.report.html.svg import Scale, axes, panel, plain, span, tag
from ciao_stream.report.html.values import as_json

APART = 104.0
"""Between two axes of parallel coordinates."""

LONG = 13
"""Letters of a text beside an axis."""

SHADES = 5
"""Classes of scores, by rank: q0 is the lowest fifth."""


@dataclass(frozen=True)
class Trial:
    """A trial.

    Args:
        number: Of the trial within its task.
        status: ``finished``, ``stopped`` or ``failed``.
        score: None where it failed.
        config: The settings that were drawn.
        at: Where it stands.
    """

    number: int
    status: str
    score: float | None
    config: Mapping[str, Any]
    at: str


def progress(title: str, metric: str, trials: Sequence[Trial]) -> Markup:
    """Draw the score of each trial, and the best of the finished ones so far."""
    width, height = 680.0, 260.0
    scored = [trial for trial in trials if trial.score is not None]
    lowest, highest = span([trial.score for trial in scored if trial.score is not None], least=0.02)
    x = Scale(-0.5, max(trial.number for trial in trials) + 0.5, 46, width - 12, whole=True)
    y = Scale(lowest, highest, height - 42, 24)
    parts = [axes(x, y, "trial", "score", y_text=percent if metric in PERCENT else plain)]
    best: float | None = None
    steps: list[tuple[float, float]] = []
    for trial in scored:
        if trial.score is None or trial.status != "finished":
            continue
        if best is None or trial.score > best:
            steps += [] if best is None else [(x(trial.number), y(best))]
            best = trial.score
            steps.append((x(trial.number), y(best)))
    if best is not None:
        steps.append((x.end, y(best)))
    parts.append(tag("polyline", class_="l c5", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in steps)))
    for trial in trials:
        if trial.score is None:
            cross = f"M{x(trial.number) - 3:.1f},{y.start - 9:.1f}l6,6m0,-6l-6,6"
            parts.append(tag("path", d=cross, class_="failed", data_trial=str(trial.number)))
            continue
        kind = "full" if trial.status == "finished" else "stopped"
        parts.append(tag("circle", cx=x(trial.number), cy=y(trial.score), r=3.2, class_=f"t {kind}",
                         data_value=as_json(trial.score), data_at=f"{trial.at}/score"))  # fmt: skip
    return panel(title, *parts, width=width, height=height)


def coordinates(title: str, metric: str, names: Sequence[str], trials: Sequence[Trial]) -> Markup:
    """Draw each trial as a line through its settings to its score; a setting that a trial has not lies beneath."""
    height, top, bottom, beneath = 300.0, 34.0, 246.0, 268.0
    scores = np.array([trial.score for trial in trials], dtype=np.float64)
    drawn = [_axis(i, name, [t.config.get(name) for t in trials], top, bottom) for i, name in enumerate(names)]
    low, high = float(scores.min()), float(scores.max())
    last = Scale(low, high if high > low else low + 1e-9, bottom, top)
    place = 40 + APART * len(names)
    named = [part for _, axis in drawn for part in axis]
    named.append(_line(place, top, bottom, "score", [(show(metric, v), last(v)) for v in (low, high)]))
    order = np.argsort(np.argsort(scores, kind="stable"))
    lines = []
    for i in range(len(trials)):
        points = [(40 + APART * k, ys[i] if ys[i] == ys[i] else beneath) for k, (ys, _) in enumerate(drawn)]
        points.append((place, last(float(scores[i]))))
        shade = min(int(SHADES * order[i] / len(trials)), SHADES - 1)
        best = " top" if order[i] == len(trials) - 1 else ""
        text = " ".join(f"{a:.0f},{b:.1f}" for a, b in points)
        lines.append((order[i], tag("polyline", points=text, class_=f"q q{shade}{best}")))
    ranked = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    return panel(title, *ranked, *named, width=place + 64, height=height)


def _axis(i: int, name: str, values: Sequence[Any], top: float, bottom: float) -> tuple[list[float], list[Markup]]:
    """Return where each value lies on an axis, NaN for one that is missing, and the axis."""
    found, texts = numbers(values)
    known = found[~np.isnan(found)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    log = texts is None and low > 0 and high / low >= 50
    if high <= low:
        low, high = low - 0.5, high + 0.5
    scale = Scale(low, high, bottom, top, log)
    if texts is None:
        labels = [(f"{value:.3g}", scale(value)) for value in sorted({float(known.min()), float(known.max())})]
    else:
        labels = [(one if len(one) <= LONG else f"{one[: LONG - 1]}…", scale(k)) for k, one in enumerate(texts)]
    if np.isnan(found).any():
        labels.append(("none", 268.0))
    places = [scale(float(v)) if v == v else float("nan") for v in found]
    return places, [_line(40 + APART * i, top, bottom, name, labels)]


def _line(place: float, top: float, bottom: float, name: str, labels: Sequence[tuple[str, float]]) -> Markup:
    parts = [tag("line", class_="axis", x1=place, x2=place, y1=top, y2=bottom),
             tag("text", name, class_="name", x=place, y=top - 16, text_anchor="middle")]  # fmt: skip
    parts += [tag("text", label, class_="tick", x=place + 5, y=y + 3.5) for label, y in labels]
    return Markup("").join(parts)
