"""Trials without Ray: what they learn from and are judged on, and what a worker loads."""

import functools
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.tasks import load_task
from ciao_stream.benchmark.plan import Plan
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import TaskData
from tests.helpers import sequences, tiny
from tuning.ground import _members, make_ground
from tuning.trial import Trial

SIZES = {"train": 40, "validation": 16, "test": 16}


def plan(cache, seeds=1):
    return Plan(("fer",), strategies=("dl+ciao",), seeds=seeds, epochs=2, out=cache, device="cpu", cache=cache)


@pytest.fixture(scope="module")
def fer() -> TaskData:
    return load_task("fer", None, sizes=SIZES)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@functools.cache
def encoder():
    return load_encoder("ciao-face")


def keys(split):
    return {(split.images.fingerprint, int(row)) for row in split.rows}


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("labels", [1.0, 0.5])
def test_no_member_sees_the_test_split(fer, folds, labels):
    members = [m for seed in (0, 1) for m in _members(fer, labels, seed, folds)]
    assert [(m.seed, m.fold) for m in members] == [(seed, fold) for seed in (0, 1) for fold in range(folds)]
    for member in members:
        train, validation = keys(member.train), keys(member.validation)
        assert not train & validation
        assert not (train | validation) & keys(fer.test)
        assert train <= keys(fer.train)
        assert validation <= keys(fer.train if folds > 1 else fer.validation)
        if folds == 1:
            assert validation == keys(fer.validation)


def test_folds_judge_every_labelled_face_once_and_share_the_classes(fer):
    members = _members(fer, 1.0, 0, 4)
    judged = np.concatenate([m.validation.rows for m in members])
    assert sorted(judged) == sorted(fer.train.rows)
    for label in np.unique(fer.train.classes()):
        counts = [int((m.validation.classes() == label).sum()) for m in members]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("belongs", ["subjects", "groups"])
def test_what_belongs_together_stays_together(belongs):
    whose = np.arange(20) % 5
    labelled = tiny.faces("multilabel", **{belongs: whose.astype(str) if belongs == "subjects" else whose})
    data = TaskData(labelled, labelled, labelled)
    for member in _members(data, 1.0, 0, 5):
        assert not {*getattr(member.train, belongs)} & {*getattr(member.validation, belongs)}
    with pytest.raises(CiaoError, match=r"--folds 6: task 'emoreact' has only 5 people or clips to train on"):
        _members(data, 1.0, 0, 6)


@pytest.mark.parametrize(("scheme", "masked", "level"), [("dl", True, "z"), ("dl", False, "u"), ("lc", False, "z")])
def test_a_score_is_the_mean_over_members_of_worlds_that_are_judged_each_epoch(fer, cache, scheme, masked, level):
    settings = plan(cache, seeds=2)
    ground = make_ground(settings, fer, encoder(), scheme, masked, 2, "path").mapped()
    assert ground.level == level
    trial = Trial(ground, encoder(), ground.settings)
    curve = []
    while not trial.done:
        curve.append(trial.next_epoch())
    assert np.array(curve).shape == (2, 4)
    assert all(training.learner.world.level == level for training in trial.trainings)
    again = Trial(ground, encoder(), ground.settings)
    assert [again.next_epoch(), again.next_epoch()] == curve
    assert trial.seconds.train > 0 < trial.seconds.judge


def test_path_and_store_give_the_same_numbers(fer, cache):
    scores = []
    for share in ("path", "store"):
        ground = make_ground(plan(cache), fer, encoder(), "dl", True, 1, share)
        ground = pickle.loads(pickle.dumps(ground))
        scores.append(Trial(ground.mapped(), encoder(), ground.settings).next_epoch())
    assert scores[0] == scores[1]


def test_a_machine_that_does_not_see_the_cache_says_so(fer, cache):
    ground = make_ground(plan(cache), fer, encoder(), "dl", True, 1, "path")
    for fingerprint, path in ground.features.items():
        ground.features[fingerprint] = path.with_name("gone.npy")
    with pytest.raises(CiaoError, match=r"gone.npy cannot be read on this machine: share .* or give --share store"):
        ground.mapped()


WORKER = """
import json, pickle, sys
from tuning.worker import HeadTrial
ground = pickle.load(sys.stdin.buffer)
worker = object.__new__(HeadTrial)
worker.setup({"changes": {"epochs": 1}}, ground)
reports = [worker.step()]
maps = worker.ground.features
for changes in ({"lr": 1e30}, {"head.hidden": [8], "epochs": 1}):
    worker.reset_config({"changes": changes})
    reports.append(worker.step())
assert worker.ground.features is maps
loaded = sorted({name.partition(".")[0] for name in sys.modules} & {"avalanche", "benchmarks", "strategies", "cv2"})
print(json.dumps({"reports": reports, "loaded": loaded}))
"""


def test_a_worker_runs_trial_after_trial_and_never_loads_avalanche(fer, cache):
    ground = make_ground(plan(cache), fer, encoder(), "dl", True, 1, "path")
    ended = subprocess.run(
        [sys.executable, "-c", WORKER], input=pickle.dumps(ground), capture_output=True, check=False,
        env=sequences.environment(OMP_NUM_THREADS="1"), cwd=sequences.ROOT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    told = json.loads(ended.stdout)
    assert told["loaded"] == []
    first, failed, third = told["reports"]
    assert (first["done"], first["percent"], first["score"]) == (True, 100, first["values"][0])
    assert failed["done"]
    assert "training diverged" in failed["error"]
    assert failed["score"] == -1
    assert "error" not in third
    assert first["seconds"]["load"] > third["seconds"]["load"], "the encoder is loaded once"
    assert third["seconds"]["wait"] >= 0
