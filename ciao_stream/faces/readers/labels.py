"""Names of emotions: every data set's own class order is mapped to the canonical one by name, never by position.

FER2013's csv puts sad, surprise, neutral at 4, 5, 6; its folder version, in alphabetical order, has neutral, sad,
surprise there. A loader that goes by number permutes three classes and notices nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.faces.task import EMOTIONS

SYNONYMS: dict[str, tuple[str, ...]] = {
    "neutral": ("ne", "neutrality", "calm"),
    "happiness": ("happy", "ha", "joy", "joyful"),
    "surprise": ("surprised", "su"),
    "sadness": ("sad", "sa"),
    "anger": ("angry", "an"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "scared", "afraid", "fe"),
    "contempt": ("contemptuous",),
}
"""Other names that data sets give to the canonical emotions (JAFFE's two-letter codes among them)."""

_CANONICAL = {name: emotion for emotion in EMOTIONS for name in (emotion, *SYNONYMS[emotion])}


def canonical(name: str, labels: Sequence[str] = EMOTIONS, what: str = "emotion") -> str:
    """Return the canonical name of an emotion; case and surrounding blanks do not matter.

    Args:
        name: A data set's own name of a class (``Angry``).
        labels: The canonical names on offer.
        what: What such a name is called in an error (``class folder``).

    Raises:
        UnknownNameError: It is no known name of any of ``labels``; the nearest names are suggested.

    >>> canonical(" Angry")
    'anger'
    """
    found = _CANONICAL.get(name.strip().lower())
    if found is None or found not in labels:
        known = [word for word, emotion in _CANONICAL.items() if emotion in labels and len(word) > 2]
        raise UnknownNameError(what, name, known)
    return found


def class_map(native: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return where each native class stands among ``labels``: ``class_map(native, labels)[native_index]``.

    Args:
        native: A data set's own class names, in its own order.
        labels: Canonical names, in the order of the task.

    Returns:
        int64 (len(native),), values in ``[0, len(labels))``.

    Raises:
        UnknownNameError: A native name stands for none of ``labels``.

    >>> class_map(["angry", "happy", "sad"], EMOTIONS)
    array([4, 1, 3])
    """
    return np.array([labels.index(canonical(name, labels)) for name in native], dtype=np.int64)
