"""The one training loop: supernets and retrained models pass through it alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import nn

from supernet.data import Loader
from supernet.errors import ConfigError
from supernet.modules.nested import cut_batch
from supernet.pooled_norm import pooling_batch_norm
from supernet.precision import Precision
from supernet.random import seeded
from supernet.ranks import first_says, rank, ranks
from supernet.task import Batch, Task, in_precision, of_all_ranks
from supernet.train.agreement import check_agreement
from supernet.train.average import MovingAverage
from supernet.train.checkpoint import Checkpoint
from supernet.train.divergence import Divergence
from supernet.train.interruption import awaited_interruption
from supernet.train.learner import Learner, M, Moment, average_gradients, check_adds, scaled
from supernet.train.schedule import Decay, Schedule
from supernet.train.state import TrainingState
from supernet.train.stopping import EarlyStopping
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
        precision: type that models compute in under autocast; float16 with a scaled loss, whose steps
            are left out where a gradient is not finite.
        accumulate: parts that a batch is cut into, which pass one after the other; the step is by the
            sum of their gradients.
        batch_norm: where several processes train, whether batch norm has the statistics of the "whole"
            batch, or of the "part" of each process; then the same number of them goes on.
        ema: decay of the moving average of the weights that the model has in the end, and that
            `look` finds in it; None for the last weights.
        look: function that looks at the model and leaves it as it is. It is called with the number of
            steps that are done, before the first step of this call and at each record of the log, to
            which what it returns is added.
        patience: records of the log in a row, after the warm-up, without a lower loss of `judge` after
            which the training ends; the model is then, as after the last step, the one with the lowest.
            None for all steps and the last model.
        judge: function that returns the loss of the model on held-out examples, and leaves the model as
            it is; needed with `patience`. The records have it as "search_loss".
        mark: function that is told when a part of a step has ended: "data", "backward", "optimizer",
            "log" or "checkpoint".
    """

    steps: int
    optimizer: OptimizerFactory
    schedule: Decay
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
    precision: Precision = "float32"
    accumulate: int = 1
    batch_norm: Literal["whole", "part"] = "whole"
    ema: float | None = None
    look: Callable[[int], Mapping[str, float]] | None = None
    patience: int | None = None
    judge: Callable[[], float] | None = None
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
            ConfigError: the learner needs batches as a whole, or its loss as it is.
            DivergedError: the loss or a weight is not finite; the last checkpoint is intact.
            DamagedFileError: the checkpoint cannot be read.
            KeyboardInterrupt: the process was interrupted; with a checkpoint what was done until the
                next record of the log is saved before.
        """
        check_adds(learner, self.precision, self.accumulate)
        optimizer = self.optimizer(model.parameters())
        peaks = [group["lr"] for group in optimizer.param_groups]
        average = self._average(model)
        scaler, count = self._scaler(model), ranks() if self.batch_norm == "part" else 0
        stopping = None if self.patience is None else EarlyStopping(model, self.patience)
        state = TrainingState(model, optimizer, learner, average, scaler, stopping, count)
        start = state.restored(checkpoint, self.identity, self.steps)
        diverged = Divergence(self.steps, self.warmup, self.clip, peaks[0])
        task = of_all_ranks(in_precision(task, self.precision))
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
            pooling_batch_norm() if self.batch_norm == "whole" else nullcontext(),
            calling(lambda: f"step {step + 1} of {self.steps} of the training"),
            awaited_interruption(checkpoint is not None and ranks() == 1) as interrupted,
        ):
            for step in range(start, self.steps):
                moment = Moment(step, self.steps, self.seed)
                factor = learner.rate(schedule, moment)
                self._prepare(optimizer, [peak * factor for peak in peaks], scheduled, moment)
                with diverged.at(step + 1):
                    batch = loader.batch(step)
                    self.mark("data")
                    losses.append(self._backward(state, task, batch, moment))
                self.mark("backward")
                if not learner.averages:
                    average_gradients(model, learner.same_paths)
                if average:
                    average.before_move(step)
                self._move(state)
                self.mark("optimizer")
                self.advance()
                last = step + 1 == self.steps
                if not last and (step + 1) % self.log_every:
                    continue
                with diverged.at(step + 1):
                    metrics = learner.metrics()  # first: it may know better what diverged
                loss = diverged.mean(losses, step + 1)
                now = time.monotonic()
                rate = (step + 1 - since) * loader.images_per_step / max(now - logged, 1e-9)
                if average and last:
                    average.take(step + 1)
                    average = None
                # Before the rate is at its peak nothing is late.
                counts = moment.progress >= self.warmup
                over, judged = self._judged(stopping, average, step + 1, counts)
                self.log(
                    {
                        "step": step + 1,
                        "loss": loss,
                        "learning_rate": peaks[0] * factor,
                        "images_per_second": round(rate, 1),
                        **metrics,
                        **judged,
                        **self._looked(step + 1, average),
                    }
                )
                if stopping and (last := last or over):
                    stopping.take()
                losses, logged, since = [], time.monotonic(), step + 1
                self.mark("log")
                # All ranks compare what they hold there, so the clock of the first one decides for all.
                stops = interrupted()
                if last or first_says(stops or now - saved >= self.checkpoint_seconds):
                    diverged.check_weights(model, step + 1)
                    by = {"optimizer": optimizer, "learner": learner, "scaler": state.scaler}
                    check_agreement(model, by, step + 1)
                    if checkpoint:
                        done = self.steps if last else step + 1
                        state.save(checkpoint, done, self.identity, self.steps)
                    saved = time.monotonic()
                    self.mark("checkpoint")
                if last or stops:
                    break
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

    def _backward(
        self, state: TrainingState[M], task: Task, batch: Batch, moment: Moment
    ) -> torch.Tensor:
        """Add the gradients of a batch, of its parts one after the other, and return the loss."""
        learner, scaler, size = state.learner, state.scaler, len(batch[-1])
        if self.accumulate == 1 and not scaler.is_enabled():
            return learner.backward(state.model, task, batch, moment)
        if self.accumulate > size:
            raise ConfigError(
                f"accumulate is {self.accumulate}, but a batch has only {size} examples to be divided"
            )
        losses, one = [], torch.ones((), device=batch[-1].device)
        scale = scaler.scale(one) if scaler.is_enabled() else 1.0
        for part in cut_batch(tuple(batch), self.accumulate):
            share = len(part[-1]) / size  # no tensor, which would round it to its type
            with scaled(share * scale):
                losses.append(learner.backward(state.model, task, part, moment) * share)
        return torch.stack(losses).sum()

    def _move(self, state: TrainingState[M]) -> None:
        """Move the weights by their gradients, and drop these."""
        state.scaler.unscale_(state.optimizer)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), self.clip)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)

    def _looked(self, step: int, average: MovingAverage | None) -> Mapping[str, float]:
        """Return what is seen in the model, or in its average, after so many steps."""
        if self.look is None:
            return {}
        with average.in_place(step) if average else nullcontext():
            return self.look(step)

    def _judged(
        self,
        stopping: EarlyStopping | None,
        average: MovingAverage | None,
        step: int,
        counts: bool,
    ) -> tuple[bool, Mapping[str, float]]:
        """Return whether the training ends here, and what the record says of why."""
        if stopping is None or self.judge is None:
            return False, {}
        with average.in_place(step) if average else nullcontext():
            loss = self.judge()
            return first_says(stopping.over(loss, counts)), {"search_loss": loss}

    def _average(self, model: nn.Module) -> MovingAverage | None:
        if self.ema is None:
            return None
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        return MovingAverage(learned, self.ema)

    def _scaler(self, model: nn.Module) -> torch.amp.GradScaler:
        device = next((one.device.type for one in model.parameters()), "cpu")
        return torch.amp.GradScaler(device, enabled=self.precision == "float16")
