"""PK: an autoencoder whose discriminators learn; its networks, losses, steps, data and pictures."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.part import SomeImages
from ciao_stream.faces.task import TaskSpec
from ciao_stream.pretrain.data import some
from ciao_stream.pretrain.method import Batch
from ciao_stream.pretrain.pk import networks, trainer
from ciao_stream.pretrain.pk.method import Pk, is_conditioned
from ciao_stream.pretrain.pk.pictures import AROUSAL, GAP, VALENCE, arousal_valence_sheet, tiled, to_rgb
from ciao_stream.pretrain.pk.trainer import PkLearner, Recipe, as_image, draw_prior
from tests.helpers import tiny

SMALL = Recipe(width=0.02)


def encoder(seed=0, size=32):
    return tiny.encoder(seed, channels="bgr", size=size)


def batch(n=8, size=32, seed=0):
    """Smooth faces, so that there is something to learn, with conditions."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=generator)
    pixels = (F.interpolate(coarse, size=size, mode="bilinear") * 255).to(torch.uint8)
    return Batch(pixels, torch.rand(n, 2, generator=generator) * 2 - 1)


def prior(n=8, seed=0):
    return draw_prior(n, torch.Generator().manual_seed(seed))


# Networks and losses


def test_the_sizes_of_the_paper():
    autoencoder, image, prior = (
        networks.Autoencoder(tiny.real("pk")),
        networks.ImageDiscriminator(96, 3),
        networks.PriorDiscriminator(),
    )
    counted = {
        "encoder": sum(p.numel() for p in [*autoencoder.encoder.parameters(), *autoencoder.fc.parameters()]),
        "generator": sum(p.numel() for p in autoencoder.generator.parameters()),
    }
    transposed = sum(i * o * 25 + o for i, o in ((1024, 512), (512, 256), (256, 128), (128, 64), (64, 32), (32, 3)))
    assert counted == {"encoder": 5_228_210, "generator": 150 * 36_864 + 36_864 + transposed}
    shapes = [tuple(p.shape) for p in image.parameters() if p.ndim > 1]
    assert shapes == [(16, 3, 5, 5), (32, 48, 5, 5), (64, 32, 5, 5), (128, 64, 5, 5), (1024, 4608), (1, 1024)]
    assert [p.shape[0] for p in prior.parameters() if p.ndim > 1] == [64, 32, 16, 1]
    codes, faces = autoencoder(torch.zeros(2, 3, 96, 96, dtype=torch.uint8), torch.zeros(2, 2))
    assert codes.shape == (2, 50)
    assert faces.shape == (2, 3, 96, 96)


def test_codes_and_faces_stay_between_minus_one_and_one():
    learner = PkLearner(encoder(), SMALL, 0)
    codes, faces = learner.autoencoder(*batch())
    assert codes.abs().max() < 1
    assert faces.abs().max() <= 1
    assert codes.std() > 0.1
    assert as_image(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
    drawn = prior(200)
    assert -1 <= drawn.min() < -0.99
    assert 0.99 < drawn.max() < 1


def test_every_network_but_the_codes_reads_the_condition():
    learner = PkLearner(encoder(), SMALL, 0)
    pixels, conditions = batch()
    other = conditions.flip(1)
    (codes, faces), (same_codes, other_faces) = (learner.autoencoder(pixels, c) for c in (conditions, other))
    assert torch.equal(codes, same_codes)
    assert not torch.equal(faces, other_faces)
    image = learner.discriminators["image"]
    assert not torch.equal(image(as_image(pixels), conditions), image(as_image(pixels), other))


def test_cross_entropy_is_the_right_way_round():
    sure, unsure = torch.tensor([8.0, 9.0]), torch.tensor([-8.0, -9.0])
    assert trainer.passes_for(True, sure) < 1e-3 < 8 < trainer.passes_for(True, unsure)
    assert trainer.passes_for(False, unsure) < 1e-3 < 8 < trainer.passes_for(False, sure)
    assert trainer.discrimination(sure, unsure) < 1e-3
    assert trainer.discrimination(unsure, sure) > 16
    real, made = torch.tensor([0.3, -2.0, 5.0]), torch.tensor([-1.0, 0.5])
    expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(made)).log().mean())
    assert trainer.discrimination(real, made).item() == pytest.approx(expected.item(), rel=1e-6)
    assert trainer.accuracy(sure, unsure) == 1
    assert trainer.accuracy(unsure, sure) == 0
    assert trainer.accuracy(real, made).item() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_distance_of_features_is_that_of_the_paper():
    """The last convolution at each resolution, rectified; the mean difference over height times width."""
    network = tiny.encoder(channels="bgr", size=32, norm=True)
    distance = trainer.FeatureDistance(network, "bgr")
    a, b = (as_image(batch(seed=s).pixels) for s in (0, 1))
    first, last = network.trunk[0], network.last.conv
    expected = 0.0
    inputs = [(image + 1) / 2 for image in (a, b)]
    normalised = [(x - 0.5) / 0.25 for x in inputs]
    shallow = [first(x).relu() for x in normalised]
    deep = [last(network.trunk(x)).relu() for x in normalised]
    for one, two in (shallow, deep):
        expected += (one - two).abs().mean().item() / (one.shape[2] * one.shape[3])
    assert distance(a, b).item() == pytest.approx(expected, rel=1e-4)
    assert distance(a, a) == 0
    a.requires_grad_()
    (gradient,) = torch.autograd.grad(distance(a, b), a)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(("channels", "size"), [("gray", 16), ("rgb", 32)])
def test_the_feature_network_sees_faces_as_its_own_preprocessing_gives_them(channels, size):
    network = tiny.encoder(channels=channels, size=size)
    distance = trainer.FeatureDistance(network, "bgr")
    flat = torch.tensor([10, 120, 240], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)  # BGR
    rgb = flat[0].flip(0).permute(1, 2, 0).numpy()
    expected = network.preprocessing.normalise(torch.from_numpy(network.preprocessing.fit(rgb))[None])
    assert torch.allclose(distance._prepared(as_image(flat)), expected, atol=0.01)


# Steps


def states(learner):
    return {name: tiny.frozen_copy(module) for name, module in modules(learner).items()}


def modules(learner):
    return {"autoencoder": learner.autoencoder, **learner.discriminators}


def changed(before, learner):
    return {name: tiny.moved(before[name], module) for name, module in modules(learner).items()}


@pytest.mark.parametrize("emotion", [False, True])
def test_a_step_of_the_discriminators_moves_them_and_nothing_else(emotion):
    learner = PkLearner(encoder(), Recipe(width=0.02, emotion=emotion), 0)
    before = states(learner)
    for seed in range(3):
        learner.discriminator_step(batch(seed=seed), prior(seed=seed))
    moved = changed(before, learner)
    assert moved.pop("autoencoder") == set()
    assert moved == {name: {*before[name]} for name in moved}, "every weight of theirs"
    assert {*moved} == {"image", "prior"} | ({"emotion"} if emotion else set())


@pytest.mark.parametrize("emotion", [False, True])
def test_a_step_of_encoder_and_generator_moves_them_and_nothing_else(emotion):
    learner = PkLearner(encoder(), Recipe(width=0.02, emotion=emotion), 0, identity=tiny.encoder(7))
    identity = tiny.frozen_copy(learner.distance)
    before = states(learner)
    for seed in range(3):
        learner.autoencoder_step(batch(seed=seed), prior(seed=seed))
    moved = changed(before, learner)
    weights = {name for name, _ in learner.autoencoder.named_parameters()}
    assert weights <= moved.pop("autoencoder")
    assert not any(moved.values())
    assert tiny.moved(identity, learner.distance) == set()
    assert all(p.grad is None for module in learner.discriminators.values() for p in module.parameters())


def test_a_whole_step_is_both_one_after_the_other():
    whole, halves = (PkLearner(encoder(), SMALL, 0) for _ in range(2))
    for seed in range(2):
        report = whole.step(batch(seed=seed), prior(seed=seed))
        parts = {
            **halves.discriminator_step(batch(seed=seed), prior(seed=seed)),
            **halves.autoencoder_step(batch(seed=seed), prior(seed=seed)),
        }
        assert report.keys() == parts.keys()
    trunk_statistics = {name for name, _ in whole.autoencoder.named_buffers()}
    moved = changed(states(halves), whole)
    assert moved.pop("autoencoder") <= trunk_statistics
    assert moved == {"image": set(), "prior": set()}


def test_discriminators_learn_to_tell_the_work_of_a_frozen_generator():
    """With the published code they would stay at chance for ever."""
    learner = PkLearner(encoder(), Recipe(width=0.02, lr=2e-3), 0)
    fresh = [learner.measure(batch(32, seed=100 + s), prior(32, 100 + s)) for s in range(4)]
    for seed in range(40):
        learner.discriminator_step(batch(32, seed=seed), prior(32, seed))
    taught = [learner.measure(batch(32, seed=100 + s), prior(32, 100 + s)) for s in range(4)]
    for name in ("image_accuracy", "prior_accuracy"):
        before, after = (np.mean([each[name] for each in measured]) for measured in (fresh, taught))
        assert before < 0.75
        assert after > 0.9
    assert fresh[0]["reconstruction"] == taught[0]["reconstruction"]


@pytest.mark.parametrize(("weight", "falls"), [(0.1, ("prior", "image")), (0.0, ("reconstruction",))])
def test_the_autoencoder_learns_to_fool_frozen_discriminators_and_to_reconstruct(weight, falls):
    weights = trainer.Weights(prior=weight, image=weight)
    learner = PkLearner(encoder(), Recipe(width=0.02, lr=2e-3, weights=weights), 0)
    for seed in range(20):
        learner.discriminator_step(batch(32, seed=seed), prior(32, seed))
    first = learner.autoencoder_step(batch(32), prior(32))
    for _ in range(40):
        last = learner.autoencoder_step(batch(32), prior(32))
    for name in falls:
        assert last[name] < 0.85 * first[name], name


def test_what_counts_for_nothing_does_not_move_the_encoder():
    """Each weight of the loss acts on its own part."""
    nothing = dict.fromkeys(("identity", "prior", "image", "emotion"), 0.0)
    plain = PkLearner(encoder(), Recipe(width=0.02, emotion=True, weights=trainer.Weights(**nothing)), 0)
    plain.autoencoder_step(batch(), prior())
    for name in nothing:
        weights = trainer.Weights(**{**nothing, name: 1.0})
        other = PkLearner(encoder(), Recipe(width=0.02, emotion=True, weights=weights), 0, identity=tiny.encoder(7))
        other.autoencoder_step(batch(), prior())
        assert "encoder.last.conv.weight" in tiny.moved(plain.autoencoder.state_dict(), other.autoencoder), name


def test_the_encoder_that_is_given_and_the_one_that_is_returned_are_frozen_copies():
    given = encoder()
    before = tiny.frozen_copy(given)
    learner = PkLearner(given, SMALL, 0)
    learner.step(batch(), prior())
    returned = learner.encoder()
    assert tiny.moved(before, given) == set()
    assert returned.fingerprint() != given.fingerprint()
    state = tiny.frozen_copy(returned)
    learner.step(batch(), prior())
    assert tiny.moved(state, returned) == set()
    assert not any(p.requires_grad for p in returned.parameters())
    assert not returned.train().training


def test_a_seed_decides_the_weights():
    prints = [
        [state["fc.weight"].sum().item() for state in [PkLearner(encoder(), SMALL, seed).autoencoder.state_dict()]]
        for seed in (0, 0, 1)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_faces_of_an_odd_size_are_refused():
    with pytest.raises(ValueError, match="multiple of 16 but got 24"):
        PkLearner(encoder(size=24), SMALL, 0)


# Data


def test_arousal_and_valence_are_found_by_name_and_never_made_up():
    swapped = TaskSpec("affectnet-va", "dimensional", ("valence", "arousal"))
    images = tiny.Pictures(tiny.pictures(6, size=32).images)
    targets = tiny.targets("dimensional", 6)
    faces = tiny.FaceDataset(swapped, "train", images, np.arange(6), targets, "synthetic")
    pk = Pk(encoder(), SMALL)
    pk.admit([TaskData(faces, faces, faces)])
    assert np.array_equal(pk.labels(faces), targets[:, ::-1])
    classes = tiny.faces("categorical", images)
    pk.admit([TaskData(faces, faces, faces), TaskData(classes, classes, classes)])
    assert not pk.labels(faces).any()
    assert pk.labels(classes).shape == (6, 2)
    assert not is_conditioned([swapped, classes.spec])
    assert not is_conditioned([TaskSpec("x", "dimensional", ("arousal", "dominance"))])


def test_a_limit_draws_faces_and_leaves_the_other_images_unread():
    faces = tiny.faces("dimensional", tiny.pictures(20))
    drawn = some(faces, 6, seed=0)
    assert len(drawn) == len(drawn.images) == 6
    assert all(
        np.array_equal(drawn.image(i), faces.image(int(drawn.images.chosen[i])))
        and np.array_equal(drawn.targets[i], faces.targets[drawn.images.chosen[i]])
        and drawn.name(i) == faces.name(int(drawn.images.chosen[i]))
        for i in range(6)
    )
    assert isinstance(drawn.images, SomeImages)
    prints = {some(faces, n, seed=s).images.fingerprint for n, s in ((6, 0), (6, 0), (6, 1), (7, 0))}
    assert len(prints) == 3
    assert some(faces, 20, seed=0) is faces
    assert some(faces, None, seed=0) is faces


# Pictures


def test_colours_and_places_of_pictures():
    blue = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 2, 2)  # in BGR
    picture = to_rgb(blue, "bgr")
    assert picture[0, 0, 0].tolist() == [0, 0, 255]
    assert to_rgb(blue[:, :1], "gray")[0, 0, 0].tolist() == [255] * 3
    sheet = tiled(np.concatenate([picture, 0 * picture]), 2)
    assert sheet.shape == (4 + GAP, 4 + GAP, 3)
    assert sheet[0, 0].tolist() == sheet[0, -1].tolist() == [0, 0, 255]
    assert sheet[-1, 0].tolist() == [0, 0, 0]
    assert sheet[2, 2].tolist() == [255] * 3


def test_the_grid_has_arousal_down_and_valence_across(monkeypatch):
    learner = PkLearner(encoder(), SMALL, 0)
    face = batch(1).pixels
    asked = []

    def shade(given):
        asked.extend(given.labels.tolist())
        return given.labels[:, :1, None, None].expand(-1, 3, 32, 32)  # bright: aroused

    monkeypatch.setattr(learner, "reconstruct", shade)
    sheet = arousal_valence_sheet(learner, face)
    places = [i * (32 + GAP) for i in range(5)]
    assert [sheet[p, 0, 0].item() for p in places] == [255, 191, 128, 64, 0]
    assert [sheet[0, p, 0].item() for p in places] == [255] * 5
    assert asked == [[a, v] for a in AROUSAL for v in VALENCE]
