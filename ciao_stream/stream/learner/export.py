"""Writes the worlds of an online learner where everything else can load them."""

from __future__ import annotations

from pathlib import Path

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.learner import OnlineLearner


def export_worlds(learner: OnlineLearner, folder: Path) -> list[str]:
    """Write each world to a folder of its name: see :meth:`ciao_stream.worlds.world.World.save`.

    Args:
        learner: The learner.
        folder: Made where it is missing.

    Returns:
        A line for each world that could not be written.
    """
    problems = []
    for name, world in learner.worlds.items():
        about = {"position": learner.position, "n_applied": learner.n_applied, "counts": dict(world.counts)}
        try:
            world.world.save(folder / name, stream=about)
        except CiaoError as error:
            problems.append(str(error))
    return problems
