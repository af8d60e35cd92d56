"""An encoder on disk: ``encoder.safetensors``, and ``encoder.json`` with its name and training data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.untrained import untrained_encoder
from ciao_stream.runtime.artifact import Artifact

FOLDER = Artifact("encoder", "encoder.json", "encoder.safetensors", "ciao_stream/encoder/1", end="\n")


def save_encoder(folder: Path, encoder: Encoder, trained_on: dict[str, Any]) -> None:
    """Write an encoder to a folder. Each file is whole or absent; ``encoder.json`` is written last.

    Args:
        folder: Created if it is missing.
        encoder: One of this package's architectures.
        trained_on: JSON values: everything that the weights depend on.
    """
    about = {
        "name": encoder.name,
        "preprocessing": asdict(encoder.preprocessing),
        "parameters": encoder.parameter_count(),
        "fingerprint": encoder.fingerprint(),
        "trained_on": trained_on,
    }
    FOLDER.write(folder, about, encoder)


def load_saved(folder: Path) -> Encoder:
    """Read an encoder that :func:`save_encoder` wrote.

    Raises:
        UnknownNameError: This package has no such architecture.
        CiaoError: A file is missing or damaged, or the weights do not have the recorded fingerprint.
    """
    about, weights = FOLDER.read(folder)
    encoder: Encoder = FOLDER.restore(
        folder,
        lambda: untrained_encoder(str(about.get("name"))),
        weights,
        lambda made: made.fingerprint() == about.get("fingerprint"),
    )
    encoder.weights = _origin(about.get("trained_on"))
    return encoder


def _origin(trained_on: Any) -> str:
    """Summarise the training data."""
    if not isinstance(trained_on, dict) or "tasks" not in trained_on:
        return "trained on unknown data"
    tasks = ", ".join(f"{task['name']} ({task['source']}, {task['split']})" for task in trained_on["tasks"])
    return f"trained by {trained_on.get('method')} on {tasks}"
