"""The last step: read the test split, once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from supernet.config import WeightsName
from supernet.evaluate import example_results, mean_interval, paired_difference
from supernet.evaluate.resampling import Array
from supernet.failures import attempted
from supernet.pipeline.failures import failure_summary
from supernet.pipeline.networks import Networks, preference
from supernet.pipeline.retrained import Retrained
from supernet.pipeline.scoring import protocol_of
from supernet.track.records import Failed, NetworkScore, OverRandom, Score, Selected
from supernet.track.result_texts import better_text
from supernet.track.sections import TestRecord

__all__ = ["test"]

Measured = tuple[NetworkScore, Array]
"""What is recorded of a network, and the result of each example that networks are ranked by."""


def test(networks: Networks, retrained: Retrained) -> None:
    """Measure the best network of the search and the random baselines on the test split, each once.

    The chosen network is among them. Where all were trained from both kinds of weights, also the chosen
    architecture with the other kind; a baseline then is the better of its two. A network that fails on
    the test split has no result there; another one is not chosen for that, since the split would have
    decided.
    """
    run, inputs, one = networks.run, networks.inputs, retrained.chosen
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
        measures = partial(example_results, model, inputs.task, examples, inputs.normalise, size)
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
    better = [found for found, _ in random if chosen and _better(found.score, chosen[0].score)]
    found = TestRecord(
        seconds=log.seconds,
        images=len(examples),
        chosen=chosen[0] if chosen else nothing,
        searched=searched[0] if place and searched else None,
        random=tuple(found for found, _ in random),
        better=tuple(found.key for found in better),
        over_random=over_random(searched, random) if random and searched else None,
        failed=tuple(failed),
        other=tested[-1][0] if others and tested[-1] is not None else None,
    )
    run.folder.record(found)
    if text := better_text(found):
        run.progress.say(f"warning: {text}")


def over_random(searched: Measured, random: Sequence[Measured]) -> OverRandom:
    """Return by how much the best of the search is better than random ones, on the same examples."""
    accuracy = "accuracy" in searched[0].score
    measure: Literal["accuracy", "loss"] = "accuracy" if accuracy else "loss"
    sign = 1 if accuracy else -1
    best, others = _value(searched[0], measure), [_value(found, measure) for found, _ in random]
    means = np.mean([each for _, each in random], axis=0)
    examples = paired_difference(sign * searched[1], sign * means, shares=accuracy)
    networks = mean_interval([sign * (best - value) for value in others])
    return OverRandom(measure=measure, examples=examples, networks=networks)


def _value(tested: NetworkScore, measure: str) -> float:
    value = tested.score[measure]
    assert value is not None  # it was just measured
    return value


def _better(one: Score, other: Score) -> bool:
    return preference(one)[0] > preference(other)[0]
