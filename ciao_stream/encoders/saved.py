"""An encoder on disk: ``encoder.safetensors`` and ``encoder.json``, which says what it is and what it saw."""

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
    """Write an encoder to a folder; each file is whole or absent, the description comes last.

    Args:
        folder: Made where it is missing.
        encoder: One of the package's architectures.
        trained_on: JSON values: everything its weights depend on.
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
        UnknownNameError: Its architecture is none of the package's.
        CiaoError: A file is missing or damaged, or the weights are not those that the description tells of.
    """
    try:
        about = json.loads((folder / "encoder.json").read_text())
        state = load((folder / "encoder.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise CiaoError(f"no encoder in {folder}: {Path(error.filename).name} is missing") from error
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise CiaoError(f"encoder in {folder} is damaged: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CiaoError(f"{folder / 'encoder.json'} is no description of an encoder: expected format {FORMAT}")
    encoder = untrained_encoder(str(about.get("name")))
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise CiaoError(f"encoder in {folder}: weights do not fit: {error}") from error
    if encoder.fingerprint() != about.get("fingerprint"):
        raise CiaoError(f"encoder in {folder} is damaged: it does not have the recorded fingerprint")
    encoder.weights = _told(about.get("trained_on"))
    return encoder


def _told(trained_on: Any) -> str:
    """Say in a few words what the weights were trained on."""
    if not isinstance(trained_on, dict) or "tasks" not in trained_on:
        return "trained, on what is not told"
    tasks = ", ".join(f"{task['name']} ({task['source']}, {task['split']})" for task in trained_on["tasks"])
    return f"trained by {trained_on.get('method')} on {tasks}"
