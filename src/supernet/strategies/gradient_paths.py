"""Whether each decision has a path to what it is learned from: found out before training.

A gate's weight must change the loss as the decision would. Options that are modules are weighed as they
are; numbers are weighed by masks (see `supernet.elastic.masks`), which exist for widths and kernels that
nothing but linear layers and convolutions reads. What a model does between its layers is not known, so
it is tried: under one-hot masks it must compute what the smaller network does. Weights that are zero at
the start, behind which anything looks alike, are others for the trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from supernet.choice import Gate, Routing
from supernet.data import Loader
from supernet.errors import ConfigError
from supernet.modules.calls import called
from supernet.modules.modes import evaluating
from supernet.modules.nested import mapped, tensors
from supernet.net import SuperNet
from supernet.random import seeded
from supernet.space import Architecture, Decision, OneOf, SearchSpace, Value
from supernet.strategies.derivation import edges_of

__all__ = ["check_answers", "check_gradient_paths", "reached_decisions"]

OTHERS = (
    "use a strategy that trains one architecture at a time and scores it, such as spos, sandwich, ofa, "
    "enas or proxyless-rl"
)
"""What is said to someone whose decision cannot be weighed."""

EXAMPLES = 2
"""Of the search split, that masks are tried on."""

TOLERANCE = 1e-3
"""Of the outputs' largest number; what is wrong is wrong by more."""


def check_answers(name: str, space: SearchSpace, *, edges: bool) -> None:
    """Refuse decisions that choose several options.

    Args:
        name: name of the strategy, for the message.
        space: space whose decisions the strategy is to learn.
        edges: whether those may be that choose the edges into a node, which then all run.

    Raises:
        ConfigError: there is one.
    """
    allowed = edges_of(space) if edges else set()
    for decision in space.decisions:
        if not isinstance(decision, OneOf) and decision.label not in allowed:
            raise ConfigError(
                f"{name} cannot relax decision {decision.label!r}, which chooses "
                f"{decision.describe()}; it needs decisions with one answer, or another strategy"
            )


def check_gradient_paths(name: str, supernet: SuperNet, search: Loader | None) -> None:
    """Refuse decisions between numbers whose weights would have no gradient, or a wrong one.

    Args:
        name: name of the strategy, for the message.
        supernet: supernet that the strategy is to train.
        search: batches that masks are tried on; without them only the layers are looked at.

    Raises:
        ConfigError: a decision has no masks, or the model feels channels that are off.
    """
    for label, reason in sorted(supernet.unweighed.items()):
        raise ConfigError(
            f"{name} cannot relax decision {label!r}: masks, by which it would weigh numbers, cannot "
            f"stand for it, since {reason}. Leave it out, or {OTHERS}"
        )
    numbers = [label for choice, label in supernet.choices.items() if choice.silent]
    if search is None or not numbers:
        return
    inputs = mapped(lambda tensor: tensor[:EXAMPLES], search.batch(0)[:-1])
    for label in dict.fromkeys(numbers):
        smaller = _with_smallest(supernet.space, label)
        if not _alike(supernet, inputs, smaller, label):
            raise ConfigError(
                f"{name} cannot relax decision {label!r}: with what lies beyond {smaller[label]} masked "
                "the model computes something else than with that many, so something between its layers "
                "looks at all channels (a mean, a softmax or a norm over them). Let a linear layer or a "
                f"convolution read them, or {OTHERS}"
            )


def _with_smallest(space: SearchSpace, label: str) -> Architecture:
    """Return an architecture with the smallest of a number, and otherwise the last options."""
    path = dict(space.conditions(label)[0])

    def answer(decision: Decision) -> Value:
        count = len(decision.options)
        if decision.label == label:
            return decision.value([0])
        if decision.label not in path:
            return decision.value(range(count - decision.low, count))
        first = decision.options.index(path[decision.label])
        others = [i for i in range(count) if i != first]
        return decision.value([first, *others[: decision.low - 1]])

    return space.build(answer)


def _alike(
    supernet: SuperNet, inputs: Sequence[Any], architecture: Architecture, label: str
) -> bool:
    """Return whether the model computes the same with a number masked and cut."""
    hard = Routing.hard(supernet.space, architecture)
    (index,) = hard[label].options
    count = len(supernet.space.decision(label).options)
    device = next(supernet.parameters()).device
    one_hot = torch.arange(count, device=device) == index
    masked = Routing({**hard, label: Gate(tuple(range(count)), one_hot.float())})
    found = []
    for route in (hard, masked):
        # a model may draw noise
        with evaluating(supernet), torch.no_grad(), seeded(0), _without_zeros(supernet):
            output = called(supernet, inputs, routing=route)
            found.append([one for one in tensors(output) if one.is_floating_point()])
    cut, weighed = found
    return len(cut) == len(weighed) and all(map(_close, weighed, cut))


@contextmanager
def _without_zeros(model: nn.Module) -> Iterator[None]:
    """Within the block parameters that are wholly zero, such as scales of residuals, are random."""
    zeros = [p for p in model.parameters() if not p.any()]
    try:
        for p in zeros:
            p.normal_()
        yield
    finally:
        for p in zeros:
            p.zero_()


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(other.abs().max()) if other.numel() else 0.0
    return bool(torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True))


def reached_decisions(space: SearchSpace, chosen: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the decisions that exist where these options run.

    Args:
        space: space of the decisions.
        chosen: indices of the options that run, by decision.
    """
    return [
        decision.label
        for decision in space.decisions
        if any(
            all(space.decision(outer).options.index(o) in chosen[outer] for outer, o in path)
            for path in space.conditions(decision.label)
        )
    ]
