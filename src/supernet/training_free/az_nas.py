"""AZ-NAS: four views of a network, whose ranks in a set of networks are put together.

Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search" (CVPR 2024).
Features f_0 ... f_L are what enters the first block and what each block returns, on an input of normal
noise, with weights drawn by Kaiming's rule. With E_l the entropy of the normalised eigenvalues of the
covariance of f_l's channels over all positions, and σ_l the largest singular value of the mean of
(gradient that arrives before block l) · (random signs sent into it from behind)ᵀ:

* expressivity Σ_l E_l
* progressivity min_l (E_l - E_(l-1))
* trainability mean_l (2 - σ_l - 1/σ_l)
* complexity: multiply-adds
* of a set of m networks: Σ over the four of log(rank / m), the worst has rank 1

Differences from the authors' code: blocks are found as `blocks_of` says, in NAS-Bench-201 the same
ones; the batch has the size of the one that is given; multiply-adds are counted by `supernet.cost`.
Constant features have the entropy 0, and blocks without a gradient, or that pass it on unchanged, σ =
0, so every score is finite; there they are NaN or -inf, which count as the worst too. Features of one
position or of tokens are understood besides maps.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy
import torch

from supernet.cost import UncountedWarning, count_macs
from supernet.random import generator
from supernet.training_free.blocks import as_map, between, blocks_of, features_of
from supernet.training_free.network import InitialNetwork, noise_like, redrawn

__all__ = [
    "az_complexity",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
    "kaiming",
    "log_ranks",
]

TINY = 1e-6
"""Added to σ before it is divided by, as in the authors' code."""


def az_expressivity(network: InitialNetwork) -> float:
    """Sum of the entropies of the blocks' features, a part of AZ-NAS (Lee and Ham, 2024).

    Raises:
        ConfigError: the network has no blocks that follow each other.
    """
    return float(np.sum(network.shared(_views).entropies))


def az_progressivity(network: InitialNetwork) -> float:
    """Least growth of entropy from block to block, a part of AZ-NAS (Lee and Ham, 2024).

    Raises:
        ConfigError: the network has no blocks that follow each other.
    """
    return float(np.diff(network.shared(_views).entropies).min())


def az_trainability(network: InitialNetwork) -> float:
    """How evenly blocks pass gradients back, a part of AZ-NAS (Lee and Ham, 2024); 0 is best.

    Raises:
        ConfigError: the network has no blocks that follow each other.
    """
    gains = np.array(network.shared(_views).gains)
    return float(np.mean(2 - gains - 1 / (gains + TINY)))


def az_complexity(network: InitialNetwork) -> float:
    """Multiply-adds of one example, a part of AZ-NAS (Lee and Ham, 2024)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncountedWarning)
        one = network.like(value[:1] for value in network.inputs)
        return float(count_macs(network.model, *one))


def log_ranks(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return Σ log(rank / m) of each of m networks over several scores, `[m]` each.

    Equal scores share the mean of their ranks.
    """
    ranks = np.stack([scipy.stats.rankdata(part) for part in parts])
    return [float(value) for value in np.log(ranks / ranks.shape[1]).sum(0)]


def kaiming(weight: torch.Tensor) -> float:
    """Return the standard deviation for weights before ReLUs, √(2 / entering connections).

    He et al., "Delving Deep into Rectifiers" (ICCV 2015).
    """
    return float((2 / weight[0].numel()) ** 0.5)


@dataclass(frozen=True)
class _Views:
    """What is seen of a network's blocks.

    Attributes:
        entropies: entropy of what enters the first block and of what each returns, `[blocks + 1]`.
        gains: largest singular value of each block, `[blocks]`.
    """

    entropies: list[float]
    gains: list[float]


def _views(network: InitialNetwork) -> _Views:
    blocks = blocks_of(network.model)
    inputs = [
        value.requires_grad_(value.is_floating_point())
        for value in noise_like(network, "az inputs")
    ]
    with network.running(redrawn(network, "az weights", kaiming), "az") as model:
        features = features_of(model, blocks, network.like(inputs))
    stream, gains = generator(network.seed, "az signs"), list[float]()
    for entering, leaving in reversed(list(pairwise(features))):
        signs = torch.randint(0, 2, leaving.shape, generator=stream).to(leaving) * 2 - 1
        passed = between(entering, leaving, signs)
        gains.append(0.0 if passed is None else float(torch.linalg.matrix_norm(passed, 2)))
    return _Views([_entropy(feature.detach()) for feature in features], gains)


def _entropy(feature: torch.Tensor) -> float:
    """Return the entropy of the normalised eigenvalues of the channels' covariance."""
    rows = as_map(feature).permute(0, 2, 3, 1).flatten(0, 2)
    rows = rows - rows.mean(0)
    eigenvalues = torch.linalg.eigvalsh((rows.T @ rows / len(rows)).double()).clamp(min=0)
    shares = eigenvalues / eigenvalues.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return float(torch.special.entr(shares).sum())
