import copy
import math

import pytest
import torch
from coupled_models import Chain, at, ready
from torch import nn

from supernet.choice import Choice
from supernet.cost import CostTable, Entry, measure_costs
from supernet.elastic import SuperKernel
from supernet.errors import ConfigError, DivergedError
from supernet.net import SuperNet, split_supernet
from supernet.strategies import SinglePath, TrainingContext, UpdateCounts
from supernet.task import Classification
from supernet.zoo import SinglePath as Space

IMAGES = torch.randn(12, 2, 6, 6, generator=torch.Generator().manual_seed(0))
IMAGE_BATCH = IMAGES, torch.arange(12) % 3


class Kernels(nn.Module):
    """Two superkernels; the second can be left out."""

    def __init__(self):
        super().__init__()
        self.first = SuperKernel(2, 3, stride=2, label="first")
        self.second = SuperKernel(3, 3, label="second")
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)).mean((2, 3)))


def made(strategy, model=None, seed=4, **changes):
    """Return a supernet that the strategy is prepared for."""
    torch.manual_seed(1)
    supernet = SuperNet(Kernels() if model is None else model).train()
    costs = changes.pop("costs", None) or measure_costs(supernet, IMAGES[:1])
    strategy.prepare(supernet, TrainingContext(seed, costs, **changes))
    return supernet


def thresholds(strategy):
    return {label: t.detach().clone() for label, t in strategy.thresholds.items()}


def answers(strategy, supernet):
    (architecture,) = strategy.learned(supernet)
    return tuple(architecture[label] for label in ("first", "second"))


def put(strategy, supernet, **excess):
    """Put the thresholds below what they are compared with by so much."""
    with torch.no_grad():
        for label, values in excess.items():
            block = strategy.kernels[label].block
            sizes = block.sizes(kernel=float(values[0] > 0))
            t = strategy.thresholds[label]
            limits = (sizes - torch.tensor(values + (0.0,) * (3 - len(values))))[: len(t)]
            t.copy_(limits / strategy.norms[label])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1.0, 1.0), (1.0, 1.0, 1.0), ("mb5e6", "mb5e6")),
        ((-1.0, 1.0), (1.0, -1.0, 1.0), ("mb3e6", "mb5e3")),
        ((-1.0, -1.0), (1.0, 1.0, -1.0), ("mb3e3", "identity")),
    ],
)
def test_what_is_learned_is_what_the_indicators_say_and_what_runs(first, second, expected):
    strategy = SinglePath(warmup=0.0, cost=None)
    supernet = made(strategy)
    put(strategy, supernet, first=first, second=second)
    assert answers(strategy, supernet) == expected
    alone = Classification().loss(lambda x: supernet(x, strategy.learned(supernet)[0]), IMAGE_BATCH)
    loss = strategy.backward(supernet, Classification(), IMAGE_BATCH, at(3))
    torch.testing.assert_close(loss, alone.detach(), rtol=1e-5, atol=1e-5)


def test_everything_is_on_at_thresholds_of_zero_and_undecided_near_the_norms():
    strategy = SinglePath()
    supernet = made(strategy)
    assert all((t == 0).all() for t in strategy.thresholds.values())
    assert [len(t) for t in strategy.thresholds.values()] == [2, 3]
    assert answers(strategy, supernet) == ("mb5e6", "mb5e6")
    shares = {"kernel5": 1.0, "expansion6": 1.0, "layers": 1.0}
    assert strategy.metrics() == {**shares, "least_moved": 0.0}
    (warning,) = strategy.warnings()
    assert "decided nothing" in warning
    assert "strategy.start (0 of their norms)" in warning

    strategy = SinglePath(start=0.9)
    supernet = made(strategy)
    assert answers(strategy, supernet) == ("mb5e6", "mb5e6")
    for label, t in strategy.thresholds.items():
        weight = strategy.kernels[label].block.depthwise.weight
        centre = weight[..., 1:4, 1:4].square().sum((1, 2, 3))
        half = len(weight) // 2
        sizes = [
            weight.square().sum() - centre.sum(),
            centre[half:].sum(),
            centre[:half].sum(),
        ]
        norms = torch.stack(sizes).detach()[: len(t)]
        torch.testing.assert_close(strategy.norms[label], norms)
        assert t.tolist() == pytest.approx([0.9] * len(t))
    strategy = SinglePath(start=1.01)
    assert answers(strategy, made(strategy)) == ("mb3e3", "identity")
    assert strategy.warnings() == []


def test_weights_and_thresholds_learn_from_one_pass():
    strategy = SinglePath(learning_rate=0.1, start=0.8, warmup=0.0, weight=0.3)
    supernet = made(strategy)
    table = measure_costs(supernet, IMAGES[:1])["macs"]
    before = thresholds(strategy)
    on = strategy.indicators()
    with supernet.route(strategy.routing(on)):
        task_loss = Classification().loss(supernet, IMAGE_BATCH)

    def share(values, kernel, wide):
        k, e6, e3 = values
        return e3 * (k if kernel == 5 else 1 - k) * (e6 if wide == 6 else 1 - e6)

    expected_cost = sum(
        entry.amount
        * math.prod(
            [
                1 - on[label][2]
                if name == "identity"
                else share(on[label], int(name[2]), int(name[4]))
                for path in entry.paths
                for label, name in path
            ]
        )
        for entry in table.entries
    )
    assert float(expected_cost.detach()) == table.cost(strategy.learned(supernet)[0])
    total = task_loss + 0.3 * torch.log(expected_cost)
    parameters = [*strategy.thresholds.values(), *supernet.parameters()]
    gradients = torch.autograd.grad(total, parameters)

    found = strategy.backward(supernet, Classification(), IMAGE_BATCH, at(0))

    assert found == task_loss.detach()
    for p, gradient in zip(supernet.parameters(), gradients[2:], strict=True):
        torch.testing.assert_close(p.grad, gradient)
    for (label, t), gradient in zip(strategy.thresholds.items(), gradients, strict=False):
        assert (gradient != 0).all()
        torch.testing.assert_close(
            t.detach(), before[label] - 0.1 * gradient.sign(), rtol=0, atol=1e-3
        )
        assert t.grad is None


@pytest.mark.slow
def test_in_the_published_space_every_threshold_has_a_gradient_at_the_start():
    """With the defaults, in float32, at squared norms of up to some hundreds."""
    torch.manual_seed(0)
    model = Space((3, 32, 32), 10, strides=(1, 2, 2, 1, 2, 1), stem_stride=1)
    supernet, images = SuperNet(model).train(), torch.randn(2, 3, 32, 32)
    strategy = SinglePath()
    strategy.prepare(supernet, TrainingContext(0, measure_costs(supernet, images[:1])))
    assert strategy.weight == pytest.approx(1e3 * 0.02)  # what the authors' example comes to
    before, gradients = thresholds(strategy), {}
    note = strategy.movement.note

    def spy(found):
        gradients.update(zip(strategy.thresholds, found, strict=True))
        note([g.clone() for g in found])

    strategy.movement.note = spy
    strategy.backward(supernet, Classification(), (images, torch.arange(2)), at(10))
    assert len(gradients) == 21
    norms = torch.cat(list(strategy.norms.values()))
    assert norms.max() > 100  # where the derivative of a sigmoid is 0
    assert min(float(g.abs().min()) for g in gradients.values()) > 1e-6  # Adam's ε is 1e-8
    for label, t in strategy.thresholds.items():
        steps = (t.detach() - before[label]).abs()
        torch.testing.assert_close(steps, torch.full_like(steps, 1e-2), rtol=0, atol=1e-4)
    assert strategy.movement.still() == []
    assert strategy.metrics()["least_moved"] == pytest.approx(1e-2, rel=1e-2)


def test_thresholds_without_gradients_are_named():
    strategy = SinglePath(cost=None, warmup=0.0)
    supernet = made(strategy)
    with torch.no_grad():
        supernet.model.head.weight.zero_()  # the output depends on nothing
    strategy.backward(supernet, Classification(), IMAGE_BATCH, at(0))
    still, nothing = strategy.warnings()
    assert "SinglePath has learned nothing about 2 of its decisions ('first', 'second')" in still
    assert "decided nothing" in nothing


@pytest.mark.slow
def test_the_cost_alone_turns_everything_off():
    strategy = SinglePath(learning_rate=0.1, start=0.5, warmup=0.0, weight=100.0)
    supernet = made(strategy)
    before = measure_costs(supernet, IMAGES[:1])["macs"].cost(strategy.learned(supernet)[0])
    for step in range(60):
        strategy.backward(supernet, Classification(), IMAGE_BATCH, at(step, 60))
        supernet.zero_grad(set_to_none=True)  # the weights rest
    assert answers(strategy, supernet) == ("mb3e3", "identity")
    after = measure_costs(supernet, IMAGES[:1])["macs"].cost(strategy.learned(supernet)[0])
    assert after < before


def test_warmup_drops_indicators_and_costs_nothing():
    free, charged = SinglePath(warmup=0.5, cost=None), SinglePath(warmup=0.5, weight=5.0)
    for step, equal in ((0, True), (4, True), (5, False), (10, False)):
        found = []
        for strategy in (free, charged):
            supernet = made(strategy)
            strategy.backward(supernet, Classification(), IMAGE_BATCH, at(step))
            found.append([p.grad for p in supernet.parameters()])
        assert all(map(torch.equal, *found)) == equal


@pytest.mark.slow
def test_indicators_are_dropped_as_often_as_asked_and_by_seed_and_step_only():
    strategy = SinglePath(dropout=0.4)
    made(strategy)
    on = strategy.indicators()

    def drawn(step, seed=4):
        torch.manual_seed(step + 17)
        values = strategy.dropped(on, at(step, seed=seed)).values()
        return torch.cat([v.detach() for v in values])

    many = torch.stack([drawn(step) for step in range(1000)])
    shares = 1 - many.mean(0)
    assert float(shares[2]) == 0  # the first layer changes the shape
    rest = shares[[0, 1, 3, 4, 5]]
    assert ((rest - 0.4).abs() < 0.062).all()  # four standard deviations
    assert torch.equal(drawn(3), drawn(3))
    assert any(not torch.equal(drawn(step), drawn(step, seed=5)) for step in range(5))


def test_after_the_warmup_the_same_network_runs_in_every_step():
    strategy = SinglePath(warmup=0.5, cost=None)
    supernet = made(strategy)
    seen = []
    with supernet.observed(lambda routing: seen.append([g.options for g in routing.values()])):
        for step in range(11):
            strategy.backward(supernet, Classification(), IMAGE_BATCH, at(step))
    largest = [(3,), (3,)]
    assert any(options != largest for options in seen[:5])
    assert seen[5:] == [largest] * 6


def test_all_weights_get_gradients_whatever_is_off():
    """One network is computed, the largest; what is off learns by its norm, or not at all."""
    strategy = SinglePath(start=1.01, warmup=0.0)
    supernet = made(strategy)
    strategy.backward(supernet, Classification(), IMAGE_BATCH, at(0))
    assert all(p.grad is not None for p in supernet.parameters())


def test_it_continues_from_its_state():
    def run(strategy, supernet, steps):
        for step in steps:
            strategy.backward(supernet, Classification(), IMAGE_BATCH, at(step))
            supernet.zero_grad(set_to_none=True)

    whole = SinglePath(start=0.8)
    supernet = made(whole)
    run(whole, supernet, range(6))
    state = copy.deepcopy(whole.state_dict())
    kept = state["thresholds"]
    again = SinglePath(start=0.2)
    other = made(again)
    other.load_state_dict(supernet.state_dict())
    again.load_state_dict(state)
    assert all(torch.equal(t, kept[label]) for label, t in again.thresholds.items())
    run(whole, supernet, range(6, 11))
    run(again, other, range(6, 11))
    for label, t in whole.thresholds.items():
        assert torch.equal(t, again.thresholds[label])
        assert not torch.equal(t, kept[label])


def test_what_is_counted_is_the_option_that_runs():
    inner = SinglePath(warmup=0.0)
    strategy = UpdateCounts(inner)
    supernet = made(strategy)
    put(inner, supernet, first=(-1.0, 1.0), second=(1.0, 1.0, 1.0))
    for step in range(3):
        strategy.backward(supernet, Classification(), IMAGE_BATCH, at(step))
    passes = strategy.passes(supernet)
    assert passes["first"] == {"mb3e3": 0, "mb3e6": 3, "mb5e3": 0, "mb5e6": 0}
    assert passes["second"]["mb5e6"] == 3


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(SuperKernel(2, 2, label="both") for _ in "ab"))

    def forward(self, x):
        return self.layers(x).mean((2, 3))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = SuperKernel(2, 2, label="kernel")
        self.other = Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()}, label="other")

    def forward(self, x):
        return self.other(self.kernel(x)).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Mixed(), r"SinglePath cannot relax decision 'other', which is not that of a superkernel"),
        (
            Twice(),
            r"SinglePath cannot relax decision 'both', which is that of several superkernels",
        ),
    ],
)
def test_decisions_that_are_not_superkernels_are_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        made(SinglePath(), model)


def test_spaces_without_superkernels_are_refused():
    with pytest.raises(ConfigError, match=r"SinglePath cannot relax decision 'first'.*SuperKernel"):
        ready(SinglePath(), Chain())


@pytest.mark.parametrize("option", ["mb3e3", "identity"])
def test_a_part_of_a_split_supernet_keeps_its_option(option):
    torch.manual_seed(1)
    whole = SuperNet(Kernels())
    part = split_supernet(whole, "second", option).train()
    table = measure_costs(whole, IMAGES[:1])
    strategy = SinglePath(start=0.8, warmup=0.5, weight=0.5)
    strategy.prepare(part, TrainingContext(4, table, part=True))
    assert list(strategy.thresholds) == ["first"]
    for step in range(11):
        (architecture,) = strategy.learned(part)
        assert architecture["second"] == option
        charge = strategy.charge(strategy.indicators())
        expected = 0.5 * math.log(table["macs"].cost(architecture))
        assert charge.detach().item() == pytest.approx(expected)
        strategy.backward(part, Classification(), IMAGE_BATCH, at(step))
    with pytest.raises(ConfigError, match=r"nothing to decide: of first, second, each has one"):
        made(strategy, split_supernet(part, "first", "mb5e6").model)


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.0},
        {"weight": -1.0},
        {"start": math.nan},
        {"warmup": 1.5},
        {"dropout": 1.0},
    ],
)
def test_numbers_out_of_range_are_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ConfigError, match=rf"SinglePath.*{name} {value}"):
        SinglePath(**arguments)


def test_costs_must_be_known_and_positive():
    with pytest.raises(ConfigError, match=r"'latency_ms'.*macs, params"):
        made(SinglePath(cost="latency_ms"))
    paths = frozenset([(("first", "mb3e3"),)])
    table = CostTable("nothing", [Entry(paths, 3.0)])
    with pytest.raises(ConfigError, match=r"logarithm of nothing, which is 0 "):
        made(SinglePath(cost="nothing"), costs={"nothing": table})


def test_thresholds_that_are_not_finite_are_reported():
    strategy = SinglePath()
    made(strategy)
    with torch.no_grad():
        strategy.thresholds["second"][1] = math.nan
    with pytest.raises(DivergedError, match=r"thresholds of 'second' are not finite"):
        strategy.metrics()


def test_it_needs_no_search_split():
    strategy = SinglePath()
    supernet = made(strategy)
    assert strategy.backward(supernet, Classification(), IMAGE_BATCH, at(0)).isfinite()
