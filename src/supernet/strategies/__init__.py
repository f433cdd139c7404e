"""How the shared weights are learned, one file per method."""

from supernet.strategies.alike import Alike, Among, check_alike
from supernet.strategies.alpha import Alpha
from supernet.strategies.alphanet import AlphaNet
from supernet.strategies.attentivenas import Attentive, AttentiveNAS
from supernet.strategies.base import BatchNorm, Stage, Strategy, TrainingContext
from supernet.strategies.bender import BenderOneShot
from supernet.strategies.betadarts import BetaDARTS
from supernet.strategies.blockwise import Blockwise
from supernet.strategies.cdarts import CDARTS, Evaluation
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.darts import DARTS
from supernet.strategies.dartsminus import DARTSMinus
from supernet.strategies.dartspt import DARTSPT
from supernet.strategies.drnas import DrNAS
from supernet.strategies.enas import ENAS
from supernet.strategies.fairdarts import FairDARTS
from supernet.strategies.fairnas import FairNAS
from supernet.strategies.fbnet import FBNet
from supernet.strategies.gdas import GDAS
from supernet.strategies.ghn import GHN
from supernet.strategies.ofa import ProgressiveShrinking
from supernet.strategies.pcdarts import PCDARTS
from supernet.strategies.pdarts import PDARTS
from supernet.strategies.proxyless import ProxylessNAS, ProxylessRL
from supernet.strategies.random_nas import RandomNAS
from supernet.strategies.sandwich import Sandwich
from supernet.strategies.singlepath import SinglePath
from supernet.strategies.smash import SMASH
from supernet.strategies.snas import SNAS
from supernet.strategies.spos import SPOS
from supernet.strategies.update_counts import UpdateCounts

__all__ = [
    "CDARTS",
    "DARTS",
    "DARTSPT",
    "ENAS",
    "GDAS",
    "GHN",
    "PCDARTS",
    "PDARTS",
    "SMASH",
    "SNAS",
    "SPOS",
    "STRATEGIES",
    "Alike",
    "Alpha",
    "AlphaNet",
    "Among",
    "Attentive",
    "AttentiveNAS",
    "BatchNorm",
    "BenderOneShot",
    "BetaDARTS",
    "Blockwise",
    "CostPenalty",
    "Coupled",
    "DARTSMinus",
    "DrNAS",
    "Evaluation",
    "FBNet",
    "FairDARTS",
    "FairNAS",
    "ProgressiveShrinking",
    "ProxylessNAS",
    "ProxylessRL",
    "RandomNAS",
    "Sandwich",
    "SinglePath",
    "Stage",
    "Strategy",
    "TrainingContext",
    "UpdateCounts",
    "check_alike",
]

STRATEGIES = {
    "alphanet": "supernet.strategies.AlphaNet",
    "attentivenas": "supernet.strategies.AttentiveNAS",
    "bender": "supernet.strategies.BenderOneShot",
    "betadarts": "supernet.strategies.BetaDARTS",
    "blockwise": "supernet.strategies.Blockwise",
    "cdarts": "supernet.strategies.CDARTS",
    "darts": "supernet.strategies.DARTS",
    "dartsminus": "supernet.strategies.DARTSMinus",
    "dartspt": "supernet.strategies.DARTSPT",
    "drnas": "supernet.strategies.DrNAS",
    "enas": "supernet.strategies.ENAS",
    "fairdarts": "supernet.strategies.FairDARTS",
    "fairnas": "supernet.strategies.FairNAS",
    "fbnet": "supernet.strategies.FBNet",
    "gdas": "supernet.strategies.GDAS",
    "ghn": "supernet.strategies.GHN",
    "ofa": "supernet.strategies.ProgressiveShrinking",
    "pcdarts": "supernet.strategies.PCDARTS",
    "pdarts": "supernet.strategies.PDARTS",
    "proxyless": "supernet.strategies.ProxylessNAS",
    "proxyless-rl": "supernet.strategies.ProxylessRL",
    "randomnas": "supernet.strategies.RandomNAS",
    "sandwich": "supernet.strategies.Sandwich",
    "singlepath": "supernet.strategies.SinglePath",
    "smash": "supernet.strategies.SMASH",
    "snas": "supernet.strategies.SNAS",
    "spos": "supernet.strategies.SPOS",
}
"""Short names, as on the command line, and import paths."""
