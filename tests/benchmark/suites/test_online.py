"""``benchmark --suite online``: each face once, predicted before it is learned, compared with offline training."""

import base64
import json

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from river import evaluate as river_evaluate
from river import linear_model, metrics, optim, preprocessing

from ciao_stream.baselines.softmax import RATE
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.suites.online.run import build_document, build_tables, write_figure
from ciao_stream.encoders.pooling import pooled_maps
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import to_markdown
from ciao_stream.runtime.seeds import numpy_generator
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.stream.learner.world import OnlineWorld
from ciao_stream.worlds.settings import PRESETS
from strategies import load_strategy
from strategies.base.online import FILE, points_of, read_prequential
from tests.helpers import pages, sequences
from tests.helpers.sequences import document, in_child

ground = sequences.ground
cache = sequences.cache

STRATEGIES = ["online+ciao", "online-softmax", "dl"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("online")
    argv = [
        "--suite", "online", "--tasks", "jaffe,affectnet-va", "--synthetic-size", "40", "--epochs", "1", "--seeds", "2",
        "--strategies", ",".join(STRATEGIES), "--device", "cpu", "--cache", str(folder / "cache"),
        "--out", str(folder / "run"),
    ]  # fmt: skip
    code, printed = in_child(benchmark.main, argv)
    assert code == 0, printed
    return folder / "run", printed, argv


def test_every_number_comes_from_the_curves_of_the_cells(ran):
    out, printed, _ = ran
    found = json.loads((out / "online.json").read_text())
    assert {(e["strategy"], e["task"]) for e in found["points"]} == {
        ("online+ciao", "jaffe"), ("online+ciao", "affectnet-va"), ("online-softmax", "jaffe"),
    }  # fmt: skip
    for entry in found["points"]:
        cells = [read_prequential(out / "cells" / entry["strategy"] / f"seed{seed}", entry["task"]) for seed in (0, 1)]
        points = [next(p for p in cell["points"] if p["n"] == entry["n"]) for cell in cells]
        values = [point[entry["measure"]][entry["metric"]] for point in points]
        assert (entry["mean"], entry["interval"]) == mean_interval(values)
    assert {e["n"] for e in found["points"]} == {4, 40}
    judged = {(r["strategy"], r["task"], r["seed"]): r["metrics"] for r in document(out)["runs"]}
    for run in found["runs"]:
        assert run["points"][-1]["judged"] == judged[run["strategy"], run["task"], run["seed"]]
        assert [w["first"] for w in run["windows"]] == [1, *(w["last"] + 1 for w in run["windows"][:-1])]
        assert run["windows"][-1]["last"] == 40
    assert {e["strategy"] for e in found["offline"]} == {"dl"}
    assert (out / "online.png").read_bytes().startswith(b"\x89PNG")
    assert "synthetic" in printed
    assert "did not run on affectnet-va: dimensional targets do not fit a classifier" in printed
    for table in build_tables(found):
        assert to_markdown(table) in (out / "online.md").read_text()


def test_the_page_holds_tables_and_curves_and_leads_to_that_of_the_run(ran):
    out, _, _ = ran
    html = (out / "online.html").read_text()
    page = pages.read_page(html)
    assert pages.check_tables(html, (out / "online.md").read_text()) > 20
    (image,) = page.find("img")
    assert base64.b64decode(image.attributes["src"].partition("base64,")[2]) == (out / "online.png").read_bytes()
    assert [link.attributes["href"] for link in page.find("section", id="runs")[0].find("a")] == ["report.html"]
    assert "three strategies" in pages.read_page((out / "report.html").read_text()).find("h1")[0].text.lower()


def test_a_second_run_learns_nothing_again(ran):
    out, _, argv = ran
    before = {path: path.stat().st_mtime_ns for path in out.rglob(FILE)}
    assert len(before) == 6
    code, printed = in_child(benchmark.main, [*argv, "--resume"])
    assert code == 0, printed
    assert {path: path.stat().st_mtime_ns for path in out.rglob(FILE)} == before


def test_rivers_learner_answers_as_in_rivers_own_prequential_evaluation(ground):
    strategy, job = load_strategy("online-softmax")[0], ground.job("run")
    outcome = strategy.run(job, False)
    spec = next(s for s in job.specs if s.kind == "votes")
    assert {task.task for task in outcome.tasks} == {"affectnet", "ferplus"}
    train = ground.faces(spec, "train", "u")
    order = numpy_generator(0, spec.name, "stream").permutation(len(train))
    faces, classes = pooled_maps(train.batch(order)[0]).numpy(), train.faces.classes()[order]
    stream = [(dict(enumerate(x.tolist())), int(y)) for x, y in zip(faces, classes, strict=True)]

    model = preprocessing.StandardScaler() | linear_model.SoftmaxRegression(optim.SGD(RATE))
    reached = river_evaluate.progressive_val_score(stream, model, metrics.Accuracy()).get()
    found = read_prequential(job.folder, spec.name)["points"][-1]["prequential"]["accuracy"]
    first = int(classes[0] == 0)  # River's model answers nothing before it has learned, ours the first class
    assert found == pytest.approx((reached * (len(train) - 1) + first) / len(train))


def test_the_streams_own_world_is_the_one_that_learns(ground):
    """The same faces in the same order, taken frame by frame, give the same world, bit for bit."""
    job = ground.job("run")
    outcome = load_strategy("online+ciao")[0].run(job, True)
    for spec, task in zip(job.specs, outcome.tasks, strict=True):
        train = ground.faces(spec, "train", "z")
        world = OnlineWorld.fresh(spec, ground.encoder, StreamSettings(), PRESETS["online"], seed=0)
        right = []
        for place, index in enumerate(numpy_generator(0, spec.name, "stream").permutation(len(train))):
            z, target = train.features[train.faces.rows[index]], train.faces.targets[index]
            heard = world.frame(str(place), torch.from_numpy(z.copy()), target)
            right.append(heard.outputs.argmax() == np.argmax(target) if spec.kind == "votes" else None)
            world.learn()
        assert world.world.sha256() == task.state_sha256
        if spec.kind == "votes":
            point = read_prequential(job.folder, spec.name)["points"][-1]
            assert point["prequential"]["accuracy"] == pytest.approx(np.mean(right))


def test_points():
    assert points_of(25_060) == [500, 2_000, 2_506, 8_000, 25_060]
    assert points_of(5) == [1, 5]


def curve(strategy, seed, judged, n=(10, 100)):
    points = [
        {"n": k, "prequential": {"accuracy": v / 2}, "judged": {"accuracy": v}} for k, v in zip(n, judged, strict=True)
    ]
    return {"strategy": strategy, "task": "fer", "seed": seed, "points": points, "windows": []}


def results(offline):
    task = {
        "name": "fer", "primary": "accuracy", "source": "real", "samples": {"train": 100, "test": 50},
        "label_rule": {"test": "as annotated"},
    }  # fmt: skip
    entry = {"strategy": "dl", "task": "fer", "metric": "accuracy", "mean": offline, "interval": 0.01}
    encoder = {"name": "e", "parameters": 10, "weights": "random"}
    rest = {"command": [], "environment": {}, "encoder": encoder, "settings": {}, "not_run": []}
    return {**rest, "tasks": [task], "summary": [entry]}


def test_goal_and_lead():
    curves = [
        curve("a", 0, (0.7, 0.9)),
        curve("a", 1, (0.8, 0.8)),
        curve("b", 0, (0.6, 0.7)),
        curve("b", 1, (0.6, 0.7)),
    ]
    found = build_document(results(0.85), curves)
    assert found["goal"] == [{"task": "fer", "strategy": "a", "n": 100}, {"task": "fer", "strategy": "b", "n": None}]
    entry = next(e for e in found["points"] if (e["strategy"], e["n"], e["measure"]) == ("b", 10, "judged"))
    assert entry["difference"] == pytest.approx(list(mean_interval([0.1, 0.2])))
    reached, ahead = build_tables(found)
    assert [row[-1].text for row in reached.rows] == ["100", "–", ""]
    assert [cell.text for cell in ahead.rows[0]][:3] == ["b", "+7.5 ±31.8", "+15.0 ±63.5"]


def test_without_an_online_strategy_there_is_nothing_to_run(tmp_path, capsys):
    argv = ["--suite", "online", "--tasks", "fer", "--strategies", "dl", "--out", str(tmp_path / "run")]
    assert benchmark.main(argv) == 2
    assert "learns online" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_a_task_for_an_online_strategy_there_is_no_curve(tmp_path, capsys):
    argv = sequences.arguments(tmp_path / "run", "emoreact", "online-slda,majority", "--suite", "online", size=8)
    assert benchmark.main([*argv, "--cache", str(tmp_path / "cache")]) == 2
    said = capsys.readouterr().err
    assert "no strategy that learns online runs on a task (online-slda, emoreact: multilabel targets do not fit" in said


def test_folds_of_different_size_have_a_curve_of_what_is_there(tmp_path, monkeypatch):
    def windows(values):
        return [{"first": i, "last": i, "value": value} for i, value in enumerate(values, 1)]

    curves = [curve("a", seed, (0.5,), n=(10,)) for seed in (0, 1)]
    curves[0]["windows"], curves[1]["windows"] = windows([0.0, 1.0]), windows([1.0, 0.5, 0.25])
    drawn = []
    monkeypatch.setattr(Axes, "plot", lambda _self, x, y, *_, **__: drawn.append((list(x), list(y))))
    write_figure(tmp_path / "online.png", build_document(results(0.85), curves))
    assert drawn == [([1, 2, 3], [0.5, 0.75, 0.25])]
    assert (tmp_path / "online.png").exists()


def test_a_damaged_curve_is_named(tmp_path):
    (tmp_path / "fer").mkdir()
    (tmp_path / "fer" / FILE).write_text("{")
    with pytest.raises(CiaoError, match="damaged"):
        read_prequential(tmp_path, "fer")
