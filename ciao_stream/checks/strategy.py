"""What every strategy promises, as checks that run in seconds, on ours and on your own.

::

    from ciao_stream.checks.strategy import check_strategy

    check_strategy(MyStrategy)

A strategy is what ``strategy()`` of its module returns: see :class:`strategies.base.Runner`. One that
derives from :class:`strategies.base.per_task.PerTaskStrategy` promises more, and is checked for more.
"""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.streams import build_benchmark
from benchmarks.synthetic import load
from ciao_stream.checks import require
from ciao_stream.encoders.base import Encoder, LastConv, Level, Preprocessing, state_sha256
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import EncodedFaces, encode
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.dataset import Split
from ciao_stream.faces.task import TaskSpec
from ciao_stream.metrics.continual import forgetting
from ciao_stream.metrics.scores import evaluate
from ciao_stream.runtime.expect import described
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.settings import HeadSettings, Settings
from strategies.base import Runner
from strategies.base.per_task import PerTaskStrategy
from strategies.base.sequence import Job, JobSplit, Outcome, Predicts

TASKS = ("affectnet", "emoreact", "ferplus", "affectnet-va")
"""Synthetic worlds, one of each kind of target; those with classes do not come last."""

SETTINGS = Settings(head=HeadSettings(hidden=(8,)), lr=0.01, batch_size=8, epochs=2)
"""17 faces in batches of 8 leave a single one over."""

SIZES = {"train": 17, "validation": 8, "test": 12}


@dataclass(frozen=True)
class Ground:
    """What a strategy is checked on: an encoder with normalisation and dropout, and tasks of all four kinds.

    Args:
        folder: For results; fresh for every check.
        cache: For features; checks may share it.
    """

    folder: Path
    cache: Path
    encoder: Encoder = field(default_factory=lambda: _encoder())
    settings: Settings = SETTINGS
    specs: tuple[TaskSpec, ...] = field(default_factory=lambda: tuple(load(name, **SIZES).spec for name in TASKS))

    def faces(self, spec: TaskSpec, split: Split | JobSplit, level: Level) -> EncodedFaces:
        """Return one split of one task; its test split is judged."""
        data = getattr(load(spec.name, **SIZES, size=16), "test" if split == "judged" else split)
        return encode(data, self.encoder, FeatureCache(self.cache), level)

    def job(self, folder: str, seed: int = 0, epochs: list[str] | None = None) -> Job:
        """Return a sequence of all tasks; ``epochs`` collects the task of every epoch."""
        settings = dict.fromkeys([spec.name for spec in self.specs], self.settings)
        tell = (lambda _: None) if epochs is None else epochs.append
        return Job(self.specs, self.faces, self.encoder, settings, seed, self.folder / folder, tell)

    def build(self, strategy: type[PerTaskStrategy], masked: bool, seed: int = 0) -> tuple[PerTaskStrategy, Any]:
        """Return a per-task strategy before any training, and the Avalanche benchmark to train it on."""
        job, level = self.job("none", seed), strategy.level(masked)
        made = strategy(encoder=self.encoder, specs=self.specs, settings=job.settings, masked=masked, seed=seed)
        return made, build_benchmark(job.all_faces("train", level), job.all_faces("judged", level))


Check = Callable[[Any, bool, Ground], None]


def check_strategy(strategy: Runner, masked: bool = False) -> None:
    """Run every check that concerns a strategy.

    Args:
        strategy: What ``strategy()`` of its module returns.
        masked: Whether it is to have a mask (``+ciao``).

    Raises:
        ContractError: A promise is broken; the message says which.
    """
    sound = all(callable(getattr(strategy, method, None)) for method in ("level", "run"))
    require(sound, f"expected a strategy, which has methods level and run, but got {described(strategy)}")
    with tempfile.TemporaryDirectory() as folder:
        for check in checks_for(strategy):
            check(strategy, masked, Ground(Path(folder) / check.__name__, Path(folder) / "cache"))


def checks_for(strategy: Runner) -> tuple[Check, ...]:
    """Return the checks that concern a strategy; each takes the strategy, ``masked`` and a :class:`Ground`."""
    per_task = isinstance(strategy, type) and issubclass(strategy, PerTaskStrategy)
    return (*CHECKS, *PER_TASK_CHECKS) if per_task else CHECKS


def check_leaves_the_encoder_alone(strategy: Runner, masked: bool, ground: Ground) -> None:
    """Training and evaluating move no weight and no buffer of the shared encoder, nor thaw it."""
    before = ground.encoder.fingerprint()
    strategy.run(ground.job("run"), masked)
    require(ground.encoder.fingerprint() == before, "it moves a weight or a buffer of the shared encoder")
    frozen = not any(p.requires_grad for p in ground.encoder.parameters())
    still = not any(module.training for module in ground.encoder.modules())
    require(frozen and still, "it thaws the shared encoder")


def check_outcome_is_complete(strategy: Runner, masked: bool, ground: Ground) -> None:
    """Each task has an outcome or a reason for having none, and R is filled where a task ran."""
    epochs: list[str] = []
    outcome = strategy.run(ground.job("run", epochs=epochs), masked)
    names = [spec.name for spec in ground.specs]
    ran = [task.task for task in outcome.tasks]
    require(sorted([*ran, *outcome.not_run]) == sorted(names), "a task has neither an outcome nor a reason")
    require(outcome.matrix.shape == (len(names) + 1, len(names)), "R is not (T + 1, T)")
    for spec, first, last in zip(ground.specs, outcome.matrix[0], outcome.matrix[-1], strict=True):
        measured = not np.isnan([first, last]).any()
        require(measured == (spec.name in ran), f"R does not say how task {spec.name!r} began and ended")
    primary = {spec.name: spec.primary for spec in ground.specs}
    ends = dict(zip(names, outcome.matrix[-1], strict=True))
    require(all(t.metrics[primary[t.task]] == ends[t.task] for t in outcome.tasks), "metrics and R differ")
    expected = [name for name in ran for _ in range(ground.settings.epochs)]
    require(sorted(epochs) == sorted(expected), "it does not report every epoch of every task that ran")


def check_same_seed_same_numbers(strategy: Runner, masked: bool, ground: Ground) -> None:
    """A seed decides every number, whatever ran before; the caller's random numbers are not disturbed.

    A strategy that says it is ``deterministic`` gives the same for every seed.
    """
    state = torch.get_rng_state()
    first = _numbers(strategy.run(ground.job("first"), masked))
    require(torch.equal(state, torch.get_rng_state()), "it draws from the caller's random generator")
    torch.rand(3)
    require(_numbers(strategy.run(ground.job("again"), masked)) == first, "the same seed gives other numbers")
    other = _numbers(strategy.run(ground.job("other", seed=1), masked))
    if getattr(strategy, "deterministic", False):
        require(other == first, "it is not deterministic: another seed gives other numbers")
    else:
        require(not {*other[0]} & {*first[0]}, "another seed gives the same weights")


def check_finished_is_finished(strategy: Runner, masked: bool, ground: Ground) -> None:
    """What lies finished in the job's folder is not learned again."""
    first = strategy.run(ground.job("run"), masked)
    epochs: list[str] = []
    again = strategy.run(ground.job("run", epochs=epochs), masked)
    require(not epochs, "it learns again what is finished")
    require(_numbers(again) == _numbers(first), "it gives other numbers for what is finished")


def check_moves_one_world(strategy: type[PerTaskStrategy], masked: bool, ground: Ground) -> None:
    """Learning a task moves its own world; all others, and all their outputs, stay bit-identical."""
    made, benchmark = ground.build(strategy, masked)
    matrix = [_row(made, benchmark)]
    for experience in benchmark.train_stream:
        name = experience.faces.faces.spec.name
        before, predictions = _states(made), _predictions(made, benchmark)
        made.train(experience, eval_streams=[])
        after = _states(made)
        require(before[name] != after[name], f"learning task {name!r} moves nothing")
        moved = [other for other in before if other != name and before[other] != after[other]]
        require(not moved, f"learning task {name!r} moves the world of {', '.join(moved)}")
        for other, found in _predictions(made, benchmark).items():
            require(
                other == name or torch.equal(found, predictions[other]),
                f"task {name!r} changes predictions of {other!r}",
            )
        _require_own_parameters(made, name)
        matrix.append(_row(made, benchmark))
    require(forgetting(matrix) == 0.0, "forgetting is not exactly 0")


def check_evaluation_changes_nothing(strategy: type[PerTaskStrategy], masked: bool, ground: Ground) -> None:
    """Evaluating, before any training and after, changes nothing, and gives the same again."""
    made, benchmark = ground.build(strategy, masked)
    for experience in (None, benchmark.train_stream[0]):
        if experience is not None:
            made.train(experience, eval_streams=[])
        before, optimizer = _everything(made), copy.deepcopy(made.optimizer.state_dict())
        first = _row(made, benchmark)
        require(_everything(made) == before, "evaluating changes state")
        require(_same(made.optimizer.state_dict(), optimizer), "evaluating changes the optimiser")
        require(_row(made, benchmark) == first, "evaluating twice gives two results")


def check_one_width_per_task(strategy: type[PerTaskStrategy], masked: bool, ground: Ground) -> None:
    """Each task has as many outputs as labels, whatever the other tasks have: nothing is padded."""
    made, benchmark = ground.build(strategy, masked)
    made.train(benchmark.train_stream[0], eval_streams=[])
    predictions = _predictions(made, benchmark)
    for spec in ground.specs:
        width = predictions[spec.name].shape[1]
        require(width == spec.n_out, f"task {spec.name!r} has {width} outputs for {spec.n_out} labels")


def check_refuses_unknown_tasks(strategy: type[PerTaskStrategy], masked: bool, ground: Ground) -> None:
    """A task that the strategy was not made for is refused in training and in evaluation, and changes nothing."""
    made, benchmark = ground.build(strategy, masked)
    faces = load("jaffe", **SIZES, size=16)
    cache, level = FeatureCache(ground.cache), strategy.level(masked)
    unknown = [encode(split, ground.encoder, cache, level) for split in (faces.train, faces.test)]
    stranger = build_benchmark(unknown[:1], unknown[1:])
    before = _everything(made)
    for ask in (lambda: made.train(stranger.train_stream, eval_streams=[]), lambda: made.eval(stranger.test_stream)):
        try:
            ask()
        except CiaoError:
            require(_everything(made) == before, "an unknown task changes state")
        else:
            require(False, "it takes a task that it was not made for")
    _row(made, benchmark)  # and its own tasks still work


def check_predicts_as_it_was_tested(strategy: Runner, masked: bool, ground: Ground) -> None:
    """The predictions of a strategy's ``predictor``, if it has one, are those that its outcome was measured on."""
    job = ground.job("run")
    outcome = strategy.run(job, masked)
    for spec, task in ((s, t) for s in ground.specs for t in outcome.tasks if t.task == s.name):
        if isinstance(strategy, Predicts):
            outputs = strategy.predictor(job, spec, masked)(functools.partial(ground.faces, spec, "test"))
            test = ground.faces(spec, "test", "pixels").faces
            found = evaluate(spec, outputs, test.targets, test.groups)
            require(repr(found) == repr(task.metrics), f"its predictor of task {spec.name!r} is not what was tested")


CHECKS: tuple[Check, ...] = (
    check_leaves_the_encoder_alone,
    check_outcome_is_complete,
    check_same_seed_same_numbers,
    check_finished_is_finished,
    check_predicts_as_it_was_tested,
)
"""What every strategy promises."""

PER_TASK_CHECKS: tuple[Check, ...] = (
    check_moves_one_world,
    check_evaluation_changes_nothing,
    check_one_width_per_task,
    check_refuses_unknown_tasks,
)
"""What strategies with a world for each task promise as well."""


def _require_own_parameters(made: PerTaskStrategy, name: str) -> None:
    groups = [group for o in (*made.learner.optimizers, made.optimizer) for group in o.param_groups]
    held = {id(parameter) for group in groups for parameter in group["params"]}
    own = {id(parameter) for parameter in made.worlds[name].parameters()}
    require(held == own, f"the optimisers hold other parameters than those of task {name!r}")


def _encoder() -> Encoder:
    with seeded_torch(0, "contract"):
        trunk = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        last = LastConv(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6))
    return Encoder("contract", Preprocessing(16, "gray", (0.5,), (0.25,)), trunk, last)


def _numbers(outcome: Outcome) -> tuple[list[str], str, list[dict[str, str]]]:
    metrics = [{name: repr(value) for name, value in task.metrics.items()} for task in outcome.tasks]
    return [task.state_sha256 for task in outcome.tasks], repr(outcome.matrix.tolist()), metrics


def _states(made: PerTaskStrategy) -> dict[str, str]:
    return {name: world.sha256() for name, world in made.worlds.items()}


def _everything(made: PerTaskStrategy) -> tuple[dict[str, str], str, str]:
    return _states(made), state_sha256(made.model), made.worlds.encoder.fingerprint()


def _predictions(made: PerTaskStrategy, benchmark: Any) -> dict[str, Tensor]:
    faces = [experience.faces for experience in benchmark.test_stream]
    everything = [(one.faces.spec.name, one.batch(np.arange(len(one)))[0]) for one in faces]
    return {name: made.worlds[name].predict(x) for name, x in everything}


def _row(made: PerTaskStrategy, benchmark: Any) -> list[float]:
    made.eval(benchmark.test_stream)
    return [made.task_metrics.results[spec.name][spec.primary] for spec in made.specs]


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return repr(a["param_groups"]) == repr(b["param_groups"]) and a["state"].keys() == b["state"].keys()
