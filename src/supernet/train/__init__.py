"""The training loop, its schedules and its checkpoints."""

from supernet.train.checkpoint import Checkpoint, digest
from supernet.train.learner import Learner, Moment, Plain, backward
from supernet.train.loop import Fit, OptimizerFactory, Scheduled
from supernet.train.schedule import ScheduleName, learning_rate_factor

__all__ = [
    "Checkpoint",
    "Fit",
    "Learner",
    "Moment",
    "OptimizerFactory",
    "Plain",
    "ScheduleName",
    "Scheduled",
    "backward",
    "digest",
    "learning_rate_factor",
]
