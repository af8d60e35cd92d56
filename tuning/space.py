"""The space of a head search: which settings are tried, from where to where, and under which conditions.

It is a data file, TOML or JSON, with one entry per setting; ``docs/tuning.md`` describes it, and ``tuning/space.toml``
is the default.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.worlds.settings import Settings

DEFAULT_SPACE = Path(__file__).with_name("space.toml")
HIDDEN = "head.hidden"
RANGES = ("choice", "uniform", "loguniform")
CONDITIONS = ("when", "unless")
SHAPES = "one of choice, uniform, loguniform (for head.hidden also layers with units), with when or unless if needed"


@dataclass(frozen=True)
class Condition:
    """A dimension exists only where the one called ``parent`` has one of these of its options, by their number."""

    parent: str
    options: frozenset[int]


@dataclass(frozen=True)
class Dimension:
    """One thing that is drawn.

    Args:
        label: Its own name: that of the setting, with a number where the setting has several.
        setting: The setting that it decides, or, of ``head.hidden``, the number or the units of its layers.
        kind: How it is drawn: ``choice`` gives the number of an option, the others a number.
        options: Of a choice.
        low: Least value of the others.
        high: Greatest value of the others.
        conditions: All must hold, those of the parents included.
    """

    label: str
    setting: str
    kind: Literal["choice", "uniform", "loguniform"]
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    conditions: tuple[Condition, ...] = ()

    def value(self, drawn: int | float) -> Any:
        """Return the value of a draw."""
        if self.kind == "choice":
            return self.options[int(drawn)]
        return min(max(float(drawn), self.low), self.high)  # an exponential may miss its limit by its last digit

    def nearest(self, value: Any) -> int | float:
        """Return what must be drawn to come as close to a value as this dimension can."""
        if self.kind != "choice":
            return min(max(float(value), self.low), self.high)
        if value in self.options:
            return self.options.index(value)
        numbers = [*self.options, value]
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in numbers):
            return 0
        return min(range(len(self.options)), key=lambda i: abs(self.options[i] - value))


Point = Mapping[str, int | float]
"""What was drawn: by label, for every dimension that exists at that point."""


@dataclass(frozen=True)
class Space:
    """A space, checked.

    Args:
        dimensions: Parents come before what depends on them.
        fixed: Settings to which the file gives one value everywhere, by name.
        content: The content of the file, JSON values.
        sha256: Of the content as canonical JSON: the same for files that mean the same.
    """

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]
    content: Mapping[str, Any]
    sha256: str

    def exists(self, dimension: Dimension, point: Point) -> bool:
        """Whether a dimension exists at a point, whose other values may be there or not."""
        return all(point.get(c.parent) in c.options for c in dimension.conditions)

    def changes(self, point: Point) -> dict[str, Any]:
        """Return the settings of a point, as :meth:`Settings.changed` takes them."""
        found = dict(self.fixed)
        units = []
        for dimension in self.dimensions:
            if dimension.label not in point:
                continue
            drawn = point[dimension.label]
            value = dimension.value(drawn)
            if dimension.setting == f"{HIDDEN} units":
                units.append(value)
            elif dimension.setting != f"{HIDDEN} layers":
                found[dimension.setting] = value
        if any(d.setting == f"{HIDDEN} layers" for d in self.dimensions):
            found[HIDDEN] = units
        return found

    def nearest(self, settings: Settings) -> dict[str, int | float]:
        """Return the point of this space that comes closest to some settings, one by one.

        A choice without the setting's value takes the closest number, or else its first option.
        """
        data = settings.to_json()
        values = {**data, **{f"head.{name}": value for name, value in data["head"].items()}}
        hidden = values[HIDDEN]
        point: dict[str, int | float] = {}
        layer = 0
        value: Any
        for dimension in self.dimensions:
            if not self.exists(dimension, point):
                continue
            if dimension.setting == f"{HIDDEN} layers":
                value = len(hidden)
            elif dimension.setting == f"{HIDDEN} units":
                value = hidden[min(layer, len(hidden) - 1)] if hidden else None
                layer += 1
            else:
                value = values[dimension.setting]
            point[dimension.label] = dimension.nearest(value)
        return point


def read_space(path: Path, base: Settings, fixed: Mapping[str, Any] | None = None) -> Space:
    """Read and check a space.

    Args:
        path: ``.toml`` or ``.json``.
        base: The settings that a point changes; every value in the file must fit them.
        fixed: Settings that are not searched, even if the file lists them: by name, with ``base``'s value.

    Raises:
        CiaoError: The file cannot be read, or an entry is wrong; the message names both.
    """
    data = _flat(_parse(path), f"space {path}")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    _Compiler(path, data, base, {}).space()  # what is fixed below is checked too
    dimensions, constants = _Compiler(path, data, base, fixed or {}).space()
    own = {name: value for name, value in constants.items() if name not in (fixed or {})}
    return Space(dimensions, own, data, hashlib.sha256(text.encode()).hexdigest())


def _parse(path: Path) -> dict[str, Any]:
    readers: dict[str, Any] = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise CiaoError(f"space {path}: expected a .toml or .json file")
    try:
        data = readers[path.suffix](path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CiaoError(f"space {path}: there is no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CiaoError(f"space {path}: cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise CiaoError(f"space {path}: expected one entry per setting but got {data!s:.100}")
    return data


def _flat(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Write ``head``'s own entries as ``head.NAME``; also inside conditions."""
    flat = {name: value for name, value in data.items() if name != "head"}
    head = data.get("head", {})
    if not isinstance(head, dict):
        raise CiaoError(f"{where}: entry 'head': expected entries such as head.pool but got {head!s:.100}")
    for name, value in head.items():
        if (full := f"head.{name}") in flat:
            raise CiaoError(f"{where}: entry {full!r} is given twice")
        flat[full] = value
    return flat


class _Compiler:
    """Turns the entries of one file into dimensions."""

    def __init__(self, path: Path, data: Mapping[str, Any], base: Settings, fixed: Mapping[str, Any]) -> None:
        self.path = path
        self.base = base
        self.data = data
        self.constants = dict(fixed)
        self.done: dict[str, list[Dimension]] = {}
        self.open: list[str] = []

    def space(self) -> tuple[tuple[Dimension, ...], dict[str, Any]]:
        for name, entry in self.data.items():
            if not isinstance(entry, dict) and not _several(entry):
                self._check(name, entry)
                self.constants.setdefault(name, entry)
        for name in self.data:
            self._compile(name)
        return tuple(d for group in self.done.values() for d in group), self.constants

    def _bad(self, name: str, problem: str) -> CiaoError:
        return CiaoError(f"space {self.path}: entry {name!r}: {problem}")

    def _check(self, name: str, value: Any) -> None:
        """Refuse a setting that does not exist, or a value that it cannot have."""
        try:
            self.base.changed({name: value})
        except (CiaoError, TypeError) as error:
            raise self._bad(name, str(error).removeprefix("settings: ")) from error

    def _compile(self, name: str) -> list[Dimension]:
        if name in self.constants:
            return []
        if name in self.done:
            return self.done[name]
        if name in self.open:
            raise self._bad(name, f"its condition goes in a circle: {' -> '.join([*self.open, name])}")
        self.open.append(name)
        entry = self.data[name]
        several = entry if _several(entry) else [entry]
        made: list[list[Dimension]] = []
        for number, one in enumerate(several, 1):
            label = name if len(several) == 1 else f"{name} {number}"
            made.append(self._entry(name, label, one))
        self._exclusive(name, [group for group in made if group])
        self.open.pop()
        self.done[name] = [dimension for group in made for dimension in group]
        return self.done[name]

    def _entry(self, name: str, label: str, entry: dict[str, Any]) -> list[Dimension]:
        ranges = [key for key in entry if key not in CONDITIONS]
        unknown = {*ranges} - {*RANGES, *(("layers", "units") if name == HIDDEN else ())}
        if unknown:
            raise self._bad(name, f"expected {SHAPES} but got {min(unknown)!r}")
        if sorted(ranges) not in [["layers", "units"], *([kind] for kind in RANGES)]:
            raise self._bad(name, f"expected {SHAPES} but got {', '.join(ranges) or 'nothing'}")
        conditions = self._conditions(name, entry)
        made = self._dimensions(name, label, entry)
        if conditions is None:
            return []
        return [
            Dimension(d.label, d.setting, d.kind, d.options, d.low, d.high, (*conditions, *d.conditions)) for d in made
        ]

    def _dimensions(self, name: str, label: str, entry: dict[str, Any]) -> list[Dimension]:
        if "layers" in entry:
            depths = self._list(name, entry["layers"], "layers", "numbers of layers")
            units = self._list(name, entry["units"], "units", "numbers of units")
            if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in depths):
                raise self._bad(name, f"layers: expected whole numbers >= 0 but got {list(depths)}")
            for value in units:
                self._check(name, [value])
            layers = [Dimension(label, f"{name} layers", "choice", depths)]
            for n in range(1, max(depths) + 1):
                deep = frozenset(i for i, depth in enumerate(depths) if depth >= n)
                units_of = f"{label} units {n}"
                layers.append(
                    Dimension(units_of, f"{name} units", "choice", units, conditions=(Condition(label, deep),))
                )
            return layers
        ((kind, given),) = ((k, v) for k, v in entry.items() if k in RANGES)
        if kind == "choice":
            options = self._list(name, given, "choice", "values")
            for value in options:
                self._check(name, value)
            return [Dimension(label, name, "choice", options)]
        ends = given if isinstance(given, list) else []
        if len(ends) != 2 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in ends):
            raise self._bad(name, f"{kind}: expected [LEAST, GREATEST] but got {given!r}")
        low, high = map(float, ends)
        if not low < high:
            raise self._bad(name, f"{kind}: expected the least value first but got {given!r}")
        if kind == "loguniform" and low <= 0:
            raise self._bad(name, f"loguniform: expected values above 0 but got {given!r}")
        for value in (low, high):
            self._check(name, value)
        return [Dimension(label, name, kind, low=low, high=high)]  # type: ignore[arg-type]

    def _list(self, name: str, given: Any, key: str, what: str) -> tuple[Any, ...]:
        if not isinstance(given, list) or not given:
            raise self._bad(name, f"{key}: expected a list of {what} but got {given!r}")
        if any(value in given[:i] for i, value in enumerate(given)):
            raise self._bad(name, f"{key}: a value is given twice in {given!r}")
        return tuple(given)

    def _conditions(self, name: str, entry: dict[str, Any]) -> tuple[Condition, ...] | None:
        """Return the conditions of an entry, those of its parents included; None where they can never hold."""
        found: dict[str, frozenset[int]] = {}
        possible = True
        for key in CONDITIONS:
            given = entry.get(key, {})
            if not isinstance(given, dict):
                raise self._bad(name, f"{key}: expected settings with their values but got {given!r}")
            for parent, wanted in _flat(given, f"space {self.path}").items():
                values = wanted if isinstance(wanted, list) else [wanted]
                if parent in self.constants:
                    value = self.constants[parent]
                    value = len(value) if parent == HIDDEN else value
                    possible = possible and (value in values) is (key == "when")
                    continue
                for condition in self._chosen(name, key, parent, values):
                    before = found.get(condition.parent, condition.options)
                    found[condition.parent] = before & condition.options
        if not possible or not all(found.values()):
            return None
        return tuple(Condition(parent, options) for parent, options in found.items())

    def _chosen(self, name: str, key: str, parent: str, values: list[Any]) -> Iterator[Condition]:
        if parent not in self.data:
            raise self._bad(name, f"{key}: {UnknownNameError('entry', parent, self.data)}")
        above = self._compile(parent)
        if not above:  # it can never exist itself
            yield Condition(parent, frozenset())
            return
        first = above[0]
        if first.label != parent or first.kind != "choice":
            raise self._bad(name, f"{key}: {parent!r} is not a single choice, so nothing can depend on it")
        for value in values:
            if value not in first.options:
                raise self._bad(name, f"{key}: {parent!r} is never {value!r}; expected one of {list(first.options)}")
        yield from first.conditions
        yield Condition(
            parent, frozenset(i for i, option in enumerate(first.options) if (option in values) is (key == "when"))
        )

    def _exclusive(self, name: str, groups: list[list[Dimension]]) -> None:
        for i, one in enumerate(groups):
            for other in groups[:i]:
                first = {c.parent: c.options for c in one[0].conditions}
                second = {c.parent: c.options for c in other[0].conditions}
                if not any(first[parent].isdisjoint(second[parent]) for parent in first.keys() & second.keys()):
                    raise self._bad(name, "two of its entries can hold at once: give them conditions that exclude it")


def _several(entry: Any) -> bool:
    """Whether an entry is a list of entries, and no constant."""
    return isinstance(entry, list) and bool(entry) and all(isinstance(one, dict) for one in entry)
