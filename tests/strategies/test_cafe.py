"""CAFE: its losses, what it learns and what it leaves alone."""

import json
import math
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark import run as experiment
from ciao_stream.checks.strategy import CHECKS, check_strategy
from ciao_stream.encoders.base import LastConv, Preprocessing, build, state_sha256
from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import encode
from ciao_stream.exceptions import CiaoError, WorldError
from ciao_stream.faces.dataset import FaceDataset
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import numpy_generator, seeded_torch
from ciao_stream.worlds.settings import Settings
from strategies import load_strategy, strategy_names
from strategies.base import cafe as _cafe
from strategies.base.cafe import (
    Cafe,
    CafeNet,
    ResNetMask,
    augment,
    diversity_loss,
    draw_kept,
    frozen_feature,
    group_maxima,
    noisy,
    separation_loss,
    small_mask,
)
from strategies.base.sequence import Job, Outcome, levels_read
from tests.helpers import tiny
from tests.helpers.sequences import arguments, document

CAFE_SMALL = load_strategy("cafe-small")[0]
SEVEN = TaskSpec("seven", "categorical", tuple("abcdefg"))
VOTED = TaskSpec("voted", "votes", tuple("abcdefg"))
TEXTURES = TaskSpec("textures", "categorical", ("plain", "lying", "standing"))
N_TRAIN, N_TEST = 320, 90


def wide(channels=40):
    """An encoder with many more channels than there are classes."""

    def make():
        trunk = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        return trunk, LastConv(nn.Conv2d(8, channels, 3, stride=2, padding=1))

    preprocessing = Preprocessing(16, "gray", (0.5,), (0.25,))
    return build("wide", SimpleNamespace(PREPROCESSING=preprocessing, build=make), seed=1)


def textures(n, seed, spec=TEXTURES, split="train"):
    """Gray noise without stripes, with lying stripes and with standing ones."""
    rng = np.random.default_rng(seed)
    stripes = np.broadcast_to(np.arange(16) % 4 < 2, (16, 16))
    kinds = np.stack([np.zeros((16, 16)), stripes.T, stripes])
    classes = np.arange(n) % 3
    images = (kinds[classes] * 80 + rng.integers(0, 120, (n, 16, 16))).astype(np.uint8)
    targets = classes if spec.kind == "categorical" else np.eye(3, dtype=np.float32)[classes]
    return FaceDataset(
        spec, split=split, images=tiny.Pictures(images), rows=np.arange(n), targets=targets, source="synthetic"
    )


def job_of(folder, specs=(TEXTURES,), encoder=None, epochs=3, told=None, seed=0, **settings):
    """A sequence of tasks that all ask for the texture; the faces differ."""
    encoder = encoder or wide()
    store = FeatureCache(folder / "cache")
    data = {
        (spec.name, split): textures(n, 100 * k + len(split), spec, split)
        for k, spec in enumerate(specs)
        for split, n in (("train", N_TRAIN), ("test", N_TEST))
    }

    def faces(spec, split, level):
        return encode(data[spec.name, "test" if split == "judged" else split], encoder, store, level)

    made = dict.fromkeys([spec.name for spec in specs], Settings(epochs=epochs, **settings))
    tell = (lambda _: None) if told is None else told.append
    return Job(specs, faces, encoder, made, seed, folder / "job", tell)


def slow_groups(row, n_out):
    """The channels of each class, as lists, by counting them off."""
    size = len(row) // n_out
    return [[row[g * size + k] for k in range(size)] for g in range(n_out)]


def slow_diversity(v, n_out):
    total = 0.0
    for row in v:
        for group in slow_groups(row, n_out):
            total += max(group)
    return 1 - total / (len(v) * n_out) / (len(v[0]) // n_out)


def slow_separation(v, shares, kept, n_out):
    total = 0.0
    for row, share in zip(v, shares, strict=True):
        left = [x * k for x, k in zip(row, kept, strict=True)]
        logits = [max(group) for group in slow_groups(left, n_out)]
        log_sum = math.log(sum(math.exp(x) for x in logits))
        total -= sum(p * (x - log_sum) for p, x in zip(share, logits, strict=True))
    return total / len(v)


@pytest.mark.parametrize("channels", [7, 20, 21, 22, 512])
@pytest.mark.parametrize("spec", [SEVEN, VOTED], ids=lambda spec: spec.kind)
def test_the_losses_are_those_of_plain_loops(spec, channels):
    rng = random.Random(channels)
    v = [[rng.gauss(0, 2) for _ in range(channels)] for _ in range(5)]
    kept = [float(rng.random() < 0.8) for _ in range(channels)]
    classes = [rng.randrange(7) for _ in v]
    shares = [[float(k == c) for k in range(7)] for c in classes]
    targets = torch.tensor(classes)
    if spec.kind == "votes":
        shares = [[(p + 0.1) / 1.7 for p in share] for share in shares]
        targets = torch.tensor(shares)
    fast = torch.tensor(v)
    assert diversity_loss(fast, 7).item() == pytest.approx(slow_diversity(v, 7), rel=1e-5)
    found = separation_loss(spec, fast, targets, torch.tensor(kept)).item()
    assert found == pytest.approx(slow_separation(v, shares, kept, 7), rel=1e-5)


def test_of_512_channels_seven_classes_have_73_each_and_one_is_left_over():
    for channel, group in ((0, 0), (72, 0), (73, 1), (510, 6)):
        v = torch.zeros(1, 512)
        v[0, channel] = 3
        assert group_maxima(v, 7).tolist() == [[3.0 if g == group else 0.0 for g in range(7)]]
    v = torch.zeros(1, 512)
    v[0, 511] = 3
    assert not group_maxima(v, 7).any()


def test_ten_of_73_channels_are_dropped_in_each_group_others_each_time():
    with seeded_torch(0, "kept"):
        drawn = torch.stack([draw_kept(512, 7) for _ in range(200)])
    assert {*drawn.flatten().tolist()} == {0.0, 1.0}
    assert torch.equal((1 - drawn[:, :511]).unflatten(1, (7, 73)).sum(dim=2), torch.full((200, 7), 10.0))
    assert drawn[:, 511].all()
    rates = 1 - drawn[:, :511].mean(dim=0)
    assert 0.04 < rates.min() < 10 / 73 < rates.max() < 0.26


def test_an_encoder_of_few_channels_still_has_one_number_per_class():
    maps = torch.rand(3, 6, 4, 4)
    assert torch.allclose(frozen_feature(maps, 6), maps.mean(dim=(2, 3)))
    assert frozen_feature(maps, 7).shape == (3, 24)


def test_views_are_flipped_and_erased_one_by_one():
    images = (torch.arange(16.0) + 1).expand(64, 2, 16, 16)
    with seeded_torch(0, "views"):
        views = augment(images)
    erased = (views == 0).all(dim=1).flatten(1).any(dim=1)
    rows = [view[0][(view != 0).all(dim=(0, 2))] for view in views]  # those that no patch touches
    flipped = torch.tensor([len(r) > 0 and torch.equal(r[0], images[0, 0, 0].flip(0)) for r in rows])
    straight = torch.tensor([len(r) > 0 and torch.equal(r[0], images[0, 0, 0]) for r in rows])
    assert 16 <= erased.sum() <= 48
    assert 16 <= flipped.sum() <= 48
    assert (flipped | straight).sum() > 56
    assert len({tuple((view == 0).flatten().tolist()) for view in views}) > 10


def test_half_of_the_faces_are_noisy():
    faces = torch.full((200, 1, 16, 16), 128, dtype=torch.uint8)
    with seeded_torch(0, "noise"):
        found = noisy(faces)
    changed = (found != faces).flatten(1).any(dim=1)
    assert 70 < changed.sum() < 130
    assert found[changed].float().var() == pytest.approx(30, rel=0.05)
    assert found.dtype == torch.uint8


class AllThrough(nn.Module):
    """A mask network whose mask is 1 everywhere."""

    def __init__(self, _, n_out):
        super().__init__()
        self.n_out = n_out

    def forward(self, images):
        return torch.full((len(images), self.n_out), torch.inf)


def batches_of(job, level, epoch):
    spec = job.specs[0]
    return job.faces(spec, "train", level).batches(32, numpy_generator(0, spec.name, "epoch", epoch))


def test_without_mask_and_terms_on_channels_it_is_a_linear_probe_of_the_mean_map(tmp_path, monkeypatch):
    monkeypatch.setattr(_cafe, "DIVERSITY", 0.0)
    monkeypatch.setattr(_cafe, "SEPARATION", 0.0)
    job = job_of(tmp_path)
    outcome = Cafe(AllThrough).run(job, masked=False)
    learned = Cafe(AllThrough).load(job.folder / "textures", job.encoder).linear
    with seeded_torch(0, "textures", "cafe"):
        probe = nn.Linear(40, 3)
    fresh = probe.weight.detach().clone()
    optimizer = torch.optim.Adam(probe.parameters(), lr=2e-4, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for epoch in range(3):
        for maps, y in batches_of(job, "u", epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(probe(maps.mean(dim=(2, 3))), y).backward()
            optimizer.step()
        schedule.step()
    assert torch.allclose(learned.weight, probe.weight, atol=1e-6)
    assert torch.allclose(learned.bias, probe.bias, atol=1e-6)
    assert not torch.allclose(learned.weight, fresh, atol=1e-3)
    assert outcome.tasks[0].trained_parameters == 40 * 3 + 3


def test_training_follows_the_authors_recipe(tmp_path):
    """Adam with an L2 penalty, batches of 32, the rate times 0.9 after each epoch, and 1, 5 and 1.5 as weights."""
    job = job_of(tmp_path)
    CAFE_SMALL.run(job, masked=False)
    learned = CAFE_SMALL.load(job.folder / "textures", job.encoder)
    with seeded_torch(0, "textures", "cafe"):
        net = CafeNet(TEXTURES, job.encoder, small_mask)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    net.train()
    for epoch in range(3):
        with seeded_torch(0, "textures", "epoch", epoch):
            for (pixels, y), (maps, _) in zip(
                batches_of(job, "pixels", epoch), batches_of(job, "u", epoch), strict=True
            ):
                v = net.masked(augment(job.encoder.preprocessing.normalise(noisy(pixels))), maps)
                kept = draw_kept(40, 3)
                loss = nn.functional.cross_entropy(net.linear(v), y)
                loss = loss + 5 * diversity_loss(v, 3) + 1.5 * separation_loss(TEXTURES, v, y, kept)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        schedule.step()
    for name, ours in learned.state_dict().items():
        assert torch.allclose(ours.float(), net.state_dict()[name].float(), rtol=0, atol=1e-7), name


@pytest.mark.parametrize("balanced", [False, True])
def test_the_mask_sees_views_and_the_frozen_feature_stays_that_of_the_same_face(balanced, tmp_path, monkeypatch):
    job = job_of(tmp_path, epochs=1, balanced=balanced)
    maps, pixels = (job.faces(TEXTURES, "train", level).batch(np.arange(N_TRAIN))[0] for level in ("u", "pixels"))
    before, features = job.encoder.fingerprint(), maps.clone()
    seen = []
    whole = CafeNet.losses

    def watched(net, images, taken, targets):
        seen.append((images, taken.clone(), targets))
        return whole(net, images, taken, targets)

    monkeypatch.setattr(CafeNet, "losses", watched)
    CAFE_SMALL.run(job, masked=False)
    images, taken, targets = map(torch.cat, zip(*seen, strict=True))
    rows = torch.cdist(taken.flatten(1), maps.flatten(1)).argmin(dim=1)
    assert torch.equal(taken, maps[rows])
    assert torch.equal(targets, rows % 3)
    assert len({*rows.tolist()}) == N_TRAIN or balanced
    plain = job.encoder.preprocessing.normalise(pixels[rows])
    same = (images == plain).flatten(1).all(dim=1)
    turned = (images == plain.flip(3)).flatten(1).all(dim=1)
    assert 0.05 < same.float().mean() < 0.25  # neither flipped nor erased nor noisy: an eighth
    assert 0.05 < turned.float().mean() < 0.25
    assert job.encoder.fingerprint() == before
    assert torch.equal(job.faces(TEXTURES, "train", "u").batch(np.arange(N_TRAIN))[0], features)


@pytest.mark.parametrize("kind", ["categorical", "votes"])
def test_it_learns_what_a_linear_probe_can(kind, tmp_path):
    spec = replace(TEXTURES, kind=kind)
    job = job_of(tmp_path, (spec,), epochs=16)
    outcome = CAFE_SMALL.run(job, masked=False)
    probe = load_strategy("logreg")[0].run(replace(job, folder=tmp_path / "probe"), masked=False)
    assert probe.tasks[0].metrics["accuracy"] > 0.9
    assert outcome.tasks[0].metrics["accuracy"] > 0.8
    assert outcome.matrix[0, 0] < 0.7


THREE = tuple(replace(TEXTURES, name=name) for name in ("first", "second", "third"))


def numbers(outcome):
    tasks = [(task.task, task.metrics, task.n, task.trained_parameters, task.state_sha256) for task in outcome.tasks]
    return tasks, outcome.matrix.tolist(), outcome.not_run


class KilledError(Exception):
    pass


@pytest.mark.parametrize("where", ["in an epoch", "between net and progress"])
def test_a_killed_job_goes_on_with_the_next_task_and_ends_the_same(where, tmp_path, monkeypatch):
    whole = CAFE_SMALL.run(job_of(tmp_path / "whole", THREE, epochs=2), masked=False)
    told = []

    def dying(task):
        told.append(task)
        if where == "in an epoch" and told.count("second") == 1:
            raise KilledError

    def unsaved(outcome, path):
        if len(outcome.tasks) == 2:
            raise KilledError
        return save(outcome, path)

    save = Outcome.save
    job = job_of(tmp_path / "cut", THREE, epochs=2)
    with monkeypatch.context() as patch:
        if where != "in an epoch":
            patch.setattr(Outcome, "save", unsaved)
        with pytest.raises(KilledError):
            CAFE_SMALL.run(replace(job, on_epoch=dying), masked=False)
    kept = (job.folder / "first" / "weights.safetensors").stat().st_mtime_ns
    told.clear()
    gone_on = CAFE_SMALL.run(replace(job, on_epoch=told.append), masked=False)
    assert told == ["second"] * 2 + ["third"] * 2
    assert numbers(gone_on) == numbers(whole)
    assert (job.folder / "first" / "weights.safetensors").stat().st_mtime_ns == kept
    assert all(task.train_seconds > 0 for task in gone_on.tasks)
    (job.folder / "progress.json").write_text("{")
    with pytest.raises(CiaoError, match="damaged"):
        CAFE_SMALL.run(job, masked=False)


def test_every_task_is_learned_by_itself(tmp_path):
    """The nets of a sequence are those of the tasks alone, so that R changes in no column after its own row."""
    together = CAFE_SMALL.run(job_of(tmp_path / "together", THREE, epochs=1), masked=False)
    turned = CAFE_SMALL.run(replace(job_of(tmp_path / "turned", THREE, epochs=1), specs=THREE[::-1]), masked=False)
    assert {t.state_sha256 for t in together.tasks} == {t.state_sha256 for t in turned.tasks}
    for column in range(3):
        assert len({*together.matrix[: column + 1, column]}) == 1
        assert len({*together.matrix[column + 1 :, column]}) == 1


def test_the_small_one_keeps_every_promise():
    check_strategy(CAFE_SMALL)


@pytest.mark.parametrize("check", CHECKS)
def test_promises_hold_where_a_class_has_many_channels(check, ground):
    check(CAFE_SMALL, False, replace(ground, encoder=wide()))


def test_tasks_without_classes_and_second_masks_are_not_run(ground):
    told = []
    outcome = CAFE_SMALL.run(ground.job("plain"), masked=False)
    assert [task.task for task in outcome.tasks] == ["affectnet", "ferplus"]
    assert outcome.not_run == {
        name: f"{kind} targets do not fit CAFE, which parts its channels among classes"
        for name, kind in (("emoreact", "multilabel"), ("affectnet-va", "dimensional"))
    }
    with pytest.raises(CiaoError, match="has no mask"):
        CAFE_SMALL.run(ground.job("masked", epochs=told), masked=True)
    assert told == []


def test_a_net_on_disk_answers_as_it_did(tmp_path):
    job = job_of(tmp_path, epochs=1)
    outcome = CAFE_SMALL.run(job, masked=False)
    net = CAFE_SMALL.load(job.folder / "textures", job.encoder)
    test = {level: job.faces(TEXTURES, "test", level) for level in ("pixels", "u")}
    (pixels, y), (maps, _) = (test[level].batch(np.arange(N_TEST)) for level in ("pixels", "u"))
    right = net.predict(pixels, maps).argmax(dim=1) == y
    assert outcome.tasks[0].metrics["accuracy"] == pytest.approx(right.float().mean().item())
    assert outcome.tasks[0].state_sha256 == state_sha256(net)
    assert outcome.tasks[0].trained_parameters == net.parameter_count() == sum(p.numel() for p in net.parameters())
    assert torch.allclose(net.predict(pixels[:5], maps[:5]), net.predict(pixels, maps)[:5], atol=0.02)


DAMAGED = {
    "no description": (lambda folder: (folder / "cafe.json").unlink(), "no CAFE in .*: cafe.json is missing"),
    "half a description": (lambda folder: (folder / "cafe.json").write_text("{"), "is damaged"),
    "an empty description": (lambda folder: (folder / "cafe.json").write_text("{}"),
        "cafe.json: expected format ciao_stream/cafe/1 but got None"),
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(),
        "no CAFE in .*: weights.safetensors is missing"),
    "half the weights": (tiny.weights(lambda content: content[:-9]), "is damaged"),
    "a weight too few": (tiny.tensors(lambda state: state.pop("linear.bias")), "weights do not fit"),
    "another weight": (tiny.tensors(lambda state: state["linear.bias"].add_(1)), "recorded sha256"),
}  # fmt: skip


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    job = job_of(tmp_path_factory.mktemp("learned"), epochs=1)
    CAFE_SMALL.run(job, masked=False)
    return job


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_net_is_refused(damage, learned, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    for file in (learned.folder / "textures").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    CAFE_SMALL.load(folder, learned.encoder)
    change, message = DAMAGED[damage]
    change(folder)
    with pytest.raises(WorldError, match=message):
        CAFE_SMALL.load(folder, learned.encoder)


def test_a_net_stands_on_its_own_encoder_and_mask_network(learned):
    folder = learned.folder / "textures"
    with pytest.raises(WorldError, match="was made for another encoder than wide"):
        CAFE_SMALL.load(folder, wide(41))
    with pytest.raises(WorldError, match="weights do not fit"):
        load_strategy("cafe")[0].load(folder, learned.encoder)


def size_of(module):
    return sum(p.numel() for p in module.parameters())


def test_the_mask_networks_have_the_size_that_is_told_of_them():
    assert size_of(ResNetMask(1, 512)) == 11_176_512  # torchvision's, without its last layer
    assert size_of(ResNetMask(3, 256)) == 11_176_512 + 512 * 256 + 256
    assert [round(size_of(small_mask(1, n)) / 1e6, 2) for n in (256, 512)] == [0.45, 0.52]
    assert size_of(small_mask(3, 768)) <= 0.6e6


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("network", [ResNetMask, small_mask], ids=["cafe", "cafe-small"])
@pytest.mark.parametrize("channels", [1, 3])
def test_mask_networks_take_faces_of_any_size_and_colour(network, channels, size):
    with seeded_torch(0, "net"):
        net = network(channels, 10).eval()
        images = torch.randn(4, channels, size, size)
    logits = net(images)
    assert logits.shape == (4, 10)
    assert len({*logits[:, 0].tolist()}) == 4


def test_as_published_a_mask_of_512_channels_halves_one_at_most():
    with seeded_torch(0, "net"):
        net, images = ResNetMask(1, 512).eval(), torch.randn(2, 1, 32, 32)
    assert net(images).min() >= 0
    assert torch.equal(net(images), net.net(images.expand(-1, 3, -1, -1)))


def test_faces_are_encoded_at_both_levels_beforehand(tmp_path, monkeypatch):
    levels = []
    whole = experiment.encode_tasks

    def watched(plan, tasks, encoder, wanted, console):
        levels.extend(wanted)
        return whole(plan, tasks, encoder, wanted, console)

    monkeypatch.setattr(experiment, "encode_tasks", watched)
    argv = arguments(tmp_path / "run", "affectnet,emoreact", "cafe-small", "--cache", str(tmp_path / "cache"), size=12)
    assert benchmark.main(argv) == 0
    assert levels == ["pixels", "u"]
    found = document(tmp_path / "run")
    assert [run["task"] for run in found["runs"]] == ["affectnet"]
    assert found["runs"][0]["trained_parameters"] == size_of(small_mask(1, 256)) + 256 * 8 + 8
    assert found["runs"][0]["train_seconds"] > 0
    assert [(e["strategy"], e["task"]) for e in found["not_run"]] == [("cafe-small", "emoreact")]
    assert json.loads((tmp_path / "run/cells/cafe-small/seed0/affectnet/cafe.json").read_text())["trained_on"] == {
        "seed": 0
    }


def test_both_are_strategies_of_the_benchmark():
    assert {"cafe", "cafe-small"} <= {*strategy_names()}
    for name in ("cafe", "cafe-small"):
        strategy, masked = load_strategy(name)
        assert (levels_read(strategy, masked), masked) == ({"pixels", "u"}, False)
    assert levels_read(load_strategy("dl")[0], True) == {"z"}
    assert isinstance(load_strategy("cafe")[0], Cafe)
