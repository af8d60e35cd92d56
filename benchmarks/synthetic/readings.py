"""The reading of each world: the rule by which it labels action units. No reading is the true one.

A reading is a function of the AU vector only. The four worlds with classes find the nearest event of
:data:`~benchmarks.synthetic.action_units.EVENTS` and look it up in their lexicon. The other two weigh AUs directly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.action_units import EVENTS, PROTOTYPES, Actions, actions
from ciao_stream.faces.task import EMOTIONS, TaskSpec

Scores = npt.NDArray[np.float64]

CLASS_WORLDS: tuple[str, ...] = ("affectnet", "fer", "ferplus", "jaffe")
"""Worlds with one class per face, in the order of the columns of :data:`LEXICON`."""

LEXICON: dict[str, tuple[str, str, str, str]] = {
    # event              affectnet    fer          ferplus      jaffe
    "rest":             ("neutral",   "neutral",   "neutral",   "neutral"),
    "open smile":       ("happiness", "happiness", "happiness", "happiness"),
    "polite smile":     ("happiness", "neutral",   "neutral",   "happiness"),
    "pressed smile":    ("contempt",  "happiness", "happiness", "neutral"),
    "smirk":            ("contempt",  "happiness", "contempt",  "disgust"),
    "beaming gape":     ("happiness", "surprise",  "happiness", "surprise"),
    "gape":             ("surprise",  "surprise",  "surprise",  "fear"),
    "raised brows":     ("surprise",  "neutral",   "surprise",  "fear"),
    "wide eyes":        ("fear",      "surprise",  "fear",      "anger"),
    "tense stare":      ("fear",      "fear",      "fear",      "fear"),
    "frown":            ("anger",     "anger",     "anger",     "anger"),
    "squint":           ("anger",     "sadness",   "neutral",   "disgust"),
    "shout":            ("anger",     "fear",      "anger",     "surprise"),
    "snarl":            ("disgust",   "anger",     "anger",     "fear"),
    "wrinkled nose":    ("disgust",   "disgust",   "disgust",   "disgust"),
    "grief":            ("sadness",   "sadness",   "sadness",   "sadness"),
    "mouth down":       ("sadness",   "anger",     "contempt",  "neutral"),
    "knit inner brows": ("sadness",   "fear",      "sadness",   "surprise"),
    "pressed lips":     ("neutral",   "anger",     "anger",     "sadness"),
    "grimace":          ("fear",      "disgust",   "fear",      "happiness"),
    "slack jaw":        ("surprise",  "neutral",   "sadness",   "sadness"),
    "sneer":            ("contempt",  "disgust",   "disgust",   "anger"),
}  # fmt: skip
"""The class of each event in each world with classes."""

SPECS: dict[str, TaskSpec] = {
    "affectnet": TaskSpec("affectnet", "categorical", EMOTIONS),
    "affectnet-va": TaskSpec("affectnet-va", "dimensional", ("arousal", "valence")),
    "fer": TaskSpec("fer", "categorical", EMOTIONS[:7]),
    "ferplus": TaskSpec("ferplus", "votes", EMOTIONS),
    "jaffe": TaskSpec("jaffe", "categorical", EMOTIONS[:7]),
    "emoreact": TaskSpec(
        "emoreact", "multilabel",
        ("curiosity", "uncertainty", "excitement", "happiness", "surprise", "disgust", "fear", "frustration"),
    ),
}  # fmt: skip
"""Kind and labels of each world's targets."""


def class_scores(world: str, aus: Actions) -> Scores:
    """Score the classes of a world for each face: linear in the AUs per event, the best event of each class.

    Event e scores ``aus @ p_e - |p_e|^2 / 2`` with prototype p_e: the highest is the nearest prototype.

    Args:
        world: One of :data:`CLASS_WORLDS`.
        aus: float64 (N, len(AUS)).

    Returns:
        float64 (N, n_out); the label is the class with the highest score.
    """
    events = aus @ PROTOTYPES.T - 0.5 * (PROTOTYPES**2).sum(axis=1)
    column = CLASS_WORLDS.index(world)
    names = [LEXICON[event.name][column] for event in EVENTS]
    return np.stack([events[:, [name == label for name in names]].max(axis=1) for label in SPECS[world].labels], axis=1)


def read_classes(world: str, aus: Actions) -> npt.NDArray[np.int64]:
    """Return the class of each face in ``world``, int64 (N,), without annotation errors."""
    best: npt.NDArray[np.int64] = class_scores(world, aus).argmax(axis=1).astype(np.int64)
    return best


_AROUSAL = actions(
    brow_raise=0.5, brow_lower=0.35, upper_lid_raise=0.75, lid_tighten=0.2, cheek_raise=0.25, nose_wrinkle=0.35,
    lip_corner_pull=0.35, smirk=0.1, lip_corner_depress=-0.25, lip_stretch=0.45, jaw_drop=0.65,
)  # fmt: skip
_VALENCE = actions(
    inner_brow_raise=-0.35, brow_raise=0.1, brow_lower=-0.55, upper_lid_raise=-0.1, lid_tighten=-0.15, cheek_raise=0.35,
    nose_wrinkle=-0.75, lip_corner_pull=1.0, smirk=0.15, lip_corner_depress=-0.7, lip_press=-0.3, lip_stretch=-0.45,
)  # fmt: skip


def read_dimensions(aus: Actions) -> Scores:
    """Return arousal and valence in affectnet-va, float64 (N, 2) in ``[-1, 1]``.

    ``tanh`` of a weighted sum of AUs; a face at rest has arousal -0.3 and valence 0.
    """
    read: Scores = np.tanh(aus @ np.stack([_AROUSAL, _VALENCE], axis=1) + np.array([-0.31, 0.0]))
    return read


_MULTILABEL: tuple[tuple[float, Actions], ...] = (
    (0.55, actions(brow_raise=0.9, inner_brow_raise=0.5, brow_lower=0.4, lid_tighten=0.5, jaw_drop=0.2)),
    (0.45, actions(inner_brow_raise=0.8, brow_lower=0.2, lip_press=0.6, smirk=0.6, lip_corner_depress=0.3)),
    (0.45, actions(lip_corner_pull=0.6, jaw_drop=0.7, upper_lid_raise=0.3, brow_raise=0.2, brow_lower=-0.4)),
    (0.30, actions(lip_corner_pull=1.0, smirk=0.4, cheek_raise=0.2, lip_press=-0.5, nose_wrinkle=-0.5)),
    (0.38, actions(brow_raise=0.6, upper_lid_raise=0.6, jaw_drop=0.6, lip_stretch=-0.3, brow_lower=-0.5)),
    (0.24, actions(nose_wrinkle=1.0, lip_stretch=0.2, lip_corner_depress=0.2, cheek_raise=0.1)),
    (0.40, actions(upper_lid_raise=0.7, lip_stretch=0.7, inner_brow_raise=0.4)),
    (0.40, actions(brow_lower=0.8, lip_press=0.5, lip_corner_depress=0.5, lip_corner_pull=-0.6)),
)


def read_labels(aus: Actions) -> npt.NDArray[np.bool_]:
    """Return the labels in emoreact at the apex of each clip, bool (N, 8): weighted sums of AUs above thresholds."""
    thresholds = np.array([threshold for threshold, _ in _MULTILABEL])
    return aus @ np.stack([weights for _, weights in _MULTILABEL], axis=1) > thresholds
