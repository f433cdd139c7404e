"""Loggers: where the records of a run go besides its folder, one file per service."""

from supernet.loggers.base import Hook, Logger, numbers, require
from supernet.loggers.mlflow import MLflow
from supernet.loggers.tensorboard import TensorBoard
from supernet.loggers.trackio import Trackio
from supernet.loggers.wandb import WandB

__all__ = [
    "LOGGERS",
    "Hook",
    "Logger",
    "MLflow",
    "TensorBoard",
    "Trackio",
    "WandB",
    "numbers",
    "require",
]

LOGGERS = {
    "mlflow": "supernet.loggers.MLflow",
    "tensorboard": "supernet.loggers.TensorBoard",
    "trackio": "supernet.loggers.Trackio",
    "wandb": "supernet.loggers.WandB",
}
"""Short names, as on the command line, and import paths."""
