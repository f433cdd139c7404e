"""Each score against a second computation of its definition, in another way."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.task import Classification, LanguageModel
from supernet.training_free import TRAINING_FREE, InitialNetwork
from supernet.training_free.az_nas import kaiming, log_ranks
from supernet.training_free.blocks import between, blocks_of, features_of
from supernet.training_free.network import noise_like, redrawn
from supernet.training_free.vkdnw import LAYERS, SMOOTHING, fisher


def small(seed=0, affine=True):
    """Return a network of two blocks with norms, for images `[batch, 2, 6, 6]` and three classes."""
    torch.manual_seed(seed)
    norms = [nn.BatchNorm2d(4, affine=affine) for _ in range(2)]
    first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), norms[0], nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, bias=False), norms[1], nn.ReLU(inplace=True))
    return nn.Sequential(first, second, nn.Flatten(), nn.Linear(36, 3))


def drawn(n=6, seed=1):
    torch.manual_seed(seed)
    return [torch.randn(n, 2, 6, 6), torch.arange(n) % 3]


def score(name, model, batch, **given):
    return TRAINING_FREE[name](model, batch, **given)


def backward(model, batch):
    """Return a copy of the model after a backward pass of its loss, in training mode."""
    model = copy.deepcopy(model).train()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    return model


def layers(model):
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_grad_norm_is_the_sum_of_norms_after_backward():
    done = backward(small(), drawn())
    expected = sum(layer.weight.grad.norm().item() for layer in layers(done))
    assert score("grad_norm", small(), drawn()) == pytest.approx(expected, rel=1e-4)


def test_snip_is_the_gradient_by_masks():
    model, (images, targets) = small().train(), drawn()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    masks = {n: torch.ones_like(w, requires_grad=True) for n, w in weights.items() if w.ndim > 1}
    masked = {name: weight * masks.get(name, 1) for name, weight in weights.items()}
    loss = F.cross_entropy(functional_call(model, masked, images), targets)
    expected = sum(g.abs().sum().item() for g in torch.autograd.grad(loss, [*masks.values()]))
    assert score("snip", small(), drawn()) == pytest.approx(expected, rel=1e-4)


def test_synflow_counts_every_layer_with_the_flow_of_all_paths():
    """Without biases the flow is linear in each layer, so that each has the whole of it."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3, False)
    )
    flow = 0.0
    for i, j, k in itertools.product(range(5), range(4), range(3)):
        flow += abs(model[0].weight[j, i].item() * model[3].weight[k, j].item())
    batch = [torch.randn(6, 5), torch.arange(6) % 3]
    assert score("synflow", model, batch) == pytest.approx(2 * flow)


def test_naswot_by_comparing_bits():
    model, (images, targets) = small().train(), drawn()
    before = copy.deepcopy(model)[0][:2](images).flatten(1)
    maps = copy.deepcopy(model)
    after = maps[1][:2](maps[0](images)).flatten(1)
    codes = [[value > 0 for value in row] for row in torch.cat([before, after], 1).tolist()]
    kernel = [[sum(x == y for x, y in zip(a, b, strict=True)) for b in codes] for a in codes]
    expected = np.linalg.slogdet(np.array(kernel, float))[1]
    assert score("naswot", model, [images, targets]) == pytest.approx(expected, rel=1e-6)


def test_jacob_cov_by_correlations_of_numpy():
    model, (images, targets) = small().train(), drawn()
    inputs = images.clone().requires_grad_()
    copy.deepcopy(model)(inputs).sum().backward()
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(inputs.grad.flatten(1).double().numpy()))
    expected = -np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5))
    assert score("jacob_cov", model, [images, targets]) == pytest.approx(expected, rel=1e-3)


def test_grasp_by_differences_of_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    batch = [torch.randn(5, 3).double(), torch.arange(5) % 2]
    weights = [layer.weight for layer in layers(model)]

    def moved(step, directions):
        """Return the gradients after a step from the weights."""
        there = copy.deepcopy(model)
        with torch.no_grad():
            for layer, direction in zip(layers(there), directions, strict=True):
                layer.weight += step * direction
        return [layer.weight.grad for layer in layers(backward(there, batch))]

    gradients = moved(0, weights)
    ahead, behind = moved(1e-5, gradients), moved(-1e-5, gradients)
    expected = -sum(
        (w * (a - b) / 2e-5).sum().item() for w, a, b in zip(weights, ahead, behind, strict=True)
    )
    assert score("grasp", model, batch) == pytest.approx(expected, rel=1e-5)


def test_zen_of_a_linear_network_is_that_of_the_noise_alone():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(48, 3))
    network = InitialNetwork(model, drawn(), Classification(), 5)
    weights, (noise,) = (
        redrawn(network, "zen weights", lambda _: 1.0),
        noise_like(network, "zen inputs", 1),
    )
    maps = F.conv2d(F.conv2d(noise, weights["0.weight"]), weights["1.weight"])
    expected = math.log(0.01 * maps.detach().abs().flatten(1).sum(1).mean())
    assert score("zen", model, drawn(), seed=5) == pytest.approx(expected, rel=1e-3)


def test_zen_undoes_what_batch_norm_divided_by():
    plain = nn.Sequential(nn.Conv2d(2, 1, 3), nn.Flatten(), nn.Linear(16, 3))
    normed = nn.Sequential(nn.Conv2d(2, 1, 3), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 3))
    batch = drawn(64)
    assert score("zen", normed, batch) == pytest.approx(score("zen", plain, batch), abs=0.02)


def test_zen_draws_weights_of_unit_variance():
    model = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 3))
    network = InitialNetwork(model, [torch.zeros(2, 200), torch.arange(2)], Classification())
    weights = redrawn(network, "w", lambda _: 1.0)
    assert weights["0.weight"].std().item() == pytest.approx(1, abs=0.02)
    assert not weights["0.bias"].any()
    assert redrawn(network, "w", kaiming)["0.weight"].std().item() == pytest.approx(0.1, abs=0.002)


def az_features(model, batch, seed=0):
    """Return the features of the blocks under the score's own draws, computed by calling each."""
    network = InitialNetwork(model, batch, Classification(), seed)
    (x,) = noise_like(network, "az inputs")
    model = copy.deepcopy(model).train()
    model.load_state_dict({**model.state_dict(), **redrawn(network, "az weights", kaiming)})
    features = [x]
    for block in model:
        features.append(block(features[-1].clone()))
    return features


def test_expressivity_and_progressivity_by_covariances_of_numpy():
    entropies = []
    for feature in az_features(small(), drawn()):
        feature = feature.detach().double()
        rows = feature.permute(0, 2, 3, 1).flatten(0, 2) if feature.ndim == 4 else feature
        values = np.linalg.eigvalsh(np.cov(rows.numpy().T))
        shares = values[values > 1e-12] / values.sum()
        entropies.append(-(shares * np.log(shares)).sum())
    assert score("az_expressivity", small(), drawn()) == pytest.approx(sum(entropies), rel=1e-4)
    least = min(b - a for a, b in itertools.pairwise(entropies))
    assert score("az_progressivity", small(), drawn()) == pytest.approx(least, rel=1e-3)


def test_trainability_is_best_for_blocks_that_keep_gradients():
    """A block that multiplies gradients by k has σ = k, up to noise of the random signs."""
    gains = {}
    for k in (0.5, 1.0, 2.0):
        x = torch.randn(64, 4, 8, 8, requires_grad=True)
        rotation = torch.linalg.qr(torch.randn(4, 4)).Q
        y = k * torch.einsum("oc,bchw->bohw", rotation, x)
        signs = torch.randint(0, 2, y.shape) * 2.0 - 1
        gains[k] = torch.linalg.matrix_norm(between(x, y, signs), 2).item()
    assert gains == pytest.approx({k: k for k in gains}, rel=0.1)


def test_gradients_between_maps_by_the_mean_of_outer_products():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 5, 4, requires_grad=True)
    y = nn.Conv2d(2, 3, 3, 2, 1)(x)  # 5 × 4 to 3 × 2: the last row of places lies half outside
    sent = torch.randn(y.shape)
    arrived = torch.autograd.grad(y, x, sent, retain_graph=True)[0]
    padded = F.pad(arrived, (0, 0, 0, 1))
    expected = torch.zeros(8, 3)
    for b, i, j in itertools.product(range(3), range(3), range(2)):
        places = padded[b, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(8)
        expected += torch.outer(places, sent[b, :, i, j]) / 18
    torch.testing.assert_close(between(x, y, sent), expected)


def test_blocks_without_gradient_or_that_do_nothing_pass_none():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    other = torch.randn(2, 3, 4, 4, requires_grad=True)
    sent = torch.ones_like(x)
    assert between(x, other * 2, sent) is None
    assert between(x, torch.zeros(2, 3, 4, 4), sent) is None
    assert between(x, nn.Identity()(x).clone(), sent) is None
    assert between(x, -x, sent) is not None


def test_blocks_are_the_longest_sequence_and_what_enters_it_comes_first():
    model = nn.Sequential(
        nn.Linear(4, 4), nn.Sequential(*(nn.ReLU(inplace=True) for _ in range(5)))
    )
    assert blocks_of(model) == list(model[1])
    x = torch.randn(3, 4)
    features = features_of(model, blocks_of(model), [x])
    assert len(features) == 6
    torch.testing.assert_close(features[0], model[0](x))  # not what the ReLU made of it in place


def test_ranks_are_put_together_by_their_logarithms():
    found = log_ranks([[3.0, 1.0, 2.0], [10.0, 20.0, 10.0]])
    expected = [math.log(1 * 1.5 / 3), math.log(1 / 3 * 1), math.log(2 / 3 * 1.5 / 3)]
    assert found == pytest.approx(expected)


def test_fisher_is_that_of_a_jacobian_of_the_whole_network():
    model, batch = small(), drawn()
    network = InitialNetwork(model, batch, Classification(), 3)
    weights = {name: w.detach() for name, w in redrawn(network, "vkdnw weights", kaiming).items()}
    (inputs,) = noise_like(network, "vkdnw inputs")
    model.eval()

    first = torch.stack([weight.flatten()[0] for weight in weights.values()]).requires_grad_()
    given = {
        name: torch.cat([first[n : n + 1], weight.flatten()[1:]]).view(weight.shape)
        for n, (name, weight) in enumerate(weights.items())
    }
    expected = torch.zeros(len(first), len(first))
    for image in inputs:
        logits = functional_call(model, given, image[None])[0]
        p = (1 - SMOOTHING) * logits.detach().softmax(0) + SMOOTHING / 3
        j = torch.stack([torch.autograd.grad(z, first, retain_graph=True)[0] for z in logits])
        expected += j.T @ (torch.diag(p) - torch.outer(p, p)) @ j / len(inputs)
    found = torch.from_numpy(fisher(InitialNetwork(model, batch, Classification(), 3))).float()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_vkdnw_is_the_entropy_of_deciles_and_the_number_of_tensors():
    model, batch = small(), drawn()
    values = np.linalg.svd(fisher(InitialNetwork(model, batch, Classification())))[1]
    deciles = np.percentile(values, range(10, 100, 10))
    shares = deciles[deciles > 0] / deciles.sum()
    expected = len(list(model.parameters())) - (shares * np.log(shares)).sum()
    assert score("vkdnw", model, batch) == pytest.approx(expected, rel=1e-4)
    assert LAYERS == 128


def test_vkdnw_follows_weights_that_two_layers_share():
    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    model[2].weight = shared.weight
    batch = [torch.randn(4, 4), torch.arange(4) % 3]
    network = InitialNetwork(model, batch, Classification())
    weights = {name: w.detach() for name, w in redrawn(network, "vkdnw weights", kaiming).items()}
    (inputs,) = noise_like(network, "vkdnw inputs")

    value = weights["0.weight"][0, 0].clone().requires_grad_()
    moved = torch.cat([value[None], weights["0.weight"].flatten()[1:]]).view(4, 4)
    expected = 0.0
    for image in inputs:
        logits = functional_call(model, {**weights, "0.weight": moved}, image[None])[0]
        p = (1 - SMOOTHING) * logits.detach().softmax(0) + SMOOTHING / 3
        j = torch.stack([torch.autograd.grad(z, value, retain_graph=True)[0] for z in logits])
        expected += (p @ j**2 - (p @ j) ** 2).item() / 4
    assert fisher(network)[0, 0] == pytest.approx(expected, rel=1e-4)


class Tokens(nn.Module):
    """A language model of eight words, with a ReLU."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Embedding(8, 6), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 8))

    def forward(self, tokens):
        return self.layers(tokens)


NEEDS = {
    "synflow": "real numbers",
    "jacob_cov": "whole numbers",
    "zen": "real numbers",
    "vkdnw": r"logits \[batch, classes\]",
}


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_tokens_are_scored_or_refused_with_the_reason(name):
    torch.manual_seed(0)
    model, batch = Tokens(), [torch.randint(0, 8, (4, 5)) for _ in range(2)]
    if name in NEEDS:
        with pytest.raises(ConfigError, match=NEEDS[name]):
            score(name, model, batch, task=LanguageModel())
    else:
        assert math.isfinite(score(name, model, batch, task=LanguageModel()))


class Parts(nn.Module):
    """A perceptron with a ReLU that is no module, and no sequence of blocks."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.two(F.relu(self.one(x)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("naswot", r"calls no nn\.ReLU"),
        ("az_expressivity", "an nn.Sequential or nn.ModuleList"),
        ("zen", "no module of the network returns one"),
    ],
)
def test_what_a_network_lacks_is_said(name, reason):
    with pytest.raises(ConfigError, match=reason):
        score(name, Parts(), [torch.randn(4, 4), torch.arange(4) % 3])


def test_vkdnw_refuses_parameters_that_another_module_reads():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.attend(x, x, x, need_weights=False)[0].mean(1))

    with pytest.raises(ConfigError, match="out_proj"):
        score("vkdnw", Attention(), [torch.randn(4, 5, 4), torch.arange(4) % 3])
