"""All options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from supernet.config.searching import EvaluateConfig, RetrainConfig, SearchConfig
from supernet.config.training import FewShotConfig, SharingConfig, TrainConfig, WatchConfig
from supernet.data import Augment, DataSource
from supernet.data.splits import FRACTION
from supernet.errors import ConfigError
from supernet.loggers import Logger
from supernet.strategies import Strategy
from supernet.task import Task
from supernet.task.preference import Preference

__all__ = ["ModelConfig", "RunConfig", "SplitConfig"]


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

    @property
    def preference(self) -> Preference:
        """By which figure networks are ranked, and which are better when lower."""
        return Preference(self.evaluate.rank_by, tuple(self.task.lower_is_better))

    def of_examples(self, count: int) -> RunConfig:
        """Return the same options with the numbers of steps that epochs make of so many examples."""
        return replace(
            self,
            train=self.train.of_examples(count),
            few_shot=replace(self.few_shot, train=self.few_shot.train.of_examples(count)),
            retrain=replace(self.retrain, train=self.retrain.train.of_examples(count)),
        )

    @property
    def trainings(self) -> dict[str, TrainConfig]:
        """The options of each training, by the name of their group."""
        return {
            "train": self.train,
            "few_shot.train": self.few_shot.train,
            "retrain.train": self.retrain.train,
        }

    def __post_init__(self) -> None:
        for name, training in self.trainings.items():
            training.check(name)
            if training.mixing and not self.task.mixes:
                options = (f"{name}.{one} {getattr(training, one)}" for one in ("mixup", "cutmix"))
                raise ConfigError(
                    f"{' and '.join(options)} mix classes, and the loss of the task "
                    f"{type(self.task).__name__} takes no shares of them; leave both at 0, or use the "
                    "task classification"
                )
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
