"""``benchmark --suite generalise``: trained on one data set, tested on all, on the classes that they have in common."""

import re

import numpy as np
import pytest

from benchmarks.synthetic import load as load_synthetic
from benchmarks.tasks import load_task
from ciao_stream.benchmark.sharing import Shared
from ciao_stream.benchmark.suites.generalise.common import COMMON, with_common_classes
from ciao_stream.benchmark.suites.generalise.grid import COLUMNS, METHODS, TABLE_1, build_document, published
from ciao_stream.benchmark.suites.generalise.judging import Judged
from ciao_stream.benchmark.suites.generalise.tables import build_tables
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import FaceDataset, TaskData
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.table import to_markdown
from tests.helpers import jaffe_files, tiny
from tests.helpers.documents import grid_entry

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


def test_the_published_numbers_have_the_published_means():
    """A digit that was copied wrongly would move a mean."""
    assert TABLE_1.keys() == COLUMNS.keys() == PRINTED_MEANS.keys()
    for train, rows in TABLE_1.items():
        assert tuple(rows) == METHODS
        assert sorted(COLUMNS[train]) == sorted(TABLE_1)
        printed = dict(zip(METHODS, PRINTED_MEANS[train], strict=True))
        expected = {method: MISPRINTED.get((train, method), printed[method]) for method in METHODS}
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


def test_means_are_taken_over_the_right_tests_for_each_seed():
    judged, document = made_up([Shared("fer", "ferplus", 9, 0), Shared("ferplus", "fer", 9, 0)])
    value = {(r.strategy, r.train, r.test, r.seed): r.metrics["accuracy"] for r in judged}
    over = {"all": ("rafdb", "ferplus", "fer"), "unseen": ("rafdb", "ferplus"), "apart": ("rafdb",)}
    for name, tests in over.items():
        by_seed = [np.mean([value["dl", "fer", test, seed] for test in tests]) for seed in (0, 1)]
        entry = grid_entry(document, "dl", "fer", name)
        assert (entry["mean"], entry["interval"]) == pytest.approx(mean_interval(by_seed))
        assert entry["n_seeds"] == 2
    cells = [grid_entry(document, "full", t, "apart")["mean"] for t in over["all"]]
    whole = grid_entry(document, "full", None, "apart")
    assert whole["mean"] == pytest.approx(np.mean(cells))


def test_published_means_are_of_the_same_tests():
    _, document = made_up(tasks=("rafdb", "ferplus", "mmafedb"))
    assert grid_entry(document, "CAFE", "rafdb", "unseen")["mean"] == pytest.approx((0.7316 + 0.5680) / 2)
    _, other = made_up(
        [Shared("ferplus", "mmafedb", 1, 1), Shared("mmafedb", "ferplus", 1, 1)], ("rafdb", "ferplus", "mmafedb")
    )
    assert grid_entry(other, "CAFE", "ferplus", "apart")["mean"] == pytest.approx(0.7291)
    _, mixed = made_up()
    assert grid_entry(mixed, "CAFE", "rafdb", "unseen")["mean"] is None, "no number for fer"


def test_a_task_without_tests_of_its_own_is_no_part_of_the_mean():
    pair = ("ferplus", "fer")
    shared = [Shared(a, b, 1, 0) for a in (*pair, "rafdb") for b in (*pair, "rafdb") if a != b and "ferplus" in (a, b)]
    _, document = made_up(shared)
    assert grid_entry(document, "dl", "ferplus", "apart")["mean"] is None
    parts = [grid_entry(document, "dl", t, "apart")["mean"] for t in ("rafdb", "fer")]
    whole = grid_entry(document, "dl", None, "apart")
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
