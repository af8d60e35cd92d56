"""Learning from faces without a label: off it changes nothing, on it is exact, and it moves what it should."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from benchmarks.protocols.label_share import other_faces, some_labels
from ciao_stream.benchmark.__main__ import main
from ciao_stream.checks.strategy import Ground
from ciao_stream.encoders.base import state_sha256
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.stream.learner.settings import StreamSettings
from ciao_stream.worlds.losses import consistency_loss, instance_contrast
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.unlabelled import unlabelled_loss, view
from ciao_stream.worlds.world import World
from strategies import load_strategy
from tests.helpers import tiny
from tests.helpers.stream_events import QUICK, Stream, apply, learner, reborn, shared, snapshot

FER = tiny.SPECS["categorical"]
KINDS, TERMS = [*tiny.SPECS], ["consistency", "contrast"]
ON = {term: dataclasses.replace(QUICK, unlabelled=term, unlabelled_ratio=0.7) for term in TERMS}


def answers(seed, kind, n=5):
    drawn = torch.randn(n, tiny.SPECS[kind].n_out, generator=torch.Generator().manual_seed(seed))
    return drawn.tanh() if kind == "dimensional" else drawn


def slow_embedding(kind, row):
    if kind == "dimensional":
        return row
    if kind == "multilabel":
        return [1 / (1 + math.exp(-v)) for v in row]
    return [math.exp(v) / sum(map(math.exp, row)) for v in row]


@pytest.mark.parametrize("kind", KINDS)
def test_consistency_is_the_mean_squared_difference_of_the_answers(kind):
    one, other = answers(0, kind), answers(1, kind)
    pairs = [
        (a, b)
        for rows in zip(one.tolist(), other.tolist(), strict=True)
        for a, b in zip(*(slow_embedding(kind, row) for row in rows), strict=True)
    ]
    slow = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    assert consistency_loss(tiny.SPECS[kind], one, other).item() == pytest.approx(slow, rel=1e-5)
    wanted = other.clone().requires_grad_()
    loss = consistency_loss(tiny.SPECS[kind], one.clone().requires_grad_(), wanted)
    loss.backward()
    assert wanted.grad is None, "what is wanted is no part of the gradient"


def test_contrast_without_labels_is_nt_xent():
    rng = np.random.default_rng(0)
    first, second, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), 0.3
    views = [v / np.linalg.norm(v) for v in [*first, *second]]
    slow = 0.0
    for i, own in enumerate(views):
        scores = [math.exp(own @ other / t) for other in views]
        slow -= math.log(scores[(i + 4) % 8] / (sum(scores) - scores[i])) / 8
    assert instance_contrast(torch.tensor(first), torch.tensor(second), t).item() == pytest.approx(slow, rel=1e-5)


def test_a_view_lacks_a_fifth_and_pixels_are_mirrored():
    with seeded_torch(0):
        seen = view(torch.ones(4, 50, 8, 8))
    assert set(seen.unique().tolist()) == {0.0, 1.25}
    assert (seen == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    pixels = tiny.pixels(3)
    assert torch.equal(view(pixels)[..., 0], pixels[..., -1])


def after_step(others, kind="categorical", masked=True, scheme="dl", **changes):
    """A learner after one step, and the state of its world before."""
    world = World(tiny.SPECS[kind], shared(), scheme, masked, tiny.small(**changes))
    made, before = WorldLearner(world), tiny.frozen_copy(world)
    x, y = tiny.batch(shared(), kind, level=world.level)
    with seeded_torch(0):
        losses = made.step(x, y, others(world) if others else None)
    return made, before, losses


def waiting(world):
    x = tiny.pixels(6, seed=1)
    z = shared().stored_z(x)
    return {"pixels": x, "z": z.float(), "u": shared().stored_u(z).float()}[world.level]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("term", TERMS)
def test_faces_without_a_label_move_the_mask_and_no_statistics(kind, term):
    without, _, none = after_step(None, kind, unlabelled=term, contrast_weight=0.0)
    made, before, losses = after_step(waiting, kind, unlabelled=term, contrast_weight=0.0)
    assert (none.unlabelled, losses.decision) == (None, none.decision)
    assert losses.unlabelled > 0
    differs = tiny.moved(tiny.frozen_copy(without.world), made.world)
    assert {name for name in differs if name.startswith("mask.")} == {
        name for name in before if name.startswith("mask.")
    }
    head = {name for name in differs if name.startswith("head.")}
    assert bool(head) == (term == "consistency"), "the contrast of maps does not reach the decision layer"
    assert not differs & {name for name, _ in made.world.named_buffers()}


@pytest.mark.parametrize("changes", [{}, {"unlabelled": "consistency", "unlabelled_weight": 0.0}])
def test_off_it_is_bit_for_bit_as_if_there_were_no_such_faces(changes):
    without, *_ = after_step(None)
    made, _, losses = after_step(waiting, **changes)
    assert losses.unlabelled is None
    assert state_sha256(made.world) == state_sha256(without.world)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("weight", [0.0, 1.0], ids=["alone", "beside the contrast"])
def test_where_mask_and_head_take_turns_the_mask_learns_it(term, weight):
    changes = {"alternate": True, "unlabelled": term, "contrast_weight": weight, "optimizer": "sgd", "weight_decay": 0}
    without, before, _ = after_step(None, **changes)
    made, *_ = after_step(waiting, **changes)
    moved = tiny.moved(before, made.world) - tiny.moved(before, without.world)
    differs = tiny.moved(tiny.frozen_copy(without.world), made.world)
    assert any(name.startswith("mask.") for name in differs)
    assert all(name.startswith("mask.") for name in moved)


@pytest.mark.parametrize("scheme", ["lc", "full"])
@pytest.mark.parametrize("term", TERMS)
def test_every_level_has_views(scheme, term):
    _, _, losses = after_step(waiting, masked=False, scheme=scheme, unlabelled=term)
    assert losses.unlabelled > 0


def test_maps_that_nothing_trains_are_not_contrasted():
    without, *_ = after_step(None, masked=False, unlabelled="contrast")
    made, *_ = after_step(waiting, masked=False, unlabelled="contrast")
    assert state_sha256(made.world) == state_sha256(without.world)


def test_a_world_without_the_term_has_no_loss_of_it():
    with pytest.raises(ValueError, match="no term"):
        unlabelled_loss(World(FER, shared(), "dl", True, tiny.small()), tiny.batch(shared(), level="z")[0])


def frames(n=26):
    """A task, then frames of which about half have a label."""
    stream = Stream()
    events = [stream.declare(FER)]
    return events + [stream.frame(FER, labelled=bool(stream.rng.random() < 0.5)) for _ in range(n)]


def heads(online):
    return state_sha256(online.worlds["fer"].world)


def ran(settings, events):
    online = learner(settings)
    apply(online, events)
    return online


def test_frames_that_wait_are_learned_from_only_where_that_is_asked_for():
    events = frames()
    labelled = [event for event in events if getattr(event, "label", "") is not None]
    assert len(labelled) < len(events)
    assert heads(ran(QUICK, events)) == heads(ran(QUICK, labelled))
    assert len({heads(ran(settings, events)) for settings in (QUICK, *ON.values())}) == 3
    for settings in ON.values():
        assert heads(ran(settings, labelled)) == heads(ran(QUICK, labelled))


@pytest.mark.parametrize("term", TERMS)
def test_a_learner_restored_anywhere_goes_on_bit_for_bit(term):
    stream = Stream(3)
    events = stream.mixed([FER], 40)
    whole = snapshot(ran(ON[term], events))
    for split in range(1, len(events), 5):
        online = reborn(ran(ON[term], events[:split]))
        apply(online, events[split:])
        assert snapshot(online) == whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("term", TERMS)
def test_every_kind_of_target_learns_from_them(kind, term):
    spec, stream = tiny.SPECS[kind], Stream()
    events = [stream.declare(spec)] + [stream.frame(spec, labelled=i % 2 == 0) for i in range(24)]
    counts = ran(ON[term], events).worlds[spec.name].counts
    assert (counts["steps"], counts["steps_not_finite"]) == (3, 0)


def test_what_was_wiped_is_not_learned_from():
    stream = Stream()
    waiting_frames = [stream.declare(FER), *(stream.frame(FER, labelled=False) for _ in range(3))]
    later = stream.frames(FER, 12)
    never, kept, wiped = (ran(ON["contrast"], waiting_frames[:n]) for n in (1, 4, 4))
    wiped.forget_faces()
    for online in (never, kept, wiped):
        apply(online, later)
    assert heads(wiped) == heads(never) != heads(kept)


def test_a_frame_that_never_came_leaves_no_trace():
    """What `undo` does: a checkpoint from before the frame, and everything after it without the frame."""
    events, settings = frames(), dataclasses.replace(ON["consistency"], pending_capacity=50)
    index = next(i for i, event in enumerate(events) if i > 8 and getattr(event, "label", "") is None)
    rest = events[:index] + events[index + 1 :]
    undone = reborn(ran(settings, events[:index]))
    apply(undone, events[index + 1 :])
    assert snapshot(undone) == snapshot(ran(settings, rest))
    assert heads(undone) != heads(ran(settings, events))


def test_the_settings_of_the_world_may_ask_for_it_too():
    events = frames()
    online = learner(dataclasses.replace(QUICK, unlabelled_ratio=0.7), tiny.small(unlabelled="contrast"))
    apply(online, events)
    assert heads(online) == heads(ran(ON["contrast"], events))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"unlabelled": "mixup"}, "unlabelled: expected one of none, consistency, contrast"),
        ({"unlabelled": "contrast", "masked": False}, "unlabelled: expected masked worlds for contrast"),
        ({"unlabelled_weight": 0}, "unlabelled_weight: expected a number > 0"),
        ({"unlabelled_ratio": float("nan")}, "unlabelled_ratio: expected a number > 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, text):
    with pytest.raises(CiaoError, match=text):
        StreamSettings(**changes)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_with_and_without_a_label_make_up_the_split(share):
    faces = tiny.faces()
    kept, others = some_labels(faces, share, 1).rows, other_faces(faces, share, 1).rows
    assert not {*kept} & {*others}
    assert {*kept} | {*others} == {*faces.rows}
    with pytest.raises(CiaoError, match="no face without a label"):
        other_faces(faces, 1, 0)


def test_a_strategy_learns_from_the_faces_whose_labels_are_left_out(tmp_path):
    digests = {}
    for name, term, given in (("off", "none", True), ("on", "consistency", True), ("nobody", "consistency", False)):
        settings = dataclasses.replace(Ground(tmp_path, tmp_path).settings, epochs=1, unlabelled=term)
        ground = Ground(tmp_path, tmp_path / "cache", settings=settings)
        job = dataclasses.replace(
            ground.job(name),
            specs=ground.specs[:1],
            unlabelled=(lambda spec, level, ground=ground: ground.faces(spec, "validation", level)) if given else None,
        )
        digests[name] = [task.state_sha256 for task in load_strategy("dl")[0].run(job, masked=True).tasks]
    assert digests["off"] == digests["nobody"] != digests["on"]


def test_a_benchmark_with_all_labels_has_no_such_faces(tmp_path, capsys):
    asked = ["--tasks", "fer", "--set", "unlabelled=contrast", "--out", str(tmp_path), "--cache", str(tmp_path)]
    assert main(asked) == 2
    assert "--set unlabelled needs faces without labels: use --labels below 1" in capsys.readouterr().err
