"""Watching a supernet while it trains: a few networks scored now and then, and warnings in time.

The training knows nothing of it: no weight, statistic or random draw of it is touched. Networks alone
are trained before its first step, at the rates of the supernet's first steps and on as many examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from supernet.cost import CostTable
from supernet.evaluate import Evaluator, Score
from supernet.evaluate.resampling import Array, tau
from supernet.failures import attempted, first_line
from supernet.fidelity import Worth
from supernet.fidelity.early import (
    EARLY,
    HALF,
    EarlyWarning,
    all_alike,
    far_behind,
    no_ranking,
    nothing_decides,
    option_spreads,
    score_noise,
)
from supernet.net import SuperNet
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.training import fit
from supernet.pipeline.watched import (
    check_watch,
    compared_alone,
    moments_of,
    unwatched,
    watched_examples,
)
from supernet.random import derive_seed, seeded
from supernet.space import Architecture
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task
from supernet.track.watch import (
    AloneRecord,
    MomentRecord,
    WatchedNetwork,
    WatchRecord,
    read_watch,
    write_watch,
)
from supernet.train import Learner, Moment
from supernet.train.schedule import Schedule

__all__ = ["Watch", "watch_of"]


def watch_of(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> Watch | None:
    """Return what watches the training of the supernet, if it is to be watched.

    Raises:
        ConfigError: it cannot be watched as the options say.
        SpaceError: the table of what networks are worth is of another space.
    """
    if not run.config.watch.networks:
        return None
    check_watch(run, inputs)
    if run.config.few_shot.decision is not None:
        run.progress.say(
            "watched is the whole supernet, not the parts that few_shot.decision makes"
        )
    return Watch(run, inputs, unwatched(run, inputs, costs))


class Watch:
    """Scores a few networks now and then while the supernet trains; writes `watch.json`.

    Args:
        run: run that is trained for.
        inputs: data and models of the run.
        record: record of which networks are scored, and how, before the first moment.
    """

    def __init__(self, run: Run, inputs: Inputs, record: WatchRecord) -> None:
        self._run, self._inputs, self._record = run, inputs, record
        self._examples = watched_examples(run, inputs)
        train, watch = run.config.train, run.config.watch
        self._steps = moments_of(train.steps, watch.times, train.log_every)

    @property
    def warnings(self) -> list[str]:
        """What the user was warned of, in sentences."""
        steps = self._run.config.train.steps
        return [
            _said(one, moment.step, steps)
            for moment in self._record.moments
            for one in moment.warnings
        ]

    def evaluator(self, supernet: SuperNet) -> Evaluator:
        """Return what scores networks under the weights that a supernet has at the time."""
        inputs = self._inputs
        return Evaluator(
            supernet,
            inputs.task,
            self._examples,
            inputs.splits.train,
            inputs.normalise,
            self._record.protocol,
            memory=self._run.config.evaluate.memory * 2**20,
        )

    def begin(self, step: int) -> None:
        """Take up what was watched up to a step, and train networks alone if that is still of use."""
        before = read_watch(self._run.folder.watch) if step else None
        fresh = dataclasses.replace(self._record, alone=(), moments=())
        if before is not None and dataclasses.replace(before, alone=(), moments=()) == fresh:
            moments = tuple(one for one in before.moments if one.step <= step)
            self._record = dataclasses.replace(before, moments=moments)
            return
        networks, steps = compared_alone(self._run, fresh)
        alone = [self._alone(one, steps) for one in networks] if step < steps else []
        self._record = dataclasses.replace(fresh, alone=tuple(alone))

    def look(self, evaluator: Evaluator, step: int) -> dict[str, float]:
        """Score the networks if it is time; return what the log shall hold of it."""
        record = self._record
        if step not in self._steps or any(one.step == step for one in record.moments):
            return {}
        moment = self._scored(evaluator, step)
        moment = dataclasses.replace(moment, warnings=tuple(self._warned(moment)))
        self._record = dataclasses.replace(record, moments=(*record.moments, moment))
        write_watch(self._run.folder.watch, self._record)
        return self._told(moment)

    def _scored(self, evaluator: Evaluator, step: int) -> MomentRecord:
        """Return the scores of all networks at a step."""
        record = self._record
        found = self._scores(evaluator, record.networks, step)
        passed = {key: one for key, one in found.items() if not isinstance(one, Exception)}
        scores = {key: score for key, (score, _) in passed.items()}
        results = [each for _, each in passed.values() if each is not None]
        figure = record.preference.figure
        losses, accuracies, figures = (
            tuple(scores.get(one.key, {}).get(name) for one in record.networks)
            for name in ("loss", "accuracy", figure)
        )
        return MomentRecord(
            step=step,
            losses=losses,
            accuracies=None if set(accuracies) <= {None} else accuracies,
            figures=figures if figure else None,
            noise=score_noise(np.stack(results).astype(float)) if len(results) > 1 else None,
        )

    def _scores(
        self, evaluator: Evaluator, networks: Sequence[WatchedNetwork], step: int
    ) -> dict[str, tuple[Score, Array | None] | Exception]:
        """Return the score of each network and what each example adds to it, or its failure, by key."""
        architectures = [one.architecture for one in networks]
        with seeded(derive_seed(self._run.seed, "watch", step)):
            found = evaluator.example_scores(architectures, self._record.by)
            return {one.key: score for one, score in found}

    def _alone(self, network: WatchedNetwork, steps: int) -> AloneRecord:
        """Train a network alone for so many steps, and score it whenever watched ones are."""
        run, key = self._run, network.key
        run.progress.say(f"training the watched network {key} alone, for {steps:,} steps")
        losses = dict[int, float | None]()

        def train() -> None:
            model = self._inputs.models.retraining(key, {})
            evaluator = self.evaluator(model)
            learner = _OnePath(network.architecture, run.config.train.steps)
            options = dataclasses.replace(run.config.train, steps=steps)

            def look(step: int) -> dict[str, float]:
                if step in self._steps:
                    found = self._scores(evaluator, [network], step)[key]
                    losses[step] = None if isinstance(found, Exception) else found[0]["loss"]
                return {}

            fit(run, self._inputs, options, f"watch-{key}", model, learner, None, look=look)

        failed = attempted(train)
        if isinstance(failed, Exception):
            run.progress.say(f"warning: the training of {key} alone failed: {first_line(failed)}")
            losses.clear()
        return AloneRecord(key=key, steps=tuple(losses), losses=tuple(losses.values()))

    def _warned(self, moment: MomentRecord) -> Iterator[EarlyWarning]:
        """Yield what the user is to be warned of, each kind once, and say it."""
        run, given = self._run, {one.kind for one in self._record.warnings}
        if moment.step < EARLY * run.config.train.steps:
            return
        for one in self._findings(moment):
            if one is not None and one.kind not in given:
                run.progress.say(f"warning: {_said(one, moment.step, run.config.train.steps)}")
                yield one

    def _findings(self, moment: MomentRecord) -> Iterator[EarlyWarning | None]:
        """Yield all that is wrong at a moment."""
        record = self._record
        name, values = moment.scores(record.preference)
        finite = [i for i, value in enumerate(values) if np.isfinite(value)]
        if len(finite) < 3:
            return
        scores, networks = [values[i] for i in finite], [record.networks[i] for i in finite]
        if moment.noise is not None:
            alike = all_alike(name, scores, moment.noise, record.images)
            yield alike
            if alike is None:
                architectures = [one.architecture for one in networks]
                yield nothing_decides(name, option_spreads(scores, architectures, moment.noise))
        if moment.step >= HALF * self._run.config.train.steps:
            yield self._behind(moment)
        if record.truth is not None:
            counts = {q: [one.costs[q] for one in networks] for q in networks[0].costs}
            worth = [Worth(one.architecture, one.values) for one in networks]
            yield no_ranking({name: scores, **counts}, worth, record.images, self._run.seed)

    def _behind(self, moment: MomentRecord) -> EarlyWarning | None:
        """Return a warning where shared weights lag far behind networks alone, as these were last."""
        record = self._record
        start, mean = record.moments[0] if record.moments else moment, moment.mean_loss
        steps = max((step for one in record.alone for step in one.steps), default=0)
        alone, shared = record.alone_at(steps), record.losses_at(moment)
        both = [key for key in alone if key in shared]
        if not both or start.step or start.mean_loss is None or mean is None:
            return None
        there, here = (sum(one[key] for key in both) / len(both) for one in (shared, alone))
        return far_behind(start.mean_loss, there, here, steps, mean)

    def _told(self, moment: MomentRecord) -> dict[str, float]:
        """Return what the log shall hold of a moment, and say it."""
        record, told = self._record, dict[str, float]()
        if (loss := moment.mean_loss) is not None:
            told["watched_loss"] = loss
        if (accuracy := moment.mean_accuracy) is not None:
            told["watched_accuracy"] = accuracy
        if (figure := moment.mean_figure) is not None:
            told["watched_figure"] = figure
        _, values = moment.scores(record.preference)
        known = [
            i for i, one in enumerate(record.networks) if one.values and np.isfinite(values[i])
        ]
        worth = [float(np.mean(record.networks[i].values)) for i in known]
        if (found := tau(np.array([values[i] for i in known]), np.array(worth))) is not None:
            told["watched_tau"] = found
        alone = list(record.alone_at(moment.step).values())
        names = {"watched_figure": record.preference.figure}
        parts = [
            f"{names.get(name, name.removeprefix('watched_'))} {value:.3f}"
            for name, value in told.items()
        ]
        parts += [f"loss alone {sum(alone) / len(alone):.3f}"] if alone else []
        self._run.progress.say(f"watched at step {moment.step:,}: {', '.join(parts)}")
        return told


class _OnePath(Learner[SuperNet]):
    """Trains one network as though it were alone, at the rates of the first steps of a longer training.

    Args:
        architecture: architecture of the network.
        steps: length of the longer training.
    """

    def __init__(self, architecture: Architecture, steps: int) -> None:
        self._architecture, self._steps = architecture, steps

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the network."""
        return train_path(model, self._architecture, task, batch)

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return what the learning rate is multiplied by."""
        return schedule.factor(moment.step / max(self._steps - 1, 1))


def _said(warned: EarlyWarning, step: int, steps: int) -> str:
    return f"at step {step:,} of {steps:,}: {warned.text}"
