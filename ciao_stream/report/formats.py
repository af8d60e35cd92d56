"""How a number is shown: the same way in every table and figure."""

from __future__ import annotations

import math

NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1", "ccc": "CCC"}
"""Names of the primary metrics in headings."""

PERCENT = ("accuracy", "macro_f1", "acc", "bwt", "fwt", "forgetting")
"""Metrics that are shown times 100 with one decimal; the others (CCC) as they are with two."""


def metric_name(metric: str) -> str:
    """Return the name of a primary metric for a heading, with its unit.

    >>> metric_name("accuracy"), metric_name("ccc")
    ('accuracy %', 'CCC')
    """
    return f"{NAMES.get(metric, metric)}{' %' if metric in PERCENT else ''}"


def show(metric: str, mean: float | None, interval: float | None = None) -> str:
    """Return ``mean ±interval`` in the metric's unit; exactly zero is "0", an undefined number "n/a".

    >>> show("accuracy", 0.6184, 0.0093), show("ccc", 0.617), show("forgetting", 0.0, 0.0), show("bwt", None)
    ('61.8 ±0.9', '0.62', '0', 'n/a')
    """
    if mean is None or math.isnan(mean):
        return "n/a"
    if mean == 0 and not interval:
        return "0"
    text = _number(metric, mean)
    return text if interval is None or math.isnan(interval) else f"{text} ±{_number(metric, interval)}"


def show_count(count: int) -> str:
    """Return a number of parameters in two or three digits.

    >>> [show_count(n) for n in (0, 999, 1234, 123456, 1234567)]
    ['0', '999', '1.2k', '123k', '1.2M']
    """
    value, unit = float(count), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}{unit}" if unit and value < 9.95 else f"{value:.0f}{unit}"


def show_seconds(seconds: float) -> str:
    """Return seconds with one decimal below ten.

    >>> show_seconds(3.14), show_seconds(12.7), show_seconds(4321)
    ('3.1', '13', '4,321')
    """
    return f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:,.0f}"


def _number(metric: str, value: float) -> str:
    text = f"{100 * value:.1f}" if metric in PERCENT else f"{value:.2f}"
    return text.lstrip("-") if float(text) == 0 else text
