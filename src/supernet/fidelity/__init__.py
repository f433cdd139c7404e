"""How far scores can be believed: figures against what networks are worth, and a verdict in words."""

from supernet.fidelity.assess import Assessment, assess
from supernet.fidelity.cautions import Caution
from supernet.fidelity.ceiling import Ceiling, ceiling_of
from supernet.fidelity.evidence import FEWEST_PROBES, Evidence, combine, together
from supernet.fidelity.figures import Fidelity, fidelity
from supernet.fidelity.truth import Truth, TruthRow, Worth
from supernet.fidelity.truth_files import load_truth
from supernet.fidelity.verdict import Verdict, verdict

__all__ = [
    "FEWEST_PROBES",
    "Assessment",
    "Caution",
    "Ceiling",
    "Evidence",
    "Fidelity",
    "Truth",
    "TruthRow",
    "Verdict",
    "Worth",
    "assess",
    "ceiling_of",
    "combine",
    "fidelity",
    "load_truth",
    "together",
    "verdict",
]
