"""Encoders of third-party weights: files in their publishers' layouts, compared with the publishers' networks."""

import re
import sys
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.base import Preprocessing
from ciao_stream.encoders.weights import manifest
from ciao_stream.encoders.weights.encoder import fetched_encoder
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.worlds.world import World
from tests.helpers import tiny
from tests.helpers.publishers import BUILD, CLIP, published


@pytest.fixture
def publish(monkeypatch, tmp_path_factory):
    """A function that saves what was published, or other tensors, as the file of an entry, and fetches it."""

    def put(name, state=None):
        folder = tmp_path_factory.mktemp("weights")
        one = replace(manifest.entry(name), sha256=None, git_blob=None, **published(name).changes)
        state = published(name).state if state is None else state
        monkeypatch.setattr(manifest, "ENTRIES", (*(other for other in manifest.ENTRIES if other.name != name), one))
        monkeypatch.setenv("CIAO_WEIGHTS", str(folder))
        given = folder / "given"
        if one.format == "safetensors":
            save_file(state, given)
        else:
            torch.save(state if one.key is None else {one.key: state, "epoch": 3}, given)
        fetch(one, folder, given)
        given.unlink()
        return folder / name / one.file

    return put


@pytest.fixture
def _nothing_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("CIAO_WEIGHTS", str(tmp_path / "weights"))


def altered(state, *keys):
    """Return the tensors with a small change to some of them."""
    return {**state, **{key: state[key] + 0.05 for key in keys}}


def faces(size):
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def same(ours, theirs):
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize("name", BUILD)
def test_an_encoder_equals_the_publishers_network(name, publish):
    theirs, random = published(name), torch.random.get_rng_state()
    publish(name)
    encoder = load_encoder(f"weights:{name}")
    assert torch.equal(torch.random.get_rng_state(), random), "random numbers outside are left alone"
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    pixels = faces(theirs.size)
    with torch.no_grad():
        expected = theirs.map(pixels)
        assert same(encoder(pixels), expected)
        publish(name, altered(theirs.state, theirs.used))
        assert not same(load_encoder(f"weights:{name}")(pixels), expected)
    publish(name, altered(theirs.state, *theirs.unused))
    assert load_encoder(f"weights:{name}").fingerprint() == encoder.fingerprint()


def test_vgg_face_takes_faces_of_the_size_of_ours(publish):
    publish("vggface")
    encoder = load_encoder("weights:vggface")
    assert encoder.preprocessing.channels == "rgb"
    assert encoder.shapes() == load_encoder("random:vggface").shapes()


def test_timm_alone_builds_the_same_encoder(publish):
    publish("clip-vit-b16")
    network = timm.create_model("vit_xsmall_patch16_clip_224", pretrained=False, num_classes=32)
    tensors = {key: tensor for key, tensor in published("clip-vit-b16").state.items() if key.startswith("visual.")}
    network.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(tensors, network))
    network.reset_classifier(0)
    plain = attach(network, Preprocessing(224, "rgb", *CLIP), "weights:clip-vit-b16")
    assert load_encoder("weights:clip-vit-b16").fingerprint() == plain.fingerprint()


def test_the_encoder_is_frozen_and_records_its_name_and_training_data(publish):
    publish("msceleb-resnet18")
    encoder = fetched_encoder("msceleb-resnet18")
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.name == "weights:msceleb-resnet18"
    assert encoder.weights == "msceleb-resnet18: MS-Celeb-1M: web photographs of celebrities, for identity"


def test_a_world_loads_on_its_encoder_and_not_on_other_weights(publish, tmp_path):
    publish("msceleb-resnet18")
    encoder = load_encoder("weights:msceleb-resnet18")
    world = World(tiny.SPECS["categorical"], encoder, "dl", True, tiny.small())
    world.save(tmp_path / "world")
    z = encoder.stored_z(faces(224)).float()
    again = World.load(tmp_path / "world", load_encoder("weights:msceleb-resnet18"))
    assert torch.equal(again.predict(z), world.predict(z))
    publish("msceleb-resnet18", altered(published("msceleb-resnet18").state, "module.conv1.weight"))
    with pytest.raises(WorldError, match=r"was made for encoder weights:msceleb-resnet18 \(\w+\), not for"):
        World.load(tmp_path / "world", load_encoder("weights:msceleb-resnet18"))


def other_shapes(state):
    state["visual.conv1.weight"] = torch.ones(256, 3, 32, 32)
    state["visual.positional_embedding"] = torch.ones(50, 256)


def without(start):
    """Remove the tensors whose names start so."""
    return lambda state: [state.pop(key) for key in [*state] if key.startswith(start)]


def instead(other):
    """Replace all tensors."""
    return lambda state: state.clear() or state.update(other())


MISFITS = [
    ("vggface", without("conv4_2.bias"), "it lacks conv4_2.bias"),
    ("msceleb-resnet18", without("module.layer4.1.conv2"), "it lacks layer4.1.conv2.weight"),
    ("msceleb-resnet18", without("module.layer4"), "it lacks layer4.0.conv1.weight and 2[0-9] more"),
    ("msceleb-resnet18", lambda state: state.update({"module.head.a": torch.ones(1)}), "it has unknown head.a"),
    ("msceleb-resnet18", lambda state: state.update({"module.conv1.weight": torch.ones(64, 1, 7, 7)}),
     "it has other shapes of conv1.weight"),
    ("msceleb-resnet18", instead(lambda: torchvision.models.resnet50(weights=None).state_dict()), "it .*has unknown "
     "layer1.0.conv3.weight and [0-9]+ more, has other shapes of layer1.0.conv1.weight and [0-9]+ more"),
    ("clip-vit-b16", other_shapes, "it has other shapes of visual.conv1.weight and 1 more"),
    ("clip-vit-b16", lambda state: state.update({"visual.new.weight": torch.ones(1)}), "it has unknown new.weight"),
    ("clip-vit-b16", without("visual.class_embedding"), "it lacks visual.class_embedding"),
    ("clip-vit-b16", without("visual.conv1.weight"), "it lacks visual.conv1.weight"),
    ("clip-vit-b16", without("visual.transformer.resblocks.9.ln_1.weight"), "it lacks blocks.9.norm1.weight"),
    ("clip-vit-b16", without("visual."), "it lacks cls_token and .*"),
    ("hsemotion-b0", instead(lambda: published("clip-vit-b16").state), "it lacks conv_stem.*"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "fault"), MISFITS)
def test_a_file_that_does_not_fit_is_one_line_that_names_all_faults(publish, name, change, fault):
    state = dict(published(name).state)
    change(state)
    path = publish(name, state)
    with pytest.raises(CiaoError) as caught:
        load_encoder(f"weights:{name}")
    start = f"{path} does not fit {manifest.entry(name).architecture}: "
    end = f"; this is not the file of the weights {name}: delete the folder {path.parent} and fetch them again"
    message = str(caught.value)
    assert (message[: len(start)], message[-len(end) :]) == (start, end)
    assert re.fullmatch(fault, message[len(start) : -len(end)])


# --- weights that cannot be used as an encoder


@pytest.mark.usefixtures("_nothing_fetched")
@pytest.mark.parametrize("name", ["vggface", "hsemotion-b0", "clip-vit-b32", "farl-b16-ep64"])
def test_the_error_for_weights_that_were_not_fetched_gives_the_command(name):
    with pytest.raises(CiaoError, match=f"is missing: run python -m ciao_stream.data weights {name}$"):
        load_encoder(f"weights:{name}")


@pytest.mark.usefixtures("_nothing_fetched")
def test_the_error_for_an_unknown_network_says_how_to_use_the_weights():
    with pytest.raises(CiaoError) as caught:
        load_encoder("weights:facenet-vggface2")
    assert str(caught.value) == (
        "weights facenet-vggface2 cannot be used as an encoder: no dependency of ciao_stream builds Inception-ResNet "
        "v1 (FaceNet): build it yourself, load ciao_stream.encoders.weights.load_state('facenet-vggface2') into it, "
        "and pass it to ciao_stream.attach; see https://github.com/timesler/facenet-pytorch"
    )


@pytest.mark.usefixtures("_nothing_fetched")
def test_an_unreadable_format_is_refused_before_it_is_fetched():
    with pytest.raises(
        CiaoError,
        match=r"weights facechannel cannot be used as an encoder: ciao_stream cannot read h5 in tar.xz; see http",
    ):
        load_encoder("weights:facechannel")


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="unknown weights 'vgface': did you mean 'vggface'"):
        load_encoder("weights:vgface")
    with pytest.raises(UnknownNameError, match="unknown encoder prefix 'weight': did you mean 'weights'"):
        load_encoder("weight:vggface")


def test_fetched_weights_are_not_random_ones():
    with pytest.raises(
        CiaoError, match="'weights:vggface' has trained weights, but random ones are needed: choose one"
    ):
        load_encoder("random:weights:vggface")


def test_a_missing_timm_is_one_line(publish, monkeypatch):
    publish("clip-vit-b16")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CiaoError, match="encoder 'weights:clip-vit-b16' needs timm: pip install timm"):
        load_encoder("weights:clip-vit-b16")
