"""Where fetched weights lie, how they are checked, and how they become tensors. Nothing here touches the network.

Each file has a folder of its own, ``FOLDER/NAME/FILE``, with ``recorded.json`` beside it: the sha256 that was seen at
the first fetch, and the size and times of the file when it last had that sha256, so that it is not read again before
it changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.encoders.weights.manifest import Entry, entry
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.cache_folder import user_cache

if TYPE_CHECKING:
    from torch import Tensor

_COMMAND = ("python", "-m", "ciao_stream.data", "weights")
_BLOCK = 2**20


@dataclass(frozen=True)
class Record:
    """What is known of a file since it was first fetched.

    Args:
        sha256: Of the whole file.
        source: The address or path that it came from.
        checked: Size, time of modification and time of change (ns) of the file when it last had that sha256.
    """

    sha256: str
    source: str
    checked: tuple[int, int, int] | None = None


def weights_folder() -> Path:
    """Return ``$CIAO_WEIGHTS``, else ``weights`` in the user's cache folder.

    Raises:
        CiaoError: There is neither, nor a home.
    """
    if chosen := os.environ.get("CIAO_WEIGHTS"):
        return Path(chosen)
    if (cache := user_cache()) is None:
        raise CiaoError("there is no home folder to keep weights in: give one with --to DIR or CIAO_WEIGHTS=DIR")
    return cache / "weights"


def file_of(one: Entry, folder: Path) -> Path:
    """Return where the file lies, or would."""
    return folder / one.name / one.file


def record_of(one: Entry, folder: Path) -> Path:
    """Return where what is known of the file lies, or would."""
    return folder / one.name / "recorded.json"


def read_record(one: Entry, folder: Path) -> Record | None:
    """Return what was recorded of a file, None where it was never fetched.

    Raises:
        CiaoError: The record is damaged.
    """
    path = record_of(one, folder)
    try:
        about = json.loads(path.read_text())
        checked = about["checked"]
        return Record(str(about["sha256"]), str(about["source"]), tuple(map(int, checked)) if checked else None)  # type: ignore[arg-type]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CiaoError(f"{path} is damaged: delete it, then the file counts as never fetched") from error


def write_record(one: Entry, folder: Path, record: Record) -> None:
    """Write down what is known of a file.

    Raises:
        CiaoError: It cannot be written.
    """
    about = {"sha256": record.sha256, "source": record.source, "checked": record.checked}
    write_text(record_of(one, folder), json.dumps(about, indent=2) + "\n")


def expected_sha256(one: Entry, folder: Path) -> str | None:
    """Return the sha256 that the file has to have: the manifest's, else the recorded one, else None."""
    if one.sha256:
        return one.sha256
    record = read_record(one, folder)
    return record.sha256 if record else None


def is_here(one: Entry, folder: Path) -> bool:
    """Tell whether the right file is here. It is read through only if it changed since that was last done.

    Raises:
        CiaoError: Its record is damaged, or it cannot be read.
    """
    path, record, expected = file_of(one, folder), read_record(one, folder), expected_sha256(one, folder)
    try:
        if expected is None or not path.is_file():
            return False
        stamp = _stamp(path)
        if record and (record.sha256, record.checked) == (expected, stamp):
            return True
        if one.size not in (None, stamp[0]) or sha256_of(path) != expected:
            return False
    except OSError as error:
        raise CiaoError(f"cannot read {path}: {error.strerror}") from error
    source = record.source if record else "unknown"
    with contextlib.suppress(CiaoError):  # in a folder that is read-only it is read through each time
        write_record(one, folder, Record(expected, source, stamp))
    return True


def weights_path(name: str, folder: Path | None = None) -> Path:
    """Return the checked file of these weights. It is never downloaded here.

    Args:
        name: One of :func:`~ciao_stream.encoders.weights.manifest.names`.
        folder: Where to look; :func:`weights_folder` unless given.

    Raises:
        UnknownNameError: There are no such weights.
        CiaoError: The file is not here, or not the right one; the message has the command that fetches it.
    """
    one = entry(name)
    looked_in = weights_folder() if folder is None else folder
    path = file_of(one, looked_in)
    if is_here(one, looked_in):
        return path
    wrong = "is not the file that was expected" if path.exists() else "is not here yet"
    raise CiaoError(f"the weights {name} are needed but {path} {wrong}: {how_to_get(one, folder)}")


def how_to_get(one: Entry, folder: Path | None = None) -> str:
    """Say what to run, and what to do before it where no program can download the file."""
    to = ["--to", str(folder)] if folder else []
    if one.url:
        return f"run {shlex.join([*_COMMAND, one.name, *to])}"
    by_hand = shlex.join([*_COMMAND, one.name, "--file", one.file, *to])
    return f"download {one.file} from {one.page} in a browser, then run {by_hand}"


def load_state(name: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Load the tensors of fetched weights, on the CPU. Nothing in the file is ever executed.

    Args:
        name: One of :func:`~ciao_stream.encoders.weights.manifest.names`.
        folder: Where to look; :func:`weights_folder` unless given.

    Returns:
        The file's own names and tensors.

    Raises:
        CiaoError: As :func:`weights_path`; or the file needs code to be run, or holds no tensors.
    """
    return read_state(entry(name), weights_path(name, folder))


def read_state(one: Entry, path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file of an entry's format.

    Raises:
        CiaoError: The file needs code to be run, is no file of that format, or holds no tensors.
    """
    from torch import Tensor

    if one.format == "safetensors":
        state = _read_safetensors(path)
    elif one.format == "state_dict":
        state = _read_state_dict(path)
    else:
        raise CiaoError(f"{path} is {one.format}, which is not read here; see {one.page}")
    if one.key is not None:
        state = state.get(one.key) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        where = f" under {one.key!r}" if one.key else ""
        raise CiaoError(f"{path} holds no named tensors{where}: it is another file than the weights {one.name}")
    return dict(state)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    return _digest(path, hashlib.sha256()).hexdigest()


def git_blob_of(path: Path) -> str:
    """Return the name that git gives a file of this content."""
    header = b"blob %d\0" % path.stat().st_size
    return _digest(path, hashlib.sha1(header, usedforsecurity=False)).hexdigest()


def remember(one: Entry, folder: Path) -> None:
    """Note that the file, which has just taken its name, has the recorded sha256."""
    record = read_record(one, folder)
    if record:
        write_record(one, folder, Record(record.sha256, record.source, _stamp(file_of(one, folder))))


def _digest(path: Path, digest: Any) -> Any:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest


def _stamp(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns


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
                    raise CiaoError(f"{path} is a TorchScript program, not plain tensors: it is not loaded")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickles: either they load or they are refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CiaoError:
        raise
    except UnpicklingError as error:
        raise CiaoError(
            f"{path} is not loaded: opening it would run code of its own, or it is no file of tensors "
            f"({_first_line(error)})"
        ) from error
    except (RuntimeError, ValueError, OSError, EOFError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise CiaoError(f"{path} cannot be read as a file of tensors: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return what went wrong without torch's advice to switch the safety off."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "GLOBAL" in line] or lines or [type(error).__name__]
    return telling[0].split(". ")[0][:200]
