"""Training on a share of the labels, as if only some faces had been annotated."""

from __future__ import annotations

import numpy as np

from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.runtime.seeds import numpy_generator

LEAST = 2
"""A batch needs two samples."""


def some_labels(faces: FaceDataset, share: float, seed: int) -> FaceDataset:
    """Keep a share of the samples, the same share of every class; each seed draws different ones.

    A larger share includes the samples of a smaller one with the same seed. Every class keeps at least one sample, and
    every task at least two.

    Args:
        faces: The samples.
        share: In (0, 1]; 1 keeps all.
        seed: Seeds the draw.
    """
    if share == 1:
        return faces
    rng = numpy_generator(seed, "labels", faces.spec.name)
    strata = faces.classes() if faces.spec.has_classes else np.zeros(len(faces), dtype=np.int64)
    ranked = [rng.permutation(np.flatnonzero(strata == stratum)) for stratum in np.unique(strata)]
    least = 1 if len(ranked) >= LEAST else LEAST
    kept = [members[: max(least, round(share * len(members)))] for members in ranked]
    return faces.take(np.sort(np.concatenate(kept)))
