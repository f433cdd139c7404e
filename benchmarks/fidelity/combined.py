"""What all evidence of a run is worth: `python -m benchmarks.fidelity.combined RUN --train.steps=1000`.

The run folder is one that `benchmarks.fidelity.supernets` made, and ranked beside a published table. Of
the networks that were ranked, some are drawn at random, the probes, and trained alone as `supernet rank`
trains probes: by the run's `retrain.train` and `retrain.model`, and the options given here. They are
kept in the folder, so what was trained is not trained again. Printed is, on all networks, and on those
that are no probes, Kendall's τ with the published worth of each score, of all scores together without
any probe, and of what the probes teach; and what each would choose.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.fidelity.supernets import written
from supernet.evaluate import CandidateTable
from supernet.fidelity import Fidelity, combine, fidelity, together
from supernet.pipeline import RunState, open_run
from supernet.pipeline.evidence import start_of
from supernet.pipeline.probe_trials import ProbeTrials, probe_training
from supernet.space import Architecture
from supernet.track.ranking import Ranking, read_ranking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--probes", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0, help="of the draw of probes")
    given, rest = parser.parse_known_args()
    for folder in given.runs:
        ranking = read_ranking(folder / "ranking.json")
        assert ranking is not None, f"{folder} is not ranked"
        drawn = random.Random(given.seed).sample(range(len(ranking.keys)), given.probes)
        with open_run([], folder, progress=False) as opened:
            started = time.process_time()
            worth, steps = trained(opened, ranking, drawn, rest)
            architectures = answers(opened, ranking)
            seconds = time.process_time() - started
        print(
            f"{folder.name}: {len(worth)} probes of {steps:,} steps in {seconds / 60:.1f} CPU minutes "
            "(less where they were there before)"
        )
        print(compared(ranking, worth, architectures))


def trained(
    opened: RunState, ranking: Ranking, drawn: Sequence[int], options: Sequence[str]
) -> tuple[dict[int, float], int]:
    """Return what probes are worth by the number of the network, and the steps of a training."""
    train, plain = probe_training(opened, options)
    trials, worth = ProbeTrials(opened, train, plain), dict[int, float]()
    with CandidateTable(opened.run.folder.candidates, write=False) as table:
        known = {number: table.get(ranking.keys[number], ranking.protocol) for number in drawn}
    for count, number in enumerate(drawn, 1):
        candidate = known[number]
        assert candidate is not None, "candidates.db is of another run"
        values = trials.values(candidate, 1)
        if values:
            worth[number] = values[0]
        print(f"probe {count} of {len(drawn)}: {json.dumps(values)}", flush=True)
    return worth, train.steps


def answers(opened: RunState, ranking: Ranking) -> list[Architecture]:
    """Return the architectures of the networks that were ranked."""
    with CandidateTable(opened.run.folder.candidates, write=False) as table:
        found = [table.get(key, ranking.protocol) for key in ranking.keys]
    assert all(found), "candidates.db is of another run"
    return [one.architecture for one in found if one is not None]


def compared(
    ranking: Ranking, worth: dict[int, float], architectures: Sequence[Architecture]
) -> str:
    """Return a line for each score, and for all evidence."""
    scores = {name: np.array(one) for name, one in ranking.scores.items()}
    scores.pop("together", None)
    counts = ["params", "macs"]
    free = [name for name in scores if name not in {"accuracy", "-loss", *counts}]
    start = start_of(scores, free)
    plain = {name: one.tolist() for name, one in scores.items()}
    alone = max(free or counts, key=lambda name: _tau(scores[name], ranking.values))
    evidence = combine(plain, worth, start, architectures=architectures)
    rows = {
        f"evidence of {len(worth)} probes": evidence.mean,
        "the same without answers": combine(plain, worth, start).mean,
        f"the same from {alone} alone": combine(
            plain, worth, alone, architectures=architectures
        ).mean,
        "together, no probes": together([scores[name] for name in start]),
        **scores,
    }
    everything = list(range(len(ranking.values)))
    others = [number for number in everything if number not in worth]
    values = np.array(ranking.values)
    lines = [
        "  probes' own worth beside the published one: τ "
        f"{_tau(np.array(list(worth.values())), values[list(worth)]):.3f}; left-out probes are "
        f"predicted with τ {evidence.left_out.kendall_tau}"
    ]
    for title, some in (("all networks", everything), ("no probes", others)):
        found = fidelity({name: one[some] for name, one in rows.items()}, values[some], [], 0.95, 0)
        lines.append(f"  {title}, n = {found.n}")
        lines += [
            f"    {_line(found, name, one[some], values[some])}" for name, one in rows.items()
        ]
    return "\n".join(lines)


def _line(found: Fidelity, name: str, score: np.ndarray, values: np.ndarray) -> str:
    figures = found.scores[name]
    parts = [
        f"{what} {written(figures[figure])}"
        for what, figure in (
            ("τ", "kendall_tau"),
            ("best half", "kendall_tau_best_50"),
            ("best decile", "kendall_tau_best_10"),
        )
        if figure in figures
    ]
    if name in found.over:
        parts.append(f"the first is higher by {written(found.over[name])}")
    parts.append(f"chooses {values[int(np.argmax(score))]:.4f} of {values.max():.4f}")
    return f"{name}: {', '.join(parts)}"


def _tau(score: np.ndarray, values: Sequence[float] | np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(score, values).statistic)


if __name__ == "__main__":
    main()
