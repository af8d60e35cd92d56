"""What a face does: action units, events made of them, and the distribution of events, which all worlds share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic.draws import uniform

AUS: tuple[str, ...] = (
    "inner_brow_raise", "brow_raise", "brow_lower", "upper_lid_raise", "lid_tighten", "cheek_raise", "nose_wrinkle",
    "lip_corner_pull", "smirk", "lip_corner_depress", "lip_press", "lip_stretch", "jaw_drop",
)  # fmt: skip
"""Names of the action units, in the order of every AU vector; each is an intensity in ``[0, 1]``.

``smirk`` is the one-sided lip corner pull. ``nose_wrinkle`` also raises the upper lip.
"""

Actions = npt.NDArray[np.float64]
"""float64 (..., len(AUS)) in ``[0, 1]``."""


def actions(**intensities: float) -> Actions:
    """Return an AU vector, float64 (len(AUS),), from named intensities; the others are 0.

    >>> actions(jaw_drop=0.9)[AUS.index("jaw_drop")].item()
    0.9
    """
    vector = np.zeros(len(AUS))
    for name, intensity in intensities.items():
        vector[AUS.index(name)] = intensity
    return vector


@dataclass(frozen=True)
class Event:
    """An event: its name (a description, never an emotion), its frequency and its typical AU vector."""

    name: str
    weight: float
    prototype: Actions


EVENTS: tuple[Event, ...] = (
    Event("rest", 0.07, actions()),
    Event("open smile", 0.07, actions(lip_corner_pull=0.9, cheek_raise=0.7, jaw_drop=0.35)),
    Event("polite smile", 0.045, actions(lip_corner_pull=0.7)),
    Event("pressed smile", 0.05, actions(lip_corner_pull=0.7, lip_press=0.85)),
    Event("smirk", 0.05, actions(smirk=0.95)),
    Event("beaming gape", 0.045, actions(lip_corner_pull=0.85, brow_raise=0.75, jaw_drop=0.8)),
    Event("gape", 0.055, actions(brow_raise=0.9, jaw_drop=0.9, upper_lid_raise=0.6)),
    Event("raised brows", 0.045, actions(brow_raise=0.95)),
    Event("wide eyes", 0.045, actions(upper_lid_raise=0.95, lip_stretch=0.35)),
    Event("tense stare", 0.05, actions(inner_brow_raise=0.75, brow_raise=0.3, upper_lid_raise=0.9, lip_stretch=0.8)),
    Event("frown", 0.055, actions(brow_lower=0.9, lid_tighten=0.6, lip_press=0.75)),
    Event("squint", 0.05, actions(brow_lower=0.7, lid_tighten=0.85)),
    Event("shout", 0.045, actions(brow_lower=0.9, upper_lid_raise=0.4, jaw_drop=0.85)),
    Event("snarl", 0.045, actions(brow_lower=0.75, nose_wrinkle=0.8, lip_stretch=0.6)),
    Event("wrinkled nose", 0.06, actions(nose_wrinkle=0.95, cheek_raise=0.4, lip_corner_depress=0.3)),
    Event("grief", 0.06, actions(inner_brow_raise=0.9, lip_corner_depress=0.85)),
    Event("mouth down", 0.045, actions(lip_corner_depress=0.95)),
    Event("knit inner brows", 0.045, actions(inner_brow_raise=0.95, brow_lower=0.35)),
    Event("pressed lips", 0.045, actions(lip_press=0.95)),
    Event("grimace", 0.045, actions(lip_stretch=0.95, lid_tighten=0.5)),
    Event("slack jaw", 0.04, actions(jaw_drop=0.8)),
    Event("sneer", 0.045, actions(smirk=0.8, nose_wrinkle=0.6)),
)
"""The events, with weights that sum to 1 after :func:`draw_actions` normalises them."""

PROTOTYPES: Actions = np.stack([event.prototype for event in EVENTS])
"""float64 (len(EVENTS), len(AUS))."""

_CUMULATIVE = np.cumsum([event.weight for event in EVENTS])


def draw_actions(key: str, rows: npt.ArrayLike) -> Actions:
    """Draw an AU vector for each row: an event, its strength, and variation of every AU.

    Args:
        key: Name of the random stream, as in :func:`benchmarks.synthetic.draws.uniform`.
        rows: Integers of shape (N,).

    Returns:
        float64 (N, len(AUS)): ``strength * prototype * gain + stray``, clipped to ``[0, 1]``. Strength is uniform
        in [0.8, 1.2], gain uniform in [0.75, 1.25] per AU, stray 0.25 times the fourth power of a uniform number.
    """
    n_aus = len(AUS)
    numbers = uniform(key, rows, 2 + 2 * n_aus)
    event = np.searchsorted(_CUMULATIVE, numbers[:, 0] * _CUMULATIVE[-1], side="right")
    strength = 0.8 + 0.4 * numbers[:, 1:2]
    gain = 0.75 + 0.5 * numbers[:, 2 : 2 + n_aus]
    stray = 0.25 * numbers[:, 2 + n_aus :] ** 4
    drawn: Actions = np.clip(strength * PROTOTYPES[event] * gain + stray, 0.0, 1.0)
    return drawn
