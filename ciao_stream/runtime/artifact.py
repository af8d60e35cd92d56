"""A trained module on disk: one folder with a JSON description and weights in safetensors.

Each file is whole or absent, and the description, which holds a hash of the weights, is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.atomic import write_bytes, write_text
from ciao_stream.runtime.expect import described


@dataclass(frozen=True)
class Artifact:
    """How one kind of module lies in its folder.

    Args:
        what: What it is called in errors (``world``).
        about: File of the description.
        weights: File of the weights.
        format: Value of ``format`` in the description; a folder with another one is refused.
        fields: Names that the description must have.
        error: The error to raise.
        end: Ends the description.
    """

    what: str
    about: str
    weights: str
    format: str
    fields: tuple[str, ...] = ()
    error: type[CiaoError] = CiaoError
    end: str = ""

    def write(
        self,
        folder: Path,
        about: Mapping[str, Any],
        module: nn.Module,
        others: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Write a module; the folder is created if it is missing.

        Args:
            folder: Where.
            about: JSON values of the description, without ``format``.
            module: The module. Its state is written, from whatever device it is on.
            others: Further tensors by file name. The description records each file's hash as ``STEM_sha256``.

        Raises:
            CiaoError: A file cannot be written.
        """
        about = {"format": self.format, **about}
        write_bytes(folder / self.weights, _encoded(module.state_dict()))
        for name, tensors in (others or {}).items():
            data = _encoded(tensors)
            about[_hash_of(name)] = hashlib.sha256(data).hexdigest()
            write_bytes(folder / name, data)
        write_text(folder / self.about, json.dumps(about, indent=1) + self.end)

    def read(self, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the description and the weights.

        Raises:
            CiaoError: A file is missing or damaged, or of another format.
        """
        try:
            about = json.loads((folder / self.about).read_text())
            weights = load((folder / self.weights).read_bytes())
        except FileNotFoundError as error:
            raise self.error(f"no {self.what} in {folder}: {Path(error.filename).name} is missing") from error
        except (OSError, ValueError, RecursionError, SafetensorError) as error:
            raise self.damaged(folder, error) from error
        found = about.get("format") if isinstance(about, dict) else about
        if found != self.format:
            raise self.error(f"{folder / self.about}: expected format {self.format} but got {described(found)}")
        if missing := sorted({*self.fields} - about.keys()):
            raise self.damaged(folder, f"{self.about} lacks {', '.join(missing)}")
        return about, weights

    def read_other(self, folder: Path, about: Mapping[str, Any], name: str) -> dict[str, Tensor] | None:
        """Return the tensors of a further file; None if the description records no such file.

        Raises:
            CiaoError: The file is missing or damaged.
        """
        if _hash_of(name) not in about:
            return None
        try:
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != about[_hash_of(name)]:
                raise self.damaged(folder, f"{name} does not have the recorded sha256")
            return load(data)
        except OSError as error:
            raise self.damaged(folder, f"{name}: {error.strerror}") from error
        except SafetensorError as error:
            raise self.damaged(folder, f"{name}: {error}") from error

    def restore(
        self, folder: Path, make: Callable[[], nn.Module], weights: Mapping[str, Tensor], intact: Callable[[Any], bool]
    ) -> Any:
        """Return a module with these weights.

        Args:
            folder: Where they were read.
            make: Makes the module.
            weights: Its state.
            intact: Whether the module with these weights has the recorded hash.

        Raises:
            CiaoError: The weights do not fit the module, or do not have the recorded hash.
        """
        try:
            module = make()
            module.load_state_dict(weights, strict=True)
        except (RuntimeError, TypeError) as error:
            raise self.error(f"{self.what} in {folder}: weights do not fit: {' '.join(str(error).split())}") from error
        if not intact(module):
            raise self.damaged(folder, "its weights do not have the recorded sha256")
        return module

    def damaged(self, folder: Path, problem: object) -> CiaoError:
        """Return the error of a damaged folder."""
        return self.error(f"{self.what} in {folder} is damaged: {' '.join(str(problem).split())}")


def _encoded(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _hash_of(name: str) -> str:
    return f"{Path(name).stem}_sha256"
