"""The trained supernet, as its checkpoint in the run folder has it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from supernet.cost import CostTable
from supernet.data import Loader
from supernet.errors import RunFolderError
from supernet.net import SuperNet
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.random import derive_seed
from supernet.space import Architecture
from supernet.strategies import TrainingContext
from supernet.train import Checkpoint, digest
from supernet.train.checkpoint import State

__all__ = [
    "Trained",
    "architectures_of",
    "check_trained",
    "load_trained",
    "read_trained",
    "trained_state",
    "training_context",
    "training_identity",
]


@dataclass(frozen=True)
class Trained:
    """The supernet after its training.

    Attributes:
        supernet: supernet with its trained weights.
        learned: state of the strategy.
        hash: hash of both.
    """

    supernet: SuperNet
    learned: Mapping[str, Any]
    hash: str


def trained_state(run: Run) -> State:
    """Return the content of the trained supernet's checkpoint, verified.

    Raises:
        RunFolderError: training has not ended.
    """
    state = run.folder.checkpoint.trained()
    if state is None or state["step"] < run.config.train.steps:
        raise RunFolderError(
            f"{run.folder.path} holds no trained supernet; run the step 'train' first"
        )
    return state


def load_trained(run: Run, inputs: Inputs, costs: Mapping[str, CostTable], state: State) -> Trained:
    """Return the trained supernet.

    Args:
        run: run whose folder holds it.
        inputs: inputs that it is trained with.
        costs: cost tables of the space.
        state: content of its checkpoint, see `trained_state`.

    Raises:
        RunFolderError: it was trained on another model, other data or other cost tables.
    """
    identity = training_identity(run, inputs, costs)
    return _restored(run, inputs.models.supernet(), identity, state)


def read_trained(run: Run, supernet: SuperNet, identity: str) -> Trained:
    """Give a supernet the weights in the folder.

    Args:
        run: run whose folder is read.
        supernet: supernet that takes up the weights, and is used on.
        identity: hash of what it is trained on, see `training_identity`.

    Raises:
        RunFolderError: training has not ended, or was of another model, other data or other tables.
    """
    return _restored(run, supernet, identity, trained_state(run))


def _restored(run: Run, supernet: SuperNet, identity: str, state: State) -> Trained:
    """Give a supernet the weights of a checkpoint."""
    checkpoint = run.folder.checkpoint
    check_trained(checkpoint, state, identity)
    with checkpoint.restoring():
        weights, learned = state["model"], state["learner"]["strategy"]
    found = digest([weights, learned] if learned else weights)
    with checkpoint.restoring():
        supernet.load_state_dict(weights)
    return Trained(supernet, learned, found)


def training_identity(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> str:
    """Return a hash of what is trained on what: model and data, and the tables the strategy uses.

    Raises:
        ConfigError: the strategy's options do not fit the space.
    """
    tables = UsedTables(costs)
    strategy = copy.deepcopy(run.config.strategy)
    strategy.prepare(inputs.supernet, training_context(run, inputs, tables))
    return digest([inputs.identity, tables.used])


def architectures_of(
    run: Run, inputs: Inputs, costs: Mapping[str, CostTable], trained: Trained
) -> list[Architecture]:
    """Return the architectures that the training led to; none from most strategies."""
    strategy = copy.deepcopy(run.config.strategy)
    strategy.prepare(trained.supernet, training_context(run, inputs, costs))
    with run.folder.checkpoint.restoring():
        strategy.load_state_dict(trained.learned)
    return strategy.learned(trained.supernet)


def training_context(
    run: Run, inputs: Inputs, costs: Mapping[str, CostTable], part: bool = False
) -> TrainingContext:
    """Return what a strategy may know before it trains the supernet, or a part of it."""
    size, seed = run.config.train.batch_size, derive_seed(run.seed, "train")
    search = inputs.splits.search
    loader = Loader(search, size, seed, inputs.augment, "search", normalise=inputs.normalise)
    better = run.config.preference
    return TrainingContext(run.seed, costs, part, loader, preference=better)


def check_trained(checkpoint: Checkpoint, state: State | None, identity: str) -> None:
    """Check that a checkpoint, if there is one, is of this model, this data and these cost tables.

    Raises:
        RunFolderError: it is of others.
    """
    if state is not None and state["identity"] != identity:
        raise RunFolderError(
            f"{checkpoint.path} was trained with another model, other data or other cost tables, "
            "though they are named alike (or by an older version); choose another folder"
        )


class UsedTables(Mapping[str, CostTable]):
    """Cost tables, and which of them were looked up."""

    def __init__(self, tables: Mapping[str, CostTable]) -> None:
        self._tables = tables
        self.used: dict[str, str] = {}

    def __getitem__(self, quantity: str) -> CostTable:
        table = self._tables[quantity]
        self.used[quantity] = table.digest
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, quantity: object) -> bool:
        return quantity in self._tables
