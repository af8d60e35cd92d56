import copy
import io
import math
import re

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from ciao_stream.report.figures import bar_figure, r_matrix_figure, write_figures
from ciao_stream.report.formats import show
from ciao_stream.report.results import write_results
from ciao_stream.report.table import build_table, to_markdown, to_rich
from tests.helpers import documents
from tests.helpers.documents import REASON, SPECS, fake_document, markdown_rows

document, written = documents.document, documents.written

# Table


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
    assert f"- – emoreact (er\\_shared): {REASON}" in text
    assert "not comparable" in text


def test_tasks_that_were_trained_for_different_lengths_say_so(document):
    by_task = {task["name"]: {"epochs": 3 + i} for i, task in enumerate(document["tasks"])}
    first, second, *_ = by_task
    text = to_markdown(build_table({**document, "settings": {"tasks": by_task}}))
    assert f"epochs: 3 ({first}), 4 ({second})" in text


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
    body = text[text.rindex("─") : text.index("– emoreact (er_shared)")]
    digits = sorted(c for row in table.rows for cell in row for c in cell.text if c.isdigit())
    assert sorted(c for c in body if c.isdigit()) == digits


# Figures


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("split", ["test", "validation"])
def test_figures_name_the_split_that_was_judged(document, split):
    judged = {**document, "settings": {**document["settings"], "judged": split}}
    for figure in (bar_figure(judged), r_matrix_figure(judged)):
        labels = [axes.get_ylabel() for axes in figure.axes]
        assert f"primary metric, {split} split" in labels


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
