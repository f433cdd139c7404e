import pytest
import torch
from coupled_models import BATCH, Chain, Factors, at, calls, ready
from torch import nn

from marks import slow_unless
from supernet.choice import Choice
from supernet.cost import count_params, measure_costs
from supernet.data import Examples, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet, derive, split_supernet
from supernet.ops import FactorizedReduce
from supernet.strategies import DARTS, Alpha, DARTSMinus, TrainingContext
from supernet.task import Classification
from supernet.zoo import DARTS as Cells


def made(strategy, model=None, **given):
    """Return a supernet that the strategy built and is prepared for."""
    return ready(strategy, Chain() if model is None else model, **given)


class Step(nn.Module):
    """A choice with a skip that has weights, as between shapes."""

    def __init__(self, name="skip_connect"):
        super().__init__()
        self.pick = Choice({"linear": nn.Linear(4, 3), name: nn.Linear(4, 3)}, label="pick")

    def forward(self, x):
        return self.pick(x)


@pytest.mark.parametrize("name", ["skip", "skip_connect", "identity"])
@pytest.mark.parametrize(("step", "beta"), [(0, 1.0), (5, 0.5), (10, 0.0)])
def test_it_is_darts_plus_beta_times_a_skip_of_its_own(name, step, beta):
    ours, darts = DARTSMinus(), DARTS()
    start = {"pick": [0.4, -0.8]}
    supernet = made(ours, Step(name), start=start)
    ready(darts, Step(name), start=start)
    (beside,) = supernet.modules_beside.values()
    skip = supernet.model.pick.options[1]
    assert torch.equal(beside.weight, skip.weight)  # a copy
    assert beside.weight is not skip.weight
    with torch.no_grad():
        beside.weight.add_(0.1)
    routing = ours.routing(supernet, at(step))
    assert ours.beta(at(step)) == pytest.approx(beta)
    with supernet.beside(ours.beta(at(step))):
        output = supernet(BATCH[0], routing)
    plain = supernet(BATCH[0], darts.routing(supernet, at(step)))
    torch.testing.assert_close(output, plain + beta * beside(BATCH[0]))
    torch.testing.assert_close(supernet(BATCH[0], routing), plain)  # nothing is left behind


def seen_losses(strategy, supernet, moment):
    """Return the losses of the passes of a step, on the training batch and on the search batch."""
    losses = []

    class Seeing(Classification):
        def loss(self, model, batch):
            losses.append((batch, super().loss(model, batch)))
            return losses[-1][1]

    strategy.backward(supernet, Seeing(), BATCH, moment)
    return losses


@pytest.mark.parametrize("step", [0, 4, 10])
def test_both_passes_of_a_step_have_it_and_its_weights_learn(step):
    strategy = DARTSMinus(alpha=Alpha(learning_rate=1e-9))
    supernet = made(strategy, Step(), start={"pick": [0.4, -0.8]})
    p = torch.softmax(torch.tensor([0.4, -0.8]), 0)
    linear, skip = supernet.model.pick.options
    (beside,) = supernet.modules_beside.values()
    losses = seen_losses(strategy, supernet, at(step))
    assert len(losses) == 2
    for (inputs, targets), found in losses:
        y = p[0] * linear(inputs) + p[1] * skip(inputs) + (1 - step / 10) * beside(inputs)
        torch.testing.assert_close(found, torch.nn.functional.cross_entropy(y, targets))
    assert set(beside.parameters()) <= set(supernet.parameters())
    assert (beside.weight.grad is None) == (step == 10)
    assert strategy.learned(supernet)[0]["pick"] == "linear"  # it does not count


def test_alpha_gets_the_gradient_of_the_softmax_only():
    strategy = DARTSMinus()
    supernet = made(strategy, start={"first": [0.3, 0.1, -0.5]})
    weights = strategy.routing(supernet, at(2))["first"].weights
    torch.testing.assert_close(weights, torch.softmax(torch.tensor([0.3, 0.1, -0.5]), 0))
    assert strategy.learned(supernet)[0]["first"] == "a"


def test_decisions_without_a_skip_are_as_in_darts():
    strategy = DARTSMinus()
    supernet = made(strategy)
    assert supernet.with_beside == {"first"}
    with supernet.beside(1.0):
        supernet(BATCH[0], strategy.routing(supernet, at(0)))
    assert calls(supernet.model.first) == [1, 1, 1]
    (beside,) = supernet.modules_beside.values()
    assert beside.calls == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operations", "partial"),
    [
        slow_unless((operations, partial) in {("DARTS", 1), ("S1", 2)}, operations, partial)
        for operations in ("DARTS", "S1", "S2", "S3", "S4")
        for partial in (1, 2)
    ],
)
def test_every_edge_of_the_darts_space_has_one(operations, partial):
    torch.manual_seed(0)
    model = Cells((1, 8, 8), cells=3, channels=4, operations=operations, partial=partial)
    strategy = DARTSMinus()
    supernet = made(strategy, model, inputs=torch.randn(16, 1, 8, 8))
    edges = {label for label in supernet.space.labels if ".from" in label}
    assert len(edges) == 28
    assert supernet.with_beside == edges
    # two normal cells would share their decisions: beside each of the 3 · 14 choices lies a module
    assert len(supernet.modules_beside) == 3 * 14
    kinds = [type(module) for module in supernet.modules_beside.values()]
    # of the edges with stride 2, those from two states to four nodes, in two reduction cells
    assert kinds.count(FactorizedReduce) == 2 * 2 * 4
    assert kinds.count(nn.Identity) == 3 * 14 - 16

    images = torch.randn(2, 1, 8, 8)
    with supernet.beside(0.5):
        loss = supernet(images, strategy.routing(supernet, at(0))).sum()
    loss.backward()
    convolutions = [m for m in supernet.modules_beside.values() if isinstance(m, FactorizedReduce)]
    assert all(m.even.weight.grad is not None for m in convolutions)


@pytest.mark.slow
def test_candidates_and_derived_networks_know_nothing_of_it():
    strategy = DARTSMinus()
    torch.manual_seed(0)
    model = Cells((1, 8, 8), cells=3, channels=4, nodes=2, operations="S4")
    supernet, images = (
        made(strategy, model, inputs=torch.randn(16, 1, 8, 8)),
        torch.randn(2, 1, 8, 8),
    )
    plain = SuperNet(model)
    one = supernet.space.build(lambda d: "sep3" if d.high == 1 else d.options[:2])
    for quantity, table in measure_costs(plain, images[:1]).items():
        assert measure_costs(supernet, images[:1])[quantity].digest == table.digest
    torch.testing.assert_close(supernet.eval()(images, one), plain.eval()(images, one))
    network = derive(supernet, one)
    torch.testing.assert_close(network(images), plain(images, one))
    assert count_params(network) == measure_costs(plain, images[:1])["params"].cost(one)


def test_a_part_of_a_supernet_has_copies():
    strategy = DARTSMinus()
    supernet = made(strategy, Step("skip"))
    part = split_supernet(supernet, "pick", "linear")
    (mine,), (copied,) = supernet.modules_beside.values(), part.modules_beside.values()
    assert torch.equal(mine.weight, copied.weight)
    assert mine.weight is not copied.weight
    other = DARTSMinus()
    search = Loader(Examples(torch.randn(16, 4), torch.arange(16) % 3), 8, 1, purpose="search")
    other.prepare(part, TrainingContext(1, {}, part=True, search=search))
    assert other.backward(part, Classification(), BATCH, at(0)).isfinite()
    assert copied.weight.grad is not None


def test_a_space_without_skips_is_refused_but_not_a_part_of_one():
    supernet = DARTSMinus().build(Factors(1, 2))
    with pytest.raises(ConfigError, match="no decision has an option named skip or skip_connect"):
        DARTSMinus().prepare(supernet, TrainingContext(1, {}, search=object()))
    strategy = DARTSMinus()
    strategy.prepare(supernet, TrainingContext(1, {}, part=True, search=object()))
    weights = strategy.routing(supernet, at(0))["pick"].weights
    torch.testing.assert_close(weights, strategy.probabilities()["pick"])


def test_a_supernet_that_it_did_not_build_is_refused():
    with pytest.raises(ConfigError, match=r"make it by its method build\(model\)"):
        DARTSMinus().prepare(SuperNet(Step()), TrainingContext(1, {}, search=object()))


def test_a_negative_beta_is_refused():
    with pytest.raises(ConfigError, match="auxiliary is the weight of a skip"):
        DARTSMinus(auxiliary=-0.5)


def test_it_learns():
    strategy = DARTSMinus(alpha=Alpha(learning_rate=0.1))
    supernet = made(strategy)
    before = torch.cat([a.detach().clone() for a in strategy.alphas.values()])
    strategy.backward(supernet, Classification(), BATCH, at(0))
    after = torch.cat([a.detach() for a in strategy.alphas.values()])
    torch.testing.assert_close((after - before).abs(), torch.full((7,), 0.1), rtol=0.01, atol=0.0)
