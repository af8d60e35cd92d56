"""The faces that are explained: files that the user gives, or some on which a benchmark was judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.names import task_name
from ciao_stream.benchmark.plan import Plan
from ciao_stream.benchmark.prepare import crop_tasks, data_sha256, load_tasks
from ciao_stream.exceptions import CiaoError, DataError
from ciao_stream.explain.folder import WorldFolder
from ciao_stream.faces.dataset import FaceDataset, Image
from ciao_stream.faces.detection import Detector
from ciao_stream.faces.readers.image_files import SUFFIXES, ImageFiles
from ciao_stream.runtime.folders import data_root
from ciao_stream.runtime.options import from_json
from ciao_stream.runtime.seeds import numpy_generator

DATA = (
    "tasks", "data_root", "limit", "synthetic_size", "judge_on", "face_crop", "detector", "no_face", "several_faces",
)  # fmt: skip
"""Options of a benchmark that determine which faces it is judged on."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    Args:
        image: As it is shown and prepared: cropped to the face.
        name: Its file or its place in the data set.
        task: The task whose face it is; None for a file of the user's.
        labels: Label by task: tasks that share images may give the same face several.
        source: ``synthetic`` for a drawn one.
    """

    image: Image
    name: str
    task: str | None
    labels: dict[str, str]
    source: Literal["real", "synthetic"]


def faces_from_files(paths: Sequence[Path], detector: Detector | None) -> list[Face]:
    """Read image files.

    Args:
        paths: Files, and folders whose images are read, those of folders in them included.
        detector: Cuts each image to its largest face; None uses all of it.

    Raises:
        DataError: A file is not an image, a folder has none, or no face is found.
    """
    faces = []
    for path in chain.from_iterable(map(_images, paths)):
        image = ImageFiles(path.parent, (path.name,)).read(0)
        if detector is not None:
            boxes = detector.find(image)
            if len(boxes) == 0:
                raise DataError(f"{path}: {detector.name} finds no face; cut it out yourself and omit --crop")
            x, y, width, height = boxes[0].clip(min=0).tolist()
            image = image[y : y + height, x : x + width]
        faces.append(Face(image, str(path), None, {}, "real"))
    return faces


def _images(path: Path) -> list[Path]:
    """Return a file, or the images in a folder by name."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise DataError(f"{path}: no image in this folder; expected files that end in {', '.join(SUFFIXES)}")
    return found


def faces_of_benchmark(folder: WorldFolder, given_root: str | None, n: int, seed: int) -> list[Face]:
    """Draw faces from the split that a benchmark was judged on, as many of each class as there are, task after task.

    Args:
        folder: Of a benchmark; faces are drawn from the tasks whose worlds it has.
        given_root: Folder of the data sets; None: the one that the benchmark recorded.
        n: Most faces of each task. A face that two tasks share is used once.
        seed: Draws them, and selects the fold of a cross-validation.

    Raises:
        CiaoError: The folder holds no benchmark, or the data sets cannot be loaded or are not those of the benchmark.
    """
    if folder.document is None or folder.identity is None:
        raise CiaoError(f"--run {folder.path} holds worlds but no benchmark: give the faces to explain with --images")
    options = {name: value for name, value in folder.options.items() if name in DATA}
    options["tasks"] = [task for task in options["tasks"] if task_name(task) in folder.tasks]
    if given_root is not None:
        options["data_root"] = data_root(given_root)
    plan = from_json(Plan, options, "option")
    loaded = load_tasks(plan)
    sources = {task["name"]: task["source"] for task in folder.document["tasks"]}
    for data in loaded:
        if data.train.source != sources.get(data.spec.name) or (
            data_sha256(data) != folder.identity.get("data", {}).get(data.spec.name)
        ):
            raise CiaoError(
                f"the faces of task {data.spec.name!r} in {plan.data_root or 'the synthetic worlds'} are not those of "
                f"the benchmark in {folder.path}: give its own with --data-root, or others with --images"
            )
    faces: dict[tuple[str, int], Face] = {}
    for data in crop_tasks(loaded, plan.crop):
        split: FaceDataset = getattr(data.of_run(seed), plan.judge_on)
        for i in _spread(split, n, seed):
            at = split.images.fingerprint, int(split.rows[i])
            if at not in faces:
                faces[at] = Face(split.image(i), split.name(i), split.spec.name, {}, split.source)
            faces[at].labels[split.spec.name] = _label(split, i)
    return [*faces.values()]


def _spread(split: FaceDataset, n: int, seed: int) -> list[int]:
    """Draw at most ``n`` samples: of tasks with classes one of each class in turn, until there are enough."""
    order = numpy_generator(seed, "explained faces", split.spec.name).permutation(len(split))
    if not split.spec.has_classes:
        return order[:n].tolist()
    classes = split.classes()[order]
    turn = np.empty(len(split), dtype=np.int64)
    for c in np.unique(classes):
        turn[classes == c] = np.arange((classes == c).sum())
    return order[np.lexsort((classes, turn))][:n].tolist()


def _label(split: FaceDataset, i: int) -> str:
    spec, target = split.spec, split.targets[i]
    if spec.has_classes:
        return spec.labels[int(split.classes()[i])]
    if spec.kind == "dimensional":
        return ", ".join(f"{label} {value:+.2f}" for label, value in zip(spec.labels, target.tolist(), strict=True))
    there = [label for label, is_there in zip(spec.labels, target.tolist(), strict=True) if is_there]
    return ", ".join(there) or "no label"
