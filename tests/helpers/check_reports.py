"""Reads the document of ``data check``, and makes tasks for it."""

import cv2
import numpy as np

from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec
from tests.helpers import slow_faces


def smooth(rows):
    """The same rows with images that survive jpeg."""
    rng = np.random.default_rng(1)

    def face():
        small = rng.integers(0, 256, (8, 8)).astype(np.float32)
        return np.clip(cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)

    return [(emotion, face(), usage) for emotion, _, usage in rows]


def wrong(document):
    return [finding["text"] for finding in document["findings"] if finding["level"] == "wrong"]


def notes(document, about):
    return [f["text"] for f in document["findings"] if f["level"] == "note" and f["about"] == about]


def overlap(document, of, within):
    """The overlap of two splits, each given as ``task split``."""
    found = [
        entry
        for entry in document["overlaps"]
        if [f"{entry[key]['task']} {entry[key]['split']}" for key in ("of", "within")] == [of, within]
    ]
    assert len(found) == 1
    return found[0]


def dataset(split, faces, targets=None, **more):
    spec = more.pop("spec", TaskSpec("made", "categorical", ("no", "yes")))
    targets = np.arange(len(faces)) % 2 if targets is None else targets
    return FaceDataset(spec, split, faces, np.arange(len(faces)), targets, "real", **more)


def made_task(tmp_path, **more):
    return slow_faces.slow_task(tmp_path, **more)
