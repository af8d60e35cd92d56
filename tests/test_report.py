import copy
import csv
import dataclasses
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from rich.console import Console
from scipy.stats import bootstrap

from ciao_stream import continual
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces import FaceDataset, TaskData
from ciao_stream.report.figures import bar_figure, r_matrix_figure, write_figures
from ciao_stream.report.formats import show, show_count
from ciao_stream.report.intervals import mean_interval
from ciao_stream.report.results import (
    RunRow,
    build_document,
    describe_environment,
    describe_task,
    read_results,
    write_results,
)
from ciao_stream.report.table import build_table, to_markdown, to_rich
from ciao_stream.tasks import EMOTIONS, TaskSpec

SPECS = (
    TaskSpec("affectnet", "categorical", EMOTIONS),
    TaskSpec("fer", "votes", EMOTIONS),
    TaskSpec("va", "dimensional", ("arousal", "valence")),
    TaskSpec("emoreact", "multilabel", EMOTIONS[:4]),
)
EXTRA = {
    "categorical": ("accuracy", "macro_f1"),
    "votes": ("accuracy", "macro_f1", "kl"),
    "dimensional": ("ccc", "ccc_arousal", "rmse"),
    "multilabel": ("macro_f1", "roc_auc"),
}
REASON = "a head shared by all tasks has no multi-label output"


class NoImages:
    fingerprint = "0" * 64

    def __len__(self):
        return 0

    def read(self, index):
        raise NotImplementedError(index)


def task_entry(spec, source="synthetic"):
    """The entry of ``tasks`` for a made-up data set of twelve faces."""
    rows = np.arange(12)
    if spec.kind == "categorical":
        targets = rows % spec.n_out
    elif spec.kind == "votes":
        targets = np.eye(spec.n_out, dtype=np.float32)[rows % spec.n_out]
    else:
        targets = np.zeros((12, spec.n_out), dtype=np.float32)
    splits = [
        FaceDataset(spec, split, NoImages(), rows, targets, source, "majority", dropped={"no face": 2})
        for split in ("train", "validation", "test")
    ]
    return describe_task(TaskData(*splits))


def fake_document(seeds=3, specs=SPECS, sources=("synthetic",) * 4, strategies=("dl", "dl+ciao", "full", "er_shared")):
    """A test fixture: a document of invented numbers, the same at every call."""
    rng = np.random.default_rng(12)
    rows, matrices = [], {strategy: {} for strategy in strategies}
    not_run = [(s, t.name) for s in strategies for t in specs if "shared" in s and t.kind == "multilabel"]
    for s, strategy in enumerate(strategies):
        fall = 0.06 if strategy in ("full", "er_shared") else 0.0
        for seed in range(seeds):
            own = rng.uniform(0.55, 0.72, len(specs)) + 0.02 * s
            matrix = np.full((len(specs) + 1, len(specs)), np.nan)
            for i in range(len(specs) + 1):
                for j in range(len(specs)):
                    if (strategy, specs[j].name) not in not_run:
                        matrix[i, j] = 0.15 + 0.01 * j if i <= j else own[j] - fall * (i - j - 1)
            matrices[strategy][seed] = matrix
            for j, spec in enumerate(specs):
                if (strategy, spec.name) in not_run:
                    continue
                for split in ("validation", "test"):
                    metrics = {name: float(rng.uniform()) for name in EXTRA[spec.kind]}
                    metrics[spec.primary] = float(matrix[-1, j])
                    if "roc_auc" in metrics and seed == 0:
                        metrics["roc_auc"] = math.nan
                    row = RunRow(
                        strategy, spec.name, seed, split, 3589 - j, metrics, spec.primary,
                        1234 + 100_000 * s + j, 2.5, 10.0 * (s + 1) + seed, f"{seed:064x}",
                    )  # fmt: skip
                    rows.append(row)
    return build_document(
        command=["ciao_stream.benchmark", "--tasks", "affectnet,fer"],
        environment=describe_environment("cpu", "float32"),
        encoder={"name": "vgg-small", "fingerprint": "ab" * 32, "parameters": 1_206_344, "weights": "test fixture"},
        tasks=[task_entry(spec, source) for spec, source in zip(specs, sources, strict=False)],
        settings={"epochs": 12, "preset": "default"},
        rows=rows,
        matrices=matrices,
        not_run=[{"strategy": s, "task": t, "reason": REASON} for s, t in not_run],
    )


@pytest.fixture(scope="module")
def document():
    return fake_document()


@pytest.fixture(scope="module")
def written(document, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "run"
    assert [path.name for path in write_results(document, out)] == ["results.json", "results.csv", "table.md"]
    return out


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
        names = [field.name for field in dataclasses.fields(RunRow) if field.name != "metrics"]
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
        (lambda d: d["tasks"].append(d["tasks"][0]), "'affectnet' stands twice"),
        (lambda d: d["runs"].append(d["runs"][0]), "run dl, affectnet, seed 0, validation: stands twice"),
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
    numbers = {"n": np.int64(3), "seed": np.int64(1), "trained_parameters": np.int32(5)}
    seconds = {"encode_seconds": np.float32(0.5), "train_seconds": np.float64(1)}
    row = RunRow(
        "dl", "fer", split="test", metrics={"accuracy": np.float32(0.5)}, primary="accuracy", **numbers, **seconds
    )
    assert RunRow.from_json(json.loads(json.dumps(row.to_json(), allow_nan=False))) == row


def test_reading_what_is_no_results_document(tmp_path):
    with pytest.raises(CiaoError, match="cannot read"):
        read_results(tmp_path / "results.json")
    for text, message in (("{", "is not JSON"), ("[]", "not a results document"), ("{}", "not a results document")):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(CiaoError, match=message):
            read_results(tmp_path / "results.json")


# Table


def markdown_rows(path):
    """The table as a Markdown reader sees it: one dictionary per row, by the first line of the heading."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    cells = [[re.sub(r"\*\*|\\", "", c).strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = [head.split("<br>")[0] for head in cells[0]]
    return [dict(zip(heads, row, strict=True)) for row in cells[2:]]


def terminal(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(to_rich(table))
    return console.file.getvalue()


def test_markdown_equals_json(document, written):
    summary = {(e["strategy"], e["task"] or e["metric"]): e for e in document["summary"]}
    rows = markdown_rows(written / "table.md")
    assert [row["strategy"] for row in rows] == ["dl", "dl+ciao", "full", "er_shared"]
    for row in rows:
        for column, key in [*((spec.name, spec.name) for spec in SPECS), ("ACC", "acc"), ("BWT", "bwt")]:
            entry = summary.get((row["strategy"], key))
            if entry is None:
                assert row[column] == "–"
            else:
                text = row[column].removesuffix("†")
                scale = 1 if entry["metric"] == "ccc" else 100
                number, half = [*text.split(" ±"), "0"][:2]
                assert float(number) == pytest.approx(scale * entry["mean"], abs=0.051 if scale == 100 else 0.0051)
                assert float(half) == pytest.approx(scale * entry["interval"], abs=0.051 if scale == 100 else 0.0051)
        seconds = sum(e["train_seconds"] for k, e in summary.items() if k[0] == row["strategy"] and e["task"])
        assert row["seconds"] == f"{seconds:,.0f}"


def test_markdown_says_what_the_numbers_are(written):
    text = (written / "table.md").read_text()
    assert text.splitlines()[0] == "# Results on the test splits (synthetic data)"
    for part in ("vgg-small", "3 seeds", "epochs: 12", "label rule: majority", "n scored 3,589", "1.2M parameters",
                 "they mix accuracy, CCC, macro F1", "macro F1 %<br>synthetic", "weights: test fixture"):  # fmt: skip
        assert part in text
    assert f"- – er\\_shared on emoreact: {REASON}" in text
    assert "not to be compared" in text


def test_the_best_of_each_column_is_bold(document):
    table = build_table(document)
    for position, heading in enumerate(table.headings):
        best = {row[0].text for row in table.rows if row[position].best}
        if heading[0] in ("BWT", "forgetting"):
            assert best == {"dl", "dl+ciao"}
        elif heading[0] in ("strategy", "parameters", "seconds"):
            assert best == set()
        else:
            assert len(best) == 1
            assert heading[0] != "ACC" or best != {"er_shared"}


def test_real_and_mixed_sources_are_marked_as_they_are():
    real = fake_document(sources=("real",) * 4)
    mixed = fake_document(sources=("real", "synthetic", "real", "real"))
    assert "synthetic" not in to_markdown(build_table(real))
    assert build_table(mixed).title.endswith("(partly synthetic: fer)")
    assert [("synthetic" in heading) for heading in build_table(mixed).headings[1:5]] == [False, True, False, False]


def test_one_seed_has_no_intervals_and_one_task_no_transfer(tmp_path):
    document = fake_document(seeds=1, specs=SPECS[:1], strategies=("dl", "full"))
    assert all(entry["interval"] is None for entry in document["summary"])
    write_results(document, tmp_path)
    rows = markdown_rows(tmp_path / "table.md")
    assert [row["forgetting"] for row in rows] == ["n/a", "n/a"]
    assert "±" not in rows[0]["affectnet"]
    text = (tmp_path / "table.md").read_text()
    assert "one seed: no intervals" in text
    assert "n/a: not defined" in text


def test_an_unfinished_run_can_be_shown(document, tmp_path):
    part = copy.deepcopy(document)
    part.update(runs=[], matrices={}, summary=[])
    write_results(part, tmp_path)
    assert "| er\\_shared | – | – | – | – | – | – |" in (tmp_path / "table.md").read_text()
    assert "no result yet" in (tmp_path / "table.md").read_text()


def test_names_are_not_read_as_markup(document):
    odd = copy.deepcopy(document)
    odd["encoder"]["name"] = "a|b*[red]<script>"
    table = build_table(odd)
    assert r"a\|b\*\[red\]\<script\>" in to_markdown(table)
    assert "a|b*[red]<script>" in terminal(table, 120)


def test_the_terminal_shows_the_same_cells_within_120_columns(document):
    table = build_table(document)
    text = terminal(table, 120)
    assert "synthetic" in text
    assert max(map(len, text.splitlines())) <= 120
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for row in table.rows:
        assert [cell.text for cell in row] == re.split(r"\s{2,}", lines[row[0].text].strip())


def test_a_narrow_terminal_folds_cells_and_loses_no_digit(document):
    table = build_table(document)
    text = terminal(table, 70)
    assert "…" not in text
    body = text[text.rindex("─") : text.index("– er_shared")]
    digits = sorted(c for row in table.rows for cell in row for c in cell.text if c.isdigit())
    assert sorted(c for c in body if c.isdigit()) == digits


# Figures


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_figures_are_written_whole_and_say_synthetic(document, tmp_path):
    assert [path.name for path in write_figures(document, tmp_path)] == ["bars.png", "r_matrix.png"]
    for path in tmp_path.iterdir():
        height, width = imread(path).shape[:2]
        assert 400 < height < 3000
        assert 600 < width < 3000
    for figure in (bar_figure(document), r_matrix_figure(document)):
        assert "synthetic data" in figure.get_suptitle()
        assert "vgg-small" in figure.get_suptitle()
    assert "synthetic" not in bar_figure(fake_document(sources=("real",) * 4)).get_suptitle()


def test_bars_have_the_heights_and_intervals_of_the_summary(document):
    axes = bar_figure(document).axes[0]
    entries = {(e["strategy"], e["task"]): e for e in document["summary"] if e["task"]}
    bars = [c for c in axes.containers if hasattr(c, "patches")]
    spreads = [c for c in axes.containers if hasattr(c, "has_yerr")]
    for strategy, bar, spread in zip(("dl", "dl+ciao", "full", "er_shared"), bars, spreads, strict=True):
        segments = spread.lines[2][0].get_segments()
        for spec, patch, segment in zip(SPECS, bar.patches, segments, strict=True):
            entry = entries.get((strategy, spec.name))
            if entry:
                assert patch.get_height() == entry["mean"]
                assert np.ptp(segment[:, 1]) == pytest.approx(2 * entry["interval"])
            else:
                assert math.isnan(patch.get_height())
    assert texts_of(bar_figure(document)) == ["–"]


def test_heat_maps_show_every_evaluated_cell_and_no_other(document):
    figure = r_matrix_figure(document)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(panels) == list(document["matrices"])
    assert len(panels["dl"].texts) == 20
    assert len(panels["er_shared"].texts) == 15
    for strategy, axes in panels.items():
        mean = np.mean(np.array(list(document["matrices"][strategy].values()), dtype=float), axis=0)
        for text in axes.texts:
            j, i = text.get_position()
            assert text.get_text() == show(SPECS[j].primary, mean[i, j])


def test_many_strategies_and_values_below_zero_can_be_drawn(tmp_path):
    document = fake_document(seeds=1, strategies=[f"strategy {k}" for k in range(11)])
    for by_seed in document["matrices"].values():
        by_seed["0"][0][2] = -0.2
    write_figures(document, tmp_path)
    assert "one seed" in bar_figure(document).get_suptitle()


# Documentation


def test_every_field_is_documented(document):
    text = (Path(__file__).parent.parent / "docs" / "results.md").read_text()
    parts = (document, document["environment"], document["encoder"], *(document[key][0] for key in ("tasks", "runs")))
    fields = {name for part in (*parts, document["not_run"][0], document["summary"][0]) for name in part}
    assert {name for name in fields if f"`{name}`" not in text} == set()
