"""The driver: a strategy is one file, its sequence resumes, and a mask is offered only where there is one."""

import csv
from dataclasses import replace

import pytest

import strategies
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.checks.strategy import check_strategy
from ciao_stream.report import columns
from ciao_stream.report.columns import Column
from strategies import load_strategy, strategy_names
from strategies.base.driver import Strategy
from strategies.base.sequence import Outcome
from tests.helpers import documents
from tests.helpers.sequences import arguments, document

PRIOR = '''"""``prior``: predicts the classes as often as they occur in training."""

TAKES_MASK = False


def strategy():
    import numpy as np
    import torch

    from strategies.base.driver import ArrayLearner, Strategy

    class Prior(ArrayLearner):
        def __init__(self):
            self.logits = {}

        def learn(self, spec, faces):
            self.logits[spec.name] = np.log(np.bincount(faces("u").faces.classes(), minlength=spec.n_out) + 1)

        def outputs(self, spec, faces):
            logits = self.logits.get(spec.name, np.zeros(spec.n_out))
            return torch.from_numpy(logits).expand(len(faces("u")), -1)

        def arrays(self, spec):
            return [self.logits[spec.name]]

        def cost(self, spec):
            return {**super().cost(spec), "joules": 7.5}

    class AlwaysThePrior(Strategy):
        deterministic = True

        def learner(self, job, masked):
            return Prior()

        def refuse(self, spec):
            return "" if spec.has_classes else "it has no classes"

    return AlwaysThePrior()
'''


@pytest.fixture
def prior(tmp_path, monkeypatch):
    """A strategy of the user's own, in one file of a folder that is added to the package."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "prior.py").write_text(PRIOR)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(folder)])
    yield load_strategy("prior")[0]
    load_strategy.cache_clear()


def test_a_strategy_is_one_file(prior, tmp_path, cache):
    assert {"prior", "prior+ciao"} & {*strategy_names()} == {"prior"}
    out = tmp_path / "run"
    argv = arguments(out, "affectnet,emoreact", "prior,majority", "--cache", str(cache), size=12)
    assert benchmark.main(argv) == 0
    found = {run["strategy"]: run for run in document(out)["runs"] if run["task"] == "affectnet"}
    assert found["prior"]["metrics"]["accuracy"] == found["majority"]["metrics"]["accuracy"]
    assert found["prior"]["trained_parameters"] == 8
    reasons = {(one["strategy"], one["task"]): one["reason"] for one in document(out)["not_run"]}
    assert reasons == {("prior", "emoreact"): "it has no classes"}
    check_strategy(prior)


def test_a_column_of_the_report_is_one_line(prior, tmp_path, cache, monkeypatch):  # noqa: ARG001
    """What a learner reports as a cost is in every file of a run, once there is a column for it."""
    joules = Column("joules", ("joules", "in all"), "J", "{:.1f}".format, "{:.1f}".format)
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, joules))
    out = tmp_path / "run"
    argv = arguments(out, "affectnet,fer", "prior,majority", "--cache", str(cache), size=12)
    assert benchmark.main(argv) == 0
    runs = document(out)["runs"]
    assert [(run["strategy"], run["joules"]) for run in runs if "joules" in run] == [("prior", 7.5)] * 2
    with (out / "results.csv").open() as file:
        assert [line["joules"] for line in csv.DictReader(file)] == ["7.5", "7.5", "", ""]
    found = {row["strategy"]: row["joules"] for row in documents.markdown_rows(out / "table.md")}
    assert found == {"prior": "15.0", "majority": "–"}
    page = (out / "report.html").read_text()
    assert "joules<small>in all</small>" in page
    assert page.count('data-value="7.5"') == 4  # of each task: in all seeds, and in each
    assert 'data-value="15.0"' in page


@pytest.mark.parametrize("name", strategy_names())
def test_a_module_says_whether_its_strategy_has_a_mask(name):
    strategy, masked = load_strategy(name)
    assert strategy.masks == (f"{name.removesuffix('+ciao')}+ciao" in strategy_names()) >= masked


@pytest.mark.parametrize("name", ["hog", "majority", "logreg", "cafe-small"])
def test_a_mask_for_a_strategy_without_one_is_refused_in_one_line(name, tmp_path, capsys):
    assert benchmark.main(["--tasks", "fer", "--strategies", f"dl,{name}+ciao", "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err.strip()
    assert line == f"error: strategy '{name}' has no mask: use '{name}' in place of '{name}+ciao'"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("where", ["in an epoch", "before its progress", "after its progress"])
@pytest.mark.parametrize("name", ["prior", "online-softmax", "cafe-small"])
def test_a_sequence_stopped_in_a_task_resumes_after_the_last_finished_one(name, where, prior, ground, monkeypatch):
    assert isinstance(prior, Strategy)
    strategy = load_strategy(name)[0]
    whole = strategy.run(ground.job("whole"), False)
    save, job, told = Outcome.save, ground.job("stopped"), []

    def epoch(task):
        if where == "in an epoch" and task == "ferplus":
            raise KilledError

    def progress(outcome, path):
        if where == "before its progress" and len(outcome.tasks) == 2:
            raise KilledError
        save(outcome, path)
        if where == "after its progress":
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Outcome, "save", progress)
        with pytest.raises(KilledError):
            strategy.run(replace(job, on_epoch=epoch), False)
    finished = {path: path.stat().st_mtime_ns for path in job.folder.rglob("affectnet/*")}
    resumed = strategy.run(replace(job, on_epoch=told.append), False)
    assert told == ["ferplus"] * 2
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert all(task.train_seconds > 0 for task in resumed.tasks)
    kept = [[(t.task, t.metrics, t.state_sha256, t.n, t.trained_parameters) for t in o.tasks] for o in (resumed, whole)]
    assert kept[0] == kept[1]
    assert repr(resumed.matrix.tolist()) == repr(whole.matrix.tolist())
    assert resumed.not_run == whole.not_run
