"""The typed configuration of a run: from files, command lines and Python alike.

`parser()` is the one definition; a user's own model, data set, strategy or searcher is named by its
import path, and the ready ones by a short name too.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import warnings
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import nn

from supernet.accepted import check_code, check_made
from supernet.arguments import NAMED, Layer, inherited, named_class, place, prepared, read_layers
from supernet.data import SOURCES, Augment, DataSource
from supernet.data.splits import FRACTION
from supernet.errors import ConfigError, SupernetError
from supernet.imports import resolve, safe_children
from supernet.net.source import DATA_ARGUMENTS
from supernet.reading import plain_value
from supernet.refusals import check_nulls, explained
from supernet.search import SEARCHERS, Searcher
from supernet.space import Sampling
from supernet.strategies import STRATEGIES, Strategy
from supernet.task import Task
from supernet.train import OptimizerFactory, ScheduleName
from supernet.zoo import SPACES

__all__ = [
    "DEFAULTS",
    "AloneConfig",
    "EvaluateConfig",
    "FewShotConfig",
    "RetrainConfig",
    "SearchConfig",
    "SplitConfig",
    "TrainConfig",
    "WeightsName",
    "build_parser",
    "differences",
    "help_text",
    "parse",
]


@dataclass
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


@dataclass
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
    log_every: int = 20
    checkpoint_seconds: float = 20.0

    fewest_steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, least in (("steps", self.fewest_steps), ("batch_size", 1), ("log_every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")
        if not 0 <= self.lowest <= 1:
            raise ConfigError(
                f"lowest is a share of the peak of the learning rate in 0–1, not {self.lowest}"
            )
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip is a norm above 0, or null for no limit, not {self.clip}")


@dataclass
class AloneConfig(TrainConfig):
    """The training of a network by itself, which inherited weights may not need."""

    fewest_steps: ClassVar[int] = 0


@dataclass
class FewShotConfig:
    """The options of splitting the trained supernet along a decision, each part then trained on.

    Attributes:
        decision: label of the decision; null for no splitting.
        train: the training of each part.
    """

    train: TrainConfig
    decision: str | None = None


@dataclass
class EvaluateConfig:
    """The options of scoring candidates.

    Attributes:
        batch_norm: statistics of the evaluation batch, or re-estimated per candidate; "auto" is what
            the strategy's paper does. "running" are those that training left, which have seen all paths
            and fit none; the published code of RandomNAS scores with them.
        batch_size: images per evaluation and calibration batch.
        calibration_batches: batches of training images that re-estimation averages over; "converge"
            finds the smallest number after which more change next to nothing, on `probes` candidates.
        memory: MiB for activations that candidates share; 0 scores them one by one.
        race: the probability to lose any of the best candidates that is accepted for dropping hopeless
            ones early; null scores all candidates on all images.
        probes: random architectures whose scores are compared under all treatments of batch norm, for
            the report; 0 for none.
    """

    batch_norm: Literal["auto", "batch", "recalibrate", "running"] = "auto"
    batch_size: int = 256
    calibration_batches: int | Literal["converge"] = 8
    memory: int = 512
    race: float | None = None
    probes: int = 0

    def __post_init__(self) -> None:
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


@dataclass
class SearchConfig:
    """The options of the search for candidates.

    Attributes:
        searcher: proposes architectures.
        constraints: bounds such as "macs <= 40e6" or "params <= 60%" of the largest.
        costs: files of cost tables besides "params" and "macs", as `supernet latency` writes them.
        other_device: use tables of latencies that were measured on another device than this.
        sampling: set that the searcher's random draws, the random baseline and the probes of batch
            norm are uniform over: the answers of each decision by itself ("decisions"), as in the
            published codes, or all "architectures". They differ where decisions lie in options.
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


WeightsName = Literal["fresh", "inherited"]


@dataclass
class RetrainConfig:
    """The options of retraining: which candidates are trained by themselves, and how.

    Attributes:
        top: number of the best candidates; the next best takes the place of one that fails.
        probes: number of candidates drawn at random from all, to measure the rank correlation; one
            that is among the best is trained once.
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
    baselines: int = 1
    match: str | None = "macs"
    weights: Literal["fresh", "inherited", "both"] = "fresh"
    model: dict[str, Any] = field(default_factory=dict)
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if self.top < 1 or self.probes < 0 or self.baselines < 1:
            raise ConfigError(
                "retrain.top and retrain.baselines must be at least 1 and retrain.probes at least 0, "
                f"not {self.top}, {self.baselines} and {self.probes}"
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


_GROUPS = {
    "split": SplitConfig,
    "train": TrainConfig,
    "few_shot": FewShotConfig,
    "evaluate": EvaluateConfig,
    "search": SearchConfig,
    "retrain": RetrainConfig,
}
"""Groups of options by their name."""

_SGD = {
    "class_path": "torch.optim.SGD",
    "init_args": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
}

DEFAULTS: dict[str, Any] = {
    "model": {"class_path": SPACES["bender"], "init_args": {"channels": 8, "groups": [1, 1]}},
    "data": {"class_path": SOURCES["digits"]},
    "task": {"class_path": "supernet.task.Classification"},
    "strategy": {"class_path": STRATEGIES["bender"]},
    "train.optimizer": _SGD,
    "few_shot.train.optimizer": _SGD,
    "search.searcher": {"class_path": SEARCHERS["random"]},
    "retrain.train.optimizer": _SGD,
}
"""What `supernet run` does without a configuration: the Bender space on handwritten digits."""

_DESCRIPTION = """
Where an option names a model, data set, strategy, searcher or optimizer, give a short name ('supernet
zoo' lists them) or the import path of a class, and its arguments as further options: --strategy bender
--strategy.vanish 0.05. --strategy.help NAME explains the arguments of one.
"""


def help_text(program: str) -> str:
    """Return the help of a command, without the lists of every class that PyTorch has."""
    with safe_children():
        text = build_parser(program).format_help()
    return re.sub(r",\s+known\s+subclasses:[^)]*\)", ")", text)


def build_parser(program: str, defaults: Mapping[str, Any] = DEFAULTS) -> ArgumentParser:
    """Return the parser of a run's configuration."""
    parser = ArgumentParser(
        prog=program, exit_on_error=False, allow_abbrev=False, description=_DESCRIPTION
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    parser.add_argument(
        "--seed", type=int, default=0, help="all random draws of a run depend on it"
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="auto (a GPU where there is one), cpu, cuda, ..."
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="CPU threads, 0 for all cores; with one, small networks are fastest, and results do not "
        "depend on the number of cores",
    )
    parser.add_subclass_arguments(
        nn.Module,
        "model",
        skip=set(DATA_ARGUMENTS),
        instantiate=False,
        required=False,
        help="the model with choices: a short name or an import path; its arguments "
        f"{', '.join(DATA_ARGUMENTS)}, if it has them, come from the data",
    )
    parser.add_argument("--data", type=DataSource, help="the data set: a short name or a class")
    parser.add_argument("--split", type=SplitConfig, default=SplitConfig())
    parser.add_argument("--task", type=Task, help="losses and measures")
    parser.add_argument("--strategy", type=Strategy, help="how the shared weights are learned")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    parser.add_class_arguments(FewShotConfig, "few_shot")
    parser.add_argument("--evaluate", type=EvaluateConfig, default=EvaluateConfig())
    parser.add_class_arguments(SearchConfig, "search")
    parser.add_class_arguments(RetrainConfig, "retrain")
    parser.set_defaults(dict(defaults))
    return parser


def parse(
    program: str,
    arguments: Sequence[str],
    base: Mapping[str, Any] | None = None,
    trust: bool = False,
    foreign: str | None = None,
) -> tuple[Namespace, dict[str, Any]]:
    """Read a configuration: defaults, then `base`, then the arguments in their order.

    Where a class is named, the arguments of another class that was named before are forgotten.

    Args:
        program: name of the command in error messages.
        arguments: arguments as on the command line, for instance `["--strategy", "spos"]`.
        base: options that come before the arguments.
        trust: use options of another origin that name code.
        foreign: name of what holds `base`, if that is of another origin, see `supernet.origin`.

    Returns:
        The instantiated configuration (the model as class path and arguments), and the resolved
        one as plain data, which read again gives the same.

    Raises:
        ConfigError: an option is unknown or of the wrong type, or a file cannot be read or is not
            trusted, or code that it names is not made for what it would be used for.
    """
    layers = read_layers(arguments, base, trust, foreign)
    again = copy.deepcopy(layers)
    all_layers = inherited(layers)
    try:
        return _parsed(program, all_layers)
    except ConfigError:
        if len(all_layers) > len(again):
            _parsed(program, again)  # names what is wrong as it was written
        raise


@functools.lru_cache(maxsize=16)
def _parser(program: str, defaults: str) -> ArgumentParser:
    """Return a parser for these defaults as JSON; building one takes longer than using it."""
    return build_parser(program, json.loads(defaults))


def _parsed(program: str, layers: Sequence[Layer]) -> tuple[Namespace, dict[str, Any]]:
    given, defaults = prepared(layers, _defaults(layers))
    parser = _parser(program, json.dumps(defaults))
    try:
        with safe_children():
            config = parser.parse_args(given)
    except (
        Exception
    ) as error:  # what the parser meets in values that it does not expect may be anything
        if isinstance(error, SupernetError):
            raise
        known = [action.dest for action in parser._actions if not action.dest.endswith(".help")]
        reason = (
            str(error) if isinstance(error, ArgumentError) else f"{type(error).__name__}: {error}"
        )
        raise ConfigError(f"{explained(reason, known)} (see {program} --help)") from error
    config.pop("config", None)
    with safe_children():
        check_code(config)
        plain = plain_value(_dumped(parser, config), "")
    check_nulls(plain, NAMED, _GROUPS)
    made = _made(parser, config, program)
    check_made(made)
    return made, plain


def _dumped(parser: ArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return the configuration as plain data, without defaults of classes that are objects."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        # What safe_load does, by the loader in C where there is one: this takes most of the time.
        plain: dict[str, Any] = yaml.load(
            parser.dump(config, skip_unset=False),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
    for option in NAMED:
        found = place(plain, option)
        arguments = found.get("init_args") if isinstance(found, dict) else None
        if isinstance(arguments, dict):
            kept = {name: value for name, value in arguments.items() if _OBJECT not in str(value)}
            found["init_args"] = kept
    return plain


_OBJECT = "Unable to serialize instance"
"""What the parser writes in place of an object."""


def _made(parser: ArgumentParser, config: Namespace, program: str) -> Namespace:
    """Return the configuration with objects for the classes in it.

    Raises:
        ConfigError: a class cannot be made from its arguments.
    """
    try:
        made: Namespace = parser.instantiate(config)
    except SupernetError:
        raise
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(
            f"the classes in the configuration cannot be made: {type(error).__name__}: {error} "
            f"(see {program} --help)"
        ) from error
    return made


def _defaults(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the defaults; what a coupled strategy learned needs no other searcher."""
    searcher = named_class("search.searcher", layers)
    named = named_class("strategy", layers)
    if searcher is not None or named is None:
        return DEFAULTS
    kind = resolve(named if "." in named else f"supernet.strategies.{named}")
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        return DEFAULTS
    learns = kind.learned is not Strategy.learned
    learned = {"search.searcher": {"class_path": SEARCHERS["learned"]}} if learns else {}
    return {**DEFAULTS, **learned}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options in which two configurations differ, with both values."""
    first, second = dict(_flat(one)), dict(_flat(other))
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            was, now = (str(one.get(name, "not given")) for one in (first, second))
            yield f"{name}: {was[:200]} and {now[:200]}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
