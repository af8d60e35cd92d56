"""Configuration of a learner: how it is made and how it follows its stream; picklable for another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.device import torch_device
from ciao_stream.stream.learner.settings import FollowSettings, StreamSettings
from ciao_stream.worlds.settings import PRESETS, Settings

if TYPE_CHECKING:
    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.learner.follow import Follower
    from ciao_stream.stream.learner.learner import OnlineLearner
    from ciao_stream.stream.log.log import FrameLog


@dataclass(frozen=True)
class LearnerConfig:
    """Configuration of a learner. What is not given is taken from the existing learner, or else is the default.

    Args:
        encoder: Name of the encoder shared by all worlds.
        device: ``auto``, ``cpu`` or ``cuda``.
        preset: Preset of the worlds' settings.
        changes: Settings of the preset to replace.
        seed: Of the run.
        learning: Fields of :class:`~ciao_stream.stream.learner.settings.StreamSettings` that are given, by name.
        following: How the stream is followed.

    Raises:
        CiaoError: A setting is unknown or out of range.
    """

    encoder: str = "ciao-face"
    device: str = "auto"
    preset: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    learning: Mapping[str, Any] = field(default_factory=dict)
    following: FollowSettings = field(default_factory=FollowSettings)

    def __post_init__(self) -> None:
        StreamSettings(**self.learning)
        self.world_settings()

    def world_settings(self) -> Settings:
        """Return the settings of each world."""
        return PRESETS[self.preset or "online"].changed(self.changes)

    def follower(
        self, folder: LearnerFolder, connect: Callable[[], FrameLog], *, stop: Stop, watch: Callable[[Follower], object]
    ) -> Follower:
        """Return a follower with the learner of a folder, or a fresh one; the folder must be claimed.

        Args:
            folder: The learner's.
            connect: Returns the stream's log.
            stop: Requests to stop.
            watch: Called with the follower about every second.

        Raises:
            CiaoError: The encoder is not available, a file in the folder is damaged, or the learner in it was created
                with different settings.
        """
        from ciao_stream.encoders import load_encoder
        from ciao_stream.stream.learner.follow import Follower
        from ciao_stream.stream.learner.learner import OnlineLearner

        encoder = load_encoder(self.encoder).to(torch_device(self.device))
        fresh = OnlineLearner(encoder, StreamSettings(**self.learning), self.world_settings(), self.seed or 0)
        follower = Follower(fresh, folder, connect, self.following, stop=stop, watch=watch)
        self._require_same(follower.learner, folder)
        return follower

    def _require_same(self, found: OnlineLearner, folder: LearnerFolder) -> None:
        """Refuse settings that contradict the existing learner."""
        wrong = [
            "--" + name.replace("_", "-")
            for name, value in self.learning.items()
            if getattr(found.settings, name) != value
        ]
        if (self.preset or self.changes) and found.world_settings != self.world_settings():
            wrong.append("--preset and --set")
        if self.seed is not None and found.seed != self.seed:
            wrong.append("--seed")
        if wrong:
            raise CiaoError(
                f"the learner in {folder.path} was created with a different {' and '.join(wrong)}: omit "
                f"{'it' if len(wrong) == 1 else 'them'} to resume, or choose another --worlds folder"
            )
