"""What CAFE's paper reports of methods that were trained on one data set and tested on five.

References:
    - [0] Zhang et al.: Generalizable Facial Expression Recognition, ECCV 2024, https://arxiv.org/abs/2408.10614,
      Table 1, as in ``assets/results.png`` of https://github.com/zyh-uaiaaaa/Generalizable-FER (commit 268c293)

Accuracies in percent on the seven classes of :data:`~ciao_stream.benchmark.suites.generalise.common.COMMON`. The
authors' code reports the best epoch on each test set; of the two data sets FERPlus and MMA, the second seems to contain
the images of the first. Means are computed, not copied: trained on AffectNet, two of the printed ones are not the
means of the numbers next to them (EAC 53.09 for 53.29, CAFE 60.27 for 61.67).
"""

from __future__ import annotations

from collections.abc import Mapping

DATASETS: Mapping[str, str] = {
    "rafdb": "RAF-DB", "ferplus": "FERPlus", "affectnet": "AffectNet", "sfew": "SFEW2.0", "mmafedb": "MMA",
}  # fmt: skip
"""Our tasks, and what the paper calls them."""

CAFE = "CAFE"

METHODS = ("SCN", "RUL", "EAC", "OFER", CAFE)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "rafdb": ("rafdb", "ferplus", "affectnet", "sfew", "mmafedb"),
    "ferplus": ("ferplus", "rafdb", "affectnet", "sfew", "mmafedb"),
    "affectnet": ("affectnet", "rafdb", "ferplus", "sfew", "mmafedb"),
    "sfew": ("sfew", "rafdb", "ferplus", "affectnet", "mmafedb"),
    "mmafedb": ("mmafedb", "rafdb", "ferplus", "sfew", "affectnet"),
}
"""By the data set that was trained on, in which order Table 1 has the test sets: its own first."""

TABLE_1: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "rafdb": {
        "SCN": (87.32, 58.37, 42.85, 44.89, 36.52),
        "RUL": (88.66, 57.89, 43.82, 46.91, 37.11),
        "EAC": (89.54, 54.38, 43.91, 43.39, 37.27),
        "OFER": (89.07, 53.90, 42.73, 43.88, 36.43),
        "CAFE": (88.72, 73.16, 45.86, 52.86, 56.80),
    },
    "ferplus": {
        "SCN": (86.80, 68.71, 32.42, 43.10, 59.12),
        "RUL": (88.40, 51.89, 35.88, 45.90, 58.00),
        "EAC": (89.03, 58.62, 36.49, 45.79, 59.89),
        "OFER": (89.26, 55.67, 35.84, 44.52, 59.37),
        "CAFE": (89.51, 72.91, 39.44, 49.38, 60.14),
    },
    "affectnet": {
        "SCN": (62.48, 70.70, 63.98, 41.98, 38.51),
        "RUL": (58.70, 55.83, 52.88, 34.01, 31.93),
        "EAC": (64.77, 66.10, 57.19, 44.89, 33.49),
        "OFER": (63.90, 63.21, 56.79, 42.60, 31.99),
        "CAFE": (64.87, 72.69, 69.94, 51.18, 49.65),
    },
    "sfew": {
        "SCN": (51.35, 46.74, 32.58, 23.19, 17.38),
        "RUL": (51.87, 46.35, 36.02, 30.41, 22.06),
        "EAC": (52.46, 47.29, 33.66, 25.57, 22.26),
        "OFER": (52.15, 46.33, 34.78, 23.02, 21.88),
        "CAFE": (53.79, 54.43, 48.39, 32.24, 36.34),
    },
    "mmafedb": {
        "SCN": (63.00, 74.09, 73.99, 45.90, 35.94),
        "RUL": (61.70, 71.94, 69.05, 39.21, 34.45),
        "EAC": (65.06, 74.32, 71.85, 42.87, 35.83),
        "OFER": (64.74, 72.85, 69.69, 41.49, 34.58),
        "CAFE": (65.97, 78.36, 73.57, 49.05, 41.85),
    },
}
"""By the data set that was trained on, by method, in the order of :data:`COLUMNS`."""


def published(method: str, train: str, test: str) -> float | None:
    """Return a published accuracy, as a share; None where the paper has none.

    >>> published("CAFE", "rafdb", "sfew"), published("CAFE", "fer", "sfew")
    (0.5286, None)
    """
    if train not in TABLE_1 or test not in COLUMNS[train]:
        return None
    return round(TABLE_1[train][method][COLUMNS[train].index(test)] / 100, 6)
