"""Scores that were planted, beside a truth that is known: each is called what it is."""

import math

import numpy as np
import pytest

from supernet.errors import ConfigError
from supernet.evaluate import resampling
from supernet.fidelity import Worth, assess, ceiling_of
from supernet.fidelity.cautions import deciding, small_split
from supernet.space import Architecture

N = 120
RANDOM = np.random.default_rng(11)
WORTH = RANDOM.normal(size=N)
SEEDS = WORTH + 0.3 * RANDOM.normal(size=(3, N))
NOISE = RANDOM.normal(size=(4, N))
OPTION = np.where(WORTH + 0.5 * NOISE[3] > 0, 1, 0)
ARCHITECTURES = [
    Architecture({"kernel": str(option), "width": str(width)})
    for option, width in zip(OPTION, RANDOM.integers(0, 4, N), strict=True)
]
NETWORKS = [
    Worth(one, (float(a), float(b)))
    for one, a, b in zip(ARCHITECTURES, SEEDS[0], SEEDS[1], strict=True)
]
TRUTH = np.array([one.value for one in NETWORKS])
PARAMS = WORTH + 1.5 * NOISE[0]

FAKES = {
    "constant": (np.ones(N), "constant"),
    "random": (NOISE[1], "chance"),
    "a count": (PARAMS, "a baseline"),
    "truth and noise": (WORTH + 0.8 * NOISE[1], "ranks"),
    "negated": (-WORTH - 0.8 * NOISE[1], "reversed"),
    "the truth": (TRUTH, "the truth"),
    "another seed": (SEEDS[2], "another training"),
    "what is never seen": (WORTH, "another training"),
    "one option": (OPTION + 0.01 * NOISE[1], "one option"),
    "few values": (np.digitize(WORTH + 0.8 * NOISE[1], [-1, 0, 1]), "ties"),
    "not a number": (np.full(N, np.nan), "no numbers"),
    "partly not a number": (np.where(NOISE[2] > 1, np.nan, WORTH + 0.8 * NOISE[1]), "left out"),
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals of 200 resamples are near enough."""
    monkeypatch.setattr(resampling, "RESAMPLES", 200)


@pytest.mark.parametrize("name", FAKES)
def test_each_is_called_what_it_is(name):
    score, kind = FAKES[name]
    found = assess({"score": score, "params": PARAMS}, NETWORKS, ["params"])
    said = found.verdict
    assert kind in {said.kind, *(one.kind for one in said.cautions)}, said.sentences()
    others = {one.kind for one in said.cautions} - {kind}
    assert not others, said.sentences()
    assert said.believable == (kind in ("ranks", "ties", "left out"))


def test_one_option_is_named_with_its_best_answer():
    found = assess({"score": FAKES["one option"][0]}, NETWORKS).verdict
    assert "'kernel' explains 100 % of its variance, and is best with '1'" in found.text
    assert deciding(WORTH, ARCHITECTURES) is None


def test_a_decision_with_an_answer_for_every_network_decides_nothing():
    every = [Architecture({"index": str(number)}) for number in range(N)]
    assert deciding(WORTH, every) is None


def test_what_is_left_out_is_out_of_all_columns():
    score = WORTH.copy()
    score[[3, 7]] = np.nan
    found = assess({"score": list(score)}, NETWORKS)
    assert found.figures.n == N - 2
    assert found.compared == tuple(i for i in range(N) if i not in (3, 7))
    assert "2 of 120 networks have no score" in found.verdict.sentences()
    missing = [None, *score[1:2], *score[4:7], *score[8:]]
    assert assess({"score": missing}, NETWORKS[: len(missing)]).figures.n == len(missing) - 1


def test_accuracies_on_few_images_may_be_noise():
    accuracies = 0.9 + 0.02 * (WORTH + 0.5 * NOISE[1])
    for images, kind in ((100, "noise"), (300, "small split"), (10_000, None)):
        found = assess({"accuracy": accuracies}, NETWORKS, images=images).verdict
        kinds = {one.kind for one in found.cautions}
        assert (kind in kinds) if kind else not kinds & {"noise", "small split"}
    caution = small_split("accuracy", np.array([0.4, 0.6]), 100)  # known to 5 points, differ by 14
    assert caution is None
    text = small_split("accuracy", np.array([0.46, 0.54]), 100).text
    assert "On 100 examples" in text
    assert "known to 5.00 points, and networks differ by 5.66" in text


def test_few_networks_are_said_to_be_few():
    found = assess({"score": (WORTH + NOISE[1])[:16]}, NETWORKS[:16]).verdict
    assert "few networks" in {one.kind for one in found.cautions}


def test_noise_larger_than_the_differences_is_said():
    noisy = [Worth(ARCHITECTURES[i], tuple(NOISE[:2, i] + 0.2 * WORTH[i])) for i in range(N)]
    found = assess({"score": WORTH}, noisy).verdict
    assert "noisy truth" in {one.kind for one in found.cautions}


def perfect(noise, seeds, of=4000):
    """Return the τ of a perfect score with the mean of so many seeds, for normal values."""
    reliability = 1 / (1 + noise**2 / seeds)
    return 2 / math.pi * math.asin(math.sqrt(reliability))


@pytest.mark.parametrize("source", ["second", "spread", "pairs"])
def test_the_ceiling_is_that_of_simulated_noise(source):
    random, noise, n = np.random.default_rng(3), 0.6, 400
    worth = random.normal(size=n)
    seeds = worth + noise * random.normal(size=(2, n))
    one = Architecture({"a": "x"})
    networks = {
        "second": lambda: [Worth(one, tuple(pair)) for pair in seeds.T],
        "spread": lambda: [Worth(one, (value,), noise) for value in seeds[0]],
        "pairs": lambda: [
            Worth(one, tuple(pair) if i < 9 else (pair[0],)) for i, pair in enumerate(seeds.T)
        ],
    }[source]()
    found = ceiling_of(networks)
    assert found.source == ("second" if source == "second" else "spread")
    expected = perfect(noise, 2 if source == "second" else 1)
    assert found.kendall_tau == pytest.approx(expected, abs=0.1 if source == "pairs" else 0.04)
    assert found.correlation.low < expected < found.correlation.high
    if source == "second":  # one more training, beside the mean of two
        third = worth + noise * random.normal(size=n)
        tau = resampling.tau(third, seeds.mean(0))
        assert found.twin == pytest.approx(tau, abs=0.04)


def test_nothing_is_known_of_noise_without_a_second_value_and_a_spread():
    one = Architecture({"a": "x"})
    assert ceiling_of([Worth(one, (float(v),)) for v in WORTH]) is None


def test_scores_of_another_length_are_refused():
    with pytest.raises(ConfigError, match=r"120 networks, and scores of 3 \(score\)"):
        assess({"score": [1.0, 2.0, 3.0]}, NETWORKS)
    with pytest.raises(ConfigError, match="scores of nothing"):
        assess({}, NETWORKS)
