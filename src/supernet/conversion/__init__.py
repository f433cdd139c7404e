"""Any PyTorch model as a search space: what can be open is found by following its operators."""

from supernet.conversion.alternatives import Offer, identity, left_out
from supernet.conversion.convert import convert
from supernet.conversion.named_inputs import NamedInputs
from supernet.conversion.pretrained import pretrained_rules
from supernet.conversion.report import Conversion, Row, conversion_of
from supernet.conversion.rules import DEFAULT, ConversionRule, Depths, Kernels, Operations, Widths

__all__ = [
    "DEFAULT",
    "Conversion",
    "ConversionRule",
    "Depths",
    "Kernels",
    "NamedInputs",
    "Offer",
    "Operations",
    "Row",
    "Widths",
    "conversion_of",
    "convert",
    "identity",
    "left_out",
    "pretrained_rules",
]
