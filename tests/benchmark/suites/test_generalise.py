"""``benchmark --suite generalise``: trained on one data set, tested on all, on the classes that they have in common."""

import json
import os
import re
import shutil
import signal

import cv2
import numpy as np
import pytest

from benchmarks.synthetic import load as load_synthetic
from benchmarks.tasks import load_task
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.sharing import Shared
from ciao_stream.benchmark.suites import SUITES
from ciao_stream.benchmark.suites.generalise.common import COMMON, with_common_classes
from ciao_stream.benchmark.suites.generalise.grid import COLUMNS, FORMAT, METHODS, TABLE_1, build_document, published
from ciao_stream.benchmark.suites.generalise.judging import FILE, Judged
from ciao_stream.benchmark.suites.generalise.tables import build_tables
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import to_markdown
from tests.helpers import (
    affectnet_files,
    fer2013_files,
    jaffe_files,
    mmafedb_files,
    own_files,
    pages,
    rafdb_files,
    real_data,
    sfew_files,
    tiny,
)
from tests.helpers.sequences import in_child

real_faces = real_data.real_faces

PRINTED_MEANS = {
    "rafdb": (53.99, 54.88, 53.70, 53.20, 63.48),
    "ferplus": (58.03, 56.01, 57.96, 56.93, 62.28),
    "affectnet": (55.53, 46.67, 53.09, 51.70, 60.27),
    "sfew": (34.25, 37.34, 36.25, 35.63, 45.04),
    "mmafedb": (58.58, 55.27, 57.99, 56.67, 61.76),
}
"""The last column of the paper's table, in the order of its methods."""
MISPRINTED = {("affectnet", "EAC"): 53.29, ("affectnet", "CAFE"): 61.67}
"""Where that is not the mean of the columns before it, but this is."""


def true_mean(train, method):
    return MISPRINTED.get((train, method), PRINTED_MEANS[train][METHODS.index(method)])


def test_the_published_numbers_have_the_published_means():
    """A digit that was copied wrongly would move a mean."""
    assert TABLE_1.keys() == COLUMNS.keys() == PRINTED_MEANS.keys()
    for train, rows in TABLE_1.items():
        assert tuple(rows) == METHODS
        assert sorted(COLUMNS[train]) == sorted(TABLE_1)
        expected = {method: true_mean(train, method) for method in METHODS}
        assert {method: np.mean(row) for method, row in rows.items()} == pytest.approx(expected, abs=0.0051)
    assert published("CAFE", "mmafedb", "affectnet") == 0.4185
    assert published("SCN", "mmafedb", "ferplus") == 0.7399


# Classes in common


def in_order(labels, kind="categorical", name="mine", n=16, seed=0, targets=None):
    """A task whose split i shows the classes in turn, named in the order of ``labels``."""
    spec = TaskSpec(name, kind, labels)
    if targets is None:
        targets = np.array([labels.index(EMOTIONS[i % len(EMOTIONS)]) for i in range(n)])
    images = tiny.pictures(len(targets), seed)
    parts = [
        FaceDataset(spec, split, images, np.arange(len(targets)), targets, "real", dropped={"no face": 2})
        for split in ("train", "validation", "test")
    ]
    return TaskData(*parts)


def test_classes_are_mapped_by_name_whatever_their_order():
    canonical, backwards = in_order(EMOTIONS), in_order(EMOTIONS[::-1], name="yours")
    one, other = with_common_classes([canonical, backwards])
    assert one.train.spec.labels == other.train.spec.labels == COMMON == EMOTIONS[:7]
    for a, b in zip(one.splits(), other.splits(), strict=True):
        assert a.targets.tolist() == b.targets.tolist() == [0, 1, 2, 3, 4, 5, 6] * 2
        assert a.rows.tolist() == b.rows.tolist() == [i for i in range(16) if i % 8 != 7]
    assert canonical.train.targets.tolist() != backwards.train.targets.tolist(), "by position they would differ"


def test_contempt_and_other_classes_are_left_out_and_counted():
    own = (*EMOTIONS[::-1], "boredom")
    targets = np.array([own.index(label) for label in (*EMOTIONS, "boredom", "boredom", "contempt")])
    one, _ = with_common_classes([in_order(own, targets=targets), in_order(EMOTIONS[:7], name="b", n=7)])
    assert one.test.dropped == {"no face": 2, "contempt: no common class": 2, "boredom: no common class": 2}
    assert len(one.test) == 7


def test_votes_are_shared_again_among_common_classes():
    labels = EMOTIONS[::-1]
    shares = {"fear": 0.2, "anger": 0.2, "contempt": 0.6}, {"fear": 0.3, "anger": 0.45, "contempt": 0.25}
    targets = np.array([[row.get(label, 0) for label in labels] for row in shares], dtype=np.float32)
    task = in_order(labels, "votes", targets=np.concatenate([targets, targets]))
    one, _ = with_common_classes([task, in_order(EMOTIONS[:7], name="b", n=7)])
    assert one.train.dropped["contempt: no common class"] == 2
    assert one.train.rows.tolist() == [1, 3]
    expected = [0.6 if label == "anger" else 0.4 if label == "fear" else 0 for label in COMMON]
    assert one.train.targets == pytest.approx(np.array([expected] * 2))
    assert one.train.label_rule.endswith("of the votes for common classes")


def test_every_fold_is_mapped(tmp_path):
    jaffe_files.write_jaffe(tmp_path)
    jaffe = load_task("jaffe", tmp_path)
    one, _ = with_common_classes([jaffe, in_order(EMOTIONS)])
    assert len(one.folds) == len(jaffe.folds)
    for ours, theirs in zip(one.folds, jaffe.folds, strict=True):
        named = [theirs.spec.labels[target] for target in theirs.test.targets]
        assert [COMMON[target] for target in ours.test.targets] == named


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([in_order(EMOTIONS)], "mine alone is not enough"),
        ([load_synthetic("fer"), load_synthetic("emoreact")], "omit those without (emoreact is multilabel)"),
        ([load_synthetic("fer"), load_synthetic("affectnet-va")], "affectnet-va is dimensional"),
        ([in_order(EMOTIONS), in_order(("fear", "boredom"), targets=np.array([0, 1]))],
         "task 'mine' has too few of the classes neutral, "),
        ([in_order(EMOTIONS), in_order(EMOTIONS, name="scorn", targets=np.full(3, 7))],
         "task 'scorn', split 'train': none of the 3 faces is of the classes neutral, "),
        ([in_order(EMOTIONS), in_order(EMOTIONS, name="one", targets=np.array([7, 7, 2]))],
         "task 'one': one face of the common classes to train on"),
    ],
)  # fmt: skip
def test_tasks_that_cannot_take_part_are_one_line(tasks, message):
    with pytest.raises(CiaoError, match=re.escape(message)) as caught:
        with_common_classes(tasks)
    assert "\n" not in str(caught.value)


# The document and its tables


def made_up(shared=(), tasks=("rafdb", "ferplus", "fer"), strategies=("dl", "full")):
    rng = np.random.default_rng(0)
    judged = [
        Judged(strategy, train, test, seed, 10, {"accuracy": rng.random()}, 100, 1.5, "ab")
        for strategy in strategies
        for seed in (0, 1)
        for train in tasks
        for test in tasks
    ]
    entries = [
        {
            **TaskSpec(name, "categorical", COMMON).to_json(), "source": "real", "samples": {"train": 5},
            "label_rule": {"test": "as annotated"}, "dropped": {"test": {}}, "folds": None,
        }
        for name in tasks
    ]  # fmt: skip
    about = {"encoder": {"name": "e", "parameters": 1, "weights": "w"}, "settings": {"epochs": 1}}
    return judged, build_document(about=about, tasks=entries, judged=judged, shared=shared, not_run=[])


def place(entries, who, name, train, test, over):
    (entry,) = [e for e in entries if (e[who], e["train"], e["test"], e["over"]) == (name, train, test, over)]
    return entry


def test_means_are_taken_over_the_right_tests_for_each_seed():
    judged, document = made_up([Shared("fer", "ferplus", 9, 0), Shared("ferplus", "fer", 9, 0)])
    value = {(r.strategy, r.train, r.test, r.seed): r.metrics["accuracy"] for r in judged}
    over = {"all": ("rafdb", "ferplus", "fer"), "unseen": ("rafdb", "ferplus"), "apart": ("rafdb",)}
    for name, tests in over.items():
        by_seed = [np.mean([value["dl", "fer", test, seed] for test in tests]) for seed in (0, 1)]
        entry = place(document["summary"], "strategy", "dl", "fer", None, name)
        assert (entry["mean"], entry["interval"]) == pytest.approx(mean_interval(by_seed))
        assert entry["n_seeds"] == 2
    cells = [place(document["summary"], "strategy", "full", t, None, "apart")["mean"] for t in over["all"]]
    whole = place(document["summary"], "strategy", "full", None, None, "apart")
    assert whole["mean"] == pytest.approx(np.mean(cells))


def test_published_means_are_of_the_same_tests():
    _, document = made_up(tasks=("rafdb", "ferplus", "mmafedb"))
    assert place(document["published"], "method", "CAFE", "rafdb", None, "unseen")["mean"] == pytest.approx(
        (0.7316 + 0.5680) / 2
    )
    _, other = made_up(
        [Shared("ferplus", "mmafedb", 1, 1), Shared("mmafedb", "ferplus", 1, 1)], ("rafdb", "ferplus", "mmafedb")
    )
    assert place(other["published"], "method", "CAFE", "ferplus", None, "apart")["mean"] == pytest.approx(0.7291)
    _, mixed = made_up()
    assert place(mixed["published"], "method", "CAFE", "rafdb", None, "unseen")["mean"] is None, "no number for fer"


def test_a_task_without_tests_of_its_own_is_no_part_of_the_mean():
    pair = ("ferplus", "fer")
    shared = [Shared(a, b, 1, 0) for a in (*pair, "rafdb") for b in (*pair, "rafdb") if a != b and "ferplus" in (a, b)]
    _, document = made_up(shared)
    assert place(document["summary"], "strategy", "dl", "ferplus", None, "apart")["mean"] is None
    parts = [place(document["summary"], "strategy", "dl", t, None, "apart")["mean"] for t in ("rafdb", "fer")]
    whole = place(document["summary"], "strategy", "dl", None, None, "apart")
    assert whole["mean"] == pytest.approx(np.mean(parts))


def test_published_numbers_stand_in_grey_below_ours():
    _, document = made_up([Shared("fer", "ferplus", 9, 0), Shared("ferplus", "fer", 9, 0)])
    *_, grid = build_tables(document)
    rows = {row[0].text: row for row in grid.rows}
    theirs = grid.rows[[row[0].text for row in grid.rows].index("rafdb") + 1]
    assert [(cell.text, cell.published) for cell in theirs[:4]] == [
        ("  CAFE, published", True), ("88.7°", True), ("73.2", True), ("–", True),
    ]  # fmt: skip
    assert [cell.text[-1] for cell in rows["fer"][2:4]] == ["‡", "°"]
    assert not any(cell.published for cell in rows["fer"])
    assert "published" not in grid.rows[-1][0].text, "the paper has no FER"
    assert "*73.2*" in to_markdown(grid)


# Runs


def arguments(folder, *more, tasks="affectnet,fer,ferplus", epochs=1, cache=None):
    argv = ["--suite", "generalise", "--tasks", tasks, "--epochs", str(epochs), "--synthetic-size", "16"]
    argv += ["--device", "cpu", "--encoder", "random:ciao-face", "--out", str(folder / "run")]
    return [*argv, "--cache", str(cache or folder / "cache"), *more]


def grid_of(folder):
    return json.loads((folder / "run" / "generalise.json").read_text())


def answers(folder):
    """All that a seed decides."""
    return {
        (r["strategy"], r["train"], r["test"], r["seed"]): (r["metrics"], r["state_sha256"], r["n"])
        for r in grid_of(folder)["runs"]
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of all default strategies on synthetic worlds."""
    folder = tmp_path_factory.mktemp("generalise")
    code, printed = in_child(benchmark.main, arguments(folder, "--seeds", "2"))
    assert code == 0, printed
    return folder, printed


STRATEGIES = SUITES["generalise"].strategies
TASKS = ("affectnet", "fer", "ferplus")


def test_the_grid_is_complete(ran):
    document = grid_of(ran[0])
    assert document["format"] == FORMAT
    assert document["classes"] == [*COMMON]
    expected = {(s, a, b, seed) for s in STRATEGIES for a in TASKS for b in TASKS for seed in (0, 1)}
    assert answers(ran[0]).keys() == expected
    assert len(document["runs"]) == len(expected)


def test_the_own_test_is_what_the_strategy_measured_itself(ran):
    for strategy in STRATEGIES:
        progress = json.loads((ran[0] / "run" / "cells" / strategy / "seed1" / "progress.json").read_text())
        own = {task["task"]: (task["metrics"], task["state_sha256"], task["n"]) for task in progress["tasks"]}
        assert own == {task: answers(ran[0])[strategy, task, task, 1] for task in TASKS}


def test_contempt_is_left_out_of_affectnet_and_counted(ran):
    (affectnet,) = [task for task in grid_of(ran[0])["tasks"] if task["name"] == "affectnet"]
    assert affectnet["labels"] == [*COMMON]
    n = {(r["n"]) for r in grid_of(ran[0])["runs"] if r["test"] == "affectnet"}
    assert n == {affectnet["samples"]["test"]}
    assert affectnet["dropped"]["test"]["contempt: no common class"] + affectnet["samples"]["test"] == 8
    assert affectnet["dropped"]["train"]["contempt: no common class"] + affectnet["samples"]["train"] == 16


def test_cells_that_share_pictures_are_marked_and_left_out(ran):
    folder, _ = ran
    document = grid_of(folder)
    assert [(one["train"], one["test"], one["learned"]) for one in document["shared"]] == [
        ("fer", "ferplus", 0), ("ferplus", "fer", 0),
    ]  # fmt: skip
    found = place(document["summary"], "strategy", "dl", "fer", None, "apart")
    cell = place(document["summary"], "strategy", "dl", "fer", "affectnet", None)
    assert (found["mean"], found["interval"]) == (cell["mean"], cell["interval"])
    marked = re.findall(r"[\d.]+(?: ±[\d.]+)?‡", (folder / "run" / "generalise.md").read_text())
    assert len(marked) == 2 * len(STRATEGIES)


def test_tables_show_the_numbers_of_the_document(ran):
    folder, printed = ran
    document, text = grid_of(folder), (folder / "run" / "generalise.md").read_text()
    for table in build_tables(document):
        assert to_markdown(table) in text
        assert table.title in " ".join(printed.split())
    html = (folder / "run" / "generalise.html").read_text()
    assert pages.check_tables(html, text) == sum(len(t.headings) * len(t.rows) for t in build_tables(document))
    assert "every number in generalise.json" in pages.read_page(html).find("section", id="repeat")[0].text
    *_, grid = build_tables(document)
    shown = {row[0].text: row for row in grid.rows}
    for train in TASKS:
        for cell, test in zip(shown[train][1:4], TASKS, strict=True):
            values = [answers(folder)["full", train, test, seed][0]["accuracy"] for seed in (0, 1)]
            mean, half = mean_interval(values)
            assert float(cell.text.split(" ±")[0].rstrip("°‡")) == pytest.approx(100 * mean, abs=0.0501)
            if half:
                assert float(cell.text.split(" ±")[1].rstrip("°‡")) == pytest.approx(100 * half, abs=0.0501)


def test_synthetic_data_is_called_so_everywhere(ran):
    folder, printed = ran
    document, text = grid_of(folder), (folder / "run" / "generalise.md").read_text()
    assert {task["source"] for task in document["tasks"]} == {"synthetic"}
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert all(title.endswith("(synthetic data)") for title in titles)
    assert printed.count("(synthetic data)") >= len(titles) - 1
    assert all("synthetic" in "".join(heading) for heading in build_tables(document)[-1].headings[1:4])


def patched(argv, place_of, nth):
    """Run, and be killed before the nth call of a function; ``nth`` 0: count the calls, and print how many."""
    import importlib

    module, _, path = place_of.partition(":")
    owner, _, name = path.rpartition(".")
    target = importlib.import_module(module)
    target = getattr(target, owner) if owner else target
    function, calls = getattr(target, name), 0

    def counting(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(target, name, counting)
    code = benchmark.main(argv)
    print(f"called {calls}")
    return code


SMALL = ("--seeds", "1", "--strategies", "logreg,dl+ciao,cafe-small")
STEP, ASKED = (
    "ciao_stream.worlds.training:WorldLearner.step",
    "ciao_stream.benchmark.suites.generalise.judging:evaluate",
)


@pytest.fixture(scope="module")
def whole(ran, tmp_path_factory):
    """A run that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    code, printed = in_child(patched, arguments(folder, *SMALL, cache=ran[0] / "cache"), ASKED, 0)
    assert code == 0, printed
    assert "called 27" in printed  # 3 strategies, each task asked about each
    return folder


@pytest.mark.parametrize(
    ("where", "nth", "worlds", "left"),
    [
        pytest.param(STEP, 3, 2, 27, marks=pytest.mark.slow),
        pytest.param("ciao_stream.runtime.artifact:write_text", 2, 1, 27, marks=pytest.mark.slow),
        (ASKED, 11, 6, 27 - 9),
        ("ciao_stream.benchmark.suites.generalise.judging:write_text", 9, 6, 3),
        pytest.param("ciao_stream.benchmark.suites.report:write_text", 1, 6, 0, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_is_resumed_and_ends_like_one_that_was_not(where, nth, worlds, left, whole, ran, tmp_path):
    argv = arguments(tmp_path, *SMALL, cache=ran[0] / "cache")
    code, printed = in_child(patched, argv, where, nth)
    assert code == -signal.SIGKILL, printed
    trained = {path: path.stat().st_mtime_ns for name in ("world", "cafe") for path in tmp_path.rglob(f"{name}.json")}
    assert len(trained) == worlds
    code, printed = in_child(patched, [*argv, "--resume"], ASKED, 0)
    assert code == 0, printed
    assert f"called {left}" in printed
    assert answers(tmp_path) == answers(whole)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "a finished world was trained again"


def test_metrics_saved_for_another_state_are_computed_again(whole, ran, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    path = folder / "run" / "cells" / "dl+ciao" / "seed0" / "fer" / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state_sha256": "0" * 64}))
    argv = arguments(folder, *SMALL, "--resume", cache=ran[0] / "cache")
    code, printed = in_child(patched, argv, ASKED, 0)
    assert code == 0, printed
    assert "called 3" in printed
    assert answers(folder) == answers(whole)
    for content in ("", "[]", '{"format": 1}', path.read_text().replace('"n"', '"m"')):
        path.write_text(content)
        code, printed = in_child(benchmark.main, argv)
        assert code == 2, printed
        assert f"error: {path} is damaged: delete it to evaluate again" in printed


def test_a_run_of_another_kind_is_not_gone_on_with(whole, ran, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    argv = arguments(folder, *SMALL, "--resume", cache=ran[0] / "cache")[2:]
    code, printed = in_child(benchmark.main, argv)
    assert code == 2, printed
    assert "differs in format" in printed


@pytest.mark.parametrize(
    ("tasks", "more", "message"),
    [
        ("fer", (), "fer alone is not enough"),
        ("fer,emoreact,affectnet-va", (), "(emoreact is multilabel; affectnet-va is dimensional)"),
        ("fer,jaffe", ("--strategies", "dl,naive,joint"), "suite generalise cannot run naive, joint"),
        ("fer,jaffe", ("--strategies", "dll"), "unknown strategy 'dll'"),
        ("fer,jaffe", ("--strategies", "logreg,logreg+ciao"), "strategy 'logreg' has no mask"),
    ],
)
def test_what_cannot_be_run_is_one_line(tasks, more, message, tmp_path, capsys):
    assert benchmark.main(arguments(tmp_path, *more, tasks=tasks)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ")
    assert message in error[-1]
    assert not (tmp_path / "run").exists()


def test_classes_of_own_faces_are_known_by_their_names(tmp_path):
    """What ``seven`` learned is asked of ``three``, whose classes have other numbers and whose tests it knows."""
    own_files.write_copies(tmp_path)
    tasks = ",".join(f"folder:{tmp_path / name}" for name in ("seven", "three"))
    code, printed = in_child(benchmark.main, arguments(tmp_path, "--strategies", "logreg", "--seeds", "1", tasks=tasks))
    assert code == 0, printed
    metrics, _, n = answers(tmp_path)["logreg", "seven", "three", 0]
    assert (metrics["accuracy"], n) == (1.0, 3)
    assert "seven and three share images, 3 of three's; seven is trained on 3 that three is tested on" in printed


def test_the_five_data_sets_of_the_paper_from_miniature_copies(tmp_path):
    data = tmp_path / "data"
    rows = fer2013_files.some_rows()
    fer2013_files.write_csv(data / "fer2013" / "fer2013.csv", rows)
    votes = [[10 if column == index % 8 else 0 for column in range(10)] for index in range(len(rows))]
    fer2013_files.write_votes(data / "ferplus" / "fer2013new.csv", rows, votes)
    affectnet_files.write_affectnet_2017(data)
    rafdb_files.write_rafdb(data)
    sfew_files.write_sfew(data)
    mmafedb_files.write_mmafedb(data)
    for number, face in enumerate(row[1] for row in rows if row[2] == "Training"):
        assert cv2.imwrite(str(data / "mmafedb" / "MMAFEDB" / "train" / "happy" / f"fer{number}.png"), face)
    tasks = "rafdb,ferplus,affectnet,sfew,mmafedb"
    argv = arguments(tmp_path, "--data-root", str(data), "--strategies", "logreg,dl", "--seeds", "1", tasks=tasks)
    code, printed = in_child(benchmark.main, argv)
    assert code == 0, printed
    document = grid_of(tmp_path)
    assert len(document["runs"]) == 2 * 25
    assert {(one["train"], one["test"]) for one in document["shared"]} == {
        ("ferplus", "mmafedb"), ("mmafedb", "ferplus"),
    }  # fmt: skip
    cafe = {e["train"]: e["mean"] for e in document["published"] if (e["method"], e["over"]) == ("CAFE", "all")}
    means = {train: true_mean(train, "CAFE") / 100 for train in PRINTED_MEANS}
    assert {train: cafe[train] for train in means} == pytest.approx(means, abs=5.1e-5)
    overview, apart, *_ = build_tables(document)
    assert [row[0].text for row in overview.rows] == ["logreg", "dl", *METHODS]
    assert [row[0].published for row in apart.rows] == [False, False, *[True] * 5]
    assert "synthetic" not in printed


def test_real_fer_and_ferplus(real_faces, tmp_path):
    argv = arguments(tmp_path, "--data-root", str(real_faces), "--seeds", "1", tasks="fer,ferplus")
    code, printed = in_child(benchmark.main, [*argv, "--strategies", "logreg,dl,cafe-small"])
    assert code == 0, printed
    document = grid_of(tmp_path)
    assert len(document["runs"]) == 3 * 4
    of_ferplus = document["shared"][0]
    _, ferplus = document["tasks"]
    assert of_ferplus["pictures"] == ferplus["samples"]["train"] + ferplus["samples"]["test"]
    assert ferplus["dropped"]["test"]["contempt: no common class"] == 1
    assert place(document["summary"], "strategy", "dl", "fer", None, "apart")["mean"] is None
    assert place(document["published"], "method", "CAFE", "ferplus", "ferplus", None)["mean"] == 0.8951
    assert "synthetic" not in printed
