"""What the project's own tests ask of every strategy, searcher, space and data source, for yours.

Each check keeps to no test runner: it returns where every promise of its docstring is kept, and raises
an `AssertionError` that says which one is broken, what was expected and what was seen.
"""

from supernet.testing.data import check_data
from supernet.testing.searchers import check_searcher
from supernet.testing.spaces import check_space
from supernet.testing.strategies import check_strategy

__all__ = ["check_data", "check_searcher", "check_space", "check_strategy"]
