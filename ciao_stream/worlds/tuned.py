"""``tuned.json``: the best settings of a search, per task, over one encoder; read by ``benchmark --heads``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.worlds.settings import Settings

FORMAT = "ciao_stream/tuned/1"
TUNED = "tuned.json"


@dataclass(frozen=True)
class TunedHeads:
    """Settings by task, and their origin.

    Args:
        path: The file.
        sha256: Of its bytes.
        encoder: ``name`` and ``fingerprint`` of the encoder of the search.
        settings: By name of the task.
        space_sha256: Of the search space.
    """

    path: Path
    sha256: str
    encoder: Mapping[str, str]
    settings: Mapping[str, Settings]
    space_sha256: str

    def of_task(self, task: str) -> Settings:
        """Return the settings of a task.

        Raises:
            CiaoError: The file has none for it.
        """
        if task not in self.settings:
            problem = UnknownNameError("task", task, self.settings)
            raise CiaoError(f"--heads {self.path}: {problem}; tune it too, or omit it from --tasks")
        return self.settings[task]

    def check_encoder(self, name: str, fingerprint: str) -> None:
        """Check that an encoder is the one of the search.

        Raises:
            CiaoError: It is another one.
        """
        if fingerprint != self.encoder["fingerprint"]:
            theirs = f"{self.encoder['name']} ({self.encoder['fingerprint'][:12]})"
            raise CiaoError(
                f"--heads {self.path} was tuned over encoder {theirs}, not over {name} ({fingerprint[:12]}): "
                "choose that encoder, or tune over this one"
            )

    def describe(self) -> dict[str, str]:
        """Return the entry of a results document."""
        return {"file": self.path.name, "sha256": self.sha256, "space_sha256": self.space_sha256}


def read_tuned(path: Path) -> TunedHeads:
    """Read a file that a search wrote.

    Raises:
        CiaoError: It cannot be read, has another format, or contains an unknown or invalid setting.
    """
    try:
        data = path.read_bytes()
        found = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise CiaoError(f"--heads {path}: cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CiaoError(f"--heads {path}: expected format {FORMAT}, as `python -m ciao_stream.tune` writes it")
    try:
        encoder = {key: str(found["encoder"][key]) for key in ("name", "fingerprint")}
        settings = {name: Settings.from_json(task["settings"]) for name, task in found["tasks"].items()}
        return TunedHeads(path, hashlib.sha256(data).hexdigest(), encoder, settings, str(found["space_sha256"]))
    except CiaoError as error:
        raise CiaoError(f"--heads {path}: {error}") from error
    except (AttributeError, LookupError, TypeError) as error:
        raise CiaoError(f"--heads {path} is damaged: {type(error).__name__} {error}") from error
