"""Measures how well several rules find a face's own world, and how many expressions are then right.

============  ==============================================================================
rule          score of a world; the highest is chosen
============  ==============================================================================
prototype     :mod:`ciao_stream.worlds.choice`, the rule that ``predict --choose`` uses
energy        log-sum-exp of the logits [0], above that of equal logits
entropy       1 - entropy of the prediction / the greatest possible entropy [1]
majority      number of faces that the world has learned from
random        drawn from the seed
============  ==============================================================================

Every world learns online, one pass, from faces of its own. Then faces of all worlds come that none has learned from:
in blocks of one world, as if one camera were carried about. Two grounds:

- without ``--data-root``: synthetic worlds of one kind of people and cameras each (affectnet, fer, jaffe);
- with it: real FER+ faces, of which each world sees another condition. The faces are real, the conditions are computed.

``python scripts/choose_world.py [--data-root DIR] [--seeds 3]`` prints one table: mean over seeds and the range.

References:
    - [0] Liu, Wang, Owens, Li: Energy-based Out-of-distribution Detection, NeurIPS 2020,
      https://arxiv.org/abs/2010.03759 (Eq. 4, with T = 1)
    - [1] Wortsman et al.: Supermasks in Superposition, NeurIPS 2020, https://arxiv.org/abs/2006.14769 (section 3.3:
      the task whose output has the least entropy)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.special import entr, logsumexp, softmax

from benchmarks.tasks import load_task
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Encoder
from ciao_stream.faces.dataset import FaceDataset, Image
from ciao_stream.faces.statistics import pooled
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.learner.learner import OnlineLearner
from ciao_stream.stream.log.events import FrameCame, TaskDeclared
from ciao_stream.stream.log.labels import target_label
from ciao_stream.worlds.answers import Smoother
from ciao_stream.worlds.choice import Prototype
from ciao_stream.worlds.worlds import Worlds

Change = Callable[[Image, np.random.Generator], Image]
Labelled = list[tuple[Image, str]]

BLOCK = 50
"""Faces of one world in a row."""

SMOOTH = 8.0
"""Time constant, in faces, of the smoothed choice."""

ALL = "one world for all"
ORACLE = "own world (given)"


def dark(image: Image, rng: np.random.Generator) -> Image:
    """Little light, from one side."""
    height, width = image.shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    light = 0.45 + 0.5 * ((x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle))
    return np.clip(image * light, 0, 255).astype(np.uint8)


def blurred(image: Image, rng: np.random.Generator) -> Image:
    """Out of focus, with noise."""
    return np.clip(cv2.GaussianBlur(image, (0, 0), 1.2) + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


CONDITIONS: dict[str, Change] = {
    "untouched": lambda image, _: image,
    "dark": dark,
    "blurred": blurred,
    "mirrored contrast": lambda image, _: 255 - image,
}


def drawn(faces: FaceDataset, indices: npt.NDArray[np.int64], change: Change, rng: np.random.Generator) -> Labelled:
    """Read faces and their classes by name."""
    labels, classes = faces.spec.labels, faces.classes()
    return [(change(faces.images.read(int(faces.rows[i])), rng), labels[int(classes[i])]) for i in indices]


def real(root: Path, seed: int) -> tuple[dict[str, tuple[TaskSpec, Labelled, Labelled]], str]:
    """Return what each world learns from and is asked: other faces of FER+ in each condition."""
    data, rng = load_task("ferplus", root), np.random.default_rng(seed)
    train, test = rng.permutation(len(data.train)), rng.permutation(len(data.test))
    worlds = {}
    for k, (name, change) in enumerate(CONDITIONS.items()):
        own = train[k * 1500 :][: 1500 if k == 0 else 1000]
        spec = TaskSpec(name, "categorical", data.spec.labels)
        asked = test[k * 500 : (k + 1) * 500]
        worlds[name] = (spec, drawn(data.train, own, change, rng), drawn(data.test, asked, change, rng))
    return worlds, "FER+ (conditions synthetic)"


def synthetic(seed: int) -> tuple[dict[str, tuple[TaskSpec, Labelled, Labelled]], str]:
    """Return the same of the synthetic worlds."""
    worlds = {}
    for name, n in (("affectnet", 900), ("fer", 600), ("jaffe", 600)):
        data = load_task(name, None, sizes={"train": n, "validation": 1, "test": 250})
        rng = np.random.default_rng(seed)
        faces = [drawn(split, rng.permutation(len(split)), lambda image, _: image, rng) for split in data.splits()]
        worlds[name] = (data.spec, faces[0], faces[2])
    return worlds, "synthetic worlds"


def learned(encoder: Encoder, worlds: dict[str, tuple[TaskSpec, Labelled, Labelled]], seed: int) -> OnlineLearner:
    """Return a learner of all worlds, and of one that learns from all of their faces, in random order."""
    learner = OnlineLearner(encoder, seed=seed)
    labels = tuple(dict.fromkeys(label for spec, _, _ in worlds.values() for label in spec.labels))
    specs = [*(spec for spec, _, _ in worlds.values()), TaskSpec(ALL, "categorical", labels)]
    faces = [(task, *face) for name, (_, train, _) in worlds.items() for face in train for task in (name, ALL)]
    for n, spec in enumerate(specs):
        learner.apply(TaskDeclared(f"1-{n}", spec.name, spec))
    for n, at in enumerate(np.random.default_rng(seed).permutation(len(faces))):
        task, image, label = faces[at]
        spec = learner.tasks[task]
        target = target_label(spec, np.array(spec.labels.index(label)))
        learner.apply(FrameCame(f"2-{n}", task, f"f{n}", image, target))
    return learner


def measured(encoder: Encoder, root: Path | None, seed: int) -> tuple[dict[str, tuple[float, float]], str]:
    """Return by rule the share of faces whose own world was chosen, and of those whose expression was right."""
    ground, source = synthetic(seed) if root is None else real(root, seed)
    learner, worlds = learned(encoder, ground, seed), Worlds(encoder)
    for online in learner.worlds.values():
        worlds.put(online.world)
    asked = [
        (name, *face)
        for start in range(0, max(len(test) for _, _, test in ground.values()), BLOCK)
        for name, (_, _, test) in ground.items()
        for face in test[start : start + BLOCK]
    ]
    outputs: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in worlds}
    features = []
    for start in range(0, len(asked), 64):
        images = [encoder.preprocessing.fit(image) for _, image, _ in asked[start : start + 64]]
        pixels = torch.from_numpy(np.stack(images))
        z = encoder.stored_z(pixels)
        features.append(pooled(z))
        for name, each in worlds.predict_encoded(pixels, z).items():
            outputs[name].append(each.numpy())
    joined = {name: np.concatenate(parts) for name, parts in outputs.items()}
    predicted = {name: [worlds[name].spec.labels[k] for k in each.argmax(axis=1)] for name, each in joined.items()}
    logits = [joined[name].astype(np.float64) for name in ground]
    learned_from = [statistics.n for name in ground if (statistics := worlds[name].faces) is not None]
    prototype = Prototype([worlds[name] for name in ground])
    if prototype.names != tuple(ground):
        raise SystemExit(f"expected statistics of enough faces of each world, but only of {prototype.names}")
    rules = {
        "prototype": prototype.scores(np.concatenate(features)),
        "energy": np.stack([logsumexp(each, axis=1) - np.log(each.shape[1]) for each in logits], axis=1),
        "entropy": np.stack(
            [1 - entr(softmax(each, axis=1)).sum(axis=1) / np.log(each.shape[1]) for each in logits], axis=1
        ),
        "majority": np.tile(np.array(learned_from, dtype=np.float64), (len(asked), 1)),
        "random": np.random.default_rng(seed).random((len(asked), len(ground))),
    }
    names = [*ground]

    def judged(chosen: list[str]) -> tuple[float, float]:
        own = np.mean([world == name for world, (name, _, _) in zip(chosen, asked, strict=True)])
        right = [
            predicted[world][i] == label for i, (world, (_, _, label)) in enumerate(zip(chosen, asked, strict=True))
        ]
        return float(own), float(np.mean(right))

    found = {ORACLE: judged([name for name, _, _ in asked])}
    for rule, scores in rules.items():
        found[rule] = judged([names[k] for k in scores.argmax(axis=1)])
        if rule not in ("majority", "random"):
            smoother = Smoother(SMOOTH)
            smooth = [smoother("camera", rule, row) for row in scores]
            found[f"{rule}, smoothed"] = judged([names[k] for k in np.argmax(smooth, axis=1)])
    found[ALL] = judged([ALL] * len(asked))
    return found, source


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="how well each rule finds a face's own world")
    parser.add_argument("--data-root", type=Path, help="folder with FER2013 and FER+; without it: synthetic worlds")
    parser.add_argument("--encoder", default="ciao-face")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    runs = []
    for seed in range(options.seeds):
        found, source = measured(encoder, options.data_root, seed)
        runs.append(found)
    print(f"| {source} | own world chosen, % | expression right, % |\n|---|---|---|")
    for name in runs[0]:
        columns = np.array([run[name] for run in runs]).T * 100
        shown = [f"{column.mean():.1f} ({column.min():.1f} to {column.max():.1f})" for column in columns]
        print(f"| {name} | {'' if name == ALL else shown[0]} | {shown[1]} |")


if __name__ == "__main__":
    main()
