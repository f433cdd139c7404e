import io
import itertools
import math
from collections import Counter
from random import Random

import pytest
import torch
from coupled_models import BATCH, Factors, Mean, Times, at, calls, moved, ready, values
from torch import nn

from supernet.choice import Choice
from supernet.cost import ExpectedCost, measure_costs
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import Alpha, CostPenalty, ProxylessNAS, ProxylessRL
from supernet.strategies.proxyless import draw_active, draw_pair
from supernet.task import Classification
from supernet.train import Schedule
from supernet.zoo import Proxyless as Space

START = {"first": [0.6, -0.2, 0.1], "inner": [0.3, -0.4], "outer": [0.2, -0.1]}


def ran(supernet, run):
    """Return which options a call ran, by decision."""
    before = {label: calls(choice) for choice, label in supernet.choices.items()}
    run()
    after = {label: calls(choice) for choice, label in supernet.choices.items()}
    return {
        label: {i for i, n in enumerate(after[label]) if n > before[label][i]} for label in after
    }


def without_replacement(p, a, b):
    """Return the probability that two draws are a and b, in either order."""
    return p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b])


def test_pairs_are_drawn_without_replacement_and_the_active_one_by_its_share():
    p, random, draws = [0.5, 0.3, 0.2], Random(1), 6000
    counts = Counter(draw_pair(p, random) for _ in range(draws))
    expected = {
        (a, b): draws * without_replacement(p, a, b) * p[a] / (p[a] + p[b])
        for a, b in itertools.permutations(range(3), 2)
    }
    assert counts.keys() == expected.keys()
    assert sum(expected.values()) == pytest.approx(draws)
    assert sum((counts[pair] - n) ** 2 / n for pair, n in expected.items()) < 25.7  # 1 in 10,000
    assert draw_pair([1.0], random) == (0,)


def test_an_architecture_step_runs_two_options_and_gives_what_the_active_one_gives():
    strategy = ProxylessNAS(mode="two")
    supernet = ready(strategy, start=START)
    seen = set()
    for step in range(12):
        pairs = strategy.drawn(at(step))
        routing = strategy.routing(supernet, at(step))
        active = {label: supernet.space.decision(label).options[pairs[label][0]] for label in pairs}
        path = supernet.space.build(lambda d, active=active: active[d.label])
        expected = supernet(BATCH[0], path)
        outputs = []
        found = ran(supernet, lambda: outputs.append(supernet(BATCH[0], routing)))  # noqa: B023
        assert torch.equal(outputs[0], expected)
        assert found == {label: set(pairs[label]) for label in START}
        seen.add(path)
    assert len(seen) > 3


def test_pairs_that_nothing_runs_have_no_gate():
    class Three(nn.Module):
        def __init__(self):
            super().__init__()
            inner = Choice({"p": nn.Linear(4, 3), "q": nn.Linear(4, 3)}, label="inner")
            options = {"deep": inner, "x": nn.Linear(4, 3), "y": nn.Linear(4, 3)}
            self.outer = Choice(options, label="outer")

        def forward(self, x):
            return self.outer(x)

    strategy = ProxylessNAS(every=1, mode="two", alpha=Alpha(0.1, (0.0, 0.999), weight_decay=0.0))
    supernet = ready(strategy, Three())
    seen = set()
    for step in range(12):
        there = 0 in strategy.drawn(at(step))["outer"]
        assert ("inner" in strategy.routing(supernet, at(step))) == there
        before = values(strategy)
        active = strategy.drawn(at(step))["outer"][0] == 0
        strategy.alpha_step(supernet, Classification(), BATCH, at(step))
        assert ("inner" in moved(strategy, before)) == active
        seen.add((there, active))
    assert seen == {(True, True), (True, False), (False, False)}


def test_the_pair_keeps_its_mass_and_no_other_option_moves():
    strategy = ProxylessNAS(every=1, mode="two", alpha=Alpha(0.3, (0.0, 0.999), weight_decay=0.0))
    factors = [1.0, -2.0, 3.0, 0.5]
    supernet = ready(strategy, Factors(*factors), start={"pick": [0.5, -0.3, 0.1, 0.0]})
    inputs = strategy.search_loader.batch(0)[0].mean()
    assert inputs.abs() > 1e-3
    for step in range(12):
        moment, before = at(step), values(strategy)["pick"]
        pair = list(strategy.drawn(moment)["pick"])
        others = [i for i in range(4) if i not in pair]
        strategy.alpha_step(supernet, Mean(), BATCH, moment)
        after = strategy.alphas["pick"].detach()
        assert torch.equal(after[others], before[others])
        assert (after[pair] != before[pair]).all()
        mass = torch.exp(before[pair]).sum()
        torch.testing.assert_close(torch.exp(after[pair]).sum(), mass)
        worse = max(pair, key=lambda i: factors[i] * strategy.search_batch(moment)[0].mean())
        assert after[worse] < before[worse]


def estimates(alpha, factors):
    """Return the gradient of every pair, active option first, and the probability of the pair."""
    strategy = ProxylessNAS(mode="two")
    supernet = ready(strategy, Factors(*factors), start={"pick": alpha})
    p = torch.softmax(torch.tensor(alpha), 0).tolist()
    found = []
    for a, b in itertools.permutations(range(len(alpha)), 2):
        strategy.drawn = lambda moment, pair=(a, b): {"pick": pair}
        with supernet.route(strategy.routing(supernet, at(0))):
            loss = Mean().loss(supernet, (torch.ones(2, 4),))
        (gradient,) = torch.autograd.grad(loss, strategy.alphas["pick"])
        found.append((without_replacement(p, a, b) * p[a] / (p[a] + p[b]), (a, b), gradient))
    return found


def test_with_two_options_and_a_linear_loss_the_gradient_is_exact_in_every_sample():
    start, factors = [0.7, -0.2], torch.tensor([2.0, 5.0])
    alpha = torch.tensor(start, requires_grad=True)
    (exact,) = torch.autograd.grad((torch.softmax(alpha, 0) * factors).sum(), alpha)
    for _, _, gradient in estimates(start, factors.tolist()):
        torch.testing.assert_close(gradient, exact)


def test_with_more_options_every_difference_has_its_sign_and_the_pairs_weight():
    start, factors = [0.7, -0.2, 0.3], [2.0, 5.0, 1.0]
    p = torch.softmax(torch.tensor(start), 0).tolist()
    expected, mean = torch.zeros(3), torch.zeros(3)
    for a, b in itertools.combinations(range(3), 2):
        share = p[a] * p[b] / (p[a] + p[b]) ** 2
        slope = without_replacement(p, a, b) * share * (factors[a] - factors[b])
        expected[a] += slope
        expected[b] -= slope
    for probability, (a, b), gradient in estimates(start, factors):
        mean += probability * gradient
        assert torch.sign(gradient[a]) == (1 if factors[a] > factors[b] else -1)
        assert gradient.sum().abs() < 1e-6
    torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("mode", ["full", "two"])
@pytest.mark.parametrize("kind", ["linear", "log"])
def test_the_expected_cost_is_that_of_the_options_with_a_gate(kind, mode, monkeypatch):
    strategy = ProxylessNAS(
        every=1, mode=mode, zeros=(), cost=CostPenalty("macs", weight=0.3, target=30, form=kind)
    )
    supernet = ready(strategy, start=START)
    pairs = strategy.drawn(at(2))
    chances = {}
    for label, alpha in strategy.alphas.items():
        dense = torch.exp(alpha) * torch.tensor(
            [float(i in pairs[label]) for i in range(len(alpha))]
        )
        chances[label] = dense / dense.sum()
    macs = ExpectedCost(measure_costs(supernet, BATCH[0][:1])["macs"], supernet.space)(chances)
    with supernet.route(strategy.routing(supernet, at(2))):
        loss = Classification().loss(supernet, strategy.search_batch(at(2)))
    if kind == "linear":
        loss = loss + 0.3 * (macs - 30) / 30
    else:
        loss = loss * (torch.log(macs) / torch.log(torch.tensor(30.0))) ** 0.3
    expected = torch.autograd.grad(loss, list(strategy.alphas.values()))
    steps = []
    monkeypatch.setattr(strategy, "move_alpha", steps.append)
    strategy.alpha_step(supernet, Classification(), BATCH, at(2))
    for found, gradient in zip(steps[0], expected, strict=True):
        torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize("kind", [ProxylessNAS, ProxylessRL])
def test_a_weight_step_trains_one_path_and_alpha_moves_now_and_then(kind):
    strategy = kind(every=3, alpha=Alpha(warmup=0.3, learning_rate=0.01))
    supernet = ready(strategy)
    steps, paths = [], set()
    for step in range(11):
        before = values(strategy)
        strategy.backward(supernet, Classification(), BATCH, at(step))
        if moved(strategy, before):
            steps.append(step)
        path = strategy.path(supernet.space, at(step).stream("path"))
        for choice, label in supernet.choices.items():
            chosen = supernet.space.decision(label).indices(path[label]) if label in path else ()
            for i, option in enumerate(choice.options):
                own = [p for p in option.parameters() if p.grad is not None]
                assert bool(own) == (i in chosen and any(True for _ in option.parameters()))
        supernet.zero_grad(set_to_none=True)
        paths.add(path)
    assert steps == [5, 8]  # of 2, 5 and 8 the first lies in the warm-up
    assert len(paths) > 3


def test_by_default_every_option_has_a_gate_and_the_gradient_of_a_linear_loss_is_exact():
    start, factors = [0.7, -0.2, 0.3, 0.0], torch.tensor([2.0, 5.0, 1.0, -3.0])
    alpha = torch.tensor(start, requires_grad=True)
    (exact,) = torch.autograd.grad((torch.softmax(alpha, 0) * factors).sum(), alpha)
    strategy = ProxylessNAS()
    supernet = ready(strategy, Factors(*factors), start={"pick": start})
    seen = set()
    for step in range(20):
        routing = strategy.routing(supernet, at(step, 20))
        gate = routing["pick"]
        (active,) = (i for i, g in zip(gate.options, gate.weights, strict=True) if g == 1)
        assert sorted(gate.options) == [0, 1, 2, 3]
        with supernet.route(routing):
            loss = Mean().loss(supernet, (torch.ones(2, 4),))
        assert loss == factors[active]
        (gradient,) = torch.autograd.grad(loss, strategy.alphas["pick"])
        torch.testing.assert_close(gradient, exact)
        seen.add(active)
    assert len(seen) == 4


def test_the_active_option_is_drawn_by_softmax():
    p, random, draws = [0.5, 0.3, 0.2], Random(1), 6000
    counts = Counter(draw_active(p, random) for _ in range(draws))
    assert counts.keys() == {(0, 1, 2), (1, 0, 2), (2, 0, 1)}
    expected = {(0, 1, 2): 3000, (1, 0, 2): 1800, (2, 0, 1): 1200}
    assert sum((counts[o] - n) ** 2 / n for o, n in expected.items()) < 18.4  # 1 in 10,000


def test_what_leaves_a_layer_out_of_the_space_of_the_paper_is_known():
    space = SuperNet(Space((3, 32, 32), depths=(2, 2), widths=(8, 8), strides=(1, 2))).space
    options = {(d.label, option) for d in space.decisions for option in d.options}
    zeros = {(label, option) for label, option in options if not str(option).startswith("mb")}
    assert zeros
    assert {(d, option) for d, option in options if space.role(d, option)} == zeros


@pytest.mark.parametrize("mode", ["full", "two"])
def test_alpha_rests_where_the_active_option_is_a_zero(mode):
    """In `Chain` the first decision may skip; its α moves in all steps but those that draw it."""
    strategy = ProxylessNAS(every=1, mode=mode, alpha=Alpha(0.1, (0.0, 0.999), 0.0))
    supernet = ready(strategy)
    rested = 0
    for step in range(20):
        before = values(strategy)
        zero = strategy.drawn(at(step, 20))["first"][0] == 2
        strategy.alpha_step(supernet, Classification(), BATCH, at(step, 20))
        assert ("first" not in moved(strategy, before)) == zero
        rested += zero
    assert 0 < rested < 20


class Off(Times):
    """Leaves a layer out, by its role, whatever it is called."""

    option_role = "none"


@pytest.mark.parametrize(("zeros", "rests"), [(("none", "skip"), True), (("skip",), False)])
def test_a_module_says_that_it_leaves_a_layer_out(zeros, rests):
    strategy = ProxylessNAS(every=1, zeros=zeros, alpha=Alpha(0.1, (0.0, 0.999), 0.0))
    model = Choice({"on": Times(2), "off": Off(0)}, label="pick")
    supernet = ready(strategy, model)
    seen = set()
    for step in range(12):
        before = values(strategy)
        off = strategy.drawn(at(step, 12))["pick"][0] == 1
        strategy.alpha_step(supernet, Mean(), BATCH, at(step, 12))
        seen.add((off, "pick" in moved(strategy, before)))
    assert seen == {(True, not rests), (False, True)}


def test_alpha_learns_from_the_loss_without_smoothing(monkeypatch):
    strategy = ProxylessNAS(every=1, zeros=())
    supernet, steps = ready(strategy, start=START), []
    with supernet.route(strategy.routing(supernet, at(0))):
        inputs, targets = strategy.search_batch(at(0))
        loss = nn.functional.cross_entropy(supernet(inputs), targets)
    expected = torch.autograd.grad(loss, list(strategy.alphas.values()))
    monkeypatch.setattr(strategy, "move_alpha", steps.append)
    strategy.alpha_step(supernet, Classification(label_smoothing=0.3), BATCH, at(0))
    for found, gradient in zip(steps[0], expected, strict=True):
        torch.testing.assert_close(found, gradient)


def test_a_measure_without_a_gradient_is_refused():
    class Blind(Mean):
        def measure(self, model, batch):
            return {"loss": super().measure(model, batch)["loss"].detach()}

    strategy = ProxylessNAS(every=1)
    supernet = ready(strategy, Factors(1, 2))
    with pytest.raises(ConfigError, match="that of Blind has none"):
        strategy.alpha_step(supernet, Blind(), BATCH, at(0))


@pytest.mark.parametrize("kind", [ProxylessNAS, ProxylessRL])
def test_both_schedules_are_those_of_the_authors_code(kind):
    """40 epochs from 0.05 to 0, then 120 from 0.025 to 0; α rests for the 40, and one more."""
    strategy, schedule = kind(), Schedule("cosine")
    found = [0.025 * strategy.rate(schedule, at(epoch, 161)) for epoch in range(161)]
    for epoch in range(160):
        first, epochs, peak = (0, 40, 0.05) if epoch < 40 else (40, 120, 0.025)
        expected = 0.5 * peak * (1 + math.cos(math.pi * (epoch - first) / epochs))
        assert found[epoch] == pytest.approx(expected, abs=1e-9)
    assert [strategy.alpha_rests(at(epoch, 161)) for epoch in range(161)] == [True] * 41 + [
        False
    ] * 120
    plain = kind(start=0.0)
    assert [plain.rate(schedule, at(epoch, 161)) for epoch in (0, 80)] == [1.0, pytest.approx(0.5)]


def test_paths_follow_softmax():
    strategy = ProxylessNAS()
    supernet = ready(strategy, start={"outer": [1.0, 0.0], "inner": [0.0, -1.0]})
    draws = 4000
    paths = [strategy.path(supernet.space, at(s, draws).stream("path")) for s in range(draws)]
    deep = [path for path in paths if path["outer"] == "deep"]
    assert len(deep) / draws == pytest.approx(0.731, abs=0.03)
    assert sum(path["inner"] == "p" for path in deep) / len(deep) == pytest.approx(0.731, abs=0.03)
    assert all(("inner" in path) == (path["outer"] == "deep") for path in paths)


@pytest.mark.parametrize("kind", [ProxylessNAS, ProxylessRL])
def test_a_step_depends_on_seed_and_step_only(kind):
    def run(seed, state):
        strategy = kind(every=1, alpha=Alpha(learning_rate=0.1, warmup=0.0))
        supernet = ready(strategy, seed=seed)
        torch.manual_seed(state)
        for step in range(4):
            strategy.backward(supernet, Classification(), BATCH, at(step, seed=seed))
        return torch.cat([p.detach() for p in values(strategy).values()])

    assert torch.equal(run(4, 0), run(4, 9))
    assert not torch.equal(run(4, 0), run(5, 0))


def test_reinforce_is_unbiased():
    """Over all paths, weighted by their probabilities; and the baseline changes nothing."""
    strategy = ProxylessRL()
    supernet = ready(strategy, start=START)
    space, alphas = supernet.space, strategy.alphas
    paths = list(space)
    rewards = [float(i) for i in range(len(paths))]

    def chance(path):
        found = torch.ones(())
        for label, value in path.items():
            index = space.decision(label).options.index(value)
            found = found * torch.softmax(alphas[label], 0)[index]
        return found

    chances = [chance(path) for path in paths]
    assert float(sum(chances).detach()) == pytest.approx(1)
    expected_reward = sum(c * r for c, r in zip(chances, rewards, strict=True))
    exact = torch.autograd.grad(expected_reward, list(alphas.values()))
    for baseline in (0.0, 3.0):
        total = [torch.zeros_like(alpha) for alpha in alphas.values()]
        for path, reward, weight in zip(paths, rewards, chances, strict=True):
            loss = strategy.surrogate(space, [path], [reward - baseline])
            found = torch.autograd.grad(loss, list(alphas.values()), allow_unused=True)
            for sum_, gradient in zip(total, found, strict=True):
                if gradient is not None:
                    sum_ += weight.detach() * gradient
        for sum_, gradient in zip(total, exact, strict=True):
            torch.testing.assert_close(-sum_, gradient)  # the loss is the negative reward


def test_the_surrogate_is_a_mean_over_paths():
    strategy = ProxylessRL()
    supernet = ready(strategy, start=START)
    one, two = itertools.islice(supernet.space, 2)
    both = strategy.surrogate(supernet.space, [one, two], [2.0, -1.0])
    apart = [strategy.surrogate(supernet.space, [p], [a]) for p, a in ((one, 2.0), (two, -1.0))]
    torch.testing.assert_close(both, sum(apart) / 2)


def test_the_baseline_moves_and_is_then_subtracted(monkeypatch):
    strategy = ProxylessRL(every=1, paths=2, decay=0.9)
    supernet = ready(strategy)
    given, advantages = [], []
    monkeypatch.setattr(strategy, "reward", lambda *_: torch.tensor(given[-1]))
    surrogate = strategy.surrogate

    def watched(space, paths, values):
        advantages.append(values[0])
        return surrogate(space, paths, values)

    monkeypatch.setattr(strategy, "surrogate", watched)
    for step, (reward, baseline, advantage) in enumerate(
        [(0.5, 0.5, 0.0), (1.0, 0.55, 0.45), (0.0, 0.495, -0.495)]
    ):
        given.append(reward)
        strategy.alpha_step(supernet, Classification(), BATCH, at(step))
        assert strategy.baseline == pytest.approx(baseline)
        assert advantages[-1] == pytest.approx(advantage)


def test_the_reward_is_the_accuracy_times_the_price_of_the_cost():
    strategy = ProxylessRL(cost=CostPenalty("macs", weight=0.5, target=32))
    supernet = ready(strategy)
    table = measure_costs(supernet, BATCH[0][:1])["macs"]
    for path in supernet.space:
        accuracy = (supernet(BATCH[0], path).argmax(1) == BATCH[1]).float().mean()
        expected = accuracy * (32 / table.cost(path)) ** 0.5
        found = strategy.reward(supernet, Classification(), BATCH, path)
        torch.testing.assert_close(found, expected)


def test_where_there_is_no_accuracy_the_reward_falls_with_the_loss():
    strategy = ProxylessRL()
    supernet = ready(strategy, Factors(1, 2))
    batch = (torch.ones(2, 4),)
    found = [strategy.reward(supernet, Mean(), batch, path) for path in supernet.space]
    torch.testing.assert_close(torch.stack(found), torch.exp(torch.tensor([-1.0, -2.0])))


@pytest.mark.quick_with("ProxylessNAS")
@pytest.mark.parametrize("kind", [ProxylessNAS, ProxylessRL])
def test_a_learned_option_wins(kind):
    strategy = kind(every=1, alpha=Alpha(learning_rate=0.1))
    supernet = ready(strategy, Factors(3, -2, 1), inputs=torch.ones(64, 4))
    for step in range(100):
        strategy.alpha_step(supernet, Mean(), BATCH, at(step, 100))
    assert strategy.learned(supernet)[0]["pick"] == "1"


def test_the_baseline_is_kept_in_checkpoints_and_forgotten_by_preparing():
    strategy = ProxylessRL(every=1)
    supernet = ready(strategy)
    strategy.alpha_step(supernet, Classification(), BATCH, at(0))
    file = io.BytesIO()
    torch.save(strategy.state_dict(), file)
    file.seek(0)
    other = ProxylessRL(every=1)
    ready(other)
    assert other.baseline is None
    other.load_state_dict(torch.load(file))
    assert other.baseline == strategy.baseline is not None
    for one in (strategy, other):
        one.alpha_step(supernet, Classification(), BATCH, at(1))
    assert other.baseline == strategy.baseline
    assert not moved(strategy, values(other))
    ready(strategy)
    assert strategy.baseline is None


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (ProxylessNAS, {"every": 0}),
        (ProxylessNAS, {"start": 1.0}),
        (ProxylessNAS, {"mode": "half"}),
        (ProxylessNAS, {"zeros": ("identity",)}),
        (ProxylessRL, {"every": 0}),
        (ProxylessRL, {"paths": 0}),
        (ProxylessRL, {"decay": 1.0}),
    ],
)
def test_numbers_out_of_range_are_refused(kind, arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        kind(**arguments)


@pytest.mark.parametrize("kind", [ProxylessNAS, ProxylessRL])
def test_a_decision_for_several_is_refused(kind):
    model = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], pick=(1, 2), label="some")
    with pytest.raises(ConfigError, match=f"{kind.__name__} cannot relax decision 'some'"):
        ready(kind(), model)
