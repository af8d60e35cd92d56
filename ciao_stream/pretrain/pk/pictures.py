"""Pictures of what PK has learned: reconstructions, and faces along arousal and valence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ciao_stream.pretrain.curves import Picture
from ciao_stream.pretrain.method import Batch
from ciao_stream.pretrain.pk.trainer import PkLearner, as_image
from ciao_stream.report.figures import save_figure

AROUSAL = (1.0, 0.5, 0.0, -0.5, -1.0)
"""Of the rows of a grid, from above."""

VALENCE = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Of its columns, from the left."""

GAP = 4
"""White pixels between faces."""

DOTS_PER_INCH = 100


def to_rgb(faces: Tensor, colours: str) -> Picture:
    """Turn faces in [-1, 1], (B, channels, size, size), into uint8 RGB (B, size, size, 3).

    Args:
        faces: From :func:`~ciao_stream.pretrain.pk.trainer.as_image` or the generator.
        colours: ``gray``, ``rgb`` or ``bgr``.
    """
    planes = ((faces.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
    if colours == "gray":
        planes = planes.expand(-1, 3, -1, -1)
    elif colours == "bgr":
        planes = planes.flip(1)
    return np.ascontiguousarray(planes.permute(0, 2, 3, 1).numpy())


def tiled(faces: Picture, columns: int) -> Picture:
    """Lay faces (B, size, size, 3) out in rows, with white between them."""
    n, size = len(faces), faces.shape[1]
    rows, cell = -(-n // columns), size + GAP
    sheet = np.full((rows * cell - GAP, columns * cell - GAP, 3), 255, np.uint8)
    for i, face in enumerate(faces):
        top, left = i // columns * cell, i % columns * cell
        sheet[top : top + size, left : left + size] = face
    return sheet


def reconstruction_sheet(learner: PkLearner, batch: Batch) -> Picture:
    """Return the faces of a batch above what the generator makes of them."""
    colours = learner.autoencoder.encoder.preprocessing.channels
    pair = torch.cat([as_image(batch.pixels), learner.reconstruct(batch)])
    return tiled(to_rgb(pair, colours), len(batch.pixels))


def arousal_valence_sheet(learner: PkLearner, face: Tensor) -> Picture:
    """Return one face, uint8 (1, channels, size, size), for every pair of arousal and valence."""
    grid = torch.tensor([[a, v] for a in AROUSAL for v in VALENCE], device=face.device)
    made = learner.reconstruct(Batch(face.expand(len(grid), -1, -1, -1), grid))
    return tiled(to_rgb(made, learner.autoencoder.encoder.preprocessing.channels), len(VALENCE))


def write_reconstructions(path: Path, learner: PkLearner, batch: Batch, title: str) -> None:
    """Write the image of :func:`reconstruction_sheet`, whole or not at all."""
    sheet = reconstruction_sheet(learner, batch)
    figure = _figure(title, sheet.shape[1], sheet.shape[0])
    axes = figure.subplots()
    _show(axes, sheet)
    size = batch.pixels.shape[-1]
    axes.set_yticks([size / 2, size * 1.5 + GAP], ["face", "reconstruction"])
    save_figure(path, figure, DOTS_PER_INCH)


def write_arousal_valence(path: Path, learner: PkLearner, batch: Batch, title: str) -> None:
    """Write, for each face of a batch, the face above its grid of :func:`arousal_valence_sheet`."""
    size, colours = batch.pixels.shape[-1], learner.autoencoder.encoder.preprocessing.channels
    sheets = [arousal_valence_sheet(learner, face) for face in batch.pixels.split(1)]
    originals = to_rgb(as_image(batch.pixels), colours)
    height, width, _ = sheets[0].shape
    figure = _figure(title, len(sheets) * (width + size), height + 2 * size)
    panels = figure.subplots(2, len(sheets), squeeze=False, height_ratios=(size, height))
    places = [i * (size + GAP) + size / 2 for i in range(len(VALENCE))]
    for panel, original, (arousal, valence) in zip(panels[0], originals, batch.labels.tolist(), strict=True):
        _show(panel, original)
        panel.set_title(f"a face of arousal {arousal:+.2f}, valence {valence:+.2f}", fontsize=9)
    for panel, sheet in zip(panels[1], sheets, strict=True):
        _show(panel, sheet)
        panel.set_xticks(places, [f"{v:g}" for v in VALENCE])
        panel.set_yticks(places, [f"{a:g}" for a in AROUSAL])
        panel.set_xlabel("valence")
        panel.set_ylabel("arousal")
    save_figure(path, figure, DOTS_PER_INCH)


def _figure(title: str, width: int, height: int) -> Figure:
    """Return a figure with room for so many pixels, a title and labels."""
    size = (max(width / DOTS_PER_INCH, 5.0) + 1, height / DOTS_PER_INCH + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure


def _show(axes: Axes, picture: Picture) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
