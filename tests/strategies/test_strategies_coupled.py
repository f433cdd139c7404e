"""What coupled strategies share: how cost joins the loss, what is refused, what is said of α."""

import math

import pytest
import torch
from coupled_models import ready
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.cost import CostTable, Entry, ExpectedCost, measure_costs
from supernet.data import Examples, Loader
from supernet.errors import CodeError, ConfigError
from supernet.net import SuperNet
from supernet.strategies import (
    DARTS,
    GDAS,
    PCDARTS,
    SNAS,
    Alpha,
    CostPenalty,
    DrNAS,
    FBNet,
    ProxylessNAS,
    TrainingContext,
)
from supernet.task import Classification
from supernet.train import Moment


class Net(nn.Module):
    """A node that picks two of three inputs, an operation on each, and options without decisions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.node = InputChoice({f"from{i}": operations() for i in range(3)}, pick=2, label="node")
        self.some = Choice({n: nn.Linear(4, 4) for n in "abc"}, pick=(1, 2), label="some")
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        y = self.stem(x)
        return self.head(self.some(self.node([x, y, x * y])))


def operations():
    return Choice({"skip": nn.Identity(), "linear": nn.Linear(4, 4), "tanh": nn.Tanh()})


def examples():
    torch.manual_seed(0)
    return Examples(torch.randn(64, 4), torch.randint(0, 2, (64,)), ("a", "b"))


SEARCH = examples()
BATCH = SEARCH.inputs[:16], SEARCH.targets[:16]


def make(costs=None, seed=0, kind=DARTS, **arguments):
    torch.manual_seed(0)
    supernet = SuperNet(Net()).train()
    strategy = kind(**arguments)
    tables = measure_costs(supernet, SEARCH.inputs[:1]) if costs is None else costs
    loader = Loader(SEARCH, 16, 0, purpose="search")
    strategy.prepare(supernet, TrainingContext(seed, tables, search=loader))
    strategy.start(torch.optim.SGD(supernet.parameters(), lr=0.1))
    return strategy, supernet


def train(strategy, supernet, steps=30):
    for step in range(steps):
        strategy.backward(supernet, Classification(), BATCH, Moment(step, steps, 0))
        supernet.zero_grad(set_to_none=True)


def table(**amounts):
    """Return costs of the options of the decision `some`."""
    entries = [Entry(frozenset([(("some", n),)]), amount) for n, amount in amounts.items()]
    return CostTable("macs", [Entry(frozenset([()]), 10.0), *entries])


def test_edges_are_all_on_and_everything_else_is_weighed():
    strategy, supernet = make()
    gates = strategy.routing(supernet, Moment(0, 1, 0))
    weighed = {label for label, gate in gates.items() if gate.weights is not None}
    assert weighed == {"node.from0", "node.from1", "node.from2", "some"}
    assert all(gate.options == (0, 1, 2) for gate in gates.values())


def test_options_of_several_without_decisions_in_them_are_learned():
    strategy, supernet = make(alpha=Alpha(learning_rate=0.1))
    start = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}
    train(strategy, supernet)
    still = {label for label, alpha in strategy.alphas.items() if torch.equal(alpha, start[label])}
    assert still == {"node"}  # an edge is as strong as what lies in it


def test_alpha_starts_small_and_depends_on_the_seed_alone():
    first, second, other = make()[0], make()[0], make(seed=1)[0]
    for label, alpha in first.alphas.items():
        assert torch.equal(alpha, second.alphas[label])
        assert not torch.equal(alpha, other.alphas[label])
        assert alpha.abs().max() < 0.01
    assert not torch.equal(first.alphas["node.from0"], first.alphas["node.from1"])


def test_a_strategy_that_is_prepared_again_begins_anew():
    strategy, supernet = make(cost=CostPenalty("macs"))
    train(strategy, supernet)
    loader = Loader(SEARCH, 16, 0, purpose="search")
    costs = measure_costs(supernet, SEARCH.inputs[:1])
    strategy.prepare(supernet, TrainingContext(0, costs, search=loader))
    fresh = make(cost=CostPenalty("macs"))[0]
    assert all(torch.equal(a, fresh.alphas[label]) for label, a in strategy.alphas.items())
    assert strategy.state_dict()["optimizer"] == fresh.state_dict()["optimizer"]


def test_chances_are_those_of_the_derived_architecture():
    strategy, _ = make()
    with torch.no_grad():
        strategy.alphas["some"].copy_(torch.tensor([0.5, 0.3, 0.2]).log())
        strategy.alphas["node"].copy_(torch.tensor([3.0, 0.0, 0.0]))
        strategy.alphas["node.from0"].copy_(torch.tensor([0.5, 0.3, 0.2]).log())
        chances = strategy.chances()
    close = torch.testing.assert_close
    close(chances["some"], torch.tensor([1.0, 0.6, 0.4]))  # two are chosen
    close(chances["node"], torch.full((3,), 2 / 3))  # not learned, whatever α says
    close(chances["node.from0"], torch.tensor([0.5, 0.3, 0.2]))


@pytest.mark.parametrize("target", [None, 700.0])
def test_both_losses_of_the_cost(target):
    for kind in ("linear", "log"):
        strategy, supernet = make(cost=CostPenalty("macs", form=kind, weight=0.3, target=target))
        costs = measure_costs(supernet, SEARCH.inputs[:1])["macs"]
        expected = ExpectedCost(costs, supernet.space)(strategy.chances()).item()
        goal = expected if target is None else target
        if kind == "linear":
            charged = 2 + 0.3 * (expected - goal) / goal
        else:
            charged = 2 * (math.log(expected) / math.log(goal)) ** 0.3
        found = strategy.alpha_loss(torch.tensor(2.0), Moment(0, 2, 0)).item()
        assert found == pytest.approx(charged, rel=1e-5)
        assert (found == pytest.approx(2.0)) == (target is None)


@pytest.mark.parametrize(("kind", "arguments"), [(DARTS, {}), (DARTS, {"order": 2}), (SNAS, {})])
def test_the_regulariser_joins_the_loss_of_alpha_and_knows_its_step(kind, arguments):
    class Pulled(kind):
        def regulariser(self, moment):
            return moment.step * sum(3 * alpha[0] for alpha in self.active_alphas().values())

    def gradients(kind, step):
        strategy, supernet = make(kind=kind, **arguments)
        found = []
        strategy.move_alpha = found.extend
        strategy.backward(supernet, Classification(), BATCH, Moment(step, 5, 0))
        return dict(zip(strategy.alphas, found, strict=True))

    for step in (0, 2):
        plain, pulled = gradients(kind, step), gradients(Pulled, step)
        assert pulled.pop("node") is None  # edges are not learned
        for label, gradient in pulled.items():
            expected = plain[label] + torch.tensor([3.0 * step, 0, 0])
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_active_alphas_are_those_that_decide():
    strategy, _ = make()
    strategy.kept["some"] = (0, 2)
    active = strategy.active_alphas()
    assert list(active) == [label for label in strategy.alphas if label != "node"]
    assert torch.equal(active["some"], strategy.alphas["some"][[0, 2]])
    assert active["node.from0"] is strategy.alphas["node.from0"]
    edges, _ = make(kind=PCDARTS)
    assert edges.active_alphas()["node"] is edges.alphas["node"]


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_cost_pulls_towards_what_is_cheap(kind):
    def share(**amounts):
        strategy, supernet = make(
            {"macs": table(**amounts)}, alpha=Alpha(0.1), cost=CostPenalty("macs", 20.0, form=kind)
        )
        train(strategy, supernet)
        return strategy.probabilities()["some"]

    assert share(a=100.0, b=100.0, c=2.0).argmax() == 2
    assert share(a=2.0, b=100.0, c=100.0).argmax() == 0


def test_a_latency_without_a_table_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"'latency_ms', but costs are known for macs, params.*"):
        make(cost=CostPenalty("latency_ms"))


def test_costs_below_one_have_no_usable_logarithm():
    small = {"macs": CostTable("macs", [Entry(frozenset([(("some", "a"),)]), 5.0)])}
    assert make(small, cost=CostPenalty("macs", form="linear"))
    with pytest.raises(ConfigError, match="the cheapest architecture costs 0; use 'linear'"):
        make(small, cost=CostPenalty("macs", form="log"))
    with pytest.raises(ConfigError, match=r"the target is 0\.5"):
        make(cost=CostPenalty("macs", form="log", target=0.5))
    with pytest.raises(ConfigError, match="target must be above 0, not 0"):
        make(cost=CostPenalty("macs", target=0.0))


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.0), ("weight_decay", -1.0), ("warmup", 1.0)]
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} {value}"):
        Alpha(**{name: value})


def test_betas_and_charges_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"betas are in \[0, 1\), not \[1.5, 2\]"):
        Alpha(betas=(1.5, 2))
    with pytest.raises(ConfigError, match=r"cost\.weight is at least 0, not -1"):
        CostPenalty("macs", weight=-1.0)


@pytest.mark.parametrize("kind", [DrNAS, GDAS, SNAS, FBNet, ProxylessNAS])
def test_curvature_means_nothing_where_what_runs_is_drawn(kind):
    with pytest.raises(ConfigError, match=rf"early_stop .* {kind.__name__} draws what runs"):
        kind(alpha=Alpha(early_stop=1.3))


@pytest.mark.parametrize("clip", [None, 1e-3, 1e3])
def test_the_gradient_of_alpha_is_scaled_down_to_a_norm(clip):
    """SGD in place of Adam shows the gradient that α is moved by."""
    strategy, _ = make(alpha=Alpha(clip=clip))
    strategy._optimizer = torch.optim.SGD(strategy.alphas.values(), lr=1.0)
    torch.manual_seed(5)
    given = {label: torch.randn(len(alpha)) for label, alpha in strategy.alphas.items()}
    given["node"] = None
    before = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}
    expected = {label: g.clone() for label, g in given.items() if g is not None}
    norm = math.sqrt(sum(float((g * g).sum()) for g in expected.values()))
    strategy.move_alpha(tuple(given.values()))
    factor = 1.0 if clip is None else min(1.0, clip / norm)
    for label, alpha in strategy.alphas.items():
        moved = before[label] - alpha.detach()
        should = factor * expected.get(label, torch.zeros(3))
        torch.testing.assert_close(moved, should, rtol=1e-3, atol=1e-6)


def test_alpha_starts_around_the_mean():
    strategy, _ = make(alpha=Alpha(mean=1.0, spread=0.01))
    every = torch.cat([alpha.detach() for alpha in strategy.alphas.values()])
    assert ((every - 1).abs() < 0.05).all()
    assert 0.002 < float(every.std()) < 0.03


def test_a_clip_must_be_positive():
    with pytest.raises(ConfigError, match=r"alpha\.clip is the largest norm"):
        Alpha(clip=0.0)


def test_options_that_are_out_of_the_race_have_no_share_and_do_not_run():
    strategy, supernet = make()
    strategy.kept["some"] = (0, 2)
    with torch.no_grad():
        strategy.alphas["some"].copy_(torch.tensor([0.5, 9.0, 0.25]).log())
    p = strategy.probabilities()["some"]
    torch.testing.assert_close(p.detach(), torch.tensor([2 / 3, 0.0, 1 / 3]))
    gate = strategy.routing(supernet, Moment(0, 10, 0))["some"]
    assert gate.options == (0, 2)
    torch.testing.assert_close(gate.weights, p[[0, 2]])
    before = strategy.alphas["some"].detach().clone()
    train(strategy, supernet)
    assert strategy.alphas["some"][1].isfinite()
    assert "b" not in strategy.learned(supernet)[0]["some"]
    assert (strategy.alphas["some"].detach() != before)[[0, 2]].all()
    again, _ = make()
    again.load_state_dict(strategy.state_dict())
    assert again.kept == strategy.kept


def test_without_a_search_split_nothing_can_be_learned():
    supernet = SuperNet(Net())
    with pytest.raises(ConfigError, match="DARTS learns the architecture on a search split"):
        DARTS().prepare(supernet, TrainingContext(0, {}))


class OnlyOne(DARTS):
    several = False


def test_a_strategy_may_take_decisions_with_one_answer_alone():
    loader = Loader(SEARCH, 16, 0)
    with pytest.raises(ConfigError, match=r"OnlyOne cannot relax decision '(node|some)'"):
        OnlyOne().prepare(SuperNet(Net()), TrainingContext(0, {}, search=loader))


def test_entropy_is_one_where_nothing_is_decided_and_falls_to_zero():
    strategy, _ = make()
    assert strategy.metrics()["entropy"] == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        for alpha in strategy.alphas.values():
            alpha[1] = 100.0
    assert strategy.metrics()["entropy"] == pytest.approx(0, abs=1e-4)


def test_dominance_is_the_share_of_decisions_that_options_without_parameters_win():
    strategy, _ = make()

    def decide(*best):
        with torch.no_grad():
            for i, index in enumerate(best):
                strategy.alphas[f"node.from{i}"].zero_()[index] = 3.0
        return strategy.metrics()["skip_dominance"]

    assert decide(1, 1, 1) == 0
    assert decide(0, 1, 1) == pytest.approx(1 / 3, abs=1e-3)
    assert strategy.warnings() == []
    assert decide(0, 2, 0) == 1
    (warning,) = strategy.warnings()
    assert "DARTS has collapsed: in 100 % of the decisions" in warning


def test_what_was_learned_follows_the_rule():
    strategy, supernet = make(rule="edges")
    with torch.no_grad():
        for label, best in (("node.from0", 1), ("node.from1", 2), ("node.from2", 0)):
            strategy.alphas[label].zero_()[best] = 2.0 if label == "node.from1" else 3.0
        strategy.alphas["some"].copy_(torch.tensor([0.0, 2.0, 1.0]))
    (found,) = strategy.learned(supernet)
    assert dict(found) == {
        "node": ("from0", "from2"),
        "node.from0": "linear",
        "node.from2": "skip",
        "some": ("b",),  # c has less than the uniform share
    }


def test_a_race_is_decided_by_options_that_are_there():
    strategy = DARTS()
    ready(strategy)
    strategy.race.decide("first", (2, 1, 2))
    assert strategy.kept["first"] == (1, 2)
    strategy.race.decide("first", [1])
    assert strategy.probabilities()["first"].tolist() == [0.0, 1.0, 0.0]
    for wrong in ((), (3,), (-1, 0)):
        with pytest.raises(
            CodeError, match=r"decision 'first', with options 0 to 2, .* one or more"
        ):
            strategy.race.decide("first", wrong)
