"""Checks that your own encoder, mask, data set or strategy keeps the promises that the toolkit relies on."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError

if TYPE_CHECKING:
    from ciao_stream.checks.dataset import check_dataset as check_dataset
    from ciao_stream.checks.encoder import check_encoder as check_encoder
    from ciao_stream.checks.mask import check_mask as check_mask
    from ciao_stream.checks.strategy import check_strategy as check_strategy

_CHECKS = ("dataset", "encoder", "mask", "strategy")

__all__ = ["ContractError", *(f"check_{what}" for what in _CHECKS)]


class ContractError(CiaoError, AssertionError):
    """Something of your own breaks a promise; the message says which."""


def require(kept: bool, broken: str) -> None:
    """Check one promise.

    Raises:
        ContractError: It is broken.
    """
    if not kept:
        raise ContractError(broken)


def checks_of(module: str) -> list[Callable[..., None]]:
    """Return the checks of a module, in order: its functions ``check_...``, but not the one that runs them all."""
    own = f"check_{module.rpartition('.')[2]}"
    found = {name: value for name, value in vars(sys.modules[module]).items() if name.startswith("check_")}
    return [check for name, check in found.items() if name != own and check.__module__ == module]


def run_checks(what: str, checks: Iterable[Callable[..., None]], *arguments: object) -> None:
    """Run checks one after the other on the same arguments.

    Raises:
        ContractError: A promise is broken, or a check ends in an error of torch; the message begins with ``what``.
    """
    for check in checks:
        try:
            check(*arguments)
        except ContractError as error:
            raise ContractError(f"{what}: {error}") from None
        except RuntimeError as error:
            raise ContractError(f"{what}: {check.__name__}: {' '.join(str(error).split())}") from error


def __getattr__(name: str) -> Any:
    what = name.removeprefix("check_")
    if name == what or what not in _CHECKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{what}"), name)
