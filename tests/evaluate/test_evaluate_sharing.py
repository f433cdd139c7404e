"""Shared evaluation gives the scores of plain evaluation, to the bit, in any company."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.data import Examples, Normalise
from supernet.evaluate import Evaluator, Protocol
from supernet.evaluate.sharing import SharedForward
from supernet.task import Classification
from supernet.zoo import Bender

IMAGE = (2, 8, 8)


class Chain(nn.Module):
    """Choices one after the other, with nesting, a shared label, and a skip past a choice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.a = sn.Choice({"conv": self.conv(3), "skip": nn.Identity()}, label="first")
        inner = sn.Choice({"conv": self.conv(1), "pool": nn.AvgPool2d(3, 1, 1)}, label="inner")
        self.b = sn.Choice({"nested": inner, "conv": self.conv(5), "skip": nn.Identity()}, (1, 2))
        self.norm = nn.BatchNorm2d(4)
        self.c = sn.Choice({"conv": self.conv(3), "skip": nn.Identity()}, label="first")
        self.join = sn.InputChoice(["stem", "late"], pick=(1, 2))
        self.head = nn.Linear(4, 3)

    @staticmethod
    def conv(kernel):
        layer = nn.Conv2d(4, 4, kernel, padding=kernel // 2)
        return nn.Sequential(layer, nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        stem = self.stem(x)
        late = self.c(self.norm(self.b(self.a(stem))))
        return self.head(self.join([stem, late]).flatten(2).mean(2))


class Branches(Chain):
    """A forward pass that depends on the data."""

    def forward(self, x):
        return super().forward(x) if x.sum() > -1e9 else self.head(x)


class Twice(Chain):
    """A batch norm that is used before and after a choice."""

    def forward(self, x):
        y = self.norm(self.stem(x))
        return self.head(self.join([y, self.norm(self.c(self.b(self.a(y))))]).mean((2, 3)))


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 256, (90, *IMAGE), dtype=torch.uint8, generator=generator)
    return Examples(inputs, torch.arange(90) % 3, ("a", "b", "c"))


def evaluator(model, examples, batch_norm="recalibrate", task=None, **options):
    torch.manual_seed(0)
    supernet = sn.SuperNet(model)
    train, search = examples.select(torch.arange(50)), examples.select(torch.arange(50, 90))
    protocol = Protocol(batch_norm, batch_size=17, calibration_batches=2)
    task = task or Classification()
    made = Evaluator(supernet, task, search, train, Normalise.of(train), protocol, **options)
    return supernet, made


def build(kind):
    torch.manual_seed(3)
    return Chain() if kind is Chain else Bender(IMAGE, 3, 2, (1, 1), blocks=3)


@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
@pytest.mark.parametrize("kind", [Chain, Bender])
def test_scores_equal_plain_scores(kind, batch_norm, examples):
    supernet, made = evaluator(build(kind), examples, batch_norm)
    random = Random(0)
    some = list({supernet.space.sample(random) for _ in range(25)})
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    shared = dict(made.scores(some))
    assert made.plain_because == ""
    assert len(shared) == len(some)
    for architecture in some:
        assert shared[architecture] == made.score(architecture)
    after = supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert supernet.training


def test_order_and_company_do_not_matter(examples):
    supernet, made = evaluator(Chain(), examples)
    everything = list(supernet.space)
    together = dict(made.scores(everything))
    some = everything[::7][::-1]
    assert dict(made.scores(some)) == {
        architecture: together[architecture] for architecture in some
    }


def test_changed_weights_are_seen(examples):
    supernet, made = evaluator(Chain(), examples)
    some = list(supernet.space)[:6]
    first = dict(made.scores(some))
    with torch.no_grad():
        supernet.model.stem[0].weight.mul_(2).add_(0.1)
    second = dict(made.scores(some))
    assert all(second[a] == made.score(a) != first[a] for a in some)


def test_common_beginnings_run_once(examples):
    """Over all architectures each module runs as often as the answers before it differ."""
    supernet, made = evaluator(Chain(), examples)
    calls = {"stem": 0, "head": 0}
    watched = {"stem": supernet.model.stem[0], "head": supernet.model.head}
    for name, module in watched.items():
        module.register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
    list(made.scores(list(supernet.space)[:2]))
    calls.update(stem=0, head=0)
    count = supernet.space.size
    list(made.scores(list(supernet.space)))
    batches = 3 + 2  # 40 images to score and 34 to calibrate, at most 17 at a time
    assert calls == {"stem": batches, "head": batches * count}


@pytest.mark.parametrize("memory", [1, 5_000, 40_000, 2**30])
def test_memory_bounds_what_is_kept_and_changes_no_score(memory, examples):
    supernet, made = evaluator(Chain(), examples, memory=memory)
    some = list(supernet.space)[::3]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    inputs = [examples.inputs.float()]
    forward = SharedForward(supernet, [], [inputs], memory)
    with torch.inference_mode():
        supernet.eval()
        for architecture in some:
            forward.outputs(architecture)
            kept = [v for s in forward._segments for vs in s.values.values() for v in vs]
            assert sum(value.nbytes for value in kept) <= memory


@pytest.mark.parametrize("model", [Branches, Twice])
def test_what_cannot_be_shared_is_scored_plainly_and_said(model, examples):
    supernet, made = evaluator(model(), examples)
    some = list(supernet.space)[:5]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert "trace" in made.plain_because or "batch norm" in made.plain_because


def test_no_memory_means_plain(examples):
    supernet, made = evaluator(Chain(), examples, memory=0)
    assert made.plain_because
    some = list(supernet.space)[:3]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}


def test_task_that_runs_the_model_on_other_inputs(examples):
    class Flipped(Classification):
        def measure(self, model, batch):
            return super().measure(model, [batch[0].flip(3), batch[1]])

    supernet, made = evaluator(Chain(), examples, task=Flipped())
    some = list(supernet.space)[:4]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert "other inputs" in made.plain_because


def test_one_failure_is_its_own(examples):
    supernet, made = evaluator(Chain(), examples)

    def fail(*_):
        raise ValueError("no luck")

    supernet.model.a.options[0].register_forward_hook(fail)
    results = dict(made.scores(list(supernet.space)))
    for architecture, score in results.items():
        if architecture["first"] == "conv":
            assert isinstance(score, ValueError)
        else:
            assert score == made.score(architecture)
