import math

import pytest
import torch
from torch import nn

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.worlds.heads import Head
from ciao_stream.worlds.settings import HeadSettings
from tests.helpers import tiny

FIVE = {"categorical": 5, "votes": 5, "dimensional": 2, "multilabel": 4}


def spec(kind):
    return TaskSpec("x", kind, tuple("abcde"[: FIVE[kind]]))


@pytest.mark.parametrize("hidden", [(), (7,), (7, 3)])
@pytest.mark.parametrize(("pool", "n_in"), [("max2", 6 * 2 * 1), ("mean", 6), ("none", 6 * 4 * 3)])
@pytest.mark.parametrize("kind", FIVE)
def test_a_head_gives_one_row_of_outputs_per_map(kind, pool, n_in, hidden):
    head = Head(spec(kind), (6, 4, 3), HeadSettings(pool, "none", hidden, 0.0))
    widths = [(layer.in_features, layer.out_features) for layer in head.modules() if isinstance(layer, nn.Linear)]
    assert widths == list(zip((n_in, *hidden), (*hidden, FIVE[kind]), strict=True))
    assert head(torch.rand(2, 6, 4, 3)).shape == (2, FIVE[kind])


@pytest.mark.parametrize(
    ("pool", "expected"), [("max2", [5, 7]), ("mean", [2.5, 4.5]), ("none", [0, 1, 4, 5, 2, 3, 6, 7])]
)
def test_pooling_by_exact_values(pool, expected):
    head = Head(spec("multilabel"), (2, 2, 2), HeadSettings(pool, "none", (), 0.0))
    features = head.layers[:-1](torch.tensor([[[[0.0, 1], [4, 5]], [[2, 3], [6, 7]]]]))
    assert features.tolist() == [expected]


@pytest.mark.parametrize("kind", FIVE)
def test_only_dimensional_outputs_pass_through_tanh(kind):
    head = Head(spec(kind), (6, 4, 4), HeadSettings("mean", "none", (), 0.0))
    nn.init.constant_(head.layers[2].weight, 1.0)
    nn.init.constant_(head.layers[2].bias, 0.0)
    for value in (-50.0, -0.1, 0.1, 50.0):
        outputs = head(torch.full((1, 6, 4, 4), value))
        expected = math.tanh(6 * value) if kind == "dimensional" else 6 * value
        assert outputs.flatten().tolist() == pytest.approx([expected] * FIVE[kind])


@pytest.mark.parametrize("shape", [(6, 1, 4), (6, 4, 1), (6, 1, 1)])
def test_a_map_too_small_for_the_pool_is_refused_with_its_size(shape):
    message = f"pool 'max2' needs a map of at least 2x2 but the encoder's is {shape[1]}x{shape[2]}: use 'mean'"
    with pytest.raises(CiaoError) as caught:
        Head(spec("votes"), shape, HeadSettings("max2"))
    assert str(caught.value) == message
    assert Head(spec("votes"), shape, HeadSettings("mean")).eval()(torch.rand(1, *shape)).shape == (1, 5)


NORMS = {"none": [], "batch": ["BatchNorm1d"], "layer": ["LayerNorm"]}
ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "tanh": "Tanh", "elu": "ELU"}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_normalisation_activation_and_dropout_are_those_of_the_settings(norm, activation):
    head = Head(tiny.SPECS["votes"], (6, 4, 4), HeadSettings("mean", norm, (7, 3), 0.25, activation))
    names = [type(layer).__name__ for layer in head.layers]
    hidden = ["Linear", ACTIVATIONS[activation], "Dropout"]
    expected = ["AdaptiveAvgPool2d", "Flatten", *NORMS[norm], *hidden * 2, "Linear"]
    assert names == expected
    assert {layer.p for layer in head.layers if isinstance(layer, nn.Dropout)} == {0.25}
