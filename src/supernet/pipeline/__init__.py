"""The steps of a run, one file each, and how a run is opened."""

from supernet.pipeline.context import Run
from supernet.pipeline.latency import measure_latency
from supernet.pipeline.open import STEPS, Result, execute, open_run, run, settings
from supernet.pipeline.records import Selected

__all__ = [
    "STEPS",
    "Result",
    "Run",
    "Selected",
    "execute",
    "measure_latency",
    "open_run",
    "run",
    "settings",
]
