"""CDARTS against the formula, differentiated independently in float64."""

import io
import math

import pytest
import torch
from coupled_models import BATCH, Chain, Factors, Mean, at, calls, layer, moved, ready, values
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from supernet.choice import Choice, InputChoice, Routing
from supernet.errors import ConfigError
from supernet.strategies import CDARTS, Alpha, CostPenalty, Evaluation
from supernet.task import Classification, Task
from supernet.train import digest

TOGETHER = {"cycles": 1, "evaluation": Evaluation(warmup=0.0), "alpha": Alpha(1e-2)}
"""α and the evaluation network learn together in every step."""

DOUBLE = BATCH[0].double(), BATCH[1]


class Twice(Chain):
    """A chain that returns outputs of an auxiliary classifier too."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(4, 3)

    def forward(self, x):
        y = self.first(x)
        return self.head(self.outer(y)), self.auxiliary(y)


def double(model=None, **arguments):
    """Return a strategy, ready for a supernet, with numbers of twice the usual precision."""
    torch.manual_seed(0)
    strategy = CDARTS(**{**TOGETHER, **arguments})
    inputs = torch.randn(64, 4, dtype=torch.float64)
    supernet = ready(strategy, (Chain() if model is None else model).double(), inputs=inputs)
    single = strategy.search_batch
    strategy.search_batch = lambda moment: (single(moment)[0].double(), single(moment)[1])
    torch.manual_seed(3)
    strategy.alphas = {
        label: nn.Parameter(torch.randn(len(alpha), dtype=torch.float64))
        for label, alpha in strategy.alphas.items()
    }
    strategy._optimizer = torch.optim.Adam(strategy.alphas.values(), lr=0.01)
    with torch.no_grad():  # the networks differ
        for weight in strategy.network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return strategy, supernet


def parts(module):
    return {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}


def run(module, weights, inputs, route):
    outputs = functional_call(module, weights, (inputs, route))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def cross_entropy(outputs, targets):
    first, *further = [F.cross_entropy(output, targets) for output in outputs]
    return first + 0.4 * sum(further)


def kl(ours, theirs):
    """The divergence of the mixture's answer from the evaluation network's, with T = 3."""
    p, q = theirs.div(3).softmax(1), ours.div(3).softmax(1)
    return (p * (p.log() - q.log())).sum(1).mean()


def smooth_l1(ours, theirs):
    gap = (ours - theirs).abs()
    return torch.where(gap < 1, gap**2 / 2, gap - 0.5).mean()


@pytest.mark.parametrize("charged", [False, True])
@pytest.mark.parametrize("model", [Chain, Twice])
@pytest.mark.parametrize("distance", [kl, smooth_l1])
def test_alpha_and_the_evaluation_network_follow_the_gradient_of_the_formula(
    distance, model, charged
):
    cost = CostPenalty("macs", 0.7, form="log") if charged else None
    evaluation = Evaluation(0.05, momentum=0.0, weight_decay=0.1, clip=None, warmup=0.0)
    strategy, supernet = double(
        model(),
        cost=cost,
        evaluation=evaluation,
        weight=0.8,
        temperature=3.0,
        regular=0.3,
        regular_share=0.5,
        distance=distance.__name__,
    )
    steps = []
    strategy.move_alpha = steps.append
    moment = at(2)  # of 0 .. 10: ρ has fallen from 0.3 to 0.6 times it
    inputs, targets = strategy.search_batch(moment)
    alphas = {
        label: alpha.detach().clone().requires_grad_() for label, alpha in strategy.alphas.items()
    }
    mine, other = parts(supernet), parts(strategy.network)
    shares = {label: a.softmax(0) for label, a in alphas.items()}
    derived = strategy.learned(supernet)[0]
    ours = run(supernet, mine, inputs, Routing.soft(supernet.space, shares))
    theirs = run(strategy.network, other, inputs, derived)
    apart = sum(distance(a, b) for a, b in zip(ours, theirs, strict=True)) / len(ours)
    loss = cross_entropy(ours, targets)
    if charged:
        cost, target = strategy.expected_cost(shares), strategy.charge.target
        loss = loss * (cost.log() / math.log(target)) ** 0.7
    loss = loss + cross_entropy(theirs, targets) + 0.8 * 9 * apart
    loss = loss + 0.6 * 0.3 * alphas["first"][2].abs()  # the skip
    found = torch.autograd.grad(loss, [*alphas.values(), *other.values()], allow_unused=True)
    strategy.alpha_step(supernet, Classification(), DOUBLE, moment)
    (gradients,) = steps
    for gradient, expected in zip(gradients, found, strict=False):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    used = 0
    for (name, weight), gradient in zip(other.items(), found[len(alphas) :], strict=True):
        expected = weight
        if gradient is not None:
            used += 1
            expected = weight - 0.05 * (gradient + 0.1 * weight)
        now = dict(strategy.network.named_parameters())[name]
        torch.testing.assert_close(now, expected, rtol=1e-9, atol=1e-12)
    assert 0 < used < len(other)


def test_gradients_of_the_evaluation_network_are_clipped_by_their_norm():
    plain = Evaluation(0.1, momentum=0.0, weight_decay=0.0, clip=None, warmup=0.0)
    clipped = Evaluation(0.1, momentum=0.0, weight_decay=0.0, clip=1e-3, warmup=0.0)
    norms = []
    for evaluation in (plain, clipped):
        strategy, supernet = double(evaluation=evaluation)
        before = parts(strategy.network)
        strategy.alpha_step(supernet, Classification(), DOUBLE, at(0))
        gaps = [now - before[n] for n, now in strategy.network.named_parameters()]
        norms.append(torch.linalg.vector_norm(torch.cat([gap.flatten() for gap in gaps])).item())
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-4, rel=1e-3)


def test_neither_network_is_touched_by_the_step_of_the_other():
    strategy, supernet = double()
    mine, other = parts(supernet), parts(strategy.network)
    strategy.alpha_step(supernet, Classification(), DOUBLE, at(0))
    assert all(p.grad is None for p in supernet.parameters())
    assert all(torch.equal(p, mine[name]) for name, p in supernet.named_parameters())
    assert any(not torch.equal(p, other[name]) for name, p in strategy.network.named_parameters())

    other = parts(strategy.network)
    strategy.alpha_rests = lambda moment: True
    strategy.backward(supernet, Classification(), DOUBLE, at(1))
    assert any(p.grad is not None for p in supernet.parameters())
    assert all(torch.equal(p, other[name]) for name, p in strategy.network.named_parameters())


def test_the_weights_learn_as_in_darts():
    strategy, supernet = double()
    strategy.backward(supernet, Classification(), DOUBLE, at(0))
    mine = parts(supernet)
    shares = {label: alpha.detach().softmax(0) for label, alpha in strategy.alphas.items()}
    outputs = run(supernet, mine, DOUBLE[0], Routing.soft(supernet.space, shares))
    expected = torch.autograd.grad(cross_entropy(outputs, DOUBLE[1]), list(mine.values()))
    for weight, gradient in zip(supernet.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


def test_the_evaluation_network_takes_over_the_derived_architecture_with_each_cycle():
    strategy = CDARTS(2, regular=0, evaluation=Evaluation(warmup=0), alpha=Alpha(1e-9))
    supernet = ready(strategy, start={"first": [1.0, 0, 0], "outer": [1.0, 0], "inner": [0, 1.0]})
    first, outer, inner = (
        next(c for c, name in strategy.network.choices.items() if name == label)
        for label in ("first", "outer", "inner")
    )
    ran, cycles = [], []
    for step in range(10):
        if step == 2:  # what is derived from now on
            with torch.no_grad():
                strategy.alphas["first"].copy_(torch.tensor([0, 0, 1.0]))
                strategy.alphas["outer"].copy_(torch.tensor([0, 1.0]))
        before = calls(first), calls(outer), calls(inner)
        strategy.backward(supernet, Classification(), BATCH, at(step, 10))
        after = calls(first), calls(outer), calls(inner)
        ran.append(
            [[b - a for a, b in zip(*c, strict=True)] for c in zip(before, after, strict=True)]
        )
        cycles.append(strategy.cycle)
    assert cycles == [0] * 5 + [1] * 5
    assert ran[:5] == [[[1, 0, 0], [2, 0], [0, 1]]] * 5
    assert ran[5:] == [[[0, 0, 1], [0, 1], [0, 0]]] * 5
    assert set(strategy.routed) == {"first", "outer"}  # without the decision in what is not chosen


def test_what_is_out_of_the_architecture_keeps_its_weights_and_momentum_begins_anew():
    strategy = CDARTS(2, evaluation=Evaluation(0.1, warmup=0), alpha=Alpha(1e-9))
    supernet = ready(strategy, start={"first": [1.0, 0, 0]})
    choice = next(c for c, label in strategy.network.choices.items() if label == "first")
    for step in range(5):
        strategy.backward(supernet, Classification(), BATCH, at(step, 10))
    a, b = ([p.clone() for p in option.parameters()] for option in choice.options[:2])
    assert all(p in strategy._sgd.state for p in choice.options[0].parameters())
    with torch.no_grad():
        strategy.alphas["first"].copy_(torch.tensor([0, 1.0, 0]))
    strategy.backward(supernet, Classification(), BATCH, at(5, 10))
    assert not any(p in strategy._sgd.state for p in choice.options[0].parameters())
    assert all(torch.equal(x, y) for x, y in zip(a, choice.options[0].parameters(), strict=True))
    assert not any(
        torch.equal(x, y) for x, y in zip(b, choice.options[1].parameters(), strict=True)
    )


def test_first_the_weights_learn_then_the_evaluation_network_then_both_with_alpha():
    strategy = CDARTS(2, evaluation=Evaluation(warmup=0.5), alpha=Alpha(1e-2, warmup=0.19))
    supernet = ready(strategy)
    found = ""
    for step in range(21):
        alphas, other = values(strategy), parts(strategy.network)
        strategy.backward(supernet, Classification(), BATCH, at(step, 21))
        assert any(p.grad is not None for p in supernet.parameters())
        supernet.zero_grad(set_to_none=True)
        learned = any(not torch.equal(p, other[n]) for n, p in strategy.network.named_parameters())
        found += {(0, 0): "w", (1, 0): "v", (1, 1): "α"}[learned, bool(moved(strategy, alphas))]
    # Progress is step / 20; α's warm-up lasts until 0.19, a cycle 0.405.
    assert found == "wwww" + "vvvvαααα" * 2 + "α"


def test_rho_falls_to_zero_and_counts_what_has_no_parameters_but_none():
    options = {"none": nn.Identity(), "pool": nn.Tanh(), "skip": nn.Linear(4, 4), "linear": layer()}
    model = nn.Sequential(Choice(options, label="pick"), nn.Linear(4, 3))
    start = {"pick": [2.0, -3.0, 5.0, 7.0]}
    strategy = CDARTS(regular=2.0, regular_share=0.5, alpha=Alpha(warmup=0.2))
    ready(strategy, model, start=start)
    for step, expected in ((4, 2.0), (8, 1.0), (12, 0.0), (20, 0.0)):
        found = torch.as_tensor(strategy.regulariser(at(step, 21))).item()
        assert found == pytest.approx(8 * expected)


class Changes(nn.Module):
    """A layer that is told how far the training is."""

    def set_progress(self, progress):
        self.progress = progress

    def forward(self, x):
        return x


def test_modules_of_the_evaluation_network_are_told_how_far_the_training_is():
    strategy = CDARTS(**TOGETHER)
    supernet = ready(strategy, nn.Sequential(Changes(), Chain()))
    strategy.alpha_step(supernet, Classification(), BATCH, at(3))
    assert strategy.network.model[0].progress == pytest.approx(0.3)


def test_the_evaluation_network_records_batch_statistics_of_its_own():
    strategy = CDARTS(**TOGETHER)
    supernet = ready(strategy, nn.Sequential(nn.BatchNorm1d(4), Chain()))
    strategy.alpha_step(supernet, Classification(), BATCH, at(0))
    assert not supernet.model[0].running_mean.any()
    assert strategy.network.model[0].running_mean.all()


@pytest.mark.slow
def test_a_run_that_stops_within_a_cycle_goes_on_to_the_same_bits():
    def made():
        strategy = CDARTS(3, evaluation=Evaluation(warmup=0.3), alpha=Alpha(0.1, warmup=0.1))
        supernet = ready(strategy)
        return strategy, supernet, torch.optim.SGD(supernet.parameters(), 0.1, momentum=0.9)

    def train(strategy, supernet, optimizer, steps):
        for step in steps:
            strategy.backward(supernet, Classification(), BATCH, at(step, 30))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def states(these):
        return [digest(part.state_dict()) for part in these]

    whole = made()
    train(*whole, range(30))
    for stop in (2, 8, 17):
        first, second, file = made(), made(), io.BytesIO()
        train(*first, range(stop))
        torch.save([part.state_dict() for part in first], file)
        file.seek(0)
        for part, state in zip(second, torch.load(file, weights_only=True), strict=True):
            part.load_state_dict(state)
        assert states(second) == states(first)
        train(*second, range(stop, 30))
        assert states(second) == states(whole)


class Regression(Mean):
    def loss(self, model, batch):
        return (model(batch[0]).flatten() ** 2).mean()


def test_outputs_that_are_no_logits_are_compared_by_smooth_l1_only():
    strategy = CDARTS(**TOGETHER)
    before = ready(strategy, Factors(1.0, -2.0)), values(strategy)
    strategy.alpha_step(before[0], Regression(), BATCH, at(0))
    assert moved(strategy, before[1]) == {"pick"}

    class Flat(Factors):
        def forward(self, x):
            return super().forward(x).mean(1)

    strategy = CDARTS(**TOGETHER, distance="kl")
    supernet = ready(strategy, Flat(1.0, -2.0))
    with pytest.raises(ConfigError, match=r"CDARTS .*logits.*float32 \[8\].*other distance"):
        strategy.alpha_step(supernet, Regression(), BATCH, at(0))


class Answer:
    """What a model may return, of which nothing is known but to its task."""

    def __init__(self, of):
        self.of = of


class Answers(Factors):
    def forward(self, x):
        return Answer(super().forward(x))


class OfAnswers(Task):
    def loss(self, model, batch):
        return model(batch[0]).of.mean()

    def measure(self, model, batch):
        return {"loss": model(batch[0]).of.mean(1)}


class OfWeights(OfAnswers):
    def loss(self, model, batch):
        return sum(p.sum() for p in model.parameters())


@pytest.mark.parametrize("distance", ["kl", "smooth_l1"])
@pytest.mark.parametrize(
    ("task", "message"),
    [
        (OfAnswers(), "but the model returned Answer"),
        (OfWeights(), "OfWeights does not call the model"),
    ],
)
def test_what_cannot_be_compared_is_refused(task, message, distance):
    strategy = CDARTS(**TOGETHER, distance=distance)
    supernet = ready(strategy, Answers(1.0, -2.0))
    with pytest.raises(ConfigError, match=f"CDARTS compares .*{message}"):
        strategy.alpha_step(supernet, task, BATCH, at(0))
    assert not strategy.network._forward_hooks
    assert not supernet._forward_hooks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cycles": 0}, "cycles of at least 1, not 0"),
        ({"temperature": 0.0}, "positive temperature, not 0.0"),
        ({"regular_share": 0.0}, "regular_share in"),
        ({"regular_share": 1.5}, "regular_share in"),
        ({"weight": 0.0}, "weight 0.0 must be positive"),
        ({"weight": float("nan")}, "weight nan"),
        ({"regular": -1.0}, "regular -1.0 not negative"),
        ({"distance": "cosine"}, "by kl or smooth_l1, not 'cosine'"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        CDARTS(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"clip": 0.0},
        {"warmup": 1.0},
    ],
)
def test_numbers_of_the_evaluation_network_out_of_range_are_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ConfigError, match=rf"strategy.evaluation.*{name} {value}"):
        Evaluation(**arguments)


class Node(nn.Module):
    """Two of three edges enter a node, each with a choice between two layers."""

    def __init__(self):
        super().__init__()
        edges = {
            name: Choice({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)}, label=f"from{name}")
            for name in "012"
        }
        self.node = InputChoice(edges, pick=2, label="edges")

    def forward(self, x):
        return self.node([x, x, x])


NODE = {"from0": [0.9, 0.0], "from1": [0.5, 0.0], "from2": [0.2, 0.0], "edges": [-1.0, 0.0, 2.0]}


@pytest.mark.parametrize("edges", ["mean", "learned"])
def test_edges_are_weighed_by_one_over_their_number_or_by_what_is_learned(edges):
    strategy = CDARTS(**{**TOGETHER, "alpha": Alpha(1e-2, weight_decay=0.0)}, edges=edges)
    supernet = ready(strategy, Node(), start=NODE)
    with supernet.route(strategy.routing(supernet, at(0))):
        found = supernet(BATCH[0])
    beta = torch.softmax(torch.tensor(NODE["edges"]), 0) if edges == "learned" else [1 / 3] * 3
    expected = 0
    for b, (name, choice) in zip(beta, enumerate(supernet.model.node.options), strict=True):
        a = torch.softmax(torch.tensor(NODE[f"from{name}"]), 0)
        expected = expected + b * sum(
            w * option(BATCH[0]) for w, option in zip(a, choice.options, strict=True)
        )
    torch.testing.assert_close(found, expected)
    derived = strategy.learned(supernet)[0]
    # by α the edges are strong in their order; softmax(β) favours the last more than α the first
    assert derived["edges"] == {"mean": ("0", "1"), "learned": ("1", "2")}[edges]
    before = values(strategy)
    strategy.alpha_step(supernet, Classification(), BATCH, at(0))
    assert ("edges" in moved(strategy, before)) == (edges == "learned")


def test_an_unknown_weighing_of_edges_is_refused():
    with pytest.raises(ConfigError, match="weighs edges by mean or learned, not 'sum'"):
        CDARTS(edges="sum")
