"""Networks of torchvision and timm by name: their preprocessing, random weights, and names that do not exist."""

import json
import re
import sys

import pytest

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.base import Preprocessing
from ciao_stream.exceptions import CiaoError


def test_a_torchvision_network_has_the_preprocessing_of_its_weights_and_seeded_random_weights():
    encoder = load_encoder("torchvision:mobilenet_v3_small")
    assert encoder.name == "torchvision:mobilenet_v3_small"
    assert encoder.preprocessing == Preprocessing(224, "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert encoder.shapes() == ((96, 7, 7), (576, 7, 7))
    assert load_encoder("torchvision:mobilenet_v3_small").fingerprint() == encoder.fingerprint()
    assert load_encoder("torchvision:mobilenet_v3_small", seed=1).fingerprint() != encoder.fingerprint()


def test_squeezenet_is_split_before_the_convolution_that_computes_classes():
    assert load_encoder("torchvision:squeezenet1_1").shapes()[1] == (512, 13, 13)


def test_a_timm_network_has_the_preprocessing_of_its_configuration():
    pytest.importorskip("timm")
    encoder = load_encoder("timm:resnet10t")
    assert encoder.name == "timm:resnet10t"
    assert encoder.preprocessing == Preprocessing(176, "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert encoder.shapes()[1] == (512, 6, 6)
    assert encoder.last.folding_norm().weight.min() == 1, "a norm scale of zero would cancel the convolution"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet181", "unknown network 'resnet181' of torchvision: did you mean 'resnet18' or "),
        ("torchvision:raft_large", "unknown network 'raft_large' of torchvision: "),
        ("torchvision:", "encoder 'torchvision:' lacks the name of a network: there are [0-9]+, such as"),
        ("timm:resnet1", "unknown network 'resnet1' of timm: did you mean 'resnet"),
        ("timm:resnet18.a1_in2k", r"unknown network 'a1_in2k' of timm \(resnet18\): did you mean 'a1_in1k'"),
    ],
)
def test_an_unknown_network_is_refused_with_a_suggestion(name, message):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(CiaoError, match=message) as caught:
        load_encoder(name)
    assert len(str(caught.value)) < 200


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CiaoError, match=re.escape("encoder 'timm:resnet18' needs timm: pip install timm")):
        load_encoder("timm:resnet18")


def test_the_benchmark_runs_on_a_library_encoder(tmp_path, capsys):
    options = "--encoder torchvision:mobilenet_v3_small --tasks fer --strategies dl,dl+ciao --seeds 1 --epochs 1"
    places = ["--synthetic-size", "8", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert benchmark.main([*options.split(), *places]) == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["encoder"]["name"] == "torchvision:mobilenet_v3_small"
    (about,) = (tmp_path / "out" / "cells" / "dl+ciao").rglob("world.json")
    assert json.loads(about.read_text())["settings"]["mask"] == "ciao"
