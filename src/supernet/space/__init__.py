"""What can be chosen: decisions, architectures and the space of all of them (no training here)."""

from supernet.space.architecture import Architecture
from supernet.space.decision import Decision, OneOf, Option, Ordered, SomeOf, Value
from supernet.space.diagram import Diagram, Edge, Node
from supernet.space.levels import Atom, Path
from supernet.space.roles import Role
from supernet.space.space import Sampling, SearchSpace

__all__ = [
    "Architecture",
    "Atom",
    "Decision",
    "Diagram",
    "Edge",
    "Node",
    "OneOf",
    "Option",
    "Ordered",
    "Path",
    "Role",
    "Sampling",
    "SearchSpace",
    "SomeOf",
    "Value",
]
