"""An encoder on disk: ``encoder.safetensors``, and ``encoder.json`` with its name and training data."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from ciao_stream.encoders.base import Encoder
from ciao_stream.encoders.untrained import untrained_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_bytes, write_text

FORMAT = "ciao_stream/encoder/1"


def save_encoder(folder: Path, encoder: Encoder, trained_on: dict[str, Any]) -> None:
    """Write an encoder to a folder. Each file is whole or absent; ``encoder.json`` is written last.

    Args:
        folder: Created if it is missing.
        encoder: One of this package's architectures.
        trained_on: JSON values: everything that the weights depend on.
    """
    about = {
        "format": FORMAT,
        "name": encoder.name,
        "preprocessing": asdict(encoder.preprocessing),
        "parameters": encoder.parameter_count(),
        "fingerprint": encoder.fingerprint(),
        "trained_on": trained_on,
    }
    state = {name: tensor.cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    write_bytes(folder / "encoder.safetensors", save(state))
    write_text(folder / "encoder.json", json.dumps(about, indent=1) + "\n")


def load_saved(folder: Path) -> Encoder:
    """Read an encoder that :func:`save_encoder` wrote.

    Raises:
        UnknownNameError: This package has no such architecture.
        CiaoError: A file is missing or damaged, or the weights do not have the recorded fingerprint.
    """
    try:
        about = json.loads((folder / "encoder.json").read_text())
        state = load((folder / "encoder.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise CiaoError(f"no encoder in {folder}: {Path(error.filename).name} is missing") from error
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise CiaoError(f"encoder in {folder} is damaged: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CiaoError(f"{folder / 'encoder.json'} does not describe an encoder: expected format {FORMAT}")
    encoder = untrained_encoder(str(about.get("name")))
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise CiaoError(f"encoder in {folder}: weights do not fit: {' '.join(str(error).split())}") from error
    if encoder.fingerprint() != about.get("fingerprint"):
        raise CiaoError(f"encoder in {folder} is damaged: its fingerprint is not the recorded one")
    encoder.weights = _origin(about.get("trained_on"))
    return encoder


def _origin(trained_on: Any) -> str:
    """Summarise the training data."""
    if not isinstance(trained_on, dict) or "tasks" not in trained_on:
        return "trained on unknown data"
    tasks = ", ".join(f"{task['name']} ({task['source']}, {task['split']})" for task in trained_on["tasks"])
    return f"trained by {trained_on.get('method')} on {tasks}"
