"""Each importance is what its formula says, computed in another way of the plain model."""

from __future__ import annotations

import pytest
import torch
from importance_models import SIZES, Branches, Heads, made, measured
from torch.nn import functional as F

from supernet.importance import L1, Activation, Fisher, Taylor
from supernet.task import Regression

KINDS = [Branches, Heads]


def readers(model):
    """Return by width the weights that read it, with the axis of its channels first."""
    if isinstance(model, Branches):
        return {
            "first": [model.wide.weight.transpose(0, 1), model.point.weight.transpose(0, 1)],
            "wide": [model.last.weight.T],
        }
    return {"qkv": [model.out.weight.T.unflatten(0, (4, 3))], "up": [model.down]}


def summed(tensors):
    return sum(tensor.flatten(1).sum(1) for tensor in tensors).double().detach()


def agree(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for label, values in expected.items():
        torch.testing.assert_close(found[label], values.double(), **tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_l1_is_the_sum_of_weights(kind):
    model, batches = made(kind)
    expected = {name: summed([w.abs() for w in ws]) for name, ws in readers(model).items()}
    agree(measured(model, batches, L1()), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_taylor_is_the_square_of_the_derivative_by_a_gate(kind):
    model, batches = made(kind)
    expected = {name: torch.zeros(size) for name, size in SIZES[kind].items()}
    for inputs, labels in batches:
        gates = {name: torch.ones(size, requires_grad=True) for name, size in SIZES[kind].items()}
        F.cross_entropy(model(inputs, gates), labels).backward()
        for name, gate in gates.items():
            expected[name] += gate.grad**2 / len(batches)
    agree(measured(model, batches, Taylor(batches)), expected, rtol=1e-4, atol=1e-7)


def test_taylor_takes_the_loss_of_a_task():
    model, batches = made(Heads)
    batches = [(inputs, torch.ones(len(inputs), 3)) for inputs, _ in batches]
    gate = torch.ones(7, requires_grad=True)
    expected = torch.zeros(7)
    for inputs, targets in batches:
        loss = F.mse_loss(model(inputs, {"qkv": torch.ones(4), "up": gate}), targets)
        expected += torch.autograd.grad(loss, gate)[0] ** 2 / len(batches)
    found = measured(model, batches, Taylor(batches, Regression()))["up"]
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_activation_multiplies_weights_by_the_norms_of_what_they_read(kind):
    model, batches = made(kind)
    inputs = torch.cat([inputs for inputs, _ in batches])
    read = {}

    def keep(name):
        return lambda module, given: read.update({name: given[0]})

    if kind is Branches:
        model.wide.register_forward_pre_hook(keep("first"))
        model.last.register_forward_pre_hook(keep("wide"))
    else:
        model.out.register_forward_pre_hook(keep("qkv"))
        model.up.register_forward_hook(lambda _, __, y: read.update({"up": F.gelu(y)}))
    with torch.no_grad():
        model(inputs)
    expected = {}
    for name, weights in readers(model).items():
        axis = 1 if kind is Branches else -1
        norms = read[name].movedim(axis, 0).flatten(1).norm(dim=1)
        norms = norms.view(4, 3, 1) if name == "qkv" else norms
        scaled = [
            w.abs() * norms.view(*norms.shape, *(1,) * (w.ndim - norms.ndim)) for w in weights
        ]
        expected[name] = summed(scaled)
    for module in model.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    unlabelled = [inputs for inputs, _ in batches]
    for given in (batches, unlabelled):
        agree(measured(model, batches, Activation(given)), expected, rtol=1e-4, atol=1e-7)


def squares(model, inputs, weigh):
    """Return by width Σ w² · Σ_classes weigh(p)_class · (∂ log p_class / ∂w)², mean over examples."""
    weights = [w for ws in readers(model).values() for w in ws]
    total = [torch.zeros_like(w) for w in weights]
    own = [p for p in model.parameters() if any(p.data_ptr() == w.data_ptr() for w in weights)]
    places = [next(i for i, p in enumerate(own) if p.data_ptr() == w.data_ptr()) for w in weights]
    for example, x in enumerate(inputs):
        logs = model(x[None]).log_softmax(1)[0]
        shares = weigh(example, logs.detach().exp())
        for share, log in zip(shares, logs, strict=True):
            found = torch.autograd.grad(log, own, retain_graph=True)
            for place, sums, weight in zip(places, total, weights, strict=True):
                gradient = found[place]
                if gradient.shape != weight.shape:  # the axis of channels first, heads apart
                    gradient = gradient.transpose(0, 1).reshape(weight.shape)
                elif weight.stride() != own[place].stride():
                    gradient = gradient.transpose(0, 1)
                sums += share * gradient**2 / len(inputs)
    each = iter(w.detach() ** 2 * s for w, s in zip(weights, total, strict=True))
    return {name: summed([next(each) for _ in ws]) for name, ws in readers(model).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_fisher_of_given_labels_squares_gradients_of_examples(kind):
    model, batches = made(kind)
    labels = torch.cat([labels for _, labels in batches])
    inputs = torch.cat([inputs for inputs, _ in batches])
    expected = squares(model, inputs, lambda example, p: F.one_hot(labels[example], len(p)))
    agree(measured(model, batches, Fisher(batches, labels="given")), expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("part", [1, 3])
def test_fisher_draws_labels_as_the_model_would(part):
    model, batches = made(Branches, rows=6)
    inputs = torch.cat([inputs for inputs, _ in batches])
    expected = squares(model, inputs, lambda example, p: p)
    often = [inputs] * 60 * part
    found = measured(model, batches, Fisher(often, part=part))
    agree(found, expected, rtol=0.25, atol=1e-4)
