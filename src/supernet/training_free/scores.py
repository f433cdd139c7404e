"""The scores by name, and those of many architectures of a supernet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import nn

from supernet.errors import ConfigError
from supernet.failures import attempted
from supernet.net import SuperNet, derive
from supernet.net.derive import reinitialise
from supernet.random import derive_seed
from supernet.space import Architecture
from supernet.suggestions import did_you_mean
from supernet.task import Batch, Classification, Task
from supernet.training_free.az_nas import (
    az_complexity,
    az_expressivity,
    az_progressivity,
    az_trainability,
    log_ranks,
)
from supernet.training_free.grad_norm import grad_norm
from supernet.training_free.grasp import grasp
from supernet.training_free.jacob_cov import jacob_cov
from supernet.training_free.naswot import naswot
from supernet.training_free.network import InitialNetwork
from supernet.training_free.snip import snip
from supernet.training_free.synflow import synflow
from supernet.training_free.vkdnw import vkdnw
from supernet.training_free.zen import zen

__all__ = [
    "COMBINED",
    "TRAINING_FREE",
    "TrainingFreeScore",
    "network_scores",
    "parts_of",
    "scores_of_parts",
    "training_free_scores",
]


@dataclass(frozen=True)
class TrainingFreeScore:
    """A score of a network without training; higher is better.

    Attributes:
        of: function that computes it, and may share with others what it needs of a network.
    """

    of: Callable[[InitialNetwork], float]

    def __call__(
        self, model: nn.Module, batch: Batch, task: Task | None = None, seed: int = 0
    ) -> float:
        """Return the score of a network, which is left as it is.

        Args:
            model: ordinary network with initial weights.
            batch: tensors of the inputs and targets of one batch, on the model's device.
            task: task whose loss is used; without it classification.
            seed: seed of what the score draws.

        Raises:
            ConfigError: the score is not defined for such a network.
        """
        return self.of(InitialNetwork(model, batch, task or Classification(), seed))


TRAINING_FREE: Mapping[str, TrainingFreeScore] = {
    function.__name__: TrainingFreeScore(function)
    for function in (
        grad_norm,
        snip,
        grasp,
        synflow,
        naswot,
        jacob_cov,
        zen,
        vkdnw,
        az_expressivity,
        az_progressivity,
        az_trainability,
        az_complexity,
    )
}
"""The scores of one network, by name."""

COMBINED: Mapping[str, tuple[str, ...]] = {
    "az_nas": ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity"),
    "vkdnw_aggregated": (
        "vkdnw",
        "jacob_cov",
        "az_expressivity",
        "az_trainability",
        "az_complexity",
    ),
}
"""The scores that put ranks in a set of networks together (`log_ranks`), and of which scores."""


def training_free_scores(
    supernet: SuperNet,
    architectures: Sequence[Architecture],
    batch: Batch,
    task: Task | None = None,
    names: Iterable[str] = ("az_nas",),
    seed: int = 0,
) -> dict[str, list[float]]:
    """Return scores of architectures, each as a network of its own with fresh weights.

    Weights depend on the seed and the architecture's key alone, as those of networks that are retrained
    do, and are drawn by the modules' own `reset_parameters`. Architectures that are the same network are
    scored once, as their representative (`SearchSpace.canonical`). Combined scores depend on the set.

    Args:
        supernet: supernet that the networks are derived from; its weights do not matter.
        architectures: architectures of its space.
        batch: tensors of the inputs and targets of one batch, on the supernet's device.
        task: task whose loss is used; without it classification.
        names: names of scores, of `TRAINING_FREE` or `COMBINED`.
        seed: seed of the weights and of what scores draw.

    Returns:
        The scores of each name, `[architectures]`, higher is better; NaN where a network fails.

    Raises:
        ConfigError: there is no score of that name, or one is not defined for any of the networks.
        Exception: what a score raises for every network, or what is wrong with the machine.
    """
    names = list(names)
    parts = parts_of(names)
    same = [supernet.space.canonical(one) for one in architectures]
    by_key = {
        key: network_scores(supernet, one, parts, batch, task, seed)
        for key, one in {one.key: one for one in same}.items()
    }
    rows = [by_key[one.key] for one in same]
    for part in parts:
        failures = [row[part] for row in rows if isinstance(row[part], Exception)]
        if failures and len(failures) == len(rows):
            raise cast(Exception, failures[0])
    numbers = [
        {part: math.nan if isinstance(one, Exception) else one for part, one in row.items()}
        for row in rows
    ]
    return {name: scores_of_parts(name, numbers) for name in names}


def parts_of(names: Iterable[str]) -> list[str]:
    """Return the scores of one network that scores are made of, each once.

    Raises:
        ConfigError: there is no score of a name.
    """
    return list(dict.fromkeys(part for name in names for part in _parts(name)))


def scores_of_parts(name: str, networks: Sequence[Mapping[str, float]]) -> list[float]:
    """Return a score of several networks, `[n]`, of the scores of each that it is made of.

    A combined score is NaN where a part is.
    """
    if name in COMBINED:
        return _combined([[row[part] for row in networks] for part in COMBINED[name]])
    return [row[name] for row in networks]


def _parts(name: str) -> tuple[str, ...]:
    """Return the scores of one network that a score is made of.

    Raises:
        ConfigError: there is no such score.
    """
    if name in COMBINED:
        return COMBINED[name]
    if name in TRAINING_FREE:
        return (name,)
    known = [*TRAINING_FREE, *COMBINED]
    raise ConfigError(
        f"there is no score {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}"
    )


def network_scores(
    supernet: SuperNet,
    architecture: Architecture,
    parts: Sequence[str],
    batch: Batch,
    task: Task | None = None,
    seed: int = 0,
) -> dict[str, float | Exception]:
    """Return the scores of one architecture by name, or why there is none; see `training_free_scores`.

    Raises:
        Exception: what is wrong with the machine, see `supernet.failures`.
    """
    own = derive_seed(seed, "training free", architecture.key)
    model = attempted(lambda: reinitialise(derive(supernet, architecture), own))
    if isinstance(model, Exception):
        return dict.fromkeys(parts, model)
    network = InitialNetwork(model, batch, task or Classification(), own)
    return {part: attempted(partial(TRAINING_FREE[part].of, network)) for part in parts}


def _combined(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return the combined ranks of those networks that have every part, NaN for others."""
    whole = [i for i, row in enumerate(zip(*parts, strict=True)) if not any(map(math.isnan, row))]
    found = [math.nan] * len(parts[0])
    ranks = log_ranks([[part[i] for i in whole] for part in parts])
    for i, value in zip(whole, ranks, strict=True):
        found[i] = value
    return found
