"""Suites: questions that take more than one benchmark to answer. One package each; this loads none of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from strategies import MASKED

SCHEMES = ("full", "lc", "dl")
"""What the paper trains besides the head: the whole encoder, the last convolution, nothing."""

WITHOUT_ENCODER = ("majority", "hog")
"""Baselines that use no encoder."""

BASELINES = (*WITHOUT_ENCODER, "ncm", "slda", "logreg")
"""Strategies to compare every scheme with."""


class Suite(NamedTuple):
    """What a suite does, and what it runs unless the options say otherwise."""

    does: str
    strategies: tuple[str, ...]
    seeds: int
    judge_on: Literal["validation", "test"]


SUITES = {
    "paper": Suite(
        "full, lc and dl without and with CIAO, and baselines, over each encoder of --encoder NAME,NAME; with the "
        "paper's Tables I and II and Figure 4",
        (*(scheme + mask for scheme in SCHEMES for mask in ("", MASKED)), *BASELINES),
        30,
        "test",
    ),
    "generalise": Suite(
        "train on each task, test on all, on the seven classes in common",
        ("logreg", "dl", "dl+ciao", "cafe-small", "full"),
        3,
        "test",
    ),
    "ablation": Suite("one setting changed at a time", ("dl+ciao",), 3, "validation"),
    "online": Suite(
        "each face predicted once, then learned; compared with offline training",
        (
            "online+ciao", "online", "online-softmax", "online-logistic", "online-slda", "online-naive",
            "online-replay", "dl", "dl+ciao",
        ),
        5,
        "test",
    ),
}  # fmt: skip
"""By name of the suite's package."""
