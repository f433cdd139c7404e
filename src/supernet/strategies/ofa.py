"""OFA: Cai et al., "Once-for-All: Train One Network and Specialize it ..." (ICLR 2020).

Progressive shrinking: first the largest network is trained alone, then smaller ones join it, in phases
of one training run, which are so many epochs in the paper:

    full 180 · kernel 125 · depth, larger half 25 · depth 120 · width, larger half 25 · width 120.

What is not open yet is held at its largest. From the second phase on a step trains 1, 2 (from depth on)
or 4 (from width on) sub-networks, each answer drawn uniformly among those open, with

    L = 1/n · Σ ( L_task + λ · D(outputs, z) ),

where z are the outputs of a copy of the largest network as it was at the end of the first phase, in
training mode as in the authors' code, and D the task's distance, for logits the cross-entropy with
softmax(z). Before widths open, channels are put in the order of their importance (`sort_channels`),
which leaves the largest network what it was, and the optimizer's state with them; and again before the
smaller half of the widths opens, but no channel leaves the widths that were open and hold it, so that
their networks stay what they were too.

Kernels are the dimensions that are a convolution's kernel, depths the decisions of `Depth`, widths all
other dimensions. Choices between operations, which the paper has none of, open with the kernels; until
then the costliest are trained. A phase that opens nothing is left out, and the others share its steps.

Differences: the authors sum the losses of a step, here they are averaged; each of their phases has an
optimizer, a learning rate, a decay and for kernels a warm-up of its own, here one of each spans them
all; and the first phase trains the network that the later ones go on with, where they begin with one
trained before, which remains the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from random import Random
from typing import Any, ClassVar

import torch
from torch import nn

from supernet.choice import Routing
from supernet.elastic import Depth, Dimension
from supernet.elastic.convolution import Convolution
from supernet.elastic.sorting import reorder, sort_channels, widths_now
from supernet.errors import ConfigError
from supernet.net import SuperNet, derive
from supernet.space import Architecture, Decision, Option, Sampling
from supernet.strategies.base import Strategy, TrainingContext
from supernet.task import Batch, Task, loss_and_outputs
from supernet.train import Moment, backward

__all__ = ["ProgressiveShrinking"]

PHASES = ("full", "kernel", "depth, larger half", "depth", "width, larger half", "width")
SUBNETS = (1, 1, 2, 2, 4, 4)
OPENS = {"operation": (1, 1), "kernel": (1, 1), "depth": (2, 3), "width": (4, 5)}
"""By kind of decision, the phases in which the larger half and everything open."""


class ProgressiveShrinking(Strategy):
    """The largest network first, then smaller kernels, depths and widths, taught by it.

    Args:
        lengths: lengths of the six phases, in any unit.
        distil: λ, the weight of the distance from the largest network's outputs.
        quantity: the cost that says which architecture is the largest.
        sampling: set that sub-networks are uniform over: the open answers of each of their
            "decisions" by itself, or all "architectures" that are open, of which most are of the
            largest depths.

    Raises:
        ConfigError: there are not six positive lengths, or the weight is negative.
    """

    one_stage: ClassVar[bool] = True
    adds = True

    def __init__(
        self,
        lengths: tuple[float, ...] = (180, 125, 25, 120, 25, 120),
        distil: float = 1.0,
        quantity: str = "macs",
        sampling: Sampling = "decisions",
    ) -> None:
        if len(lengths) != len(PHASES) or not 0 < min(lengths) <= max(lengths) < math.inf:
            raise ConfigError(
                f"lengths are {len(PHASES)} positive numbers, of the phases {'; '.join(PHASES)}, "
                f"not {list(lengths)}"
            )
        if not 0 <= distil < math.inf:
            raise ConfigError(f"distil is the weight of a distance, at least 0, not {distil}")
        self.lengths = lengths
        self.distil = distil
        self.quantity = quantity
        self.sampling: Sampling = sampling
        self._optimizer: torch.optim.Optimizer | None = None

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Find the largest network, and what each phase opens.

        Raises:
            ConfigError: there is no table of the quantity.
        """
        self._model = supernet
        _, self._full = setting.table(self.quantity).extremes(supernet.space)
        self._kinds = _kinds(supernet)
        opened = [
            {d.label: self._open(d, phase) for d in supernet.space.decisions}
            for phase in range(len(PHASES))
        ]
        self._phases = [n for n in range(len(PHASES)) if n == 0 or opened[n] != opened[n - 1]]
        self._spaces = [supernet.space.within(options) for options in opened]
        self._teacher: nn.Module | None = None
        self._sorted = 0

    def start(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the optimizer, whose state is put in order with the channels."""
        self._optimizer = optimizer

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of this step's networks; return the mean of their losses by the labels."""
        phase = self.phase(moment)
        if phase == 0:
            with model.route(self._full):
                return backward(task.loss(model, batch))
        if phase in OPENS["width"] and self._sorted < phase:
            self._sort(model, phase)
        with torch.no_grad():  # so that the teacher is not counted among what is trained
            if self._teacher is None:
                self._teacher = self._copy()
            _, teacher = loss_and_outputs(task, self._teacher, batch, by="OFA")
        losses, random = [], moment.stream("shrinking")
        for _ in range(SUBNETS[phase]):
            with model.route(self.draw(phase, random)):
                loss, outputs = loss_and_outputs(task, model, batch, by="OFA")
            losses.append(loss.detach())
            pairs = zip(outputs, teacher, strict=True)
            distance = torch.stack([task.distance(mine, other) for mine, other in pairs]).sum()
            backward((loss + self.distil * distance) / SUBNETS[phase])
        return torch.stack(losses).mean()

    def phase(self, moment: Moment) -> int:
        """Return the number of the phase that a step lies in, among all six."""
        total = sum(self.lengths[phase] for phase in self._phases)
        end = 0.0
        for phase in self._phases:
            end += self.lengths[phase]
            if moment.step * total < end * moment.steps:
                return phase
        return self._phases[-1]

    def draw(self, phase: int, random: Random) -> Architecture:
        """Return a network of a phase after the first, drawn among what is open."""
        return self._spaces[phase].sample(random, self.sampling)

    def state_dict(self) -> dict[str, Any]:
        """Return the teacher's weights and whether the channels are in order."""
        teacher = None if self._teacher is None else self._teacher.state_dict()
        return {"teacher": teacher, "sorted": self._sorted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the teacher and the order."""
        self._sorted = state["sorted"]
        self._teacher = None
        if state["teacher"] is not None:
            self._teacher = self._copy()
            self._teacher.load_state_dict(state["teacher"])

    def _open(self, decision: Decision, phase: int) -> tuple[Option, ...]:
        """Return the options of a decision that are open in a phase, of numbers the largest ones."""
        kind = self._kinds[decision.label]
        half, everything = OPENS[kind]
        if phase >= everything:
            return decision.options
        if kind == "operation":  # those of the costliest network
            here = self._full.get(decision.label, next(decision.values()))
            return here if isinstance(here, tuple) else (here,)
        count = math.ceil(len(decision.options) / 2) if phase >= half else 1
        return decision.options[-count:]

    def _copy(self) -> nn.Module:
        """Return the largest network alone, which is not trained any more."""
        return derive(self._model, self._full).train().requires_grad_(False)

    def _sort(self, model: SuperNet, phase: int) -> None:
        """Put the channels in order, and with them what the optimizer remembers."""
        self._sorted = phase
        memory = {} if self._optimizer is None else self._optimizer.state
        for parameter, changes in sort_channels(model, self._widths(model, phase - 1)).items():
            remembered = memory.get(parameter, {})
            for name, value in remembered.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    remembered[name] = reorder(value, changes)

    def _widths(self, model: SuperNet, phase: int) -> list[dict[Hashable, int]]:
        """Return how wide networks of the second largest widths open in a phase are, the third, ..."""
        found = []
        space, kinds = model.space, self._kinds
        most = max(len(self._open(d, phase)) for d in space.decisions if kinds[d.label] == "width")
        for place in range(1, most):
            gates = {}
            for decision in space.decisions:
                count = len(self._open(decision, phase))
                back = min(place, count - 1) if kinds[decision.label] == "width" else 0
                gates[decision.label] = (len(decision.options) - 1 - back,)
            with torch.no_grad(), model.route(Routing.masked(space, gates)):
                found.append(widths_now(model))
        return found


def _kinds(supernet: SuperNet) -> dict[str, str]:
    """Return of every decision whether it is a kernel, a depth, a width or a choice of operations."""
    kernels = {
        dimension.label
        for module in supernet.modules()
        if isinstance(module, Convolution)
        for dimension in module.kernel.dimensions
    }
    found = {}
    for choice, label in supernet.choices.items():
        if isinstance(choice, Dimension):
            found[label] = "kernel" if choice.label in kernels else "width"
        else:
            found[label] = "depth" if isinstance(choice, Depth) else "operation"
    return found
