"""Regions of a traced programme without gradients or in another precision, as parts of the whole.

`torch.export` makes one operator of each, whose programme is an argument of it. What is computed there
has the same axes as elsewhere.
"""

from __future__ import annotations

from typing import cast

from torch import fx

__all__ = ["inline"]

_REGIONS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Operators that run a programme, by the place of it among their arguments; what it takes follows."""


def inline(whole: fx.GraphModule) -> None:
    """Put the operators of regions in the place of those that run them, in regions of regions too."""
    graph = whole.graph
    for node in list(graph.nodes):
        place = _REGIONS.get(str(node.target)) if node.op == "call_function" else None
        if place is None:
            continue
        held, *given = node.args[place:]
        region = cast(fx.GraphModule, whole.get_submodule(str(cast(fx.Node, held).target)))
        inline(region)
        takes = [own for own in region.graph.nodes if own.op == "placeholder"]
        with graph.inserting_before(node):
            copied = graph.graph_copy(region.graph, dict(zip(takes, given, strict=True)))
        results = cast(tuple[fx.Node, ...], copied)
        for item in list(node.users):
            item.replace_all_uses_with(results[cast(int, item.args[1])])
            graph.erase_node(item)
        graph.erase_node(node)
