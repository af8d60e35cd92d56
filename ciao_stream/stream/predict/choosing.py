"""Chooses for each face of a stream the world that answers, while versions of the worlds come and go."""

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
    """A rule over the newest version of the worlds.

    Args:
        rule: One of :data:`ciao_stream.worlds.choice.RULES`.
        smooth: Time constant in frames over which scores are smoothed for one producer and camera; None: not at all.
        tell: Told in one line of a world that is left out.
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
            first: Whether it is the first version: then a world that the rule cannot judge is an error. Later it is
                told and left out.

        Raises:
            CiaoError: As said.
        """
        left_out = {} if first else {world.spec.name: problem(self._name, world) for world in worlds}
        for said in filter(None, left_out.values()):
            self._tell(said)
        self._rule = make_rule(self._name, [world for world in worlds if not left_out.get(world.spec.name)])

    @property
    def worlds(self) -> Sequence[str]:
        """Names of the worlds among which is chosen."""
        return [*self._rule.specs]

    def scores(
        self, header: FrameHeader, features: Floats, outputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> dict[str, float]:
        """Return the scores of the worlds that can be judged now; the highest is chosen.

        Args:
            header: The frame's.
            features: (F,).
            outputs: By world, (n_out,).
        """
        names = self._rule.names
        faces = Faces([header.frame_id], features[None], {name: outputs[name][None] for name in names})
        scores = self._rule.scores(faces)[0]
        if self._smoother is not None:
            scores = self._smoother((header.producer, header.camera), "/".join(names), scores)
        return dict(zip(names, scores.tolist(), strict=True))
