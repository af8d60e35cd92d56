"""AffectNet's valence and arousal: how pleasant and how excited each face looks, from -1 to 1.

Faces, splits and image sources are those of :mod:`benchmarks.datasets.affectnet`, so faces are encoded once for both.
All rated faces are used; some have none of the eight expressions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.datasets.affectnet import LAYOUT as LAYOUT
from benchmarks.datasets.affectnet import NOT_APPLICABLE, AnnotatedFaces, Labelled, read_release
from benchmarks.names import chosen_rule
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.task import TaskSpec

RULES: tuple[str, ...] = ("as annotated",)
"""Label rules; the first is the default."""

SPEC = TaskSpec("affectnet-va", "dimensional", ("arousal", "valence"))


def load(root: Path, rule: str | None = None) -> TaskData:
    """Load AffectNet's valence and arousal; no image is decoded.

    Args:
        root: Folder that holds the data sets.
        rule: One of :data:`RULES`, None for the first.

    Returns:
        Three splits with arousal and valence, float32 (N, 2); the images are uint8, of any size.

    Raises:
        DataError: The files are missing or damaged.
        UnknownNameError: There is no such rule.
    """
    chosen_rule(rule, RULES)
    return read_release(SPEC.name, root).task(SPEC, RULES[0], _label, {})


def _label(faces: AnnotatedFaces) -> Labelled:
    not_rated = (faces.values == NOT_APPLICABLE).any(axis=1)
    return Labelled(faces.values.astype(np.float32), {f"not rated ({NOT_APPLICABLE})": not_rated})
