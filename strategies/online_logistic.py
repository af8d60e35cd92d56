"""``online-logistic``: River's logistic regression on frozen features, answered before it learns."""

from __future__ import annotations

from strategies.base.online_baseline import online_baseline

STRATEGY = online_baseline("logistic")
