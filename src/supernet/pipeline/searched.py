"""The search as it ended: what it selected, and the candidates that it ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supernet.errors import RunFolderError
from supernet.evaluate import Candidate, CandidateTable, Provenance
from supernet.pipeline.context import Run
from supernet.pipeline.shared_weights import SharedWeights
from supernet.track.records import Selected, verified
from supernet.track.sections import Finalists, SearchRecord

__all__ = ["Searched", "candidate_table", "candidates_of", "finalists_of", "load_searched"]


@dataclass(frozen=True)
class Searched:
    """What a search led to.

    Attributes:
        selected: architectures that are retrained: the best, and probes.
        protocol: protocol of the scores, and a hash of the weights that candidates were scored with.
        ranked: number of candidates that did not fail.
        finalists: candidates that the best were selected from, where these were tuned alone.
    """

    selected: Sequence[Selected]
    protocol: Provenance
    ranked: int
    finalists: Finalists | None = None


def load_searched(run: Run) -> Searched:
    """Return what the search led to, as `metrics.json` has it.

    Raises:
        RunFolderError: the search has not ended.
    """
    found = run.section(SearchRecord)
    ranked = found.candidates - found.failed
    return Searched(verified(found.selected), found.protocol, ranked, found.finalists)


def candidate_table(run: Run, *, write: bool = True) -> CandidateTable:
    """Return the table of the search.

    Args:
        run: run whose search is meant.
        write: whether rows are to be added.

    Raises:
        RunFolderError: there is none: one that is made now would hold no candidates, and yet be taken
            for that of the search.
    """
    if not run.folder.candidates.exists():
        raise RunFolderError(f"{run.folder.candidates} is missing; {run.repeat('search')}")
    better = run.config.preference
    return CandidateTable(run.folder.candidates, write=write, by=better.by, lower=better.lower)


def candidates_of(run: Run, shared: SharedWeights, searched: Searched) -> list[Candidate]:
    """Return the candidates of the search that were scored on all images, best first.

    Raises:
        RunFolderError: the search was with other weights, or its table is missing.
    """
    return _scored(run, shared, searched.protocol)


def finalists_of(run: Run, shared: SharedWeights, searched: Searched) -> list[Candidate]:
    """Return the candidates that the best are selected from, as they are ranked for that, best first.

    Raises:
        RunFolderError: see `candidates_of`.
    """
    finalists = searched.finalists
    if finalists is None:
        return candidates_of(run, shared, searched)
    return [one for one in _scored(run, shared, finalists.protocol) if one.key in finalists.keys]


def _scored(run: Run, shared: SharedWeights, provenance: Provenance) -> list[Candidate]:
    if provenance.weights != shared.hash:
        raise RunFolderError(
            f"the candidates of {run.folder.path} were scored with other weights than those there now; "
            f"delete {run.folder.candidates} and {run.repeat('search')}"
        )
    with candidate_table(run, write=False) as table:
        found = [one for one in table.all(provenance) if one.status == "ok"]
    return sorted(found, key=lambda candidate: candidate.rank_key)
