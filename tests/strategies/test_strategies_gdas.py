import pytest
import torch
from coupled_models import (
    BATCH,
    Chain,
    Counting,
    Factors,
    Mean,
    Times,
    at,
    calls,
    layer,
    moved,
    ready,
    values,
)
from torch import nn

from supernet.choice import Choice, InputChoice, Routing
from supernet.data import Examples, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.strategies import GDAS, Alpha, TrainingContext
from supernet.task import Classification
from supernet.zoo import DARTS


def architecture(supernet, path):
    return supernet.space.build(lambda d: d.value(path[d.label]))


def test_the_output_is_exactly_that_of_the_drawn_path_and_only_it_runs():
    strategy = GDAS()
    supernet = ready(strategy)
    for step in range(11):
        path, _ = strategy.draw(supernet, at(step), "alpha")
        expected = supernet(BATCH[0], architecture(supernet, path))
        before = [calls(choice) for choice in supernet.choices]
        output = supernet(BATCH[0], strategy.routing(supernet, at(step)))
        assert torch.equal(output, expected)
        for choice, label in supernet.choices.items():
            ran = [n - m for n, m in zip(calls(choice), before.pop(0), strict=True)]
            chosen = path.get(label, ())
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
        (i,), p = path["pick"], relaxed["pick"].detach()
        with supernet.route(strategy.routing(supernet, at(step))):
            loss = Mean().loss(supernet, BATCH)
        (gradient,) = torch.autograd.grad(loss, alpha)
        slope = factors[i] * BATCH[0].mean() / strategy.temperature(at(step))
        expected = slope * p[i] * ((torch.arange(3) == i).float() - p)
        torch.testing.assert_close(gradient, expected)


@pytest.mark.slow
def test_options_are_drawn_as_often_as_softmax_says():
    strategy = GDAS()
    supernet = ready(strategy, Factors(1, 2, 3), start={"pick": [1.0, 0.0, -1.0]})
    draws = 3000
    for purpose in ("alpha", "weights"):
        counts = torch.zeros(3)
        for step in range(draws):
            counts[strategy.draw(supernet, at(step, draws), purpose)[0]["pick"][0]] += 1
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
            chosen = path.get(label, ())
            for i, option in enumerate(choice.options):
                have = [p.grad is not None for p in option.parameters()]
                assert i in chosen or not any(have)
        different += path != other
        routing = strategy.weight_routing(supernet, at(step))
        assert all(gate.weights is None for gate in routing.values())
        expected = Routing.hard(supernet.space, architecture(supernet, path))
        assert {k: g.options for k, g in routing.items()} == {
            k: g.options for k, g in expected.items()
        }
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


def test_weights_move_before_alpha():
    """The step of α is that of the step before: its batch, its draw, and weights that have moved."""
    model = Factors(3, -2, 1)
    strategy = GDAS(alpha=Alpha(0.1))
    supernet = ready(strategy, model)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.5)
    twin = GDAS(alpha=Alpha(0.1))
    other = ready(twin, Factors(3, -2, 1))
    moving = torch.optim.SGD(other.parameters(), lr=0.5)
    for step in range(8):
        strategy.backward(supernet, Mean(), BATCH, at(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step == 7:
            break  # α's last move would come with the next step
        with other.route(twin.weight_routing(other, at(step))):
            Mean().loss(other, BATCH).backward()
        moving.step()
        moving.zero_grad(set_to_none=True)
        twin.alpha_step(other, Mean(), BATCH, at(step))
    assert torch.equal(strategy.alphas["pick"], twin.alphas["pick"])
    assert (strategy.alphas["pick"].abs() > 0.05).all()


def test_alpha_rests_as_long_as_in_other_orders():
    strategy = GDAS(alpha=Alpha(0.1, warmup=0.45))
    supernet = ready(strategy)
    before = values(strategy)
    for step in range(11):
        assert bool(moved(strategy, before)) == (step > 6)  # 0.5 is the first progress above
        strategy.backward(supernet, Classification(), BATCH, at(step))


class Node(nn.Module):
    """Two of three edges enter a node, with an operation on each."""

    def __init__(self):
        super().__init__()
        edges = {
            name: Choice({"none": Counting(Times(0)), "a": layer(), "b": layer()}, label=name)
            for name in "xyz"
        }
        self.node = InputChoice(edges, pick=2, label="node")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.node([x, x + 1, x * 2]))


def test_all_edges_run_with_an_operation_each_and_the_two_strongest_are_derived():
    strategy = GDAS(alpha=Alpha(weight_decay=0.0))
    supernet = ready(strategy, Node())
    for step in range(8):
        chosen, _ = strategy.draw(supernet, at(step), "alpha")
        before = {label: calls(choice) for choice, label in supernet.choices.items()}
        gates = strategy.routing(supernet, at(step))
        output = supernet(BATCH[0], gates)
        ran = {
            label: [n - m for n, m in zip(calls(choice), before[label], strict=True)]
            for choice, label in supernet.choices.items()
        }
        for edge in "xyz":
            (index,) = chosen[edge]
            assert ran[edge] == [int(i == index) for i in range(3)]
        nodes = dict(zip("xyz", (BATCH[0], BATCH[0] + 1, BATCH[0] * 2), strict=True))
        edges = dict(zip("xyz", supernet.model.node.options, strict=True))
        total = sum(edges[e].options[chosen[e][0]](x) for e, x in nodes.items())
        torch.testing.assert_close(output, supernet.model.head(total))
        alphas = [strategy.alphas[edge] for edge in "xyz"]
        found = torch.autograd.grad(Mean().loss(lambda x, y=output: y, BATCH), alphas)
        for edge, gradient in zip("xyz", found, strict=True):
            assert (gradient != 0).all() or chosen[edge] == (0,)
    with torch.no_grad():
        for edge, alpha in {"x": [9, 1, 2], "y": [0, 3, 0], "z": [0, 0, 4]}.items():
            strategy.alphas[edge].copy_(torch.tensor(alpha, dtype=torch.float))
    learned = strategy.learned(supernet)[0]
    assert learned == Architecture({"node": ("y", "z"), "y": "a", "z": "b"})


def test_it_trains_on_the_cells_of_darts():
    torch.manual_seed(0)
    supernet = SuperNet(DARTS((1, 8, 8), 3, cells=3, channels=4, nodes=2)).train()
    images, classes = torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    loader = Loader(Examples(images, classes), 4, 0, purpose="search")
    strategy = GDAS(alpha=Alpha(0.1, weight_decay=0.0), temperature=1.0)
    strategy.prepare(supernet, TrainingContext(0, {}, search=loader))
    before = values(strategy)
    for step in range(5):
        strategy.backward(supernet, Classification(), (images, classes), at(step))
        supernet.zero_grad(set_to_none=True)
    edges = {label for label in before if label.endswith(".edges")}
    assert len(edges) == 4
    assert moved(strategy, before) == before.keys() - edges
    learned = strategy.learned(supernet)[0]
    assert learned in supernet.space
    assert "none" not in learned.values()
    assert GDAS(rule="strongest").rule == "strongest"


def test_alpha_stays_where_no_device_is_waited_for():
    strategy, supernet = GDAS(), SuperNet(Chain()).to("meta")
    strategy.prepare(supernet, TrainingContext(0, {}, search=object()))
    assert {alpha.device.type for alpha in strategy.alphas.values()} == {"cpu"}
    gates = strategy.routing(supernet, at(0)).values()
    assert {gate.weights.device.type for gate in gates} == {"meta"}


def test_a_learned_option_wins():
    """The factor with the lowest loss, whatever the start."""
    strategy = GDAS(alpha=Alpha(learning_rate=0.1))
    supernet = ready(strategy, Factors(3, -2, 1), inputs=torch.ones(64, 4))
    for step in range(100):
        strategy.alpha_step(supernet, Mean(), BATCH, at(step, 100))
    assert strategy.learned(supernet)[0]["pick"] == "1"
