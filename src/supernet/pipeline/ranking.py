"""`supernet rank`, and the same from Python: how far a run's scores can be believed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from supernet.errors import ConfigError, RunFolderError
from supernet.failures import machine_errors
from supernet.pipeline.api import Result
from supernet.pipeline.execute import settings
from supernet.pipeline.failures import less_memory
from supernet.pipeline.fidelity import rank_by_truth, truth_of
from supernet.pipeline.identity import check_identity
from supernet.pipeline.objects import check_names
from supernet.pipeline.open import open_run
from supernet.pipeline.probes import ProbeOptions, rank_by_probes
from supernet.pipeline.several import as_rank
from supernet.pipeline.state import RunState
from supernet.pipeline.training_free import SCORES
from supernet.ranks import rank as own_rank
from supernet.reading import plain_value, shown, usable_path
from supernet.track.ranking import Ranking
from supernet.training_free import parts_of

__all__ = ["rank", "rank_run"]

MOST = 10**9
STEPS, CHANNELS = {"steps": 500}, {"channels": 8}


def rank(
    run: Result | str | os.PathLike[str],
    truth: object = None,
    *,
    count: int = 1000,
    probes: int = 16,
    seeds: int = 1,
    twice: int = 4,
    train: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    training_free: Sequence[str] = SCORES,
    seed: int = 0,
    progress: bool | None = None,
    trust: bool = False,
) -> Ranking:
    """Say how far the scores of a run can be believed; does what `supernet rank` does.

    Args:
        run: result of `supernet.run`, or a run folder with a trained supernet.
        truth: table of what networks are worth: a file of CSV or JSON, "nasbench201:cifar10",
            "nasbench-macro:FILE", a `supernet.fidelity.Truth`, or a mapping from architectures or their
            keys to values, higher being better. Without one, probes of the space are trained alone.
        count: number of networks that are drawn from it at random.
        probes: number of networks that are trained where no truth is given.
        seeds: number of trainings of each, with seeds of their own.
        twice: number of these that are trained once more where each is trained once.
        train: options of their training in which it differs from the run's `retrain.train`, such as
            `{"steps": 500}`.
        model: constructor arguments of their model in which it differs from the run's `retrain.model`,
            such as `{"cells": 1}`, for a smaller one of the same decisions.
        training_free: names of scores without training that are compared, too, and that probes learn
            from; none leaves them out.
        seed: seed of the draw, and of the resampling.
        progress: whether to draw bars of the progress; by default on terminals only.
        trust: go on in a folder of another origin that names code.

    Returns:
        What `ranking.json` in the run folder holds: `verdict` (`.kind`, `.text`, `.cautions`),
        `figures` (`.scores[name][figure]` with intervals), `ceiling`.

    Raises:
        SupernetError: the message says what is wrong and what to do.
    """
    check_count("count", count, 10)
    check_count("seed", seed, 0, 2**63 - 1)
    options = ProbeOptions(
        check_count("probes", probes, 3),
        check_count("seeds", seeds, 1),
        check_count("twice", twice, 0),
        [*_arguments("train", train, STEPS), *_arguments("model", model, CHANNELS)],
    )
    opens: Callable[..., contextlib.AbstractContextManager[RunState]]
    if isinstance(run, Result):
        folder, opens = run.folder, partial(run.again, mode="run")
    else:
        folder = usable_path(run, "run")
        opens = partial(open_run, [], program="supernet.rank", trust=trust)
    names = _names(training_free)
    given = [repr(options), *map(repr, (count, seed, names))]
    bars = {} if isinstance(run, Result) and progress is None else {"progress": progress}
    with as_rank(folder, given) as place:
        if not (place / "config.yaml").exists():
            raise RunFolderError(f"{folder} is no run folder; give one that supernet.run made")
        with opens(out=place, **(bars if own_rank() == 0 else {"progress": False})) as opened:
            return rank_run(opened, truth, count=count, seed=seed, options=options, free=names)


def rank_run(
    opened: RunState,
    truth: object = None,
    *,
    count: int = 1000,
    seed: int = 0,
    options: ProbeOptions | None = None,
    free: Sequence[str] = SCORES,
) -> Ranking:
    """Say how far the scores of a run that is open can be believed; see `rank`.

    Raises:
        ConfigError: options of a training are given beside a truth, where nothing is trained.
    """
    run, options = opened.run, options or ProbeOptions()
    if truth is not None and options.training:
        raise ConfigError(
            f"nothing is trained where a truth is given, so {options.training[0]!r} has no effect; "
            "leave one of them out"
        )
    remedy = less_memory(run.config, run.folder, "retrain" if truth is None else "search")
    with settings(run), machine_errors("the ranking", remedy):
        parts_of(free)  # said before anything is read or drawn, if there is no such score
        check_identity(opened)
        opened.trained  # noqa: B018  # said before, too
        if truth is None:
            return rank_by_probes(opened, options, seed, free)
        return rank_by_truth(opened, truth_of(opened, truth), count, seed, free)


def _names(training_free: object) -> list[str]:
    """Return names that a caller gives.

    Raises:
        ConfigError: they are none.
    """
    wrong = isinstance(training_free, str) or not isinstance(training_free, Sequence)
    if wrong or not all(isinstance(name, str) for name in cast(Sequence[object], training_free)):
        raise ConfigError(
            f'training_free is a list of names such as ["az_nas"], not {shown(training_free)}'
        )
    return list(cast(Sequence[str], training_free))


def _arguments(name: str, given: object, example: Mapping[str, Any]) -> list[str]:
    """Return options of a training or a model as arguments.

    Raises:
        ConfigError: they are none.
    """
    if given is None:
        return []
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} is a mapping such as {json.dumps(example)}, not {shown(given)}")
    check_names(given, {})
    values = {key: plain_value(value, f"{name}.{key}") for key, value in given.items()}
    return [
        f"--{name}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in values.items()
    ]


def check_count(name: str, value: object, least: int, most: int = MOST) -> int:
    """Return a number that a caller gives.

    Raises:
        ConfigError: it is no whole number in its range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(
            f"{name} is a whole number from {least:,} to {most:,}, not {shown(value)}"
        )
    return value
