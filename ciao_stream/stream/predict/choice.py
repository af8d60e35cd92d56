"""Chooses the world that answers for each face of a stream, while newer versions of the worlds take over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ciao_stream.faces.statistics import Floats
from ciao_stream.stream.log.messages import FrameHeader
from ciao_stream.worlds.answers import Smoother
from ciao_stream.worlds.choice import Faces, Rule, make_rule, problem
from ciao_stream.worlds.world import World


class Chooser:
    """A rule of choice over the newest version of the worlds.

    Args:
        rule: One of :data:`ciao_stream.worlds.choice.RULES`.
        smooth: Time constant in frames for smoothing the scores of one producer and camera; None: no smoothing.
        tell: Called with one line about each world that is not a candidate.
    """

    def __init__(self, rule: str, smooth: float | None, tell: Callable[[str], None]) -> None:
        self._name = rule
        self._rule: Rule = make_rule(rule, [])
        self._smoother = None if smooth is None else Smoother(smooth)
        self._tell = tell

    def take(self, worlds: Sequence[World], first: bool) -> None:
        """Choose among these worlds from now on.

        Args:
            worlds: The worlds of one version.
            first: Whether it is the first version. In a later one, a world that the rule cannot judge is reported and
                dropped.

        Raises:
            CiaoError: The rule cannot judge a world of the first version.
        """
        problems = {} if first else {world.spec.name: problem(self._name, world) for world in worlds}
        for text in filter(None, problems.values()):
            self._tell(text)
        self._rule = make_rule(self._name, [world for world in worlds if not problems.get(world.spec.name)])

    @property
    def worlds(self) -> Sequence[str]:
        """Names of the candidates."""
        return [*self._rule.specs]

    def scores(
        self, header: FrameHeader, features: Floats, outputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> dict[str, float]:
        """Return the scores of the worlds that can be judged now; the highest wins.

        Args:
            header: The frame's.
            features: (F,).
            outputs: By world, float32 (n_out,).
        """
        names = self._rule.names
        faces = Faces([header.frame_id], features[None], {name: outputs[name][None] for name in names})
        scores = self._rule.scores(faces)[0]
        if self._smoother is not None:
            scores = self._smoother((header.producer, header.camera), "/".join(names), scores)
        return dict(zip(names, scores.tolist(), strict=True))
