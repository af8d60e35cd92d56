"""The losses of CIAO: supervised contrast (Eq. 2-4) and the head's loss for every kind of target (Eq. 5).

References:
    - [0] Barros, Sciutti: CIAO!, 2022, https://arxiv.org/abs/2208.07221
    - [1] Khosla et al.: Supervised Contrastive Learning, NeurIPS 2020, https://arxiv.org/abs/2004.11362
    - [2] Sohn: Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ciao_stream.faces.task import TaskSpec
from ciao_stream.worlds.settings import ContrastForm

VALUE_BINS = 10
"""Bins over [-1, 1] into which arousal and valence are cut for the contrast, as in the authors' code."""


def decision_loss(spec: TaskSpec, outputs: Tensor, targets: Tensor) -> Tensor:
    """``L_dm`` of Eq. 5 [0]: the head's loss, a scalar, mean over the batch.

    Args:
        spec: The task; its kind chooses the loss: cross-entropy (categorical; votes with soft targets), mean squared
            error (dimensional), binary cross-entropy (multilabel).
        outputs: (B, n_out), as :class:`ciao_stream.worlds.heads.Head` gives them.
        targets: In the layout of the kind: :data:`ciao_stream.faces.task.Kind`.
    """
    if spec.kind == "dimensional":
        return F.mse_loss(outputs, targets)
    if spec.kind == "multilabel":
        return F.binary_cross_entropy_with_logits(outputs, targets)
    return F.cross_entropy(outputs, targets)


def output_embedding(spec: TaskSpec, outputs: Tensor) -> Tensor:
    """Turn outputs into what the paper's code contrasts: class shares, present labels or values, (B, n_out)."""
    if spec.kind == "dimensional":
        return outputs
    return outputs.sigmoid() if spec.kind == "multilabel" else outputs.softmax(dim=1)


def contrast_classes(spec: TaskSpec, targets: Tensor) -> Tensor:
    """Make the discrete labels that the contrast needs, int64 (passes, B): one row, one contrast.

    Categorical: the class. Votes: the class with most votes. Dimensional: each dimension's bin, one pass each [0,
    below Eq. 5]. Multilabel: presence of each label, one pass each.
    """
    if spec.kind == "categorical":
        return targets.unsqueeze(0)
    if spec.kind == "votes":
        return targets.argmax(dim=1).unsqueeze(0)
    if spec.kind == "dimensional":
        return ((targets + 1) / 2 * VALUE_BINS).long().clamp(0, VALUE_BINS - 1).T
    return targets.long().T


def contrastive(
    embeddings: Tensor, classes: Tensor, temperature: float, form: ContrastForm, anchor_weights: Tensor | None = None
) -> Tensor:
    r"""Supervised contrast over one batch, a scalar.

    With :math:`s_{ij} = z_i \cdot z_j / t` over L2-normalised embeddings (Eq. 2), :math:`P(i)` the other samples of
    the class of i, and :math:`K(i)` the samples of other classes:

    - ``eq3`` (Eq. 3-4 of [0] as written): :math:`\sum_i \frac{-1}{N-1} \sum_{j \in P(i)} \log
      \frac{\exp s_{ij}}{\sum_{k \in K(i)} \exp s_{ik}}`, over anchors that have both
    - ``supcon`` (Eq. 2 of [1]): mean over anchors with positives of :math:`\frac{-1}{|P(i)|} \sum_{j \in P(i)} \log
      \frac{\exp s_{ij}}{\sum_{k \ne i} \exp s_{ik}}`
    - ``npairs`` (the authors' code, after [2]): mean over i of the cross-entropy between row softmax and the
      same-class indicator normalised per row, the self-pair included

    Args:
        embeddings: (N, D); normalised here.
        classes: int64 (N,).
        temperature: ``t`` > 0.
        form: ``eq3``, ``supcon`` or ``npairs``.
        anchor_weights: (N,), factors of the anchors' terms in ``supcon``; None for 1.

    Returns:
        The loss; 0 (with a gradient of 0) where no anchor has the pairs that the form needs.
    """
    z = F.normalize(embeddings.float(), dim=1)
    scores = z @ z.T / temperature  # (N, N)
    same = classes.unsqueeze(0) == classes.unsqueeze(1)
    if form == "npairs":
        share = same.float() / same.sum(dim=1, keepdim=True)
        return -(share * scores.log_softmax(dim=1)).sum(dim=1).mean()
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive = same & ~itself
    others = ~same if form == "eq3" else ~itself
    usable = positive.any(dim=1) & others.any(dim=1)
    if not usable.any():
        return scores.sum() * 0
    scores, positive, others = scores[usable], positive[usable], others[usable]
    log_ratio = scores - scores.masked_fill(~others, -torch.inf).logsumexp(dim=1, keepdim=True)
    per_anchor = -(log_ratio * positive).sum(dim=1)
    if form == "eq3":
        return per_anchor.sum() / (len(z) - 1)
    terms = per_anchor / positive.sum(dim=1)
    return (terms if anchor_weights is None else terms * anchor_weights[usable]).mean()


def contrastive_loss(
    spec: TaskSpec, embeddings: Tensor, targets: Tensor, temperature: float, form: ContrastForm
) -> Tensor:
    """``L_CIAO`` of Eq. 4 for every kind of target: the mean over the passes of :func:`contrast_classes`."""
    passes = contrast_classes(spec, targets)
    return torch.stack([contrastive(embeddings, classes, temperature, form) for classes in passes]).mean()
