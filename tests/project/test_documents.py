"""The documents are right: their code runs, and their tables are complete."""

import re

import pytest

import benchmarks.datasets
from benchmarks.names import OWN, real_task_names
from benchmarks.own.table import FORMS
from benchmarks.tasks import load_task
from ciao_stream.checks import check_dataset
from ciao_stream.runtime.plugins import load_plugin
from tests.helpers import ROOT, own_files

DATASETS = (ROOT / "docs" / "datasets.md").read_text()


def test_a_new_data_set_is_one_file(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", DATASETS, re.DOTALL).group(1)
    assert len(code.splitlines()) <= 30
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "moods.py").write_text(code)
    monkeypatch.setattr(benchmarks.datasets, "__path__", [*benchmarks.datasets.__path__, str(tmp_path / "plugins")])
    assert "moods" in real_task_names()
    own_files.write_own_folder(tmp_path, name="moods", splits=("train", "test"), classes=("happy", "sad"), per_class=9)
    data = check_dataset(lambda: load_task("moods", tmp_path), name="moods")
    assert [len(split) for split in data.splits()] == [16, 2, 18]


def test_every_data_set_and_rule_is_in_the_table():
    rows = {line.split("`")[1]: line for line in DATASETS.splitlines() if line.startswith("| `")}
    for name in real_task_names():
        rules = load_plugin("benchmarks.datasets", name, "task").RULES
        named = [rule for rule in rules if rule != "as annotated" and not rule.endswith("-210")]
        assert [rule for rule in named if f"`{rule}`" not in rows[name]] == []
    assert all(name in DATASETS for name in OWN.values())


def test_every_form_of_target_of_a_csv_is_in_the_table():
    assert [form for form in FORMS if form not in DATASETS] == []


def test_every_option_exists(capsys):
    from ciao_stream.benchmark import __main__ as benchmark

    with pytest.raises(SystemExit):
        benchmark.main(["--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", DATASETS)) <= known
