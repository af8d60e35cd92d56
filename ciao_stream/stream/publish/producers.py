"""What a producer is called: a name stands for one order of messages, so that no number is used for two of them."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.sources import Source

DIGITS = 12
"""Hex digits that tell producers of one title apart."""


def producer_name(source: Source, spec: TaskSpec, decides: dict[str, Any]) -> str:
    """Return the name under which a source is published.

    A live source gets a new one whenever it is published. One that is replayed gets the same one whenever it would
    send the same messages: its publisher, started again, repeats itself, and the stream takes each message once.

    Args:
        source: Where the frames come from.
        spec: The task that they are published for.
        decides: Whatever else decides the messages and their order, as plain JSON values.
    """
    if source.fingerprint is None:
        return f"{source.title}-{secrets.token_hex(DIGITS // 2)}"
    told = json.dumps([source.fingerprint, spec.to_json(), decides], sort_keys=True)
    return f"{source.title}-{hashlib.sha256(told.encode()).hexdigest()[:DIGITS]}"
