"""Saved state as JSON values and tensors only, so that loading it never runs code (no pickle)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class State:
    """JSON values and tensors of an object and its parts.

    Args:
        values: Plain JSON values by name; those of a part are an object under its name.
        tensors: By name; those of a part have names that begin with ``PART/``. They may be the live ones: write or copy
            them before the object changes.
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        values: Mapping[str, Any],
        tensors: Mapping[str, Tensor] | None = None,
        parts: Mapping[str, State] | None = None,
    ) -> State:
        """Combine an object's own values and tensors with the states of its parts.

        Args:
            values: The object's own.
            tensors: The object's own.
            parts: By name; a name contains no ``/``.
        """
        all_values, all_tensors = dict(values), dict(tensors or {})
        for part, state in (parts or {}).items():
            all_values[part] = state.values
            all_tensors |= {f"{part}/{name}": tensor for name, tensor in state.tensors.items()}
        return cls(all_values, all_tensors)

    def part(self, name: str) -> State:
        """Return the state of one part."""
        under = f"{name}/"
        own = {path.removeprefix(under): t for path, t in self.tensors.items() if path.startswith(under)}
        return State(self.values[name], own)
