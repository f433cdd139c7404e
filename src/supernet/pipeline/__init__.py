"""The steps of a run, one file each, and how a run is opened."""

from supernet.pipeline.api import Result, run
from supernet.pipeline.compression import Compressed, Sized, compress
from supernet.pipeline.context import Run
from supernet.pipeline.doctor import Diagnosis, diagnose, diagnose_named, doctor_text
from supernet.pipeline.execute import STEPS, execute, settings
from supernet.pipeline.export import Exported, export_networks
from supernet.pipeline.identity import check_identity
from supernet.pipeline.latency import measure_latency
from supernet.pipeline.open import open_run
from supernet.pipeline.probes import ProbeOptions
from supernet.pipeline.profiler import Profiler
from supernet.pipeline.ranking import rank, rank_run
from supernet.pipeline.several import as_rank
from supernet.pipeline.state import RunState
from supernet.pipeline.training_free import SCORES
from supernet.track.ranking import Ranking
from supernet.track.records import Selected

__all__ = [
    "SCORES",
    "STEPS",
    "Compressed",
    "Diagnosis",
    "Exported",
    "ProbeOptions",
    "Profiler",
    "Ranking",
    "Result",
    "Run",
    "RunState",
    "Selected",
    "Sized",
    "as_rank",
    "check_identity",
    "compress",
    "diagnose",
    "diagnose_named",
    "doctor_text",
    "execute",
    "export_networks",
    "measure_latency",
    "open_run",
    "rank",
    "rank_run",
    "run",
    "settings",
]
