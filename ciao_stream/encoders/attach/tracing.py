"""Trace a network: its steps (layers, functions, operators) and the shape of each output.

References:
    - [0] Reed et al.: torch.fx: Practical Program Capture and Transformation for Deep Learning in Python,
      https://arxiv.org/abs/2112.08429
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from ciao_stream.exceptions import CiaoError

WHOLE = (nn.Conv2d, nn.Linear, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.MultiheadAttention)
"""Layers that stay one step, subclasses included."""

IN_PLACE: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


class Trace:
    """The steps of a network from its image to its output.

    Args:
        module: The network, in evaluation mode. Its in-place layers are changed to return new tensors, so that the
            steps can be separated.
        sample: A batch of two images.
        name: Name of the network in errors.

    Raises:
        CiaoError: The network cannot be traced.
    """

    def __init__(self, module: nn.Module, sample: Tensor, name: str) -> None:
        self.root = module
        self.opaque: dict[str, str] = {}
        self.graph = self._trace(name)
        _no_step_in_place(module, self.graph)
        self.nodes = list(self.graph.nodes)
        self.image, self.output = self.nodes[0], self.nodes[-1]
        self.values: dict[fx.Node, Any] = {}
        """Output of each step; a tensor as an empty one of the same shape and type."""
        self.result = _Recorder(module, self.graph, self.values).run(sample)

    def _trace(self, name: str) -> fx.Graph:
        defaults = {
            parameter.name: parameter.default
            for parameter in inspect.signature(self.root.forward).parameters.values()
            if parameter.default is not parameter.empty
        }
        while True:
            tracer = _Tracer(self.opaque)
            try:
                return tracer.trace(self.root, concrete_args=defaults)
            except Exception as error:  # a network's own code may raise anything
                reason = " ".join(str(error).split())[:200]
                where = tracer.failed
                if not where or where in self.opaque:
                    raise CiaoError(
                        f"cannot split {name}: its forward cannot be traced ({reason}); "
                        "use a network without control flow that depends on tensors"
                    ) from error
                self.opaque[where] = reason

    def module_of(self, node: fx.Node) -> nn.Module | None:
        """Return the layer that a step calls, None if it calls none."""
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def shape(self, node: fx.Node) -> tuple[int, ...] | None:
        """Return the shape of a step's output, None unless it is a float tensor with one entry per image."""
        value = self.values.get(node)
        if isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 1 and value.shape[0] == BATCH:
            return tuple(value.shape)
        return None

    def before(self, *targets: fx.Node) -> set[fx.Node]:
        """Return these steps and all steps that they depend on."""
        return _reachable(targets, lambda node: node.all_input_nodes)

    def after(self, *sources: fx.Node) -> set[fx.Node]:
        """Return these steps and all steps that depend on them."""
        return _reachable(sources, lambda node: node.users)

    def part(self, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node], pack: int | None = None) -> fx.GraphModule:
        """Return a module that computes the outputs of some steps from those of others.

        Args:
            inputs: Steps whose outputs the module takes, in this order.
            outputs: Steps whose outputs it returns, as a tuple.
            pack: Concatenate these along this dimension instead.
        """
        graph, stop = fx.Graph(), set(inputs)
        needed = _reachable(outputs, lambda node: () if node in stop else node.all_input_nodes)
        copies = {node: graph.placeholder(f"value_{i}") for i, node in enumerate(inputs)}
        for node in self.nodes:
            if node in needed and node not in stop:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        results = tuple(copies[node] for node in outputs)
        if pack is None:
            graph.output(results)
        else:
            graph.output(results[0] if len(results) == 1 else graph.call_function(torch.cat, (results, pack)))
        return fx.GraphModule(self.root, graph)


BATCH = 2
"""Images in a sample: more than one, so that no other dimension of size 1 looks like the batch."""


class _Tracer(fx.Tracer):
    """Traces down to :data:`WHOLE` layers, and records the module in which it failed."""

    def __init__(self, opaque: Iterable[str]) -> None:
        timm = sys.modules.get("timm.layers")
        super().__init__(autowrap_functions=tuple(timm.get_notrace_functions()) if timm else ())
        self.opaque = set(opaque)
        self.failed = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            isinstance(m, WHOLE)
            or module_qualified_name in self.opaque
            or type(m).__module__.startswith("timm.layers.activations")
            or super().is_leaf_module(m, module_qualified_name)
        )

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or self.path_of_module(m)
            raise


class _Recorder(fx.Interpreter):
    """Runs a graph and records the output of every step."""

    def __init__(self, module: nn.Module, graph: fx.Graph, values: dict[fx.Node, Any]) -> None:
        super().__init__(module, graph=graph)
        self.seen = values

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.seen[n] = torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value
        return value


def _no_step_in_place(module: nn.Module, graph: fx.Graph) -> None:
    """Make every in-place step return a new tensor instead, which all later steps read."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    for node in order:
        if _out_of_place(module, node) and node.args and isinstance(written := node.args[0], fx.Node):
            for user in [user for user in written.users if order[user] > order[node]]:
                user.replace_input_with(written, node)
    for layer in module.modules():
        if getattr(layer, "inplace", False) is True:
            layer.inplace = False  # type: ignore[assignment]


def _out_of_place(module: nn.Module, node: fx.Node) -> bool:
    """Make a step return a new tensor; return whether it wrote to its input before."""
    if node.op == "call_module":
        return getattr(module.get_submodule(str(node.target)), "inplace", False) is True
    if node.op == "call_method":
        name = str(node.target)
        writes = name.endswith("_") and not name.endswith("__") and hasattr(Tensor, name[:-1])
        node.target = name[:-1] if writes else name
        return writes
    if node.target in IN_PLACE:
        node.target = IN_PLACE[node.target]
        return True
    if node.op == "call_function" and inspect.isfunction(node.target):
        names = list(inspect.signature(node.target).parameters)
        given = dict(zip(names, node.args, strict=False)) | node.kwargs
        if given.get("inplace") is True:
            at = names.index("inplace")
            node.args = tuple(False if i == at else value for i, value in enumerate(node.args))
            node.kwargs = node.kwargs | ({"inplace": False} if "inplace" in node.kwargs else {})
            return True
    return False


def _reachable(start: Iterable[fx.Node], edges: Callable[[fx.Node], Iterable[fx.Node]]) -> set[fx.Node]:
    found, todo = set(start), list(start)
    while todo:
        for node in edges(todo.pop()):
            if node not in found:
                found.add(node)
                todo.append(node)
    return found
