"""How the shared weights are learned, one file per method."""

from supernet.strategies.base import BatchNorm, Setting, Strategy
from supernet.strategies.bender import BenderOneShot
from supernet.strategies.coupled import Coupled
from supernet.strategies.darts import DARTS
from supernet.strategies.fairnas import FairNAS
from supernet.strategies.random_nas import RandomNAS
from supernet.strategies.spos import SPOS
from supernet.strategies.updates import Counted

__all__ = [
    "DARTS",
    "SPOS",
    "STRATEGIES",
    "BatchNorm",
    "BenderOneShot",
    "Counted",
    "Coupled",
    "FairNAS",
    "RandomNAS",
    "Setting",
    "Strategy",
]

STRATEGIES = {
    "bender": "supernet.strategies.BenderOneShot",
    "darts": "supernet.strategies.DARTS",
    "fairnas": "supernet.strategies.FairNAS",
    "randomnas": "supernet.strategies.RandomNAS",
    "spos": "supernet.strategies.SPOS",
}
"""Short names, as on the command line, and import paths."""
