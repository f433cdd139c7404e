"""The typed configuration of a run: what every option is called, and what it may be.

`supernet.parser` makes it from files, command lines and Python alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from supernet.data import Augment, DataSource
from supernet.data.splits import FRACTION
from supernet.errors import ConfigError
from supernet.evaluate.measure_sums import RankedBy
from supernet.loggers import Logger
from supernet.precision import Precision
from supernet.search import Searcher
from supernet.space import Sampling
from supernet.strategies import Among, Strategy
from supernet.task import Task
from supernet.track.records import WeightsName
from supernet.train import OptimizerFactory, ScheduleName

__all__ = [
    "AloneConfig",
    "EvaluateConfig",
    "FewShotConfig",
    "ModelConfig",
    "RetrainConfig",
    "RunConfig",
    "SearchConfig",
    "SplitConfig",
    "TrainConfig",
    "TuneConfig",
    "WatchConfig",
    "WeightsName",
]


@dataclass(frozen=True)
class SplitConfig:
    """The options by which data is divided and varied.

    Attributes:
        search_fraction: share of what is not test that ranks candidates and never trains weights.
        test_fraction: share of all examples for the test, where the data set has no test split.
        limit: use only so many examples for training and search together.
        augment: random changes of training images; by default what suits the data set.
    """

    search_fraction: float = FRACTION
    test_fraction: float = FRACTION
    limit: int | None = None
    augment: Augment | None = None


def default_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return momentum SGD, what all methods here train weights with unless told otherwise."""
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)


@dataclass(frozen=True)
class TrainConfig:
    """The options of one training.

    Attributes:
        steps: number of optimizer steps.
        batch_size: images per step.
        optimizer: any torch optimizer; its learning rate is the peak of the schedule.
        schedule: shape of the learning rate's fall after the warm-up.
        warmup: share of the steps over which the learning rate rises.
        lowest: learning rate at the end, as a share of its peak.
        clip: largest norm of the gradient; null for no limit.
        precision: type that convolutions and matrix products compute in, by PyTorch's autocast; weights,
            sums and losses are float32 in any case. bfloat16 suits GPUs since 2020 and recent CPUs;
            float16 older GPUs.
        accumulate: parts that a batch passes in, one after the other, to need less memory; batch norm
            has the statistics of each part.
        batch_norm: batch whose statistics batch norm has where several processes train: the "whole" one,
            as one process has it, or the "part" of each process, which is faster.
        ema: decay of a moving average of the weights over the steps, such as 0.999, which is what
            is used afterwards; null for the last weights.
        log_every: steps between records of the log, which are also the moments of checkpoints.
        checkpoint_seconds: least time between two checkpoints.
    """

    steps: int = 500
    batch_size: int = 64
    optimizer: OptimizerFactory = default_optimizer
    schedule: ScheduleName = "cosine"
    warmup: float = 0.05
    lowest: float = 0.0
    clip: float | None = 5.0
    precision: Precision = "float32"
    accumulate: int = 1
    batch_norm: Literal["whole", "part"] = "whole"
    ema: float | None = None
    log_every: int = 20
    checkpoint_seconds: float = 20.0

    fewest_steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, least in (("steps", self.fewest_steps), ("batch_size", 1), ("log_every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 1 <= self.accumulate <= self.batch_size:
            raise ConfigError(
                f"accumulate is a number of parts of a batch of {self.batch_size} examples, at least 1, "
                f"not {self.accumulate}"
            )
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")
        if not 0 <= self.lowest <= 1:
            raise ConfigError(
                f"lowest is a share of the peak of the learning rate in 0–1, not {self.lowest}"
            )
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip is a norm above 0, or null for no limit, not {self.clip}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError(
                "ema is the decay of a moving average of the weights, in (0, 1), or null for none, "
                f"not {self.ema}"
            )


@dataclass(frozen=True)
class AloneConfig(TrainConfig):
    """The training of a network by itself, which inherited weights may not need."""

    fewest_steps: ClassVar[int] = 0


@dataclass(frozen=True)
class WatchConfig:
    """The options of watching how well the supernet ranks while it trains; they change no weight.

    Attributes:
        networks: number of networks that are scored under the shared weights now and then; 0 for none.
        times: number of moments at which they are, evenly over the training, each at the next record of
            the log.
        images: number of examples of the search split that they are scored on; null for 500, or all
            where there are fewer.
        alone: number of them that are also trained alone, for the first fifth of the steps, to see how
            far shared weights lag behind; each takes about as long as that part of a training of single
            paths.
        truth: table of what networks are worth, as `supernet rank --truth` takes it; then they are drawn
            from it.
    """

    networks: int = 0
    times: int = 10
    images: int | None = None
    alone: int = 1
    truth: str | None = None

    def __post_init__(self) -> None:
        if self.networks < 0 or self.networks in (1, 2):
            raise ConfigError(
                f"watch.networks is 0, for none, or at least 3, better 16, not {self.networks}"
            )
        if self.times < 1 or self.alone < 0 or (self.images is not None and self.images < 2):
            raise ConfigError(
                "watch.times must be at least 1, watch.alone at least 0 and watch.images at least 2, or "
                f"null, not {self.times}, {self.alone} and {self.images}"
            )
        if self.truth is not None and not self.networks:
            raise ConfigError(
                f"watch.truth is {self.truth!r}, but watch.networks is 0, so that nothing is watched; "
                "give --watch.networks 16, or --watch.truth null"
            )
        if self.networks and self.alone > self.networks:
            raise ConfigError(
                f"watch.alone is {self.alone}, but only {self.networks} networks are watched "
                "(watch.networks); train at most so many of them alone"
            )


@dataclass(frozen=True)
class SharingConfig:
    """The options of sharing more than the space says: options that are built alike have one weight.

    Attributes:
        until: share of the steps for which they do, from the first on; 0 for none.
        among: where they do: within each "module" that holds their choices, as the edges of a cell, or
            in the whole "model".
    """

    until: float = 0.0
    among: Among = "module"

    def __post_init__(self) -> None:
        if not 0 <= self.until <= 1:
            raise ConfigError(
                f"sharing.until is a share of the steps in 0–1, such as 0.5, not {self.until}"
            )


@dataclass(frozen=True)
class FewShotConfig:
    """The options of splitting the trained supernet along a decision, each part then trained on.

    Attributes:
        decision: label of the decision; null for no splitting.
        train: the training of each part.
    """

    train: TrainConfig
    decision: str | None = None


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
        rank_by: measure that candidates are ranked by, the other one breaking ties. The loss also tells
            apart how sure networks are; most papers rank by the accuracy.
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
    rank_by: RankedBy = "loss"
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
class RetrainConfig:
    """The options of retraining: which candidates are trained by themselves, and how.

    Attributes:
        top: number of the best candidates; the next best takes the place of one that fails.
        probes: number of candidates drawn at random from all, to measure the rank correlation; one
            that is among the best is trained once.
        promising: number of further candidates that all evidence names: scores under the shared weights
            and without training together; from 8 on, those retrained before teach how, costs too.
        evidence: names of the scores without training that are part of it.
        baselines: number of random architectures that are none of the best; with several, the
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
    baselines: int = 1
    match: str | None = "macs"
    weights: Literal["fresh", "inherited", "both"] = "fresh"
    model: dict[str, Any] = field(default_factory=dict)
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if self.top < 1 or self.baselines < 1 or min(self.probes, self.promising) < 0:
            raise ConfigError(
                "retrain.top and retrain.baselines must be at least 1, retrain.probes and "
                f"retrain.promising at least 0, not {self.top}, {self.baselines}, {self.probes} and "
                f"{self.promising}"
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


@dataclass(frozen=True)
class ModelConfig:
    """The model with choices, which is built later and several times.

    Attributes:
        class_path: import path of a class or function that returns a module.
        init_args: arguments that it is called with, besides those that the data gives.
    """

    class_path: str
    init_args: Mapping[str, Any]


@dataclass(frozen=True)
class RunConfig:
    """All options of a run.

    Attributes:
        seed: seed that all random draws of a run depend on.
        device: "auto" (a GPU where there is one), "cpu", "cuda", ...
        threads: CPU threads, 0 for all cores.
        workers: processes that read stored inputs; None for what their source says.
        model: the model with choices; None where it is given from Python.
        data: source of the examples.
        split: options of how the data is divided and varied.
        task: task, with its loss and measures.
        strategy: strategy by which the shared weights are learned.
        train: options of the training of the supernet.
        sharing: options of sharing weights between options that are built alike.
        watch: options of watching this training.
        few_shot: options of splitting the supernet, if it is split.
        evaluate: options of scoring candidates.
        search: options of the search for candidates.
        retrain: options of training the best by themselves.
        logger: logger that the records of the run are sent to besides its folder; None for none.
    """

    seed: int
    device: str
    threads: int
    workers: int | None
    model: ModelConfig | None
    data: DataSource
    split: SplitConfig
    task: Task
    strategy: Strategy
    train: TrainConfig
    sharing: SharingConfig
    watch: WatchConfig
    few_shot: FewShotConfig
    evaluate: EvaluateConfig
    search: SearchConfig
    retrain: RetrainConfig
    logger: Logger | None

    def __post_init__(self) -> None:
        tune, retrain = self.evaluate.tune, self.retrain
        if not tune.steps:
            return
        if "inherited" in retrain.kinds and not retrain.train.steps:
            raise ConfigError(
                f"evaluate.tune.steps {tune.steps} ranks networks by what they are after training, but "
                "retrain.weights inherited with retrain.train.steps 0 uses them without; give "
                "retrain.train.steps, or evaluate.tune.steps 0"
            )
        if tune.finalists is not None and tune.finalists < retrain.top:
            raise ConfigError(
                f"of evaluate.tune.finalists {tune.finalists} no {retrain.top} can be selected "
                "(retrain.top); give at least as many finalists"
            )
