"""The typed configuration of a run: what every option is called, and what it may be.

`supernet.parser` makes it from files, command lines and Python alike.
"""

from supernet.config.run import ModelConfig, RunConfig, SplitConfig
from supernet.config.searching import EvaluateConfig, RetrainConfig, SearchConfig, TuneConfig
from supernet.config.training import (
    AloneConfig,
    FewShotConfig,
    SharingConfig,
    TrainConfig,
    WatchConfig,
)
from supernet.track.records import WeightsName

__all__ = [
    "AloneConfig",
    "EvaluateConfig",
    "FewShotConfig",
    "ModelConfig",
    "RetrainConfig",
    "RunConfig",
    "SearchConfig",
    "SharingConfig",
    "SplitConfig",
    "TrainConfig",
    "TuneConfig",
    "WatchConfig",
    "WeightsName",
]
