"""Encoders of third-party weights: files in their publishers' layouts, compared with the publishers' networks."""

import argparse
import sys
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from ciao_stream.data import weights as weights_command
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.base import Preprocessing
from ciao_stream.encoders.weights import manifest
from ciao_stream.encoders.weights.encoder import fetched_encoder
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.worlds.world import World
from tests.helpers import tiny

VGG_FACE = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3",
    "conv5_1", "conv5_2", "conv5_3",
]  # fmt: skip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@pytest.fixture
def publish(monkeypatch, tmp_path_factory):
    """A function that saves tensors as the file of an entry, without its known hashes, and fetches it."""

    def put(name, state, **changes):
        folder = tmp_path_factory.mktemp("weights")
        one = replace(manifest.entry(name), sha256=None, git_blob=None, **changes)
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


def stirred(network):
    """Give every tensor random values, so that a missing or exchanged one shows."""
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                nn.init.uniform_(layer.running_mean, -0.1, 0.1)
                nn.init.uniform_(layer.running_var, 0.9, 1.1)
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network.eval()


def altered(state, key):
    """Return the tensors with a small change to one of them."""
    return {**state, key: state[key] + 0.05}


def faces(size):
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def same(ours, theirs):
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


def normalised(pixels, mean, std):
    return (pixels.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


# --- VGG-Face


def vgg_face():
    """Return VGG16's convolutions, and the publisher's file of them (with smaller linear layers)."""
    features = stirred(torchvision.models.vgg16(weights=None).features)
    convolutions = [layer for layer in features if isinstance(layer, nn.Conv2d)]
    state = {}
    for layer, convolution in zip(VGG_FACE, convolutions, strict=True):
        state |= {f"{layer}.weight": convolution.weight.detach(), f"{layer}.bias": convolution.bias.detach()}
    for layer, rows, columns in (("fc6", 4, 25088), ("fc7", 4, 4), ("fc8", 2622, 4)):
        state |= {f"{layer}.weight": torch.randn(rows, columns), f"{layer}.bias": torch.randn(rows)}
    return features, state


def test_vgg_face_equals_the_publishers_network(publish):
    features, state = vgg_face()
    publish("vggface", state)
    encoder = load_encoder("weights:vggface")
    pixels = faces(96)
    centred = pixels.float() - torch.tensor([129.1863, 104.7624, 93.5940]).view(3, 1, 1)
    with torch.no_grad():
        expected = features[:30](centred)
        assert same(encoder(pixels), expected)
        assert encoder.preprocessing.channels == "rgb"
        assert encoder.shapes() == load_encoder("random:vggface").shapes()
        publish("vggface", altered(state, "conv1_2.weight"))
        assert not same(load_encoder("weights:vggface")(pixels), expected)
    publish("vggface", altered(state, "fc7.weight"))
    assert load_encoder("weights:vggface").fingerprint() == encoder.fingerprint()


def test_a_missing_layer_of_vgg_face_is_named_as_in_the_file(publish):
    state = vgg_face()[1]
    path = publish("vggface", {key: tensor for key, tensor in state.items() if key != "conv4_2.bias"})
    with pytest.raises(CiaoError) as caught:
        load_encoder("weights:vggface")
    assert str(caught.value) == (
        f"{path} does not fit encoder:vggface: it lacks conv4_2.bias; this is not the file of the weights vggface: "
        f"delete the folder {path.parent} and fetch them again"
    )


# --- ResNet-18


def ms_celeb():
    """ResNet-18 with its map, and a file of it: many identities, several GPUs, before torch 0.4.1."""
    network, seen = stirred(torchvision.models.resnet18(weights=None)), []
    network.layer4.register_forward_hook(lambda *call: seen.append(call[-1]))
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    state |= {"fc.weight": torch.randn(1500, 512), "fc.bias": torch.randn(1500)}
    return network, seen, {f"module.{key}": tensor for key, tensor in state.items()}


@pytest.fixture(scope="module")
def resnet():
    return ms_celeb()


def test_ms_celeb_equals_the_publishers_network(publish, resnet):
    network, seen, state = resnet
    publish("msceleb-resnet18", state)
    random = torch.random.get_rng_state()
    encoder = load_encoder("weights:msceleb-resnet18")
    assert torch.equal(torch.random.get_rng_state(), random), "random numbers outside are left alone"
    pixels = faces(224)
    with torch.no_grad():
        network(normalised(pixels, *IMAGENET))
        assert same(encoder(pixels), seen[-1])
        assert encoder.fingerprint() == load_encoder("weights:msceleb-resnet18").fingerprint()
        publish("msceleb-resnet18", altered(state, "module.layer1.0.bn2.running_mean"))
        assert not same(load_encoder("weights:msceleb-resnet18")(pixels), seen[-1])
    publish("msceleb-resnet18", altered(state, "module.fc.weight"))
    assert load_encoder("weights:msceleb-resnet18").fingerprint() == encoder.fingerprint()


def test_the_encoder_is_frozen_and_records_its_name_and_training_data(publish, resnet):
    publish("msceleb-resnet18", resnet[2])
    encoder = fetched_encoder("msceleb-resnet18")
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.name == "weights:msceleb-resnet18"
    assert encoder.weights == "msceleb-resnet18: MS-Celeb-1M: web photographs of celebrities, for identity"


def test_a_world_loads_on_its_encoder_and_not_on_other_weights(publish, resnet, tmp_path):
    state = resnet[2]
    publish("msceleb-resnet18", state)
    encoder = load_encoder("weights:msceleb-resnet18")
    world = World(tiny.SPECS["categorical"], encoder, "dl", True, tiny.small())
    world.save(tmp_path / "world")
    z = encoder.stored_z(faces(224)).float()
    again = World.load(tmp_path / "world", load_encoder("weights:msceleb-resnet18"))
    assert torch.equal(again.predict(z), world.predict(z))
    publish("msceleb-resnet18", altered(state, "module.conv1.weight"))
    with pytest.raises(WorldError, match=r"was made for encoder weights:msceleb-resnet18 \(\w+\), not for"):
        World.load(tmp_path / "world", load_encoder("weights:msceleb-resnet18"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("module.layer4.1.conv2.weight"), "it lacks layer4.1.conv2.weight;"),
        (lambda state: state.update({"module.head.a": torch.ones(1)}), "it has unknown head.a;"),
        (lambda state: state.update({"module.conv1.weight": torch.ones(64, 1, 7, 7)}), "it has other shapes of conv1."),
        (lambda state: [state.pop(key) for key in [*state] if "layer4" in key], "it lacks layer4.0.conv1.weight and 2"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_in_one_line(publish, resnet, change, message):
    state = dict(resnet[2])
    change(state)
    publish("msceleb-resnet18", state)
    with pytest.raises(CiaoError, match=r"resnet18_msceleb.pth does not fit torchvision:resnet18: ") as caught:
        load_encoder("weights:msceleb-resnet18")
    assert message in str(caught.value)


def test_the_error_for_a_file_of_another_network_lists_all_problems(publish):
    publish("msceleb-resnet18", torchvision.models.resnet50(weights=None).state_dict())
    with pytest.raises(CiaoError) as caught:
        load_encoder("weights:msceleb-resnet18")
    assert "it has unknown layer1.0.conv3.weight and " in str(caught.value)
    assert ", has other shapes of layer1.0.conv1.weight and " in str(caught.value)


# --- EfficientNet-B0


def test_hsemotion_equals_the_publishers_network(publish):
    network = timm.create_model("tf_efficientnet_b0", pretrained=False, num_classes=0)
    network = stirred(network)
    state = network.state_dict()
    publish("hsemotion-b0", state)
    encoder = load_encoder("weights:hsemotion-b0")
    pixels = faces(224)
    with torch.no_grad():
        expected = network.forward_features(normalised(pixels, *IMAGENET))
        assert same(encoder(pixels), expected)
        publish("hsemotion-b0", altered(state, "conv_head.weight"))
        assert not same(load_encoder("weights:hsemotion-b0")(pixels), expected)


# --- CLIP and FaRL


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Tower(nn.Module):
    """OpenAI's image tower with OpenAI's names, in the size of timm's smallest (with GELU)."""

    def __init__(self, width=256, depth=10, heads=4, patch=16, grid=14):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(grid**2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*(Block(width, heads) for _ in range(depth)))})
        self.proj = nn.Parameter(torch.randn(width, 32))

    def forward(self, x):
        """Return the grid of tokens."""
        x = self.conv1(x).flatten(2).mT
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.ln_post(self.transformer["resblocks"](self.ln_pre(x)))[:, 1:]
        return x.mT.unflatten(2, (14, 14))


TEXT = {
    "positional_embedding": torch.randn(77, 32), "token_embedding.weight": torch.randn(9, 32),
    "transformer.resblocks.0.ln_1.weight": torch.randn(32), "ln_final.weight": torch.randn(32),
    "text_projection": torch.randn(32, 32), "logit_scale": torch.tensor(4.6),
}  # fmt: skip
GUESSING = {
    "visual.mask_token": torch.randn(256), "visual.lm_head.weight": torch.randn(5, 256),
    "visual.lm_transformer.resblocks.0.ln_1.weight": torch.randn(256), "visual.ln_lm.bias": torch.randn(256),
}  # fmt: skip
SMALL = {"architecture": "timm:vit_xsmall_patch16_clip_224"}


@pytest.fixture(scope="module")
def tower():
    return stirred(Tower())


def layout(tower, **more):
    return {**{f"visual.{key}": tensor for key, tensor in tower.state_dict().items()}, **TEXT, **more}


def test_clip_equals_the_publishers_network(publish, tower):
    state = layout(tower)
    publish("clip-vit-b16", state, **SMALL)
    encoder = load_encoder("weights:clip-vit-b16")
    pixels = faces(224)
    with torch.no_grad():
        expected = tower(normalised(pixels, *CLIP))
        assert same(encoder(pixels), expected)
        publish("clip-vit-b16", altered(state, "visual.transformer.resblocks.3.attn.in_proj_bias"), **SMALL)
        assert not same(load_encoder("weights:clip-vit-b16")(pixels), expected)
    publish("clip-vit-b16", altered(altered(state, "visual.proj"), "ln_final.weight"), **SMALL)
    assert load_encoder("weights:clip-vit-b16").fingerprint() == encoder.fingerprint(), "neither is used"


def test_farl_equals_the_publishers_network_without_its_branch_for_masked_patches_and_from_half_precision(publish):
    tower = stirred(Tower()).half().float()
    publish("farl-b16", {key: tensor.half() for key, tensor in layout(tower, **GUESSING).items()}, **SMALL)
    encoder = load_encoder("weights:farl-b16")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    pixels = faces(224)
    with torch.no_grad():
        assert same(encoder(pixels), tower(normalised(pixels, *CLIP)))


def test_timm_alone_builds_the_same_encoder(publish, tower):
    publish("clip-vit-b16", layout(tower), **SMALL)
    network = timm.create_model("vit_xsmall_patch16_clip_224", pretrained=False, num_classes=32)
    tensors = {key: tensor for key, tensor in layout(tower).items() if key.startswith("visual.")}
    network.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(tensors, network))
    network.reset_classifier(0)
    plain = attach(network, Preprocessing(224, "rgb", *CLIP), "weights:clip-vit-b16")
    assert load_encoder("weights:clip-vit-b16").fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    ("more", "without", "message"),
    [
        ({"visual.conv1.weight": torch.ones(256, 3, 32, 32), "visual.positional_embedding": torch.ones(50, 256)}, None,
         "it has other shapes of visual.conv1.weight and 1 more;"),
        ({"visual.new.weight": torch.ones(1)}, None, "it has unknown new.weight;"),
        ({}, "visual.class_embedding", "it lacks visual.class_embedding;"),
        ({}, "visual.conv1.weight", "it lacks visual.conv1.weight;"),
        ({}, "visual.transformer.resblocks.9.ln_1.weight", "it lacks blocks.9.norm1.weight;"),
        ({}, "visual.", "it lacks cls_token and"),
    ],
)  # fmt: skip
def test_a_tower_that_does_not_fit_is_one_line(publish, tower, more, without, message):
    state = layout(tower, **more)
    state = {key: tensor for key, tensor in state.items() if not (without and key.startswith(without))}
    publish("clip-vit-b16", state, **SMALL)
    with pytest.raises(CiaoError, match=r"open_clip_model.safetensors does not fit timm:vit_xsmall") as caught:
        load_encoder("weights:clip-vit-b16")
    assert message in str(caught.value)


def test_a_tower_in_the_file_of_a_convolutional_network_is_refused(publish, tower):
    publish("hsemotion-b0", layout(tower))
    with pytest.raises(CiaoError, match="does not fit timm:tf_efficientnet_b0: it lacks conv_stem"):
        load_encoder("weights:hsemotion-b0")


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


@pytest.mark.usefixtures("_nothing_fetched")
def test_the_list_shows_which_weights_are_encoders(capsys):
    parser = argparse.ArgumentParser()
    weights_command.add_parser(parser.add_subparsers())
    assert weights_command.main(parser.parse_args(["weights"])) == 0
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if "--encoder" in line]
    shown = dict(zip(manifest.names(), lines, strict=True))
    others = {name: line for name, line in shown.items() if line != f"weights:{name}"}
    assert [*others] == ["facenet-vggface2", "facenet-casia", "facechannel"]
    assert others["facechannel"] == "none: ciao_stream cannot read h5 in tar.xz"


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


def test_a_missing_timm_is_one_line(publish, tower, monkeypatch):
    publish("clip-vit-b16", layout(tower), **SMALL)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CiaoError, match="encoder 'weights:clip-vit-b16' needs timm: pip install timm"):
        load_encoder("weights:clip-vit-b16")
