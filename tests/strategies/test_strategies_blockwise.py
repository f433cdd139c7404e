"""Blocks that learn from the largest network's, each by itself."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet import elastic as el
from supernet.choice import Choice
from supernet.conversion import Operations, Widths, convert
from supernet.cost import measure_costs
from supernet.cost.reference import reference
from supernet.errors import ConfigError
from supernet.net import SuperNet, derive
from supernet.space import Architecture
from supernet.strategies import Blockwise, TrainingContext
from supernet.strategies.blocks import find_blocks
from supernet.task import Classification, in_precision
from supernet.train import Moment
from supernet.zoo import GPT

BATCH = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
MOMENTS = [Moment(step, 10, 4) for step in range(10)]


class Residual(nn.Module):
    """A hidden layer beside its input."""

    def __init__(self, width, name):
        super().__init__()
        hidden = el.Dimension(f"{name}.hidden", [2, 5, 8])
        self.first, self.second = el.Linear(width, hidden), el.Linear(hidden, width)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, *, scale):
        x.add_(1.0)  # what it was given is changed
        return x + self.dropout(self.second(self.first(x).relu())) * scale


class Rows(nn.Module):
    """A width that everything reads, two blocks in a row, and a choice."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [4, 6])
        self.stem = el.Linear(4, width)
        self.blocks = nn.ModuleList([Residual(width, "a"), Residual(width, "b")])
        self.op = Choice({"skip": nn.Identity(), "deep": el.Linear(width, width)}, label="op")
        self.head = el.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, scale=0.5)
            x.mul_(0.5)  # what a block returned is changed
        return self.head(self.op(x))


LARGEST = Architecture({"width": 6, "a.hidden": 8, "b.hidden": 8, "op": "deep"})


def made(model=Rows, example=BATCH[0][:1], **arguments):
    torch.manual_seed(0)
    supernet, strategy = SuperNet(model()).train(), Blockwise(**arguments)
    strategy.prepare(supernet, TrainingContext(4, measure_costs(supernet, example)))
    return strategy, supernet


def gradients(supernet):
    found = {name: p.grad for name, p in supernet.model.named_parameters()}
    supernet.zero_grad(set_to_none=True)
    return found


def test_blocks_are_what_holds_all_that_a_decision_changes():
    found = find_blocks(SuperNet(Rows()))
    assert set(found.names.values()) == {"blocks.0", "blocks.1", "op"}
    assert found.options == {
        "a.hidden": (2, 5, 8),
        "b.hidden": (2, 5, 8),
        "op": ("deep",),  # an identity has nothing to learn
    }
    assert found.outside == ("width",)
    named = find_blocks(SuperNet(Rows()), ["blocks.0*"])
    assert list(named.names.values()) == ["blocks.0"]
    assert named.outside == ("b.hidden", "op", "width")
    whole = SuperNet(nn.Sequential(nn.ModuleDict({"net": Rows()})["net"]))
    assert list(find_blocks(whole).names.values()) == ["0"]  # the outermost, which holds the width


def test_blocks_of_a_transformer_are_its_layers():
    model = GPT(20, 16, (32, 48), (2, 3), 16, (1, 2), (2, 3, 4), 0.0)
    found = find_blocks(SuperNet(model))
    assert sorted(found.names.values()) == [f"blocks.{number}" for number in range(4)]
    assert found.outside == ("width",)
    assert found.options["depth"] == (4,)


def test_the_reference_is_the_model_as_it_was_given():
    model = nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 3)
    )
    large = Operations("2", lambda old: {"wide": nn.Sequential(nn.Linear(8, 99), nn.Linear(99, 8))})
    supernet = SuperNet(convert(model.eval(), BATCH[0], rules=[large, Widths("3")]))
    found = reference(supernet.space, measure_costs(supernet, BATCH[0][:1]))
    assert found["2.operation"] == "original"
    assert found["3"] == 16
    assert reference(supernet.space, {}) == found


def errors_of(supernet, teacher, architecture):
    """Return the errors of the three blocks of `Rows`, and change nothing."""
    x = BATCH[0]
    with torch.no_grad():
        first = teacher.stem(x)
        one = teacher.blocks[0](first.clone(), scale=0.5)
        second = 0.5 * one
        other = teacher.blocks[1](second.clone(), scale=0.5)
        third = 0.5 * other
        op = teacher.op(third)
    model = supernet.model.eval()  # without dropout
    with supernet.route(architecture):
        pairs = [
            (model.blocks[0](first.clone(), scale=0.5), one),
            (model.blocks[1](second.clone(), scale=0.5), other),
            (model.op(third), op),
        ]
    supernet.train()
    return torch.stack([F.mse_loss(y, t) / t.square().mean() for y, t in pairs]).sum()


def test_gradients_are_those_of_each_blocks_errors_as_drawn_and_as_the_largest():
    strategy, supernet = made()
    teacher = derive(supernet, LARGEST).eval()
    with torch.no_grad():  # the trained network stays what it was
        for parameter in supernet.parameters():
            parameter.mul_(1.1)
    architectures = set()
    for moment in MOMENTS:
        loss = strategy.backward(supernet, Classification(), BATCH, moment)
        found = gradients(supernet)
        drawn = strategy._drawn(supernet, moment)
        architectures.add(drawn)
        small, large = (errors_of(supernet, teacher, one) for one in (drawn, LARGEST))
        assert loss == pytest.approx((small + large).item() / 3, rel=1e-4)
        assert strategy.metrics()["largest_error"] == pytest.approx(large.item() / 3, rel=1e-4)
        (small + large).backward()
        wanted = gradients(supernet)
        for name, grad in found.items():
            assert (grad is None) == (wanted[name] is None)
            if grad is not None:
                torch.testing.assert_close(grad, wanted[name], rtol=1e-4, atol=1e-6)
        assert not any(
            grad is not None
            for name, grad in found.items()
            if "blocks" not in name and "op" not in name
        )
    assert {one["width"] for one in architectures} == {6}
    assert {one["op"] for one in architectures} == {"deep"}
    assert {one["a.hidden"] for one in architectures} == {2, 5, 8}


def test_the_largest_network_stays_as_good_as_it_is_while_smaller_ones_learn():
    strategy, supernet = made()
    teacher = derive(supernet, LARGEST).eval()
    small = Architecture({**LARGEST, "a.hidden": 2, "b.hidden": 2})
    before = [errors_of(supernet, teacher, one).item() for one in (small, LARGEST)]
    optimizer = torch.optim.Adam(supernet.parameters(), lr=0.01)
    for step in range(150):
        strategy.backward(supernet, Classification(), BATCH, Moment(step, 150, 4))
        optimizer.step()
        optimizer.zero_grad()
    after = [errors_of(supernet, teacher, one).item() for one in (small, LARGEST)]
    assert before[1] == 0
    assert after[0] < 0.5 * before[0]
    assert after[1] < 0.1 * before[0]


class Operational(nn.Module):
    """A choice of which one option is the largest network's, and a narrower one."""

    def __init__(self):
        super().__init__()
        small = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 4))
        self.op = Choice({"original": nn.Linear(4, 4), "small": small}, label="op")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.op(x))


def test_frozen_only_what_stands_beside_the_original_learns():
    strategy, supernet = made(Operational, freeze=True)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.3)
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    errors = []
    for step in range(60):
        loss = strategy.backward(supernet, Classification(), BATCH, Moment(step, 60, 4))
        if "small" in strategy._drawn(supernet, Moment(step, 60, 4)).values():
            errors.append(float(loss))
        optimizer.step()
        optimizer.zero_grad()
    assert all(p.requires_grad for p in supernet.parameters())
    moved = {name for name, p in supernet.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all(name.startswith("model.op.options.1.") for name in moved)
    assert errors[-1] < 0.8 * errors[0]


def test_labels_decide_nothing_for_blocks():
    strategy, supernet = made(Operational, freeze=True)
    found = []
    for labels in (BATCH[1], BATCH[1].flip(0)):
        for moment in MOMENTS:
            strategy.backward(supernet, Classification(), (BATCH[0], labels), moment)
        found.append(gradients(supernet))
    assert any(one is not None for one in found[0].values())
    for name, grad in found[0].items():
        assert (grad is None and found[1][name] is None) or torch.equal(grad, found[1][name])


def test_blocks_run_in_the_precision_of_the_task():
    strategy, supernet = made(Operational)
    types = []
    supernet.model.op.options[1].register_forward_hook(lambda *call: types.append(call[2].dtype))
    task = in_precision(Classification(), "bfloat16")
    for moment in MOMENTS:
        strategy.backward(supernet, task, BATCH, moment)
    assert set(types) == {torch.bfloat16}
    assert all(p.grad.dtype == torch.float32 for p in supernet.model.op.parameters())


class Zeros(nn.Module):
    """A block that returns zeros at first."""

    def __init__(self):
        super().__init__()
        self.op = Choice({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}, label="op")
        self.head = nn.Linear(4, 3)
        for one in self.op.options:
            nn.init.zeros_(one.weight)
            nn.init.zeros_(one.bias)

    def forward(self, x):
        return self.head(x + self.op(x))


def test_a_block_of_zeros_is_not_divided_by():
    strategy, supernet = made(Zeros)
    for moment in MOMENTS:
        strategy.backward(supernet, Classification(), BATCH, moment)
    assert all(p.grad.isfinite().all() for p in supernet.model.op.parameters())
    assert strategy.metrics()["largest_error"] == 0


def test_decisions_outside_are_said():
    (warning,) = made()[0].warnings()
    assert warning.startswith("1 decisions lie in no block (width)")
    assert made(Operational)[0].warnings() == []


class Open(nn.Module):
    """A width that no block holds."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [2, 4])
        self.first, self.second = el.Linear(4, width), el.Linear(width, 3)

    def forward(self, x):
        return self.second(self.first(x))


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (Open, {}, "no decision lies in a block"),
        (Rows, {"blocks": ["layers.*"]}, r"strategy.blocks names 'layers.\*', but the model has"),
        (Rows, {"blocks": ["head"]}, "no decision lies in a block"),
        (Rows, {"freeze": True}, "leaves nothing that can learn"),
        (Rows, {"blocks": "blocks.*"}, "blocks are a list of patterns"),
    ],
)
def test_what_cannot_be_is_refused(model, arguments, words):
    with pytest.raises(ConfigError, match=words):
        made(model, **arguments)


def test_blocks_that_are_not_called_are_missed():
    strategy, supernet = made(Operational)
    strategy._teacher.forward = lambda x: strategy._teacher.head(x)
    with pytest.raises(ConfigError, match="runs none of the blocks op"):
        strategy.backward(supernet, Classification(), BATCH, MOMENTS[0])
