"""Modules that hold a decision, and the routing that they are told it by."""

from supernet.choice.choice import Choice, ChoiceModule, InputChoice
from supernet.choice.routing import Gate, Routing

__all__ = ["Choice", "ChoiceModule", "Gate", "InputChoice", "Routing"]
