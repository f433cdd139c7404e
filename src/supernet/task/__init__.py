"""Losses and measures; classification is one task, not the only one."""

from supernet.task.agreed import of_all_ranks
from supernet.task.base import Batch, Task, outputs_of
from supernet.task.cast import in_precision
from supernet.task.classification import Classification
from supernet.task.language import LanguageModel
from supernet.task.measured import batch_figures, checked_figures, checked_measures
from supernet.task.multilabel import MultiLabel
from supernet.task.preference import Preference
from supernet.task.regression import Regression
from supernet.task.segmentation import Segmentation
from supernet.task.taught import Taught
from supernet.task.watched import loss_and_outputs

__all__ = [
    "TASKS",
    "Batch",
    "Classification",
    "LanguageModel",
    "MultiLabel",
    "Preference",
    "Regression",
    "Segmentation",
    "Task",
    "Taught",
    "batch_figures",
    "checked_figures",
    "checked_measures",
    "in_precision",
    "loss_and_outputs",
    "of_all_ranks",
    "outputs_of",
]

TASKS = {
    "classification": "supernet.task.Classification",
    "language": "supernet.task.LanguageModel",
    "multilabel": "supernet.task.MultiLabel",
    "regression": "supernet.task.Regression",
    "segmentation": "supernet.task.Segmentation",
}
"""The tasks by their short names."""
