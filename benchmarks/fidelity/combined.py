"""What all evidence of a run is worth: `python -m benchmarks.fidelity.combined RUN --train.steps=1000`.

The run folder is one that `benchmarks.fidelity.supernets` made, and ranked beside a published table. Of
the networks that were ranked, some are drawn at random, the probes, and trained alone as `supernet rank`
trains probes: by the run's `retrain.train` and `retrain.model`, and the options given here. They are
kept in the folder, so what was trained is not trained again. Printed is, on all networks, and on those
that are no probes, Kendall's τ with the published worth of each score, of all scores together without
any probe, and of what the probes teach; and what each would choose.

With `--noise X` nothing is trained: of a probe the normal quantile of the rank of its published worth is
known, with normal noise of so many standard deviations. Printed are means of τ on the networks that are
no probes over several draws of probes, with standard deviations over the draws.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.fidelity.supernets import taus, written
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
    parser.add_argument("--noise", type=float, help="of published worth that is known of probes")
    parser.add_argument("--draws", type=int, default=8, help="of probes, with --noise")
    given, rest = parser.parse_known_args()
    for folder in given.runs:
        ranking = read_ranking(folder / "ranking.json")
        assert ranking is not None, f"{folder} is not ranked"
        if given.noise is not None:
            with open_run([], folder, mode="read", progress=False) as opened:
                architectures = answers(opened, ranking)
            print(f"{folder.name}: {simulated(ranking, architectures, given)}")
            continue
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
    training = probe_training(opened, options)
    trials = ProbeTrials(opened.run, opened.inputs, training)
    with CandidateTable(opened.run.folder.candidates, write=False) as table:
        known = [table.get(ranking.keys[number], ranking.protocol) for number in drawn]
    candidates = [one for one in known if one is not None]
    assert len(candidates) == len(known), "candidates.db is of another run"
    reached = trials.values(candidates, [1] * len(candidates))
    worth = {number: values[0] for number, values in zip(drawn, reached, strict=True) if values}
    return worth, training.train.steps


def simulated(
    ranking: Ranking, architectures: Sequence[Architecture], given: argparse.Namespace
) -> str:
    """Return τ of what probes teach whose published worth is known with noise."""
    values, n = np.array(ranking.values), len(ranking.values)
    quantiles = stats.norm.ppf((stats.rankdata(values) - 0.5) / n)
    scores, start = _scores(ranking)
    found: dict[str, list[float]] = {}
    for seed in range(given.draws):
        draws = np.random.default_rng(seed)
        drawn = draws.choice(n, given.probes, replace=False)
        noise = given.noise * draws.standard_normal(given.probes)
        worth = dict(zip(drawn.tolist(), (quantiles[drawn] + noise).tolist(), strict=True))
        rest = np.setdiff1d(np.arange(n), drawn)
        rows = {
            "evidence": combine(scores, worth, start, architectures=architectures).mean,
            "without answers": combine(scores, worth, start).mean,
            "together, no probes": together([scores[name] for name in start]),
        }
        for name, one in rows.items():
            found.setdefault(name, []).append(_tau(one[rest], values[rest]))
    means = (
        f"{name} {np.mean(one):.3f} ± {np.std(one, ddof=1):.3f}" for name, one in found.items()
    )
    return f"{given.probes} probes, noise {given.noise:g}, {given.draws} draws: {', '.join(means)}"


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
    plain, start = _scores(ranking)
    scores = {name: np.array(one) for name, one in plain.items()}
    beside = [name for name in plain if name not in {"accuracy", "-loss"}]
    alone = max(beside, key=lambda name: _tau(scores[name], ranking.values))
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


def _scores(ranking: Ranking) -> tuple[dict[str, list[float]], list[str]]:
    """Return the scores of a ranking but their sum, and those that evidence starts from."""
    scores = {name: list(one) for name, one in ranking.scores.items() if name != "together"}
    free = [name for name in scores if name not in {"accuracy", "-loss", "params", "macs"}]
    return scores, start_of(scores, free)


def _line(found: Fidelity, name: str, score: np.ndarray, values: np.ndarray) -> str:
    parts = taus(found.scores[name])
    if name in found.over:
        parts.append(f"the first is higher by {written(found.over[name])}")
    parts.append(f"chooses {values[int(np.argmax(score))]:.4f} of {values.max():.4f}")
    return f"{name}: {', '.join(parts)}"


def _tau(score: np.ndarray, values: Sequence[float] | np.ndarray) -> float:
    return float(stats.kendalltau(score, values).statistic)


if __name__ == "__main__":
    main()
