"""The options of trainings, and of what goes on beside that of the supernet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import nn

from supernet.data.mixing import Mixing, check_alpha
from supernet.errors import ConfigError
from supernet.precision import Precision
from supernet.strategies import Among
from supernet.train import Decay, OptimizerFactory

__all__ = ["AloneConfig", "FewShotConfig", "SharingConfig", "TrainConfig", "WatchConfig"]


def default_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return momentum SGD, what all methods here train weights with unless told otherwise."""
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)


@dataclass(frozen=True)
class TrainConfig:
    """The options of one training.

    Attributes:
        steps: number of optimizer steps.
        epochs: passes over the examples that are trained on, such as 20 or 0.5, which say the number of
            steps then; null for `steps`.
        batch_size: images per step.
        optimizer: any torch optimizer; its learning rate is the peak of the schedule.
        schedule: shape of the learning rate's fall after the warm-up: cosine, linear, constant, or the
            import path of a function of the share of the steps that are done since, which returns the
            factor.
        warmup: share of the steps over which the learning rate rises.
        lowest: learning rate at the end, as a share of its peak.
        clip: largest norm of the gradient; null for no limit.
        precision: type that convolutions and matrix products compute in, by PyTorch's autocast; weights,
            sums and losses are float32 in any case. bfloat16 suits GPUs since 2020 and recent CPUs;
            float16 older GPUs.
        accumulate: parts that a batch passes in, one after the other, to need less memory; batch norm
            has the statistics of each part.
        batch_norm: batch whose statistics batch norm has where several processes train: the "whole" one,
            as one process has it, or the "part" of each process, which is faster.
        ema: decay of a moving average of the weights over the steps, such as 0.999, which is what
            is used afterwards; null for the last weights.
        mixup: α of mixup, such as 0.2, by which examples of a batch, and their classes, are mixed; 0 for
            none.
        cutmix: α of CutMix, such as 1, by which a box of an image is that of another one; 0 for none.
            With both each step takes one.
        teacher: share of the loss, above 0 and at most 1, by which models learn from the outputs of the
            model that was given, as it was given, instead of the labels; null for the labels alone.
        log_every: steps between records of the log, which are also the moments of checkpoints.
        checkpoint_seconds: least time between two checkpoints.
    """

    steps: int = 500
    epochs: float | None = None
    batch_size: int = 64
    optimizer: OptimizerFactory = default_optimizer
    schedule: Decay = "cosine"
    warmup: float = 0.05
    lowest: float = 0.0
    clip: float | None = 5.0
    precision: Precision = "float32"
    accumulate: int = 1
    batch_norm: Literal["whole", "part"] = "whole"
    ema: float | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    teacher: float | None = None
    log_every: int = 20
    checkpoint_seconds: float = 20.0

    fewest_steps: ClassVar[int] = 1

    def check(self, group: str) -> None:
        """Refuse what an option cannot be.

        Args:
            group: name of the training, such as "retrain.train", with which messages name the options.

        Raises:
            ConfigError: one is out of range.
        """
        for name, least in (("steps", self.fewest_steps), ("batch_size", 1), ("log_every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{group}.{name} must be at least {least}, not {getattr(self, name)}"
                )
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise ConfigError(
                f"{group}.epochs is a number of passes over the training examples above 0, or null, not "
                f"{self.epochs}; how long to train can be given by steps, too"
            )
        if not 1 <= self.accumulate <= self.batch_size:
            raise ConfigError(
                f"{group}.accumulate is a number of parts of a batch of {self.batch_size} examples, at "
                f"least 1, not {self.accumulate}"
            )
        if not 0 <= self.warmup < 1:
            raise ConfigError(
                f"{group}.warmup is a share of the steps in [0, 1), not {self.warmup}"
            )
        if not 0 <= self.lowest <= 1:
            raise ConfigError(
                f"{group}.lowest is a share of the peak of the learning rate in 0–1, not {self.lowest}"
            )
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(
                f"{group}.clip is a norm above 0, or null for no limit, not {self.clip}"
            )
        for name in ("mixup", "cutmix"):
            check_alpha(f"{group}.{name}", getattr(self, name))
        if self.teacher is not None and not 0 < self.teacher <= 1:
            raise ConfigError(
                f"{group}.teacher is a share of the loss above 0 and at most 1, as 0.9, or null for "
                f"none, not {self.teacher}"
            )
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError(
                f"{group}.ema is the decay of a moving average of the weights, in (0, 1), or null for "
                f"none, not {self.ema}"
            )

    @property
    def mixing(self) -> Mixing:
        """How batches are mixed."""
        return Mixing(self.mixup, self.cutmix)

    def of_examples(self, count: int) -> Self:
        """Return the same options with the number of steps that the epochs make of so many examples."""
        if self.epochs is None:
            return self
        return replace(self, steps=max(1, round(self.epochs * count / self.batch_size)))


@dataclass(frozen=True)
class AloneConfig(TrainConfig):
    """The training of a network by itself, which inherited weights may not need.

    Attributes:
        patience: records of the log in a row, after the warm-up, without a lower loss on the search
            split, after which the training ends; what is used are the weights with the lowest one. null
            for all steps.
    """

    patience: int | None = None

    fewest_steps: ClassVar[int] = 0

    def check(self, group: str) -> None:
        """Refuse what an option cannot be, see `TrainConfig.check`."""
        super().check(group)
        if self.patience is not None and self.patience < 1:
            raise ConfigError(
                f"{group}.patience is a number of records of the log, at least 1, or null, not "
                f"{self.patience}"
            )


@dataclass(frozen=True)
class WatchConfig:
    """The options of watching how well the supernet ranks while it trains; they change no weight.

    Attributes:
        networks: number of networks that are scored under the shared weights now and then; 0 for none.
        times: number of moments at which they are, evenly over the training, each at the next record of
            the log.
        images: number of examples of the search split that they are scored on; null for 500, or all
            where there are fewer.
        alone: number of them that are also trained alone, for the first fifth of the steps, to see how
            far shared weights lag behind; each takes about as long as that part of a training of single
            paths.
        truth: table of what networks are worth, as `supernet rank --truth` takes it; then they are drawn
            from it.
    """

    networks: int = 0
    times: int = 10
    images: int | None = None
    alone: int = 1
    truth: str | None = None

    def __post_init__(self) -> None:
        if self.networks < 0 or self.networks in (1, 2):
            raise ConfigError(
                f"watch.networks is 0, for none, or at least 3, better 16, not {self.networks}"
            )
        if self.times < 1 or self.alone < 0 or (self.images is not None and self.images < 2):
            raise ConfigError(
                "watch.times must be at least 1, watch.alone at least 0 and watch.images at least 2, or "
                f"null, not {self.times}, {self.alone} and {self.images}"
            )
        if self.truth is not None and not self.networks:
            raise ConfigError(
                f"watch.truth is {self.truth!r}, but watch.networks is 0, so that nothing is watched; "
                "give --watch.networks 16, or --watch.truth null"
            )
        if self.networks and self.alone > self.networks:
            raise ConfigError(
                f"watch.alone is {self.alone}, but only {self.networks} networks are watched "
                "(watch.networks); train at most so many of them alone"
            )


@dataclass(frozen=True)
class SharingConfig:
    """The options of sharing more than the space says: options that are built alike have one weight.

    Attributes:
        until: share of the steps for which they do, from the first on; 0 for none.
        among: where they do: within each "module" that holds their choices, as the edges of a cell, or
            in the whole "model".
    """

    until: float = 0.0
    among: Among = "module"

    def __post_init__(self) -> None:
        if not 0 <= self.until <= 1:
            raise ConfigError(
                f"sharing.until is a share of the steps in 0–1, such as 0.5, not {self.until}"
            )


@dataclass(frozen=True)
class FewShotConfig:
    """The options of splitting the trained supernet along a decision, each part then trained on.

    Attributes:
        decision: label of the decision; null for no splitting.
        train: the training of each part.
    """

    train: TrainConfig
    decision: str | None = None
