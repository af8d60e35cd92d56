"""Tables I and II and Figure 4 in the paper's layout, with its numbers next to ours.

References:
    - [0] Barros, Sciutti: CIAO! A Contrastive Adaptation Mechanism for Non-Universal Facial Expression Recognition,
      2022, https://arxiv.org/abs/2208.07221, Tables I and II

Of the paper's numbers, accuracies are percent; CCC and F1 are not. JAFFE's row of PK with LC is as printed: 92.1
without CIAO, 80.3 with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ciao_stream.benchmark.suites import BASELINES, SCHEMES, WITHOUT_ENCODER
from ciao_stream.benchmark.suites.paper.evidence import Comparison, Document, Result, metrics_of, results
from ciao_stream.report.figures import COLOURS, save_figure
from ciao_stream.report.formats import NAMES, show, show_count, show_seconds
from ciao_stream.report.table import Cell, Table, judged_split
from strategies import MASKED

Pair = tuple[float, float]
"""Without CIAO, with CIAO."""

MODELS: Mapping[str, str] = {"vggface": "VGG", "weights:vggface": "VGG", "pk": "PK"}
"""What the paper calls our encoders."""

TABLE_I: Mapping[tuple[str, str], Mapping[str, tuple[Pair, Pair, Pair]]] = {
    ("affectnet-va", "ccc_arousal"): {
        "VGG": ((0.46, 0.49), (0.35, 0.48), (0.29, 0.47)),
        "PK": ((0.42, 0.49), (0.30, 0.47), (0.20, 0.45)),
    },
    ("affectnet-va", "ccc_valence"): {
        "VGG": ((0.50, 0.60), (0.40, 0.58), (0.31, 0.58)),
        "PK": ((0.55, 0.59), (0.38, 0.55), (0.15, 0.54)),
    },
    ("affectnet", "accuracy"): {
        "VGG": ((60.1, 65.7), (50.3, 63.4), (35.2, 62.9)),
        "PK": ((59.9, 63.6), (45.3, 60.2), (15.2, 59.9)),
    },
    ("fer", "accuracy"): {
        "VGG": ((72.5, 76.1), (63.2, 69.3), (55.3, 68.2)),
        "PK": ((70.1, 75.4), (59.2, 70.1), (28.2, 70.2)),
    },
    ("ferplus", "accuracy"): {
        "VGG": ((91.7, 94.5), (83.5, 90.1), (72.3, 89.3)),
        "PK": ((88.9, 93.2), (81.1, 89.4), (69.3, 90.1)),
    },
    ("jaffe", "accuracy"): {
        "VGG": ((92.1, 93.4), (73.4, 92.1), (69.3, 91.5)),
        "PK": ((83.3, 85.2), (92.1, 80.3), (27.8, 79.8)),
    },
    ("emoreact", "macro_f1"): {
        "VGG": ((0.70, 0.73), (0.60, 0.70), (0.58, 0.69)),
        "PK": ((0.74, 0.76), (0.63, 0.72), (0.26, 0.69)),
    },
}
"""By task and metric, by model, in the order of :data:`ciao_stream.benchmark.suites.SCHEMES`."""

TABLE_II: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("affectnet-va", "ccc_arousal"): {
        "AlexNet": 0.34, "MobileNet": 0.48, "VGG+GAN": 0.54, "CIAO, full": 0.50, "CIAO, dl": 0.47,
    },
    ("affectnet-va", "ccc_valence"): {
        "AlexNet": 0.60, "MobileNet": 0.57, "VGG+GAN": 0.62, "CIAO, full": 0.60, "CIAO, dl": 0.58,
    },
    ("affectnet", "accuracy"): {"PSR": 60.68, "RAN": 59.5, "ESR-9": 59.3, "CIAO, full": 65.7, "CIAO, dl": 62.9},
    ("fer", "accuracy"): {
        "ResMaskNet": 76.8, "Inception": 72.4, "DeepEmotion": 70.0, "CIAO, full": 76.1, "CIAO, dl": 70.2,
    },
    ("ferplus", "accuracy"): {"PSR": 89.75, "RAN": 89.16, "SENet": 88.8, "CIAO, full": 94.5, "CIAO, dl": 90.1},
    ("jaffe", "accuracy"): {"DeepEmotion": 92.2, "SalientPatch": 91.8, "CIAO, full": 93.4, "CIAO, dl": 91.5},
    ("emoreact", "macro_f1"): {"RBFSVM": 0.69, "SVM": 0.66, "CIAO, full": 0.76, "CIAO, dl": 0.69},
}  # fmt: skip
"""Published rivals by task and metric, and the paper's own best with full re-training and with the head alone."""


def table_i(
    task: Mapping[str, Any], documents: Sequence[Document], compared: Sequence[Comparison], metric: str
) -> Table:
    """Lay out one block of Table I.

    Args:
        task: The entry of ``tasks`` in a results document.
        documents: Results, one per encoder.
        compared: All comparisons.
        metric: Which metric.
    """
    name = task["name"]
    headings = (
        ("model",), ("training",), ("-",), ("CIAO",), ("difference",), ("p", "adjusted"), ("paper", "-"),
        ("paper", "CIAO"), ("trained", "parameters"), ("updates",), ("seconds",),
    )  # fmt: skip
    rows = [_row(one, metric) for one in compared if (one.task, one.metric) == (name, metric)]
    for one in documents:
        own = results(one)
        rows += [
            _baseline(one["encoder"]["name"], baseline, own[baseline, name, metric], metric)
            for baseline in BASELINES
            if (baseline, name, metric) in own
        ]
    mark = ", synthetic" if task["source"] == "synthetic" else ""
    seeds, split = sorted({len(one.without.values) for one in compared}), judged_split(documents[0])
    share = documents[0]["settings"].get("labels", 1)
    trained = f"trained on {100 * share:g} % of the labels; " if share < 1 else ""
    notes = (
        f"{trained}{split} split, label rule: {task['label_rule'][split]}; mean ± half the 95 % interval over "
        f"{_range(seeds)} seeds",
        "difference: CIAO less without, over the same seeds; p of a paired t-test, adjusted for all comparisons",
        "columns headed paper: as published, with other weights, splits and label rules; pairs: without CIAO, with it",
    )
    return Table(f"Table I, {name}{mark} ({_named(metric)})", notes, headings, tuple(rows), ())


def table_ii(tasks: Sequence[Mapping[str, Any]], documents: Sequence[Document]) -> Table:
    """Lay out Table II: the published rivals, the paper's best, and the best of what was measured."""
    rows, of_encoders = [], {one["encoder"]["name"]: results(one) for one in documents}
    for task in tasks:
        for metric in metrics_of(task):
            rivals = TABLE_II.get((task["name"], metric), {})
            rows += [
                (Cell(task["name"]), Cell(_named(metric)), Cell(name), _published(metric, value))
                for name, value in rivals.items()
            ]
            for scheme in ("full", "dl"):
                best = _best(of_encoders, scheme + MASKED, task["name"], metric)
                if best:
                    name, result = best
                    mark = " (synthetic)" if task["source"] == "synthetic" else ""
                    model = f"ours, {name}, {scheme}{MASKED}{mark}"
                    ours = Cell(show(metric, result.mean, result.interval), best=True)
                    rows.append((Cell(task["name"]), Cell(_named(metric)), Cell(model), ours))
    notes = ("in bold: measured here; all else as published, on each author's own splits and label rules",)
    return Table("Table II", notes, (("task",), ("metric",), ("model",), ("result",)), tuple(rows), ())


def _row(one: Comparison, metric: str) -> tuple[Cell, ...]:
    model = MODELS.get(one.encoder, "")
    paper = TABLE_I.get((one.task, metric), {}).get(model)
    pair = paper[SCHEMES.index(one.scheme)] if paper else None
    mean, half = one.difference
    return (
        Cell(f"{one.encoder} ({model})" if model else one.encoder),
        Cell(one.scheme),
        Cell(show(metric, one.without.mean, one.without.interval), best=mean < 0),
        Cell(show(metric, one.with_ciao.mean, one.with_ciao.interval), best=mean > 0),
        Cell(("+" if mean > 0 else "-" if mean < 0 else "") + show(metric, abs(mean), half)),
        Cell("–" if math.isnan(one.adjusted) else "<0.001" if one.adjusted < 0.001 else f"{one.adjusted:.3f}"),
        *((_published(metric, value) for value in pair) if pair else (Cell("–"), Cell("–"))),
        Cell(f"{show_count(one.without.parameters)}, {show_count(one.with_ciao.parameters)}"),
        Cell(f"{one.without.updates:,}"),
        Cell(f"{show_seconds(one.without.seconds)}, {show_seconds(one.with_ciao.seconds)}"),
    )


def _baseline(encoder: str, name: str, result: Result, metric: str) -> tuple[Cell, ...]:
    model = "" if name in WITHOUT_ENCODER else encoder
    return (
        Cell(model), Cell(name), Cell(show(metric, result.mean)), *[Cell("")] * 5, Cell(show_count(result.parameters)),
        Cell(""), Cell(show_seconds(result.seconds)),
    )  # fmt: skip


def _best(
    of_encoders: Mapping[str, Mapping[tuple[str, str, str], Result]], strategy: str, task: str, metric: str
) -> tuple[str, Result] | None:
    """Return the encoder, and its result, with which a strategy did best."""
    found = {name: own.get((strategy, task, metric)) for name, own in of_encoders.items()}
    known = {name: result for name, result in found.items() if result is not None and not math.isnan(result.mean)}
    return max(known.items(), key=lambda item: item[1].mean) if known else None


def _published(metric: str, value: float) -> Cell:
    """Return a published number: accuracies were printed as percent, F1 and CCC were not."""
    return Cell(show(metric, value / 100 if metric == "accuracy" else value), published=True)


def _named(metric: str) -> str:
    """Return what a metric is called; of arousal and valence apart too."""
    name, _, label = metric.partition("ccc_")
    return f"CCC of {label}" if label else NAMES.get(name, name)


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0] if numbers else 0)


def trained_parameters(compared: Sequence[Comparison]) -> dict[tuple[str, str, bool], float]:
    """Return the mean over tasks of trained parameters, by encoder, scheme, and whether with CIAO."""
    found: dict[tuple[str, str, bool], dict[str, int]] = {}
    for one in compared:
        for masked, result in ((False, one.without), (True, one.with_ciao)):
            found.setdefault((one.encoder, one.scheme, masked), {})[one.task] = result.parameters
    return {key: float(np.mean([*by_task.values()])) for key, by_task in found.items()}


def write_figure_4(path: Path, compared: Sequence[Comparison]) -> None:
    """Draw the bars, whole or not at all; the axis is logarithmic, as ``full`` would dwarf all else.

    Raises:
        CiaoError: The file cannot be written.
    """
    counts = trained_parameters(compared)
    encoders = list(dict.fromkeys(one.encoder for one in compared))
    figure = Figure(figsize=(2 + 2.6 * len(encoders), 3.8), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / (2 * len(SCHEMES))
    for s, scheme in enumerate(SCHEMES):
        for masked in (False, True):
            place = np.arange(len(encoders)) + (2 * s + masked - len(SCHEMES) + 0.5) * width
            heights = [counts.get((encoder, scheme, masked), np.nan) for encoder in encoders]
            label = f"{scheme}{'+ciao' * masked}"
            hatch = "///" if masked else ""
            axes.bar(place, heights, 0.9 * width, label=label, color=COLOURS[s], hatch=hatch, ec="white", lw=0.3)
            for x, height in zip(place, heights, strict=True):
                if not np.isnan(height):
                    axes.text(x, height, show_count(round(height)), ha="center", va="bottom", fontsize=7)
    axes.set_yscale("log")
    axes.set_xticks(np.arange(len(encoders)), encoders)
    axes.set_ylabel("trained parameters, mean over tasks")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    save_figure(path, figure)
