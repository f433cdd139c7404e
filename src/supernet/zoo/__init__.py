"""Ready spaces, one file per paper."""

from supernet.zoo.bender import Bender

__all__ = ["SPACES", "Bender"]

SPACES = {"bender": "supernet.zoo.Bender"}
"""Short names, as on the command line, and import paths."""
