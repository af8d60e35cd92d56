"""``online-slda``: streaming linear discriminant analysis on frozen features, answered before it learns."""

from __future__ import annotations

from strategies.base.online_baseline import online_baseline

STRATEGY = online_baseline("slda")
