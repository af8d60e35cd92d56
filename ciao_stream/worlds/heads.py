"""The head: from the (masked) map of a face to the outputs of its task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.runtime.expect import described, expect
from ciao_stream.runtime.options import validate
from ciao_stream.worlds.settings import Activation, HeadSettings

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}


class Head(nn.Module):
    """Pool, flatten, hidden layers, outputs.

    Args:
        spec: The task: its kind and number of outputs.
        map_shape: Shape of one map, (C, h, w).
        settings: Pooling, normalisation, hidden layers and their activation.

    Raises:
        CiaoError: An argument has another type or shape, or the map is too small for the pooling.
    """

    def __init__(self, spec: TaskSpec, map_shape: Sequence[int], settings: HeadSettings) -> None:
        super().__init__()
        expect("spec", spec, TaskSpec)
        expect("settings", settings, HeadSettings)
        validate(settings, "head.")
        if not (isinstance(map_shape, Sequence) and len(map_shape) == 3):
            raise CiaoError(f"map_shape: expected (C, h, w) but got {described(map_shape)}")
        channels, height, width = map_shape
        if settings.pool == "max2" and min(height, width) < 2:
            raise CiaoError(
                f"pool 'max2' needs a map of at least 2x2 but the encoder's is {height}x{width}: use 'mean'"
            )
        pools: dict[str, tuple[nn.Module, int]] = {
            "max2": (nn.MaxPool2d(2), channels * (height // 2) * (width // 2)),
            "mean": (nn.AdaptiveAvgPool2d(1), channels),
            "none": (nn.Identity(), channels * height * width),
        }
        pool, n_in = pools[settings.pool]
        layers: list[nn.Module] = [pool, nn.Flatten()]
        if settings.norm == "batch":
            layers.append(nn.BatchNorm1d(n_in))
        elif settings.norm == "layer":
            layers.append(nn.LayerNorm(n_in))
        for units in settings.hidden:
            layers += [nn.Linear(n_in, units), _ACTIVATIONS[settings.activation](), nn.Dropout(settings.dropout)]
            n_in = units
        layers.append(nn.Linear(n_in, spec.n_out))
        if settings.start == "zero":
            for parameter in layers[-1].parameters():
                nn.init.zeros_(parameter)
        if spec.kind == "dimensional":
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, masked: Tensor) -> Tensor:
        """Return the outputs.

        Args:
            masked: Map, masked or not, float (N, C, h, w).

        Returns:
            float (N, n_out): logits; for dimensional tasks values in [-1, 1].
        """
        return self.layers(masked)
