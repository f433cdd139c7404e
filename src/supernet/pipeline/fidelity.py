"""How far a run's scores can be believed: its networks scored, beside what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supernet.errors import ConfigError
from supernet.evaluate import Candidate, CandidateTable, Provenance, Scorer
from supernet.evaluate.rows import RANK
from supernet.fidelity import Truth, TruthRow, Worth, assess, load_truth, together
from supernet.fidelity.truth import architectures_by_key
from supernet.pipeline.batch_norm import search_protocol
from supernet.pipeline.context import Run
from supernet.pipeline.costs import problem_of
from supernet.pipeline.evidence import scores_of, start_of
from supernet.pipeline.failures import failed_candidates, failure_summary, none_left_error
from supernet.pipeline.scoring import evaluator, protocol_as
from supernet.pipeline.searched import candidate_table
from supernet.pipeline.state import RunState
from supernet.pipeline.training_free import training_free
from supernet.random import stream
from supernet.reading import shown
from supernet.space import Architecture
from supernet.track.ranking import ProbeRecord, Ranking, RankingTruth, write_ranking
from supernet.track.records import EvidenceRecord, Failed

__all__ = ["judged", "rank_by_truth", "scored", "truth_of"]

TOGETHER = "together"
"""What scores under shared weights and without training say together is called so."""

FEW = 20
"""Networks of which at least one must pass for others to be scored."""


def truth_of(state: RunState, table: object) -> Truth:
    """Return what the networks of a run are worth.

    Args:
        state: run, whose space is meant.
        table: a `Truth`; a mapping from architectures, or their keys, to values; or what
            `supernet.fidelity.load_truth` reads.

    Raises:
        ConfigError: it is none of these, or cannot be read.
        SpaceError: it is a table of another space.
    """
    space = state.inputs.space
    if isinstance(table, Truth):
        for one in table.networks.values():
            space.validate(one.architecture)
        return table
    known = _known(state.run)
    if isinstance(table, Mapping):
        return Truth.of("the mapping", "value", _rows(table, known, state), space)
    # It refuses what is no path, and says what there may be instead.
    return load_truth(table, space, state.inputs.from_string, known)  # type: ignore[arg-type]


def rank_by_truth(
    state: RunState,
    truth: Truth,
    count: int = 1000,
    seed: int = 0,
    free: Sequence[str] = (),
) -> Ranking:
    """Score networks of a table under the shared weights, and write `ranking.json`.

    They are drawn at random without replacement, each network alike; more are the same ones and others.
    What the table of candidates has is not scored again, so an interrupted call goes on.

    Args:
        state: run, of which the supernet is trained.
        truth: worth of networks, see `truth_of`.
        count: number of networks; all where the table has no more.
        seed: seed of the draw, and of the resampling.
        free: names of scores without training that are compared, too.

    Raises:
        ConfigError: there is no score without training of a name.
        NoNetworkError: none can be scored, of the first `FEW` or of all.
        RunFolderError: the supernet is not trained.
    """
    keys = sorted(truth.networks)
    stream(seed, "rank").shuffle(keys)
    networks = [truth.networks[key] for key in keys[:count]]
    state.run.progress.say(truth.text())
    candidates, protocol = scored(state, [one.architecture for one in networks])
    found = training_free(state.run, state.inputs, [one.architecture for one in candidates], free)
    return judged(state, RankingTruth.of(truth), networks, candidates, protocol, seed, found)


def scored(
    state: RunState, architectures: Sequence[Architecture]
) -> tuple[list[Candidate], Provenance]:
    """Return the candidates of architectures, by the protocol of the search, and this protocol.

    Raises:
        NoNetworkError: none passed, of the first `FEW` or of all.
    """
    run, inputs, shared, costs = state.run, state.inputs, state.shared, state.costs
    searched = run.folder.metrics.search
    if searched is None:
        protocol, _ = search_protocol(run, inputs, shared, problem_of(run, inputs, costs))
    else:
        protocol = protocol_as(run, inputs, searched.protocol)
    scores = evaluator(run, inputs, shared, protocol)
    bar = run.progress.task("rank", len(architectures))
    with _table(run) as table:
        scorer = Scorer(scores, costs, table, shared.hash, run.seed)
        found: list[Candidate] = []
        for part in (architectures[:FEW], architectures[FEW:]):
            found += scorer.score(part, RANK, 0, bar.advance)
            _check_any_passed(found)
    return found, scorer.provenance


def judged(
    state: RunState,
    source: RankingTruth,
    networks: Sequence[Worth],
    candidates: Sequence[Candidate],
    protocol: Provenance,
    seed: int,
    free: Mapping[str, Sequence[float]],
    failed: Sequence[Failed] = (),
    probes: ProbeRecord | None = None,
    evidence: EvidenceRecord | None = None,
) -> Ranking:
    """Compare scores with what networks are worth; returns what is written to `ranking.json`.

    Args:
        state: run that the networks are of.
        source: source of what they are compared with.
        networks: worth of each, `[n]`.
        candidates: the same under the shared weights, `[n]`.
        protocol: protocol of the scores.
        seed: seed of the resampling.
        free: scores without training of the same networks by name, `[n]` each.
        failed: networks of which it is not known what they are worth, as they failed.
        probes: how the networks were drawn and trained, where they are probes.
        evidence: record of what all scores tell together, where probes teach it.
    """
    run = state.run
    counts = list(state.costs)
    scores = {**scores_of(candidates, counts), **free}
    if free:
        scores[TOGETHER] = together([scores[name] for name in start_of(scores, counts)]).tolist()
    lost = failed_candidates(candidates)
    if lost:
        run.progress.say(failure_summary(lost, len(candidates), "networks", "candidates.db"))
    found = assess(
        scores,
        networks,
        counts,
        baselines=list(free),
        images=protocol.images,
        seed=seed,
        strata=None if probes is None else probes.strata,
    )
    compared = found.compared
    ranking = Ranking(
        truth=source,
        protocol=protocol,
        tune_seconds=sum(one.tune_seconds or 0.0 for one in candidates),
        seed=seed,
        failed=(*failed, *{one.kind: one for one in reversed(lost)}.values()),
        missing=len(lost),
        figures=found.figures,
        ceiling=found.ceiling,
        verdict=found.verdict,
        keys=tuple(candidates[i].key for i in compared),
        values=tuple(networks[i].value for i in compared),
        scores={name: tuple(float(one[i]) for i in compared) for name, one in scores.items()},
        probes=probes,
        evidence=evidence,
    )
    write_ranking(run.folder.ranking, ranking)
    return ranking


def _check_any_passed(candidates: Sequence[Candidate]) -> None:
    failed = failed_candidates(candidates)
    if candidates and len(failed) == len(candidates):
        raise none_left_error(
            failed,
            "networks that were scored with the shared weights",
            "They are scored again by the same command",
        )


def _table(run: Run) -> CandidateTable:
    """Return the table of candidates; it is made where no search has been."""
    if run.folder.metrics.search is not None:
        return candidate_table(run)  # or says that it is missing
    better = run.config.preference
    return CandidateTable(run.folder.candidates, by=better.by, lower=better.lower)


def _known(run: Run) -> list[Architecture]:
    """Return the architectures in the table of candidates, by whose keys a truth may name networks."""
    if not run.folder.candidates.exists():
        return []
    with CandidateTable(run.folder.candidates, write=False) as table:
        return table.architectures()


def _rows(
    table: Mapping[object, object], known: Sequence[Architecture], state: RunState
) -> list[TruthRow]:
    """Return the rows of a mapping from architectures, or their keys, to values."""
    find, rows = architectures_by_key(state.inputs.space, known), list[TruthRow]()
    for number, (name, value) in enumerate(table.items(), 1):
        place = f"entry {number}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"the mapping, {place}: a value is a number, not {shown(value)}")
        if isinstance(name, str):
            try:
                name = find(name)
            except KeyError:
                raise ConfigError(
                    f"the mapping, {place}: {shown(name)} is the key of no architecture of this space"
                ) from None
        if not isinstance(name, Architecture):
            raise ConfigError(
                f"the mapping, {place}: an architecture or the key of one is expected, not {shown(name)}"
            )
        rows.append(TruthRow(place, name, (float(value),)))
    return rows
