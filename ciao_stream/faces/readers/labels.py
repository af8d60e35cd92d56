"""Names of emotions: the class order of each data set is mapped to the canonical one by name, never by position.

Classes 4, 5 and 6 are sad, surprise and neutral in FER2013's csv, but neutral, sad and surprise in its folder version:
a loader that goes by number would permute three classes without an error.
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
"""Other names of the canonical emotions in data sets, including JAFFE's two-letter codes."""

_CANONICAL = {name: emotion for emotion in EMOTIONS for name in (emotion, *SYNONYMS[emotion])}


def canonical(name: str, labels: Sequence[str] = EMOTIONS, what: str = "emotion") -> str:
    """Return the canonical name of an emotion; case and surrounding blanks do not matter.

    Args:
        name: Name of a class in a data set (``Angry``).
        labels: The canonical names that are allowed.
        what: What the name is called in an error (``class folder``).

    Raises:
        UnknownNameError: It is not a known name of any of ``labels``; similar names are suggested.

    >>> canonical(" Angry")
    'anger'
    """
    found = _CANONICAL.get(name.strip().lower())
    if found is None or found not in labels:
        known = [word for word, emotion in _CANONICAL.items() if emotion in labels and len(word) > 2]
        raise UnknownNameError(what, name, known)
    return found


def class_map(native: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the index in ``labels`` of each native class: ``class_map(native, labels)[native_index]``.

    Args:
        native: Class names of a data set, in its order.
        labels: Canonical names, in the order of the task.

    Returns:
        int64 (len(native),), values in ``[0, len(labels))``.

    Raises:
        UnknownNameError: A native name is none of ``labels``.

    >>> class_map(["angry", "happy", "sad"], EMOTIONS)
    array([4, 1, 3])
    """
    return np.array([labels.index(canonical(name, labels)) for name in native], dtype=np.int64)
