"""`supernet rank`, and the same from Python: how far a run's scores can be believed."""

from __future__ import annotations

import contextlib
import os

from supernet.errors import ConfigError, RunFolderError
from supernet.failures import machine_errors
from supernet.pipeline.api import Result
from supernet.pipeline.execute import settings
from supernet.pipeline.failures import less_memory
from supernet.pipeline.fidelity import rank_by_truth, truth_of
from supernet.pipeline.identity import check_identity
from supernet.pipeline.open import open_run
from supernet.pipeline.state import RunState
from supernet.reading import shown, usable_path
from supernet.track.ranking import Ranking

__all__ = ["rank", "rank_run"]

MOST = 10**9


def rank(
    run: Result | str | os.PathLike[str],
    truth: object = None,
    *,
    count: int = 1000,
    seed: int = 0,
    progress: bool | None = None,
    trust: bool = False,
) -> Ranking:
    """Say how far the scores of a run can be believed; does what `supernet rank` does.

    Args:
        run: result of `supernet.run`, or a run folder with a trained supernet.
        truth: table of what networks are worth: a file of CSV or JSON, "nasbench201:cifar10",
            "nasbench-macro:FILE", a `supernet.fidelity.Truth`, or a mapping from architectures or their
            keys to values, higher being better.
        count: number of networks that are drawn from it at random.
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
    opens: contextlib.AbstractContextManager[RunState]
    if isinstance(run, Result):
        opens = run.again(mode="run")
    else:
        folder = usable_path(run, "run")
        if not (folder / "config.yaml").exists():
            raise RunFolderError(f"{folder} is no run folder; give one that supernet.run made")
        opens = open_run([], folder, program="supernet.rank", progress=progress, trust=trust)
    with opens as opened:
        return rank_run(opened, truth, count=count, seed=seed)


def rank_run(opened: RunState, truth: object, *, count: int = 1000, seed: int = 0) -> Ranking:
    """Say how far the scores of a run that is open can be believed; see `rank`."""
    run = opened.run
    with (
        settings(run),
        machine_errors("the ranking", less_memory(run.config, run.folder, "search")),
    ):
        check_identity(opened)
        if truth is None:
            raise ConfigError(
                "no truth is given; name one with --truth FILE (in Python: truth=...)"
            )
        opened.trained  # noqa: B018  # said before the table is read, if it is missing
        return rank_by_truth(opened, truth_of(opened, truth), count, seed)


def check_count(name: str, value: object, least: int, most: int = MOST) -> None:
    """Check a number that a caller gives.

    Raises:
        ConfigError: it is no whole number in its range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(
            f"{name} is a whole number from {least:,} to {most:,}, not {shown(value)}"
        )
