"""Scoring candidates with the shared weights, and what the scores are worth."""

from supernet.evaluate.candidate import Candidate
from supernet.evaluate.candidates import CandidateTable, Provenance
from supernet.evaluate.evaluator import Evaluator, Score
from supernet.evaluate.figure_bounds import FigureBounds
from supernet.evaluate.measuring import ExampleResults, example_results, measure
from supernet.evaluate.noise import noise_ceiling
from supernet.evaluate.paired import mean_interval, paired_difference, resampled_difference
from supernet.evaluate.parts import PartsEvaluator
from supernet.evaluate.protocol import Protocol, Tuning
from supernet.evaluate.rank_correlation import RankCorrelation, kendall, kendall_difference
from supernet.evaluate.resampling import Interval
from supernet.evaluate.scoring import Scorer
from supernet.net.batchnorm import batch_statistics, recalibrated
from supernet.task.preference import Preference

__all__ = [
    "Candidate",
    "CandidateTable",
    "Evaluator",
    "ExampleResults",
    "FigureBounds",
    "Interval",
    "PartsEvaluator",
    "Preference",
    "Protocol",
    "Provenance",
    "RankCorrelation",
    "Score",
    "Scorer",
    "Tuning",
    "batch_statistics",
    "example_results",
    "kendall",
    "kendall_difference",
    "mean_interval",
    "measure",
    "noise_ceiling",
    "paired_difference",
    "recalibrated",
    "resampled_difference",
]
