"""What an architecture costs, from tables measured once, and constraints on it."""

from supernet.cost.constraint import Constraint, Constraints
from supernet.cost.expected import ExpectedCost
from supernet.cost.latency import PRECISIONS, build_latency_table
from supernet.cost.measure import UncountedWarning, count_macs, count_params, measure_costs
from supernet.cost.memory import kept_for_backward
from supernet.cost.table import CostTable, Entry, cost_of
from supernet.cost.table_files import LatencyTable, load_table

__all__ = [
    "PRECISIONS",
    "Constraint",
    "Constraints",
    "CostTable",
    "Entry",
    "ExpectedCost",
    "LatencyTable",
    "UncountedWarning",
    "build_latency_table",
    "cost_of",
    "count_macs",
    "count_params",
    "kept_for_backward",
    "load_table",
    "measure_costs",
]
