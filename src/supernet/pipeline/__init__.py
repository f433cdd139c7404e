"""The steps of a run, one file each, and how a run is opened."""

from supernet.pipeline.context import Run
from supernet.pipeline.doctor import Diagnosis, diagnose, diagnose_named, doctor_text
from supernet.pipeline.export import Exported, export_networks
from supernet.pipeline.identity import check_identity
from supernet.pipeline.latency import measure_latency
from supernet.pipeline.open import STEPS, Result, execute, open_run, run, settings
from supernet.pipeline.records import Selected

__all__ = [
    "STEPS",
    "Diagnosis",
    "Exported",
    "Result",
    "Run",
    "Selected",
    "check_identity",
    "diagnose",
    "diagnose_named",
    "doctor_text",
    "execute",
    "export_networks",
    "measure_latency",
    "open_run",
    "run",
    "settings",
]
