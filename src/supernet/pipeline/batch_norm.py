"""How batch norm is treated when candidates are scored: looked into before the search begins."""

from __future__ import annotations

import dataclasses

from supernet.evaluate import Evaluator, PartsEvaluator, Protocol
from supernet.evaluate.batch_norm_policy import BATCHES, compare_policies, converged_calibration
from supernet.pipeline.context import Run
from supernet.pipeline.failures import failure_summary
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import evaluator, protocol_of, tuning_of
from supernet.pipeline.shared_weights import SharedWeights
from supernet.search import Problem
from supernet.space import Architecture
from supernet.track.records import Failed
from supernet.track.sections import BatchNormRecord

__all__ = ["search_protocol"]

PROBES = 20
"""Candidates that convergence is judged by, where the configuration names no number."""


def search_protocol(
    run: Run, inputs: Inputs, shared: SharedWeights, problem: Problem
) -> tuple[Protocol, BatchNormRecord]:
    """Return the protocol of the search, and what was found on the way, for `metrics.json`.

    What is compared on the way is not tuned: it is batch norm that is looked into.
    """
    options, protocol, found = run.config.evaluate, protocol_of(run.config), BatchNormRecord()
    failed: dict[str, Failed] = {}

    def fails(architecture: Architecture, error: Exception) -> None:
        failed[architecture.key] = Failed.of(
            architecture.key, "batch norm probe", architecture, error
        )

    def make(protocol: Protocol) -> Evaluator | PartsEvaluator:
        return evaluator(run, inputs, shared, protocol)

    if options.calibration_batches == "converge" and protocol.batch_norm == "recalibrate":
        batches = converged_calibration(
            make,
            _probes(problem, options.probes or PROBES),
            batch_size=options.batch_size,
            failed=fails,
        )
        converged, enough = batches is not None, BATCHES[-1] if batches is None else max(batches, 1)
        run.progress.say(
            f"batch norm: {enough} calibration batches"
            + ("" if converged else ", the most that were tried: scores still change")
        )
        found = BatchNormRecord(converged=converged, calibration_batches=enough)
        protocol = dataclasses.replace(protocol, calibration_batches=enough)
    if options.probes:
        report = compare_policies(make, _probes(problem, options.probes), options.batch_size)
        for architecture, error in report.failed.items():
            fails(architecture, error)
        found = dataclasses.replace(
            found,
            measure=report.measure,
            architectures=len(next(iter(report.scores.values()))),
            agreements=tuple(report.agreements),
        )
    if failed:
        probes = options.probes or PROBES
        what = "architectures that treatments of batch norm are compared on"
        records = list(failed.values())
        run.progress.say(failure_summary(records, probes, what, "metrics.json"))
        found = dataclasses.replace(found, failed=tuple(records))
    if options.tune.finalists is None:
        protocol = dataclasses.replace(protocol, tuning=tuning_of(run, inputs))
    return protocol, found


def _probes(problem: Problem, count: int) -> list[Architecture]:
    return problem.sample(count, problem.stream("batch norm"))
