"""Whether anything of the inputs still reaches the outputs where options of a supernet are off."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from supernet.choice import InputChoice, Routing
from supernet.failures import check_memory
from supernet.modules.hooks import hooked
from supernet.modules.nested import mapped, tensors
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.ops import Zero
from supernet.random import seeded
from supernet.space import Decision
from supernet.task import Batch, Task

__all__ = ["Reachability"]

EXAMPLES = 2
"""Examples that are sent through the network: the fewest that batch norm has statistics of."""

Kept = Mapping[str, tuple[int, ...]]
"""By decision, the options that are on."""


def _marked(values: torch.Tensor) -> torch.Tensor:
    return torch.full_like(values, torch.nan) if values.is_floating_point() else values


class Reachability:
    """Sends marks through a supernet that stick to all that depends on them.

    The marks are NaN: whatever is computed from one is NaN too, and what a choice without options
    returns, zeros, is not. They take the place of the inputs, or, of inputs that are whole numbers, of
    what the layers return that read them. So what is found depends on how the model is wired and on no
    weights; a product with zeros counts as passing. Nothing of a pass is left: neither statistics of
    batch norm nor torch's random state.

    Args:
        model: supernet that the marks are sent through.
        task: task; its loss is NaN where a mark has reached it.
        batch: batch whose first examples are taken; it stays as it is.

    Attributes:
        model: the supernet.
    """

    def __init__(self, model: SuperNet, task: Task, batch: Batch) -> None:
        self.model = model
        self._task = task
        few = mapped(lambda tensor: tensor[:EXAMPLES], tuple(batch))
        self._whole = not all(x.is_floating_point() for x in tensors(few[:-1]))
        self._batch = (*mapped(_marked, few[:-1]), few[-1])
        space = model.space
        paths = [path for d in space.decisions for path in space.conditions(d.label)]
        self._leading = {label for path in paths for label, _ in path}
        self._leading |= {n for c, n in model.choices.items() if isinstance(c, InputChoice)}
        self._passing = {d.label: _passing(model, d) for d in space.decisions}
        # What is known: with these options of the leading decisions, and these decisions off.
        self._alive = list[tuple[dict[str, set[int]], set[str]]]()
        self._dead = list[tuple[dict[str, set[int]], set[str]]]()
        self._known = self._marked({})

    def passing(self, decision: Decision) -> tuple[int, ...]:
        """Return the options of a decision that are no zeros, wherever it is asked."""
        return self._passing[decision.label]

    def reaches(self, kept: Kept) -> bool:
        """Return whether outputs depend on inputs where of each decision these options are on.

        What passes does so with more options too, and what does not with fewer, so that few passes tell
        of many. Which options are on counts where they lead elsewhere, as inputs and options that hold
        decisions do; other decisions that have some count as wholly on.
        False where marks do not even pass through the whole supernet, since that is no answer.
        """
        off = {label for label, on in kept.items() if not {*on} & {*self._passing[label]}}
        leading = {label: {*kept[label]} for label in self._leading & kept.keys()}
        if not off or not self._known:
            return not off
        if any(_within(others, leading) and off <= more for others, more in self._alive):
            return True
        if any(_within(leading, others) and off >= fewer for others, fewer in self._dead):
            return False
        on = {label: tuple(sorted(options)) for label, options in leading.items()}
        alive = self._marked({**on, **dict.fromkeys(off, ())})
        (self._alive if alive else self._dead).append((leading, off))
        return alive

    def _marked(self, kept: Kept) -> bool:
        """Return whether marks reach the loss; False if a model or a task cannot take them."""
        model = self.model
        leaves = [m for m in model.modules() if self._whole and not list(m.children())]
        try:
            routing = Routing.masked(model.space, kept)
            with (
                hooked(leaves, leave=_mark),
                torch.no_grad(),
                seeded(0),
                batch_statistics(model),
                model.route(routing),
            ):
                return bool(self._task.loss(model, self._batch).isnan())
        except Exception as error:  # what is wrong with the model, the training step will say
            check_memory(error)
            return False


def _within(fewer: Mapping[str, set[int]], more: Mapping[str, set[int]]) -> bool:
    return all(options <= more[label] for label, options in fewer.items())


def _passing(model: SuperNet, decision: Decision) -> tuple[int, ...]:
    choices = [choice for choice, label in model.choices.items() if label == decision.label]
    return tuple(
        i
        for i in range(len(decision.options))
        if not all(isinstance(choice.options[i], Zero) for choice in choices)
    )


def _mark(module: nn.Module, inputs: tuple[object, ...], output: object) -> object:
    """Mark what a layer makes of whole numbers alone, such as the vectors of tokens."""
    tensors = [x for x in inputs if isinstance(x, torch.Tensor)]
    whole = tensors and not any(x.is_floating_point() for x in tensors)
    if whole and isinstance(output, torch.Tensor) and output.is_floating_point():
        return torch.full_like(output, torch.nan)
    return output
