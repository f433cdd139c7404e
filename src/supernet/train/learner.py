"""What a training loop asks of a strategy, and what a strategy knows about the moment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.precision import Precision
from supernet.random import derive_seed, stream
from supernet.ranks import averaged, gathered, ranks
from supernet.task import Batch, Task
from supernet.train.schedule import Schedule

__all__ = [
    "Learner",
    "M",
    "Moment",
    "Plain",
    "average_gradients",
    "backward",
    "check_adds",
    "scaled",
]


@dataclass(frozen=True)
class Moment:
    """A step of a training run: all that random draws and schedules may depend on.

    Attributes:
        step: 0 .. steps - 1.
        steps: the length of the run.
        seed: the seed of the run.
    """

    step: int
    steps: int
    seed: int

    @property
    def progress(self) -> float:
        """0 at the first step, 1 at the last, linear between."""
        return self.step / max(self.steps - 1, 1)

    def stream(self, *purpose: str | int) -> Random:
        """Return the random stream of this step for a purpose."""
        return stream(self.seed, *purpose, self.step)

    def torch_seed(self) -> int:
        """Return the seed of torch's own random state (dropout) in this step."""
        return derive_seed(self.seed, "torch", self.step)


M = TypeVar("M", bound=nn.Module)


class Learner(ABC, Generic[M]):
    """A training method, as the loop sees it: how gradients come about.

    Attributes:
        same_paths: whether all ranks use the same parameters in a step.
        averages: whether `backward` leaves gradients that are means over the ranks already.
        adds: whether `backward` changes nothing but gradients, adds to them by `supernet.train.backward`
            only, and draws by the moment alone. Then a batch may pass in parts, by the same paths, and
            losses may be scaled.
    """

    same_paths: bool = True
    averages: bool = False
    adds: bool = False

    @abstractmethod
    def backward(self, model: M, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of this step to the parameters and return the detached loss.

        Parameters that the step does not use keep the gradient None, so that neither momentum nor
        weight decay moves them.
        """

    def start(self, optimizer: torch.optim.Optimizer) -> None:
        """Learn which optimizer will move the parameters; called once before the first step."""

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return what the learning rate is multiplied by in this step.

        One schedule spans the run, unless a method's rates begin anew within it or its run is one of
        several that share a schedule.
        """
        return schedule.factor(moment.progress)

    def metrics(self) -> dict[str, float]:
        """Return what the log shall record besides the loss; asked for at records only."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for `load_state_dict` to continue from it."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


_factor: ContextVar[torch.Tensor | float | None] = ContextVar("factor", default=None)


@contextmanager
def scaled(factor: torch.Tensor | float) -> Iterator[None]:
    """Within the block `backward` adds so many times the gradients, `factor` being a scalar."""
    token = _factor.set(factor)
    try:
        yield
    finally:
        _factor.reset(token)


def backward(loss: torch.Tensor) -> torch.Tensor:
    """Add the gradients of a loss to the parameters it depends on and return it detached.

    A path may hold no parameters at all (a pooling, an identity); then there is nothing to add.
    """
    if loss.requires_grad:
        factor = _factor.get()
        whole = loss if factor is None else loss * factor
        whole.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def check_adds(
    learner: Learner[Any], precision: Precision, accumulate: int, group: str = "train"
) -> None:
    """Check that a training method can do with parts of batches and with scaled losses, if it has to.

    Args:
        learner: training method.
        precision: type that models compute in.
        accumulate: number of parts that a batch passes in.
        group: name of the training's options, for messages.

    Raises:
        ConfigError: it cannot.
    """
    if learner.adds or (precision != "float16" and accumulate == 1):
        return
    name = type(learner).__name__
    if accumulate > 1:
        raise ConfigError(
            f"{group}.accumulate {accumulate} lets a batch pass in parts, but {name} does more in a "
            f"step than to add gradients, and needs it as a whole; leave {group}.accumulate at 1, or "
            "use a strategy such as spos, fairnas or sandwich"
        )
    raise ConfigError(
        f"{group}.precision float16 needs losses that are scaled, but {name} looks at gradients itself; "
        "use bfloat16, which has the range of float32, or float32"
    )


def average_gradients(model: nn.Module, same_paths: bool = True) -> None:
    """Make gradients those of the batches of all ranks.

    Only those of parameters that the step used are sent. What only some ranks used counts as zero on
    the others.

    Args:
        model: model with the gradients of this rank's part of the batch.
        same_paths: whether every rank used the same parameters, so that they need not tell which.
    """
    if ranks() == 1:
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not same_paths:
        used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8)
        anywhere = gathered(used.to(parameters[0].device)).amax(0).tolist()
        for parameter, one in zip(parameters, anywhere, strict=True):
            if one and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
    for parameter, gradient in zip(parameters, averaged([p.grad for p in parameters]), strict=True):
        parameter.grad = gradient


class Plain(Learner[nn.Module]):
    """Ordinary training of an ordinary model."""

    adds = True

    def backward(self, model: nn.Module, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the task's loss."""
        return backward(task.loss(model, batch))
