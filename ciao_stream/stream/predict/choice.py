"""Chooses the world that answers for each face of a stream, while newer versions of the worlds take over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ciao_stream.faces.statistics import Floats
from ciao_stream.stream.log.messages import FrameHeader
from ciao_stream.worlds.answers import Smoother
from ciao_stream.worlds.choice import Prototype, problem
from ciao_stream.worlds.world import World


class Chooser:
    """The choice among the newest version of the worlds: see :mod:`ciao_stream.worlds.choice`.

    Args:
        smooth: Time constant in frames for smoothing the scores of one producer and camera; None: no smoothing.
        tell: Called with one line about each world that is not a candidate.
    """

    def __init__(self, smooth: float | None, tell: Callable[[str], None]) -> None:
        self._choice = Prototype([])
        self._smoother = None if smooth is None else Smoother(smooth)
        self._tell = tell
        self.worlds: Sequence[str] = ()
        """Names of the candidates."""

    def take(self, worlds: Sequence[World], first: bool) -> None:
        """Choose among these worlds from now on.

        Args:
            worlds: The worlds of one version.
            first: Whether it is the first version. In a later one, a world that cannot be judged is reported and
                dropped.

        Raises:
            CiaoError: A world of the first version cannot be judged.
        """
        problems = {} if first else {world.spec.name: problem(world) for world in worlds}
        for text in filter(None, problems.values()):
            self._tell(text)
        candidates = [world for world in worlds if not problems.get(world.spec.name)]
        self._choice, self.worlds = Prototype(candidates), [world.spec.name for world in candidates]

    def scores(self, header: FrameHeader, features: Floats) -> dict[str, float]:
        """Return the scores of the worlds that can be judged now; the highest wins.

        Args:
            header: The frame's.
            features: float64 (F,).
        """
        names, scores = self._choice.names, self._choice.scores(features[None])[0]
        if self._smoother is not None:
            scores = self._smoother((header.producer, header.camera), "/".join(names), scores)
        return dict(zip(names, scores.tolist(), strict=True))
