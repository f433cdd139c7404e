import copy
import io
import math
from random import Random

import pytest
import torch
from elastic_models import BATCH, made
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.errors import ConfigError
from supernet.net import SuperNet, derive
from supernet.space import Architecture
from supernet.strategies import ProgressiveShrinking, TrainingContext
from supernet.task import Classification
from supernet.train import Moment, digest

LARGEST = {"width": 6, "kernel": 5, "op": "deep", "inner": 5, "depth": 3}
EVEN = {"lengths": (1, 1, 1, 1, 1, 1)}
STEPS = 12
"""Two of each phase, where they are even."""


def moment(step, steps=STEPS):
    return Moment(step, steps, 4)


def test_the_phases_have_the_paper_s_shares():
    strategy, _ = made(ProgressiveShrinking)
    phases = [strategy.phase(Moment(step, 595, 0)) for step in range(595)]
    assert phases == sorted(phases)
    assert [phases.count(phase) for phase in range(6)] == [180, 125, 25, 120, 25, 120]


def test_phases_that_open_nothing_are_left_out():
    class Operations(nn.Module):
        def __init__(self):
            super().__init__()
            self.op = Choice({"small": nn.Linear(4, 3), "tanh": nn.Sequential(nn.Linear(4, 3))})

        def forward(self, x):
            return self.op(x)

    supernet, strategy = SuperNet(Operations()), ProgressiveShrinking()
    strategy.prepare(supernet, TrainingContext(0, measure_costs(supernet, torch.randn(1, 4))))
    phases = [strategy.phase(Moment(step, 305, 0)) for step in range(305)]
    assert phases == [0] * 180 + [1] * 125


def test_what_is_not_open_is_held_at_its_largest():
    strategy, supernet = made(ProgressiveShrinking)
    random = Random(0)
    seen = {phase: [strategy.draw(phase, random) for _ in range(200)] for phase in range(1, 6)}
    assert all(one in supernet.space for drawn in seen.values() for one in drawn)

    def values(phase, label):
        return {one[label] for one in seen[phase] if label in one}

    for phase in range(1, 6):
        assert values(phase, "op") == {"deep", "pool"}
        assert values(phase, "kernel") == {1, 3, 5}
        assert values(phase, "depth") == ({3}, {2, 3}, {1, 2, 3})[min(phase - 1, 2)]
        assert values(phase, "width") == ({6}, {4, 6}, {2, 4, 6})[max(phase - 3, 0)]
        assert values(phase, "inner") == ({5}, {4, 5}, {2, 3, 4, 5})[max(phase - 3, 0)]


def test_every_open_answer_is_as_likely():
    strategy, supernet = made(ProgressiveShrinking)
    random = Random(0)
    drawn = [strategy.draw(5, random) for _ in range(3000)]
    for label in ("op", "kernel", "depth", "width"):
        options = supernet.space.decision(label).options
        for option in options:
            share = sum(one[label] == option for one in drawn) / len(drawn)
            assert share == pytest.approx(1 / len(options), abs=0.04)


@pytest.mark.quick_with("architectures-shares1")
@pytest.mark.parametrize(
    ("sampling", "shares"),
    # depth 3 has an inner width of four sizes with one of two operations; kernels and widths are apart
    [
        ("decisions", {"op": 1 / 2, "depth": 1 / 3}),
        ("architectures", {"op": 4 / 5, "depth": 1 / 3}),
    ],
)
def test_what_sub_networks_are_uniform_over(sampling, shares):
    strategy, _ = made(ProgressiveShrinking, sampling=sampling)
    random, draws = Random(0), 4000
    drawn = [strategy.draw(5, random) for _ in range(draws)]
    assert {"op": "deep", "depth": 3}.items() <= LARGEST.items()
    for label, share in shares.items():
        found = sum(one[label] == LARGEST[label] for one in drawn)
        assert abs(found - draws * share) < 4 * (draws * share * (1 - share)) ** 0.5
    half = [strategy.draw(4, random) for _ in range(draws)]  # two of four inner widths are open
    found = sum(one["op"] == "deep" for one in half)
    share = 1 / 2 if sampling == "decisions" else 2 / 3
    assert abs(found - draws * share) < 4 * (draws * share * (1 - share)) ** 0.5


@pytest.mark.slow_with("10-4", "2-1", "4-2")
@pytest.mark.parametrize(("step", "count"), [(0, 1), (2, 1), (4, 2), (6, 2), (8, 4), (10, 4)])
def test_a_phase_trains_so_many_sub_networks_a_step(step, count):
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    trained = []
    with supernet.observed(trained.append):
        strategy.backward(supernet, Classification(), BATCH, moment(step))
    assert len(trained) == count
    if step == 0:
        found = {
            label: supernet.space.decision(label).options[gate.options[0]]
            for label, gate in trained[0].items()
        }
        assert found == LARGEST


@pytest.mark.parametrize("distil", [0.0, 0.7])
def test_gradients_are_those_of_labels_and_of_the_teacher(distil):
    strategy, supernet = made(ProgressiveShrinking, distil=distil, **EVEN)
    teacher = derive(supernet, Architecture(LARGEST)).train()
    strategy.backward(supernet, Classification(), BATCH, moment(2))  # the teacher is made
    supernet.zero_grad()
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    value = strategy.backward(supernet, Classification(), BATCH, moment(6))
    found = {name: p.grad for name, p in supernet.named_parameters()}
    x, y = BATCH
    soft, random = teacher(x).detach().softmax(1), moment(6).stream("shrinking")
    total, labels = 0, []
    for _ in range(2):
        logits = supernet(x, strategy.draw(3, random))
        labels.append(F.cross_entropy(logits, y))
        total = total + labels[-1] - distil * (soft * logits.log_softmax(1)).sum(1).mean()
    assert value == pytest.approx(torch.stack(labels).mean().item())
    used = {name: p for name, p in supernet.named_parameters() if found[name] is not None}
    expected = torch.autograd.grad(total / 2, list(used.values()))
    for name, right in zip(used, expected, strict=True):
        torch.testing.assert_close(found[name], right)


def test_channels_are_put_in_order_again_and_networks_of_open_widths_stay_what_they_are():
    """The widths are 2, 4, 6: when 2 opens, the first four change places, and the last two."""
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    model, x = supernet.model, BATCH[0]
    strategy.backward(supernet, Classification(), BATCH, moment(8))
    with torch.no_grad():  # as training does, but so that no channel is where it belongs
        for parameter in model.parameters():
            parameter.normal_()
        model.head.weight[:, 3] += 100
        model.head.weight[:, 5] += 1000
    readers = [
        model.op.options[0][0],
        *(m for m in model.blocks.modules() if isinstance(m, nn.Conv2d)),
    ]
    assert len(readers) == 4
    amount = sum(m.weight.detach().abs().sum((0, 2, 3)) for m in readers)
    amount = amount + model.head.weight.detach().abs().sum(0)
    supernet.eval()
    wide = [Architecture({**LARGEST, "width": width}) for width in (6, 4)]
    small = Architecture({**LARGEST, "width": 2})
    before, weight = (
        [supernet(x, one) for one in (*wide, small)],
        model.head.weight.detach().clone(),
    )
    strategy._sort(supernet, 5)
    after = [supernet(x, one) for one in (*wide, small)]
    for one, other in zip(before[:2], after[:2], strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(before[2], after[2], atol=1e-3)
    # by hand: what multiplies the six channels, of which 3 and 5 matter most
    expected = [3, *sorted(range(3), key=lambda i: -amount[i]), 5, 4]
    torch.testing.assert_close(model.head.weight, weight[:, expected])


def test_the_second_order_is_made_once_when_the_last_widths_open():
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    sorted_in = []
    strategy._sort = lambda _, phase: (sorted_in.append(phase), setattr(strategy, "_sorted", phase))
    for step in range(6, STEPS):
        strategy.backward(supernet, Classification(), BATCH, moment(step))
    assert sorted_in == [4, 5]


def test_channels_are_put_in_order_once_when_widths_open():
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9)
    strategy.start(optimizer)
    for parameter in supernet.parameters():
        optimizer.state[parameter]["momentum_buffer"] = 2 * parameter.detach()
    supernet.eval()
    x, full = BATCH[0], Architecture(LARGEST)
    before = supernet(x, full), supernet(x, Architecture({**LARGEST, "width": 2}))
    state = copy.deepcopy(supernet.state_dict())
    strategy.backward(supernet.train(), Classification(), BATCH, moment(7))
    assert torch.equal(supernet.model.head.weight, state["model.head.weight"])
    strategy.backward(supernet, Classification(), BATCH, moment(8))
    ordered = copy.deepcopy(supernet.state_dict())
    assert not torch.equal(ordered["model.head.weight"], state["model.head.weight"])
    strategy.backward(supernet, Classification(), BATCH, moment(9))
    assert torch.equal(supernet.model.head.weight, ordered["model.head.weight"])
    for parameter in supernet.parameters():
        momentum = optimizer.state[parameter]["momentum_buffer"]
        assert torch.equal(momentum, 2 * parameter.detach())
    supernet.load_state_dict(state)  # batch norm's statistics, as before the steps
    strategy._sort(supernet.eval(), 4)
    after = supernet(x, full), supernet(x, Architecture({**LARGEST, "width": 2}))
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-3)


def test_state_of_another_shape_stays_when_channels_are_put_in_order():
    """Adam counts its steps in a tensor of one number."""
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    optimizer = torch.optim.Adam(supernet.parameters(), lr=0.01)
    strategy.start(optimizer)
    for step in (0, 8, 9):
        strategy.backward(supernet, Classification(), BATCH, moment(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    assert {int(state["step"]) for state in optimizer.state.values()} == {3}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 5, 8, 9, 11])
def test_it_continues_in_any_phase_to_the_same_bits(stop):
    def begun():
        strategy, supernet = made(ProgressiveShrinking, **EVEN)
        optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9)
        strategy.start(optimizer)
        return strategy, supernet, optimizer

    def run(parts, steps):
        strategy, supernet, optimizer = parts
        for step in steps:
            strategy.backward(supernet, Classification(), BATCH, moment(step))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return [digest(part.state_dict()) for part in parts]

    whole = run(begun(), range(STEPS))
    parts, file = begun(), io.BytesIO()
    run(parts, range(stop))
    torch.save([part.state_dict() for part in parts], file)
    file.seek(0)
    parts = begun()
    for part, state in zip(parts, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    assert run(parts, range(stop, STEPS)) == whole


def test_the_teacher_is_the_network_at_the_end_of_the_first_phase():
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    assert strategy.state_dict()["teacher"] is None
    alone = derive(supernet, Architecture(LARGEST))
    for step in (2, 4, 8):
        strategy.backward(supernet, Classification(), BATCH, moment(step))
        with torch.no_grad():
            for parameter in supernet.parameters():
                parameter.mul_(0.9)
        teacher = strategy.state_dict()["teacher"]
        for name, parameter in alone.named_parameters():
            assert torch.equal(teacher[name], parameter)


def test_a_strategy_that_is_prepared_again_begins_anew():
    strategy, supernet = made(ProgressiveShrinking, **EVEN)
    strategy.backward(supernet, Classification(), BATCH, moment(9))
    strategy.prepare(supernet, TrainingContext(4, measure_costs(supernet, BATCH[0][:1])))
    assert strategy.state_dict() == {"teacher": None, "sorted": False}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lengths": (1, 2, 3)}, r"6 positive numbers, of the phases full; kernel.*\[1, 2, 3\]"),
        ({"lengths": (1, 1, 1, 0, 1, 1)}, "6 positive numbers"),
        ({"lengths": (1, 1, 1, math.inf, 1, 1)}, "6 positive numbers"),
        ({"distil": -1.0}, "at least 0, not -1"),
    ],
)
def test_wrong_arguments_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        ProgressiveShrinking(**wrong)


def test_a_cost_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="'latency_ms', but costs are known for macs, params"):
        made(ProgressiveShrinking, quantity="latency_ms")
