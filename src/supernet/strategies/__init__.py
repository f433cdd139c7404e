"""How the shared weights are learned, one file per method."""

from supernet.strategies.base import BatchNorm, Strategy
from supernet.strategies.bender import BenderOneShot
from supernet.strategies.spos import SPOS

__all__ = ["SPOS", "STRATEGIES", "BatchNorm", "BenderOneShot", "Strategy"]

STRATEGIES = {
    "bender": "supernet.strategies.BenderOneShot",
    "spos": "supernet.strategies.SPOS",
}
"""Short names, as on the command line, and import paths."""
