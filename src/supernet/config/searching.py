"""The options of scoring candidates, of the search for them, and of training the best alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from supernet.config.training import AloneConfig
from supernet.data import Augment
from supernet.errors import ConfigError
from supernet.precision import Precision
from supernet.search import Searcher
from supernet.space import Sampling
from supernet.track.records import WeightsName

__all__ = ["EvaluateConfig", "RetrainConfig", "SearchConfig", "ShortConfig", "TuneConfig"]

FEWEST_SHORT = 8
"""Fewest short trainings that anything is learned from."""


@dataclass(frozen=True)
class TuneConfig:
    """The options of training each candidate a little, from the shared weights, before it is scored.

    It is trained as the supernet is (`train`: optimizer, batch size, clipping), but at a constant rate;
    the supernet stays as it is.

    Attributes:
        steps: number of optimizer steps; 0 scores the shared weights as they are.
        rate: the learning rate, as a share of its peak in `train`.
        finalists: number of the best candidates of a search that are trained so, and ranked again before
            `retrain.top` of them are selected; null for every candidate that is scored.
    """

    steps: int = 0
    rate: float = 0.2
    finalists: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 0 or not 0 < self.rate < math.inf:
            raise ConfigError(
                "evaluate.tune.steps must be at least 0 (no tuning), and evaluate.tune.rate a share of "
                f"the learning rate above 0, such as 0.2, not {self.steps} and {self.rate}"
            )
        if self.finalists is not None and self.finalists < 1:
            raise ConfigError(
                "evaluate.tune.finalists must be at least 1, or null for all candidates, not "
                f"{self.finalists}"
            )


@dataclass(frozen=True)
class EvaluateConfig:
    """The options of scoring candidates.

    Attributes:
        batch_norm: statistics of the evaluation batch, or re-estimated per candidate; "auto" is what
            the strategy's paper does. "running" are those that training left, which have seen all paths
            and fit none; the published code of RandomNAS scores with them.
        rank_by: figure of the task that candidates are ranked by, such as loss, accuracy or mean_iou.
            The loss, which breaks ties, also tells apart how sure networks are; most papers rank by the
            accuracy.
        batch_size: images per evaluation and calibration batch.
        precision: type that convolutions and matrix products of candidates compute in, see `train`;
            networks that were trained alone are measured in float32.
        calibration_batches: batches of training images that re-estimation averages over; "converge"
            finds the smallest number after which more change next to nothing, on `probes` candidates.
        memory: MiB for activations that candidates share; 0 scores them one by one.
        race: the probability to lose any of the best candidates that is accepted for dropping hopeless
            ones early; null scores all candidates on all images.
        probes: random architectures whose scores are compared under all treatments of batch norm, for
            the report; 0 for none.
        tune: short training of candidates before they are scored.
    """

    batch_norm: Literal["auto", "batch", "recalibrate", "running"] = "auto"
    rank_by: str = "loss"
    batch_size: int = 256
    precision: Precision = "float32"
    calibration_batches: int | Literal["converge"] = 8
    memory: int = 512
    race: float | None = None
    probes: int = 0
    tune: TuneConfig = TuneConfig()

    def __post_init__(self) -> None:
        if self.race is not None and self.tune.steps and self.tune.finalists is None:
            raise ConfigError(
                f"evaluate.race {self.race} saves looking at images, but with evaluate.tune.steps "
                f"{self.tune.steps} every candidate is trained before, in each round of a race anew; "
                "leave one of them out, or tune only the best with evaluate.tune.finalists, such as 20"
            )
        if self.race is not None and not 0 < self.race < 1:
            raise ConfigError(
                f"evaluate.race is a probability in (0, 1), such as 0.05, or null, not {self.race}"
            )
        few = isinstance(self.calibration_batches, int) and self.calibration_batches < 1
        if self.batch_size < 1 or few:
            raise ConfigError(
                "evaluate.batch_size and evaluate.calibration_batches must be positive, not "
                f"{self.batch_size} and {self.calibration_batches}"
            )
        if self.memory < 0 or self.probes < 0 or self.probes == 1:
            raise ConfigError(
                "evaluate.memory must be at least 0, and evaluate.probes 0 or at least 2, not "
                f"{self.memory} and {self.probes}"
            )


@dataclass(frozen=True)
class SearchConfig:
    """The options of the search for candidates.

    Attributes:
        searcher: searcher that proposes architectures.
        constraints: bounds such as "macs <= 40e6" or "params <= 60%" of the largest.
        costs: files of cost tables besides "params" and "macs", as `supernet latency` writes them.
        other_device: use tables of latencies that were measured on another device than this.
        sampling: set that the searcher's random draws, the random baseline and the probes of batch
            norm are uniform over: the answers of each decision by itself ("decisions"), as in the
            published codes, or all "architectures", which differs where decisions lie in options, or
            all different "networks".
    """

    searcher: Searcher
    constraints: list[str] | str = field(default_factory=list)
    costs: list[str] | str = field(default_factory=list)
    other_device: bool = False
    sampling: Sampling = "decisions"

    @property
    def constraint_list(self) -> list[str]:
        """The constraints as a list, also if one was given as a string."""
        return [self.constraints] if isinstance(self.constraints, str) else self.constraints


@dataclass(frozen=True)
class ShortConfig:
    """The options of short trainings by which evidence learns, before the promising are retrained.

    They are otherwise as `retrain.train` says, from fresh weights.

    Attributes:
        networks: number of candidates that are trained so; 0 for none, else at least 8, and 48 or more
            where that can be afforded.
        steps: number of optimizer steps of each.
        model: constructor arguments that differ from the supernet's, for a smaller model of the same
            decisions.
        trust: share of what they consistently say, besides all scores, that is taken to hold of networks
            as they are retrained; 1 where they are trained alike.
    """

    networks: int = 0
    steps: int = 500
    model: dict[str, Any] = field(default_factory=dict)
    trust: float = 0.3

    def __post_init__(self) -> None:
        if self.networks != 0 and self.networks < FEWEST_SHORT:
            raise ConfigError(
                f"retrain.short.networks is {self.networks}, but {FEWEST_SHORT} are the fewest that "
                "anything is learned from; give 0 for no short trainings"
            )
        if self.steps < 1 or not 0 < self.trust <= 1:
            raise ConfigError(
                "retrain.short.steps must be at least 1, and retrain.short.trust a share above 0, at "
                f"most 1, not {self.steps} and {self.trust}"
            )


@dataclass(frozen=True)
class RetrainConfig:
    """The options of retraining: which candidates are trained by themselves, and how.

    Attributes:
        top: number of the best candidates; the next best takes the place of one that fails.
        probes: number of candidates drawn at random from all, to measure the rank correlation; one
            that is among the best is trained once.
        promising: number of further candidates that all evidence names: scores under the shared weights
            and without training together; from 8 on, those retrained before teach how, costs too.
        evidence: names of the scores without training that are part of it.
        short: short trainings that teach this evidence, instead of the networks retrained before.
        baselines: number of random architectures that are none of the best, or 0; with several, the
            difference from them also has an interval over architectures.
        match: the cost in which they are like the chosen one, within 10 % where that finds some, else
            20 %, else 50 %; null for any that satisfy the constraints.
        weights: start of the training: "fresh" weights, those "inherited" from the supernet, or
            "both", one after the other, of which the better network is used.
        train: the training of each; with inherited weights 0 steps use the network as it is.
        model: constructor arguments that differ from the supernet's, for instance more channels.
        augment: random changes of training images; null for those of `split.augment`.
    """

    train: AloneConfig
    top: int = 3
    probes: int = 0
    promising: int = 0
    evidence: list[str] = field(default_factory=lambda: ["az_nas", "naswot"])
    short: ShortConfig = field(default_factory=ShortConfig)
    baselines: int = 1
    match: str | None = "macs"
    weights: Literal["fresh", "inherited", "both"] = "fresh"
    model: dict[str, Any] = field(default_factory=dict)
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if self.top < 1 or min(self.baselines, self.probes, self.promising) < 0:
            raise ConfigError(
                "retrain.top must be at least 1, retrain.baselines, retrain.probes and "
                f"retrain.promising at least 0, not {self.top}, {self.baselines}, {self.probes} and "
                f"{self.promising}"
            )
        if self.short.networks and not self.promising:
            raise ConfigError(
                f"retrain.short.networks is {self.short.networks}, but nothing is asked of what they "
                "teach; give retrain.promising, the number of networks that are then retrained"
            )
        if self.weights != "inherited" and self.train.steps < 1:
            raise ConfigError(
                f"retrain.train.steps is {self.train.steps}, but fresh weights must be trained; give at "
                "least 1, or use the supernet's as they are with retrain.weights inherited"
            )
        if self.weights != "fresh" and self.model:
            raise ConfigError(
                f"retrain.weights {self.weights} takes the supernet's weights, but retrain.model "
                f"{self.model} makes another model, which they may not fit; leave one of them out"
            )

    @property
    def kinds(self) -> tuple[WeightsName, ...]:
        """What each network is trained from, one after the other."""
        return ("fresh", "inherited") if self.weights == "both" else (self.weights,)
