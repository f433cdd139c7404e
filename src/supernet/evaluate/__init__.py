"""Scoring candidates with the shared weights, and what the scores are worth."""

from supernet.evaluate.candidates import Candidate, CandidateTable, Provenance
from supernet.evaluate.evaluator import Evaluator, Protocol, Score, measure
from supernet.evaluate.parts import PartsEvaluator
from supernet.evaluate.ranking import RankCorrelation, kendall
from supernet.evaluate.scoring import Scorer
from supernet.net.batchnorm import batch_statistics, recalibrated

__all__ = [
    "Candidate",
    "CandidateTable",
    "Evaluator",
    "PartsEvaluator",
    "Protocol",
    "Provenance",
    "RankCorrelation",
    "Score",
    "Scorer",
    "batch_statistics",
    "kendall",
    "measure",
    "recalibrated",
]
