"""Our own encoders, their preprocessing, freezing and fingerprints."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ciao_stream.encoders import encoder_names, load_encoder
from ciao_stream.encoders.architectures import pk, resnet18
from ciao_stream.encoders.base import HALF_MAX, Preprocessing
from ciao_stream.encoders.saved import load_saved, save_encoder
from ciao_stream.encoders.untrained import untrained_encoder
from ciao_stream.exceptions import CiaoError, UnknownNameError
from tests.helpers import tiny

SHAPES = {
    "ciao-face": ((128, 6, 6), (256, 6, 6)),
    "facechannel": ((256, 8, 8), (256, 8, 8)),
    "pk": ((256, 12, 12), (512, 6, 6)),
    "resnet18": ((1024, 4, 4), (512, 4, 4)),
    "vggface": ((512, 6, 6), (512, 6, 6)),
}
PARAMETERS = {
    "ciao-face": 1_423_072,
    "facechannel": 2_179_648,
    "pk": 4_306_560,
    "resnet18": 11_176_512,
    "vggface": 14_714_688,
}


def random_norms(module):
    """Give every norm random statistics and weights, so that a missing one shows."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)


def test_our_encoders_are_listed():
    assert set(SHAPES) <= set(encoder_names())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgface", "unknown encoder 'vgface': did you mean 'vggface'"),
        ("last2:ciao-face", "unknown encoder prefix 'last2'.*known: timm, torchvision, weights, random"),
    ],
)
def test_an_unknown_encoder_is_refused_with_a_suggestion(name, message):
    with pytest.raises(UnknownNameError, match=message):
        load_encoder(name)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_sizes(name):
    encoder = tiny.real(name)
    assert encoder.name == name
    assert encoder.shapes() == SHAPES[name]
    assert encoder.parameter_count() == PARAMETERS[name]
    u = encoder(torch.randint(0, 256, (2, *encoder.preprocessing.shape), dtype=torch.uint8))
    assert u.shape == (2, *SHAPES[name][1])
    assert u.min() == 0 < u.max(), "rectified, and not dead"


def test_vggface_equals_the_unsplit_network():
    from torchvision.models.vgg import cfgs, make_layers

    encoder, whole = tiny.real("vggface"), make_layers(cfgs["D"]).eval()
    conv5_3 = {f"28.{name}": tensor for name, tensor in encoder.last.conv.state_dict().items()}
    whole.load_state_dict({**encoder.trunk.state_dict(), **conv5_3})
    pixels = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    with torch.no_grad():
        expected = whole[:30](encoder.preprocessing.normalise(pixels))
        assert torch.allclose(encoder(pixels), expected, rtol=1e-4, atol=1e-4 * expected.max())
        assert torch.equal(F.max_pool2d(expected, 2), whole(encoder.preprocessing.normalise(pixels))), "all layers"


def test_resnet18_equals_the_unsplit_network():
    from torchvision.models import resnet18 as whole_resnet18

    trunk, last = resnet18.build()
    random_norms(trunk)
    random_norms(last)
    trunk.eval(), last.eval()
    homes = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4.0"]
    state = {f"{home}.{k}": v for home, part in zip(homes, trunk, strict=False) for k, v in part.state_dict().items()}
    parts = {"conv1": trunk[8].conv, "bn1": trunk[8].norm, "conv2": last.conv, "bn2": last.norm}
    state |= {f"layer4.1.{home}.{k}": v for home, part in parts.items() for k, v in part.state_dict().items()}
    whole, seen = whole_resnet18(weights=None).eval(), []
    assert whole.load_state_dict(state, strict=False).missing_keys == ["fc.weight", "fc.bias"]
    whole.layer4.register_forward_hook(lambda *call: seen.append(call[-1]))
    x = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        whole(x)
        assert torch.allclose(last(trunk(x)), seen[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 4), (4, 0), (2, 3), (4, 4)])
def test_pk_pads_by_one_before_and_two_after_as_tensorflow_does(row, column):
    conv = pk.SameConv2d(1, 1)
    nn.init.zeros_(conv.bias)
    nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, row, column] = 1
    x = torch.arange(1.0, 65).view(1, 1, 8, 8)

    def at(i, j):
        y, x_ = 2 * i + row - 1, 2 * j + column - 1
        return x[0, 0, y, x_].item() if 0 <= y < 8 and 0 <= x_ < 8 else 0.0

    assert conv(x)[0, 0].tolist() == [[at(i, j) for j in range(4)] for i in range(4)]


def test_pk_equals_four_convolutions_with_explicit_padding():
    encoder = tiny.real("pk")
    pixels = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    x = (pixels.float() / 255 - 0.5) / 0.5
    for conv in [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]:
        total = max((math.ceil(x.shape[-1] / 2) - 1) * 2 + 5 - x.shape[-1], 0)  # TensorFlow's rule for SAME
        pad = (total // 2, total - total // 2)
        x = F.conv2d(F.pad(x, pad * 2), conv.weight, conv.bias, stride=2).relu()
    assert torch.allclose(encoder(pixels), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["facechannel", "pk"])
def test_the_fingerprint_depends_on_the_seed(name):
    assert load_encoder(name).fingerprint() == tiny.real(name).fingerprint()
    assert load_encoder(name, seed=1).fingerprint() != tiny.real(name).fingerprint()


def test_the_fingerprint_changes_with_weights_buffers_preprocessing_and_name():
    prints = {tiny.encoder().fingerprint()}
    for number, change in enumerate(
        [
            lambda e: e.trunk[0].weight.data[0, 0, 0, 0].add_(1e-6),
            lambda e: e.last.conv.bias.data[0].add_(1e-6),
            lambda e: e.trunk[1].running_mean[0].add_(1e-6),
            lambda e: e.trunk[1].num_batches_tracked.add_(1),
            lambda e: setattr(e, "name", "other"),
            lambda e: setattr(e, "preprocessing", replace(e.preprocessing, mean=(0.25,))),
        ]
    ):
        encoder = tiny.encoder()
        change(encoder)
        prints.add(encoder.fingerprint())
        assert len(prints) == number + 2
        assert encoder.fingerprint() == encoder.fingerprint()


def test_a_thawed_copy_trains_and_the_original_does_not_change():
    encoder = tiny.encoder(norm=True)
    before = encoder.fingerprint()
    twin = encoder.thawed()
    assert twin.fingerprint() == before
    twin.train()
    assert all(module.training for module in twin.modules())
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    twin(tiny.pixels()).square().mean().backward()
    optimizer.step()
    start = encoder.state_dict()
    assert tiny.moved(start, twin) == set(start), "every weight and every statistic of the copy changes"
    assert encoder.fingerprint() == before
    assert not any(module.training for module in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())


def test_stored_features_stay_within_float16():
    encoder = tiny.encoder()
    assert torch.tensor(HALF_MAX).bfloat16().half() == HALF_MAX
    encoder.trunk[0].weight.data.mul_(1e9)
    encoder.last.conv.weight.data.mul_(1e9)
    z = encoder.stored_z(tiny.pixels())
    u = encoder.stored_u(z)
    for stored in (z, u):
        assert stored.dtype is torch.float16
        assert stored.isfinite().all()
        assert stored.max() == HALF_MAX


# One red, green, blue and gray pixel; gray values by the weights 0.299, 0.587 and 0.114.
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [7, 7, 7]]], np.uint8)
GRAY = np.array([[76, 150], [29, 7]], np.uint8)
RED, GREEN, BLUE = ([[255, 0], [0, 7]], [[0, 255], [0, 7]], [[0, 0], [255, 7]])


@pytest.mark.parametrize(
    ("channels", "image", "planes"),
    [
        ("gray", RGB, [GRAY.tolist()]),
        ("gray", GRAY, [GRAY.tolist()]),
        ("rgb", RGB, [RED, GREEN, BLUE]),
        ("bgr", RGB, [BLUE, GREEN, RED]),
        ("rgb", GRAY, [GRAY.tolist()] * 3),
        ("bgr", GRAY, [GRAY.tolist()] * 3),
    ],
)
def test_colours_are_converted_by_exact_pixel_values(channels, image, planes):
    n = len(planes)
    fitted = Preprocessing(2, channels, (0.0,) * n, (1.0,) * n).fit(image)
    assert fitted.tolist() == planes
    assert (fitted.dtype, fitted.flags.c_contiguous) == (np.uint8, True)


def test_a_larger_image_is_averaged_and_a_smaller_one_interpolated():
    prepare = Preprocessing(2, "gray", (0.0,), (1.0,))
    blocks = np.array([[0, 10, 40, 40], [20, 10, 40, 40], [0, 0, 200, 100], [0, 0, 100, 200]], np.uint8)
    assert prepare.fit(blocks).tolist() == [[[10, 40], [0, 150]]]
    assert replace(prepare, size=4).fit(np.full((1, 1), 9, np.uint8)).tolist() == [[[9] * 4] * 4]
    assert replace(prepare, size=4).fit(np.array([[0, 100]], np.uint8)).tolist() == [[[0, 25, 75, 100]] * 4]


def test_pixels_are_normalised_per_channel():
    prepare = Preprocessing(1, "rgb", (0.5, 0.0, 1.0), (0.5, 2.0, 0.25))
    pixels = torch.tensor([255, 51, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert prepare.normalise(pixels).flatten().tolist() == pytest.approx([1.0, 0.1, -4.0])


def test_the_input_of_vggface_is_rgb_from_0_to_255_minus_the_mean_of_its_faces():
    pixels = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    prepare = tiny.real("vggface").preprocessing
    assert prepare.channels == "rgb"
    expected = [255 - 129.1863, 255 - 104.7624, 255 - 93.5940]
    assert prepare.normalise(pixels).flatten().tolist() == pytest.approx(expected, rel=1e-4)


def test_the_input_of_pk_is_bgr_from_minus_one_to_one_and_that_of_facechannel_gray():
    prepare = tiny.real("pk").preprocessing
    assert prepare.channels == "bgr"
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert prepare.normalise(ends).flatten().tolist() == [-1.0] * 3 + [1.0] * 3
    assert tiny.real("facechannel").preprocessing.channels == "gray"


def test_ciao_face_ignores_brightness_and_contrast():
    encoder = tiny.real("ciao-face")
    face = torch.randint(0, 120, (4, 1, 48, 48), dtype=torch.uint8)
    same, brighter = encoder(face), encoder(2 * face + 10)
    assert torch.allclose(same, brighter, rtol=1e-3, atol=1e-3)


def test_the_prefix_random_omits_trained_weights():
    encoder = load_encoder("random:pk", seed=3)
    assert (encoder.name, encoder.weights) == ("pk", "random, seed 3")
    assert encoder.fingerprint() == untrained_encoder("pk", seed=3).fingerprint()
    with pytest.raises(UnknownNameError, match="unknown encoder 'kp'"):
        load_encoder("random:kp")


def test_a_folder_with_a_saved_encoder_is_loaded(tmp_path):
    trained = {"method": "pk", "tasks": [{"name": "fer", "source": "real", "split": "train"}]}
    save_encoder(tmp_path, load_encoder("pk", seed=3), trained)
    encoder = load_encoder(str(tmp_path))
    assert encoder.fingerprint() == load_encoder("pk", seed=3).fingerprint()
    assert encoder.frozen
    assert encoder.weights == "trained by pk on fer (real, train)"
    assert load_encoder("pk", seed=3).weights == "random, seed 3"


DAMAGED = {
    "changed weights": ("encoder.safetensors", lambda content: content[:-4] + b"\0\0\x80?",
        "its weights do not have the recorded sha256"),
    "no description": ("encoder.json", lambda _: b"[]", "expected format ciao_stream/encoder/1 but got list"),
    "half a description": ("encoder.json", lambda content: content[:50], "is damaged"),
    "another name": ("encoder.json", lambda content: content.replace(b'"pk"', b'"vggface"'), "weights do not fit"),
    "unknown name": ("encoder.json", lambda content: content.replace(b'"pk"', b'"kp"'), "unknown encoder 'kp'"),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_encoder_is_refused(how, tmp_path):
    name, change, message = DAMAGED[how]
    save_encoder(tmp_path, tiny.real("pk"), {})
    path = tmp_path / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CiaoError, match=message):
        load_saved(tmp_path)
