"""``benchmark --suite ablation``: each change on its own, compared with the settings without it, over equal seeds."""

import json
from urllib.parse import unquote

import numpy as np
import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.suites.ablation import run
from ciao_stream.encoders import load_encoder
from ciao_stream.report.intervals import mean_interval
from ciao_stream.worlds.settings import PRESETS, Settings
from ciao_stream.worlds.tuned import FORMAT
from tests.helpers import own_files, pages, sequences
from tests.helpers.sequences import document, in_child

FEW = [one for one in run.VARIANTS if one.name in ("1x1 (pointwise)", "low-rank", "rate 0.0003")]


@pytest.mark.parametrize("settings", [Settings(), PRESETS["paper"]])
def test_only_changes_that_change_something_are_tried(settings):
    tried = run.variants(settings)
    assert len(tried) > 20
    assert all(settings.changed(one.changes) != settings for one in tried)
    left_out = [one for one in run.VARIANTS if one not in tried]
    assert left_out
    assert all(settings.changed(one.changes) == settings for one in left_out)


def test_changes_have_folders_of_their_own():
    folders = [one.folder for one in run.VARIANTS]
    assert len(set(folders)) == len(folders)
    assert not any(set("/ ") & set(folder) for folder in folders)


def few_variants(argv):
    run.VARIANTS = tuple(FEW)
    return benchmark.main(argv)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    argv = [
        "--suite", "ablation", "--tasks", "fer,jaffe", "--synthetic-size", "24", "--epochs", "1", "--seeds", "2",
        "--set", "head.hidden=[8]", "--device", "cpu", "--cache", str(folder / "cache"), "--out", str(folder / "run"),
    ]  # fmt: skip
    code, printed = in_child(few_variants, argv)
    assert code == 0, printed
    return folder / "run", printed, argv


def test_each_change_is_a_benchmark_of_its_own(ran):
    out, _, _ = ran
    changed = {one.folder: one.changes for one in FEW}
    assert {path.name for path in out.iterdir()} == {run.PRESET, "ablation.md", "ablation.html", *changed}
    for name, changes in {run.PRESET: {}, **changed}.items():
        found = document(out / name)
        asked = Settings(epochs=1).changed({"head.hidden": [8], **changes})
        assert {task: Settings.from_json(own) for task, own in found["settings"]["tasks"].items()} == {
            "fer": asked,
            "jaffe": asked,
        }
        assert {row["split"] for row in found["runs"]} == {"validation"}
        assert {row["strategy"] for row in found["runs"]} == {"dl+ciao"}


def test_the_table_holds_the_differences_over_the_same_seeds(ran):
    out, printed, _ = ran
    before = document(out / run.PRESET)
    shown = run.build_table(before, [(one, document(out / one.folder)) for one in FEW])
    assert "synthetic" in shown.title
    assert "validation" in shown.notes[0]
    for row, one in zip(shown.rows[1:], FEW, strict=True):
        values = {
            name: [r["metrics"]["accuracy"] for r in document(out / name)["runs"] if r["task"] == "fer"]
            for name in (run.PRESET, one.folder)
        }
        difference, half = mean_interval(list(np.subtract(values[one.folder], values[run.PRESET])))
        text = row[3].text
        assert float(text.split()[0]) == pytest.approx(100 * difference, abs=0.051)
        assert row[3].best == (abs(difference) > half)
    assert [row[1].text for row in shown.rows] == ["none", *(one.name for one in FEW)]
    assert "depthwise" not in printed
    assert "ablation.md" in printed


def test_the_page_holds_the_table_and_leads_to_every_run(ran):
    out, _, _ = ran
    html = (out / "ablation.html").read_text()
    assert pages.check_tables(html, (out / "ablation.md").read_text()) == 8 * (1 + len(FEW))
    links = [link.attributes["href"] for link in pages.read_page(html).find("section", id="runs")[0].find("a")]
    assert {(out / unquote(link)).parent.name for link in links} == {run.PRESET, *(one.folder for one in FEW)}
    assert all((out / unquote(link)).is_file() for link in links)


def test_a_finished_ablation_is_not_run_again(ran):
    out, _, argv = ran
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("progress.json")}
    assert len(stamps) == 2 * (1 + len(FEW))
    code, printed = in_child(few_variants, [*argv, "--resume"])
    assert code == 0, printed
    assert stamps == {path: path.stat().st_mtime_ns for path in out.rglob("progress.json")}


def test_one_strategy_at_a_time(tmp_path):
    argv = ["--suite", "ablation", "--tasks", "fer", "--strategies", "dl,lc", "--out", str(tmp_path / "run")]
    code, printed = in_child(benchmark.main, argv)
    assert code == 2
    assert "suite ablation takes one strategy but got dl, lc" in printed


def test_a_task_that_the_strategy_does_not_run_on_is_one_line(tmp_path):
    argv = sequences.arguments(tmp_path / "run", "emoreact", "naive", "--suite", "ablation", size=8)
    code, printed = in_child(few_variants, argv)
    assert code == 2, printed
    assert "naive does not run on every task (emoreact: multilabel targets do not fit a shared class head)" in printed
    assert [path.name for path in (tmp_path / "run").iterdir()] == [run.PRESET]


def test_the_changes_are_those_of_the_tasks_own_settings(tmp_path):
    """A task from a file has another name than it is asked for by."""
    own_files.save(tmp_path, [f"{i}.png" for i in range(24)])
    lines = [f"{i}.png,{('sad', 'happy')[i % 2]}" for i in range(24)]
    (tmp_path / "mine.csv").write_text("\n".join(["file,label", *lines]))
    encoder = {"name": "ciao-face", "fingerprint": load_encoder("ciao-face").fingerprint()}
    settings = Settings(lr=3e-4, epochs=1).changed({"mask": "low-rank", "head.hidden": [8]})
    tuned = {
        "format": FORMAT,
        "encoder": encoder,
        "space_sha256": "s",
        "tasks": {"mine": {"settings": settings.to_json()}},
    }
    (tmp_path / "tuned.json").write_text(json.dumps(tuned))
    argv = ["--suite", "ablation", "--tasks", f"csv:{tmp_path / 'mine.csv'}", "--heads", str(tmp_path / "tuned.json")]
    more = ["--seeds", "1", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    code, printed = in_child(few_variants, [*argv, *more])
    assert code == 0, printed
    changed = {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert changed == {run.PRESET, *(one.folder for one in FEW if one.name == "1x1 (pointwise)")}
