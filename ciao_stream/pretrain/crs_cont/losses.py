r"""The three-part loss of CRS-CONT.

With two views of each face of a batch, their projections :math:`z`, and coarse logits :math:`c`:

.. math:: L = L_{sup}(z) + L_{ce}(c) + 0.4\, L_{ins}(c)

- :math:`L_{sup}`: supervised contrast (Eq. 2 of [1]) of both views by coarse label, each anchor weighted: 0.5 for a
  negative one, else 1. The weight keeps the many kinds of negative expressions from collapsing into one [0].
- :math:`L_{ce}`: cross-entropy of the first view's logits with the coarse label.
- :math:`L_{ins}`: contrast of the softmax of the logits, L2-normalised, in which only the two views of one face are
  alike.

References:
    - [0] Li, Wang, Ding, Yang: CRS-CONT, IEEE TIP 31, 2022, and its code, where the paper's text is silent
    - [1] Khosla et al.: Supervised Contrastive Learning, NeurIPS 2020, https://arxiv.org/abs/2004.11362
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ciao_stream.pretrain.crs_cont.coarse import NEGATIVE
from ciao_stream.worlds.losses import contrastive


@dataclass(frozen=True)
class Weights:
    """Weights of the parts.

    Args:
        negative: Of negative anchors in the supervised contrast; 1 for the others.
        instance: Of the contrast of coarse logits.
        views: Of a further contrast of projections, in which only the two views of one face are alike (SimCLR). It is
            no part of CRS-CONT: 0 there.
        temperature: Of every contrast.
    """

    negative: float = 0.5
    instance: float = 0.4
    views: float = 0.0
    temperature: float = 0.07


class Parts(NamedTuple):
    """The parts of one batch's loss, scalars, before their weights."""

    supervised: Tensor
    coarse: Tensor
    instance: Tensor
    views: Tensor

    def total(self, weights: Weights) -> Tensor:
        """Return the weighted sum."""
        return self.supervised + self.coarse + weights.instance * self.instance + weights.views * self.views


def loss_parts(projections: Tensor, private: Tensor | None, logits: Tensor, shares: Tensor, weights: Weights) -> Parts:
    """Return the parts of the loss.

    Args:
        projections: (2B, D), of the first views, then of the second ones.
        private: (2B, D), the projections of the further contrast; None where that has no weight.
        logits: (2B, 4), coarse, in the same order.
        shares: float32 (B, 4), coarse shares; the largest is the coarse label of the contrast.
        weights: Temperatures and weights.
    """
    n = len(shares)
    labels = shares.argmax(dim=1)
    anchors = torch.where(labels == NEGATIVE, weights.negative, 1.0)
    faces = torch.arange(n, device=shares.device).repeat(2)
    t = weights.temperature
    return Parts(
        contrastive(projections, labels.repeat(2), t, "supcon", anchors.repeat(2)),
        F.cross_entropy(logits[:n], shares),
        contrastive(logits.softmax(dim=1), faces, t, "supcon"),
        logits.new_zeros(()) if private is None else contrastive(private, faces, t, "supcon"),
    )
