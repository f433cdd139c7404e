"""How far scores can be believed: figures against what networks are worth, and a verdict in words."""

from supernet.fidelity.figures import Fidelity, fidelity
from supernet.fidelity.verdict import Verdict, verdict

__all__ = ["Fidelity", "Verdict", "fidelity", "verdict"]
