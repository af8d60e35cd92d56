"""Where fetched weights are kept, how they are checked, and how they become tensors. Nothing here uses the network.

Each file has a folder of its own, ``FOLDER/NAME/FILE``. If its publisher gives no sha256, ``recorded.json`` next to it
holds the sha256 of the first copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.encoders.weights.manifest import Entry, entry
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.folders import user_cache

if TYPE_CHECKING:
    from torch import Tensor

_COMMAND = ("python", "-m", "ciao_stream.data", "weights")


def weights_folder() -> Path:
    """Return ``$CIAO_WEIGHTS``, else ``weights`` in the user's cache folder.

    Raises:
        CiaoError: Neither is set, and there is no home folder.
    """
    if chosen := os.environ.get("CIAO_WEIGHTS"):
        return Path(chosen)
    if (cache := user_cache()) is None:
        raise CiaoError("no home folder to keep weights in: give a folder with --to DIR or CIAO_WEIGHTS=DIR")
    return cache / "weights"


def file_of(one: Entry, folder: Path) -> Path:
    """Return the path of the file, whether or not it exists."""
    return folder / one.name / one.file


def record_of(one: Entry, folder: Path) -> Path:
    """Return the path of the recorded sha256, whether or not it exists."""
    return folder / one.name / "recorded.json"


def record(one: Entry, folder: Path, sha256: str) -> None:
    """Record the sha256 of the first copy of a file.

    Raises:
        CiaoError: It cannot be written.
    """
    write_text(record_of(one, folder), json.dumps({"sha256": sha256}) + "\n")


def known_sha256(one: Entry, folder: Path) -> str | None:
    """Return the sha256 that the file must have: the manifest's, else the recorded one, else None.

    Raises:
        CiaoError: The record is damaged.
    """
    path = record_of(one, folder)
    try:
        return one.sha256 or str(json.loads(path.read_text())["sha256"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CiaoError(f"{path} is damaged: delete it and fetch the weights again") from error


def is_here(one: Entry, folder: Path) -> bool:
    """Return whether the right file is in the folder; reads the whole file.

    Raises:
        CiaoError: The record is damaged, or the file cannot be read.
    """
    path, known = file_of(one, folder), known_sha256(one, folder)
    try:
        return known is not None and path.is_file() and sha256_of(path) == known
    except OSError as error:
        raise CiaoError(f"cannot read {path}: {error.strerror}") from error


def weights_path(name: str, folder: Path | None = None) -> Path:
    """Return the checked file of these weights. Nothing is downloaded.

    Args:
        name: One of :func:`~ciao_stream.encoders.weights.manifest.names`.
        folder: Where to look; :func:`weights_folder` by default.

    Raises:
        UnknownNameError: There are no such weights.
        CiaoError: The file is missing or not the right one; the message gives the command that fetches it.
    """
    one = entry(name)
    path = file_of(one, folder or weights_folder())
    if is_here(one, folder or weights_folder()):
        return path
    wrong = "is not the expected file" if path.exists() else "is missing"
    raise CiaoError(f"weights {name}: {path} {wrong}: {how_to_get(one, folder)}")


def how_to_get(one: Entry, folder: Path | None = None) -> str:
    """Return what to run, and what to do before it if no program can download the file."""
    to = ["--to", str(folder)] if folder else []
    if one.url:
        return f"run {shlex.join([*_COMMAND, one.name, *to])}"
    by_hand = shlex.join([*_COMMAND, one.name, "--file", one.file, *to])
    return f"download {one.file} from {one.page} in a browser, then run {by_hand}"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_unknown(one: Entry, path: Path) -> None:
    """Check a file whose sha256 is not known as far as that is possible.

    Raises:
        CiaoError: It is a web page, has another git blob name than its publisher's, or cannot be read as weights.
    """
    header = b"blob %d\0" % path.stat().st_size
    with path.open("rb") as file:
        start = file.read(100).lstrip().lower()
        file.seek(0)
        blob = hashlib.file_digest(file, lambda: hashlib.sha1(header, usedforsecurity=False)).hexdigest()
    if start.startswith((b"<!doctype", b"<html")):
        raise CiaoError(
            f"{one.name}: the file is a web page, not weights (a notice, a login or a quota page); open "
            f"{one.url or one.page} in a browser and pass the file that you get with --file FILE"
        )
    if one.git_blob not in (None, blob):
        raise CiaoError(f"{one.name}: the file has git blob {blob} but {one.git_blob} was expected")
    if one.format in ("safetensors", "state_dict"):
        read_state(one, path)


def load_state(name: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Load the tensors of fetched weights on the CPU. No code in the file is executed.

    Args:
        name: One of :func:`~ciao_stream.encoders.weights.manifest.names`.
        folder: Where to look; :func:`weights_folder` by default.

    Returns:
        Tensors by the names that they have in the file.

    Raises:
        CiaoError: As :func:`weights_path`; or loading the file would run code, or it holds no tensors.
    """
    return read_state(entry(name), weights_path(name, folder))


def read_state(one: Entry, path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file of an entry's format.

    Raises:
        CiaoError: Loading the file would run code, it has another format, or it holds no tensors.
    """
    from torch import Tensor

    if one.format == "safetensors":
        state = _read_safetensors(path)
    elif one.format == "state_dict":
        state = _read_state_dict(path)
    else:
        raise CiaoError(f"{path}: {one.format} cannot be read here; see {one.page}")
    if one.key is not None:
        state = state.get(one.key) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        where = f" under {one.key!r}" if one.key else ""
        raise CiaoError(f"{path} holds no named tensors{where}: it is not the file of the weights {one.name}")
    return dict(state)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CiaoError(f"{path} is not a readable safetensors file: {_first_line(error)}") from error


def _read_state_dict(path: Path) -> Any:
    import warnings
    from pickle import UnpicklingError

    import torch

    try:
        if zipped := zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    raise CiaoError(f"{path} is not loaded: it is a TorchScript program, not plain tensors")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old pickles warn, then either load or are refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CiaoError:
        raise
    except UnpicklingError as error:
        why = "loading it would run code, or it is not a file of tensors"
        raise CiaoError(f"{path} is not loaded: {why} ({_first_line(error)})") from error
    except (RuntimeError, ValueError, OSError, EOFError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise CiaoError(f"{path} cannot be read as a file of tensors: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return the reason without torch's advice to disable ``weights_only``."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if "GLOBAL" in line] or lines or [type(error).__name__]
    return reasons[0].split(". ")[0][:200]
