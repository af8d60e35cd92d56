"""Options made from a frozen dataclass of settings: one per field, described by the class's own docstring."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ciao_stream.runtime.command import count

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ARGUMENT = re.compile(r"^ {8}(\w+): (.*?)(?=^ {8}\w+: |\n\n|\Z)", re.MULTILINE | re.DOTALL)


def setting_options(
    p: argparse._ActionsContainer, settings: type[DataclassInstance], leave_out: Iterable[str] = ()
) -> None:
    """Add an option for each setting; one that is not given is None.

    Args:
        p: Parser or group.
        settings: The dataclass, with an ``Args`` section in its docstring.
        leave_out: Fields that get none.
    """
    told = {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(settings.__doc__ or "")}
    hints = get_type_hints(settings)
    for field in fields(settings):
        if field.name in leave_out:
            continue
        flag = "--" + field.name.replace("_", "-")
        text = _help(told.get(field.name, ""), field)
        hint = hints[field.name]
        if hint is bool:
            p.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            kind = count if int in (hint, *get_args(hint)) else float if float in (hint, *get_args(hint)) else str
            p.add_argument(flag, type=kind, default=None, metavar="N" if kind is not str else "W", help=text)


def given(options: argparse.Namespace, settings: type[DataclassInstance]) -> dict[str, Any]:
    """Return the settings that were given, by name."""
    values = ((field.name, getattr(options, field.name, None)) for field in fields(settings))
    return {name: value for name, value in values if value is not None}


def _help(text: str, field: Field[Any]) -> str:
    """Return an option's help: what the docstring says up to its first full stop, and the default."""
    said = text.split(". ")[0].rstrip(".").replace("``", "").replace("%", "%%")
    said = re.sub(r":data:`(\w+)`", r"\1", said)
    default = "" if field.default is None else f" ({field.default})"
    return said[:1].lower() + said[1:] + default
