"""CAFE: what it learns, what it leaves alone and what it leaves on disk."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark import run as experiment
from ciao_stream.checks.strategy import CHECKS
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
    augment,
    diversity_loss,
    draw_kept,
    noisy,
    separation_loss,
    small_mask,
)
from strategies.base.sequence import Job, levels_read
from tests.helpers import tiny
from tests.helpers.sequences import arguments, document

CAFE_SMALL = load_strategy("cafe-small")[0]
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


def test_every_task_is_learned_by_itself(tmp_path):
    """The nets of a sequence are those of the tasks alone, so that R changes in no column after its own row."""
    together = CAFE_SMALL.run(job_of(tmp_path / "together", THREE, epochs=1), masked=False)
    turned = CAFE_SMALL.run(replace(job_of(tmp_path / "turned", THREE, epochs=1), specs=THREE[::-1]), masked=False)
    assert {t.state_sha256 for t in together.tasks} == {t.state_sha256 for t in turned.tasks}
    for column in range(3):
        assert len({*together.matrix[: column + 1, column]}) == 1
        assert len({*together.matrix[column + 1 :, column]}) == 1


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
    "an empty description": (lambda folder: (folder / "cafe.json").write_text("{}"),
        "cafe.json: expected format ciao_stream/cafe/1 but got None"),
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
    assert (
        found["runs"][0]["trained_parameters"] == sum(p.numel() for p in small_mask(1, 256).parameters()) + 256 * 8 + 8
    )
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
