"""MLflow: runs on a tracking server, or in files of this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supernet.loggers.base import Logger, numbers, require

__all__ = ["MLflow"]


class MLflow(Logger):
    """A run of MLflow (extra `mlflow`).

    Args:
        experiment: experiment that the run belongs to.
        name: name of the run; by default one that MLflow draws.
        uri: address of the tracking server, or of a store such as sqlite:///mlflow.db; by default
            what the variable MLFLOW_TRACKING_URI says, or else MLflow's own.
    """

    def __init__(
        self, experiment: str = "supernet", name: str | None = None, uri: str | None = None
    ) -> None:
        self.experiment = experiment
        self.name = name
        self.uri = uri

    def start(self, folder: Path, options: Mapping[str, Any], before: str | None) -> str:
        """Begin a run with these options, or go on in the one from before."""
        mlflow = require("mlflow", "mlflow")
        self._metric = mlflow.entities.Metric
        self._client = mlflow.MlflowClient(tracking_uri=self.uri)
        if before is None:
            known = self._client.get_experiment_by_name(self.experiment)
            experiment = (
                known.experiment_id if known else self._client.create_experiment(self.experiment)
            )
            before = self._client.create_run(experiment, run_name=self.name).info.run_id
            self._client.log_dict(before, dict(options), "config.json")
        else:
            self._client.update_run(before, status="RUNNING")
        self._run: str = before
        return before

    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Log the numbers at their step."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in numbers(record).items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")
