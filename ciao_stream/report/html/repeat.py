"""How to get the same numbers again: the command, the environment, the encoder, the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ciao_stream.report.html.values import Document
from ciao_stream.runtime.command import shell_line

FILES = Markup(
    "Next to this page: <code>results.json</code> with all its numbers, <code>results.csv</code>, "
    "<code>table.md</code> and the figures."
)


def context(document: Document, files: Markup = FILES) -> dict[str, Any]:
    """Return what the template needs; ``files`` lists the other files."""
    module, *arguments = document["command"] or [""]
    environment = dict(document["environment"])
    packages = environment.pop("packages", None)
    settings = dict(document["settings"])
    of_tasks = settings.pop("tasks", {})
    return {
        "line": shell_line(module, arguments),
        "environment": [(name, text(value)) for name, value in environment.items()],
        "install": " ".join(f"{name}=={version}" for name, version in (packages or {}).items() if version),
        "encoder": [(name, text(value)) for name, value in flat(document["encoder"]).items()],
        "settings": [(name, text(value)) for name, value in flat(settings).items()],
        "alike": alike({task: flat(chosen) for task, chosen in of_tasks.items()}),
        "tasks": [*of_tasks],
        "files": files,
    }


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values of nested objects under joined names.

    >>> flat({"lr": 0.1, "head": {"pool": "mean"}})
    {'lr': 0.1, 'head.pool': 'mean'}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def alike(of_tasks: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return each setting with one text where it is the same for all tasks, and else with one for each.

    >>> alike({"fer": {"lr": 0.1, "epochs": 3}, "jaffe": {"lr": 0.1, "epochs": 9}})
    [('lr', ['0.1']), ('epochs', ['3', '9'])]
    """
    names = dict.fromkeys(name for chosen in of_tasks.values() for name in chosen)
    rows = []
    for name in names:
        texts = [text(chosen[name]) if name in chosen else "–" for chosen in of_tasks.values()]
        rows.append((name, texts[:1] if len(set(texts)) == 1 else texts))
    return rows


def text(value: Any) -> str:
    """Return a value of JSON as it is read: text as it is, nothing as a dash.

    >>> text("cpu"), text(None), text([64, 32]), text(True)
    ('cpu', '–', '[64, 32]', 'true')
    """
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)
