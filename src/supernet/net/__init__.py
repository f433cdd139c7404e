"""The supernet: a model with decisions as a whole, and what is made of it."""

from supernet.net.auxiliary import AuxiliarySuperNet, Skippable
from supernet.net.derive import derive, reinitialise
from supernet.net.generated import GeneratedSuperNet
from supernet.net.split import check_split, split_supernet
from supernet.net.supernet import Route, SuperNet

__all__ = [
    "AuxiliarySuperNet",
    "GeneratedSuperNet",
    "Route",
    "Skippable",
    "SuperNet",
    "check_split",
    "derive",
    "reinitialise",
    "split_supernet",
]
