"""What an architecture costs, from tables measured once, and constraints on it."""

from supernet.cost.constraint import Constraint, Constraints
from supernet.cost.measure import count_macs, count_params, measure_costs
from supernet.cost.table import CostTable, Entry, cost_of

__all__ = [
    "Constraint",
    "Constraints",
    "CostTable",
    "Entry",
    "cost_of",
    "count_macs",
    "count_params",
    "measure_costs",
]
