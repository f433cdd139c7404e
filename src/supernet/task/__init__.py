"""Losses and measures; classification is one task, not the only one."""

from supernet.task.base import Batch, Task
from supernet.task.classification import Classification
from supernet.task.language import LanguageModel
from supernet.task.measured import measured
from supernet.task.watched import watched

__all__ = ["Batch", "Classification", "LanguageModel", "Task", "measured", "watched"]
