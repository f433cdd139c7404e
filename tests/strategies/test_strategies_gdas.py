import pytest
import torch
from coupled_models import BATCH, Chain, Factors, Mean, at, calls, ready, values
from torch import nn

from supernet.errors import ConfigError
from supernet.net import Choice, Routing, SuperNet
from supernet.strategies import GDAS, Alpha, Setting
from supernet.task import Classification


def test_the_output_is_exactly_that_of_the_drawn_path_and_only_it_runs():
    strategy = GDAS()
    supernet = ready(strategy)
    for step in range(11):
        path, _ = strategy.draw(supernet, at(step), "alpha")
        expected = supernet(BATCH[0], path)
        before = [calls(choice) for choice in supernet.choices]
        output = supernet(BATCH[0], strategy.routing(supernet, at(step)))
        assert torch.equal(output, expected)
        for choice, label in supernet.choices.items():
            ran = [n - m for n, m in zip(calls(choice), before.pop(0), strict=True)]
            chosen = supernet.space.decision(label).indices(path[label]) if label in path else ()
            assert [n > 0 for n in ran] == [i in chosen for i in range(len(ran))]


def test_every_alpha_of_a_decision_learns_and_one_that_does_not_exist_does_not():
    strategy = GDAS(alpha=Alpha(weight_decay=0.0))
    supernet = ready(strategy)
    seen = set()
    for step in range(11):
        path, _ = strategy.draw(supernet, at(step), "alpha")
        with supernet.route(strategy.routing(supernet, at(step))):
            loss = Classification().loss(supernet, BATCH)
        found = torch.autograd.grad(loss, list(strategy.alphas.values()), allow_unused=True)
        for label, gradient in zip(strategy.alphas, found, strict=True):
            assert (gradient is None) == (label not in path)
            assert gradient is None or (gradient != 0).all()
        seen.add("inner" in path)
    assert seen == {True, False}


def test_the_gradient_is_that_of_the_relaxed_draw():
    strategy, factors = GDAS(), [2.0, -1.0, 5.0]
    supernet = ready(strategy, Factors(*factors), start={"pick": [0.5, -0.3, 0.1]})
    alpha = strategy.alphas["pick"]
    for step in range(11):
        path, relaxed = strategy.draw(supernet, at(step), "alpha")
        i, p = int(path["pick"]), relaxed["pick"].detach()
        with supernet.route(strategy.routing(supernet, at(step))):
            loss = Mean().loss(supernet, BATCH)
        (gradient,) = torch.autograd.grad(loss, alpha)
        slope = factors[i] * BATCH[0].mean() / strategy.temperature(at(step))
        expected = slope * p[i] * ((torch.arange(3) == i).float() - p)
        torch.testing.assert_close(gradient, expected)


def test_options_are_drawn_as_often_as_softmax_says():
    strategy = GDAS()
    supernet = ready(strategy, Factors(1, 2, 3), start={"pick": [1.0, 0.0, -1.0]})
    draws = 3000
    for purpose in ("alpha", "weights"):
        counts = torch.zeros(3)
        for step in range(draws):
            counts[int(strategy.draw(supernet, at(step, draws), purpose)[0]["pick"])] += 1
        expected = draws * torch.softmax(strategy.alphas["pick"].detach(), 0)
        assert ((counts - expected) ** 2 / expected).sum() < 18.4  # once in 10,000 by chance


def test_the_weights_learn_on_a_path_of_their_own():
    different = 0
    for step in range(11):
        strategy = GDAS(alpha=Alpha(learning_rate=1e-9))
        supernet = ready(strategy)
        other, _ = strategy.draw(supernet, at(step), "alpha")
        path, _ = strategy.draw(supernet, at(step), "weights")
        strategy.backward(supernet, Classification(), BATCH, at(step))
        for choice, label in supernet.choices.items():
            chosen = supernet.space.decision(label).indices(path[label]) if label in path else ()
            for i, option in enumerate(choice.options):
                have = [p.grad is not None for p in option.parameters()]
                assert i in chosen or not any(have)
        different += path != other
        routing = strategy.weight_routing(supernet, at(step))
        assert all(gate.weights is None for gate in routing.values())
        assert routing.keys() == Routing.hard(supernet.space, path).keys()
    assert different > 3


def test_the_temperature_falls_linearly():
    strategy = GDAS()
    assert [strategy.temperature(at(step)) for step in (0, 5, 10)] == pytest.approx([10, 5.05, 0.1])


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"last_temperature": -1.0}])
def test_temperatures_must_be_positive(arguments):
    with pytest.raises(ConfigError, match="must be positive"):
        GDAS(**arguments)


def test_a_decision_for_several_is_refused():
    model = Choice([nn.Linear(4, 3), nn.Linear(4, 3)], pick=(1, 2), label="some")
    with pytest.raises(ConfigError, match="GDAS cannot relax decision 'some'"):
        ready(GDAS(), model)


def test_a_step_depends_on_seed_and_step_only():
    def run(seed, state):
        strategy = GDAS(alpha=Alpha(learning_rate=0.1))
        supernet = ready(strategy, seed=seed)
        torch.manual_seed(state)
        for step in range(4):
            strategy.backward(supernet, Classification(), BATCH, at(step, seed=seed))
        return torch.cat([p.detach() for p in values(strategy).values()])

    assert torch.equal(run(4, 0), run(4, 9))
    assert not torch.equal(run(4, 0), run(5, 0))


def test_alpha_stays_where_no_device_is_waited_for():
    strategy, supernet = GDAS(), SuperNet(Chain()).to("meta")
    strategy.prepare(supernet, Setting(0, {}, search=object()))
    assert {alpha.device.type for alpha in strategy.alphas.values()} == {"cpu"}
    gates = strategy.routing(supernet, at(0)).values()
    assert {gate.weights.device.type for gate in gates} == {"meta"}


def test_a_learned_option_wins():
    """The factor with the lowest loss, whatever the start."""
    strategy = GDAS(alpha=Alpha(learning_rate=0.1))
    supernet = ready(strategy, Factors(3, -2, 1), inputs=torch.ones(64, 4))
    for step in range(100):
        strategy.learn(supernet, Mean(), BATCH, at(step, 100))
    assert strategy.learned(supernet)[0]["pick"] == "1"
