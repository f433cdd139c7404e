"""The one training loop: supernets and retrained models pass through it alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from supernet.data import Loader
from supernet.errors import DivergedError
from supernet.random import seeded
from supernet.task import Task
from supernet.train.checkpoint import Checkpoint
from supernet.train.learner import Learner, M, Moment
from supernet.train.schedule import Schedule, ScheduleName

__all__ = ["Fit", "OptimizerFactory", "Scheduled"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@runtime_checkable
class Scheduled(Protocol):
    """A module that changes in the course of training, as a probability that rises."""

    def set_progress(self, progress: float) -> None:
        """Adapt to a moment; called before every step with 0 at the first and 1 at the last."""


@dataclass
class Fit:
    """A training run that can be stopped at any moment and continued to the same bits.

    Attributes:
        steps: number of optimizer steps.
        optimizer: builds the optimizer; its learning rate is the peak of the schedule.
        schedule: decay of the learning rate.
        warmup: share of the steps over which the learning rate rises.
        lowest: what the learning rate falls to, as a share of its peak.
        clip: largest gradient norm, or None.
        log_every: steps between log records (and NaN checks); each costs one host synchronisation.
        checkpoint_seconds: least time between checkpoints, which are written at log records only.
        seed: what all random draws of the run depend on.
        log: receives a record {"step", "loss", "learning_rate", "images_per_second"} and the
            learner's metrics.
        rewind: called once before the first step with the step that the run starts from.
        advance: called after every step with the records' newest values.
        identity: what the run belongs to besides; a checkpoint of another identity is not continued.
    """

    steps: int
    optimizer: OptimizerFactory
    schedule: ScheduleName
    warmup: float
    clip: float | None
    log_every: int
    checkpoint_seconds: float
    seed: int
    log: Callable[[dict[str, float]], None] = lambda record: None
    rewind: Callable[[int], None] = lambda step: None
    advance: Callable[[], None] = lambda: None
    identity: str = ""
    lowest: float = 0.0

    def run(
        self,
        model: M,
        learner: Learner[M],
        task: Task,
        loader: Loader,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Train the model in place, from the checkpoint if it holds a state.

        Raises:
            DivergedError: the loss or a weight is not finite; the last checkpoint is intact.
            DamagedFileError: the checkpoint cannot be read.
        """
        optimizer = self.optimizer(model.parameters())
        peaks = [group["lr"] for group in optimizer.param_groups]
        start = self._restore(checkpoint, model, optimizer, learner)
        learner.start(optimizer)
        self.rewind(start)
        model.train()
        scheduled = [module for module in model.modules() if isinstance(module, Scheduled)]
        saved, logged, since = time.monotonic(), time.monotonic(), start
        losses: list[torch.Tensor] = []
        schedule = Schedule(self.schedule, self.warmup, self.lowest)
        with seeded(self.seed):
            for step in range(start, self.steps):
                moment = Moment(step, self.steps, self.seed)
                factor = learner.rate(schedule, moment)
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                for module in scheduled:
                    module.set_progress(moment.progress)
                torch.manual_seed(moment.torch_seed())
                losses.append(learner.backward(model, task, loader.batch(step), moment))
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), self.clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                self.advance()
                last = step + 1 == self.steps
                if last or (step + 1) % self.log_every == 0:
                    loss = _finite_mean(losses, step)
                    now = time.monotonic()
                    rate = (step + 1 - since) * loader.images_per_step / max(now - logged, 1e-9)
                    self.log(
                        {
                            "step": step + 1,
                            "loss": loss,
                            "learning_rate": peaks[0] * factor,
                            "images_per_second": round(rate, 1),
                            **learner.metrics(),
                        }
                    )
                    losses, logged, since = [], now, step + 1
                    if last or now - saved >= self.checkpoint_seconds:
                        _check_finite(model, step + 1)
                        if checkpoint:
                            self._save(checkpoint, step + 1, model, optimizer, learner)
                        saved = time.monotonic()
        if checkpoint:
            checkpoint.drop_previous()

    def _save(
        self,
        checkpoint: Checkpoint,
        step: int,
        model: M,
        optimizer: torch.optim.Optimizer,
        learner: Learner[M],
    ) -> None:
        checkpoint.save(
            {
                "step": step,
                "identity": self.identity,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "learner": learner.state_dict(),
            }
        )

    def _restore(
        self,
        checkpoint: Checkpoint | None,
        model: M,
        optimizer: torch.optim.Optimizer,
        learner: Learner[M],
    ) -> int:
        state = checkpoint.load() if checkpoint else None
        if state is None or state.get("identity") != self.identity:
            return 0
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        learner.load_state_dict(state["learner"])
        return int(state["step"])


def _finite_mean(losses: list[torch.Tensor], step: int) -> float:
    mean = torch.stack(losses).mean().item()
    if not math.isfinite(mean):
        raise _diverged(f"the loss is {mean} around step {step + 1}")
    return mean


def _check_finite(model: nn.Module, step: int) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _diverged(f"{name} is not finite at step {step}")


def _diverged(what: str) -> DivergedError:
    return DivergedError(
        f"{what}. An earlier checkpoint, if there is one, is intact; a smaller learning rate, a longer "
        "warm-up or stronger gradient clipping usually helps"
    )
