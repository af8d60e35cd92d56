"""Tasks, faces and well-formed messages for tests of the stream."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.messages import encode_frame, encode_label, encode_task

FER = TaskSpec("fer", "categorical", ("anger", "fear", "neutral"))
VOTES = TaskSpec("ferplus", "votes", ("anger", "fear", "neutral"))
VA = TaskSpec("va", "dimensional", ("arousal", "valence"))
MULTI = TaskSpec("emoreact", "multilabel", ("curiosity", "fear", "happiness"))
TASKS = {spec.name: spec for spec in (FER, VOTES, VA, MULTI)}


def face(number=0, shape=(16, 16)):
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def frame(number=0, image=None, **header):
    header = {"task": "fer", "frame_id": f"f{number}", "producer": "camera", "seq": number, "label": "fear", **header}
    return encode_frame(write_image(face(number)) if image is None else image, **header)


def late_label(number=0, **header):
    header = {"task": "fer", "frame_id": "f0", "producer": "page", "seq": number, "label": "anger", **header}
    return encode_label(header.pop("label"), **header)


def declaration(spec=FER, number=0):
    return encode_task(spec, producer="camera", seq=number)


def sealed(header, image=None):
    """A message with a correct digest over any header, JSON text or values."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = raw + (image or b"")
    fields = {
        b"header": raw,
        b"n_bytes": str(len(content)).encode(),
        b"sha256": hashlib.sha256(content).hexdigest().encode(),
    }
    return fields if image is None else {**fields, b"image": image}


def changed(fields, **values):
    """A message with some values of its header replaced (``...``: removed), and a correct digest."""
    header = {**json.loads(fields[b"header"]), **values}
    kept = {name: value for name, value in header.items() if value is not ...}
    return sealed(kept, fields.get(b"image"))
