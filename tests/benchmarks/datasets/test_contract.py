"""Every data set, in every layout that it comes in, keeps the promises of ``ciao_stream.checks.dataset``."""

import dataclasses
import pickle
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from benchmarks.names import real_task_names
from benchmarks.tasks import load_task
from ciao_stream.checks import ContractError, check_dataset
from ciao_stream.exceptions import DataError, UnknownNameError
from ciao_stream.faces.dataset import SPLITS, FaceDataset, TaskData, image_sources
from ciao_stream.faces.readers import image_files
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.runtime.plugins import load_plugin
from tests.helpers import (
    affectnet_files,
    ckplus_files,
    emoreact_files,
    fer2013_files,
    jaffe_files,
    mmafedb_files,
    own_files,
    rafdb_files,
    sfew_files,
    tiny,
)

ROWS = fer2013_files.some_rows()
VOTES = [[10 if column == index % 8 else 0 for column in range(10)] for index in range(len(ROWS))]


def fer_csv(root, reverse=False):  # noqa: ARG001  a csv has one order
    fer2013_files.write_csv(root / "fer2013" / "fer2013.csv", ROWS)


def fer_folders(root, reverse=False):
    fer2013_files.write_folders(root / "fer2013", ROWS, reverse=reverse)


def ferplus(root, reverse=False):
    fer_csv(root, reverse)
    fer2013_files.write_votes(root / "ferplus" / "fer2013new.csv", ROWS, VOTES)


def own_folder(root, reverse=False):
    own_files.write_own_folder(root, reverse=reverse)


def own_folder_with_test(root, reverse=False):
    own_files.write_own_folder(root, splits=("train", "test"), per_class=5, reverse=reverse)


def own_folder_without_splits(root, reverse=False):
    own_files.write_own_folder(root, splits=(), per_class=5, reverse=reverse)


def unnamed_ck48(root, reverse=False):
    ckplus_files.write_ck48(root, named=False, reverse=reverse)


def own_csv(root, reverse=False, **more):
    columns = {"file": [f"{i}.png" for i in range(60)], "label": ["happy", "sad", "angry"] * 20, **more}
    own_files.write_own_csv(root, columns, reverse=reverse)


def own_csv_with_boxes(root, reverse=False):
    boxes = {"x": [0] * 60, "y": [8, 16] * 30, "width": [32] * 60, "height": [32] * 60}
    own_csv(root, reverse, subject=[f"s{i // 4}" for i in range(60)], **boxes)


LAYOUTS = {
    "affectnet": [affectnet_files.write_affectnet_2017, affectnet_files.write_affectnet_2021],
    "affectnet-va": [affectnet_files.write_affectnet_2017, affectnet_files.write_affectnet_2021],
    "ckplus": [ckplus_files.write_ckplus, ckplus_files.write_ck48, unnamed_ck48],
    "emoreact": [emoreact_files.write_emoreact],
    "fer": [fer_csv, fer_folders],
    "ferplus": [ferplus],
    "jaffe": [jaffe_files.write_jaffe],
    "mmafedb": [mmafedb_files.write_mmafedb],
    "rafdb": [rafdb_files.write_rafdb, rafdb_files.write_rafdb_folders],
    "sfew": [sfew_files.write_sfew],
    "folder:mine": [own_folder, own_folder_with_test, own_folder_without_splits],
    "csv:mine.csv": [own_csv, own_csv_with_boxes],
}
CASES = [pytest.param(task, write, id=f"{task}-{write.__name__}") for task, all_ in LAYOUTS.items() for write in all_]
RULES = [
    pytest.param(f"{name}:{rule}", LAYOUTS[name][0], id=f"{name}:{rule}")
    for name in real_task_names()
    for rule in load_plugin("benchmarks.datasets", name, "task").RULES
]


def test_every_data_set_is_checked():
    assert set(real_task_names()) <= set(LAYOUTS)


@pytest.mark.parametrize(("task", "write"), CASES + RULES)
def test_promises_are_kept(task, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    name = None if ".csv" in task or "folder" in task else task.partition(":")[0]
    data = check_dataset(lambda: load_task(task, tmp_path), name)
    copies = pickle.loads(pickle.dumps(data)).every_fold
    sources = [image_sources(split for fold in folds for split in fold.splits()) for folds in (data.every_fold, copies)]
    assert len(sources[0]) == len(sources[1]), "a copy shares images between splits and folds as before"


@pytest.mark.parametrize(("task", "write"), CASES)
def test_no_image_is_decoded_before_it_is_read(task, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.suffix.lower() in (*image_files.SUFFIXES, ".mp4")]
    for path in files:
        path.write_bytes(b"broken")
    data = load_task(task, tmp_path)
    if files:
        with pytest.raises(DataError, match=r"not a whole image|not a video that can be decoded") as caught:
            data.test.image(0)
        assert str(caught.value).startswith(data.test.name(0).partition(", frame")[0])


def test_importing_a_data_set_is_cheap():
    modules = [f"benchmarks.datasets.{name.replace('-', '_')}" for name in real_task_names()]
    modules += ["benchmarks.own.csv_file", "benchmarks.own.folder"]
    code = f"import sys; import {', '.join(modules)}; print({{'cv2', 'torch', 'PIL'}} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize(("task", "write"), CASES + RULES)
def test_the_order_of_a_directory_changes_nothing(task, write, tmp_path, monkeypatch):
    loaded = []
    for place, reverse in (("forward", False), ("backward", True)):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        write(tmp_path / place, reverse=reverse)
        loaded.append(load_task(task, tmp_path / place))
    for one, other in zip(*(data.every_fold for data in loaded), strict=True):
        assert one.fold == other.fold
        for a, b in zip(one.splits(), other.splits(), strict=True):
            assert a.images.fingerprint == b.images.fingerprint
            assert np.array_equal(a.subjects, b.subjects)
            assert a.rows.tolist() == b.rows.tolist()
            assert a.targets.tolist() == b.targets.tolist()
            assert a.dropped == b.dropped
            assert np.array_equal(a.image(0), b.image(0))


@pytest.mark.parametrize(("task", "write"), CASES)
def test_an_unknown_rule_or_nothing_there_is_one_line(task, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"expected|no file|no folder|cannot be read") as caught:
        load_task(task, tmp_path)
    assert "\n" not in str(caught.value)
    if ":" in task:
        return
    write(tmp_path)
    rules = ", ".join(load_plugin("benchmarks.datasets", task, "task").RULES)
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown label rule 'no such rule'; known: {rules}")):
        load_task(f"{task}:no such rule", tmp_path)


# --- the checks themselves: each promise, broken ---------------------------------------------------------------------

SPEC = TaskSpec("mine", "categorical", ("happiness", "anger"))


def good(**changes):
    """Three splits of four faces each."""
    images = tiny.pictures(12)
    splits = {
        split: FaceDataset(SPEC, split, images, np.arange(4) + 4 * i, np.arange(4) % 2, "real")
        for i, split in enumerate(SPLITS)
    }
    return TaskData(**{**splits, **changes})


def train(**changes):
    return good(train=dataclasses.replace(good().train, **changes))


BROKEN = {
    "another name": (lambda: good(), "its name is 'mine'"),
    "float rows": (lambda: train(rows=np.arange(4.0)), "rows are float64"),
    "small classes": (lambda: train(targets=np.array([0, 1, 0, 1], np.int32)), "targets are int32"),
    "no such image": (lambda: train(rows=np.array([0, 1, 2, 12])), "a row has no image"),
    "twice": (lambda: train(rows=np.array([0, 1, 2, 2])), "contains an image twice"),
    "leak": (lambda: train(rows=np.array([0, 1, 2, 8])), "shares an image with another split"),
    "synthetic": (lambda: train(source="synthetic"), "its source is 'synthetic'; expected 'real'"),
    "no rule": (lambda: train(label_rule=""), "label rule does not say how labels were made"),
    "no protocol": (lambda: good(protocol=""), "protocol does not say how the splits were made"),
    "a class never trained": (lambda: train(targets=np.zeros(4, np.int64)), "no sample to train 'anger' on"),
    "half counts": (lambda: train(dropped={"too dark": 1.5}), "dropped has a value that is not a count"),
    "published for no split": (lambda: good(published={"trian": 4}), "published counts are for 'trian'"),
    "published for no label": (lambda: good(published={"train": {"joy": 4}}),
        "published counts of train have unknown labels"),
    "nameless folds": (lambda: TaskData.cross_validation([good(), good()]), "have no unique names"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_named(case):
    make, message = BROKEN[case]
    name = "yours" if case == "another name" else "mine"
    with pytest.raises(ContractError, match=message):
        check_dataset(make, name)


def test_a_good_one_passes():
    data = good()
    assert check_dataset(lambda: data, "mine") is data


def test_emotions_out_of_order():
    spec = TaskSpec("mine", "categorical", ("anger", "happiness"))
    splits = {s.split: dataclasses.replace(s, spec=spec) for s in good().splits()}
    with pytest.raises(ContractError, match="not in canonical order: anger, happiness"):
        check_dataset(lambda: good(**splits))
    assert EMOTIONS.index("happiness") < EMOTIONS.index("anger")


def test_the_same_people_on_both_sides_must_be_admitted():
    people = {s.split: dataclasses.replace(s, subjects=np.array(["KA", "KL", "KM", "KR"])) for s in good().splits()}
    data = good(**people, protocol="by take")
    with pytest.raises(ContractError, match=r"\['KA', 'KL', 'KM', 'KR'\] are in both train and test"):
        check_dataset(lambda: data)
    admitted = dataclasses.replace(data, protocol="by take; identities shared by train and test")
    assert check_dataset(lambda: admitted) is admitted


def test_decoding_at_construction():
    def eager():
        cv2.imdecode(np.zeros(9, np.uint8), cv2.IMREAD_COLOR)
        return good()

    with pytest.raises(ContractError, match="decodes an image while it is loaded"):
        check_dataset(eager)


def test_another_at_every_load():
    count = iter(range(100))
    with pytest.raises(ContractError, match="loaded a second time, it differs"):
        check_dataset(lambda: good(train=dataclasses.replace(good().train, dropped={"dark": next(count)})))
