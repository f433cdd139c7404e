"""Supernets of several inputs: scores, ghost batches, costs, latencies, conversion and export."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.conversion import Widths
from supernet.cost import build_latency_table, count_macs, measure_costs
from supernet.data import Examples, Normalise, Several
from supernet.errors import DataError
from supernet.evaluate import Evaluator, Protocol
from supernet.net import derive
from supernet.net.export import export
from supernet.pipeline import diagnose
from supernet.task import Classification
from supernet.training_free import training_free_scores
from two_inputs import LENGTH, Masked, examples

TOKENS, MASK, LABELS = examples(90)
GIVEN = {"tuple": (TOKENS, MASK), "dict": {"mask": MASK, "tokens": TOKENS}}
CLASSES = ("a", "b", "c")


def supernet(kind=Masked):
    torch.manual_seed(0)
    return sn.SuperNet(kind())


def evaluator(kind, model=Masked, batch_norm="recalibrate", **options):
    every = Examples(Several(GIVEN[kind]), LABELS, CLASSES)
    train, search = every.select(torch.arange(50)), every.select(torch.arange(50, 90))
    protocol = Protocol(batch_norm, batch_size=17, calibration_batches=2)
    task = Classification()
    normalise = Normalise.of(train)
    return Evaluator(supernet(model), task, search, train, normalise, protocol, **options)


@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate", "running"])
@pytest.mark.parametrize("kind", GIVEN)
def test_shared_scores_are_those_of_plain_evaluation(kind, batch_norm):
    made = evaluator(kind, batch_norm=batch_norm)
    some = list(supernet().space)
    shared = dict(made.scores(some))
    assert made.plain_because == ""
    assert shared == {architecture: made.score(architecture) for architecture in some}
    plain = evaluator(kind, batch_norm=batch_norm, memory=0)
    assert shared == dict(plain.scores(some))
    assert plain.plain_because


class AnyNumber(Masked):
    """Takes its inputs in ways that its signature does not name."""

    def forward(self, *inputs, **named):
        return super().forward(*inputs, **named)


@pytest.mark.parametrize("kind", GIVEN)
def test_a_forward_of_any_inputs_is_scored_without_sharing(kind):
    made, some = evaluator(kind, AnyNumber), list(supernet().space)
    assert dict(made.scores(some)) == dict(evaluator(kind).scores(some))
    assert made.plain_because


def test_ghost_batches_cut_inputs_by_name_as_those_by_position():
    net = supernet().eval()
    routes = [sn.Routing.hard(net.space, net.space[index]) for index in (0, 3)]
    named = net(**GIVEN["dict"], routing=routes)
    assert torch.equal(named, net(TOKENS, MASK, routing=routes))
    halves = zip(TOKENS.tensor_split(2), MASK.tensor_split(2), routes, strict=True)
    assert torch.equal(named, torch.cat([net(*half, routing=route) for *half, route in halves]))


def test_what_the_model_does_not_take_is_said_with_what_it_takes():
    net = supernet()
    with pytest.raises(
        DataError, match=r"'tokens', 'padding', but Masked.forward takes \(tokens, mask\)"
    ):
        net(tokens=TOKENS, padding=MASK, routing=net.space[0])
    with pytest.raises(DataError, match=r"missing a required argument: 'mask'"):
        net(TOKENS, routing=net.space[0])


@pytest.mark.parametrize("kind", GIVEN)
def test_costs_are_those_of_derived_networks(kind):
    net = supernet().eval()
    one = {name: part[:1] for name, part in GIVEN["dict"].items()}
    example = (one,) if kind == "dict" else (TOKENS[:1], MASK[:1])
    macs = measure_costs(net, *example)["macs"]
    for architecture in net.space:
        assert macs.cost(architecture) == count_macs(derive(net, architecture), *example) > 0
    found = diagnose(net.model, *example)
    assert found.ranges["macs"] == macs.range(net.space)


def test_latencies_are_measured_with_inputs_by_name():
    few = {name: part[:4] for name, part in GIVEN["dict"].items()}
    table = build_latency_table(supernet(), few, repeats=2, warmup=0, fit=2, held_out=1)
    assert table.provenance["input_shapes"] == [[LENGTH], [LENGTH]]
    assert table.provenance["batch_size"] == 4
    assert not table.content["failed"]


@pytest.mark.parametrize("score", ["snip", "grasp", "naswot", "az_nas"])
def test_scores_without_training_are_the_same_by_name(score):
    net, found = supernet(), []
    for kind in GIVEN:
        inputs = GIVEN[kind]
        batch = (*inputs, LABELS) if kind == "tuple" else (inputs, LABELS)
        scores = training_free_scores(net, list(net.space), batch, names=(score,))
        found.append(scores)
    assert found[0] == found[1]


class Wide(nn.Module):
    """Has widths to open, and takes its second input first in code."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x, more):
        return self.c(torch.relu(self.b(more) + self.a(x)))


def test_a_model_is_converted_with_inputs_by_name_in_any_order():
    x, more = torch.randn(4, 6), torch.randn(4, 4)
    torch.manual_seed(0)
    model, rules = Wide().eval(), (Widths(multiple=4),)
    by_name = sn.SuperNet(sn.convert(model, {"more": more, "x": x}, rules=rules)).eval()
    by_position = sn.SuperNet(sn.convert(model, x, more, rules=rules)).eval()
    assert by_name.space.decisions == by_position.space.decisions
    one = {"more": more[:1], "x": x[:1]}
    macs = measure_costs(by_name, one)["macs"]
    for architecture in by_name.space:
        torch.testing.assert_close(
            by_name(more=more, x=x, routing=architecture), by_position(x, more, architecture)
        )
        assert macs.cost(architecture) == count_macs(derive(by_name, architecture), one)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_modules_of_several_inputs_are_exported(tmp_path, kind, suffix):
    pytest.importorskip("onnxruntime")
    x, more = torch.randn(1, 6), torch.randn(1, 4)
    example = (x, more) if kind == "tuple" else {"more": more, "x": x}
    difference = export(Wide(), example, tmp_path / f"wide{suffix}")
    assert difference.examples == 2
    assert difference.max_relative < 1e-5
