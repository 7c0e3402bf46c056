"""A network cut where learning begins: what lies before gives the same for an image every time, so it is run once."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from torch import fx, nn
from torch.fx.experimental.optimization import fuse


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The two halves of a network. They hold the network's own layers, so that what one learns the other has."""

    before: nn.Module
    """from images (n, 3, h, w) to activations, one tensor (n, ...); nothing in it learns or is left to chance"""
    after: nn.Module
    """from these activations to logits (n, k)"""


def cut(network: nn.Module) -> Cut | None:
    """Cut a network behind the layers that do not learn (`requires_grad` False).

    None where everything learns from the first layer on, where more than one tensor would have to be kept (a
    connection that skips the frozen layers), or where the network's way through its layers cannot be followed.
    """
    try:
        graph = _followed(network)
    except Exception:  # a tracer runs foreign code on stand-ins for tensors: whatever goes wrong, there is no cut
        return None
    fixed = _fixed(graph, network)
    crossing = [node for node in fixed if any(user not in fixed for user in node.users)]
    if len(crossing) != 1 or crossing[0].op == "placeholder":
        return None
    (kept,) = crossing
    before, after = fx.Graph(), fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in fixed:
            known[node] = before.node_copy(node, known.__getitem__)
    before.output(known[kept])
    known = {kept: after.placeholder("kept")}
    for node in graph.nodes:
        if node not in fixed:
            known[node] = after.node_copy(node, known.__getitem__)
    return Cut(before=_folded(fx.GraphModule(network, before)), after=fx.GraphModule(network, after))


def _folded(frozen: nn.Module) -> nn.Module:
    """Frozen layers with each normalisation multiplied into the convolution before it: the same, and quicker.

    It has weights of its own, which nothing changes. What cannot be followed layer by layer stays as it is.
    """
    frozen.eval()
    try:
        return fuse(frozen)
    except Exception:  # as above: foreign code on stand-ins for tensors
        return frozen


def _followed(network: nn.Module) -> fx.Graph:
    """The way of the images through a network; whatever else it could be given keeps its default."""
    others = list(inspect.signature(network.forward).parameters.values())[1:]
    graph = _Whole().trace(network, {one.name: one.default for one in others})
    for node in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        _erase(graph, node)  # what it was given is written into the steps already
    return graph


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """Take out a step, and the tests of its value that hang on it."""
    for user in list(node.users):
        _erase(graph, user)
    graph.erase_node(node)


class _Whole(fx.Tracer):
    """Follows the images through a network, and looks into a layer only where part of it learns."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return len({parameter.requires_grad for parameter in m.parameters()}) < 2


def _fixed(graph: fx.Graph, network: nn.Module) -> set[fx.Node]:
    """The steps whose result depends on the image alone: not on anything that learns, nor on chance."""
    fixed: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "output" or not all(one in fixed for one in node.all_input_nodes):
            continue
        if node.op == "get_attr" and getattr(_attribute(network, str(node.target)), "requires_grad", False):
            continue
        if node.op == "call_module" and _moves(network.get_submodule(str(node.target))):
            continue
        fixed.add(node)
    return fixed


def _moves(module: nn.Module) -> bool:
    """Whether a layer learns, or draws by lot: what is frozen does not, being in evaluation mode."""
    by_lot = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    return by_lot or any(parameter.requires_grad for parameter in module.parameters())


def _attribute(network: nn.Module, path: str) -> object:
    owner, _, name = path.rpartition(".")
    return getattr(network.get_submodule(owner), name)
