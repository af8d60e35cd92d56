"""What a part of the learner remembers, as JSON values and tensors, and nothing else: no pickle can hide in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class State:
    """JSON values and tensors of one part, each part below its owner's.

    Args:
        values: Plain JSON values by name.
        tensors: By name; a part's stand under ``PART/``. They may be the live ones: write or copy them before the
            learner goes on.
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
        """Put an owner's own values and tensors together with those of its parts.

        Args:
            values: The owner's own.
            tensors: The owner's own.
            parts: By name, in which no ``/`` stands.
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
