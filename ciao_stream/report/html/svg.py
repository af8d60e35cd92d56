"""Small drawings as SVG: elements, scales and axes. Colours come from the page's style, by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 340, 236
"""Size of a panel in its own units, which are CSS pixels where it is shown in full."""

SHAPES = 6
"""Shapes of marks that :func:`mark` knows."""


def tag(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """Return an element; underscores in names of attributes become hyphens, one at the end goes away.

    >>> tag("text", "a < b", x=1.25, class_="t", text_anchor=None)
    Markup('<text x="1.25" class="t">a &lt; b</text>')
    """
    pairs = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None]
    text = "".join(f' {key}="{escape(_short(value))}"' for key, value in pairs)
    inner = Markup("").join(children)
    return Markup(f"<{name}{text}>{inner}</{name}>") if inner else Markup(f"<{name}{text}/>")


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Scale:
    """A map from values to places along an axis.

    Args:
        low: Value at ``start``.
        high: Value at ``end``, larger than ``low``.
        start: Place.
        end: Place.
        log: Whether it is logarithmic; then both values are positive.
        whole: Whether only whole numbers mean something.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values within the scale."""
        if self.log:
            decades = math.log10(self.high / self.low)
            found = LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0)).tick_values(self.low, self.high)
        else:
            found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], integer=self.whole).tick_values(self.low, self.high)
        slack = 1e-9 * (self.high - self.low)
        return [float(v) for v in found if self.low - slack <= v <= self.high + slack]


def span(values: Sequence[float], least: float = 0.0, margin: float = 0.06) -> tuple[float, float]:
    """Return a range that holds all values with a margin, at least so wide; (0, 1) for no value."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    wide = max(high - low, least, 1e-9 * max(abs(low), abs(high), 1.0))
    middle = (low + high) / 2
    return middle - wide * (0.5 + margin), middle + wide * (0.5 + margin)


def plain(value: float) -> str:
    """Return a tick's label.

    >>> [plain(v) for v in (0.25, 10.0, 2e6, -0.5)]
    ['0.25', '10', '2e+06', '−0.5']
    """
    return f"{value:g}".replace("-", "−") if abs(value) < 1e5 else f"{value:g}"


def axes(
    x: Scale,
    y: Scale,
    x_label: str,
    y_label: str,
    x_text: Callable[[float], str] = plain,
    y_text: Callable[[float], str] = plain,
) -> Markup:
    """Return grid lines, ticks and labels of a panel whose scales run left to right and bottom to top."""
    parts = []
    for value in y.ticks():
        parts.append(tag("line", class_="grid", x1=x.start, x2=x.end, y1=y(value), y2=y(value)))
        parts.append(tag("text", y_text(value), class_="tick", x=x.start - 6, y=y(value) + 3.5, text_anchor="end"))
    for value in x.ticks():
        parts.append(tag("line", class_="grid", x1=x(value), x2=x(value), y1=y.start, y2=y.start + 4))
        parts.append(tag("text", x_text(value), class_="tick", x=x(value), y=y.start + 16, text_anchor="middle"))
    parts.append(tag("line", class_="axis", x1=x.start, x2=x.end, y1=y.start, y2=y.start))
    middle = (x.start + x.end) / 2
    parts.append(tag("text", x_label, class_="label", x=middle, y=y.start + 33, text_anchor="middle"))
    parts.append(tag("text", y_label, class_="label", x=x.start - 34 if x.start > 40 else 2, y=y.end - 9))
    return Markup("").join(parts)


def panel(title: str, *children: Markup, width: float = WIDTH, height: float = HEIGHT) -> Markup:
    """Return a drawing; the title is its description for those who cannot see it."""
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *children, viewBox=box, class_="plot", role="img", aria_label=title)


def mark(index: int, x: float, y: float, size: float = 4.5, **data: str) -> Markup:
    """Return the mark of the strategy of this index: a shape and a colour that no other of the first 24 has."""
    paths = (
        "M{r},0A{r},{r} 0 1 1 -{r},0A{r},{r} 0 1 1 {r},0Z",
        "M-{s},-{s}H{s}V{s}H-{s}Z",
        "M0,-{t}L{t},{s}H-{t}Z",
        "M0,-{t}L{t},0L0,{t}L-{t},0Z",
        "M0,{t}L{t},-{s}H-{t}Z",
        "M-{h},-{t}H{h}V-{h}H{t}V{h}H{h}V{t}H-{h}V{h}H-{t}V-{h}H-{h}Z",
    )
    sizes = {"r": size, "s": 0.88 * size, "t": 1.25 * size, "h": 0.42 * size}
    path = paths[index % SHAPES].format(**{key: f"{value:.1f}" for key, value in sizes.items()})
    return tag("path", d=path, class_=f"m c{index % 8}", transform=f"translate({x:.1f},{y:.1f})", **data)


def key(index: int) -> Markup:
    """Return the mark of a strategy for a line of text."""
    return tag("svg", mark(index, 7, 7, 4.6), class_="key", viewBox="0 0 14 14", aria_hidden="true")
