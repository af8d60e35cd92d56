"""The worlds in a folder of a finished benchmark, of a learner or of :meth:`ciao_stream.worlds.worlds.Worlds.save`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.runtime.folders import data_root
from ciao_stream.runtime.options import names
from ciao_stream.runtime.run_folder import CLAIM, begun
from strategies import MASKED

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.worlds.world import World

RESULTS = "results.json"


class Name(NamedTuple):
    """Which world of a folder: its task, and the strategy that trained it."""

    task: str
    strategy: str


@dataclass(frozen=True)
class WorldFolder:
    """The content of a folder, before any world is loaded.

    Args:
        path: The folder.
        worlds: Folder of each world, in order.
        document: ``results.json`` of a benchmark; None if the folder has only worlds.
        identity: ``run.json`` of a benchmark.
    """

    path: Path
    worlds: dict[Name, Path]
    document: dict[str, Any] | None
    identity: dict[str, Any] | None

    @property
    def tasks(self) -> list[str]:
        """Tasks that have worlds, in order."""
        return list(dict.fromkeys(name.task for name in self.worlds))

    @property
    def strategies(self) -> list[str]:
        """Strategies that left worlds, in order."""
        return list(dict.fromkeys(name.strategy for name in self.worlds))

    @property
    def options(self) -> dict[str, Any]:
        """The options of the benchmark; empty if the folder holds only worlds."""
        if self.document is None or self.identity is None:
            return {}
        return self.identity.get("plan") or _options_of_old(self.document["command"], self.identity)

    def only(self, tasks: Sequence[str] | None, strategies: Sequence[str] | None) -> WorldFolder:
        """Return the same folder with some of its worlds, in the given order.

        Args:
            tasks: None for all.
            strategies: None for all.

        Raises:
            UnknownNameError: It has no world of that task or strategy.
            CiaoError: No task, or no strategy, is named.
        """
        for what, given, known in (("task", tasks, self.tasks), ("strategy", strategies, self.strategies)):
            if given is not None and not given:
                raise CiaoError(f"no {what} given")
            for name in given or ():
                if name not in known:
                    raise UnknownNameError(f"{what} with worlds in {self.path}", name, known)
        wanted = [Name(t, s) for t in tasks or self.tasks for s in strategies or self.strategies]
        chosen = {name: self.worlds[name] for name in wanted if name in self.worlds}
        return WorldFolder(self.path, chosen, self.document, self.identity)

    def load_encoder(self, given: str | None) -> Encoder:
        """Load the encoder of the worlds.

        Args:
            given: Its name or folder; None: the one that the benchmark or the worlds recorded.

        Raises:
            CiaoError: It cannot be loaded, or is not that of the worlds.
        """
        about = _described(next(iter(self.worlds.values())))["encoder"]
        tried = [given] if given else dict.fromkeys([*names(self.options.get("encoder", "")), about["name"]])
        problems = []
        for name in tried:
            try:
                encoder = load_encoder(name)
            except CiaoError as error:
                problems.append(str(error))
                continue
            if encoder.fingerprint() == about["fingerprint"]:
                return encoder
            problems.append(f"{name} has the fingerprint {encoder.fingerprint()[:12]}")
        raise CiaoError(
            f"the worlds in {self.path} need encoder {about['name']} ({about['fingerprint'][:12]}), which was not "
            f"found: {'; '.join(problems)}; give its name or folder with --encoder"
        )

    def load(self, encoder: Encoder) -> dict[Name, World]:
        """Load the worlds.

        Raises:
            WorldError: As :meth:`ciao_stream.worlds.world.World.load`.
        """
        from ciao_stream.worlds.world import World

        return {name: World.load(folder, encoder) for name, folder in self.worlds.items()}


def find_worlds(path: Path, seed: int = 0) -> WorldFolder:
    """Look for worlds in a folder.

    Args:
        path: Of a benchmark; or one that holds worlds, each in a folder of its name, itself or under ``worlds``.
        seed: Which run of a benchmark.

    Raises:
        CiaoError: There is no such folder, its benchmark is not finished or damaged, or it has no world.
    """
    if not path.is_dir():
        raise CiaoError(f"--run {path}: no such folder; give the results folder of a benchmark")
    if begun(path) or (path / RESULTS).exists():
        return _of_benchmark(path, seed)
    for folder in (path, path / "worlds"):
        found = {_own_name(one.parent): one.parent for one in sorted(folder.glob("*/world.json"))}
        if found:
            return WorldFolder(path, found, None, None)
    raise CiaoError(f"--run {path}: neither a benchmark ({RESULTS}) nor worlds (NAME/world.json) are there")


def _of_benchmark(path: Path, seed: int) -> WorldFolder:
    if not (path / RESULTS).exists():
        raise CiaoError(
            f"--run {path}: {RESULTS} is missing: its benchmark is not finished (resume it with --resume), or is a "
            "suite, which has none"
        )
    document, identity = _read(path / RESULTS), _read(path / CLAIM)
    tasks = [task["name"] for task in document["tasks"]]
    strategies = list(dict.fromkeys(run["strategy"] for run in document["runs"]))
    seeds = sorted({run["seed"] for run in document["runs"]})
    if seed not in seeds:
        raise CiaoError(f"--run {path}: no seed {seed}; it ran seeds {', '.join(map(str, seeds))}")
    folders = {Name(t, s): path / "cells" / s / f"seed{seed}" / t for t in tasks for s in strategies}
    found = {name: folder for name, folder in folders.items() if (folder / "world.json").exists()}
    if not found:
        ran = ", ".join(strategies)
        raise CiaoError(
            f"--run {path}: none of its strategies ({ran}) left worlds there: run one of dl, lc, full or an adapter, "
            f"with or without {MASKED}"
        )
    return WorldFolder(path, found, document, identity)


def _own_name(folder: Path) -> Name:
    about = _described(folder)
    return Name(folder.name, f"{about['scheme']}{MASKED if about['masked'] else ''}")


def _described(folder: Path) -> dict[str, Any]:
    about = _read(folder / "world.json")
    named = isinstance(about.get("encoder"), dict) and {"name", "fingerprint"} <= about["encoder"].keys()
    if not (named and {"scheme", "masked"} <= about.keys()):
        raise WorldError(f"world in {folder} is damaged: world.json lacks its scheme or encoder")
    return about


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CiaoError(f"{path} is missing: give the whole results folder of a benchmark") from error
    except (OSError, ValueError) as error:
        raise CiaoError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise CiaoError(f"{path} is damaged: expected a JSON object")
    return content


def _options_of_old(command: Sequence[str], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a benchmark whose version recorded its command but no plan."""
    words = dict(pairwise(command)) | dict(w.split("=", 1) for w in command if "=" in w)
    crop = identity["crop"]
    return {
        "tasks": identity["tasks"],
        "data_root": data_root(words.get("--data-root")),
        "encoder": words.get("--encoder", "ciao-face"),
        "synthetic_size": int(words["--synthetic-size"]) if "--synthetic-size" in words else None,
        "judge_on": identity["judged"],
        "face_crop": crop["when"],
        "detector": crop["detector"],
        "no_face": crop["no_face"],
        "several_faces": crop["several"],
    }
