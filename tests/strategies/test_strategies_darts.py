"""The gradients of both orders against automatic differentiation, in float64."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from supernet.choice import Choice, InputChoice, Routing
from supernet.cost import measure_costs
from supernet.data import Examples, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import DARTS, Alpha, CostPenalty, TrainingContext
from supernet.task import Classification
from supernet.train import Moment

MOMENT = Moment(0, 10, 0)
OPTIMIZERS = {
    "plain": {"lr": 0.1},
    "as in the paper": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
    "dampening": {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    "maximize": {"lr": 0.1, "momentum": 0.9, "maximize": True},
}


class Net(nn.Module):
    """Two choices of smooth operations after a choice of inputs, with batch norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4))
        self.join = InputChoice({"plain": nn.Identity(), "square": nn.Conv1d(4, 4, 1)}, (1, 2))
        self.first = Choice({"conv": conv(3), "wide": conv(5), "skip": nn.Identity()})
        self.second = Choice({"conv": conv(3), "tanh": nn.Tanh()})
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        y = self.stem(x)
        return self.head(self.second(self.first(self.join([y, y * y]))).mean(2))


def conv(kernel):
    return nn.Sequential(
        nn.Tanh(),
        nn.Conv1d(4, 4, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(4, affine=False),
    )


def examples(seed):
    torch.manual_seed(seed)
    return Examples(torch.randn(48, 1, 6).double(), torch.randint(0, 3, (48,)), ("a", "b", "c"))


def whole(data):
    return data.inputs, data.targets


TRAIN, SEARCH = examples(1), examples(2)


class Doubled(Loader):
    def batch(self, step):
        inputs, targets = super().batch(step)
        return inputs.double(), targets


def search_loader():
    return Doubled(SEARCH, 16, 0, purpose="search")


def make(optimizer=None, groups=None, **arguments):
    torch.manual_seed(0)
    supernet = SuperNet(Net()).double().train()
    strategy = DARTS(**arguments)
    costs = measure_costs(supernet, SEARCH.inputs[:1])
    strategy.prepare(supernet, TrainingContext(0, costs, search=search_loader()))
    torch.manual_seed(3)
    for label, alpha in strategy.alphas.items():
        strategy.alphas[label] = nn.Parameter(torch.randn(len(alpha), dtype=torch.float64))
    strategy._optimizer = torch.optim.Adam(strategy.alphas.values(), lr=0.01)
    given = OPTIMIZERS["plain"] if optimizer is None else optimizer
    made = torch.optim.SGD(groups(supernet) if groups else supernet.parameters(), **given)
    strategy.start(made)
    return strategy, supernet, made


def warm(supernet, optimizer, steps):
    """Take steps with the options on, which fill the momentum buffers."""
    for step in range(steps):
        part = slice(16 * step, 16 * step + 16)
        with supernet.route(Routing.masked(supernet.space, {})):
            loss = Classification().loss(supernet, (TRAIN.inputs[part], TRAIN.targets[part]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def loss_at(supernet, weights, alphas, batch):
    """Return the loss as a function of weights and α."""
    routing = Routing.soft(supernet.space, {label: a.softmax(0) for label, a in alphas.items()})
    state = {f"model.{name}": w for name, w in weights.items()}
    logits = functional_call(supernet, state, (batch[0], routing))
    return nn.functional.cross_entropy(logits, batch[1])


def stepped(weights, gradients, optimizer, parameters):
    """Return the weights after a step of SGD as PyTorch documents it, differentiably."""
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    found = {}
    for (name, w), g in zip(weights.items(), gradients, strict=True):
        p, group = parameters[name], groups[parameters[name]]
        g = (-g if group["maximize"] else g) + group["weight_decay"] * w
        if group["momentum"]:
            buffer = optimizer.state[p].get("momentum_buffer")
            old = group["momentum"]
            b = g if buffer is None else old * buffer + (1 - group["dampening"]) * g
            g = g + old * b if group["nesterov"] else b
        found[name] = w - group["lr"] * g
    return found


def exact(strategy, supernet, optimizer, through=True):
    """Return the gradient of L_val(w - η · step(∇_w L_train(w, α)), α) in α, by differentiation.

    Not `through` the step, it is that part which second order and first order at w' have in common.
    """
    parameters = dict(supernet.model.named_parameters())
    weights = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    loss = loss_at(supernet, weights, strategy.alphas, whole(TRAIN))
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    weights = stepped(weights, gradients, optimizer, parameters)
    if not through:
        weights = {name: w.detach() for name, w in weights.items()}
    loss = loss_at(supernet, weights, strategy.alphas, whole(SEARCH))
    return torch.autograd.grad(loss, list(strategy.alphas.values()))


def unrolled(strategy, supernet):
    with strategy.unrecorded():
        return strategy.unrolled(supernet, Classification(), whole(TRAIN), whole(SEARCH), MOMENT)


def minus(first, second):
    return [a - b for a, b in zip(first, second, strict=True)]


def relative(found, expected):
    found, expected = torch.cat(list(found)), torch.cat(list(expected))
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_second_order_is_the_derivative_of_the_unrolled_loss(kind, steps):
    strategy, supernet, optimizer = make(OPTIMIZERS[kind], order=2)
    warm(supernet, optimizer, steps)
    direct = exact(strategy, supernet, optimizer, through=False)
    expected = minus(exact(strategy, supernet, optimizer), direct)
    assert relative(minus(unrolled(strategy, supernet), direct), expected) < 2e-3


def test_the_error_of_the_central_difference_falls_with_the_square_of_its_step(monkeypatch):
    strategy, supernet, optimizer = make(OPTIMIZERS["as in the paper"], order=2)
    warm(supernet, optimizer, 2)
    expected, errors = exact(strategy, supernet, optimizer), []
    for radius in (0.04, 0.01):
        monkeypatch.setattr("supernet.strategies.darts.RADIUS", radius)
        errors.append(relative(unrolled(strategy, supernet), expected))
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)


def test_groups_of_weights_with_rates_of_their_own():
    def groups(supernet):
        model = supernet.model
        rest = [p for name, p in model.named_parameters() if not name.startswith("first")]
        return [{"params": rest}, {"params": model.first.parameters(), "lr": 0.5, "momentum": 0.5}]

    strategy, supernet, optimizer = make(OPTIMIZERS["as in the paper"], groups, order=2)
    warm(supernet, optimizer, 2)
    expected = exact(strategy, supernet, optimizer)
    assert relative(unrolled(strategy, supernet), expected) < 1e-4


def test_frozen_weights_are_not_looked_ahead_with():
    strategy, supernet, optimizer = make(order=2)
    supernet.model.stem.requires_grad_(False)
    found = unrolled(strategy, supernet)
    frozen = {f"stem.{name}" for name, _ in supernet.model.stem.named_parameters()}
    parameters = dict(supernet.model.named_parameters())
    weights = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    moving = {name: w for name, w in weights.items() if name not in frozen}
    loss = loss_at(supernet, weights, strategy.alphas, whole(TRAIN))
    gradients = torch.autograd.grad(loss, list(moving.values()), create_graph=True)
    after = {**weights, **stepped(moving, gradients, optimizer, parameters)}
    loss = loss_at(supernet, after, strategy.alphas, whole(SEARCH))
    assert relative(found, torch.autograd.grad(loss, list(strategy.alphas.values()))) < 1e-4


def test_a_loss_without_a_slope_leaves_a_finite_gradient():
    strategy, supernet, _ = make(order=2)
    with torch.no_grad():
        for p in supernet.model.head.parameters():
            p.zero_()

    class Flat(Classification):
        def loss(self, model, batch):
            return 0 * super().loss(model, batch)

    with strategy.unrecorded():
        found = strategy.unrolled(supernet, Flat(), whole(TRAIN), whole(SEARCH), MOMENT)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in found)


class Masked(nn.Module):
    """Drops each number with a probability of one half, and notes the masks of training passes."""

    def __init__(self):
        super().__init__()
        self.masks, self.given = [], None

    def forward(self, x):
        if self.given is not None:
            return x * self.given[len(x)]
        self.masks.append(2.0 * (torch.rand_like(x) < 0.5))
        return x * self.masks[-1]


def test_passes_over_the_training_batch_draw_the_same_masks():
    """So the second-order part is the derivative of the unrolled loss with these masks."""
    strategy, supernet, optimizer = make(OPTIMIZERS["as in the paper"], order=2)
    masked = supernet.model.stem[1] = Masked()
    optimizer.param_groups[0]["params"] = list(supernet.parameters())
    train, search = whole(TRAIN), (SEARCH.inputs[:40], SEARCH.targets[:40])
    state = torch.get_rng_state()
    with strategy.unrecorded():
        found = strategy.unrolled(supernet, Classification(), train, search, MOMENT)
        assert torch.equal(torch.get_rng_state(), state)
        later = strategy.unrolled(
            supernet, Classification(), train, search, Moment(1, 10, MOMENT.seed)
        )
    ahead, validation, *around = masked.masks
    assert len(around) == 6
    assert all(torch.equal(mask, ahead) for mask in around[:2])
    assert not torch.equal(around[2], ahead)  # of the next step
    assert relative(later, found) > 0.01

    masked.given = {48: ahead, 40: validation}
    parameters = dict(supernet.model.named_parameters())
    weights = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    loss = loss_at(supernet, weights, strategy.alphas, train)
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    stepped_weights = stepped(weights, gradients, optimizer, parameters)
    fixed = {name: w.detach() for name, w in stepped_weights.items()}
    exactly, direct = (
        torch.autograd.grad(
            loss_at(supernet, w, strategy.alphas, search), list(strategy.alphas.values())
        )
        for w in (stepped_weights, fixed)
    )
    assert relative(minus(found, direct), minus(exactly, direct)) < 2e-3


@pytest.fixture
def steps(monkeypatch):
    """Record the gradients that α is moved by."""
    found = []
    step = DARTS.move_alpha

    def recording(self, gradients):
        found.append(gradients)
        step(self, gradients)

    monkeypatch.setattr(DARTS, "move_alpha", recording)
    return found


@pytest.mark.parametrize("cost", [None, "macs"])
def test_first_order_is_plain_differentiation_on_the_search_batch(steps, cost):
    strategy, supernet, _ = make(cost=cost and CostPenalty(cost, 0.7))
    batch = search_loader().batch(0)
    weights = dict(supernet.model.named_parameters())
    alphas = {
        label: alpha.detach().clone().requires_grad_() for label, alpha in strategy.alphas.items()
    }
    loss = loss_at(supernet, weights, alphas, batch)
    if cost:
        shares = {label: alpha.softmax(0) for label, alpha in alphas.items()}
        expected_cost = strategy.expected_cost({**shares, "join": shares["join"] * 2})
        loss = loss + 0.7 * (expected_cost / strategy.charge.target - 1)
    expected = torch.autograd.grad(loss, list(alphas.values()))
    strategy.backward(supernet, Classification(), whole(TRAIN), MOMENT)
    assert relative(steps[0], expected) < 1e-9


@pytest.mark.parametrize("order", [1, 2])
def test_alpha_moves_before_the_weights_learn(order):
    strategy, supernet, _ = make(order=order)
    before = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}
    strategy.backward(supernet, Classification(), whole(TRAIN), MOMENT)
    weights = {n: p.detach().clone().requires_grad_() for n, p in supernet.model.named_parameters()}
    after = loss_at(supernet, weights, strategy.alphas, whole(TRAIN))
    with_old = loss_at(supernet, weights, before, whole(TRAIN))
    expected = torch.autograd.grad(after, list(weights.values()))
    other = torch.autograd.grad(with_old, list(weights.values()))
    found = [p.grad for p in supernet.model.parameters()]
    for grad, right, wrong in zip(found, expected, other, strict=True):
        torch.testing.assert_close(grad, right)
        assert not torch.allclose(grad, wrong, rtol=1e-6, atol=0) or not grad.any()


def snapshot(supernet, optimizer):
    state = {name: value.clone() for name, value in supernet.state_dict().items()}
    buffers = [
        optimizer.state[p]["momentum_buffer"].clone()
        for p in supernet.parameters()
        if p in optimizer.state
    ]
    return [*state.values(), *buffers]


class FailsAt(Classification):
    """A task that fails in a given pass."""

    def __init__(self, number):
        super().__init__()
        self.left = number

    def loss(self, model, batch):
        loss = super().loss(model, batch)
        self.left -= 1
        if self.left == 0:
            raise KeyError("the user's task")
        return loss


@pytest.mark.parametrize("number", [1, 2, 3, 4, math.inf])
def test_weights_buffers_and_momentum_are_put_back_to_the_bit(number):
    strategy, supernet, optimizer = make(OPTIMIZERS["as in the paper"], order=2)
    warm(supernet, optimizer, 2)
    before = snapshot(supernet, optimizer)
    args = supernet, FailsAt(number), whole(TRAIN), MOMENT
    if number == math.inf:
        strategy.alpha_step(*args)
    else:
        with pytest.raises(KeyError, match="the user's task"):
            strategy.alpha_step(*args)
    after = snapshot(supernet, optimizer)
    assert len(after) > len(list(supernet.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in supernet.parameters())
    assert all(m.track_running_stats for m in supernet.modules() if hasattr(m, "running_mean"))


def test_batch_norm_records_the_weight_step_alone():
    strategy, supernet, _ = make()
    strategy.backward(supernet, Classification(), whole(TRAIN), MOMENT)
    norm = supernet.model.stem[1]
    assert norm.num_batches_tracked == 1
    y = supernet.model.stem[0](TRAIN.inputs)
    torch.testing.assert_close(norm.running_mean, 0.1 * y.mean((0, 2)))


@pytest.mark.parametrize("order", [1, 2])
def test_search_batches_of_an_epoch_are_a_permutation_of_the_search_split(order):
    strategy, supernet, _ = make(order=order)
    seen = []

    class Seeing(Classification):
        def loss(self, model, batch):
            seen.append(batch[0])
            return super().loss(model, batch)

    train = TRAIN.inputs[:16], TRAIN.targets[:16]
    for step in range(3):
        strategy.backward(supernet, Seeing(), train, Moment(step, 10, 0))
    found = torch.cat([inputs for inputs in seen if inputs is not train[0]])
    normed = Doubled(SEARCH, 48, 0).batch(0)[0]
    assert torch.equal(found.flatten(1).sum(1).sort()[0], normed.flatten(1).sum(1).sort()[0])


def test_in_the_warm_up_only_weights_learn():
    strategy, supernet, _ = make(alpha=Alpha(warmup=0.5))
    (alpha, *_) = strategy.alphas.values()
    start = alpha.detach().clone()
    for step in range(10):
        strategy.backward(supernet, Classification(), whole(TRAIN), Moment(step, 10, 0))
        assert torch.equal(alpha, start) == (step < 5)


def test_second_order_needs_sgd():
    strategy, supernet, _ = make(order=2)
    with pytest.raises(ConfigError, match="step of SGD ahead, not of Adam"):
        strategy.start(torch.optim.Adam(supernet.parameters()))
    make(order=1)[0].start(torch.optim.Adam(supernet.parameters()))


def test_there_is_no_third_order():
    with pytest.raises(ConfigError, match="order 1 or 2, not 3"):
        DARTS(order=3)


def test_gates_are_softmaxes():
    strategy, supernet, _ = make()
    for label, gate in strategy.routing(supernet, MOMENT).items():
        torch.testing.assert_close(gate.weights, strategy.alphas[label].softmax(0))
        assert math.isclose(gate.weights.sum().item(), 1)
