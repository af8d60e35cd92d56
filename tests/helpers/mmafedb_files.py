"""A small copy of MMAFEDB's layout."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.own_files import CANONICAL_NAMES, save

PER_CLASS = {"train": 3, "valid": 2, "test": 2}


def write_mmafedb(root: Path, *, reverse: bool = False, home: str = "mmafedb/MMAFEDB") -> dict[str, str]:
    """Returns {path below HOME: label}."""
    truth = {
        f"{split}/{name}/{split}{n}{name}.jpg": label
        for split, per_class in PER_CLASS.items()
        for name, label in CANONICAL_NAMES.items()
        for n in range(per_class)
    }
    save(root / home, truth, reverse=reverse)
    return truth
