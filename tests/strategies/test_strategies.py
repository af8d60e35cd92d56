"""Strategies keep their promises, and those that break one are caught."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from ciao_stream.checks import ContractError
from ciao_stream.checks import strategy as checks
from ciao_stream.checks.strategy import SETTINGS, Ground, check_strategy, checks_for
from ciao_stream.encoders.base import state_sha256
from ciao_stream.runtime.seeds import derive_seed, numpy_generator, seeded_torch
from ciao_stream.worlds.settings import PRESETS
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World, scheme_names
from strategies import load_strategy, strategy_names
from strategies.base.shared_head import SharedHead

DecisionLayer, LastConv, FullRetraining, LoRA = (load_strategy(name)[0] for name in ("dl", "lc", "full", "lora"))
NAIVE = load_strategy("naive")[0]
NAMES = [name for name in strategy_names() if name.removesuffix("+ciao") in scheme_names() or "+" not in name]
PROMISES = [
    pytest.param(name, check, id=f"{name}-{check.__name__}")
    for name in NAMES
    for check in checks_for(load_strategy(name)[0])
]


@pytest.mark.parametrize(("name", "check"), PROMISES)
def test_strategy_keeps_its_promise(name, check, ground):
    strategy, masked = load_strategy(name)
    check(strategy, masked, ground)


def test_strategies_with_worlds_of_their_own_are_checked_for_more():
    per_task = {name for name in strategy_names() if len(checks_for(load_strategy(name)[0])) == 9}
    assert per_task == {name + mask for name in ("crs-cont", *scheme_names()) for mask in ("", "+ciao")}


class Forgetful(DecisionLayer):
    """Moves the other tasks' heads a little with every epoch."""

    def training_epoch(self, **kwargs):
        super().training_epoch(**kwargs)
        for world in self.worlds.values():
            if world is not self.world:
                torch.nn.utils.vector_to_parameters(
                    torch.nn.utils.parameters_to_vector(world.head.parameters()) * 1.01, world.head.parameters()
                )


class GreedyOptimizer(DecisionLayer):
    """Holds parameters of another task without moving them."""

    def check_model_and_optimizer(self, **kwargs):
        super().check_model_and_optimizer(**kwargs)
        others = [p for world in self.worlds.values() if world is not self.world for p in world.parameters()]
        self.optimizer.add_param_group({"params": others, "lr": 0.0})


class DriftingEncoder(DecisionLayer):
    """Makes the shared encoder a part of the model, so that training mode reaches its normalisation."""

    def training_epoch(self, **kwargs):
        super().training_epoch(**kwargs)
        encoder = self.worlds.encoder
        encoder.frozen = False
        encoder.train()
        encoder(torch.zeros(2, 1, 16, 16, dtype=torch.uint8))
        encoder.eval()


class ThawedEncoder(DecisionLayer):
    """Leaves the shared encoder in training mode."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.worlds.encoder.frozen = False
        self.worlds.encoder.train()


class CurrentHeadOnly(DecisionLayer):
    """Learns nothing."""

    def training_epoch(self, **kwargs):
        pass


class LearningFromTests(DecisionLayer):
    """Moves normalisation statistics while it evaluates."""

    def forward(self):
        self.world.head.layers[2].running_mean += 0.01
        return super().forward()


class PaddedAnswers(DecisionLayer):
    """Puts every task's answer into as many columns as the widest task has."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        for world in self.worlds.values():
            world.predict = partial(self.padded, world.predict)

    @staticmethod
    def padded(predict, x):
        answer = predict(x)
        return torch.nn.functional.pad(answer, (0, 8 - answer.shape[1]))


class AnyTask(DecisionLayer):
    """Takes a task that it does not know for the first one."""

    @property
    def world(self):
        name = self.experience.faces.faces.spec.name
        return self.worlds[name if name in self.worlds else self.specs[0].name]

    def eval(self, *_, **__):
        return None


class Seedless(DecisionLayer):
    """Draws dropout from the caller's generator, and its first weights from none of the seeds."""

    def training_epoch(self, **kwargs):
        torch.rand(1)
        super().training_epoch(**kwargs)


class SameForEverySeed(DecisionLayer):
    """Takes no notice of its seed."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs | {"seed": 0})


class NeverFinished(DecisionLayer):
    """Begins again whatever lies finished."""

    @classmethod
    def run(cls, job, masked):
        (job.folder / "progress.json").unlink(missing_ok=True)
        return super().run(job, masked)


class Silent(SharedHead):
    """Leaves tasks out without a reason."""

    def run(self, job, masked):
        outcome = super().run(job, masked)
        outcome.not_run = {}
        return outcome


CULPRITS = {
    "moves other worlds": (Forgetful, checks.check_moves_one_world, "moves the world of"),
    "holds parameters of other tasks": (GreedyOptimizer, checks.check_moves_one_world,
        "optimisers hold other parameters"),
    "learns nothing": (CurrentHeadOnly, checks.check_moves_one_world, "moves nothing"),
    "moves the encoder's statistics": (DriftingEncoder, checks.check_leaves_the_encoder_alone,
        "moves a weight or a buffer"),
    "leaves the encoder in training mode": (ThawedEncoder, checks.check_leaves_the_encoder_alone, "thaws"),
    "learns from tests": (LearningFromTests, checks.check_evaluation_changes_nothing, "evaluating changes state"),
    "pads its answers": (PaddedAnswers, checks.check_one_width_per_task, "8 outputs for 2 labels"),
    "takes any task": (AnyTask, checks.check_refuses_unknown_tasks, "takes a task that it was not made for"),
    "disturbs random numbers": (Seedless, checks.check_same_seed_same_numbers, "the caller's random generator"),
    "has no seed": (SameForEverySeed, checks.check_same_seed_same_numbers, "another seed gives the same weights"),
    "learns again what is finished": (NeverFinished, checks.check_finished_is_finished, "learns again"),
    "leaves tasks out": (Silent(NAIVE.make), checks.check_outcome_is_complete, "neither an outcome nor a reason"),
}  # fmt: skip


@pytest.mark.parametrize("fault", CULPRITS)
def test_a_strategy_that_breaks_a_promise_is_caught(fault, ground):
    culprit, check, message = CULPRITS[fault]
    with pytest.raises(ContractError, match=message):
        check(culprit, False, ground)


def test_one_call_runs_every_check():
    check_strategy(DecisionLayer, masked=True)
    with pytest.raises(ContractError, match="moves nothing"):
        check_strategy(CurrentHeadOnly)


TRAININGS = {
    "default": SETTINGS,
    "in turns": replace(SETTINGS, alternate=True),
    "as published": replace(PRESETS["paper"], head=SETTINGS.head, batch_size=8, epochs=2),
}


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("culprit", [DecisionLayer, LastConv, FullRetraining, LoRA], ids=lambda kind: kind.scheme)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_avalanche_and_a_plain_loop_give_the_same_weights(culprit, masked, training, tmp_path, cache):
    """Offline and online learning are the same code: steps of one learner, batch after batch."""
    ground = Ground(tmp_path, cache, settings=TRAININGS[training])
    made, benchmark = ground.build(culprit, masked, seed=3)
    for experience in benchmark.train_stream:
        made.train(experience, eval_streams=[])
    for spec in ground.specs:
        world = World(spec, ground.encoder, culprit.scheme, masked, ground.settings, derive_seed(3, spec.name))
        fresh = world.sha256()
        learner = WorldLearner(world)
        faces = ground.faces(spec, "train", culprit.level(masked))
        for epoch in range(ground.settings.epochs):
            learner.start_epoch(epoch)
            with seeded_torch(3, spec.name, "epoch", epoch):
                for x, y in faces.batches(8, numpy_generator(3, spec.name, "epoch", epoch)):
                    learner.step(x, y)
        assert made.worlds[spec.name].sha256() == world.sha256() != fresh


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_normalisation_of_the_frozen_encoder_never_trains(masked, ground):
    """Avalanche calls ``model.train()``; the shared encoder is no part of the model and stays in evaluation mode."""
    made, benchmark = ground.build(DecisionLayer, masked)
    before, modes = state_sha256(made.worlds.encoder), set()
    norms = [m for m in made.worlds.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks = [m.register_forward_pre_hook(lambda module, _: modes.add(module.training)) for m in norms]
    made.train(benchmark.train_stream[0], eval_streams=[])
    for hook in hooks:
        hook.remove()
    assert made.model.training
    assert modes == ({False} if masked else set())  # without a mask the encoder does not even run
    assert state_sha256(made.worlds.encoder) == before
    assert {id(p) for p in made.model.parameters()}.isdisjoint({id(p) for p in made.worlds.encoder.parameters()})


def test_the_order_of_earlier_tasks_does_not_change_a_world(ground):
    """A world depends on its own task alone, so that one may be learned anew without the others."""
    made, benchmark = ground.build(DecisionLayer, True)
    backwards, same = ground.build(DecisionLayer, True)
    for experience in benchmark.train_stream:
        made.train(experience, eval_streams=[])
    for experience in reversed(list(same.train_stream)):
        backwards.train(experience, eval_streams=[])
    assert [w.sha256() for w in made.worlds.values()] == [w.sha256() for w in backwards.worlds.values()]


def test_the_name_of_the_faces_chooses_the_world(ground):
    """An experience from a benchmark in another order still trains the world of its own task."""
    made, _ = ground.build(DecisionLayer, False)
    turned = replace(ground, specs=ground.specs[::-1])
    _, benchmark = turned.build(DecisionLayer, False)
    before = {name: world.sha256() for name, world in made.worlds.items()}
    made.train(benchmark.train_stream[0], eval_streams=[])
    after = {name: world.sha256() for name, world in made.worlds.items()}
    assert {name for name in before if before[name] != after[name]} == {ground.specs[-1].name}
