"""Checks that your own encoder, mask, data set or strategy keeps the promises that the toolkit relies on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ciao_stream.checks.dataset import check_dataset as check_dataset
    from ciao_stream.checks.encoder import check_encoder as check_encoder
    from ciao_stream.checks.mask import check_mask as check_mask
    from ciao_stream.checks.strategy import check_strategy as check_strategy

_CHECKS = ("dataset", "encoder", "mask", "strategy")

__all__ = ["ContractError", *(f"check_{what}" for what in _CHECKS)]


class ContractError(AssertionError):
    """Something of your own breaks a promise; the message says which."""


def require(kept: bool, broken: str) -> None:
    """Check one promise.

    Raises:
        ContractError: It is broken.
    """
    if not kept:
        raise ContractError(broken)


def __getattr__(name: str) -> Any:
    what = name.removeprefix("check_")
    if name == what or what not in _CHECKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{what}"), name)
