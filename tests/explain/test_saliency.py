"""Where a world looks: the formula against the papers', every kind of target, scheme and head; shuffled weights."""

import itertools

import numpy as np
import pytest
import torch

from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.encoders.encoded import encode
from ciao_stream.exceptions import UnknownNameError
from ciao_stream.explain.cam import METHODS, enlarge, grad_cam, hires_cam, normalise, plus_plus, saliency
from ciao_stream.explain.folder import Name
from ciao_stream.explain.measure import look
from ciao_stream.explain.regions import REGIONS, Box, areas, region_masses
from ciao_stream.explain.sanity import CASCADE, shuffled
from ciao_stream.explain.similarity import rank_correlations
from ciao_stream.explain.targets import Target, answered
from ciao_stream.explain.views import Views
from ciao_stream.worlds.adapters import adapter_names
from ciao_stream.worlds.settings import HeadSettings, Settings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World
from tests.helpers import tiny
from tests.helpers.cues import load_cue

SCHEMES = [(scheme, masked) for scheme in ("dl", "lc", "full", *adapter_names()) for masked in (False, True)]


def slow_plus_plus(maps, gradients):
    """Eq. 5, 7 and 19 of Chattopadhay et al. as written, term by term, with exp(score) = 1."""
    batch, channels, height, width = maps.shape
    places = list(itertools.product(range(height), range(width)))
    result = np.zeros((batch, height, width))
    for b in range(batch):
        for k in range(channels):
            a, g = maps[b, k].double().numpy(), gradients[b, k].double().numpy()
            weight = 0.0
            for i, j in places:
                below = 2 * g[i, j] ** 2 + sum(a[p] for p in places) * g[i, j] ** 3
                weight += (g[i, j] ** 2 / below if below else 0.0) * max(g[i, j], 0.0)
            result[b] += weight * a
    return np.maximum(result, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e3])
def test_plus_plus_is_the_formula_of_its_paper_however_small_the_gradients(scale):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 2, 4, generator=generator).relu()
    gradients = scale * torch.randn(2, 3, 2, 4, generator=generator)
    gradients[0, 1] = 0
    np.testing.assert_allclose(plus_plus(maps, gradients).numpy(), slow_plus_plus(maps, gradients), rtol=1e-4)


def test_the_other_methods_are_their_formulas():
    generator = torch.Generator().manual_seed(0)
    maps, gradients = torch.rand(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)
    averaged, placed = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    for channel in range(3):
        a, g = maps[:, channel], gradients[:, channel]
        averaged += a * g.mean(dim=(1, 2)).view(2, 1, 1)
        placed += a * g
    torch.testing.assert_close(grad_cam(maps, gradients), averaged.relu())
    torch.testing.assert_close(hires_cam(maps, gradients), placed.relu())


@pytest.mark.parametrize("method", METHODS)
def test_a_map_names_the_place_that_the_score_hangs_on(method):
    """One channel raises the score, and it is active in one place alone."""
    maps, gradients = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    maps[0, 0, 1, 2], gradients[0, 0, 1, 2] = 2.0, 0.5
    maps[0, 1], gradients[0, 1] = 1.0, -0.05
    found = METHODS[method](maps, gradients)[0]
    assert found.argmax() == 5
    assert (found >= 0).all()


def test_maps_of_transformers_may_be_negative_and_give_finite_saliency():
    generator = torch.Generator().manual_seed(0)
    maps, gradients = torch.randn(4, 5, 3, 3, generator=generator), 100 * torch.randn(4, 5, 3, 3, generator=generator)
    found = plus_plus(maps, gradients)
    assert found.isfinite().all()
    assert (found >= 0).all()


@pytest.mark.parametrize(("scheme", "masked"), SCHEMES)
@pytest.mark.parametrize("kind", tiny.SPECS)
def test_every_scheme_and_kind_is_explained_and_nothing_moves(scheme, masked, kind):
    shared = tiny.encoder()
    world = World(tiny.SPECS[kind], shared, scheme, masked, tiny.small())
    views = Views(shared, tiny.pixels(5))
    before = world.sha256(), shared.fingerprint()
    found = look(Name("task", scheme), world, views)
    assert found.saliency.shape == (5, *shared.shapes()[1][1:])
    assert found.saliency.isfinite().all()
    assert found.saliency.amax() > 0
    assert (world.sha256(), shared.fingerprint()) == before
    assert all(p.grad is None for p in world.parameters())
    assert torch.equal(found.outputs, world.predict(views.batch(world, slice(None))))


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])
def test_networks_of_libraries_are_explained(name):
    shared = tiny.real(name)
    size = shared.preprocessing.size
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    world = World(tiny.SPECS["categorical"], shared, "dl", True, tiny.small())
    found = look(Name("fer", "dl+ciao"), world, Views(shared, pixels))
    assert found.saliency.shape == (2, *shared.shapes()[1][1:])
    assert found.saliency.isfinite().all()


def test_what_is_explained_of_each_kind():
    outputs = torch.tensor([[0.5, 2.0, -1.0], [3.0, 0.0, 0.0]])
    spec = tiny.SPECS["categorical"]
    target = answered(spec, outputs)
    assert target.index.tolist() == [1, 0]
    torch.testing.assert_close(target.confidence(outputs), outputs.softmax(1).amax(1))
    assert target.words(outputs) == ["glad 79 %", "calm 91 %"]
    assert answered(spec, outputs, "mad").index.tolist() == [2, 2]
    several = torch.tensor([[-1.0, 2.0, 0.0, 0.0]])
    assert answered(tiny.SPECS["multilabel"], several).words(several) == ["glad 88 %"]
    values = torch.tensor([[0.3, -0.8], [0.4, 0.1]])
    felt = answered(tiny.SPECS["dimensional"], values)
    assert (felt.index.tolist(), felt.sign.tolist()) == ([1, 0], [-1.0, 1.0])
    assert felt.words(values) == ["valence -0.80", "arousal +0.40"]
    torch.testing.assert_close(felt.confidence(values), torch.tensor([0.9, 0.7]))
    with pytest.raises(UnknownNameError, match="unknown label of task 'fer' 'gladd': did you mean 'glad'"):
        answered(spec, outputs, "gladd")


def test_a_negative_value_is_explained_by_what_lowers_it():
    """Its gradient, not that of the raised value: the two maps together cover what moves the value."""
    shared = tiny.encoder()
    world = World(tiny.SPECS["dimensional"], shared, "dl", False, tiny.small())
    x = Views(shared, tiny.pixels(4)).batch(world, slice(None))
    outputs, index = world.predict(x), torch.zeros(4, dtype=torch.int64)
    down, up = (saliency(world, x, Target(world.spec, index, torch.full((4,), s)), hires_cam) for s in (-1.0, 1.0))
    assert ((down > 0) & (up > 0)).sum() == 0
    assert outputs.shape == (4, 2)
    assert ((down > 0) | (up > 0)).any()


def test_parts_of_the_face_share_out_the_whole_map():
    boxes = {"left": Box(0, 0, 0.5, 1), "corner": Box(0.5, 0, 1, 0.5)}
    even, corner = torch.ones(1, 6, 6), torch.zeros(1, 6, 6)
    corner[0, 1, 4] = 1.0
    masses = region_masses(torch.cat([even, corner, torch.zeros(1, 6, 6)]), boxes)
    found = {name: mass[:2].tolist() for name, mass in masses.items()}
    assert found["left"] == pytest.approx([0.5, 0.0], abs=1e-6)
    assert found["corner"] == pytest.approx([0.25, 1.0], abs=1e-6)
    assert found["rest"] == pytest.approx([0.25, 0.0], abs=1e-6)
    assert masses["left"][2].isnan()
    assert areas(boxes) == {"left": 0.5, "corner": 0.25, "rest": 0.25}


@pytest.mark.parametrize("source", REGIONS)
def test_the_boxes_of_a_face_do_not_overlap(source):
    for a, b in itertools.combinations(REGIONS[source].values(), 2):
        assert min(a.right, b.right) <= max(a.left, b.left) or min(a.bottom, b.bottom) <= max(a.top, b.top)


def test_enlarged_and_normalised_maps():
    one = torch.zeros(2, 4, 4)
    one[0, 0, 0] = 3.0
    large = normalise(enlarge(one, 16))
    assert large.shape == (2, 16, 16)
    assert large[0].max() == 1.0 == large[0, 0, 0]
    assert large[1].max() == 0.0


@pytest.mark.parametrize(("scheme", "masked"), SCHEMES)
@pytest.mark.parametrize("extent", CASCADE)
def test_shuffling_takes_what_it_says_and_leaves_the_world_as_it_was(scheme, masked, extent):
    shared = tiny.encoder(norm=True)
    world = World(tiny.SPECS["categorical"], shared, scheme, masked, tiny.small())
    before = world.sha256(), shared.fingerprint()
    twin = shuffled(world, extent)
    assert (world.sha256(), shared.fingerprint()) == before
    moved = {name.split(".")[0] for name in tiny.moved(world.state_dict(), twin)}
    own = {name.split(".")[0] for name, p in world.named_parameters() if p.ndim > 1}
    assert moved == ({"head"} if extent == "head" else own)
    trunks = [e.trunk.state_dict()["0.weight"] for e in (shared, twin.shared)]
    assert torch.equal(*trunks) == (extent != "everything")
    assert torch.equal(shared.last.conv.weight, twin.shared.last.conv.weight) == (extent == "head")
    values = [e.last.conv.weight.flatten().sort().values for e in (shared, twin.shared)]
    assert torch.equal(*values)


CUE_SETTINGS = Settings(head=HeadSettings(hidden=(32,)), contrast_weight=0.0, batch_size=30, epochs=10)


@pytest.fixture(scope="module")
def cues(tmp_path_factory):
    """A world that learned to look at the mouth, one for the brows, and the same faces before both."""
    shared = tiny.real("ciao-face")
    cache = FeatureCache(tmp_path_factory.mktemp("cues"))
    worlds = {}
    for cue in ("mouth", "brows"):
        data = load_cue(cue, train=150, test=40)
        faces = encode(data.train, shared, cache, "u")
        world = World(data.spec, shared, "dl", False, CUE_SETTINGS)
        learner = WorldLearner(world)
        for epoch in range(CUE_SETTINGS.epochs):
            learner.start_epoch(epoch)
            for x, y in faces.batches(CUE_SETTINGS.batch_size, np.random.default_rng(epoch)):
                learner.step(x, y)
        worlds[cue] = world
    pixels = np.stack([shared.preprocessing.fit(data.test.image(i)) for i in range(40)])
    return worlds, Views(shared, torch.from_numpy(pixels)), data.test.images


def mass(world, views, part, method):
    found = look(Name("cue", "dl"), world, views, method=method)
    return float(region_masses(found.saliency, REGIONS["synthetic"])[part].nanmean())


@pytest.mark.parametrize("method", METHODS)
def test_maps_lie_where_the_answer_is_known_to_stand(cues, method):
    """Against the same faces before the other cue's world, a world that learned nothing, and an even map."""
    worlds, views, images = cues
    for cue, other, least in (("mouth", "brows", 1.1), ("brows", "mouth", 1.0)):
        right = (views.outputs(worlds[cue]).argmax(1).numpy() == images.answers(cue)).mean()
        assert right >= 0.85
        untrained = World(worlds[cue].spec, views.encoder, "dl", False, CUE_SETTINGS, seed=7)
        own = mass(worlds[cue], views, cue, method)
        gain = 1.5 if method == "hirescam" else least
        assert own > gain * mass(worlds[other], views, cue, method)
        if method == "hirescam":
            assert own > 1.2 * mass(untrained, views, cue, method)
            assert own > 1.2 * areas(REGIONS["synthetic"])[cue]


def test_shuffled_weights_change_the_maps(cues):
    """All of them change every method's; the head's alone change HiResCAM's, and hardly Grad-CAM++'s."""
    worlds, views, _ = cues
    world, kept = worlds["mouth"], {}
    for method, formula in METHODS.items():
        found = look(Name("mouth", "dl"), world, views, method=method)
        for extent in CASCADE:
            twin = shuffled(world, extent)
            there = Views(twin.shared, views.pixels).saliency(twin, found.target, formula)
            kept[method, extent] = np.nanmean(rank_correlations(found.saliency, there))
    assert all(kept[method, "everything"] < 0.6 for method in METHODS)
    assert kept["hirescam", "head"] < 0.5 < 0.9 < kept["grad-cam++", "head"]
