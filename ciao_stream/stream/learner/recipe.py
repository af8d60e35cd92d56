"""What a learner is to be: all that makes one and says how it follows, in a form that travels to another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.command import torch_device
from ciao_stream.stream.learner.pace import FollowSettings
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.worlds.settings import PRESETS, Settings

if TYPE_CHECKING:
    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.learner.folder import LearnerFolder
    from ciao_stream.stream.learner.follow import Follower
    from ciao_stream.stream.learner.learner import OnlineLearner
    from ciao_stream.stream.log.log import FrameLog


@dataclass(frozen=True)
class Recipe:
    """What a learner is to be; what is not said is as a learner has it that is there already, or else the default.

    Args:
        encoder: Name of what all worlds stand on.
        device: ``auto``, ``cpu`` or ``cuda``.
        preset: What worlds are made of.
        changes: Settings of the preset that are replaced.
        seed: Of the run.
        learning: Settings of :class:`~ciao_stream.stream.learner.settings.StreamSettings`, by name.
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
        """Return what worlds are made of."""
        preset = self.preset or "online"
        if preset not in PRESETS:
            raise UnknownNameError("preset", preset, PRESETS)
        return PRESETS[preset].changed(self.changes)

    def follower(
        self,
        folder: LearnerFolder,
        connect: Callable[[], FrameLog],
        *,
        stop: Stop,
        watch: Callable[[Follower], None],
    ) -> Follower:
        """Return the learner of a folder, or a fresh one, ready to follow its stream; the folder must be claimed.

        Args:
            folder: Where it lives.
            connect: Returns the stream's log.
            stop: Through which it can be asked to stop.
            watch: Shown the follower about every second.

        Raises:
            CiaoError: The encoder cannot be had, a file in the folder is damaged, or the learner there is another one.
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
        """Refuse what contradicts the learner that is there already."""
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
                f"the learner in {folder.path} was made with other {', '.join(wrong)}: leave these out to go on with "
                "it, or choose another --worlds"
            )


def summary(follower: Follower) -> str:
    """Return in one line what a follower came to."""
    ledger, refused = follower.ledger, follower.ledger.refused.total()
    parts = [f"{follower.frames:,} frames now, {ledger.frames:,} in all, up to {follower.learner.position}"]
    if refused:
        parts.append(f"{refused:,} messages refused")
    if ledger.tracker.lost:
        parts.append(f"{ledger.tracker.lost:,} lost on the way")
    return f"learned: {'; '.join(parts)}; in {follower.folder.path}"
