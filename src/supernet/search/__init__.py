"""Searchers: ask for architectures by generations, tell their candidates."""

from supernet.search.base import PartialGeneration, Problem, Search, Searcher
from supernet.search.evolution import Evolution
from supernet.search.exhaustive import Exhaustive
from supernet.search.learned import Learned
from supernet.search.local_search import LocalSearch
from supernet.search.milp import IntegerProgramming, additivity
from supernet.search.optuna import NSGA2, TPE
from supernet.search.pareto import hypervolume, pareto_front
from supernet.search.policy import PolicySearch
from supernet.search.predictor import Predictor
from supernet.search.random import RandomSearch
from supernet.search.random_nas import RandomNASSearch
from supernet.search.regularized_evolution import RegularizedEvolution

__all__ = [
    "NSGA2",
    "SEARCHERS",
    "TPE",
    "Evolution",
    "Exhaustive",
    "IntegerProgramming",
    "Learned",
    "LocalSearch",
    "PartialGeneration",
    "PolicySearch",
    "Predictor",
    "Problem",
    "RandomNASSearch",
    "RandomSearch",
    "RegularizedEvolution",
    "Search",
    "Searcher",
    "additivity",
    "hypervolume",
    "pareto_front",
]

SEARCHERS = {
    "evolution": "supernet.search.Evolution",
    "exhaustive": "supernet.search.Exhaustive",
    "learned": "supernet.search.Learned",
    "local_search": "supernet.search.LocalSearch",
    "milp": "supernet.search.IntegerProgramming",
    "nsga2": "supernet.search.NSGA2",
    "ppo": "supernet.search.PolicySearch",
    "predictor": "supernet.search.Predictor",
    "random": "supernet.search.RandomSearch",
    "randomnas": "supernet.search.RandomNASSearch",
    "regularized_evolution": "supernet.search.RegularizedEvolution",
    "tpe": "supernet.search.TPE",
}
"""Short names, as on the command line, and import paths."""
