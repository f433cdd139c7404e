"""Evidence: probes correct what is believed beforehand, and it is said whether they could."""

import numpy as np
import pytest
from scipy import stats

from supernet.errors import ConfigError
from supernet.fidelity import Evidence, combine
from supernet.fidelity.evidence import DISTANCE, LEVEL, SLOPE, _Posterior, _quantiles
from supernet.space import Architecture

N = 150


@pytest.fixture(scope="module")
def networks():
    """Return features of networks, and what they are worth: more than the start tells, and curved."""
    random = np.random.default_rng(0)
    columns = random.normal(size=(5, N))
    start = columns[0] + columns[1]
    worth = start + 1.5 * columns[2] - np.abs(columns[3])
    features = {f"f{i}": column.tolist() for i, column in enumerate(columns)}
    return {"start": start.tolist(), **features}, worth


def tau(one, other):
    return stats.kendalltau(one, other).statistic


def probes(worth, count, seed=0):
    drawn = np.random.default_rng(seed).choice(N, count, replace=False)
    return {int(index): float(worth[index]) for index in drawn}


def test_probes_teach_what_the_start_does_not_tell(networks):
    features, worth = networks
    found = combine(features, probes(worth, 40), start="start")
    rest = [index for index in range(N) if index not in probes(worth, 40)]
    alone = tau(np.array(features["start"])[rest], worth[rest])
    assert tau(found.mean[rest], worth[rest]) > alone + 0.2
    assert found.knows
    assert found.over.low > 0
    assert found.left_out.kendall_tau == pytest.approx(tau(found.mean[rest], worth[rest]), abs=0.15)


def test_few_or_worthless_probes_leave_a_good_start_as_it_is(networks):
    features, worth = networks
    good = {**features, "start": worth.tolist()}
    noise = dict(enumerate(np.random.default_rng(1).normal(size=10).tolist()))
    assert tau(combine(good, noise, start="start").mean, worth) > 0.8
    assert not combine(good, noise, start="start").knows
    assert combine(good, noise).start is None


def test_units_and_what_is_not_finite_do_not_matter(networks):
    features, worth = networks
    known = probes(worth, 20)
    found = combine(features, known, start="start")
    other = {name: np.exp(values).tolist() for name, values in features.items()}
    shifted = {index: 100 * value - 7 for index, value in known.items()}
    assert np.allclose(combine(other, shifted, start="start").mean, found.mean)
    least = [*features["f2"]]
    least[int(np.argmin(least))] = float("nan")
    assert np.allclose(combine({**features, "f2": least}, known, start="start").mean, found.mean)


def test_what_the_others_predict_of_a_probe_is_what_is_found_without_it(networks):
    """The short formula against the posterior of the remaining probes, under the same kernel."""
    features, worth = networks
    start = _quantiles(np.array(features["start"]))
    x = np.column_stack([_quantiles(np.array(one)) for one in features.values()])
    known = np.arange(12)
    y = _quantiles(worth[known])
    answers = np.random.default_rng(3).integers(0, 3, size=(N, 4))
    posterior = _Posterior(x, start, answers, known, y)
    gram = np.linalg.inv(posterior._inverse)
    for left in range(12):
        others = np.delete(known, left)
        weights = np.linalg.solve(gram[np.ix_(others, others)], (y - SLOPE * start[known])[others])
        expected = SLOPE * start[left] + gram[left, others] @ weights
        assert posterior.left_out()[left] == pytest.approx(expected)
    mean, std = posterior.predicted()
    assert np.allclose(std[:20] ** 2, np.diag(posterior.of(np.arange(20))))
    assert std[known].max() < std[12:].max()
    assert mean.shape == std.shape == (N,)


def test_the_next_probes_are_those_that_may_be_the_best(networks):
    features, worth = networks
    known = probes(worth, 30)
    found = combine(features, known, start="start")
    chosen = found.next_probes(10, known=list(known))
    assert len(set(chosen)) == 10
    assert not set(chosen) & set(known)
    assert chosen == found.next_probes(10, known=list(known))
    assert chosen != found.next_probes(10, seed=1, known=list(known))
    assert np.mean(found.mean[chosen]) > np.quantile(found.mean, 0.75)
    assert len(found.next_probes(2 * N, known=list(known))) == N - 30


def test_answers_teach_what_no_score_tells():
    """Worth is a sum over answers, and the features are noise."""
    random = np.random.default_rng(5)
    effects = random.normal(size=(4, 3))
    answers = random.integers(0, 3, size=(N, 4))
    architectures = [Architecture({f"d{j}": str(a) for j, a in enumerate(row)}) for row in answers]
    worth = effects[np.arange(4), answers].sum(1)
    features = {"noise": random.normal(size=N).tolist()}
    known = probes(worth, 30)
    rest = [index for index in range(N) if index not in known]
    blind = combine(features, known)
    found = combine(features, known, architectures=architectures)
    assert abs(tau(blind.mean[rest], worth[rest])) < 0.2
    assert tau(found.mean[rest], worth[rest]) > 0.6
    assert found.knows
    renamed = [Architecture({f"x{j}": int(a) for j, a in enumerate(row)}) for row in answers]
    assert np.allclose(combine(features, known, architectures=renamed).mean, found.mean)


def test_networks_alike_in_their_answers_covary_as_the_formula_says():
    random = np.random.default_rng(6)
    answers = random.integers(0, 2, size=(N, 5))
    x, start = random.normal(size=(N, 2)), random.normal(size=N)
    posterior = _Posterior(x, start, answers, np.arange(10), random.normal(size=10))
    a, b, h = posterior._variances
    for i, j in ((0, 1), (3, 8), (20, 20)):
        share = np.mean(answers[i] != answers[j])
        expected = (
            LEVEL
            + a * start[i] * start[j]
            + b * np.exp(-np.sum((x[i] - x[j]) ** 2) / 4)
            + h * np.exp(-DISTANCE * share)
        )
        assert posterior._prior(np.array([i]), np.array([j]))[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": {"a": [1.0] * 20, "b": [1.0]}}, "one value for each network"),
        ({"features": {}}, "one value for each network"),
        ({"worth": {0: 1.0}}, "1 networks trained alone are too few"),
        ({"worth": dict.fromkeys(range(13, 23), 1.0)}, r"from 0 to 19.*\[20, 21, 22\]"),
        ({"worth": {index: float("nan") for index in range(10)}}, "not finite"),
        ({"start": "c"}, "'c' is none of the features"),
        ({"architectures": [Architecture({})]}, "20 networks have features, but 1 architectures"),
    ],
)
def test_what_is_wrong_is_said(changes, words):
    given = {
        "features": {"a": list(range(20))},
        "worth": {index: float(index) for index in range(10)},
        "start": "a",
    }
    assert isinstance(combine(**given), Evidence)
    with pytest.raises(ConfigError, match=words):
        combine(**{**given, **changes})


def test_constants_teach_nothing():
    found = combine({"a": [1.0] * 20}, {index: float(index) for index in range(10)})
    assert np.ptp(found.mean) == pytest.approx(0, abs=1e-9)
    assert found.left_out.kendall_tau is None or not found.knows


def test_a_trust_takes_a_share_of_what_probes_say_and_leaves_the_rest_unknown(networks):
    """As in a Gaussian process of truth and error, with covariances t k and (1 - t) k."""
    features, worth = networks
    known = probes(worth, 40)
    whole, part = (combine(features, known, start="start", trust=t) for t in (1.0, 0.3))
    start = SLOPE * _quantiles(np.array(features["start"]))
    assert part.mean - start == pytest.approx(0.3 * (whole.mean - start))
    assert part.left_out == whole.left_out  # what is predicted is what probes say
    posterior = whole._posterior
    everything = np.arange(N)
    prior = posterior._prior(everything, everything)
    between = posterior._prior(everything, posterior._probes)
    covariance = 0.3 * prior - 0.3 * between @ posterior._inverse @ (0.3 * between).T
    assert part._posterior.of(range(N)) == pytest.approx(covariance)
    assert part.std == pytest.approx(np.sqrt(np.diag(covariance)))


@pytest.mark.parametrize("trust", [0.0, -1.0, 1.01, float("nan")])
def test_a_trust_that_is_no_share_is_refused(networks, trust):
    features, worth = networks
    with pytest.raises(ConfigError, match="trust is a share above 0, at most 1"):
        combine(features, probes(worth, 20), start="start", trust=trust)


def test_probes_that_err_alike_mislead_less_where_they_are_trusted_less(networks):
    features, worth = networks
    biased = worth - 2.5 * np.array(features["f2"])  # what short trainings overlook
    known = probes(biased, 100)
    half, whole = (combine(features, known, start="start", trust=t).mean for t in (0.3, 1.0))
    alone = tau(np.array(features["start"]), worth)
    assert tau(half, worth) > tau(whole, worth)
    assert tau(whole, worth) < alone
