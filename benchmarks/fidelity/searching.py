"""How good a network a searcher finds after few candidates: `python -m benchmarks.fidelity.searching`.

A candidate's score is what its network is worth in a published table, so this is about searchers alone.
Printed is, for each searcher and number of candidates, what the best one is worth less than the best of
the table: the mean over the seeds, with the standard error of this mean. Searchers are given the
networks' parameters and multiply-adds, which `predictor` learns from, and all answers.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from supernet.cost import Constraints, CostTable
from supernet.cost.measure import measure_costs
from supernet.evaluate import Candidate
from supernet.fidelity import Truth, load_truth
from supernet.net import SuperNet
from supernet.search import (
    TPE,
    IntegerProgramming,
    LocalSearch,
    Predictor,
    Problem,
    RandomSearch,
    RegularizedEvolution,
    Search,
    Searcher,
)
from supernet.zoo import NASBench201, NASBenchMacro

SEARCHERS: Mapping[str, Callable[[int], Searcher]] = {
    "random": lambda count: RandomSearch(count),
    "regularized_evolution": lambda count: RegularizedEvolution(count, 20, 5, 1),
    "local_search": lambda count: LocalSearch(count, initial=10),
    "tpe": lambda count: TPE(population=10, generations=math.ceil(count / 10), startup=20),
    "predictor": lambda count: Predictor(count),
    "milp": lambda count: IntegerProgramming(count, first=count // 2, batch=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--macro", type=Path, help="published file of NAS-Bench-Macro")
    parser.add_argument("--cells", default="nasbench201", help="table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--after", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    given = parser.parse_args()
    models = {given.cells: NASBench201(channels=8, cells=1)}
    if given.macro:
        models[f"nasbench-macro:{given.macro}"] = NASBenchMacro(channels=8)
    for table, model in models.items():
        supernet = SuperNet(model)
        truth = load_truth(table, supernet.space, model.from_string)
        costs = measure_costs(supernet, example(model))
        print(f"{truth.name}: {len(truth.networks):,} networks, {given.seeds} seeds")
        for name in given.searchers:
            regrets = [
                regret(SEARCHERS[name](max(given.after)), truth, supernet, costs, seed, given.after)
                for seed in range(given.seeds)
            ]
            parts = [
                f"{after}: {statistics.mean(one):.4f} ± {standard_error(one):.4f}"
                for after, one in zip(given.after, zip(*regrets, strict=True), strict=True)
            ]
            print(f"  {name}: {', '.join(parts)}", flush=True)


def example(model: NASBench201 | NASBenchMacro) -> object:
    import torch

    return torch.zeros(1, 3, 32, 32, dtype=next(model.parameters()).dtype)


def standard_error(values: tuple[float, ...]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values))


def regret(
    searcher: Searcher,
    truth: Truth,
    supernet: SuperNet,
    costs: Mapping[str, CostTable],
    seed: int,
    after: list[int],
) -> list[float]:
    """Return what the best of the first so many candidates is worth less than the best of all."""
    problem = Problem(supernet.space, Constraints([], costs, supernet.space), seed)
    search, found = Search(searcher, problem), list[float]()
    while (asked := search.ask()) and len(found) < max(after):
        told = []
        for one in asked:
            worth = truth.networks[one.key].value
            count = {name: table.cost(one) for name, table in costs.items()}
            told.append(Candidate(one.key, one, "ok", -worth, worth, count))
            found.append(worth)
        search.tell(told)
    best = max(one.value for one in truth.networks.values())
    return [best - max(found[:count]) for count in after]


if __name__ == "__main__":
    main()
