"""Networks trained alone, each once: those that fail are named, and others take their places.

A run that asks for k of the best expects k networks to choose from, and one that asks for random
baselines a comparison. So the next best candidate takes the place of a top one that failed, as though
that had not been among the candidates, and the next random architecture that of a baseline. Probes stand
for all candidates: none takes the place of one that fails, and there are fewer. Where very many fail, it
is not for their architectures, so the number of places that are filled again is bounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from supernet.config import WeightsName
from supernet.cost import CostTable
from supernet.pipeline.alone import AloneTraining, train_alone
from supernet.pipeline.baseline import draw_baselines
from supernet.pipeline.costs import problem_of
from supernet.pipeline.failures import failed_file, none_left_error
from supernet.pipeline.networks import Networks, network_name
from supernet.pipeline.scoring import validate
from supernet.pipeline.searched import candidates_of, finalists_of
from supernet.pipeline.training import fit
from supernet.track.records import Baselines, Failed, Outcome, Score, Selected
from supernet.train import Plain
from supernet.typed import JsonRecord

__all__ = ["Trials"]

LEAST = 3
"""Failures after which places are filled again in any case; otherwise as many as there are places."""


@dataclasses.dataclass(frozen=True)
class _Alone(JsonRecord):
    """What training from one kind of weights led to: scores by name, the last, seconds, and costs."""

    scores: Mapping[str, Score]
    last: Score
    seconds: float
    costs: Mapping[str, float]


class Trials:
    """The networks of a run that are trained alone, and the outcome of each.

    Args:
        networks: maker of the networks, of a run with a search that has ended.
        costs: cost tables of the space, by quantity.

    Attributes:
        known: networks that passed, by key.
        failed: networks that failed. One that passed from another kind of weights is known
            nevertheless.
        seconds: seconds of training of the networks that passed, by key.
    """

    def __init__(self, networks: Networks, costs: Mapping[str, CostTable]) -> None:
        self._networks = networks
        self._run = networks.run
        self._costs = costs
        self.known: dict[str, Outcome] = {}
        self.failed: list[Failed] = []
        self.seconds: dict[str, float] = {}

    @property
    def lost(self) -> set[str]:
        """Keys of networks that failed from whatever weights."""
        return {one.key for one in self.failed} - self.known.keys()

    def outcomes(self, selected: Sequence[Selected]) -> list[Outcome]:
        """Train architectures, each once; return the outcomes of those that passed, in their order."""
        new = {}
        for number, one in enumerate(selected, 1):
            if one.key not in self.known and one.key not in self.lost and one.key not in new:
                new[one.key] = one, f"{one.role}, {number} of {len(selected)}"
        self._train(new.values())
        known = [(one, self.known[one.key]) for one in selected if one.key in self.known]
        return [
            dataclasses.replace(found, role=one.role, probe=one.probe, supernet=one.supernet)
            for one, found in known
        ]

    def best(self, selected: Sequence[Selected]) -> tuple[list[Outcome], list[Selected]]:
        """Train the best and the probes.

        Args:
            selected: architectures that the search selected.

        Returns:
            The outcomes, and candidates that took the places of best ones that failed.

        Raises:
            NoNetworkError: none of the best is left, nor of those that would take their places.
        """
        self.outcomes(selected)
        substitutes = self._substitutes(selected)
        taken = {one.key for one in substitutes}
        top = [one for one in selected if one.role == "top"]
        others = [one for one in selected if one.role != "top" and one.key not in taken]
        outcomes = self.outcomes([*top, *substitutes, *others])
        if not any(one.role == "top" for one in outcomes):
            raise none_left_error(
                self.failed,
                "networks that were retrained",
                "With other options of --retrain.train they are trained anew. To try the same again, "
                f"delete {self._run.folder.path / 'retrain'}/*.failed.json and run the same command "
                "again",
            )
        return outcomes, substitutes

    def random(self, found: Selected, tried: Sequence[str]) -> tuple[list[Outcome], Baselines]:
        """Draw random baselines and train them; others are drawn for those that fail.

        Args:
            found: the architecture that they are compared with.
            tried: the keys of all that were retrained, none of which they are.

        Returns:
            The outcomes, and the baselines that passed.
        """
        before, left = len(self.lost), max(self._run.config.retrain.baselines, LEAST)
        while True:
            baselines = draw_baselines(self._networks, self._costs, found, tried, self.lost)
            outcomes = self.outcomes(baselines.networks)
            if len(outcomes) == len(baselines.networks) or len(self.lost) - before > left:
                break
        passed = tuple(one for one in baselines.networks if one.key in self.known)
        return outcomes, dataclasses.replace(baselines, networks=passed)

    def _substitutes(self, selected: Sequence[Selected]) -> list[Selected]:
        """Return the next best candidates that passed: one for each of the best that failed, if any."""
        top = [one.key for one in selected if one.role == "top"]
        missing, left = len(self.lost.intersection(top)), max(len(top), LEAST)
        if not missing:
            return []
        probes = {one.key for one in selected if one.probe}
        searcher, networks = self._run.config.search.searcher, self._networks
        searched = self._run, networks.inherits, networks.searched
        problem = problem_of(self._run, networks.inputs, self._costs)
        candidates = [one for one in finalists_of(*searched) if problem.allows(one)]
        known = {one.key: one for one in candidates_of(*searched)}
        found: dict[str, Selected] = {}
        while len(found) < missing:
            sound = [
                one
                for one in candidates
                if one.key not in self.lost and (left or one.key in self.known)
            ]
            best = searcher.select(sound, len(top))
            new = next((one for one in best if one.key not in found and one.key not in top), None)
            if new is None:
                break
            left -= new.key not in self.known
            one = Selected.of(known[new.key], "top", new.key in probes)
            self._run.progress.say(f"{one.key} takes the place of one that failed")
            if self.outcomes([one]):
                found[one.key] = one
        return list(found.values())

    def _train(self, new: Iterable[tuple[Selected, str]]) -> None:
        """Train architectures from all configured weights, and score them before and after.

        Args:
            new: architectures, with what is said of each beside its key.
        """
        kinds = self._run.config.retrain.kinds
        works = [
            (one, weights, f"retraining {one.key} ({text})" if weights == kinds[0] else "")
            for one, text in new
            for weights in kinds
        ]
        found = train_alone(self._run, [self._training(*work) for work in works])
        passed: dict[str, dict[WeightsName, _Alone]] = {}
        for (one, weights, _), outcome in zip(works, found, strict=True):
            if isinstance(outcome, Failed):
                self.failed.append(outcome)
            else:
                passed.setdefault(one.key, {})[weights] = _Alone.from_json(outcome)
        for one in {one.key: one for one, _, _ in works if one.key in passed}.values():
            self._pass(one, passed[one.key])

    def _training(self, one: Selected, weights: WeightsName, said: str) -> AloneTraining:
        run, name = self._run, network_name(one, weights)
        checkpoint = run.folder.retrained(name)
        file = failed_file(checkpoint).relative_to(run.folder.path).as_posix()
        return AloneTraining(
            said,
            f"retrain-{name}",
            checkpoint,
            self._networks.identity(weights),
            partial(Failed.of, one.key, one.role, one.architecture, weights=weights, file=file),
            lambda: _trained(self._networks, one, weights).to_json(),
        )

    def _pass(self, one: Selected, passed: Mapping[WeightsName, _Alone]) -> None:
        """Note what the trainings of an architecture led to that did not fail, at least one."""
        key = self._run.config.preference.key
        better = max(passed, key=lambda weights: key(passed[weights].last))
        alone = {name: score for each in passed.values() for name, score in each.scores.items()}
        self.seconds[one.key] = sum(each.seconds for each in passed.values())
        self.known[one.key] = Outcome(
            key=one.key,
            role=one.role,
            probe=one.probe,
            supernet=one.supernet,
            costs=passed[better].costs,
            validation=passed[better].last,
            weights=better,
            stand_alone=alone,
        )


def _trained(networks: Networks, one: Selected, weights: WeightsName) -> _Alone:
    """Train an architecture from one kind of weights, and score it before (if inherited) and after."""
    run, inputs = networks.run, networks.inputs
    options, scores, seconds = run.config.retrain, dict[str, Score](), 0.0
    model = networks.untrained(one, weights)
    if weights == "inherited":
        scores["inherited"] = validate(run, inputs, model)
    if options.train.steps:
        name = network_name(one, weights)
        spent = fit(
            run,
            inputs,
            options.train,
            f"retrain-{name}",
            model,
            Plain(),
            run.folder.retrained(name),
            networks.identity(weights),
            options.augment,
            patience=options.train.patience,
        )
        seconds = spent.seconds
        scores["scratch" if weights == "fresh" else "fine_tuned"] = validate(run, inputs, model)
    return _Alone(scores, list(scores.values())[-1], seconds, networks.costs_of(one, model))
