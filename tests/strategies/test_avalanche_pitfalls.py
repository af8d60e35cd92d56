"""Faults of Avalanche 0.6.0 that we work around, and habits that we rely on: an upgrade shows here first.

Each test shows the fault in Avalanche itself, and that it does not reach us.
"""

import copy
import os
import pwd
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.avalanche_home import avalanche_home
from benchmarks.streams import build_benchmark
from benchmarks.synthetic import load
from ciao_stream.checks.strategy import SIZES, TASKS
from ciao_stream.encoders.encoded import EncodedFaces
from strategies import load_strategy
from strategies.base.evaluation import SilentLogger, silent_evaluator
from strategies.base.shared_head import SharedLabels, _ends_in_one, _stream

with avalanche_home():
    from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline, with_task_labels
    from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, DataAttribute, TaskLabels
    from avalanche.evaluation.metrics import TaskAwareAccuracy, loss_metrics
    from avalanche.models import MultiHeadClassifier
    from avalanche.training import Naive, Replay
    from avalanche.training.plugins import EvaluationPlugin


DecisionLayer, LWF, NAIVE, REPLAY = (load_strategy(name)[0] for name in ("dl", "lwf", "naive", "replay"))


class Untouchable:
    """Features that may be counted but not read."""

    dtype = np.dtype(np.float16)

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        raise AssertionError(f"sample {index} was read")


def faces(name, split="train", features=None):
    data = getattr(load(name, **SIZES, size=16), split)
    made = np.zeros((len(data), 6, 4, 4), dtype=np.float16) if features is None else features
    return EncodedFaces(data, made)


def labelled(dataset, task=0, **attributes):
    attributes = [DataAttribute(values, name) for name, values in attributes.items()]
    labels = TaskLabels(ConstantSequence(task, len(dataset)))
    return AvalancheDataset([dataset], data_attributes=[labels, *attributes])


def small_net():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(96), nn.Linear(96, 8))


def common(net, **changes):
    return {
        "model": net,
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.01),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": 8,
        "plugins": [],
        "evaluator": silent_evaluator,
    } | changes


def test_a_benchmark_is_built_without_reading_a_sample():
    sets = [faces(name, features=Untouchable(17)) for name in TASKS]
    benchmark = build_benchmark(sets, sets)
    assert [len(experience.dataset) for experience in benchmark.train_stream] == [17] * 4
    with pytest.raises(ValueError, match="must be"):
        benchmark_from_datasets(train=sets)  # a plain data set is refused; ours are wrapped


def test_task_labels_and_faces_survive_in_both_streams_and_in_parts_of_them():
    """Avalanche's own experiences have no task label until they are asked for; ours also carry their faces."""
    bare = benchmark_from_datasets(train=[labelled(faces("fer"), 1)])
    assert not hasattr(bare.train_stream[0], "task_label")
    train, test = [faces(name) for name in TASKS], [faces(name, "test") for name in TASKS]
    benchmark = build_benchmark(train, test)
    for stream, sets in ((benchmark.train_stream, train), (benchmark.test_stream, test)):
        assert [experience.task_label for experience in stream] == [0, 1, 2, 3]
        assert [experience.faces for experience in stream] == sets
        assert [experience.faces for experience in stream[2:]] == sets[2:]
        x, y, task = stream[1].dataset[0]
        assert (x.shape, y.shape, task) == ((6, 4, 4), (8,), 1)


def test_targets_that_are_no_classes_cannot_be_an_attribute_and_are_none_of_ours():
    values = DataAttribute(faces("affectnet-va").faces.targets.tolist(), "targets")
    with pytest.raises(TypeError, match="unhashable"):
        print(values.uniques)
    benchmark = build_benchmark([faces("affectnet-va")], [faces("affectnet-va")])
    assert not hasattr(benchmark.train_stream[0].dataset, "targets")


def test_multi_task_heads_pad_their_logits_with_zeros_and_ours_do_not(ground):
    heads = MultiHeadClassifier(in_features=2, initial_out_features=3, masking=False)
    for task, classes in ((0, range(3)), (1, range(8))):
        heads.adaptation(SimpleNamespace(classes_in_this_experience=[*classes], task_labels=[task]))
    with torch.no_grad():
        heads.classifiers["0"].classifier.bias.fill_(-5.0)
        padded = heads(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
    assert padded.shape == (4, 8)
    assert (padded.argmax(dim=1) >= 3).all()  # a class that task 0 does not have
    made, benchmark = ground.build(DecisionLayer, masked=True)
    widths = []
    made.task_metrics.after_eval_iteration = lambda strategy: widths.append(strategy.mb_output.shape[1])
    made.task_metrics.after_eval_exp = lambda _: None
    made.eval(benchmark.test_stream)
    assert widths == [spec.n_out for spec in ground.specs] == [8, 8, 8, 2]


def test_frozen_normalisation_drifts_in_a_model_of_avalanche():
    """``requires_grad_(False)`` does not stop running statistics once ``train()`` has been called."""
    net = small_net()
    net[1].requires_grad_(False)
    before = net[1].running_mean.clone()
    data = TensorDataset(torch.rand(16, 6, 4, 4) + 1, torch.zeros(16, dtype=torch.long))
    stream = with_task_labels(benchmark_from_datasets(train=[labelled(data)])).train_stream
    Naive(**common(net)).train(stream, eval_streams=[])
    assert not torch.equal(net[1].running_mean, before)


def test_the_optimiser_is_given_every_parameter_and_ours_is_not(ground):
    net = small_net()
    strategy = Naive(**common(net, optimizer=torch.optim.SGD([net[2].bias], lr=0.01)))
    data = TensorDataset(torch.rand(16, 6, 4, 4), torch.zeros(16, dtype=torch.long))
    strategy.train(with_task_labels(benchmark_from_datasets(train=[labelled(data)])).train_stream, eval_streams=[])
    assert sum(len(group["params"]) for group in strategy.optimizer.param_groups) == 4
    made, benchmark = ground.build(DecisionLayer, masked=False)
    made.train(benchmark.train_stream[1], eval_streams=[])
    held = {id(p) for group in made.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in made.worlds[ground.specs[1].name].parameters()}


def test_evaluating_an_unseen_task_makes_a_head_and_ours_makes_none(ground):
    heads = MultiHeadClassifier(in_features=2, initial_out_features=3, masking=False).eval()
    heads.adaptation(SimpleNamespace(classes_in_this_experience=[0, 1, 2], task_labels=[7]))
    assert "7" in heads.classifiers
    made, benchmark = ground.build(DecisionLayer, masked=False)
    before = copy.deepcopy(made.model.state_dict())
    made.eval(benchmark.test_stream)
    assert before.keys() == made.model.state_dict().keys()


def test_the_learner_is_ready_before_plugins_hear_of_the_experience(ground):
    """A checkpoint is restored in ``before_training_exp``: the optimiser must be made by then, and no epoch run."""
    seen = []

    class Watch(DecisionLayer):
        def check_model_and_optimizer(self, **kwargs):
            super().check_model_and_optimizer(**kwargs)
            seen.append("optimiser")

        def training_epoch(self, **kwargs):
            super().training_epoch(**kwargs)
            seen.append("epoch")

        def _before_training_exp(self, **kwargs):
            super()._before_training_exp(**kwargs)
            seen.append("plugins")

    made, benchmark = ground.build(Watch, masked=False)
    made.train(benchmark.train_stream[0], eval_streams=[])
    assert seen == ["optimiser", "plugins", "epoch", "epoch"]


def test_a_last_batch_of_one_breaks_normalisation_and_we_leave_it_out(ground):
    net = small_net()
    data = TensorDataset(torch.rand(17, 6, 4, 4), torch.zeros(17, dtype=torch.long))
    stream = with_task_labels(benchmark_from_datasets(train=[labelled(data)])).train_stream
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        Naive(**common(net)).train(stream, eval_streams=[])
    Naive(**common(net)).train(stream, eval_streams=[], drop_last=True)
    sets = [SharedLabels(faces("fer"), faces("fer").faces.spec.labels)] * 2
    assert [_ends_in_one(sets[:1], size) for size in (1, 2, 4, 8, 16, 5, 17, 64)] == [False, *[True] * 4, *[False] * 3]
    assert not _ends_in_one(sets, 8)
    assert _ends_in_one(sets, 11)
    assert NAIVE.run(ground.job("run"), masked=False).tasks


def test_distillation_needs_a_task_aware_data_set():
    labels = faces("fer").faces.spec.labels
    data = SharedLabels(faces("fer"), labels)
    plain = with_classes_timeline(
        with_task_labels(benchmark_from_datasets(train=[labelled(data, targets=data.targets)]))
    )
    with pytest.raises(AttributeError, match="task_set"):
        LWF.make(**common(small_net())).train(plain.train_stream, eval_streams=[], drop_last=True)
    LWF.make(**common(small_net())).train(_stream([data]), eval_streams=[], drop_last=True)


def test_replay_of_avalanche_warns_and_ours_does_not(recwarn):
    data = SharedLabels(faces("fer"), faces("fer").faces.spec.labels)
    Replay(**common(small_net()), mem_size=8).train(_stream([data]), eval_streams=[], drop_last=True)
    assert any("deprecated function update" in str(w.message) for w in recwarn.list)
    recwarn.clear()
    made = REPLAY.make(**common(small_net()))
    made.train(_stream([data, data]), eval_streams=[], drop_last=True)
    assert not recwarn.list
    memory = next(plugin.storage_policy for plugin in made.plugins if hasattr(plugin, "storage_policy"))
    assert len(memory.buffer) == 34


def test_the_default_evaluator_prints_and_ours_keeps_quiet(ground, capfd, recwarn):
    data = SharedLabels(faces("fer"), faces("fer").faces.spec.labels)
    chatty = common(small_net())
    del chatty["evaluator"]
    Naive(**chatty).train(_stream([data]), eval_streams=[], drop_last=True)
    assert "Start of training phase" in capfd.readouterr().out
    made, benchmark = ground.build(DecisionLayer, masked=True)
    made.train(benchmark.train_stream[:2], eval_streams=[])
    made.eval(benchmark.test_stream)
    for strategy in (NAIVE, REPLAY, LWF):
        strategy.run(ground.job(repr(strategy)), masked=False)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_the_default_evaluator_keeps_every_point_and_ours_none(ground):
    data = SharedLabels(faces("fer"), faces("fer").faces.spec.labels)
    hoarding = EvaluationPlugin(loss_metrics(minibatch=True), loggers=[SilentLogger()])
    Naive(**common(small_net(), evaluator=hoarding)).train(_stream([data]), eval_streams=[], drop_last=True)
    assert sum(len(points) for _, points in hoarding.all_metric_results.values()) == 2
    made, benchmark = ground.build(DecisionLayer, masked=True)
    for _ in range(2):
        made.train(benchmark.train_stream, eval_streams=[])
        made.eval(benchmark.test_stream)
    assert not made.evaluator.all_metric_results
    assert made.mbatch is None  # the last batch is let go of


def test_metrics_of_avalanche_take_dimensions_for_classes_and_ours_are_of_the_kind(ground):
    accuracy = TaskAwareAccuracy()
    accuracy.update(torch.tensor([[0.3, -0.2]]), torch.tensor([[0.9, -0.9]]), 0)
    assert accuracy.result(0) == {0: 1.0}  # nonsense, and silent
    made, benchmark = ground.build(DecisionLayer, masked=False)
    made.eval(benchmark.test_stream)
    assert all(spec.primary in made.task_metrics.results[spec.name] for spec in ground.specs)
    assert "accuracy" not in made.task_metrics.results["affectnet-va"]


@pytest.mark.parametrize("home", ["/proc/nowhere", "/proc", None])
def test_the_import_has_a_home_to_write_to_and_leaves_it_as_it_was(home, monkeypatch):
    """Avalanche writes ``~/.avalanche/config.json`` when it is imported, and fails where it cannot."""
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir="/proc/nowhere"))
    else:
        monkeypatch.setenv("HOME", home)
    with avalanche_home():
        spare = Path("~/.avalanche").expanduser()
        spare.mkdir()
        (spare / "config.json").write_text("{}")
    assert os.environ.get("HOME") == home
    assert not spare.exists()


def test_a_home_that_can_be_written_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with avalanche_home():
        assert Path("~").expanduser() == tmp_path


def test_warnings_of_the_import_are_silenced_and_others_are_not(recwarn):
    with avalanche_home():
        warnings.warn("JAXopt is no longer maintained", DeprecationWarning, stacklevel=1)
    warnings.warn("after", DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in recwarn.list] == ["after"]
