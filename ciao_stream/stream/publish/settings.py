"""What a publisher sends, and how fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ciao_stream.runtime.options import option, validate

Form = Literal["jpeg", "png"]


@dataclass(frozen=True)
class PublishSettings:
    """What a publisher sends, and how fast.

    Args:
        labelled: Whether labels are sent.
        later: Frames after which the label of a frame follows it. None sends it with its frame.
        form: How images are encoded; ``png`` is lossless.
        rate: Maximum number of frames per second.
        limit: Stop after this many frames.

    Raises:
        CiaoError: A value is out of range.
    """

    labelled: bool = True
    later: int | None = option(None, least=1)
    form: Form = "png"
    rate: float | None = option(None, above=0, shown="as fast as the stream takes them")
    limit: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        contradiction = self.later is not None and not self.labelled
        validate(self, also=["later: expected none, because no labels are sent"] if contradiction else [])

    def decides(self) -> dict[str, Any]:
        """Return the values that determine the messages and their order.

        The rate does not. The limit only ends them sooner, unless late labels follow the last frame.
        """
        decides = asdict(self)
        del decides["rate"]
        if self.later is None:
            del decides["limit"]
        return decides
