"""One explanation: load worlds and faces, compute maps, measure, draw and save."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from ciao_stream.exceptions import UnknownNameError
from ciao_stream.explain import measure
from ciao_stream.explain.curves import BLUR, STEPS
from ciao_stream.explain.drawing import ACROSS, SILENCED, Findings, draw
from ciao_stream.explain.faces_of_run import Face, faces_from_files, faces_of_benchmark
from ciao_stream.explain.folder import Name
from ciao_stream.explain.inhibition import MaskEffect, mask_effect
from ciao_stream.explain.measure import Look, look
from ciao_stream.explain.options import Request
from ciao_stream.explain.regions import REGIONS, Source
from ciao_stream.explain.targets import questions
from ciao_stream.explain.views import Views
from ciao_stream.faces.detection import load_detector
from ciao_stream.report.embed import EXPLAIN, FORMAT
from ciao_stream.runtime.atomic import write_text
from ciao_stream.runtime.device import torch_device
from ciao_stream.runtime.progress import SILENT, Progress
from ciao_stream.runtime.seeds import numpy_generator
from ciao_stream.worlds.world import World


def run(request: Request, command: Sequence[str], progress: Progress = SILENT) -> dict[str, Any]:
    """Explain, write ``explain.json`` and its figures, and return the document.

    Raises:
        CiaoError: A world, face or label does not exist or is damaged, or the output cannot be written.
    """
    folder, device = request.worlds, torch_device(request.device)
    if request.images:
        detector = load_detector(request.crop) if request.crop else None
        faces = faces_from_files(request.images, detector)
    else:
        with progress.bar("load faces"):
            faces = faces_of_benchmark(folder, request.data_root, request.faces, request.seed)
    encoder = folder.load_encoder(request.encoder).to(device)
    worlds = folder.load(encoder)
    asked = _questions(worlds, request.label)
    pixels = torch.from_numpy(np.stack([encoder.preprocessing.fit(face.image) for face in faces]))
    views, source = Views(encoder, pixels), _source(faces)
    some = _evenly(len(faces), request.curve_faces)
    entries, looks, effects = [], [], {}
    with progress.bar("explain", len(asked)) as bar:
        for name, label in asked:
            bar.advance(0, f"explain {name.task}, {name.strategy}")
            found = look(name, worlds[name], views, label, request.method)
            looks.append(found)
            entries.append(_entry(found, worlds[name], views, some, request, source))
            if worlds[name].mask is not None and name not in effects:
                effects[name] = mask_effect(worlds[name], views)
            bar.advance()
    first = {name: next(one for one in looks if one.name == name) for name in worlds}
    document: dict[str, Any] = {
        "format": FORMAT,
        "command": list(command),
        "run": str(request.run),
        "seed": request.seed,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint()},
        "source": source,
        "method": {
            "saliency": request.method,
            "map": list(first[next(iter(worlds))].saliency.shape[1:]),
            "curves": {"faces": len(some), "steps": STEPS, "blur": BLUR},
            "intervals": "half the 95 % interval of the mean over faces",
            "regions": {name: [b.left, b.top, b.right, b.bottom] for name, b in REGIONS[source].items()},
        },
        "faces": [{"name": f.name, "task": f.task, "labels": f.labels, "source": f.source} for f in faces],
        "worlds": entries,
        "masks": [_mask_entry(name, effect, faces) for name, effect in effects.items()],
        "pairs": measure.measure_pairs(worlds, first, views),
        "figures": draw(Findings(faces, views, source, worlds, looks, entries, effects), request.rows, request.out),
    }
    write_text(request.out / EXPLAIN, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def _questions(worlds: dict[Name, World], label: str | None) -> list[tuple[Name, str | None]]:
    """Return the label that is explained for each world."""
    if label is None:
        return [(name, one) for name, world in worlds.items() for one in questions(world.spec)]
    having = [(name, label) for name, world in worlds.items() if label in world.spec.labels]
    if not having:
        raise UnknownNameError("label", label, dict.fromkeys(chain(*(w.spec.labels for w in worlds.values()))))
    for name in [name for name, world in worlds.items() if label not in world.spec.labels]:
        del worlds[name]
    return [(name, label) for name, label in having]


def _entry(
    found: Look, world: World, views: Views, some: list[int], request: Request, source: Source
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "task": found.name.task,
        "strategy": found.name.strategy,
        "label": found.label,
        "answers": found.words,
        "empty_maps": int((found.saliency.amax(dim=(1, 2)) == 0).sum()),
        "regions": measure.measure_regions(found, REGIONS[source]),
        "sanity": measure.measure_sanity(found, world, views, request.seed),
    }
    if len(some) > 1:
        part = Look(
            found.name, found.label, found.outputs[some], found.target.take(some), found.saliency[some], found.method
        )
        entry |= measure.measure_curves(part, world, views.take(some), request.seed)
    return entry


def _mask_entry(name: Name, effect: MaskEffect, faces: list[Face]) -> dict[str, Any]:
    silenced = [
        {"channel": channel, "excited_by": [faces[i].name for i in effect.exciting(channel, ACROSS)]}
        for channel in effect.silenced(SILENCED)
    ]
    return {"task": name.task, "strategy": name.strategy, **measure.measure_mask(effect), "silenced": silenced}


def _evenly(n: int, most: int) -> list[int]:
    """Return at most so many places of ``n``, drawn the same every time, in order."""
    return sorted(numpy_generator(0, "curve faces").permutation(n)[:most].tolist())


def _source(faces: list[Face]) -> Source:
    return "synthetic" if any(face.source == "synthetic" for face in faces) else "real"
