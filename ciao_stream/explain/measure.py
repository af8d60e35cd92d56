"""The measurements of one world on a set of faces, as ``explain.json`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ciao_stream.explain.cam import METHODS
from ciao_stream.explain.curves import CONTROLS, Kind, curve
from ciao_stream.explain.folder import Name
from ciao_stream.explain.inhibition import MaskEffect
from ciao_stream.explain.regions import Box, areas, region_masses
from ciao_stream.explain.sanity import CASCADE, shuffled
from ciao_stream.explain.similarity import linear_cka, mean_cosine, rank_correlations
from ciao_stream.explain.targets import Target, answered
from ciao_stream.explain.views import Views
from ciao_stream.report.intervals import mean_interval
from ciao_stream.worlds.world import World

KINDS: tuple[Kind, ...] = ("deletion", "insertion")
OWN = "own map"

Number = dict[str, float | int | None]


@dataclass(frozen=True, eq=False)
class Look:
    """The saliency of one world for one label of each face.

    Args:
        name: The world.
        label: What is explained; None for the prediction of each face.
        outputs: float32 (N, n_out).
        target: What is explained of each face.
        saliency: float32 (N, h, w).
        method: How it was found, one of :data:`ciao_stream.explain.cam.METHODS`.
    """

    name: Name
    label: str | None
    outputs: Tensor
    target: Target
    saliency: Tensor
    method: str

    @property
    def words(self) -> list[str]:
        """The world's prediction of each face, in words."""
        return self.target.words(self.outputs)


def look(name: Name, world: World, views: Views, label: str | None = None, method: str = "grad-cam++") -> Look:
    """Predict faces with a world, and compute its saliency.

    Raises:
        UnknownNameError: The task has no such label.
    """
    outputs = views.outputs(world)
    target = answered(world.spec, outputs, label)
    return Look(name, label, outputs, target, views.saliency(world, target, METHODS[method]), method)


def measure_regions(found: Look, boxes: Mapping[str, Box]) -> dict[str, Any]:
    """Return the share of the maps in each part of the face, and the part's share of the image."""
    area = areas(boxes)
    masses = region_masses(found.saliency, boxes)
    return {part: {**number(mass.double().numpy()), "area": area[part]} for part, mass in masses.items()}


def measure_curves(found: Look, world: World, views: Views, seed: int) -> dict[str, Any]:
    """Return the areas under the deletion and insertion curves of the first faces, of the maps and of controls.

    Args:
        found: Where the world looks.
        world: The world.
        views: The first faces of ``found``, at least two.
        seed: Draws random maps.
    """
    n = len(views)
    target, own = found.target.take(slice(n)), found.saliency[:n]
    maps = {OWN: own, **{control: make(own, seed) for control, make in CONTROLS.items()}}
    result: dict[str, Any] = {}
    for kind in KINDS:
        curves = {name: curve(kind, world, views, target, one) for name, one in maps.items()}
        result[kind] = {
            name: {
                **number(one.areas),
                "curve": [float(v) for v in one.confidence.mean(axis=0)],
                **({} if name == OWN else {"own_less_this": number(curves[OWN].areas - one.areas)}),
            }
            for name, one in curves.items()
        }
    return result


def measure_sanity(found: Look, world: World, views: Views, seed: int) -> dict[str, Any]:
    """Return how alike the maps are to those of a world with shuffled weights, by rank correlation of their places.

    ``other face`` is the correlation with the same world's maps of other faces: what its maps have in common anyway.
    """
    result: dict[str, Any] = {}
    for extent in CASCADE:
        twin = shuffled(world, extent, seed)
        there = Views(twin.shared, views.pixels)
        result[extent] = number(
            rank_correlations(found.saliency, there.saliency(twin, found.target, METHODS[found.method]))
        )
    result["other face"] = number(rank_correlations(found.saliency, found.saliency.roll(1, dims=0)))
    return result


def measure_mask(effect: MaskEffect) -> dict[str, Any]:
    """Return what a mask does, over all faces and channel by channel."""
    passed = effect.raw.double() * effect.passed.double()
    active = effect.active
    return {
        "passed": float(passed.sum() / effect.raw.double().sum()),
        "active_channels": int(active.sum()),
        "learned_spread": float(effect.learned[active].std()) if int(active.sum()) > 1 else 0.0,
        "channels": [
            {
                "channel": c,
                "active": bool(active[c]),
                "activity": float(effect.activity[:, c].mean()),
                "passed": float(effect.channel_passed[c]),
                "passed_at_start": float(effect.channel_passed_at_start[c]),
                "learned": float(effect.learned[c]),
            }
            for c in range(len(active))
        ],
    }


def measure_pairs(worlds: Mapping[Name, World], looks: Mapping[Name, Look], views: Views) -> list[dict[str, Any]]:
    """Return how alike each two worlds see the same faces: their maps (cosine, CKA), and where they look."""
    maps = {name: views.maps(world) for name, world in worlds.items()}
    names = [*worlds]
    return [
        {
            "worlds": [list(a), list(b)],
            "cosine": mean_cosine(maps[a], maps[b]) if maps[a].shape == maps[b].shape else None,
            "cka": _or_none(linear_cka(maps[a], maps[b])),
            "attention": number(rank_correlations(looks[a].saliency, looks[b].saliency))
            if looks[a].saliency.shape == looks[b].saliency.shape
            else None,
        }
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]


def number(values: npt.NDArray[np.float64]) -> Number:
    """Return the mean over the faces with a value, half its 95 % interval, and the number of these faces."""
    there = values[np.isfinite(values)]
    mean, half = mean_interval(there.tolist())
    return {"mean": _or_none(mean), "interval": _or_none(half), "n": len(there)}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
