r"""CAFE: a frozen feature of the face, times a sigmoid mask that a network of its own reads from the image.

With :math:`f \in R^C` the frozen feature, :math:`x` the image and :math:`m` the mask network,

.. math:: v = f \odot \sigma(m(x)), \qquad outputs = W v + b

and :math:`m`, :math:`W` and :math:`b` learn, separately for each task, from

.. math:: L = CE(outputs) + 5 \, L_{div} + 1.5 \, L_{sep}

with :func:`diversity_loss` and :func:`separation_loss`. Optimiser, batch and constants are those of the authors'
code; epochs are the settings', the schedule then ends earlier than after its 60. It predicts by the linear layer, as
the code does, although the paper [0] says that it avoids one.

The two terms on channels are those of the code, the mutual-channel loss [1] for features without positions.

What differs from the authors:

- They augment the image before both networks. Here the frozen feature comes from the cache: a flip, noise and an
  erased patch are seen by the mask network alone, and the mask is put on the feature of the face as it was.
- Their frozen feature is CLIP's, signed; here it is the mean of the encoder's map.
- Their mask network is pre-trained on faces; here its first weights are random.
- They report the best epoch on the test split; here the last epoch is tested, once.

References:
    - [0] Zhang et al.: Generalizable Facial Expression Recognition, ECCV 2024, https://arxiv.org/abs/2408.10614;
      code: https://github.com/zyh-uaiaaaa/Generalizable-FER
    - [1] Chang et al.: The Devil is in the Channels: Mutual-Channel Loss for Fine-Grained Image Classification, IEEE
      TIP 29, 2020, https://arxiv.org/abs/2002.04264
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.transforms import RandomErasing

from ciao_stream.encoders.base import Encoder, Level, state_sha256
from ciao_stream.encoders.encoded import EncodedFaces
from ciao_stream.exceptions import CiaoError, WorldError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.artifact import Artifact
from ciao_stream.runtime.device import autocast, channels_last
from ciao_stream.runtime.seeds import numpy_generator, seeded_torch
from ciao_stream.worlds.losses import decision_loss
from strategies.base.driver import Judged, Learner, LossCurve, Strategy
from strategies.base.sequence import Job, Predictor, SplitFaces

FOLDER = Artifact(
    "CAFE", about="cafe.json", weights="weights.safetensors", format="ciao_stream/cafe/1",
    fields=("task", "encoder", "sha256"), error=WorldError,
)  # fmt: skip

LR, DECAY, WEIGHT_DECAY, BATCH = 2e-4, 0.9, 1e-4, 32
"""Adam's learning rate, its factor from epoch to epoch, Adam's L2 penalty, and faces per step."""

DIVERSITY, SEPARATION = 5.0, 1.5
"""Weights of the two terms on channels."""

DROPPED = 10 / 73
"""Share of a group's channels that a step leaves out: 10 of the 73 that a class has of CLIP's 512."""

ERASED, NOISE = (0.02, 0.25), 30.0
"""Share of an image that a patch erases, and the variance of noise on pixels in [0, 255]."""

EVAL_BATCH = 256
"""Faces per batch of evaluation."""

LEVELS: tuple[Level, Level] = ("pixels", "u")
"""What the mask network reads, and what the frozen feature is made of."""

LEAST_SIZE = 32
"""Pixels on a side that a network which halves an image five times needs. On smaller ones its last strided convolution
has a single position, and its gradient in bfloat16 came out different each time (torch 2, CPU)."""

WIDTHS = (32, 64, 128, 256)
"""Channels of the 3x3 convolutions: 0.45 million parameters for masks of 256 channels, 0.52 million for 512."""

Batches = Iterator[tuple[Tensor, Tensor]]
"""Faces at one level, with their targets."""

MaskNetwork = Callable[[int, int], nn.Module]
"""Makes a network from normalised images (B, channels, size, size) to (B, C); takes ``channels`` and ``C``."""


def frozen_feature(maps: Tensor, n_out: int) -> Tensor:
    """Return what the mask is put on: the mean of each channel of maps (B, C, h, w), (B, C).

    Groups of channels need as many numbers as there are classes. From an encoder with fewer channels than classes they
    are means over the coarsest square grid that has enough.
    """
    return F.adaptive_avg_pool2d(maps, math.ceil(math.sqrt(n_out / maps.shape[1]))).flatten(1)


def group_maxima(v: Tensor, n_out: int) -> Tensor:
    """Return the largest value of each class's group of channels, (B, n_out).

    Group g holds channels ``g * s`` to ``g * s + s - 1``, where ``s = C // n_out``. The last ``C % n_out`` channels
    belong to no group: of 512 channels 7 classes have 73 each, and one is left over.

    Args:
        v: Masked features, float (B, C), with C >= n_out.
        n_out: Number of classes.
    """
    size = v.shape[1] // n_out
    return v[:, : n_out * size].unflatten(1, (n_out, size)).amax(dim=2)


def diversity_loss(v: Tensor, n_out: int) -> Tensor:
    r"""Channel-diverse loss, a scalar: small where in every group some channel is let through and fires.

    .. math:: L_{div} = 1 - \frac{1}{B n s} \sum_{i=1}^{B} \sum_{g=1}^{n} \max_{c \in G_g} v_{ic}

    with n classes and :math:`s = |G_g|`; it has no lower bound of its own but that of the features.
    """
    return 1 - group_maxima(v, n_out).mean() / (v.shape[1] // n_out)


def separation_loss(spec: TaskSpec, v: Tensor, targets: Tensor, kept: Tensor) -> Tensor:
    r"""Channel-separated cross-entropy, a scalar: the strongest kept channel of a class's group is the class's logit.

    .. math:: L_{sep} = CE\left(\max_{c \in G_g} k_c v_{ic}\right)

    Args:
        spec: The task; against votes the cross-entropy has soft targets.
        v: Masked features, float (B, C).
        targets: In the layout of the kind.
        kept: :math:`k`, (C,), 0 for channels that this step leaves out: see :func:`draw_kept`. Such a channel counts
            as 0, which a group of negative values does not exceed.
    """
    return decision_loss(spec, group_maxima(v * kept, spec.n_out), targets)


def draw_kept(channels: int, n_out: int) -> Tensor:
    """Draw the channels that one step keeps, float32 (channels,) of 0 and 1, from torch's default CPU generator.

    Of each group equally many are dropped, :data:`DROPPED` of it, rounded; the same for all faces of the batch.
    """
    size = channels // n_out
    kept = torch.ones(channels)
    for group in range(n_out):
        kept[group * size + torch.randperm(size)[: round(size * DROPPED)]] = 0
    return kept


def noisy(pixels: Tensor) -> Tensor:
    """Add normal noise of variance :data:`NOISE` to about half of the faces, uint8 (B, channels, size, size)."""
    chosen = (torch.rand(len(pixels)) < 0.5).float().view(-1, 1, 1, 1)
    noise = math.sqrt(NOISE) * torch.randn(pixels.shape) * chosen
    return (pixels + noise.to(pixels.device)).clamp(0, 255).to(torch.uint8)


def augment(images: Tensor) -> Tensor:
    """Flip about half of the images and erase a patch of about half, drawn for each from torch's default generator.

    Args:
        images: Normalised, float32 (B, channels, size, size); erased is what becomes 0.
    """
    flipped = torch.rand(len(images), device=images.device) < 0.5
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    erase = RandomErasing(scale=ERASED)
    return torch.stack([erase(image) for image in images])


class ResNetMask(nn.Module):
    """A ResNet-18 with random first weights, from images to the logits of a mask.

    Where there are 512 logits they are its pooled feature itself, as in the authors' code. That is never negative, so
    that such a mask lies in [0.5, 1): it halves a channel at most. Any other number is a linear layer on it.

    Args:
        channels: Of the images, 1 or 3; gray is shown to all three. Those smaller than :data:`LEAST_SIZE` are enlarged.
        n_out: Number of logits.
    """

    def __init__(self, channels: int, n_out: int) -> None:
        super().__init__()
        self.repeats = 3 // channels
        self.net = resnet18(weights=None)
        width = self.net.fc.in_features
        self.net.fc = nn.Identity() if n_out == width else nn.Linear(width, n_out)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, channels, size, size) to (B, n_out)."""
        if images.shape[-1] < LEAST_SIZE:
            images = F.interpolate(images, LEAST_SIZE, mode="bilinear")
        return self.net(images.repeat(1, self.repeats, 1, 1))


def small_mask(channels: int, n_out: int) -> nn.Sequential:
    """Return four convolutions, each halving the image, then global mean and a linear layer to the logits of a mask.

    Args:
        channels: Of the images, 1 or 3.
        n_out: Number of logits.
    """
    layers: list[nn.Module] = []
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_out))


class CafeNet(nn.Module):
    """One task's mask network and linear layer; its parameters are what training moves.

    Args:
        spec: The task; it has classes.
        encoder: The shared frozen encoder; nothing of it is kept but its name, fingerprint and preprocessing.
        mask_network: Makes the mask network.
    """

    def __init__(self, spec: TaskSpec, encoder: Encoder, mask_network: MaskNetwork) -> None:
        super().__init__()
        self.spec = spec
        self.preprocessing = encoder.preprocessing
        self.encoder = {"name": encoder.name, "fingerprint": encoder.fingerprint()}
        channels = frozen_feature(torch.zeros(1, *encoder.shapes()[1]), spec.n_out).shape[1]
        self.mask = mask_network(1 if self.preprocessing.channels == "gray" else 3, channels)
        self.linear = nn.Linear(channels, spec.n_out)
        self.to(encoder.device)
        channels_last(self)

    def masked(self, images: Tensor, maps: Tensor) -> Tensor:
        """Return the masked features ``v``, float32 (B, C).

        Args:
            images: What the mask network sees, normalised, float32 (B, channels, size, size).
            maps: The frozen encoder's maps of the same faces, float32 (B, C, h, w).
        """
        with autocast(images.device):
            logits = self.mask(images)
        return frozen_feature(maps, self.spec.n_out) * logits.float().sigmoid()

    def losses(self, images: Tensor, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three terms: cross-entropy of the outputs, diversity and separation, each a scalar."""
        v = self.masked(images, maps)
        kept = draw_kept(v.shape[1], self.spec.n_out).to(v.device)
        return (
            decision_loss(self.spec, self.linear(v), targets),
            diversity_loss(v, self.spec.n_out),
            separation_loss(self.spec, v, targets, kept),
        )

    @torch.no_grad()
    def predict(self, pixels: Tensor, maps: Tensor) -> Tensor:
        """Return logits in evaluation mode, float32 (B, n_out), of pixels, uint8, and maps of the same faces."""
        self.eval()
        return self.linear(self.masked(self.preprocessing.normalise(pixels), maps))

    def parameter_count(self) -> int:
        """Return the number of parameters that training moves."""
        return sum(p.numel() for p in self.parameters())

    def save(self, folder: Path, **provenance: Any) -> None:
        """Write ``weights.safetensors`` and ``cafe.json``, each whole or absent, the description last.

        Args:
            folder: Made where it is missing.
            provenance: JSON values about the training, kept under ``trained_on``.
        """
        about = {"task": self.spec.to_json(), "encoder": self.encoder, "sha256": state_sha256(self)}
        FOLDER.write(folder, {**about, "trained_on": provenance}, self)

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, mask_network: MaskNetwork) -> CafeNet:
        """Read what :meth:`save` wrote.

        Raises:
            WorldError: A file is missing or damaged, or another encoder or mask network is meant.
        """
        about, weights = FOLDER.read(folder)
        try:
            spec, fingerprint = TaskSpec.from_json(about["task"]), about["encoder"]["fingerprint"]
        except (CiaoError, LookupError, TypeError) as error:
            raise FOLDER.damaged(folder, error) from error
        if fingerprint != encoder.fingerprint():
            raise WorldError(f"CAFE in {folder} was made for another encoder than {encoder.name}")
        return FOLDER.restore(
            folder,
            lambda: cls(spec, encoder, mask_network),
            weights,
            lambda made: state_sha256(made) == about["sha256"],
        )


@dataclass(frozen=True)
class Cafe(Strategy):
    """Learns one :class:`CafeNet` per task that has classes; of a task's settings epochs and balance count.

    A finished task is a net on disk and its column of R; a stopped run resumes with the next one.

    Args:
        mask_network: Makes the mask network.
    """

    mask_network: MaskNetwork
    also_reads = ("pixels",)

    def learner(self, job: Job, masked: bool) -> _CafeLearner:  # noqa: ARG002
        """Return a learner with fresh nets."""
        return _CafeLearner(job, self.mask_network)

    def refuse(self, spec: TaskSpec) -> str:
        """Refuse tasks without classes."""
        why = f"{spec.kind} targets do not fit CAFE, which parts its channels among classes"
        return "" if spec.has_classes else why

    def load(self, folder: Path, encoder: Encoder) -> CafeNet:
        """Read the net of a task that a run of this strategy left in the job's folder, under the task's name.

        Raises:
            WorldError: As :meth:`CafeNet.load`.
        """
        return CafeNet.load(folder, encoder, self.mask_network)

    def predictor(self, job: Job, spec: TaskSpec, masked: bool) -> Predictor:  # noqa: ARG002
        """Return the predictions of the net that a finished run of the job left for a task.

        Raises:
            WorldError: As :meth:`CafeNet.load`.
        """
        return functools.partial(_outputs, self.load(job.folder / spec.name, job.encoder))


class _CafeLearner(Learner):
    """Learns one net per task; its randomness depends on seed, task and epoch alone."""

    def __init__(self, job: Job, mask_network: MaskNetwork) -> None:
        self.job = job
        self.mask_network = mask_network
        self.net = functools.cache(self._fresh)
        self.curves: dict[str, LossCurve] = {}

    def learn(self, spec: TaskSpec, faces: SplitFaces) -> None:
        """Train a task's net for as many epochs as its settings ask for."""
        net, curve = self.net(spec), self.curves.setdefault(spec.name, LossCurve())
        optimizer = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
        for epoch in range(self.job.settings[spec.name].epochs):
            for group in optimizer.param_groups:
                group["lr"] = LR * DECAY**epoch
            net.train()
            with seeded_torch(self.job.seed, spec.name, "epoch", epoch):
                read = (self._shuffled(spec, faces(level), epoch) for level in LEVELS)
                for pixels, maps, targets in _batches(net, read):
                    images = augment(net.preprocessing.normalise(noisy(pixels)))
                    decision, diversity, separation = net.losses(images, maps, targets)
                    optimizer.zero_grad()
                    (decision + DIVERSITY * diversity + SEPARATION * separation).backward()
                    optimizer.step()
                    curve.add(len(images), decision=decision.detach())
            curve.end_epoch()
            self.job.on_epoch(spec.name)

    def outputs(self, spec: TaskSpec, faces: SplitFaces) -> Tensor:
        return _outputs(self.net(spec), faces)

    def sha256(self, spec: TaskSpec) -> str:
        return state_sha256(self.net(spec))

    def cost(self, spec: TaskSpec) -> dict[str, float]:
        return {"trained_parameters": self.net(spec).parameter_count()}

    def details(self, spec: TaskSpec, judged: Judged) -> dict[str, Any]:
        curve = self.curves[spec.name].details(self.job.settings[spec.name].epochs)
        return {**curve, **super().details(spec, judged)}

    def save(self, spec: TaskSpec) -> None:
        self.net(spec).save(self.job.folder / spec.name, seed=self.job.seed)

    def _fresh(self, spec: TaskSpec) -> CafeNet:
        with seeded_torch(self.job.seed, spec.name, "cafe"):
            return CafeNet(spec, self.job.encoder, self.mask_network)

    def _shuffled(self, spec: TaskSpec, faces: EncodedFaces, epoch: int) -> Batches:
        """Read an epoch's batches, in the same order at every level."""
        order = numpy_generator(self.job.seed, spec.name, "epoch", epoch)
        return (faces.balanced(order) if self.job.settings[spec.name].balanced else faces).batches(BATCH, order)


def _outputs(net: CafeNet, faces: SplitFaces) -> Tensor:
    batches = _batches(net, (faces(level).batches(EVAL_BATCH) for level in LEVELS))
    return torch.cat([net.predict(pixels, maps).cpu() for pixels, maps, _ in batches])


def _batches(net: CafeNet, levels: Iterable[Batches]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Return pixels, maps and targets of the same faces, on the net's device."""
    device = net.linear.weight.device
    for (pixels, targets), (maps, _) in zip(*levels, strict=True):
        yield pixels.to(device), maps.to(device), targets.to(device)
