"""What explanations are measured by: deletion and insertion, likeness of worlds, what a mask does."""

import itertools

import numpy as np
import pytest
import torch

from ciao_stream.explain.curves import CONTROLS, STEPS, Curve, curve, random_maps
from ciao_stream.explain.drawing import Findings
from ciao_stream.explain.faces_of_run import Face
from ciao_stream.explain.figures import grid
from ciao_stream.explain.folder import Name
from ciao_stream.explain.inhibition import ACTIVE, channel_maps, mask_effect
from ciao_stream.explain.measure import look, measure_mask, measure_pairs, number
from ciao_stream.explain.similarity import linear_cka, mean_cosine, rank_correlations
from ciao_stream.explain.targets import answered
from ciao_stream.explain.views import Views
from ciao_stream.worlds.masks import mask_names
from ciao_stream.worlds.world import World
from tests.helpers import tiny


class Watching:
    """A world that is sure of class 0 as far as the upper left quarter of a face is white; a stand-in for a network."""

    level = "pixels"
    device = torch.device("cpu")
    spec = tiny.SPECS["categorical"]

    def predict(self, pixels):
        share = pixels.float()[:, :, :8, :8].mean(dim=(1, 2, 3)) / 255
        return torch.stack([8 * share, torch.zeros_like(share), torch.zeros_like(share)], dim=1)


def white_corner(n=6):
    pixels = torch.zeros(n, 1, tiny.SIZE, tiny.SIZE, dtype=torch.uint8)
    pixels[:, :, :8, :8] = 255
    return Views(tiny.encoder(), pixels)


@pytest.fixture(scope="module")
def corner():
    """The areas under both curves of the map that is right, of the one that is wrong, and of controls."""
    world, views = Watching(), white_corner()
    target = answered(world.spec, views.outputs(world))
    right = torch.zeros(6, 4, 4)
    right[:, :2, :2] = 1.0
    maps = {"right": right, "wrong": 1 - right, "random": random_maps(right, 0)}
    return {
        (kind, name): curve(kind, world, views, target, one).areas.mean()
        for kind, (name, one) in itertools.product(("deletion", "insertion"), maps.items())
    }


def test_the_right_map_wins_both_games_and_the_wrong_one_loses(corner):
    assert corner["deletion", "right"] < corner["deletion", "random"] - 0.1
    assert corner["deletion", "random"] < corner["deletion", "wrong"]
    assert corner["insertion", "right"] > corner["insertion", "random"]
    assert corner["insertion", "random"] > corner["insertion", "wrong"]


def test_a_curve_runs_from_the_face_to_nothing_and_back():
    world, views = Watching(), white_corner(2)
    target, one = answered(world.spec, views.outputs(world)), torch.rand(2, 4, 4)
    sure = target.confidence(views.outputs(world)).double().numpy()
    gone, back = (curve(kind, world, views, target, one).confidence for kind in ("deletion", "insertion"))
    assert gone.shape == back.shape == (2, STEPS + 1)
    np.testing.assert_allclose(gone[:, 0], sure)
    np.testing.assert_allclose(back[:, -1], sure)
    assert (gone[:, -1] < sure).all()


def test_the_area_under_a_curve_is_that_of_its_trapezoids():
    heights = np.random.default_rng(0).random((3, STEPS + 1))
    slow = [sum((h[i] + h[i + 1]) / 2 / STEPS for i in range(STEPS)) for h in heights]
    np.testing.assert_allclose(Curve(heights).areas, slow)


def test_controls_have_the_shape_of_the_map_and_are_drawn_the_same_every_time():
    maps = torch.rand(3, 4, 4)
    for make in CONTROLS.values():
        assert make(maps, 0).shape == maps.shape
        assert torch.equal(make(maps, 0), make(maps, 0))
        assert not torch.equal(make(maps, 0), maps)
    assert not torch.equal(random_maps(maps, 0), random_maps(maps, 1))
    assert torch.equal(CONTROLS["other face"](maps, 0)[1], maps[0])


def slow_hsic(k, m):
    """The unbiased estimate of Song et al. as the mean over tuples of distinct samples."""
    n = len(k)
    pairs = np.mean([k[i, j] * m[i, j] for i, j in itertools.permutations(range(n), 2)])
    fours = np.mean([k[i, j] * m[q, r] for i, j, q, r in itertools.permutations(range(n), 4)])
    threes = np.mean([k[i, j] * m[i, q] for i, j, q in itertools.permutations(range(n), 3)])
    return pairs + fours - 2 * threes


def test_cka_is_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 3)), rng.standard_normal((7, 5))
    k, m = a @ a.T, b @ b.T
    slow = slow_hsic(k, m) / np.sqrt(slow_hsic(k, k) * slow_hsic(m, m))
    assert linear_cka(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(slow)


def test_cka_knows_the_same_from_the_unrelated_where_there_are_more_numbers_than_faces():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 6, 8, 8, generator=generator), torch.randn(40, 6, 8, 8, generator=generator)
    turned = a.flatten(1) @ torch.linalg.qr(torch.randn(384, 384, generator=generator)).Q
    assert linear_cka(a, 3 * turned) == pytest.approx(1.0, abs=1e-4)
    assert abs(linear_cka(a, b)) < 0.1
    assert np.isnan(linear_cka(a[:3], b[:3]))
    assert np.isnan(linear_cka(torch.ones(8, 2), b[:8]))
    assert mean_cosine(a, 2 * a) == pytest.approx(1.0)
    assert mean_cosine(a, -a) == pytest.approx(-1.0)


def test_rank_correlation_is_scipys_and_says_nothing_of_an_even_map():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.integers(0, 5, (3, 4, 4))).float() for _ in range(2))
    slow = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(rank_correlations(a, b), slow)
    found = rank_correlations(torch.cat([a[:1], torch.ones(1, 4, 4)]), a[:2])
    assert found[0] == pytest.approx(1.0)
    assert np.isnan(found[1])


def test_a_number_leaves_out_faces_that_have_none():
    assert number(np.array([1.0, np.nan, 3.0]))["mean"] == 2.0
    assert number(np.array([1.0, np.nan, 3.0]))["n"] == 2
    assert number(np.array([np.nan])) == {"mean": None, "interval": None, "n": 0}


@pytest.mark.parametrize("mask", mask_names())
@pytest.mark.parametrize("scheme", ["dl", "lc", "full", "lora"])
def test_what_a_mask_lets_through_is_the_masked_map_by_the_raw_one(mask, scheme):
    shared = tiny.encoder()
    world = World(tiny.SPECS["categorical"], shared, scheme, True, tiny.small(mask=mask))
    views = Views(shared, tiny.pixels(6))
    effect = mask_effect(world, views)
    torch.testing.assert_close(effect.channel_passed, effect.channel_passed_at_start)
    with torch.no_grad():
        _, x, u, _ = world.before_mask(views.batch(world, slice(None)))
        masked = world.mask(x, u)
    torch.testing.assert_close(effect.passed * effect.raw, masked.mean(dim=1))
    torch.testing.assert_close(effect.channel_passed * effect.activity.sum(dim=0), masked.mean(dim=(2, 3)).sum(dim=0))
    assert effect.learned.abs().max() < 1e-5
    active = effect.active
    assert (effect.activity.mean(0)[active] >= ACTIVE * effect.activity.mean()).all()


def test_a_channel_that_training_silenced_is_found_with_the_faces_that_excite_it():
    shared = tiny.encoder()
    world = World(tiny.SPECS["categorical"], shared, "dl", True, tiny.small(mask="ciao"))
    views = Views(shared, tiny.pixels(9))
    channel = int(mask_effect(world, views).activity.mean(0).argmax())
    with torch.no_grad():
        world.mask.inhibition.bias[channel] += 10
    effect = mask_effect(world, views)
    assert effect.silenced(1) == [channel]
    assert effect.learned[channel] < -1
    strongest = effect.exciting(channel, 3)
    assert strongest[0] == int(channel_maps(world, views, channel).mean(dim=(1, 2)).argmax())
    entry = measure_mask(effect)
    assert entry["channels"][channel]["passed"] < 0.5 * entry["channels"][channel]["passed_at_start"]
    assert entry["active_channels"] == int(effect.active.sum())


def test_a_world_without_a_mask_has_no_effect_to_measure():
    shared = tiny.encoder()
    with pytest.raises(ValueError, match="world 'fer' has no mask"):
        mask_effect(World(tiny.SPECS["categorical"], shared, "dl", False, tiny.small()), Views(shared, tiny.pixels(2)))


def test_pairs_of_worlds_are_compared_on_the_same_faces():
    shared = tiny.encoder()
    views = Views(shared, tiny.pixels(8))
    worlds = {Name("fer", s): World(tiny.SPECS["categorical"], shared, "dl", s != "dl", tiny.small()) for s in "ab"}
    worlds[Name("fer", "dl")] = World(tiny.SPECS["categorical"], shared, "dl", False, tiny.small())
    pairs = measure_pairs(worlds, {name: look(name, world, views) for name, world in worlds.items()}, views)
    by_names = {tuple(strategy for _, strategy in pair["worlds"]): pair for pair in pairs}
    assert [*by_names] == [("a", "b"), ("a", "dl"), ("b", "dl")]
    assert by_names["a", "b"]["cosine"] == by_names["a", "b"]["attention"]["mean"] == pytest.approx(1.0)
    assert by_names["a", "dl"]["cosine"] < 0.9999
    assert by_names["a", "dl"]["cka"] <= 1


def test_a_grid_shows_each_label_in_turn_and_marks_what_contradicts_it():
    """Under a face is the label of the task that is drawn, and only that one judges its world."""
    shared = tiny.encoder()
    views = Views(shared, tiny.pixels(4))
    worlds = {
        Name(t, "dl"): World(tiny.SPECS["categorical"], shared, "dl", False, tiny.small()) for t in ("fer", "own")
    }
    looks = {name: look(name, world, views) for name, world in worlds.items()}
    said = [looks[Name("fer", "dl")].target.spec.labels[i] for i in looks[Name("fer", "dl")].target.index.tolist()]
    wrong = {"calm": "glad", "glad": "mad", "mad": "calm"}
    labels = [{"fer": said[0], "own": wrong[said[0]]}, {"fer": said[1]}, {"fer": wrong[said[2]]}, {"own": said[3]}]
    faces = [Face(np.zeros((16, 16), np.uint8), str(i), "fer", own, "synthetic") for i, own in enumerate(labels)]
    figure = grid("title", faces, range(4), {name.task: one for name, one in looks.items()}, ["fer"])
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    marks = [[word.startswith("✗") for word in words[4 + 3 * row :][:3]] for row in range(4)]
    assert marks == [[False, False, True], [False, False, False], [False, True, False], [False, False, False]]
    assert [words[4 + 3 * row] for row in range(4)] == [said[0], said[1], wrong[said[2]], "no label"]
    same = [Face(faces[0].image, "", "fer", {"fer": label}, "synthetic") for label in ("a", "a", "b", "a", "c")]
    assert Findings(same, views, "synthetic", {}, [], [], {}).rows("fer", 4) == [0, 2, 4, 1]
    assert Findings(same, views, "synthetic", {}, [], [], {}).rows("own", 2) == [0, 1]
