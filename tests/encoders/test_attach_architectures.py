"""Every architecture computes the same split and whole; its mask trains, and the encoder does not change."""

import pytest
import torch
from torch import nn

from ciao_stream.encoders.attach import attach
from ciao_stream.encoders.attach.layout import grid_layout
from ciao_stream.encoders.attach.libraries import undo_zero_init
from ciao_stream.encoders.base import Preprocessing
from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.device import channels_last
from ciao_stream.runtime.seeds import seeded_torch
from ciao_stream.worlds.masks import choose_mask, load_mask

# Library and name: image size, shape of the last convolution, side of the map, mask for 4 M parameters.
QUICK = {
    "torchvision:resnet18": (64, (512, 512, 3, 3), 2, "ciao"),
    "torchvision:mobilenet_v2": (64, (1280, 320, 1, 1), 2, "ciao"),
    "torchvision:mobilenet_v3_small": (64, (576, 96, 1, 1), 2, "ciao"),
    "torchvision:mnasnet0_5": (64, (1280, 160, 1, 1), 2, "ciao"),
    "torchvision:shufflenet_v2_x0_5": (64, (1024, 192, 1, 1), 2, "ciao"),
    "torchvision:squeezenet1_1": (64, (1000, 512, 1, 1), 3, "ciao"),
    "torchvision:regnet_y_400mf": (64, (440, 440, 1, 1), 2, "ciao"),
    "torchvision:densenet121": (64, (32, 128, 3, 3), 2, "ciao"),
    "torchvision:googlenet": (64, (128, 832, 1, 1), 2, "ciao"),
    "timm:efficientnet_b0": (64, (1280, 320, 1, 1), 2, "ciao"),
    "timm:convnext_atto": (64, (320, 1280, 1, 1), 2, "ciao"),
    "timm:ghostnet_050": (64, (480, 80, 1, 1), 2, "ciao"),
    "timm:repvgg_a0": (64, (1280, 192, 3, 3), 2, "ciao"),
    "timm:vit_tiny_patch16_224": (224, (192, 768, 1, 1), 14, "ciao"),
}
SLOW = {
    "torchvision:alexnet": (96, (256, 256, 3, 3), 2, "ciao"),
    "torchvision:vgg11": (96, (512, 512, 3, 3), 3, "ciao"),
    "torchvision:vgg16_bn": (96, (512, 512, 3, 3), 3, "ciao"),
    "torchvision:resnet50": (96, (2048, 512, 1, 1), 3, "ciao"),
    "torchvision:wide_resnet50_2": (96, (2048, 1024, 1, 1), 3, "ciao"),
    "torchvision:resnext50_32x4d": (96, (2048, 1024, 1, 1), 3, "ciao"),
    "torchvision:resnext101_32x8d": (96, (2048, 2048, 1, 1), 3, "low-rank"),
    "torchvision:inception_v3": (139, (192, 2048, 1, 1), 3, "ciao"),
    "torchvision:efficientnet_b0": (96, (1280, 320, 1, 1), 3, "ciao"),
    "torchvision:efficientnet_v2_s": (96, (1280, 256, 1, 1), 3, "ciao"),
    "torchvision:mobilenet_v3_large": (96, (960, 160, 1, 1), 3, "ciao"),
    "torchvision:convnext_tiny": (96, (768, 1, 7, 7), 3, "ciao"),
    "torchvision:vit_b_32": (224, (768, 3072, 1, 1), 7, "ciao"),
    "torchvision:swin_t": (96, (768, 3072, 1, 1), 3, "ciao"),
    "torchvision:maxvit_t": (224, (512, 2048, 1, 1), 7, "ciao"),
    "timm:vgg11": (96, (512, 512, 3, 3), 3, "ciao"),
    "timm:resnet50": (96, (2048, 512, 1, 1), 3, "ciao"),
    "timm:resnetv2_50": (96, (2048, 512, 1, 1), 3, "ciao"),
    "timm:seresnet18": (96, (512, 512, 3, 3), 3, "ciao"),
    "timm:skresnet18": (96, (512, 512, 3, 3), 3, "ciao"),
    "timm:resnest14d": (96, (2048, 1024, 1, 1), 3, "ciao"),
    "timm:res2net50_26w_4s": (96, (2048, 832, 1, 1), 3, "ciao"),
    "timm:gcresnet33ts": (96, (1280, 1536, 1, 1), 3, "ciao"),
    "timm:cspresnet50": (96, (1024, 2048, 1, 1), 3, "ciao"),
    "timm:darknet53": (96, (1024, 512, 3, 3), 3, "pointwise"),
    "timm:dla34": (96, (512, 1280, 1, 1), 3, "ciao"),
    "timm:densenet121": (96, (32, 128, 3, 3), 3, "ciao"),
    "timm:hrnet_w18_small": (96, (2048, 1024, 1, 1), 3, "ciao"),
    "timm:ese_vovnet19b_dw": (96, (1024, 1440, 1, 1), 3, "ciao"),
    "timm:selecsls42b": (96, (1024, 1280, 1, 1), 2, "ciao"),
    "timm:xception41": (96, (2048, 1536, 1, 1), 3, "ciao"),
    "timm:inception_v4": (139, (256, 1536, 1, 1), 3, "ciao"),
    "timm:mobilenetv3_small_050": (96, (288, 48, 1, 1), 3, "ciao"),
    "timm:mobilenetv4_conv_small": (96, (960, 128, 1, 1), 3, "ciao"),
    "timm:mobileone_s0": (96, (1024, 256, 1, 1), 3, "ciao"),
    "timm:fbnetc_100": (96, (1984, 352, 1, 1), 3, "ciao"),
    "timm:regnetx_002": (96, (368, 368, 1, 1), 3, "ciao"),
    "timm:rexnet_100": (96, (1280, 185, 1, 1), 3, "ciao"),
    "timm:lcnet_050": (96, (256, 256, 1, 1), 3, "ciao"),
    "timm:nf_resnet26": (96, (2048, 512, 1, 1), 3, "ciao"),
    "timm:nfnet_l0": (96, (2304, 1536, 1, 1), 3, "ciao"),
    "timm:dm_nfnet_f0": (96, (3072, 1536, 1, 1), 3, "low-rank"),
    "timm:convnextv2_atto": (96, (320, 1280, 1, 1), 3, "ciao"),
    "timm:convmixer_768_32": (96, (768, 768, 1, 1), 13, "ciao"),
    "timm:edgenext_xx_small": (96, (168, 672, 1, 1), 3, "ciao"),
    "timm:fasternet_t0": (96, (320, 640, 1, 1), 3, "ciao"),
    "timm:starnet_s1": (96, (192, 1, 7, 7), 3, "ciao"),
    "timm:poolformer_s12": (96, (512, 2048, 1, 1), 3, "ciao"),
    "timm:mobilevit_xxs": (96, (320, 80, 1, 1), 3, "ciao"),
    "timm:botnet26t_256": (256, (2048, 512, 1, 1), 8, "ciao"),
    "timm:vit_base_patch32_clip_224": (224, (768, 3072, 1, 1), 7, "ciao"),
    "timm:deit_tiny_distilled_patch16_224": (224, (192, 768, 1, 1), 14, "ciao"),
    "timm:swin_tiny_patch4_window7_224": (224, (768, 3072, 1, 1), 7, "ciao"),
    "timm:levit_128s": (224, (384, 768, 1, 1), 4, "ciao"),
    "timm:mixer_s32_224": (224, (512, 2048, 1, 1), 7, "ciao"),
}
FAILING = {
    # parallel scales up to the output: no single map
    "timm:coat_tiny": (224, "no map is larger than 1x1"),
    "timm:crossvit_9_240": (240, "no map is larger than 1x1"),
    "timm:efficientvim_m1": (224, "give a map of 1x1"),
    # the block with the last convolution has control flow that depends on the size of its input
    "timm:mobilevitv2_050": (256, r"stages\.4\.1 cannot be traced \(.*control flow\); give `at`"),
    "timm:tiny_vit_5m_224": (224, r"stages\.3\.blocks\.0 cannot be traced \(.*control flow\); give `at`"),
}
"""Image size, and why the architecture is refused."""

TOLERANCE = 1e-5


def build(name, size):
    """Return the network with random weights, in evaluation mode, with batch norm statistics of its own input."""
    library, _, base = name.partition(":")
    with seeded_torch(0, name), torch.no_grad():
        if library == "timm":
            network = pytest.importorskip("timm").create_model(base, pretrained=False, num_classes=0)
        else:
            import torchvision

            options = {"init_weights": False} if base in ("googlenet", "inception_v3") else {}
            network = torchvision.models.get_model(base, weights=None, **options)
        norms = [layer for layer in undo_zero_init(network).eval().modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in norms:
            layer.train().momentum = 1.0
            nn.init.uniform_(layer.bias, -0.1, 0.5)
        network(torch.randn(4, 3, size, size))
    return network.eval()


def whole_map(name, network, x):
    """Return the tensor that the library's own network has before its pooling."""
    if name.startswith("timm"):
        return network.forward_features(x)
    seen = []
    if hasattr(network, "encoder"):
        network.encoder.register_forward_hook(lambda *call: seen.append(call[-1]))
    elif name.endswith(("mobilenet_v2", "mnasnet0_5", "shufflenet_v2_x0_5", "densenet121")):
        home = next(getattr(network, part) for part in ("features", "layers", "conv5") if hasattr(network, part))
        home.register_forward_hook(lambda *call: seen.append(call[-1].clone()))
    else:
        pool = [layer for layer in network.modules() if isinstance(layer, nn.AdaptiveAvgPool2d)][-1]
        pool.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    network(x)
    return seen[-1].relu() if "densenet" in name else seen[-1]


def check(name, size, weight, places, kind):
    network, preprocessing = build(name, size), Preprocessing(size, "rgb", (0.45,) * 3, (0.22,) * 3)
    encoder = attach(network, preprocessing, name)
    channels_last(network)  # like the encoder: other layouts round differently
    with seeded_torch(0, "faces"):
        pixels = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
    with torch.no_grad():
        whole = whole_map(name, network, preprocessing.normalise(pixels))
        whole = grid_layout(whole.shape, tokens=True).grid(whole)
        split = encoder(pixels)
    assert split.shape == (3, whole.shape[1], places, places)
    assert (split - whole).abs().max() <= TOLERANCE * max(1, whole.abs().max()), "without a mask, the same map"
    assert whole.std() > 1e-3, "the map is not constant"

    before, last = encoder.fingerprint(), encoder.last
    assert last.conv.weight.shape == weight
    assert choose_mask(last) == kind
    mask = load_mask(kind)(last)
    count = sum(p.numel() for p in mask.parameters())
    assert count == mask.size(last) <= 4_000_000
    start = {key: tensor.clone() for key, tensor in mask.state_dict().items()}
    with torch.no_grad():
        x, carry = last.enter(encoder.encode(pixels))
        u = last.activate(x, carry)
    last.leave(mask(x, u), carry).square().mean().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in mask.parameters())
    with torch.no_grad():
        for parameter in mask.parameters():
            parameter -= parameter.grad / parameter.grad.abs().max()
    assert not [key for key, tensor in mask.state_dict().items() if torch.equal(tensor, start[key])]
    assert encoder.fingerprint() == before
    assert not any(p.requires_grad or p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("name", QUICK)
def test_an_architecture_computes_the_same_split_and_whole_and_its_mask_trains(name):
    check(name, *QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_another_architecture_computes_the_same_split_and_whole_and_its_mask_trains(name):
    check(name, *SLOW[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
def test_an_architecture_that_cannot_be_split_is_refused_with_its_reason(name):
    size, reason = FAILING[name]
    with pytest.raises(CiaoError, match=reason):
        attach(build(name, size), Preprocessing(size, "rgb", (0.45,) * 3, (0.22,) * 3), name)


def test_more_than_forty_architectures_are_covered():
    assert len({*QUICK, *SLOW}) == len(QUICK) + len(SLOW) >= 40
