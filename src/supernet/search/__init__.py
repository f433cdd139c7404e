"""Searchers: ask for architectures by generations, tell their candidates."""

from supernet.search.base import Problem, Search, Searcher
from supernet.search.evolution import Evolution
from supernet.search.exhaustive import Exhaustive
from supernet.search.random import RandomSearch

__all__ = [
    "SEARCHERS",
    "Evolution",
    "Exhaustive",
    "Problem",
    "RandomSearch",
    "Search",
    "Searcher",
]

SEARCHERS = {
    "evolution": "supernet.search.Evolution",
    "exhaustive": "supernet.search.Exhaustive",
    "random": "supernet.search.RandomSearch",
}
"""Short names, as on the command line, and import paths."""
