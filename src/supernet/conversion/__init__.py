"""Any PyTorch model as a search space: what can be open is found by following its operators."""

from supernet.conversion.convert import convert
from supernet.conversion.named import Named
from supernet.conversion.report import Conversion, Row, conversion_of
from supernet.conversion.rules import DEFAULT, Depths, Kernels, Operations, Rule, Widths

__all__ = [
    "DEFAULT",
    "Conversion",
    "Depths",
    "Kernels",
    "Named",
    "Operations",
    "Row",
    "Rule",
    "Widths",
    "conversion_of",
    "convert",
]
