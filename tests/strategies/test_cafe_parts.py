"""CAFE's parts: its losses, the channels of a class, the views of a face and the mask networks."""

import math
import random

import pytest
import torch

from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.seeds import seeded_torch
from strategies.base.cafe import (
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

SEVEN = TaskSpec("seven", "categorical", tuple("abcdefg"))
VOTED = TaskSpec("voted", "votes", tuple("abcdefg"))


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
