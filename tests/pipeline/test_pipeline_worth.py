"""What a run says of its ranking and its choice: probes, random baselines, what is better."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import supernet as sn
from supernet.cost import Constraints, measure_costs
from supernet.errors import ConfigError
from supernet.evaluate import Candidate, ExampleResults, Preference, kendall
from supernet.pipeline.baseline import _drawn
from supernet.pipeline.ranking_quality import ranking_quality
from supernet.pipeline.search import _select
from supernet.pipeline.test import over_random
from supernet.random import stream
from supernet.search import Problem, RandomSearch
from supernet.space import Architecture
from supernet.task import Classification
from supernet.track.records import NetworkScore, Outcome, Selected


def candidate(number, accuracy):
    architecture = Architecture({"a": str(number)})
    return Candidate(architecture.key, architecture, "ok", 1.0, accuracy, {"params": number})


class KnownScores:
    """A scorer of candidates that are scored already."""

    def __init__(self, candidates):
        self.known = {one.key: one for one in candidates}

    def score(self, architectures, searcher, generation):
        return [self.known[one.key] for one in architectures]


def selected(candidates, probes, seed, top=3):
    problem = SimpleNamespace(stream=lambda *purpose: stream(seed, "search", *purpose))
    config = SimpleNamespace(
        retrain=SimpleNamespace(top=top, probes=probes),
        search=SimpleNamespace(searcher=RandomSearch(1)),
    )
    ranked = sorted(candidates, key=lambda one: one.rank_key)
    run = SimpleNamespace(config=config)
    whole = [one for one in ranked if one.status == "ok"]
    return _select(run, problem, KnownScores(candidates), ranked, whole)[0]


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.2, 0.5])
def test_probes_show_the_tau_of_all_candidates(tau):
    """Neither the best nor an even spread is among them on purpose; both would show another τ."""
    random, r = np.random.default_rng(1), math.sin(math.pi * tau / 2)
    x = random.normal(size=200)
    y = r * x + math.sqrt(1 - r**2) * random.normal(size=200)
    whole = stats.kendalltau(x, y).statistic
    candidates = [candidate(number, score) for number, score in enumerate(x)]
    alone = {one.key: y[number] for number, one in enumerate(candidates)}
    score = {one.key: x[number] for number, one in enumerate(candidates)}
    found, best = [], 0
    for seed in range(400):
        keys = [one.key for one in selected(candidates, 16, seed) if one.probe]
        assert len(set(keys)) == 16
        found.append(stats.kendalltau([score[k] for k in keys], [alone[k] for k in keys]).statistic)
        best += candidates[int(x.argmax())].key in keys
    error = np.std(found) / 20
    assert np.mean(found) == pytest.approx(whole, abs=4 * error)
    assert 0.03 < best / 400 < 0.14  # 16 of 200


def test_a_best_one_that_is_drawn_is_both_and_more_probes_are_the_same_and_others():
    candidates = [candidate(number, number / 10) for number in range(10)]
    all_ = selected(candidates, 99, 0)
    assert [one.role for one in all_] == ["top"] * 3 + ["probe"] * 7
    assert all(one.probe for one in all_)
    few, more = (
        {one.key for one in selected(candidates, count, 0) if one.probe} for count in (3, 5)
    )
    assert few < more
    assert not any(one.probe for one in selected(candidates, 0, 0))
    assert {one.key for one in selected(candidates, 3, 0) if one.role == "top"} == {
        candidates[i].key for i in (7, 8, 9)
    }
    for one in all_:
        assert Selected.from_json(one.to_json()) == one


def outcome(number, shared, probe=True, **alone):
    architecture = Architecture({"a": str(number)})
    scores = {kind: {"accuracy": value, "loss": 1.0} for kind, value in alone.items()}
    costs = {"params": (7 * number) % 12, "macs": 5}
    return Outcome(
        key=architecture.key,
        role="probe",
        probe=probe,
        supernet={"accuracy": shared},
        costs=costs,
        validation=next(iter(scores.values())),
        weights="fresh",
        stand_alone=scores,
    )


def test_the_correlation_is_of_the_probes_with_the_truth_that_it_names():
    shared = [(5 * i) % 12 / 12 for i in range(12)]
    truth = [i / 12 for i in range(12)]
    probes = [outcome(i, shared[i], scratch=truth[i], fine_tuned=0.5) for i in range(12)]
    best = [outcome(20 + i, i, probe=False, scratch=-i) for i in range(5)]
    found = ranking_quality(Preference(), [*best, *probes, probes[0]], 200, 0)
    expected = kendall(shared, truth)
    assert found.correlation == expected
    assert expected.n == 12
    assert (found.truth, found.population, found.why) == ("scratch", 200, None)
    params = found.costs["params"]
    tau = stats.kendalltau([(7 * i) % 12 for i in range(12)], truth).statistic
    assert params.correlation.kendall_tau == pytest.approx(tau)
    assert params.difference.value == pytest.approx(expected.kendall_tau - tau)
    assert found.costs["macs"].correlation.kendall_tau is found.costs["macs"].difference is None
    tuned = [outcome(i, shared[i], inherited=shared[i], fine_tuned=truth[i]) for i in range(12)]
    assert ranking_quality(Preference(), tuned, 200, 0).truth == "fine_tuned"


def test_scores_are_not_compared_with_themselves():
    shared = [(5 * i) % 12 / 12 for i in range(12)]
    as_they_are = [outcome(i, one, inherited=one) for i, one in enumerate(shared)]
    untouched = [outcome(i, one, fine_tuned=one) for i, one in enumerate(shared)]  # rate 0
    for outcomes in (as_they_are, untouched):
        found = ranking_quality(Preference(), outcomes, 200, 0)
        assert (found.correlation.kendall_tau, found.why) == (None, "same weights")
        assert not found.correlation.meaningful
        assert found.costs == {}
    best = [outcome(i, one, probe=False, scratch=one) for i, one in enumerate(shared)]
    found = ranking_quality(Preference(), best, 200, 0)
    assert (found.correlation.kendall_tau, found.correlation.n, found.why) == (None, 0, "no probes")


class Net(nn.Module):
    """18 architectures of very different costs."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.a = sn.Choice(
            {str(width): self.block(width) for width in (1, 2, 4, 8, 16, 64)}, label="a"
        )
        self.b = sn.Choice([nn.Identity(), nn.Tanh(), self.block(3)], label="b")
        self.head = nn.Linear(6, classes)

    def block(self, width):
        return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 6))

    def forward(self, x):
        return self.head(self.b(self.a(x)))


def drawing(count, constraints=()):
    supernet = sn.SuperNet(Net())
    costs = measure_costs(supernet, torch.zeros(1, 6))
    held = Constraints(constraints, costs, supernet.space)
    problem = Problem(supernet.space, held, 0)

    def pick(a, b):
        one = supernet.space.canonical(Architecture({"a": a, "b": b}))
        return Selected(key=one.key, role="top", architecture=one, supernet={}, costs={})

    return problem, count, pick


def test_baselines_are_none_of_the_best_and_match_the_cost():
    found = []
    problem, count, pick = drawing(1)
    chosen = pick("16", "0")
    keys = {one.key for one in (chosen, pick("16", "1"))}
    for seed in range(40):
        problem = replace(problem, seed=seed)
        drawn = _drawn(problem, count, chosen, keys, "macs", 0.5)
        assert drawn == _drawn(problem, count, chosen, keys, "macs", 0.5)
        found += drawn
    macs = problem.constraints.tables["macs"].cost
    cost = macs(chosen.architecture)
    assert keys.isdisjoint(one.key for one in found)
    assert all(0.5 * cost <= macs(one) <= 1.5 * cost for one in found)
    assert len({one.key for one in found}) == 4  # 16 with the other option, and 8 with all three
    anything = _drawn(drawing(99)[0], 99, chosen, keys, "macs", None)
    assert len(anything) == 18 - 2


def test_baselines_keep_the_constraints():
    problem, count, pick = drawing(99, constraints=("params <= 50%",))
    chosen = pick("16", "0")
    params = problem.constraints.tables["params"]
    limit = params.range(problem.space)[1] / 2
    drawn = _drawn(problem, count, chosen, {chosen.key}, "macs", None)
    assert len(drawn) == 14
    assert all(params.cost(one) <= limit for one in drawn)


def scored(key, **score):
    return NetworkScore(key=key, weights="fresh", score=score)


def each(name, values):
    values = np.asarray(values, dtype=float)
    return ExampleResults(name, {name: values}, values)


def compared(chosen, random, better=None, task=None):
    return over_random(chosen, random, task or Classification(), better or Preference(), 0)


def chosen_and_random(accuracies):
    """Networks that are right on the first examples of 400."""
    return [
        (scored(str(i), accuracy=share), each("accuracy", np.arange(400) < 400 * share))
        for i, share in enumerate(accuracies)
    ]


def test_the_difference_from_random_ones_is_paired():
    chosen, *random = chosen_and_random([0.9, 0.88])
    one = compared(chosen, random)
    assert one.measure == "accuracy"
    assert one.examples.value == pytest.approx(0.02)
    # Right on all the other is right on: 8 examples differ, though each accuracy is unsure by 0.03.
    assert 0 < one.examples.low < 0.02 < one.examples.high < 0.04
    assert one.networks is None
    chosen, *random = chosen_and_random([0.9, 0.88, 0.8])
    two = compared(chosen, random)
    assert two.examples.value == two.networks.value == pytest.approx(0.06)
    assert two.networks.low < 0 < two.examples.low


def test_less_loss_is_better():
    losses = np.linspace(0, 2, 50)
    chosen = (scored("0", loss=float(losses.mean())), each("loss", losses))
    worse = (scored("1", loss=float(losses.mean()) + 0.5), each("loss", losses + 0.5))
    found = compared(chosen, [worse])
    assert (found.measure, found.examples.value) == ("loss", pytest.approx(0.5))


class RootMean(Classification):
    """Reports a figure that is no mean over examples, and better when lower."""

    lower_is_better = ("rmse",)

    def figures(self, means):
        return {"loss": means["loss"], "rmse": means["square"].sqrt()}


def test_a_figure_that_is_no_mean_is_compared_by_resampling_the_same_examples():
    errors = np.random.default_rng(0).normal(size=300)
    found = []
    for number, size in enumerate((1.0, 1.1, 1.3)):
        squares = (size * errors) ** 2
        rmse, measures = float(np.sqrt(squares.mean())), {"loss": squares, "square": squares}
        score = scored(str(number), loss=float(squares.mean()), rmse=rmse)
        found.append((score, ExampleResults("rmse", measures, None)))
    better = Preference("rmse", ("rmse",))
    one = compared(found[0], found[1:], better, RootMean())
    root = float(np.sqrt((errors**2).mean()))
    assert one.measure == "rmse"
    assert one.examples.value == pytest.approx(0.2 * root)
    assert one.networks.value == pytest.approx(0.2 * root)
    # The errors are proportional, so a resample changes the difference as it changes the root.
    spread = 0.2 * root * np.std(errors**2) / (2 * root**2) / math.sqrt(300)
    assert one.examples.high - one.examples.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


OPTIONS = {
    "train.steps": 6,
    "train.batch_size": 16,
    "retrain.train.steps": 4,
    "retrain.train.batch_size": 16,
    "retrain.top": 2,
    "retrain.probes": 5,
    "retrain.baselines": 3,
}


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 6, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


@pytest.fixture(scope="module")
def result(tmp_path_factory, data):
    return searched(tmp_path_factory.mktemp("worth") / "run", data)


def searched(out, data, **options):
    return sn.run(
        Net,
        data,
        strategy="spos",
        searcher="exhaustive",
        out=out,
        progress=False,
        options={**OPTIONS, **options},
    )


@pytest.mark.slow
def test_a_run_has_probes_and_baselines(result, data):
    retrain, test = result.metrics["retrain"], result.metrics["test"]
    rows = retrain["candidates"]
    assert sum(row["probe"] for row in rows) == retrain["ranking"]["n"] == 5
    assert (retrain["ranking"]["truth"], retrain["ranking"]["population"]) == ("scratch", 18)
    others = {row["key"] for row in rows if row["role"] != "random"}
    random = [row["key"] for row in rows if row["role"] == "random"]
    assert len(random) == len(set(random)) == 3
    assert others.isdisjoint(random)
    assert [one["key"] for one in test["random"]] == random
    gain = test.get("searched", test["chosen"])["accuracy"] - np.mean(
        [one["accuracy"] for one in test["random"]]
    )
    networks = test["over_random"]["networks"]
    alike = len({one["accuracy"] for one in test["random"]}) == 1
    assert networks is None if alike else networks["value"] == pytest.approx(gain)
    assert test["over_random"]["examples"]["value"] == pytest.approx(gain)
    chosen = next(row for row in rows if row["key"] == retrain["chosen"])
    assert chosen["validation"]["accuracy"] == max(row["validation"]["accuracy"] for row in rows)
    searched = next(row for row in rows if row["key"] == retrain.get("searched", retrain["chosen"]))
    assert searched["role"] != "random"
    tolerance = retrain["baselines"]["tolerance"]
    if tolerance:
        rest = [row for row in rows if row["role"] == "random"]
        assert all(abs(row["macs"] / searched["macs"] - 1) <= tolerance for row in rest)


@pytest.mark.slow
def test_other_baselines_need_no_other_search(result, tmp_path, data):
    first = searched(tmp_path / "run", data)
    assert first.metrics["retrain"]["candidates"] == result.metrics["retrain"]["candidates"]
    again = searched(tmp_path / "run", data, **{"retrain.match": "null", "retrain.baselines": 1})
    assert again.metrics["search"] == first.metrics["search"]
    baselines = again.metrics["retrain"]["baselines"]
    assert (baselines["match"], baselines["tolerance"]) == (None, None)
    assert len(baselines["networks"]) == len(again.metrics["test"]["random"]) == 1


@pytest.mark.slow
def test_where_the_best_are_all_there_is_there_is_no_baseline(tmp_path, data):
    found = searched(tmp_path / "run", data, **{"retrain.top": 18, "retrain.probes": 0})
    assert found.metrics["test"]["random"] == []
    assert found.metrics["test"]["over_random"] is None
    assert found.metrics["retrain"]["ranking"]["why"] == "no probes"


def test_a_cost_without_a_table_cannot_be_matched(tmp_path, data):
    with pytest.raises(ConfigError, match=r"retrain.match is 'joules', but .* macs, params; name"):
        searched(tmp_path / "run", data, **{"retrain.match": "joules"})
    with pytest.raises(ConfigError, match=r"retrain\.baselines, .* at least 0, not 2, -1, 5 and 0"):
        searched(tmp_path / "run", data, **{"retrain.baselines": -1})
