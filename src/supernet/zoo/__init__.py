"""Ready spaces, one file per paper."""

from supernet.zoo.bender import Bender
from supernet.zoo.darts import DARTS
from supernet.zoo.nasbench201 import NASBench201
from supernet.zoo.nasbench_macro import NASBenchMacro
from supernet.zoo.proxyless import Proxyless
from supernet.zoo.spos import SPOS

__all__ = ["DARTS", "SPACES", "SPOS", "Bender", "NASBench201", "NASBenchMacro", "Proxyless"]

SPACES = {
    "bender": "supernet.zoo.Bender",
    "darts": "supernet.zoo.DARTS",
    "nasbench-macro": "supernet.zoo.NASBenchMacro",
    "nasbench201": "supernet.zoo.NASBench201",
    "spos": "supernet.zoo.SPOS",
    "proxyless": "supernet.zoo.Proxyless",
}
"""Short names, as on the command line, and import paths."""
