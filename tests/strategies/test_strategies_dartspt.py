import pytest
import torch
from coupled_models import Chain, Factors, Mean, ready
from torch import nn

from supernet.choice import Choice, Gate, InputChoice, Routing
from supernet.data import Digits, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.strategies import DARTSPT, Alpha, TrainingContext
from supernet.task import Classification
from supernet.train import Moment, Schedule
from supernet.zoo import DARTS


def at(step, steps=10):
    return Moment(step, steps, 4)


def test_what_is_missed_most_is_kept_whatever_alpha_says():
    # The loss is the mean output and the inputs' mean is positive: a negative factor is missed most.
    strategy = DARTSPT(search=0.5)
    supernet = ready(strategy, Factors(1.0, -2.0, 3.0), start={"pick": [0.0, -1.0, 2.0]})
    assert strategy.search_loader.batch(0)[0].mean() > 0
    decision = supernet.space.decision("pick")
    p = strategy.probabilities()["pick"].detach()
    mean = torch.stack(
        [
            strategy.search_batch(at(k))[0].mean()
            for k in range(strategy.search_loader.batches_per_epoch)
        ]
    ).mean()
    factors = torch.tensor([1.0, -2.0, 3.0])
    for i in range(3):
        with torch.no_grad():
            accuracy, negative = strategy.without(supernet, Mean(), decision, i, at(9))
        left = [j for j in range(3) if j != i]
        assert accuracy == 0.0  # the task has none
        torch.testing.assert_close(torch.tensor(-negative), (p * factors)[left].sum() * mean)
    assert strategy.settle(supernet, Mean(), decision, at(9)) == (1,)
    assert strategy.learned(supernet)[0]["pick"] == supernet.space.decision("pick").options[2]


def test_decisions_are_settled_one_by_one_in_the_last_part_and_alpha_goes_on():
    strategy = DARTSPT(search=0.5)
    supernet = ready(strategy, Chain())
    count, settled = len(supernet.space.decisions), []
    batch = strategy.search_loader.batch(0)
    before = None
    for step in range(12):
        strategy.backward(supernet, Classification(), batch, at(step, 12))
        settled.append(strategy.settled)
        alphas = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}
        if before is not None:
            moved = {label for label in alphas if not torch.equal(alphas[label], before[label])}
            assert moved >= {label for label, kept in strategy.kept.items() if len(kept) > 1}
        before = alphas
    assert settled[:6] == [0] * 6
    assert settled[6:] == sorted(settled[6:])
    assert settled[-1] == count
    assert all(len(kept) == 1 for kept in strategy.kept.values())
    (found,) = strategy.learned(supernet)
    for label, answer in found.items():
        assert supernet.space.decision(label).indices(answer) == strategy.kept[label]


def test_fixed_alpha_never_moves():
    strategy = DARTSPT(search=0.5, fixed=True, alpha=Alpha(warmup=0.9))
    supernet = ready(strategy, Chain())
    start = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}
    for step in range(10):
        strategy.backward(supernet, Classification(), strategy.search_loader.batch(0), at(step))
    assert all(torch.equal(strategy.alphas[label], start[label]) for label in start)
    assert strategy.settled == 3


def test_both_schedules_are_those_of_the_authors_code():
    """50 epochs from 0.025 and 81 from 0.0025, both to 0.001, by torch's own cosine."""
    strategy, schedule = DARTSPT(search=50 / 131), Schedule("cosine", 0.0, 0.001 / 0.025)
    moments = [Moment(epoch, 132, 0) for epoch in range(132)]  # the 132nd is the end of the last
    found = [0.025 * strategy.rate(schedule, moment) for moment in moments]
    for start, epochs, first in ((0.025, 50, 0), (0.0025, 81, 50)):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=start)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=0.001)
        for epoch in range(epochs):
            assert found[first + epoch] == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            cosine.step()
    assert found[-1] == pytest.approx(0.001)


def test_rounds_come_when_they_do_in_the_authors_code():
    """14 operations and 3 nodes of a cell: every 5 of 81 epochs, the last an epoch before the end."""
    strategy = DARTSPT(search=50 / 131)
    strategy._rounds = [()] * 17
    due = [strategy.due(Moment(epoch, 132, 0)) for epoch in range(132)]
    # rounds lie at 5 · 16 = 80 of 81 epochs in all, so at 81 / 16.1 = 5.03 epochs from one to the next
    assert due[:51] == [0] * 50 + [1]
    firsts = [next(epoch for epoch, n in enumerate(due) if n > k) - 50 for k in range(17)]
    assert all(abs(first - 5 * k) <= 1 for k, first in enumerate(firsts))


def test_the_optimizer_begins_anew_with_the_settlements():
    strategy = DARTSPT(search=0.5)
    supernet = ready(strategy, Chain())
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9)
    strategy.start(optimizer)
    weight = next(p for name, p in supernet.named_parameters() if "head.weight" in name)
    for step in range(7):
        strategy.backward(supernet, Classification(), strategy.search_loader.batch(0), at(step))
        gradient, before = weight.grad.clone(), weight.detach().clone()
        optimizer.step()
        moved = (before - weight.detach()) / 0.1
        assert torch.allclose(moved, gradient, atol=1e-6) == (step in (0, 5))
        supernet.zero_grad(set_to_none=True)


def test_the_last_step_settles_whatever_is_left():
    strategy = DARTSPT(search=0.9)
    supernet = ready(strategy, Chain())
    strategy.backward(supernet, Classification(), strategy.search_loader.batch(0), at(9))
    assert strategy.settled == len(supernet.space.decisions)


def test_scores_are_those_of_the_supernet_without_the_option():
    strategy = DARTSPT(batches=2)
    supernet = ready(strategy, Chain())
    decision, moment = supernet.space.decision("first"), at(9)
    with torch.no_grad(), batch_statistics(supernet):
        accuracy, negative = strategy.without(supernet, Classification(), decision, 1, moment)
        p = strategy.probabilities()
        gates = {label: Gate(tuple(range(len(w))), w) for label, w in p.items()}
        gates["first"] = Gate((0, 2), p["first"][[0, 2]])
        hits, losses = [], []
        for k in range(2):
            x, y = strategy.search_loader.batch(k)
            logits = supernet(x, Routing(gates))
            hits.append((logits.argmax(1) == y).float().mean())
            losses.append(nn.functional.cross_entropy(logits, y))
    assert accuracy == pytest.approx(float(sum(hits) / 2))
    assert -negative == pytest.approx(float(sum(losses) / 2), rel=1e-5)


class Edges(nn.Module):
    """A node that needs its inputs 0 and 2, with an operation on each edge."""

    def __init__(self):
        super().__init__()
        edges = {
            name: Choice({"none": Times(0.0), "skip": Times(scale)}, label=f"node.from{name}")
            for name, scale in (("0", -5.0), ("1", 1.0), ("2", -3.0))
        }
        self.node = InputChoice(edges, pick=2, label="node.edges")

    def forward(self, x):
        return self.node([x, x, x])


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        return self.factor * x


def test_operations_are_settled_before_edges_and_none_is_never_kept():
    strategy = DARTSPT()
    supernet = ready(strategy, Edges())
    assert [[d.label for d in one] for one in strategy._rounds][-1] == ["node.edges"]
    strategy.backward(supernet, Mean(), strategy.search_loader.batch(0), at(9))
    assert [strategy.kept[f"node.from{i}"] for i in range(3)] == [(1,)] * 3
    assert strategy.kept["node.edges"] == (0, 2)
    (found,) = strategy.learned(supernet)
    assert found["node.edges"] == ("0", "2")
    assert found["node.from0"] == "skip"


@pytest.mark.slow
def test_a_restart_in_the_middle_of_the_settlement_goes_on_alike():
    torch.manual_seed(0)
    model = DARTS((1, 8, 8), cells=3, channels=4, nodes=1, operations="S3")
    supernet = SuperNet(model).train()
    loader = Loader(Digits().load().train, 16, 3)
    setting = TrainingContext(3, {}, search=loader)

    def trained(strategy, steps):
        for step in steps:
            strategy.backward(supernet, Classification(), loader.batch(step), Moment(step, 10, 3))

    one, two = DARTSPT(search=0.4, batches=1), DARTSPT(search=0.4, batches=1)
    one.prepare(supernet, setting)
    trained(one, range(7))
    assert 0 < one.settled < len(one._rounds)
    two.prepare(supernet, setting)
    two.load_state_dict(one.state_dict())
    trained(one, range(7, 10))
    trained(two, range(7, 10))
    assert one.learned(supernet) == two.learned(supernet)
    assert one.kept == two.kept


def test_settling_moves_no_statistics_and_drops_nothing():
    torch.manual_seed(0)
    model = DARTS((1, 8, 8), cells=3, channels=4, nodes=1, operations="S2", drop_path=0.9)
    supernet, strategy = SuperNet(model).train(), DARTSPT(batches=1)
    loader = Loader(Digits().load().train, 16, 3)
    strategy.prepare(supernet, TrainingContext(3, {}, search=loader))
    before = {name: value.clone() for name, value in supernet.named_buffers()}
    decision, scores = strategy._rounds[0][0], []
    for _ in range(2):
        scores.append(strategy.settle(supernet, Classification(), decision, at(9)))
        with batch_statistics(supernet), torch.no_grad():
            scores.append(strategy.without(supernet, Classification(), decision, 0, at(9)))
    assert scores[:2] == scores[2:]
    assert all(torch.equal(value, before[name]) for name, value in supernet.named_buffers())
    assert supernet.training


def test_the_order_is_drawn_from_the_seed():
    supernet, orders = SuperNet(DARTS((1, 8, 8), cells=3, channels=4, nodes=2)), []
    loader = Loader(Digits().load().train, 16, 3)
    for seed in (0, 0, 1, 2):
        strategy = DARTSPT()
        strategy.prepare(supernet, TrainingContext(seed, {}, search=loader))
        orders.append([tuple(d.label for d in one) for one in strategy._rounds])
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.slow
def test_cells_of_two_kinds_are_settled_side_by_side_operations_first():
    supernet = SuperNet(DARTS((1, 8, 8), cells=3, channels=4, nodes=3))
    strategy = DARTSPT()
    strategy.prepare(supernet, TrainingContext(0, {}, search=Loader(Digits().load().train, 16, 3)))
    rounds = [[d.label for d in one] for one in strategy._rounds]
    assert all(
        one[0].startswith("normal.") and one[1].startswith("reduce.") and len(one) == 2
        for one in rounds
    )
    assert (
        len(rounds) == 2 + 3 + 4 + 2
    )  # edges into three nodes, and the nodes with a choice of edges
    kinds = ["edges" if all(label.endswith(".edges") for label in one) else "op" for one in rounds]
    assert kinds == ["op"] * 9 + ["edges"] * 2
    # of each kind in an order of its own
    assert [one[0].partition(".")[2] for one in rounds] != [
        one[1].partition(".")[2] for one in rounds
    ]
    apart = DARTSPT(together=())
    apart.prepare(supernet, TrainingContext(0, {}, search=Loader(Digits().load().train, 16, 3)))
    assert [len(one) for one in apart._rounds] == [1] * 22


def test_a_decision_gets_as_many_answers_as_it_needs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.pick = Choice({"none": Times(0.0), "b": Times(1.0)}, pick=2, label="pick")

        def forward(self, x):
            return self.pick(x)

    strategy = DARTSPT()
    supernet = ready(strategy, Two())
    decision = supernet.space.decision("pick")
    assert strategy.settle(supernet, Mean(), decision, at(9)) == (0, 1)


@pytest.mark.parametrize(
    ("start", "kept"),
    [([9.0, 0.0, 0.0], (1,)), ([0.0, 0.0, 0.0], (1, 2)), ([9.0, 9.0, 0.0], (1, 2))],
)
def test_how_many_follows_from_alpha_and_which_from_what_is_missed(start, kept):
    class OneOrTwo(nn.Module):
        def __init__(self):
            super().__init__()
            factors = [Times(factor) for factor in (1.0, -2.0, -0.5)]
            self.pick = Choice(factors, pick=(1, 2), label="pick")

        def forward(self, x):
            return self.pick(x)

    class Sum(Mean):
        """The weights of options make no difference to which is missed most."""

        def measure(self, model, batch):
            gate = model.model.pick.gate
            factors = torch.tensor([1.0, -2.0, -0.5])[list(gate.options)]
            return {"loss": factors.sum().expand(len(batch[0]))}

    strategy = DARTSPT()
    supernet = ready(strategy, OneOrTwo(), start={"pick": start})
    assert strategy.settle(supernet, Sum(), supernet.space.decision("pick"), at(9)) == kept


def test_alpha_that_would_never_learn_is_refused():
    with pytest.raises(ConfigError, match="never learned in the whole mixture"):
        DARTSPT(search=0.5, alpha=Alpha(warmup=0.5))


def test_numbers_out_of_range_are_refused():
    for wrong in ({"search": 0.0}, {"search": 1.0}, {"batches": 0}):
        with pytest.raises(ConfigError, match="search is a share"):
            DARTSPT(**wrong)
    for rate in (0.0, 1.5):
        with pytest.raises(ConfigError, match="rate is a share"):
            DARTSPT(rate=rate)
