"""How common classes are among what a step learns from, and how common the answers are to take them to be.

A class-balanced memory shows rare classes more often than they come. A decision layer that learns from it answers as if
they came that often. Logit adjustment [0] takes this out: a step is taken on ``outputs + log(pi)``, of which ``pi`` is
what the mixture makes of each class's share, so that the outputs themselves, which answer, know nothing of the mixture.

References:
    - [0] Menon et al.: Long-tail Learning via Logit Adjustment, ICLR 2021, https://arxiv.org/abs/2007.07314 (Eq. 10)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ciao_stream.stream.learner.settings import ClassPrior


def log_shift(
    prior: ClassPrior, new: int, drawn: int, seen: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    r"""Return what is added to the outputs in a step, :math:`\log(q_c / p_c)`, float32 (K,).

    ``q`` is the mixture that the step learns from: new faces as the stream brings them, drawn ones as the memory holds
    them. ``p`` is what answers are to take for granted. One face more than there were is counted of each class, so that
    a class that has not come yet is rare, not impossible.

    Args:
        prior: ``p``: shares of the stream, or even ones.
        new: New faces in the step.
        drawn: Those from the memory.
        seen: (K,) faces of each class that came.
        kept: (K,) those that the memory holds.
    """
    stream, memory = (((n + 1) / (n + 1).sum()) for n in (seen, kept))
    mixture = (new * stream + drawn * memory) / (new + drawn)
    assumed = stream if prior == "stream" else np.full(len(seen), 1 / len(seen))
    return np.log(mixture / assumed).astype(np.float32)
