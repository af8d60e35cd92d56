"""Settings as frozen dataclasses: each field gives an option, its help, its check and its JSON value.

A class describes its fields in the ``Args:`` section of its docstring; the first sentence is the option's help. A field
made with :func:`option` has limits; ``Literal`` types give choices, and ``tuple[str, ...]`` a comma-separated list::

    @dataclass(frozen=True)
    class Pace:
        \"\"\"How fast frames are sent.

        Args:
            rate: Frames per second. None sends them as fast as the stream takes them.
        \"\"\"

        rate: float | None = option(None, above=0)

        def __post_init__(self) -> None:
            validate(self)
"""

from __future__ import annotations

import argparse
import difflib
import functools
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from ciao_stream.exceptions import CiaoError, UnknownNameError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)

_ARGUMENT = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w+: |\n\n|\Z)", re.MULTILINE | re.DOTALL)
"""An entry of a docstring's ``Args:`` section, once the docstring is free of its own indentation."""

MEANT = {"gpu": "cuda"}
"""What is meant by a wrong value that looks like another right one."""

_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


@dataclass(frozen=True)
class _Option:
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: Callable[[], Iterable[str]] | None = None
    metavar: str | None = None
    shown: str | None = None
    switch: bool = False
    const: Any = None
    read: Callable[[str], Any] | None = None


def option(default: Any = MISSING, *, default_factory: Any = MISSING, **about: Any) -> Any:
    """Return a dataclass field with limits, and with what its option needs beside its type.

    Args:
        default: The default; leave it out for a required option.
        default_factory: Makes the default, as in :func:`dataclasses.field`.
        about: Any of ``least``, ``above``, ``most``, ``below`` (limits of a number, or of each in a tuple),
            ``choices`` (a function that returns the names that are allowed), ``metavar``, ``shown`` (what help shows as
            the default), ``switch`` (a bool without its ``--no-`` form), ``const`` (the value of an option that is
            given without one) and ``read`` (reads the value from text).
    """
    metadata = {"option": _Option(**about)}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def validate(settings: DataclassInstance, prefix: str = "", also: Iterable[str] = ()) -> None:
    """Check every field against its type and limits.

    Args:
        settings: A dataclass; fields that are dataclasses check themselves.
        prefix: Written before each name in the error.
        also: Problems that the caller found by itself, to be reported in the same line.

    Raises:
        CiaoError: A value is out of range. The one line lists all of them.
    """
    if found := [*problems(settings, prefix), *also]:
        raise CiaoError("; ".join(found))


def problems(settings: DataclassInstance, prefix: str = "") -> list[str]:
    """Return what is wrong with each field that has another type or lies outside its limits.

    Args:
        settings: A dataclass; fields that are dataclasses are not looked into.
        prefix: Written before each name.
    """
    hints = get_type_hints(type(settings))
    return [
        f"{prefix}{f.name}: expected {wanted} but got {getattr(settings, f.name)!r}"
        for f in fields(settings)
        if (wanted := _expected(f, hints[f.name], getattr(settings, f.name)))
    ]


def to_json(settings: DataclassInstance) -> dict[str, Any]:
    """Return the settings as plain JSON values; :func:`from_json` is the inverse."""
    return {f.name: _plain(getattr(settings, f.name)) for f in fields(settings)}


def from_json(kind: type[Settings], data: Any, what: str = "setting", prefix: str = "") -> Settings:
    """Rebuild settings that :func:`to_json` wrote; a missing field takes its default.

    Args:
        kind: The dataclass.
        data: JSON values by name.
        what: What a field is called in an error.
        prefix: Written before the name of a field in an error.

    Raises:
        UnknownNameError: There is no field of a name.
        CiaoError: ``data`` is not an object, a field is missing, or a value is out of range.
    """
    if not isinstance(data, dict):
        raise CiaoError(f"{what}s: expected an object but got {data!s:.200}")
    hints, known = get_type_hints(kind), {f.name: f for f in fields(kind)}
    for name in data:
        if name not in known:
            raise UnknownNameError(what, prefix + name, [prefix + one for one in known])
    required = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(required - data.keys()):
        raise CiaoError(f"{what}s: {', '.join(missing)} missing")
    values = {}
    for name, value in data.items():
        hint = _inner(hints[name])
        if isinstance(hint, type) and is_dataclass(hint) and not isinstance(value, hint):
            value = from_json(hint, value, what, f"{prefix}{name}.")
        elif get_origin(hint) is tuple and isinstance(value, list):
            value = tuple(value)
        elif hint is Path and isinstance(value, str):
            value = Path(value)
        values[name] = value
    return kind(**values)


def add_options(
    parser: argparse._ActionsContainer, kind: type[DataclassInstance], leave_out: Iterable[str] = ()
) -> None:
    """Add one option per field; those that are not given are None: see :func:`given`.

    Args:
        parser: A parser or a group of one.
        kind: The dataclass.
        leave_out: Fields without an option.
    """
    docs = [inspect.cleandoc(base.__doc__ or "") for base in reversed(kind.__mro__)]
    described = {name: " ".join(text.split()) for doc in docs for name, text in _ARGUMENT.findall(doc)}
    hints = get_type_hints(kind)
    for f in fields(kind):
        if f.name not in leave_out:
            flag = "--" + f.name.replace("_", "-")
            parser.add_argument(flag, **_argument(f, _inner(hints[f.name]), described.get(f.name, "")))


def given(options: argparse.Namespace, kind: type[DataclassInstance]) -> dict[str, Any]:
    """Return the values that were given for fields of ``kind``, by name."""
    values = ((f.name, getattr(options, f.name, None)) for f in fields(kind))
    return {name: value for name, value in values if value is not None}


def words(
    kind: type[DataclassInstance],
    values: Mapping[str, Any],
    leave_out: Iterable[str] = (),
    always: Iterable[str] = (),
) -> list[str]:
    """Return the options that give these values; the inverse of :func:`given`.

    Args:
        kind: The dataclass.
        values: Values of its fields, by name, as they are or as :func:`to_json` writes them.
        leave_out: Fields without an option.
        always: Fields whose option is written even for the default value.
    """
    found: list[str] = []
    for f in fields(kind):
        value, default = values.get(f.name), _plain(f.default)
        if f.name in leave_out or value is None or (_plain(value) == default and f.name not in always):
            continue
        flag = "--" + f.name.replace("_", "-")
        if isinstance(value, bool):
            found.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found += [flag, text] if text else [flag]
    return found


def number(text: str) -> int:
    """Read a whole number."""
    if not re.fullmatch(r"[+-]?\d+", text.strip(), re.ASCII):
        raise argparse.ArgumentTypeError(f"expected a whole number but got {text!r}")
    return int(text)


def count(text: str) -> int:
    """Read a whole number >= 1."""
    return _checked(text, number, int, _Option(least=1))  # type: ignore[no-any-return]


def names(text: str) -> tuple[str, ...]:
    """Split a comma-separated option.

    >>> names("dl, dl+ciao")
    ('dl', 'dl+ciao')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line, with the option or command that was probably meant.

    Options cannot be abbreviated, so ``--seed`` is never read as ``--seeds``.
    """

    def __init__(self, *args: Any, **about: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **about})
        for action in self._actions:
            if action.dest == "help":
                action.help = "Show this help and exit"

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As in :class:`argparse.ArgumentParser`; an unknown option is answered with the nearest known one."""
        read, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [word for word in unknown if word.startswith("-")]
            if not options:
                self.error(f"unexpected argument {unknown[0]!r}")
            name = options[0].partition("=")[0]
            known = self._known_options(args)
            near = difflib.get_close_matches(name, known, n=1)
            self.error(f"unknown option {name}" + (f": did you mean {near[0]}?" if near else ""))
        return read

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"error: {message.rstrip('?.')}{'?' if message.endswith('?') else ''} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is not one of an option's choices, or not a command."""
        if action.choices is not None and value not in action.choices:
            choices = [*map(str, action.choices)]
            near = difflib.get_close_matches(MEANT.get(value, value), choices, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentError(action, f"expected one of {', '.join(choices)} but got {value!r}{hint}")

    def _known_options(self, args: Sequence[str] | None) -> list[str]:
        """Return the options of the command that the arguments name."""
        known = [*self._option_string_actions]
        words = set(sys.argv[1:] if args is None else args)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, sub in action.choices.items():
                    if name in words:
                        known += sub._known_options(args)
        return known


def _argument(f: Field[Any], hint: Any, described: str) -> dict[str, Any]:
    """Return what argparse needs to know of a field's option."""
    about: _Option = f.metadata.get("option", _Option())
    required = f.default is MISSING and f.default_factory is MISSING
    shared: dict[str, Any] = {"default": None, "help": _help(f, about, described)}
    if hint is bool:
        return {**shared, "action": "store_true" if about.switch else argparse.BooleanOptionalAction}
    if required:
        shared["required"] = True
    if about.const is not None:
        shared |= {"nargs": "?", "const": about.const}
    if get_origin(hint) is Literal:
        return {**shared, "choices": get_args(hint), "metavar": about.metavar or "{" + ",".join(get_args(hint)) + "}"}
    kinds: dict[Any, tuple[Any, str]] = {int: (number, "N"), float: (_real, "X"), Path: (Path, "FILE")}
    read, letter = (names, "NAME,NAME") if get_origin(hint) is tuple else kinds.get(hint, (str, "NAME"))
    reader = functools.partial(_checked, read=about.read or read, hint=hint, about=about)
    return {**shared, "type": reader, "metavar": about.metavar or letter}


def _checked(text: str, read: Callable[[str], Any], hint: Any, about: _Option) -> Any:
    """Read an option's value and refuse one outside its limits."""
    value = read(text)
    fits, wanted = _fits(hint, about, value)
    if not fits:
        raise argparse.ArgumentTypeError(f"expected {wanted} but got {value!r}")
    return value


def _help(f: Field[Any], about: _Option, described: str) -> str:
    """Return an option's help: the first sentence of its description, and the default."""
    text = _ROLE.sub(r"\1", described.split(". ")[0].rstrip(".")).replace("``", "")
    default = _plain(f.default) if f.default is not MISSING else None
    shown = about.shown if about.shown is not None else default
    if isinstance(shown, list):
        shown = ",".join(map(str, shown))
    if shown is None or shown is False or shown == "":
        return text.replace("%", "%%")
    return f"{text} (default: {'on' if shown is True else shown})".replace("%", "%%")


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number but got {text!r}") from None


def _expected(f: Field[Any], hint: Any, value: Any) -> str | None:
    """Return what a field's value should be where it is something else."""
    about: _Option = f.metadata.get("option", _Option())
    optional = type(None) in get_args(hint)
    hint = _inner(hint)
    if optional and value is None:
        return None
    fits, wanted = _fits(hint, about, value)
    return None if fits else wanted + (", or none" if optional else "")


def _fits(hint: Any, about: _Option, value: Any) -> tuple[bool, str]:
    """Return whether a value has its field's type and lies within its limits, and what is wanted."""
    choices = get_args(hint) if get_origin(hint) is Literal else [*about.choices()] if about.choices else None
    if choices is not None and get_origin(hint) is not tuple:
        return value in choices, "one of " + ", ".join(map(str, choices))
    if hint is bool:
        return isinstance(value, bool), "true or false"
    if hint in (int, float):
        kind, word = (int, "a whole number") if hint is int else (int | float, "a number")
        fits = isinstance(value, kind) and not isinstance(value, bool) and abs(value) < math.inf
        return fits and _within(about, value), word + _range(about)
    if get_origin(hint) is tuple:
        inner, wanted = get_args(hint)[0], []
        for one in value if isinstance(value, tuple) else ():
            fits, what = _fits(inner, about, one)
            wanted += [] if fits else [f"a list, each {what}"]
        return isinstance(value, tuple) and not wanted, wanted[0] if wanted else "a list"
    if hint is str:
        return isinstance(value, str), "a text"
    return True, ""


def _within(about: _Option, value: float) -> bool:
    return (
        (about.least is None or value >= about.least)
        and (about.above is None or value > about.above)
        and (about.most is None or value <= about.most)
        and (about.below is None or value < about.below)
    )


def _range(about: _Option) -> str:
    bounds = ((">=", about.least), (">", about.above), ("<=", about.most), ("<", about.below))
    written = [f"{sign} {bound:,}" for sign, bound in bounds if bound is not None]
    return (" " + " and ".join(written)) if written else ""


def _inner(hint: Any) -> Any:
    """Return ``T`` of ``T | None``."""
    kinds = [one for one in get_args(hint) if one is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(hint) else hint


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
