"""The protocol of scoring: with weights and data it determines every score."""

from __future__ import annotations

import math
from dataclasses import dataclass

from supernet.data import Augment
from supernet.errors import ConfigError
from supernet.precision import Precision
from supernet.strategies import BatchNorm
from supernet.train import OptimizerFactory

__all__ = ["Protocol", "Tuning"]


@dataclass(frozen=True)
class Tuning:
    """A short training of a candidate, from the shared weights, before it is measured.

    Its batches and all draws depend on the seed and on the candidate's key alone.

    Attributes:
        steps: number of optimizer steps, 1 or more.
        rate: the constant learning rate, as a share of the one that the optimizer is made with.
        optimizer: builds the optimizer, which no two candidates share.
        batch_size: examples of the training split per step.
        clip: largest norm of the gradient, or None.
        precision: type that the training computes in, see `Fit`.
        accumulate: parts that a batch passes in.
        augment: random changes of training inputs, if any.
        seed: seed of the run.

    Raises:
        ConfigError: a number is out of range.
    """

    steps: int
    optimizer: OptimizerFactory
    rate: float = 0.2
    batch_size: int = 64
    clip: float | None = 5.0
    precision: Precision = "float32"
    accumulate: int = 1
    augment: Augment | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not 0 < self.rate < math.inf:
            raise ConfigError(
                "a tuning has at least one step, one example per step and a rate above 0, not "
                f"{self.steps}, {self.batch_size} and {self.rate}"
            )

    @property
    def text(self) -> str:
        """The tuning in words, by which scores of different ones are told apart."""
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'} of {self.batch_size} examples"
        precision = "" if self.precision == "float32" else f", in {self.precision}"
        parts = "" if self.accumulate == 1 else f" in {self.accumulate} parts"
        return f"{steps}{parts} at {self.rate} of the learning rate{precision}"


@dataclass(frozen=True)
class Protocol:
    """The settings of scoring candidates.

    Attributes:
        batch_norm: "batch" (statistics of the evaluation batch), "recalibrate", or "running" (those
            that training left).
        batch_size: images per evaluation and calibration batch; scores under batch statistics
            depend on it.
        calibration_batches: number of batches of the training split that recalibration averages
            over.
        tuning: short training of each candidate before it is measured; None measures it with the shared
            weights as they are.
        precision: type that convolutions and matrix products compute in, by PyTorch's autocast.

    Raises:
        ConfigError: a number is not positive.
    """

    batch_norm: BatchNorm = "recalibrate"
    batch_size: int = 256
    calibration_batches: int = 8
    tuning: Tuning | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.calibration_batches < 1:
            raise ConfigError(
                "evaluate.batch_size and evaluate.calibration_batches must be positive, not "
                f"{self.batch_size} and {self.calibration_batches}"
            )
