"""``python -m ciao_stream.explain``: what it leaves behind of a small benchmark and of saved worlds; clear refusals."""

import io
import json
import re
import shutil

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from benchmarks.synthetic import load
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.explain import __main__ as explain
from ciao_stream.explain.faces_of_run import faces_from_files, faces_of_benchmark
from ciao_stream.explain.folder import find_worlds
from ciao_stream.explain.measure import OWN
from ciao_stream.explain.tiles import DPI, INCH_MM, PAGE_MM
from ciao_stream.report.embed import FORMAT, KINDS, pictures, read_explanation
from ciao_stream.worlds.worlds import Worlds
from tests.helpers import sequences, tiny
from tests.helpers.sequences import arguments

TASKS = ("fer", "ferplus", "affectnet-va")
STRATEGIES = ("dl+ciao", "lc")
SMALL = ("--device", "cpu", "--faces", "6", "--rows", "2", "--curve-faces", "3")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A benchmark of tasks of three kinds, and what was explained of it."""
    folder = tmp_path_factory.mktemp("explain")
    argv = arguments(folder / "run", ",".join(TASKS), ",".join((*STRATEGIES, "logreg")), "--cache", str(folder / "c"))
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    code, printed = sequences.in_child(explain.main, ["--run", str(folder / "run"), *SMALL])
    assert code == 0, printed
    return folder / "run", printed


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two drawn faces in files, and a file that is none."""
    folder = tmp_path_factory.mktemp("faces")
    split = load("fer", train=2, validation=1, test=1, size=48).train
    for i in range(2):
        Image.fromarray(split.image(i)).save(folder / f"{i}.png")
    (folder / "no.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of worlds that no benchmark made."""
    folder = tmp_path_factory.mktemp("worlds")
    worlds = Worlds(load_encoder("ciao-face"))
    worlds.add(tiny.SPECS["categorical"], settings=tiny.small())
    worlds.add(tiny.SPECS["dimensional"], "ia3", masked=False, settings=tiny.small())
    worlds.save(folder)
    return folder


def refused(capsys, *argv):
    """What the command says as it refuses: one line, and code 2."""
    assert sequences.exit_code(explain.main, [*argv, "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_every_world_of_the_run_is_explained(ran):
    found = read_explanation(ran[0] / "explain")
    labels = {"affectnet-va": ["arousal", "valence"]}
    expected = {(t, s, label) for t in TASKS for s in STRATEGIES for label in labels.get(t, [None])}
    assert {(e["task"], e["strategy"], e["label"]) for e in found["worlds"]} == expected
    assert {(e["task"], e["strategy"]) for e in found["masks"]} == {(task, "dl+ciao") for task in TASKS}
    worlds = len(TASKS) * len(STRATEGIES)
    assert len(found["pairs"]) == worlds * (worlds - 1) / 2
    assert found["source"] == "synthetic"
    assert found["encoder"]["name"] == "ciao-face"


def test_faces_that_tasks_share_are_taken_once_and_bear_both_labels(ran):
    found = read_explanation(ran[0] / "explain")["faces"]
    shared = [face for face in found if {"fer", "ferplus"} <= face["labels"].keys()]
    assert len({face["name"] for face in found}) == len(found)
    assert len(found) == 6 * len(TASKS) - len(shared)
    assert shared


def test_every_number_is_one_or_is_said_to_be_none(ran):
    found = read_explanation(ran[0] / "explain")
    n = len(found["faces"])
    for entry in found["worlds"]:
        parts = entry["regions"]
        assert sum(part["mean"] for part in parts.values()) == pytest.approx(1)
        assert sum(part["area"] for part in parts.values()) == pytest.approx(1)
        assert len(entry["answers"]) == n
        assert entry["sanity"]["everything"]["n"] + entry["empty_maps"] >= n - 1
        for kind in ("deletion", "insertion"):
            assert {*entry[kind]} == {OWN, "random", "other face"}
            for one in entry[kind].values():
                assert 0 <= one["mean"] <= 1
                assert one["n"] == 3
            less = entry[kind]["random"]["own_less_this"]["mean"]
            assert less == pytest.approx(entry[kind][OWN]["mean"] - entry[kind]["random"]["mean"])


def test_figures_are_whole_named_and_marked_synthetic(ran):
    out = ran[0] / "explain"
    found = read_explanation(out)
    files = {name for figure in found["figures"] for name in (figure["png"], figure["pdf"])} | {"explain.json"}
    assert {path.name for path in out.iterdir()} == files
    assert {figure["kind"] for figure in found["figures"]} == {*KINDS}
    names = {figure["png"] for figure in found["figures"]}
    assert {"schemes_fer.png", "schemes_affectnet-va_valence.png", "worlds_lc.png", "mask_fer_dl+ciao.png"} <= names
    for figure in found["figures"]:
        assert "Synthetic faces" in figure["title"]
        assert imread(out / figure["png"]).std() > 0.05
        assert (out / figure["pdf"]).read_bytes().startswith(b"%PDF")
    assert max(path.stat().st_size for path in out.glob("*.png")) < 800_000


def test_the_table_names_every_world_and_that_faces_are_synthetic(ran):
    printed = ran[1]
    assert "(synthetic)" in printed
    assert "affectnet-va valence" in printed
    assert re.search(r"beware: \d+ of 8 worlds' maps stay the same", printed)
    assert f"figures and numbers: {ran[0] / 'explain'}" in printed


def test_another_report_can_embed_the_pictures(ran, tmp_path):
    found = pictures(ran[0], kinds=("worlds", "schemes"))
    assert {picture.kind for picture in found} == {"worlds", "schemes"}
    assert all(picture.png.startswith(b"\x89PNG") for picture in found)
    small = pictures(ran[0], kinds=("worlds",), width=600)[0].png
    assert Image.open(io.BytesIO(small)).width == 600
    assert [p.title for p in pictures(ran[0] / "explain")] == [p.title for p in pictures(ran[0])]
    assert pictures(tmp_path) == []
    (tmp_path / "explain.json").write_text(json.dumps({"format": FORMAT, "figures": [{"kind": "mask"}]}))
    with pytest.raises(CiaoError, match="is damaged: delete the folder"):
        pictures(tmp_path)


def test_chosen_worlds_and_a_label_on_files_of_ones_own(ran, faces, tmp_path):
    argv = ["--run", str(ran[0]), "--images", str(faces / "0.png"), str(faces / "1.png"), "--out", str(tmp_path)]
    more = ["--tasks", "fer", "--strategies", "lc,dl+ciao", "--label", "fear", "--method", "hirescam"]
    assert explain.main([*argv, *more, "--device", "cpu"]) == 0
    found = read_explanation(tmp_path)
    assert [(e["task"], e["strategy"], e["label"]) for e in found["worlds"]] == [
        ("fer", "lc", "fear"),
        ("fer", "dl+ciao", "fear"),
    ]
    assert [face["name"] for face in found["faces"]] == [str(faces / "0.png"), str(faces / "1.png")]
    assert found["method"]["saliency"] == "hirescam"
    assert found["source"] == "real"
    assert "HiResCAM" in found["figures"][0]["title"]
    assert all(answer.startswith("fear ") for entry in found["worlds"] for answer in entry["answers"])


def test_saved_worlds_are_explained_on_one_image_alike_every_time(saved, faces, tmp_path):
    found = []
    for out in (tmp_path / "first", tmp_path / "second"):
        argv = ["--run", str(saved), "--images", str(faces / "0.png"), "--out", str(out), "--device", "cpu"]
        assert explain.main(argv) == 0
        found.append({**read_explanation(out), "command": None})
    assert found[0] == found[1]
    worlds = [("affectnet-va", "ia3")] * 2 + [("fer", "dl+ciao")]
    assert [(e["task"], e["strategy"]) for e in found[0]["worlds"]] == worlds
    assert all("deletion" not in entry for entry in found[0]["worlds"])
    assert found[0]["pairs"][0]["cka"] is None


def test_grids_are_as_wide_as_a_page(ran):
    image = Image.open(ran[0] / "explain" / "worlds_lc.png")
    assert image.width == int(PAGE_MM / INCH_MM * DPI)
    assert len(image.getcolors(256)) <= 256


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tasks", "ferr"], "unknown task with worlds in .* 'ferr': did you mean 'fer'"),
        (["--strategies", "logreg"], "unknown strategy with worlds in .* 'logreg'"),
        (["--label", "joy"], "unknown label 'joy'"),
        (["--method", "gradcam"], "argument --method: expected one of .* but got 'gradcam': did you mean grad-cam"),
        (["--seed", "3"], "no seed 3; it ran seeds 0"),
        (["--encoder", "random:ciao-face"], "need encoder ciao-face .* give its name or folder with --encoder"),
        (["--tasks", ""], "no task given"),
    ],
)
def test_what_is_not_there_is_refused(ran, tmp_path, capsys, more, said):
    line = refused(capsys, "--run", str(ran[0]), "--out", str(tmp_path / "out"), *more)
    assert re.search(said, line), line
    assert not (tmp_path / "out").exists()


def test_folders_of_images_are_read_with_the_folders_in_them(tmp_path):
    for name in ("b.png", "in/a.jpg", "in/deep/c.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    found = faces_from_files([tmp_path, tmp_path / "b.png"], None)
    assert [face.name for face in found] == [
        str(tmp_path / name) for name in ("b.png", "in/a.jpg", "in/deep/c.PNG", "b.png")
    ]


def test_an_explanation_is_never_overwritten(ran, capsys):
    assert "already holds an explanation: choose another --out" in refused(capsys, "--run", str(ran[0]))


def test_the_settings_of_a_run_may_be_gone(ran, tmp_path):
    for name in ("run.json", "results.json"):
        shutil.copy(ran[0] / name, tmp_path)
    found = json.loads((tmp_path / "run.json").read_text())
    found["plan"] |= {"heads": "/nowhere/tuned.json"}
    (tmp_path / "run.json").write_text(json.dumps(found))
    world = tmp_path / "cells" / "lc" / "seed0" / "fer"
    shutil.copytree(ran[0] / "cells" / "lc" / "seed0" / "fer", world)
    drawn = faces_of_benchmark(find_worlds(tmp_path), None, 2, 0)
    assert len(drawn) == 2
    del found["plan"]
    (tmp_path / "run.json").write_text(json.dumps(found))
    again = faces_of_benchmark(find_worlds(tmp_path), None, 2, 0)
    assert [face.name for face in again] == [face.name for face in drawn], "older versions recorded no plan"


def test_other_faces_than_the_runs_are_refused(ran, tmp_path, capsys, monkeypatch):
    """A data root that the environment names since does not replace the synthetic faces of the run."""
    said = refused(capsys, "--run", str(ran[0]), "--out", str(tmp_path / "out"), "--data-root", str(tmp_path))
    assert str(tmp_path) in said or "fer2013" in said
    monkeypatch.setenv("CIAO_DATA_ROOT", str(tmp_path))
    assert {face.source for face in faces_of_benchmark(find_worlds(ran[0]), None, 2, 0)} == {"synthetic"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no such folder; give the results folder of a benchmark"),
        ("empty", "neither a benchmark .results.json. nor worlds"),
        ("unfinished",
         "results.json is missing: its benchmark is not finished .resume it with --resume., or is a suite"),
        ("without", "none of its strategies .majority. left worlds there"),
        ("damaged", "cannot read .*results.json"),
    ],
)  # fmt: skip
def test_folders_without_worlds_are_refused(tmp_path, capsys, name, said):
    folder = tmp_path / name
    if name != "nowhere":
        folder.mkdir()
    if name == "unfinished":
        (folder / "run.json").write_text("{}")
    if name in ("without", "damaged"):
        document = {"tasks": [{"name": "fer"}], "runs": [{"strategy": "majority", "seed": 0}]}
        (folder / "run.json").write_text("{}")
        (folder / "results.json").write_text(json.dumps(document)[: None if name == "without" else 20])
    line = refused(capsys, "--run", str(folder), "--out", str(tmp_path / "out"))
    assert re.search(said, line), line


def test_files_that_are_no_images_are_refused(saved, faces, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert "no.png" in refused(capsys, "--run", str(saved), "--images", str(faces / "no.png"), *out)
    assert "gone.png" in refused(capsys, "--run", str(saved), "--images", str(faces / "gone.png"), *out)
    Image.fromarray(np.full((64, 64), 128, np.uint8)).save(faces / "gray.png")
    said = refused(capsys, "--run", str(saved), "--images", str(faces / "gray.png"), "--crop", *out)
    assert "gray.png: haar finds no face" in said
    (tmp_path / "none").mkdir()
    said = refused(capsys, "--run", str(saved), "--images", str(tmp_path / "none"), *out)
    assert "no image in this folder" in said
    assert "give the faces to explain with --images" in refused(capsys, "--run", str(saved), *out)
    assert not (tmp_path / "out").exists()
