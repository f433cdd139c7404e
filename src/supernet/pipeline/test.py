"""The last step: read the test split, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from supernet.config import WeightsName
from supernet.evaluate import mean_interval, paired_difference, results
from supernet.evaluate.resampling import Array
from supernet.failures import attempted
from supernet.pipeline.failed import Failed, summary
from supernet.pipeline.networks import Networks, preference
from supernet.pipeline.records import Selected
from supernet.pipeline.retrained import Retrained
from supernet.pipeline.scoring import protocol_of
from supernet.track.worth import better_text

__all__ = ["test"]

Tested = tuple[Mapping[str, Any], Array]
"""What is recorded of a network, and the result of each example that networks are ranked by."""


def test(networks: Networks, retrained: Retrained) -> None:
    """Measure the chosen network and the random baselines on the test split, each once.

    Where all were trained from both kinds of weights, also the chosen architecture with the other kind;
    a baseline then is the better of its two. A network that fails on the test split has no result there;
    another one is not chosen for that, since the split would have decided.
    """
    run, inputs, one = networks.run, networks.inputs, retrained.chosen
    log = run.folder.stage_log("test")
    compared: list[tuple[Selected, WeightsName]] = [(one, retrained.weights), *retrained.random]
    others = [(one, weights) for weights in retrained.others]
    models = [networks.retrained(*network) for network in [*compared, *others]]
    examples = inputs.splits.test.open(one.key).to(run.device)
    size, failed, tested = protocol_of(run.config).batch_size, list[Failed](), list[Tested | None]()
    for (selected, kind), model in zip([*compared, *others], models, strict=True):
        measures = partial(results, model, inputs.task, examples, inputs.normalise, size)
        found_out = attempted(measures)
        if isinstance(found_out, Exception):
            role = "chosen" if selected is one else selected.role
            architecture = selected.architecture
            failed.append(Failed.of(selected.key, role, architecture, found_out, weights=kind))
            tested.append(None)
        else:
            score, each = found_out
            tested.append(({"key": selected.key, "weights": kind, **score}, each))
    if failed:
        what = "networks on the test split"
        run.progress.say(summary(failed, len(tested), what, "metrics.json"))
    first: Tested = tested[0] or ({"key": one.key, "weights": retrained.weights}, np.zeros(0))
    random = [each for each in tested[1 : len(compared)] if each is not None]
    found: dict[str, Any] = {
        "seconds": log.seconds,
        "images": len(examples),
        "chosen": first[0],
        "random": [score for score, _ in random],
        "better": [score["key"] for score, _ in random if tested[0] and _better(score, first[0])],
        "over_random": over_random(first, random) if random and tested[0] else None,
        "failed": [one.to_json() for one in failed],
    }
    if others and tested[-1] is not None:
        found["other"] = tested[-1][0]
    run.folder.record("test", found)
    if text := better_text({"test": found}):
        run.progress.say(f"warning: {text}")


def over_random(chosen: Tested, random: Sequence[Tested]) -> dict[str, Any]:
    """Return by how much the chosen network is better than random ones, on the same examples.

    Returns:
        "measure", "accuracy" or "loss"; "examples", the difference from the mean of the random networks
        (above 0 where the chosen one is better) with its interval over test examples; "networks", with
        the interval over random networks, None for one or where all score alike.
    """
    accuracy = "accuracy" in chosen[0]
    measure, sign = ("accuracy", 1) if accuracy else ("loss", -1)
    means = np.mean([each for _, each in random], axis=0)
    examples = paired_difference(sign * chosen[1], sign * means, shares=accuracy)
    networks = mean_interval([sign * (chosen[0][measure] - score[measure]) for score, _ in random])
    return {
        "measure": measure,
        "examples": dataclasses.asdict(examples),
        "networks": networks and dataclasses.asdict(networks),
    }


def _better(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return preference(one)[0] > preference(other)[0]
