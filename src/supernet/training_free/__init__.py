"""Scores of networks that were not trained, one file per paper."""

from supernet.training_free.network import InitialNetwork
from supernet.training_free.scores import (
    COMBINED,
    TRAINING_FREE,
    TrainingFreeScore,
    network_scores,
    parts_of,
    scores_of_parts,
    training_free_scores,
)

__all__ = [
    "COMBINED",
    "TRAINING_FREE",
    "InitialNetwork",
    "TrainingFreeScore",
    "network_scores",
    "parts_of",
    "scores_of_parts",
    "training_free_scores",
]
