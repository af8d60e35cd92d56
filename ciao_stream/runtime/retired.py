"""Settings that files of older versions hold and this version does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RETIRED = ("unlabelled", "unlabelled_weight", "unlabelled_ratio")


def without_retired(data: Any) -> Any:
    """Return JSON values without the retired settings; what is not an object stays as it is."""
    return {k: v for k, v in data.items() if k not in _RETIRED} if isinstance(data, dict) else data


def removed(data: Mapping[str, Any]) -> str:
    """Return a line about a retired setting that changed the training; an empty text if none did.

    >>> removed({"unlabelled": "contrast"})
    'setting unlabelled=contrast was removed: learning from faces without a label gained nothing'
    """
    term = data.get("unlabelled", "none")
    told = f"setting unlabelled={term} was removed: learning from faces without a label gained nothing"
    return "" if term == "none" else told
