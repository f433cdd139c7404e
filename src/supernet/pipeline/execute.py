"""The steps in their order, each given what those before it hand on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from supernet.failures import machine_errors
from supernet.pipeline.context import Run
from supernet.pipeline.failures import less_memory
from supernet.pipeline.few_shot import few_shot
from supernet.pipeline.hooks import result_records
from supernet.pipeline.identity import check_identity
from supernet.pipeline.retrain import retrain
from supernet.pipeline.search import search
from supernet.pipeline.state import RunState
from supernet.pipeline.test import test
from supernet.pipeline.train import check_inputs, train
from supernet.ranks import local_ranks, rank
from supernet.track import write_report
from supernet.track.sections import Section
from supernet.user_code import calling

__all__ = ["STEPS", "execute", "settings"]


def _train(state: RunState) -> None:
    check_inputs(state.run, state.inputs)  # before costs are counted, for which the model runs
    state.trained = train(state.run, state.inputs, state.costs)


def _few_shot(state: RunState) -> None:
    trained = state.trained  # it is said first if that is missing
    state.shared = few_shot(state.run, state.inputs, state.costs, trained)


def _search(state: RunState) -> None:
    shared = state.shared  # it is said first if that is missing
    state.searched = search(state.run, state.inputs, state.costs, shared)


def _retrain(state: RunState) -> None:
    searched, shared = state.searched, state.shared  # it is said first if one is missing
    state.retrained = retrain(state.run, state.inputs, state.costs, shared, searched)


def _test(state: RunState) -> None:
    test(state.networks(inherit=state.retrained.inherits), state.retrained)


def _report(state: RunState) -> None:
    """Write `report.html` from the files of the run."""
    write_report(state.run.folder.path)


STEPS: dict[str, Callable[[RunState], None]] = {
    "train": _train,
    "few_shot": _few_shot,
    "search": _search,
    "retrain": _retrain,
    "test": _test,
    "report": _report,
}
"""The steps in their order."""


def execute(state: RunState, steps: Sequence[str]) -> None:
    """Run steps in their order; one whose results stand in the folder is not repeated."""
    step, run = "", state.run
    with settings(run), calling(lambda: f"the step {step!r}" if step else "looking at the run"):
        if any(step != "report" for step in steps):
            with run.measured_step("load"):
                check_identity(state)
                if run.profiler is not None:
                    state.inputs  # noqa: B018 - loaded here, so that no step counts it
        split = run.config.few_shot.decision is not None
        steps = [one for one in steps if one != "few_shot" or split]
        open_steps = [one for one in steps if one != "report" and not run.folder.complete(one)]
        # The records of other ranks are those of the first.
        logger = run.config.logger if open_steps and not rank() else None
        with run.hooks.logging(logger, run.folder, run.options):
            for step in steps:
                if run.folder.complete(step):
                    run.progress.say(f"{step}: done before")
                else:
                    before = run.folder.metrics.section(step)
                    remedy = less_memory(run.config, run.folder, step)
                    with machine_errors(f"the step {step!r}", remedy), run.measured_step(step):
                        STEPS[step](state)
                    _after(run, step, before)


def _after(run: Run, step: str, before: Section | None) -> None:
    """Give new results of a step to hooks, and forget those of later steps, which came from others."""

    def result(section: Section | None) -> Any:
        return section and {**section.to_json(), "seconds": None, "tune_seconds": None}

    metrics = run.folder.metrics
    found = metrics.section(step)
    if result(found) == result(before):
        return
    for record in result_records(found):
        run.hooks.tell(record)
    later = [
        other for other in list(STEPS)[list(STEPS).index(step) + 1 :] if other in metrics.names
    ]
    if later:
        run.folder.forget(later)
        run.progress.say(
            f"{step} has other results than before; repeated for that: {', '.join(later)}"
        )


@contextlib.contextmanager
def settings(run: Run) -> Iterator[None]:
    """Use the configured number of threads and deterministic kernels, and put both back."""
    threads = torch.get_num_threads()
    try:
        every = max(1, (os.cpu_count() or 1) // local_ranks())
        torch.set_num_threads(run.config.threads or every)
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        with calling("working on the run"), flags:
            yield
    finally:
        torch.set_num_threads(threads)
