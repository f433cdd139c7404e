"""How the shared weights are learned, one file per method."""

from supernet.strategies.base import BatchNorm, Setting, Strategy
from supernet.strategies.bender import BenderOneShot
from supernet.strategies.coupled import Coupled
from supernet.strategies.darts import DARTS
from supernet.strategies.dartsminus import DARTSMinus
from supernet.strategies.drnas import DrNAS
from supernet.strategies.enas import ENAS
from supernet.strategies.fairdarts import FairDARTS
from supernet.strategies.fairnas import FairNAS
from supernet.strategies.fbnet import FBNet
from supernet.strategies.gdas import GDAS
from supernet.strategies.pcdarts import PCDARTS
from supernet.strategies.proxyless import ProxylessNAS, ProxylessRL
from supernet.strategies.random_nas import RandomNAS
from supernet.strategies.snas import SNAS
from supernet.strategies.spos import SPOS
from supernet.strategies.updates import Counted

__all__ = [
    "DARTS",
    "ENAS",
    "GDAS",
    "PCDARTS",
    "SNAS",
    "SPOS",
    "STRATEGIES",
    "BatchNorm",
    "BenderOneShot",
    "Counted",
    "Coupled",
    "DARTSMinus",
    "DrNAS",
    "FBNet",
    "FairDARTS",
    "FairNAS",
    "ProxylessNAS",
    "ProxylessRL",
    "RandomNAS",
    "Setting",
    "Strategy",
]

STRATEGIES = {
    "bender": "supernet.strategies.BenderOneShot",
    "darts": "supernet.strategies.DARTS",
    "dartsminus": "supernet.strategies.DARTSMinus",
    "drnas": "supernet.strategies.DrNAS",
    "enas": "supernet.strategies.ENAS",
    "fairdarts": "supernet.strategies.FairDARTS",
    "fairnas": "supernet.strategies.FairNAS",
    "fbnet": "supernet.strategies.FBNet",
    "gdas": "supernet.strategies.GDAS",
    "pcdarts": "supernet.strategies.PCDARTS",
    "proxyless": "supernet.strategies.ProxylessNAS",
    "proxyless-rl": "supernet.strategies.ProxylessRL",
    "randomnas": "supernet.strategies.RandomNAS",
    "snas": "supernet.strategies.SNAS",
    "spos": "supernet.strategies.SPOS",
}
"""Short names, as on the command line, and import paths."""
