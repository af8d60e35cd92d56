"""The drawings of the report, each a panel of the same size; with the numbers of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ciao_stream.report.formats import PERCENT
from ciao_stream.report.html.svg import HEIGHT, WIDTH, Scale, axes, mark, panel, plain, span, tag
from ciao_stream.report.html.values import as_json

LEFT, RIGHT, TOP, BOTTOM = 44.0, WIDTH - 12.0, 24.0, HEIGHT - 42.0
"""The edges of what is drawn in, within a panel."""

LEAST_SECONDS = 1e-3
"""Seconds; shorter times are drawn as this, because the axis is logarithmic."""


@dataclass(frozen=True)
class Spot:
    """A mean with its interval.

    Args:
        strategy: Index of the strategy.
        name: Its name.
        value: The mean.
        interval: Half the width of its interval, None where there is none.
        at: JSON pointer to the mean.
        seconds: What it cost.
    """

    strategy: int
    name: str
    value: float
    interval: float | None
    at: str
    seconds: float = 0.0

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of its interval."""
        return self.value - (self.interval or 0), self.value + (self.interval or 0)


def percent(value: float) -> str:
    """Return a share as a tick of a percent axis."""
    return plain(round(100 * value, 6))


def dots(title: str, metric: str, spots: Sequence[Spot]) -> Markup:
    """Draw means beneath each other with their intervals, one line per strategy."""
    height = 22 * len(spots) + 46
    left = 14 + 6.6 * max((len(spot.name) for spot in spots), default=1)
    ends = [end for spot in spots for end in spot.ends]
    x = Scale(*span(ends, least=0.1 if metric in PERCENT else 0.05), left, WIDTH - 12)
    y_bottom, parts = height - 34.0, []
    for value in x.ticks():
        parts.append(tag("line", class_="grid", x1=x(value), x2=x(value), y1=6, y2=y_bottom))
        label = percent(value) if metric in PERCENT else plain(value)
        parts.append(tag("text", label, class_="tick", x=x(value), y=y_bottom + 15, text_anchor="middle"))
    for row, spot in enumerate(spots):
        y = 18 + 22 * row
        parts.append(tag("text", spot.name, class_="name", x=left - 8, y=y + 4, text_anchor="end"))
        if spot.interval:
            low, high = map(x, spot.ends)
            parts.append(tag("line", class_=f"w c{spot.strategy % 8}", x1=low, x2=high, y1=y, y2=y))
        parts.append(mark(spot.strategy, x(spot.value), y, data_value=as_json(spot.value), data_at=spot.at))
    return panel(title, *parts, width=WIDTH, height=height)


def cost(title: str, metric: str, label: str, spots: Sequence[Spot]) -> Markup:
    """Draw what each strategy reached against what its training cost."""
    ends = [end for spot in spots for end in spot.ends]
    seconds = [max(spot.seconds, LEAST_SECONDS) for spot in spots]
    x = Scale(min(seconds) / 1.6, max(seconds) * 1.6, LEFT, RIGHT, log=True)
    y = Scale(*span(ends, least=0.05), BOTTOM, TOP)
    parts = [axes(x, y, "seconds to train (log)", label, y_text=percent if metric in PERCENT else plain)]
    for spot, took in zip(spots, seconds, strict=True):
        if spot.interval:
            low, high = map(y, spot.ends)
            parts.append(tag("line", class_=f"w c{spot.strategy % 8}", x1=x(took), x2=x(took), y1=low, y2=high))
    for spot, took in zip(spots, seconds, strict=True):
        parts.append(mark(spot.strategy, x(took), y(spot.value), 5.5, data_value=as_json(spot.value), data_at=spot.at))
    return panel(title, *parts)


@dataclass(frozen=True)
class Line:
    """A value per epoch.

    Args:
        strategy: Index of the strategy.
        values: None where it is undefined.
        base: Pointers to the runs that it is the mean of, with spaces between them.
        at: Where each run holds its values.
    """

    strategy: int
    values: Sequence[float | None]
    base: str
    at: str


def lines(title: str, label: str, shown: Sequence[Line]) -> Markup:
    """Draw values over epochs, one line per strategy."""
    known = [value for line in shown for value in line.values if value is not None]
    longest = max((len(line.values) for line in shown), default=1)
    x = Scale(*((1.0, float(longest)) if longest > 1 else (0.5, 1.5)), LEFT, RIGHT, whole=True)
    y = Scale(*span(known, least=0.01), BOTTOM, TOP)
    parts = [axes(x, y, "epoch", label)]
    for line in shown:
        places = [(x(i + 1), y(value)) for i, value in enumerate(line.values) if value is not None]
        data = {"data_values": as_json(list(line.values)), "data_base": line.base, "data_at": line.at,
                "data_how": "mean" if " " in line.base else "same"}  # fmt: skip
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(tag("polyline", points=points, class_=f"l c{line.strategy % 8} d{line.strategy // 8 % 3}", **data))
        if places:
            parts.append(mark(line.strategy, *places[-1], 3.6))
    return panel(title, *parts)


def scatter(title: str, label: str, points: Mapping[str, Sequence[Sequence[float]]], column: int, base: str) -> Markup:
    """Draw predictions against targets in [-1, 1]; on the diagonal they are equal."""
    size = 236.0
    x, y = Scale(-1, 1, 40, size - 12), Scale(-1, 1, size - 42, 24)
    parts = [axes(x, y, f"{label}, annotated", "predicted")]
    parts.append(tag("line", class_="agree", x1=x(-1), y1=y(-1), x2=x(1), y2=y(1)))
    for i, (target, answer) in enumerate(zip(points["target"], points["answer"], strict=True)):
        place = x(target[column]), y(max(-1.0, min(1.0, answer[column])))
        parts.append(tag("circle", cx=place[0], cy=place[1], r=2.1, data_value=as_json(answer[column]),
                         data_at=f"answer/{i}/{column}"))  # fmt: skip
    group = tag("g", *parts, class_="points", data_base=f"{base}/details/points")
    return panel(title, group, width=size, height=size)


def reliability(title: str, strategy: int, bins: Mapping[str, Sequence[float | None]], base: str, how: str) -> Markup:
    """Draw the share of right predictions over their confidence; the area of a mark is its share of the predictions."""
    size = 236.0
    x, y = Scale(0, 1, 40, size - 12), Scale(0, 1, size - 42, 24)
    total = sum(n or 0 for n in bins["n"])
    parts = [axes(x, y, "confidence", "right"), tag("line", class_="agree", x1=x(0), y1=y(0), x2=x(1), y2=y(1))]
    places = []
    for i, (n, sure, right) in enumerate(zip(bins["n"], bins["confidence"], bins["right"], strict=True)):
        if not n or sure is None or right is None:
            continue
        places.append(f"{x(sure):.1f},{y(right):.1f}")
        radius = 1.6 + 9 * (n / total) ** 0.5
        data = {"data_value": as_json(right), "data_at": f"right/{i}", "data_n": as_json(n), "data_sure": as_json(sure)}
        parts.append(tag("circle", cx=x(sure), cy=y(right), r=radius, class_=f"b c{strategy % 8}", **data))
    parts.insert(2, tag("polyline", points=" ".join(places), class_=f"l c{strategy % 8}"))
    return panel(title, tag("g", *parts, data_base=base, data_how=how), width=size, height=size)
