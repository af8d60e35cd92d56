import copy
import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics import continual
from ciao_stream.report.formats import show, show_count
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.results import RunRow, read_results, write_results
from tests.helpers import ROOT, documents
from tests.helpers.documents import SPECS, fake_document, markdown_rows

document, written = documents.document, documents.written

# Intervals


def test_interval_by_hand():
    mean, half = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert half == pytest.approx(3.1824463 * math.sqrt(5 / 3) / 2)  # t(0.975, 3) from a printed table


def test_interval_of_one_of_none_and_of_equal_values():
    assert mean_interval([0.3]) == pytest.approx((0.3, math.nan), nan_ok=True)
    assert mean_interval([]) == pytest.approx((math.nan, math.nan), nan_ok=True)
    assert mean_interval([0.1] * 7) == (0.1, 0.0)
    assert all(map(math.isnan, mean_interval([0.1, math.nan])))


def test_interval_is_near_a_bootstrap_of_many_values():
    values = np.random.default_rng(0).normal(size=400)
    theirs = bootstrap((values,), np.mean, n_resamples=2000, rng=0).confidence_interval
    mean, half = mean_interval(list(values))
    assert (mean - half, mean + half) == pytest.approx((theirs.low, theirs.high), abs=0.02)


# Formats


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("accuracy", 0.6184, 0.0093), "61.8 ±0.9"),
        (("ccc", -0.617, None), "-0.62"),
        (("forgetting", 0.0, 0.0), "0"),
        (("forgetting", 0.0, None), "0"),
        (("forgetting", -0.0001, 0.0), "0.0 ±0.0"),
        (("bwt", -0.0123, None), "-1.2"),
        (("bwt", None, None), "n/a"),
        (("accuracy", math.nan, None), "n/a"),
    ],
)
def test_show(arguments, text):
    assert show(*arguments) == text


@given(st.integers(0, 10**14))
@settings(max_examples=100)
def test_counts_keep_two_digits(count):
    text = show_count(count)
    value = float(text.rstrip("kMGT")) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    assert "e" not in text
    assert value == pytest.approx(count, rel=0.051)


# Document


def test_the_document_has_the_fields_of_the_contract(document):
    assert list(document) == [
        "format", "command", "environment", "encoder", "tasks", "settings", "runs", "matrices", "not_run", "summary",
    ]  # fmt: skip
    assert set(document["environment"]) == {
        "python", "torch", "avalanche", "cpu_count", "platform", "device", "precision",
        "packages",
    }  # fmt: skip
    task = document["tasks"][0]
    assert task["source"] == "synthetic"
    assert task["samples"] == {"train": 12, "validation": 12, "test": 12}
    assert task["counts"]["test"]["neutral"] == 2
    assert task["label_rule"]["test"] == "majority"
    assert task["dropped"]["train"] == {"no face": 2}
    assert TaskSpec.from_json(task) == SPECS[0]
    assert np.shape(document["matrices"]["dl"]["0"]) == (5, 4)


def test_the_summary_equals_the_test_rows_and_the_matrices(document):
    for entry in document["summary"]:
        if entry["task"]:
            rows = [
                run for run in document["runs"]
                if (run["strategy"], run["task"], run["split"]) == (entry["strategy"], entry["task"], "test")
            ]  # fmt: skip
            values = [run["metrics"][run["primary"]] for run in rows]
            assert entry["metric"] == rows[0]["primary"]
            assert entry["train_seconds"] == pytest.approx(sum(run["train_seconds"] for run in rows) / 3)
        else:
            matrices = document["matrices"][entry["strategy"]].values()
            values = [continual.summarise(np.array(m, dtype=float))[entry["metric"]] for m in matrices]
        assert (entry["mean"], entry["interval"]) == mean_interval(values)
        assert entry["n_seeds"] == 3
    keys = [(entry["strategy"], entry["task"], entry["metric"]) for entry in document["summary"]]
    assert len(set(keys)) == len(keys) == 15 + 16


def test_worlds_that_do_not_change_forget_zero_in_every_file(document, written):
    entry = next(e for e in document["summary"] if (e["strategy"], e["metric"]) == ("dl", "forgetting"))
    assert (entry["mean"], entry["interval"]) == (0.0, 0.0)
    row = next(row for row in markdown_rows(written / "table.md") if row["strategy"] == "dl")
    assert row["forgetting"] == row["BWT"] == "0"


def test_json_is_strict_and_reads_back_equal(document, written):
    def refuse(constant):
        raise AssertionError(constant)

    text = (written / "results.json").read_text()
    assert json.loads(text, parse_constant=refuse) == document == read_results(written / "results.json")
    assert "null" in text


def test_rows_read_back_equal_with_nan(document):
    rows = [RunRow.from_json(run) for run in document["runs"]]
    assert [row.to_json() for row in rows] == document["runs"]
    assert any(math.isnan(value) for row in rows for value in row.metrics.values())
    assert all(row.value == row.metrics[row.primary] for row in rows)


def test_csv_equals_json(document, written):
    with (written / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(document["runs"])
    for line, run in zip(lines, document["runs"], strict=True):
        assert line["source"] == "synthetic"
        names = run.keys() - {"metrics", "details"}
        assert {"trained_parameters", "train_seconds", "encode_seconds", "state_sha256"} <= names
        assert all(line[name] == str(run[name]) for name in names)
        for name in set(line) - set(names) - {"source", "kind"}:
            value = run["metrics"].get(name)
            assert line[name] == ("" if value is None else str(value))


def test_writing_twice_gives_the_same_bytes(written, tmp_path):
    write_results(fake_document(), tmp_path)
    for path in written.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="ciao_stream/results/0"), "expected format 'ciao_stream/results/1' but got"),
        (lambda d: d.pop("runs"), "missing or of another type: runs"),
        (lambda d: d["encoder"].pop("weights"), "encoder has no 'weights'"),
        (lambda d: d["tasks"][0].update(source="maybe"), "source 'maybe' is neither"),
        (lambda d: d["tasks"].append(d["tasks"][0]), "'affectnet' is given twice"),
        (lambda d: d["runs"].append(d["runs"][0]), "run dl, affectnet, seed 0, validation: given twice"),
        (lambda d: d["runs"][0].update(task="jaffe"), "jaffe, seed 0, validation: unknown task"),
        (lambda d: d["runs"][0].update(primary="macro_f1"), "judged by 'macro_f1' instead of 'accuracy'"),
        (lambda d: d["runs"][0].update(n=0), "n = 0 samples"),
        (lambda d: d["runs"][0].update(split="dev"), "split 'dev' is none of"),
        (lambda d: d["runs"][0]["metrics"].update(accuracy="high"), "not a run of a results document"),
        (lambda d: d["runs"][0].update(train_seconds=math.nan), "seconds"),
        (lambda d: d["matrices"]["dl"].update({"0": [[0.5]]}), r"matrix of dl, seed 0: .* shape \(5, 4\)"),
        (lambda d: d["matrices"]["dl"]["0"][0].__setitem__(0, "x"), "matrix of dl, seed 0"),
        (lambda d: d["not_run"].append({"strategy": "dl"}), "expected strategy, task and reason"),
        (lambda d: d["not_run"][0].update(task="jaffe"), "not_run: unknown task 'jaffe'"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused_and_nothing_is_written(document, tmp_path, change, message):
    broken = copy.deepcopy(document)
    change(broken)
    with pytest.raises(CiaoError, match=message):
        write_results(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_all_problems_are_named_at_once(document):
    broken = copy.deepcopy(document)
    broken["encoder"].pop("name")
    broken["runs"][0]["n"] = -1
    with pytest.raises(CiaoError, match=r"encoder has no 'name'; .*n = -1"):
        write_results(broken, "unused")


def test_what_json_cannot_hold_is_refused(document, tmp_path):
    for value in (math.inf, {1, 2}):
        with pytest.raises(CiaoError, match="cannot be written as JSON"):
            write_results({**document, "settings": {"rate": value}}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numpy_numbers_are_written_as_plain_ones():
    numbers = {"n": np.int64(3), "seed": np.int64(1), "metrics": {"accuracy": np.float32(0.5)}}
    cost = {"trained_parameters": np.int32(5), "encode_seconds": np.float32(0.5), "train_seconds": np.float64(1)}
    row = RunRow("dl", "fer", split="test", primary="accuracy", cost=cost, **numbers)
    assert RunRow.from_json(json.loads(json.dumps(row.to_json(), allow_nan=False))) == row


def test_reading_what_is_no_results_document(tmp_path):
    with pytest.raises(CiaoError, match="cannot read"):
        read_results(tmp_path / "results.json")
    for text, message in (("{", "is not JSON"), ("[]", "not a results document"), ("{}", "not a results document")):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(CiaoError, match=message):
            read_results(tmp_path / "results.json")


# Documentation


def test_every_field_is_documented(document):
    text = (ROOT / "docs" / "results.md").read_text()
    parts = (document, document["environment"], document["encoder"], *(document[key][0] for key in ("tasks", "runs")))
    fields = {name for part in (*parts, document["not_run"][0], document["summary"][0]) for name in part}
    assert {name for name in fields if f"`{name}`" not in text} == set()
