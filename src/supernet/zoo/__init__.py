"""Ready spaces, one file per paper."""

from supernet.zoo.autoformer import AutoFormer
from supernet.zoo.bender import Bender
from supernet.zoo.converted import Converted
from supernet.zoo.darts import DARTS
from supernet.zoo.enas_macro import ENASMacro
from supernet.zoo.enas_micro import ENASMicro
from supernet.zoo.gpt import GPT
from supernet.zoo.mlp import MLP
from supernet.zoo.nasbench1shot1 import NASBench1Shot1
from supernet.zoo.nasbench201 import NASBench201
from supernet.zoo.nasbench_macro import NASBenchMacro
from supernet.zoo.ofa import OFA
from supernet.zoo.ofa_resnet import OFAResNet
from supernet.zoo.proxyless import Proxyless
from supernet.zoo.singlepath import SinglePath
from supernet.zoo.smash import SMASH
from supernet.zoo.spos import SPOS
from supernet.zoo.textnas import TextNAS

__all__ = [
    "DARTS",
    "GPT",
    "MLP",
    "OFA",
    "SMASH",
    "SPACES",
    "SPOS",
    "AutoFormer",
    "Bender",
    "Converted",
    "ENASMacro",
    "ENASMicro",
    "NASBench1Shot1",
    "NASBench201",
    "NASBenchMacro",
    "OFAResNet",
    "Proxyless",
    "SinglePath",
    "TextNAS",
]

SPACES = {
    "autoformer": "supernet.zoo.AutoFormer",
    "bender": "supernet.zoo.Bender",
    "converted": "supernet.zoo.Converted",
    "darts": "supernet.zoo.DARTS",
    "enas-macro": "supernet.zoo.ENASMacro",
    "enas-micro": "supernet.zoo.ENASMicro",
    "gpt": "supernet.zoo.GPT",
    "mlp": "supernet.zoo.MLP",
    "nasbench-macro": "supernet.zoo.NASBenchMacro",
    "nasbench1shot1": "supernet.zoo.NASBench1Shot1",
    "nasbench201": "supernet.zoo.NASBench201",
    "ofa": "supernet.zoo.OFA",
    "ofa-resnet": "supernet.zoo.OFAResNet",
    "singlepath": "supernet.zoo.SinglePath",
    "smash": "supernet.zoo.SMASH",
    "spos": "supernet.zoo.SPOS",
    "textnas": "supernet.zoo.TextNAS",
    "proxyless": "supernet.zoo.Proxyless",
}
"""Short names, as on the command line, and import paths."""
