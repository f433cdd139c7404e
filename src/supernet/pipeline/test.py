"""The last step: read the test split, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from supernet.config import WeightsName
from supernet.evaluate import (
    ExampleResults,
    Preference,
    example_results,
    mean_interval,
    paired_difference,
    resampled_difference,
)
from supernet.evaluate.resampling import Array
from supernet.failures import attempted
from supernet.pipeline.failures import failure_summary
from supernet.pipeline.networks import Networks
from supernet.pipeline.retrained import Retrained
from supernet.pipeline.scoring import protocol_of
from supernet.task import Task, checked_figures
from supernet.track.records import Failed, NetworkScore, OverRandom, Selected
from supernet.track.result_texts import better_text
from supernet.track.sections import TestRecord

__all__ = ["test"]

Measured = tuple[NetworkScore, ExampleResults]
"""What is recorded of a network, and what of each example makes the figure that is compared."""


def test(networks: Networks, retrained: Retrained) -> None:
    """Measure the best network of the search and the random baselines on the test split, each once.

    The chosen network is among them. Where all were trained from both kinds of weights, also the chosen
    architecture with the other kind; a baseline then is the better of its two. A network that fails on
    the test split has no result there; another one is not chosen for that, since the split would have
    decided.
    """
    run, inputs, one = networks.run, networks.inputs, retrained.chosen
    better = run.config.preference
    log = run.folder.stage_log("test")
    compared: list[tuple[Selected, WeightsName]] = [retrained.searched, *retrained.random]
    place = [selected.key for selected, _ in compared].index(one.key)
    others = [(one, weights) for weights in retrained.others]
    models = [networks.retrained(*network) for network in [*compared, *others]]
    examples = inputs.splits.test.open(one.key).to(run.device)
    size, failed, tested = (
        protocol_of(run.config).batch_size,
        list[Failed](),
        list[Measured | None](),
    )
    for (selected, kind), model in zip([*compared, *others], models, strict=True):
        measures = partial(
            example_results, model, inputs.task, examples, inputs.normalise, size, better
        )
        found_out = attempted(measures)
        if isinstance(found_out, Exception):
            role = "chosen" if selected.key == one.key else selected.role
            architecture = selected.architecture
            failed.append(Failed.of(selected.key, role, architecture, found_out, weights=kind))
            tested.append(None)
        else:
            score, each = found_out
            tested.append((NetworkScore(key=selected.key, weights=kind, score=score), each))
    if failed:
        what = "networks on the test split"
        run.progress.say(failure_summary(failed, len(tested), what, "metrics.json"))
    nothing = NetworkScore(key=one.key, weights=retrained.weights, score={})
    chosen, searched = tested[place], tested[0]
    random = [each for each in tested[1 : len(compared)] if each is not None]
    above = [
        found.key
        for found, _ in random
        if chosen and better.key(found.score)[0] > better.key(chosen[0].score)[0]
    ]
    found = TestRecord(
        seconds=log.seconds,
        images=len(examples),
        chosen=chosen[0] if chosen else nothing,
        searched=searched[0] if place and searched else None,
        random=tuple(found for found, _ in random),
        better=tuple(above),
        over_random=over_random(searched, random, inputs.task, better, run.seed)
        if random and searched
        else None,
        failed=tuple(failed),
        figure=better.figure,
        constraints=tuple(run.config.search.constraint_list),
        other=tested[-1][0] if others and tested[-1] is not None else None,
    )
    run.folder.record(found)
    if text := better_text(found):
        run.progress.say(f"warning: {text}")


def over_random(
    searched: Measured, random: Sequence[Measured], task: Task, better: Preference, seed: int
) -> OverRandom:
    """Return by how much the best of the search is better than random ones, on the same examples.

    Args:
        searched: the best of the search.
        random: random networks, at least one.
        task: task that measured them.
        better: preference that says which scores are better.
        seed: seed of resamples, for a figure that is no mean over examples.
    """
    results = searched[1]
    name = results.name

    def signed(found: NetworkScore) -> float:
        value = found.score[name]
        assert value is not None  # it was just measured
        return better.signed(name, value)

    def figure(means: Mapping[str, Array]) -> float:
        tensors = {one: torch.as_tensor(mean) for one, mean in means.items()}
        return better.signed(name, checked_figures(task, tensors)[name].item())

    if results.values is None:
        measures = [found.measures for _, found in random]
        examples = resampled_difference(figure, results.measures, measures, seed)
    else:
        sign = better.signed(name, 1)
        means = np.mean([found.measures[name] for _, found in random], axis=0)
        shares = name == "accuracy"
        examples = paired_difference(sign * results.values, sign * means, shares=shares)
    networks = mean_interval([signed(searched[0]) - signed(found) for found, _ in random])
    return OverRandom(measure=name, examples=examples, networks=networks)
