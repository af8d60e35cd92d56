"""Split any convolutional network or transformer at its last convolution into an encoder."""

from __future__ import annotations

import copy
import itertools
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from ciao_stream.encoders.attach.layout import Layout, grid_layout
from ciao_stream.encoders.attach.tracing import BATCH, Trace
from ciao_stream.encoders.attach.unit import AttachedLast
from ciao_stream.encoders.base import HALF_MAX, Encoder, Preprocessing
from ciao_stream.exceptions import CiaoError, did_you_mean
from ciao_stream.runtime.expect import expect, names_folder

TOLERANCE = 1e-4
"""Largest difference between the split network and the original, relative to the largest value: float32 rounding."""

WIDER = 3
"""A cut through several tensors is used if it is at most this many times as large as the nearest cut through one,
because the layers between the two then need not run again for every face and epoch."""

ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations")
ACTIVATING = {F.relu, F.relu6, F.silu, F.gelu, F.hardswish, F.leaky_relu, F.elu, F.mish, torch.relu, "relu"}
ADDING = {operator.add, torch.add, "add"}
IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)
POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def attach(module: nn.Module, preprocessing: Preprocessing, name: str, at: str | None = None) -> Encoder:
    """Split a network at its last convolution.

    The map is the last spatial tensor larger than 1x1 that the output depends on completely, before adaptive pooling.
    The last convolution is the last one before the map with more than one channel. Its unit includes the norm and
    activation that directly follow, and a residual sum before the activation. Layers between unit and map (another
    residual sum, a concatenation, pointwise layers) stay frozen after the mask. If a network ends in parallel branches
    (Inception) or grows by concatenation (DenseNet), its last convolution computes only some channels of the map, and
    a mask changes only those.

    If attention, or linear layers over tokens, follow the last convolution, the network is a transformer: its last
    linear layer over tokens, or over positions with channels last, is treated as a 1x1 convolution, and the grid of
    tokens without class token is the map.

    ``z`` is the input of the convolution, concatenated with all other tensors that are needed later; or the nearest
    single tensor before, if that is much smaller.

    Args:
        module: Any network for images (B, C, size, size). It is copied and never changed.
        preprocessing: Converts an image to its input. The size must leave a map larger than 1x1; the default head
            needs at least 2x2.
        name: Name of the encoder, which worlds record.
        at: Qualified name of another convolution to split at (``layer3.0.conv2``).

    Returns:
        A frozen encoder whose map, without a mask, equals the network's.

    Raises:
        CiaoError: The name is not valid, the network cannot be traced, no convolution can be split at, or there is no
            layer ``at``.
    """
    expect("module", module, nn.Module)
    expect("preprocessing", preprocessing, Preprocessing)
    expect("name", name, str)
    if not names_folder(name):
        raise CiaoError(f"name: expected a name that a folder can have but got {name!r}")
    network = copy.deepcopy(module).requires_grad_(False).eval()
    sample = _sample(network, preprocessing)
    with torch.no_grad():
        try:
            expected = network(sample)
        except Exception as error:  # a network's own code may raise anything
            reason = " ".join(str(error).split())[:200]
            raise CiaoError(f"cannot run {name} on images {tuple(sample.shape[1:])}: {reason}") from error
        trace = Trace(network, sample, name)
        place = _find(trace, name, at)
        encoder = _build(trace, place, preprocessing, name)
        _check(trace, place, encoder, sample, expected)
    return encoder


@dataclass(frozen=True)
class Place:
    """Where a network is split.

    Args:
        conv: Step of the convolution, or of the linear layer.
        end: Last step of its unit.
        map: Step whose output is the map.
        cut: Steps whose outputs are ``z``.
        dim: Dimension along which these are concatenated.
        inside: Layout of the convolution's output.
        outside: Layout of the map.
    """

    conv: fx.Node
    end: fx.Node
    map: fx.Node
    cut: tuple[fx.Node, ...]
    dim: int
    inside: Layout
    outside: Layout


def _sample(network: nn.Module, preprocessing: Preprocessing) -> Tensor:
    some = next(network.parameters(), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, *preprocessing.shape, generator=generator).to(some.device)


def _find(trace: Trace, name: str, at: str | None) -> Place:
    order = {node: i for i, node in enumerate(trace.nodes)}
    grid, tokens = _last_grid(trace, tokens=False), _last_grid(trace, tokens=True)
    conv = _last_layer(trace, grid, nn.Conv2d) if grid else None
    linear = _last_layer(trace, tokens, nn.Linear) if tokens else None
    if linear is not None and tokens is not None and order[linear] > order.get(conv, -1):
        attends = any(_attends(trace, node) for node in trace.nodes[order.get(conv, -1) + 1 :])
        if attends or order[tokens] > order.get(grid, -1):
            grid, conv = tokens, linear
    if grid is None:
        raise CiaoError(f"cannot split {name}: no map is larger than 1x1; use larger images or another network")
    if at is not None:
        conv = _named(trace, grid, at, name)
    if conv is None:
        raise CiaoError(f"cannot split {name}: no convolution precedes its map; give `at` or use another network")
    if at is None:
        _refuse_hidden(trace, conv, grid, name)
    inside, outside = _layout(trace, conv, name), _layout(trace, grid, name)
    _refuse_small(trace, grid, outside.side, name)
    cut, dim = _cut(trace, conv, grid)
    return Place(conv, _unit_end(trace, conv, grid), grid, cut, dim, inside, outside)


def _layout(trace: Trace, node: fx.Node, name: str) -> Layout:
    layout = grid_layout(trace.shape(node) or (), tokens=True)
    if layout is None:
        raise CiaoError(f"cannot split {name}: the output of {node.target} is not a square grid larger than 1x1")
    return layout


def _last_grid(trace: Trace, tokens: bool) -> fx.Node | None:
    """Return the last step whose output is a grid and that the network's output depends on completely."""
    way = trace.before(trace.output) & trace.after(trace.image)
    path = [node for node in trace.nodes if node in way]
    for live in _live_steps(path[:-1], {path[-1]}):
        shape = trace.shape(live[0]) if len(live) == 1 else None
        if shape and grid_layout(shape, tokens) and not _pools(trace, live[0]):
            return live[0] if live[0] is not trace.image else None
    return None


def _pools(trace: Trace, node: fx.Node) -> bool:
    adaptive = {F.adaptive_avg_pool2d, F.adaptive_max_pool2d}
    return isinstance(trace.module_of(node), POOLING) or node.target in adaptive


def _live_steps(path: list[fx.Node], tail: set[fx.Node]) -> Iterator[list[fx.Node]]:
    """Yield, for each step of a path from the last to the first, the steps whose outputs are still needed after it.

    Args:
        path: Steps in order.
        tail: Steps after the path.
    """
    position = {node: i for i, node in enumerate(path)}
    last_use = [
        max((math.inf if user in tail else position.get(user, -1) for user in node.users), default=-1) for node in path
    ]
    for i in reversed(range(len(path))):
        yield [path[j] for j in range(i + 1) if last_use[j] > i]


def _last_layer(trace: Trace, grid: fx.Node, kind: type[nn.Conv2d] | type[nn.Linear]) -> fx.Node | None:
    return next(iter(reversed(_layers(trace, grid, kind))), None)


def _layers(trace: Trace, grid: fx.Node, kind: type[nn.Conv2d] | type[nn.Linear]) -> list[fx.Node]:
    """Return the layers of a kind before the map whose output is a grid with more than one channel."""
    way, found = trace.before(grid), []
    for node in trace.nodes:
        shape, layer = trace.shape(node), trace.module_of(node)
        if node in way and shape and isinstance(layer, kind):
            channels = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
            if channels > 1 and grid_layout(shape, tokens=kind is nn.Linear):
                found.append(node)
    return found


def _attends(trace: Trace, node: fx.Node) -> bool:
    attention = {F.scaled_dot_product_attention, F.softmax, torch.softmax, "softmax"}
    named = "attention" in getattr(node.target, "__name__", "")
    return isinstance(trace.module_of(node), nn.MultiheadAttention | nn.Softmax) or named or node.target in attention


def _named(trace: Trace, grid: fx.Node, at: str, name: str) -> fx.Node:
    layers = {str(node.target): node for kind in (nn.Conv2d, nn.Linear) for node in _layers(trace, grid, kind)}
    if at not in layers:
        hint = did_you_mean(at, layers)
        raise CiaoError(
            f"cannot split {name} at {at!r}: {hint and hint + ' '}(possible: {len(layers)} layers, the last ones "
            f"{', '.join(list(layers)[-3:]) or 'none'})"
        )
    return layers[at]


def _refuse_hidden(trace: Trace, conv: fx.Node, grid: fx.Node, name: str) -> None:
    """Raise an error if a module that cannot be traced contains a later convolution."""
    between = trace.before(grid) & trace.after(conv)
    for node in (step for step in trace.nodes if step in between):
        layer = trace.module_of(node)
        if layer is not None and node.target in trace.opaque:
            if not any(isinstance(part, nn.Conv2d) for part in layer.modules()):
                continue
            raise CiaoError(
                f"cannot split {name} at its last convolution: {node.target} cannot be traced "
                f"({trace.opaque[str(node.target)]}); give `at` (for instance {conv.target}) or use another network"
            )


def _refuse_small(trace: Trace, grid: fx.Node, side: int, name: str) -> None:
    """Raise an error if later convolutions shrink the map to 1x1: then it is not the network's last."""
    later = trace.after(grid) - {grid}
    for node in (step for step in trace.nodes if step in later):
        layer = trace.module_of(node)
        if not isinstance(layer, nn.Conv2d):
            continue
        given = trace.shape(node.all_input_nodes[0])
        if given and grid_layout(given) and not layer.kernel_size[0] == given[2] == side:
            size = (trace.shape(trace.image) or ())[-1]
            raise CiaoError(f"cannot split {name}: images of {size}x{size} give a map of 1x1; use larger images")


def _unit_end(trace: Trace, conv: fx.Node, grid: fx.Node) -> fx.Node:
    """Return the last step of the convolution's unit: its norm, a residual sum or its activation."""
    way, later = trace.before(grid), trace.after(conv)
    end = node = conv
    if isinstance(trace.module_of(conv), nn.Linear):
        return end
    fresh = True  # no norm or sum so far
    while len(users := [user for user in node.users if user in way]) == 1 and node is not grid:
        (node,) = users
        layer = trace.module_of(node)
        if isinstance(layer, IDLE):
            continue
        if isinstance(layer, NORMS) and fresh:
            end, fresh = node, False
        elif node.target in ADDING and len(set(node.all_input_nodes) & later) == 1:
            fresh = False
        elif type(layer).__module__.startswith(ACTIVATIONS) or node.target in ACTIVATING:
            return node
        else:
            break
    return end


def _cut(trace: Trace, conv: fx.Node, grid: fx.Node) -> tuple[tuple[fx.Node, ...], int]:
    """Return the steps whose outputs become ``z``, and the dimension along which they can be concatenated."""
    later = trace.after(conv)
    way = trace.before(grid) & trace.after(trace.image)
    path = [node for node in trace.nodes if node in way and node not in later]
    packed = ((tuple(live), dim) for live in _live_steps(path, later & way) if (dim := _packs(trace, live)) is not None)
    nearest = next(packed)
    single = next(cut for cut in itertools.chain([nearest], packed) if len(cut[0]) == 1)
    return nearest if _size(trace, nearest[0]) <= WIDER * _size(trace, single[0]) else single


def _packs(trace: Trace, live: list[fx.Node]) -> int | None:
    """Return the dimension along which the steps' outputs can be concatenated, None if there is none."""
    shapes = [trace.shape(node) for node in live]
    if any(shape is None or len(shape) not in (3, 4) for shape in shapes):
        return None
    for dim in (1, -1):
        if len({_without(shape, dim) for shape in shapes if shape}) == 1:
            return dim
    return None


def _without(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], 0, *(shape[dim + 1 :] if dim >= 0 else ()))


def _size(trace: Trace, cut: tuple[fx.Node, ...]) -> int:
    return sum(math.prod(trace.shape(node) or ()) for node in cut)


def _build(trace: Trace, place: Place, preprocessing: Preprocessing, name: str) -> Encoder:
    layer = trace.module_of(place.conv)
    own = place.conv.all_input_nodes[0]
    later = trace.after(place.conv) & trace.before(place.map)
    needed = {node for step in later - {place.conv} for node in step.all_input_nodes} - later
    needed &= trace.after(trace.image)
    carry = [node for node in trace.nodes if node in needed]
    sizes = [shape[place.dim] for node in place.cut if (shape := trace.shape(node))]
    last = AttachedLast(
        before=trace.part(place.cut, [own, *carry]),
        conv=_convolution(layer, name),
        after=trace.part([place.conv, *carry], [place.end]),
        rest=trace.part([place.end, *carry], [place.map]),
        split=(place.dim, sizes),
        inside=place.inside,
        outside=place.outside,
    )
    return Encoder(name, preprocessing, trace.part([trace.image], place.cut, pack=place.dim), last)


def _convolution(layer: nn.Module | None, name: str) -> nn.Conv2d:
    """Return a convolution itself, and for a linear layer the 1x1 convolution that equals it at every position."""
    if isinstance(layer, nn.Conv2d):
        return layer
    if not isinstance(layer, nn.Linear):
        raise CiaoError(f"cannot split {name}: expected a convolution or a linear layer but got {layer}")
    conv = skip_init(nn.Conv2d, layer.in_features, layer.out_features, 1, bias=layer.bias is not None)
    conv.weight = nn.Parameter(layer.weight.detach()[:, :, None, None].clone())
    conv.bias = layer.bias
    return conv


def _check(trace: Trace, place: Place, encoder: Encoder, sample: Tensor, expected: object) -> None:
    """Compare the trace with the network, and the encoder on a larger batch with the trace."""
    (original,) = trace.part([trace.image], [place.map])(sample)
    parts = encoder.last(encoder.trunk(torch.cat([sample, sample[:1]])))[:BATCH]
    pairs = [*zip(_tensors(expected), _tensors(trace.result), strict=True), (place.outside.grid(original), parts)]
    for ours, theirs in pairs:
        limit = TOLERANCE * max(1.0, ours.abs().max().item())
        if ours.abs().max() < HALF_MAX and not (ours - theirs).abs().max() <= limit:
            raise CiaoError(
                f"cannot split {encoder.name}: the split network and the whole one give different outputs; "
                "give another convolution with `at` or use another network"
            )


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = [*value.values()]
    return [tensor for part in value for tensor in _tensors(part)] if isinstance(value, list | tuple) else []
