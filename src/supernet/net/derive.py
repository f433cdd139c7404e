"""From an architecture to an ordinary module that holds the chosen options only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.choice.plain import Part
from supernet.elastic.module import Elastic, collect_parts, make_plain
from supernet.errors import SpaceError
from supernet.modules.copies import copied
from supernet.net.supernet import SuperNet
from supernet.random import derive_seed, seeded
from supernet.space import Architecture, Value

__all__ = ["derive", "reinitialise"]


def derive(supernet: nn.Module, architecture: Architecture | Mapping[str, Value]) -> nn.Module:
    """Return an ordinary module that computes what the supernet computes for the architecture.

    Each choice is replaced by its chosen options; what was not chosen is not copied, and neither is
    what nobody reads (see `supernet.net.flow`). The weights are copies of the supernet's, so training
    the result leaves the supernet alone; modules that share weights still do. For fresh weights derive
    from a newly built model, or see `reinitialise`.

    Args:
        supernet: supernet, or a model with choices.
        architecture: architecture of the supernet's space; a plain dictionary of answers will do.

    Raises:
        SpaceError: the architecture is not in the space, the model has no choices, or one of them is
            something else.
    """
    if not isinstance(supernet, nn.Module) or not isinstance(architecture, Mapping):
        raise SpaceError(
            "a network is derived from a model and a dictionary of answers by decision, not from "
            f"{supernet if isinstance(supernet, type) else type(supernet).__name__} and {architecture!r}"
        )
    supernet = supernet if isinstance(supernet, SuperNet) else SuperNet(supernet)
    if not isinstance(architecture, Architecture):
        architecture = Architecture(architecture)
    supernet.space.validate(architecture)
    generated = supernet.generated(architecture)
    memo: dict[int, object] = {id(p): nn.Parameter(weight) for p, weight in generated.items()}
    memo |= {id(module): plain for module, plain in supernet.flow.unread(architecture).items()}
    with supernet.route(architecture):  # parts read the numbers that were chosen
        for choice, label in supernet.choices.items():
            if label in architecture and id(choice) not in memo:
                chosen = supernet.space.decision(label).indices(architecture[label])
                _plain_parts((choice.options[i] for i in chosen), memo)
                modules = [copied(choice.options[i], memo) for i in chosen]
                memo[id(choice)] = choice.derive(chosen, modules)
        _plain_parts([supernet.model], memo)
        return make_plain(copied(supernet.model, memo))


def _plain_parts(modules: Iterable[nn.Module], memo: dict[int, object]) -> None:
    """Note what stands for the parts within, but for those within choices."""
    for module in modules:
        if id(module) in memo and not isinstance(module, Part):
            continue
        if isinstance(module, Elastic):
            collect_parts(module, memo)
        elif isinstance(module, Part):
            if id(module) not in memo:
                memo[id(module)] = module.plain()
            continue
        if not isinstance(module, ChoiceModule):
            _plain_parts(module.children(), memo)


def reinitialise(module: nn.Module, seed: int) -> nn.Module:
    """Draw all parameters of a module anew, by each submodule's own `reset_parameters`.

    The draw depends on the seed alone and leaves torch's random state as it was.

    Raises:
        SpaceError: a submodule owns parameters but has no `reset_parameters` method.
    """
    with seeded(derive_seed(seed, "initialise")):
        # inner modules first: an outer one may overrule what they draw
        for name, part in reversed(list(module.named_modules())):
            reset = getattr(part, "reset_parameters", getattr(part, "_reset_parameters", None))
            if reset is not None:
                reset()
            elif any(True for _ in part.parameters(recurse=False)):
                raise SpaceError(
                    f"{type(part).__name__} {name!r} owns parameters but has no reset_parameters(); "
                    "add that method, or give the class (or a function that builds the model) instead "
                    "of an instance, so that fresh weights come from building it again"
                )
    return module
