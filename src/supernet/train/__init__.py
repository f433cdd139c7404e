"""The training loop, its schedules and its checkpoints."""

from supernet.train.checkpoint import Checkpoint, digest
from supernet.train.learner import Learner, Moment, Plain, average_gradients, backward
from supernet.train.loop import Fit, OptimizerFactory, Scheduled
from supernet.train.schedule import Decay, Schedule

__all__ = [
    "Checkpoint",
    "Decay",
    "Fit",
    "Learner",
    "Moment",
    "OptimizerFactory",
    "Plain",
    "Schedule",
    "Scheduled",
    "average_gradients",
    "backward",
    "digest",
]
