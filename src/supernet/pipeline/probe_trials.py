"""Probes trained alone, several times each, from fresh weights: what networks are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supernet.config import AloneConfig
from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.net import derive
from supernet.parser import parse
from supernet.pipeline.alone import AloneTraining, train_alone
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.context import Run
from supernet.pipeline.failures import failed_file, failure_summary, none_left_error
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.models import placed
from supernet.pipeline.objects import without_objects
from supernet.pipeline.scoring import validate
from supernet.pipeline.state import RunState
from supernet.pipeline.training import fit
from supernet.track.records import Failed, Score
from supernet.train import Plain, digest
from supernet.typed import JsonRecord

__all__ = ["ProbeTraining", "ProbeTrials", "probe_training"]

ACCURACY = "accuracy (0 to 1)"

KINDS = ("--train.", "--model.", "--model=")
"""How options of probes begin."""


@dataclass(frozen=True)
class ProbeTraining:
    """How probes are trained.

    Attributes:
        train: options of the training.
        model: constructor arguments that differ from the supernet's.
        plain: options of the training as plain data.
    """

    train: AloneConfig
    model: Mapping[str, Any]
    plain: Mapping[str, Any]


def probe_training(state: RunState, given: Sequence[str]) -> ProbeTraining:
    """Return how probes are trained: as the run's `retrain` says, but for these options.

    Raises:
        ConfigError: an option is none of a training or a model, there is no step, or the model cannot
            be built, or with other decisions than the run's.
    """
    wrong = [one for one in given if one.startswith("-") and not one.startswith(KINDS)]
    if wrong or (given and not given[0].startswith(KINDS)):
        raise ConfigError(
            "probes take options of their training and their model, such as --train.steps 500 or "
            f"--model.channels 8, not {(wrong or list(given))[0]!r}; all others are those of the run"
        )
    arguments = [
        f"--retrain.{one.removeprefix('--')}" if one.startswith(KINDS) else one for one in given
    ]
    _, base = without_objects(state.run.options)
    # What probes learn from is fresh weights, whatever the run's networks go on from.
    config, plain = parse("supernet rank", ["--retrain.weights=fresh", *arguments], base)
    train = config.retrain.train.of_examples(len(state.inputs.splits.train))
    if train.steps < 1:
        raise ConfigError(
            "probes are trained from fresh weights, but retrain.train.steps of the run is 0; give "
            "--train.steps"
        )
    model = config.retrain.model
    state.inputs.models.check_alone("--model", model, state.inputs.space)
    return ProbeTraining(train, model, without_neutral(plain["retrain"]["train"]))


class ProbeTrials:
    """Trains networks alone, several times each, from fresh weights.

    Args:
        run: run that they are of.
        inputs: data and models of the run.
        training: how they are trained.

    Attributes:
        failed: trainings that failed.
        passed: number of those that did not.
        seconds: seconds of these.
        measure: name of what a network is worth by, such as "accuracy (0 to 1)" or "-loss".
    """

    def __init__(self, run: Run, inputs: Inputs, training: ProbeTraining) -> None:
        self._run, self._inputs = run, inputs
        self._train, self._model = training.train, training.model
        augment = without_neutral(run.options["retrain"])["augment"]
        self._identity = digest([training.plain, training.model, augment, inputs.identity])
        self.failed: list[Failed] = []
        self.passed, self.seconds, self.measure = 0, 0.0, ACCURACY

    def values(
        self, candidates: Sequence[Candidate], often: Sequence[int], among: str = ""
    ) -> list[tuple[float, ...]]:
        """Return what the trainings of each network reached, of those that passed.

        Args:
            candidates: networks to train.
            often: number of trainings of each.
            among: words on which trainings they are of; by default on how many networks there are.
        """
        works = [
            (place, one, number)
            for place, one in enumerate(candidates)
            for number in range(often[place])
        ]
        trainings = [
            self._training(
                one,
                number,
                ""
                if number
                else f"probe {one.key} ({among or f'{place + 1} of {len(candidates)}'})",
            )
            for place, one, number in works
        ]
        found: list[list[float]] = [[] for _ in candidates]
        for (place, *_), one in zip(works, train_alone(self._run, trainings), strict=True):
            if isinstance(one, Failed):
                self.failed.append(one)
                continue
            reached = _Reached.from_json(one)
            better = self._run.config.preference
            name = better.final(reached.score)
            self.measure = ACCURACY if name == "accuracy" else better.named(name)
            self.passed += 1
            self.seconds += reached.seconds
            found[place].append(better.key(reached.score)[0])
        return [tuple(values) for values in found]

    def check(self, count: int, option: str = "--train", record: str = "ranking.json") -> None:
        """Check that a training passed, and say how many did not.

        Args:
            count: number of networks.
            option: name of the options of their training.
            record: name of the file in which those that failed are named.

        Raises:
            NoNetworkError: none did.
        """
        if not self.passed:
            raise none_left_error(
                self.failed,
                f"trainings of {count} probes",
                f"With other options of {option} they are trained anew. To try the same again, delete "
                f"{self._run.folder.path / 'probes'}/*.failed.json and run the same command again",
            )
        if self.failed:
            tried = self.passed + len(self.failed)
            self._run.progress.say(
                failure_summary(self.failed, tried, "trainings of probes", record)
            )

    def _training(self, candidate: Candidate, number: int, said: str) -> AloneTraining:
        """Return a training that leads to a score on the search split."""
        run, key = self._run, candidate.key
        checkpoint, stage = run.folder.probe(key, number), f"probe-{key}-{number}"

        def record(error: Exception) -> Failed:
            file = failed_file(checkpoint).relative_to(run.folder.path).as_posix()
            architecture = candidate.architecture
            return Failed.of(key, "probe", architecture, error, weights="fresh", file=file)

        def work() -> dict[str, Any]:
            options = run.config.retrain
            supernet = self._inputs.models.retraining(key, self._model, number)
            model = placed(derive(supernet, candidate.architecture), run.device)
            spent = fit(
                run,
                self._inputs,
                self._train,
                stage,
                model,
                Plain(),
                checkpoint,
                self._identity,
                options.augment,
                patience=self._train.patience,
            )
            return _Reached(validate(run, self._inputs, model), spent.seconds).to_json()

        return AloneTraining(said, stage, checkpoint, self._identity, record, work)


@dataclass(frozen=True)
class _Reached(JsonRecord):
    """What a training led to: the score on the search split, and its seconds."""

    score: Score
    seconds: float
