"""All that a training goes on from: what a checkpoint holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import torch

from supernet.errors import ConfigError
from supernet.train.average import MovingAverage
from supernet.train.checkpoint import Checkpoint
from supernet.train.learner import Learner, M
from supernet.train.stopping import EarlyStopping

__all__ = ["TrainingState"]


@dataclass
class TrainingState(Generic[M]):
    """What changes from step to step.

    Attributes:
        model: model that is trained.
        optimizer: optimizer that moves its weights.
        learner: training method.
        average: moving average of the weights, if there is one.
        scaler: scale of losses whose gradients are of type float16; switched off for others.
        stopping: early stopping, if there is any.
        ranks: number of processes that train, where what is computed depends on it; else 0.
    """

    model: M
    optimizer: torch.optim.Optimizer
    learner: Learner[M]
    average: MovingAverage | None
    scaler: torch.amp.GradScaler
    stopping: EarlyStopping | None = None
    ranks: int = 0

    def save(self, checkpoint: Checkpoint, step: int, identity: str, steps: int) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: file that is written.
            step: number of steps done.
            identity: text that the training belongs to.
            steps: number of all steps; after the last the model holds the average itself.
        """
        average, stopping = (self.average, self.stopping) if step < steps else (None, None)
        checkpoint.save(
            {
                "step": step,
                "identity": identity,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "learner": self.learner.state_dict(),
                "ema": average.state_dict() if average else {},
                "stopping": stopping.state_dict() if stopping else {},
                "scaler": self.scaler.state_dict(),
                "ranks": self.ranks,
            }
        )

    def restored(self, checkpoint: Checkpoint | None, identity: str, steps: int) -> int:
        """Take up the state of a checkpoint and return its step; 0 where it has none of this identity.

        Raises:
            ConfigError: it is of another number of processes, and they matter.
            DamagedFileError: it does not hold what was saved.
        """
        state = checkpoint.trained() if checkpoint else None
        if checkpoint is None or state is None or state["identity"] != identity:
            return 0
        if state["step"] < steps and state["ranks"] != self.ranks:
            raise ConfigError(
                f"{checkpoint.path} was trained by {state['ranks']} process(es), with batch norm of the "
                f"part that each has of a batch (batch_norm part), so {self.ranks} would compute "
                "something else; go on with as many, or delete it to begin again"
            )
        with checkpoint.restoring():
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.learner.load_state_dict(state["learner"])
            if self.average and state["step"] < steps:
                self.average.load_state_dict(state["ema"])
            if self.stopping and state["step"] < steps:
                self.stopping.load_state_dict(state["stopping"])
            self.scaler.load_state_dict(state["scaler"])
        return state["step"]
