"""The one training loop: supernets and retrained models pass through it alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from supernet.data import Loader
from supernet.errors import ConfigError, DivergedError
from supernet.modules.outputs import output_text
from supernet.random import seeded
from supernet.ranks import pooling_batch_norm, rank
from supernet.task import Task, of_all_ranks
from supernet.train.average import MovingAverage
from supernet.train.checkpoint import Checkpoint
from supernet.train.learner import Learner, M, Moment, average_gradients
from supernet.train.schedule import Schedule, ScheduleName
from supernet.user_code import calling

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
        lowest: learning rate at the end, as a share of its peak.
        clip: largest gradient norm, or None.
        log_every: steps between log records (and NaN checks); each costs one host synchronisation.
        checkpoint_seconds: least time between checkpoints, which are written at log records only.
        seed: seed that all random draws of the run depend on.
        log: receives a record {"step", "loss", "learning_rate", "images_per_second"} and the
            learner's metrics.
        rewind: function that is called once before the first step with the step that the run starts
            from.
        advance: function that is called after every step with the records' newest values.
        identity: text that the run belongs to besides; a checkpoint of another identity is not
            continued.
        ema: decay of the moving average of the weights that the model has in the end, and that
            `look` finds in it; None for the last weights.
        look: function that looks at the model and leaves it as it is. It is called with the number of
            steps that are done, before the first step of this call and at each record of the log, to
            which what it returns is added.
        mark: function that is told when a part of a step has ended: "data", "backward", "optimizer",
            "log" or "checkpoint".
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
    ema: float | None = None
    look: Callable[[int], Mapping[str, float]] | None = None
    mark: Callable[[str], None] = lambda part: None

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
        average = self._average(model)
        start = self._restore(checkpoint, model, optimizer, learner, average)
        task = of_all_ranks(task)
        learner.start(optimizer)
        self._looked(start, average if start < self.steps else None)
        self.rewind(start)
        model.train()
        scheduled = [module for module in model.modules() if isinstance(module, Scheduled)]
        saved, logged, since = time.monotonic(), time.monotonic(), start
        losses: list[torch.Tensor] = []
        schedule = Schedule(self.schedule, self.warmup, self.lowest)
        step = start
        with (
            seeded(self.seed),
            pooling_batch_norm(),
            calling(lambda: f"step {step + 1} of {self.steps} of the training"),
        ):
            for step in range(start, self.steps):
                moment = Moment(step, self.steps, self.seed)
                factor = learner.rate(schedule, moment)
                self._prepare(optimizer, [peak * factor for peak in peaks], scheduled, moment)
                with _at(step + 1, self.steps):
                    batch = loader.batch(step)
                    self.mark("data")
                    losses.append(learner.backward(model, task, batch, moment))
                self.mark("backward")
                if not learner.averages:
                    average_gradients(model, learner.same_paths)
                if average:
                    average.before_move(step)
                self._move(model, optimizer)
                self.mark("optimizer")
                self.advance()
                last = step + 1 == self.steps
                if last or (step + 1) % self.log_every == 0:
                    with _at(step + 1, self.steps):
                        metrics = learner.metrics()  # first: it may know better what diverged
                    loss = self._mean(losses, step, peaks[0])
                    now = time.monotonic()
                    rate = (step + 1 - since) * loader.images_per_step / max(now - logged, 1e-9)
                    if average and last:
                        average.take(step + 1)
                    self.log(
                        {
                            "step": step + 1,
                            "loss": loss,
                            "learning_rate": peaks[0] * factor,
                            "images_per_second": round(rate, 1),
                            **metrics,
                            **self._looked(step + 1, None if last else average),
                        }
                    )
                    losses, logged, since = [], time.monotonic(), step + 1
                    self.mark("log")
                    if last or now - saved >= self.checkpoint_seconds:
                        self._check_finite(model, step + 1, peaks[0])
                        if checkpoint:
                            self._save(checkpoint, step + 1, model, optimizer, learner, average)
                        saved = time.monotonic()
                        self.mark("checkpoint")
        if checkpoint:
            checkpoint.drop_previous()

    def _prepare(
        self,
        optimizer: torch.optim.Optimizer,
        rates: Sequence[float],
        scheduled: Sequence[Scheduled],
        moment: Moment,
    ) -> None:
        """Set what depends on the step: learning rates, the progress of modules, torch's seed."""
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for module in scheduled:
            module.set_progress(moment.progress)
        torch.manual_seed(moment.torch_seed() + rank())  # each rank drops other examples' values

    def _move(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights by their gradients, and drop these."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _save(
        self,
        checkpoint: Checkpoint,
        step: int,
        model: M,
        optimizer: torch.optim.Optimizer,
        learner: Learner[M],
        average: MovingAverage | None,
    ) -> None:
        unfinished = average if step < self.steps else None
        checkpoint.save(
            {
                "step": step,
                "identity": self.identity,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "learner": learner.state_dict(),
                "ema": unfinished.state_dict() if unfinished else {},
            }
        )

    def _restore(
        self,
        checkpoint: Checkpoint | None,
        model: M,
        optimizer: torch.optim.Optimizer,
        learner: Learner[M],
        average: MovingAverage | None,
    ) -> int:
        state = checkpoint.trained() if checkpoint else None
        if checkpoint is None or state is None or state["identity"] != self.identity:
            return 0
        with checkpoint.restoring():
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            learner.load_state_dict(state["learner"])
            if average and state["step"] < self.steps:
                average.load_state_dict(state["ema"])
        return state["step"]

    def _looked(self, step: int, average: MovingAverage | None) -> Mapping[str, float]:
        """Return what is seen in the model, or in its average, after so many steps."""
        if self.look is None:
            return {}
        with average.in_place(step) if average else nullcontext():
            return self.look(step)

    def _average(self, model: nn.Module) -> MovingAverage | None:
        if self.ema is None:
            return None
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        return MovingAverage(learned, self.ema)

    def _mean(self, losses: list[torch.Tensor], step: int, peak: float) -> float:
        """Return the mean of the losses of the steps up to this one, the first step being 0."""
        for loss in losses:
            if not isinstance(loss, torch.Tensor) or loss.ndim:
                raise ConfigError(
                    "backward(...) of the strategy must return the loss of a step, a tensor of one "
                    f"number, but it returned {output_text(loss)}"
                )
        each = torch.stack(losses)
        mean = each.mean().item()
        if not math.isfinite(mean):
            first = int(
                (~torch.isfinite(each)).int().argmax()
            )  # 0 where only their sum is infinite
            number = step + 1 - len(losses) + first + 1
            raise self._diverged(f"the loss is {each[first].item()} at step {number}", number, peak)
        return mean

    def _check_finite(self, model: nn.Module, step: int, peak: float) -> None:
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise self._diverged(f"{name} is not finite at step {step}", step, peak)

    def _diverged(self, what: str, step: int, peak: float) -> DivergedError:
        """Say when training diverged, with which options, and what helps."""
        if step == 1:
            return DivergedError(
                f"{what} of {self.steps:,}, before anything was learned: not the training is to blame, "
                "but the model with its first weights, the loss, or the inputs. Mend what gives no "
                "finite number"
            )
        unclipped = "gradients are not clipped"
        clip = unclipped if self.clip is None else f"gradients are clipped to {self.clip:g}"
        return DivergedError(
            f"{what} of {self.steps:,} (learning rate {peak:g} at its peak, warm-up over "
            f"{self.warmup:g} of the steps, {clip}). An earlier checkpoint, if there is one, is intact; "
            "a smaller learning rate, a longer warm-up or stronger gradient clipping usually helps"
        )


@contextmanager
def _at(step: int, steps: int) -> Iterator[None]:
    """Say at which step it was that a learner found itself diverged."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"at step {step} of {steps:,}: {error}") from error
