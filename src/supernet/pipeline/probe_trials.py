"""Probes trained alone, several times each, from fresh weights: what networks are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supernet.config import TrainConfig
from supernet.errors import ConfigError
from supernet.evaluate import Candidate, Score
from supernet.net import derive
from supernet.parser import parse
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.failures import (
    attempt_network,
    failed_file,
    failure_summary,
    none_left_error,
)
from supernet.pipeline.models import placed
from supernet.pipeline.networks import preference
from supernet.pipeline.objects import without_objects
from supernet.pipeline.scoring import validate
from supernet.pipeline.state import RunState
from supernet.pipeline.training import fit
from supernet.track.records import Failed
from supernet.train import Plain, digest

__all__ = ["ProbeTrials", "probe_training"]


def probe_training(state: RunState, given: Sequence[str]) -> tuple[TrainConfig, dict[str, Any]]:
    """Return how probes are trained, and the same as plain data.

    Raises:
        ConfigError: an option is none of a training, or there is no step.
    """
    wrong = [one for one in given if one.startswith("-") and not one.startswith("--train.")]
    if wrong or (given and not given[0].startswith("--train.")):
        raise ConfigError(
            f"probes take options of their training, such as --train.steps 500, not "
            f"{(wrong or list(given))[0]!r}; all others are those of the run"
        )
    arguments = [
        f"--retrain.{one.removeprefix('--')}" if one.startswith("--train.") else one
        for one in given
    ]
    _, base = without_objects(state.run.options)
    config, plain = parse("supernet rank", arguments, base)
    train: TrainConfig = config.retrain.train
    if train.steps < 1:
        raise ConfigError(
            "probes are trained from fresh weights, but retrain.train.steps of the run is 0; give "
            "--train.steps"
        )
    return train, without_neutral(plain["retrain"]["train"])


class ProbeTrials:
    """Trains networks alone, several times each, from fresh weights.

    Args:
        state: run that they are of.
        train: options of the training.
        plain: the same as plain data.

    Attributes:
        failed: trainings that failed.
        passed: number of those that did not.
        seconds: seconds of these.
        measure: name of what a network is worth by, "accuracy (0 to 1)" or "-loss".
    """

    def __init__(self, state: RunState, train: TrainConfig, plain: Mapping[str, Any]) -> None:
        self._run, self._inputs, self._train = state.run, state.inputs, train
        retrain = without_neutral(state.run.options["retrain"])
        self._identity = digest(
            [plain, retrain["model"], retrain["augment"], state.inputs.identity]
        )
        self.failed: list[Failed] = []
        self.passed, self.seconds, self.measure = 0, 0.0, "accuracy (0 to 1)"

    def values(self, candidate: Candidate, often: int) -> tuple[float, ...]:
        """Return what the trainings of a network reached, of those that passed."""
        found = []
        for number in range(often):
            one = self._trained(candidate, number)
            if isinstance(one, Failed):
                self.failed.append(one)
                continue
            if one.get("accuracy") is None:
                self.measure = "-loss"
            self.passed += 1
            found.append(preference(one)[0])
        return tuple(found)

    def check(self, count: int) -> None:
        """Check that a training passed, and say how many did not.

        Raises:
            NoNetworkError: none did.
        """
        if not self.passed:
            raise none_left_error(
                self.failed,
                f"trainings of {count} probes",
                "With other options of --train they are trained anew. To try the same again, delete "
                f"{self._run.folder.path / 'probes'}/*.failed.json and run the same command again",
            )
        if self.failed:
            tried = self.passed + len(self.failed)
            self._run.progress.say(
                failure_summary(self.failed, tried, "trainings of probes", "ranking.json")
            )

    def _trained(self, candidate: Candidate, number: int) -> Score | Failed:
        """Return the score of a training on the search split, or how it failed, now or before."""
        run, key = self._run, candidate.key
        checkpoint = run.folder.probe(key, number)

        def record(error: Exception) -> Failed:
            file = failed_file(checkpoint).relative_to(run.folder.path).as_posix()
            architecture = candidate.architecture
            return Failed.of(key, "probe", architecture, error, weights="fresh", file=file)

        def work() -> Score:
            options = run.config.retrain
            supernet = self._inputs.models.retraining(key, options.model, number)
            model = placed(derive(supernet, candidate.architecture), run.device)
            spent = fit(
                run,
                self._inputs,
                self._train,
                f"probe-{key}-{number}",
                model,
                Plain(),
                checkpoint,
                self._identity,
                options.augment,
            )
            self.seconds += spent.seconds
            return validate(run, self._inputs, model)

        return attempt_network(run.progress, checkpoint, self._identity, record, work)
