"""Training with fine labels, as a user runs it."""

import json
import os

import numpy as np
import pytest
import torch

from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import state_sha256
from ciao_stream.encoders.untrained import untrained_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import TaskSpec
from ciao_stream.pretrain import __main__ as pretrain
from ciao_stream.pretrain import data as sampled
from ciao_stream.pretrain.descent import Descent
from ciao_stream.pretrain.supervised import ClassLearner, Recipe, Supervised
from tests.helpers import tiny


def split(name, kind, labels, targets):
    rows = np.arange(len(targets))
    return FaceDataset(TaskSpec(name, kind, labels), "train", tiny.pictures(len(targets)), rows, targets, "real")


def test_classes_of_several_tasks_share_columns_by_name():
    one = split("one", "categorical", ("calm", "glad"), np.array([1, 0]))
    two = split("two", "votes", ("glad", "sad"), np.array([[0.25, 0.75], [1.0, 0.0]], np.float32))
    method = Supervised(tiny.encoder(), Recipe())
    method.admit([TaskData(faces, faces, faces) for faces in (one, two)])
    assert method.classes == ["calm", "glad", "sad"]
    assert method.labels(one).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert method.labels(two).tolist() == [[0, 0.25, 0.75], [0, 1, 0]]
    va = tiny.faces("dimensional")
    with pytest.raises(CiaoError, match="is dimensional: supervised training needs classes"):
        method.admit([TaskData(va, va, va)])


def test_it_learns_classes_and_leaves_the_encoder_it_began_with():
    encoder = tiny.encoder(norm=True)
    before = state_sha256(encoder)
    labels = torch.arange(32) % 4
    faces = (tiny.pixels(32).float() * 0.2 + 50 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    learner = ClassLearner(encoder, Recipe(Descent(lr=0.05)), 4, 60, seed=0)
    first = learner.measure(faces, torch.eye(4)[labels], torch.Generator())
    for i in range(60):
        learner.step(faces, torch.eye(4)[labels], torch.Generator().manual_seed(i))
    last = learner.measure(faces, torch.eye(4)[labels], torch.Generator())
    assert last["decision"] < 0.5 * first["decision"]
    assert last["accuracy"] > 0.9
    assert state_sha256(encoder) == before != state_sha256(learner.encoder())
    assert learner.encoder().frozen


def test_the_command_leaves_an_encoder_that_says_what_it_saw(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "VALIDATION_FACES", 12)
    argv = ["--tasks", "fer,ferplus", "--limit", "12", "--batch", "8", "--epochs", "1", "--device", "cpu"]
    out, cache = str(tmp_path / "run"), os.environ["CIAO_CACHE"]
    assert pretrain.main(["supervised", *argv, "--out", out, "--cache", cache]) == 0
    trained = load_encoder(out)
    assert trained.weights == "trained by supervised on fer (synthetic, train), ferplus (synthetic, train)"
    assert trained.fingerprint() != untrained_encoder("ciao-face").fingerprint()
    saw = json.loads((tmp_path / "run" / "encoder.json").read_text())["trained_on"]
    assert (len(saw["labels"]), saw["steps"]) == (8, 3)
