"""Any PyTorch model as a search space."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from supernet.conversion.attempts import Attempts
from supernet.conversion.examples import inputs_that
from supernet.conversion.mac_counts import count_for_one
from supernet.conversion.messages import explaining_failures
from supernet.conversion.open_choices import open_operations, widen_kernels
from supernet.conversion.rules import DEFAULT, ConversionRule, Depths, Kernels, Operations, Widths
from supernet.conversion.trace import first, trace
from supernet.conversion.trial_networks import largest, smallest
from supernet.elastic.importance import Importance
from supernet.elastic.sorting import sort_channels
from supernet.errors import ConversionError
from supernet.modules.calls import called
from supernet.modules.modes import evaluating
from supernet.modules.nested import tensors
from supernet.net import SuperNet, derive
from supernet.reading import shown

__all__ = ["convert"]


@explaining_failures
def convert(
    model: nn.Module,
    *example: Any,
    rules: Sequence[ConversionRule] = DEFAULT,
    sort: bool | Importance = True,
    batched: Sequence[bool] | None = None,
) -> nn.Module:
    """Return a copy of a model in which widths, depths, kernels and operations are open.

    The model is followed on the example, operator by operator, to find which widths must be the same:
    those of tensors that are added, of what a layer takes and the layer before gives, of heads, groups
    and concatenations. Its own code computes every sub-network: it sees weights, and numbers such as
    `num_heads`, of the size that was chosen. The largest sub-network computes what the model does, with
    the model's weights.

    Args:
        model: model to convert; it is not changed.
        example: inputs of the model, tensors `[batch, ...]` first of all; or one dictionary alone, of
            inputs by name. Costs are those at these sizes.
        rules: rules of what to open; of several that are for the same module, the first holds.
            Without any, widths and depths.
        sort: whether channels are put in the order of their importance, so that sub-networks begin
            with what matters most: True by the L1 norm of weights, or an importance that is measured on
            data, such as `supernet.importance.Taylor(batches)`.
        batched: for each input whether its tensors have a row for each example, unlike a mask or an
            adjacency matrix that is the same for all. Without it that is found out, by running the
            model on another number of examples.

    Returns:
        The model as a search space, for `supernet.run` or `SuperNet`.

    Raises:
        ConversionError: the model cannot be traced, a rule matches nothing, or nothing can be open.
        SupernetError: the importance cannot be measured, as its docstring says.
    """
    if not isinstance(model, nn.Module):
        raise ConversionError(f"a model is an nn.Module, not {shown(model)}")
    if not isinstance(rules, Sequence) or not all(isinstance(one, ConversionRule) for one in rules):
        raise ConversionError(f"rules are a list such as [Widths(), Depths()], not {shown(rules)}")
    if not isinstance(sort, bool | Importance):
        raise ConversionError(
            f"sort is True, False or an importance, such as L1() or Taylor(batches) of "
            f"supernet.importance, not {shown(sort)}"
        )
    inputs = inputs_that(model, example, batched)
    start = copy.deepcopy(model)
    operations = open_operations(start, rules)
    widened = widen_kernels(start, rules)
    found = trace(start, inputs, *example)
    count_for_one(found, start, *example)
    attempt = Attempts(start, found, rules).made(*example)
    _check_rules(rules, start, operations, widened)
    if sort:
        supernet = SuperNet(attempt)
        with supernet.route(largest(supernet)):
            sort_channels(attempt, importance=None if sort is True else sort)
    _check_largest(model, attempt, example)
    return attempt


def _check_rules(
    rules: Sequence[ConversionRule],
    model: nn.Module,
    operations: Sequence[str],
    kernels: Sequence[str],
) -> None:
    """Refuse a rule that matches nothing."""
    for rule in rules:
        if rule in DEFAULT or (isinstance(rule, Operations) and operations):
            continue
        if isinstance(rule, Kernels) and kernels:
            continue
        if isinstance(rule, Widths | Depths) and any(
            rule.matches(name, module) for name, module in model.named_modules() if name
        ):
            continue
        names = [name for name, _ in model.named_modules() if name]
        raise ConversionError(
            f"the rule {rule} matches no module; the model's are {', '.join(names[:12])}"
            f"{', ...' if len(names) > 12 else ''}; `*` stands for any part of a name"
        )


def _check_largest(model: nn.Module, converted: nn.Module, example: tuple[Any, ...]) -> None:
    """Refuse what computes something else than the model, or derives it."""
    supernet = SuperNet(converted)
    whole = largest(supernet)
    small = smallest(supernet)
    original = copy.deepcopy(model).eval()  # a forward pass may change a model too
    with torch.no_grad(), evaluating(supernet):
        for what, mine, expected in (
            (
                "the largest sub-network",
                called(supernet, example, routing=whole),
                called(original, example),
            ),
            (
                "the smallest sub-network",
                called(supernet, example, routing=small),
                called(derive(supernet, small), example),
            ),
        ):
            try:
                torch.testing.assert_close(
                    list(tensors(mine)), list(tensors(expected)), rtol=1e-3, atol=1e-4
                )
            except AssertionError as error:
                raise ConversionError(
                    f"{what} does not compute what it must: {first(error)}; this model cannot be "
                    "converted as it is, please report it"
                ) from error
