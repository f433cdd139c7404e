"""The steps of a run, one file each, and how a run is opened."""

from supernet.pipeline.context import Run, Selected
from supernet.pipeline.latency import measure_latency
from supernet.pipeline.open import STEPS, Result, execute, open_run, run, settings

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
