"""When the values in a model are wanted, from its outputs backwards; see `supernet.net.flow`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from supernet.choice.choice import Choice, ChoiceModule, InputChoice
from supernet.net.conditions import ALWAYS, NEVER, Algebra, Condition
from supernet.net.symbolic import UntraceableError, has_choices, is_pure, structure_key, traces
from supernet.ops.strided import Zero
from supernet.space import SearchSpace

__all__ = ["Need", "Solver", "neutral_option", "reads"]

ROUNDS = 50
"""After so many rounds without an end nothing is left out."""

SAME_SHAPE = {
    *(torch.relu, torch.tanh, torch.sigmoid, torch.abs, torch.neg, torch.exp),
    *(nn.functional.relu, nn.functional.gelu, nn.functional.silu, nn.functional.elu),
    *("relu", "tanh", "sigmoid", "abs", "neg", "exp"),
}
"""Functions and methods that take a tensor of any shape and return one of the same."""


@dataclass
class Need:
    """When a value is wanted: `data`, what it holds, and `shape`, at least its shape."""

    data: Condition = NEVER
    shape: Condition = NEVER


def reads(module: nn.Module) -> bool:
    """Return whether a module uses the values of its inputs, not only their shapes."""
    return not getattr(module, "shape_only", False)


def neutral_option(module: nn.Module) -> int | None:
    """Return an option of a choice that costs nothing and has the others' shape, if there is one."""
    if type(module) in (Choice, InputChoice):
        assert isinstance(module, ChoiceModule)
        for index, option in enumerate(module.options):
            if isinstance(option, Zero) or type(option) is nn.Identity:
                return index
    return None


class Solver:
    """Finds the least conditions that fit each other.

    A model, and every option with choices in it, has graphs; values have a node each. In every round all
    graphs are gone through backwards with what is known of options and of modules that are called more
    than once, until a round adds nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        labels: Mapping[ChoiceModule, str],
        space: SearchSpace,
        algebra: Algebra,
    ) -> None:
        self._model, self._labels, self._algebra = model, labels, algebra
        self._decisions = {decision.label: decision for decision in space.decisions}
        self._graphs: dict[nn.Module, list[fx.Graph] | None] = {}
        self._running: dict[nn.Module, Condition] = {}
        """When the code of a graph runs."""
        self._outputs: defaultdict[nn.Module, Need] = defaultdict(Need)
        """What is wanted of graphs, choices, and modules in which nothing is chosen."""
        self._inputs: defaultdict[tuple[nn.Module, int], Need] = defaultdict(Need)
        """What graphs want of what they are called with, by position."""
        self._kept: dict[nn.Module, Condition] = {}
        self._tied: set[nn.Module] = set()
        self._pure: dict[Hashable, bool] = {}
        self._changed = True

    def solved(self) -> dict[nn.Module, Condition]:
        """Return when modules are kept, but for those that always are."""
        self._outputs[self._model], self._running[self._model] = Need(ALWAYS, ALWAYS), ALWAYS
        if self._graph(self._model) is None:
            return {}
        rounds = 0
        while self._changed:
            rounds += 1
            if rounds > ROUNDS:
                return {}
            self._changed = False
            for root, graphs in list(self._graphs.items()):
                for graph in graphs or ():
                    self._backwards(root, graph)
            if not self._changed:
                self._tie()
        return {
            module: condition
            for module, condition in self._kept.items()
            if module not in self._tied and () not in self._algebra.paths(condition)
        }

    def _tie(self) -> None:
        """Note which modules cannot be taken out, so that they run wherever they are called."""
        tied = self._kept.keys() - self._alone()
        self._changed = not tied <= self._tied
        self._tied |= tied

    def _alone(self) -> set[nn.Module]:
        """Return the modules that are held at one place, and not within another that runs as a whole."""
        places = Counter[nn.Module]()
        within = set[nn.Module]()

        def walk(module: nn.Module, inner: bool) -> None:
            places[module] += 1
            if inner:
                within.add(module)
            whole = module in self._kept and not isinstance(module, ChoiceModule)
            options = set(module.options) if isinstance(module, ChoiceModule) else set()
            children = options or module.children()
            for child in children:
                leaf = child in options and not isinstance(child, ChoiceModule)
                walk(child, inner or whole or (leaf and self._graphs.get(child) is None))

        walk(self._model, False)
        return {module for module, count in places.items() if count == 1} - within

    def _graph(self, module: nn.Module) -> list[fx.Graph] | None:
        """Return the traces of a module with choices in it, None if it has none."""
        if module not in self._graphs:
            try:
                self._graphs[module] = traces(module) if has_choices(module) else None
            except UntraceableError:
                self._graphs[module] = None
            self._changed = True
        return self._graphs[module]

    def _add(self, need: Need, data: Condition, shape: Condition) -> bool:
        """Add conditions to what is wanted of a value; return whether that changes anything."""
        before = (need.data, need.shape)
        need.data = self._algebra.either(need.data, data)
        need.shape = self._algebra.either(need.shape, shape)
        if self._algebra.either(need.data, need.shape) is need.data:
            need.shape = NEVER  # there is nothing that only the shape is wanted for
        return before != (need.data, need.shape)

    def _keep(self, known: dict[nn.Module, Condition], module: nn.Module, more: Condition) -> None:
        before = known.get(module)
        known[module] = self._algebra.either(before or NEVER, more)
        self._changed |= known[module] != before

    def _is_pure(self, module: nn.Module) -> bool:
        key = structure_key(module)
        if key not in self._pure:
            self._pure[key] = is_pure(module)
        return self._pure[key]

    def _backwards(self, root: nn.Module, graph: fx.Graph) -> None:
        """Go through a graph from its outputs to its inputs."""
        wanted, running = self._outputs[root], self._running[root]
        needs: defaultdict[fx.Node, Need] = defaultdict(Need)
        position = sum(node.op == "placeholder" for node in graph.nodes)
        for node in reversed(graph.nodes):
            need = needs[node]
            if node.op == "output":
                for source in node.all_input_nodes:
                    self._add(needs[source], wanted.data, wanted.shape)
            elif node.op == "placeholder":
                position -= 1
                key = (root, position)
                self._changed |= self._add(self._inputs[key], need.data, need.shape)
            elif node.op == "call_module":
                module = root.get_submodule(str(node.target))
                self._owners(root, str(node.target), running)
                if isinstance(module, ChoiceModule):
                    entering = self._choice(module, need, running)
                else:
                    entering = self._whole(module, need, running)
                self._hand_on(module, node, entering, needs)
            elif node.op == "get_attr":
                self._owners(root, str(node.target), running)
            else:
                same = node.target in SAME_SHAPE and not node.kwargs
                for source in node.all_input_nodes:
                    self._add(needs[source], need.data, need.shape if same else running)

    def _owners(self, root: nn.Module, target: str, running: Condition) -> None:
        """Note that a module stays of which the code uses a part by itself, a weight or a layer."""
        owner = root
        for name in target.split(".")[:-1]:
            owner = owner.get_submodule(name)
            if owner in self._kept:
                self._changed |= self._add(self._outputs[owner], running, running)

    def _hand_on(
        self,
        module: nn.Module,
        node: fx.Node,
        entering: Callable[[int], Need],
        needs: Mapping[fx.Node, Need],
    ) -> None:
        """Add what a module wants of each of its inputs to the nodes that these come from."""
        arguments: Sequence[Any] = node.args
        if isinstance(module, InputChoice) and len(arguments) == 1:
            listed = arguments[0]
            if isinstance(listed, list | tuple) and len(listed) == module.inputs:
                arguments = listed
        named = list(node.kwargs.values())
        if len(arguments) == 1 or named:
            # it cannot be told apart who reads what
            last = module.inputs if isinstance(module, InputChoice) else len(arguments)
            both = Need()
            for position in range(max(last, 1)):
                self._add(both, entering(position).data, entering(position).shape)
            for source in node.all_input_nodes:
                self._add(needs[source], both.data, both.shape)
            return
        for position, argument in enumerate(arguments):
            wanted = entering(position)
            for source in _nodes(argument):
                self._add(needs[source], wanted.data, wanted.shape)

    def _whole(self, module: nn.Module, need: Need, running: Condition) -> Callable[[int], Need]:
        """Note what is wanted of a module that runs as a whole; return what it wants of its inputs."""
        if not reads(module):
            return lambda _: Need(NEVER, running)
        total = self._outputs[module]
        self._changed |= self._add(total, need.data, need.shape)
        kept = self._algebra.either(total.data, total.shape)
        if kept != running and (module in self._tied or not self._is_pure(module)):
            self._changed |= self._add(total, running, running)
            kept = self._algebra.either(kept, running)
        self._keep(self._kept, module, kept)
        return lambda _: total

    def _choice(
        self, choice: ChoiceModule, need: Need, running: Condition
    ) -> Callable[[int], Need]:
        """Note what is wanted of a choice; return what it wants of its inputs."""
        total = self._outputs[choice]
        self._changed |= self._add(total, need.data, need.shape)
        if choice in self._tied or not self._is_pure(choice):
            self._changed |= self._add(total, running, running)
        neutral = neutral_option(choice)
        shape = NEVER if neutral is not None else total.shape
        kept = self._algebra.either(total.data, shape)
        self._keep(self._kept, choice, kept)
        label, several = self._labels[choice], isinstance(choice, InputChoice)
        wants: defaultdict[int, Need] = defaultdict(Need)
        for index, option in enumerate(choice.options):
            chosen = self._algebra.atom(label, choice.names[index])
            parts = (total.data, total.shape, kept)
            data, form, runs = (self._algebra.both(part, chosen) for part in parts)
            entering = self._option(option, Need(data, form), runs)
            if several:
                assert isinstance(choice, InputChoice)
                want, wanted = wants[choice.positions[index]], entering(0)
                self._add(want, wanted.data, wanted.shape)
                if index == neutral:
                    self._add(want, NEVER, total.shape)
            else:
                for position in range(MOST_INPUTS):
                    self._add(wants[position], entering(position).data, entering(position).shape)
        if self._decisions[label].low < 1:
            form = kept  # where none is chosen, the shape is that of some
        elif not several and neutral is not None:
            form = total.shape
        else:
            form = NEVER
        for want in wants.values():
            self._add(want, NEVER, form)
        return lambda position: wants[position]

    def _option(self, option: nn.Module, need: Need, running: Condition) -> Callable[[int], Need]:
        """Note what is wanted of an option; return what it wants of its inputs."""
        if isinstance(option, ChoiceModule):
            entering = self._choice(option, need, running)
            if not isinstance(option, InputChoice):
                return entering
            every = Need()
            for position in range(option.inputs):
                self._add(every, entering(position).data, entering(position).shape)
            return lambda _: every
        if self._graph(option) is not None:
            self._changed |= self._add(self._outputs[option], need.data, need.shape)
            self._keep(self._running, option, running)
            return lambda position: self._inputs[option, position]
        if has_choices(option):
            return lambda _: Need(running, running)
        wanted = need if reads(option) else Need(NEVER, running)
        return lambda _: wanted


MOST_INPUTS = 8
"""Positions of the arguments of a choice that are looked at one by one."""


def _nodes(argument: Any) -> list[fx.Node]:
    """Return the nodes in an argument."""
    found: list[fx.Node] = []

    def note(node: fx.Node) -> fx.Node:
        found.append(node)
        return node

    fx.node.map_arg(argument, note)
    return found
