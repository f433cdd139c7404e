"""The steps of a run, one file each, and how a run is opened."""

from supernet.pipeline.context import Run, Selected
from supernet.pipeline.open import STEPS, Result, execute, open_run, run

__all__ = ["STEPS", "Result", "Run", "Selected", "execute", "open_run", "run"]
