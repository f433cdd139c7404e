"""Choices, routing, the supernet, and what is derived from it."""

from supernet.net.auxiliary import AuxiliarySuperNet, Skippable
from supernet.net.choice import Choice, ChoiceModule, InputChoice
from supernet.net.derive import derive, reinitialise
from supernet.net.generated import GeneratedSuperNet
from supernet.net.routing import Gate, Routing
from supernet.net.split import check_split, split
from supernet.net.superkernel import Indicated, SuperKernel
from supernet.net.supernet import Route, SuperNet

__all__ = [
    "AuxiliarySuperNet",
    "Choice",
    "ChoiceModule",
    "Gate",
    "GeneratedSuperNet",
    "Indicated",
    "InputChoice",
    "Route",
    "Routing",
    "Skippable",
    "SuperKernel",
    "SuperNet",
    "check_split",
    "derive",
    "reinitialise",
    "split",
]
