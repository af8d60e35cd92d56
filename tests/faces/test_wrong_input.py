"""Wrong input to the public calls of ciao_stream.faces is one line, never an error of numpy or OpenCV."""

from pathlib import Path

import numpy as np
import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.crop import FaceCrop
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.detection import load_detector
from ciao_stream.faces.readers.image_files import Cropped, ImageFiles
from ciao_stream.faces.readers.video_frames import VideoFrames
from ciao_stream.faces.task import TaskSpec
from tests.helpers import tiny

FACES = tiny.faces()
GIVEN = {"spec": FACES.spec, "split": "train", "images": FACES.images, "rows": FACES.rows, "targets": FACES.targets}


def dataset(**changes):
    return FaceDataset(**{**GIVEN, "source": "real", **changes})


CALLS = {
    "a name that is a number": (lambda: TaskSpec(7, "votes", ("a", "b")), "name: expected str but got int 7"),
    "labels in one text": (lambda: TaskSpec("t", "votes", "ab"),
        "task 't': labels: expected a tuple of names but got str 'ab'"),
    "no labels": (lambda: TaskSpec("t", "votes", None), "task 't': labels: expected a tuple of names but got None"),
    "labels that are numbers": (lambda: TaskSpec("t", "votes", [1, 2]), "task 't': label: expected str but got int 1"),
    "a kind that is a list": (lambda: TaskSpec("t", ["votes"], ("a", "b")), "unknown kind of target ['votes']"),
    "a spec in JSON": (lambda: dataset(spec=FACES.spec.to_json()), "spec: expected TaskSpec but got dict {'name'"),
    "another split": (lambda: dataset(split="dev"), "unknown split 'dev'"),
    "another source": (lambda: dataset(source="drawn"), "unknown source 'drawn'"),
    "another framing": (lambda: dataset(framing="body"), "unknown framing 'body'"),
    "arrays for a source": (lambda: dataset(images=[1, 2]), "images: expected an ImageSource but got list [1, 2]"),
    "rows in a list": (lambda: dataset(rows=[0, 1]), "rows: expected ndarray but got list [0, 1]"),
    "targets in a list": (lambda: dataset(targets=[0, 1]), "targets: expected ndarray but got list [0, 1]"),
    "groups in a list": (lambda: dataset(groups=[0, 1]), "groups: expected ndarray or None but got list [0, 1]"),
    "subjects in a list": (lambda: dataset(subjects=["a"]),
        "subjects: expected ndarray or None but got list ['a']"),
    "rows in a table": (lambda: dataset(rows=np.zeros((2, 2), int)), "expected rows of shape (N,) but got (2, 2)"),
    "words as classes": (lambda: dataset(targets=np.full(20, "a")), "expected integer classes but got <U1"),
    "words as values": (lambda: tiny.faces("dimensional", targets=np.full((20, 2), "a")),
        "expected numbers as targets but got <U1"),
    "no such sample": (lambda: FACES.image(20), "split 'train': no sample 20; expected an integer in [0, 20)"),
    "half a sample": (lambda: FACES.image(0.5), "no sample 0.5; expected an integer in [0, 20)"),
    "the name of no sample": (lambda: FACES.name(-21), "no sample -21; expected an integer in [0, 20)"),
    "indices beyond the end": (lambda: FACES.take(np.array([0, 20])), "expected indices in [0, 20) or a mask of 20"),
    "a mask of another length": (lambda: FACES.take(np.ones(19, bool)), "expected indices in [0, 20) or a mask of 20"),
    "indices that are no integers": (lambda: FACES.take(np.array([0.5])), "expected indices in [0, 20) or a mask of"),
    "no split": (lambda: TaskData(FACES, None, FACES), "validation: expected FaceDataset but got None"),
    "no folds": (lambda: TaskData.cross_validation([]), "expected at least one fold but got none"),
    "no detector": (lambda: load_detector(None), "detector: expected str but got None"),
    "an image with alpha": (lambda: load_detector().find(np.zeros((4, 4, 4), np.uint8)),
        "image: expected uint8 of shape (H, W) or (H, W, 3) but got uint8 of (4, 4, 4)"),
    "an image of floats": (lambda: load_detector().find(np.zeros((4, 4))), "but got float64 of (4, 4)"),
    "an empty image": (lambda: load_detector().find(np.zeros((0, 4), np.uint8)), "but got uint8 of (0, 4)"),
    "a list for an image": (lambda: load_detector().find([[0]]), "image: expected ndarray but got list [[0]]"),
    "a crop of no kind": (
        lambda: FaceCrop(7, no_face="hole"),
        "face_crop: expected one of auto, always, never but got 7; no_face: expected one of whole, drop, error but got",
    ),
    "boxes of another number": (lambda: Cropped(ImageFiles(Path(), ("a.png",)), np.zeros((2, 4), np.int64)),
        "expected boxes as int64 of shape (1, 4) but got int64 of shape (2, 4)"),
    "no frame per clip": (lambda: VideoFrames(Path(), (), 0), "expected at least 1 frame per clip but got 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_wrong_input_is_one_line(case):
    call, message = CALLS[case]
    with pytest.raises(CiaoError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
