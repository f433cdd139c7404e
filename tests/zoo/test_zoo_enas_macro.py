"""The space of whole networks of ENAS has the sizes and networks that its module describes."""

import itertools
import random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import count_params
from supernet.errors import SpaceError
from supernet.evaluate.sharing import SharedForward
from supernet.net.export import export_program
from supernet.space import Edge
from supernet.strategies.controller import Controller, Policy
from supernet.zoo import ENASMacro

NAMES = ("conv3", "sep3", "conv5", "sep5", "avg3", "max3")


def small(layers=6, **arguments):
    torch.manual_seed(0)
    given = {"image": (1, 8, 8), "classes": 3, "channels": 4, **arguments}
    return sn.SuperNet(ENASMacro(layers=layers, **given))


@pytest.fixture(scope="module")
def six():
    return small()


def network(skips, names=NAMES):
    """Return the architecture with these operations and (layer, state) skipped."""
    answers = {f"layer{i}.operation": name for i, name in enumerate(names)}
    for i in range(len(names)):
        for state in range(i):
            answers[f"layer{i}.skip{state}"] = "skip" if (i, state) in skips else "none"
    return sn.Architecture(answers)


SKIPS = {(1, 0), (3, 0), (3, 2), (5, 0), (5, 1), (5, 4)}


def test_the_space_has_the_published_size():
    space = small(12, image=(1, 4, 4), channels=2).space
    assert space.size == 6**12 * 2**66
    operations = [d for d in space.decisions if d.label.endswith("operation")]
    skips = [d for d in space.decisions if ".skip" in d.label]
    assert [d.options for d in operations] == [NAMES] * 12
    assert [d.options for d in skips] == [("none", "skip")] * 66


@pytest.mark.parametrize(("layers", "after"), [(12, (4, 8)), (6, (2, 4)), (4, (1, 2)), (3, (1, 2))])
def test_states_are_halved_at_one_and_two_thirds(layers, after):
    """In the authors' code after layers 3 and 7, counted from 0, of twelve."""
    supernet, shapes = small(layers, image=(2, 9, 9), growth=2), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    supernet(torch.randn(2, 2, 9, 9), supernet.space.sample(random.Random(0)))
    assert shapes[: after[0]] == [(4, 9, 9)] * after[0]
    assert shapes[after[0] : after[1]] == [(8, 5, 5)] * (after[1] - after[0])
    assert shapes[after[1] :] == [(16, 3, 3)] * (layers - after[1])


class Reduce(nn.Module):
    def __init__(self, c, wider):
        super().__init__()
        self.one = nn.Conv2d(c, wider // 2, 1, bias=False)
        self.two = nn.Conv2d(c, wider // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(wider)

    def forward(self, x):
        x = x.relu()
        both = [self.one(x[:, :, ::2, ::2]), self.two(x[:, :, 1::2, 1::2])]
        return self.norm(torch.cat(both, 1))


def unit(layer, c):
    return [layer, nn.BatchNorm2d(c), nn.ReLU()]


def operation(name, c):
    first = unit(nn.Conv2d(c, c, 1, bias=False), c)
    if name == "avg3":
        return nn.Sequential(*first, nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    if name == "max3":
        return nn.Sequential(*first, nn.MaxPool2d(3, 1, 1))
    k = int(name[-1])
    if name.startswith("conv"):
        return nn.Sequential(*first, *unit(nn.Conv2d(c, c, k, padding=k // 2, bias=False), c))
    depth = nn.Conv2d(c, c, k, padding=k // 2, groups=c, bias=False)
    return nn.Sequential(*first, depth, *unit(nn.Conv2d(c, c, 1, bias=False), c))


class HandMade(nn.Module):
    """A network with SKIPS that concatenates and projects by one convolution, as the paper says."""

    def __init__(self, c, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        self.operations, self.projections = nn.ModuleList(), nn.ModuleList()
        self.norms, self.halvings = nn.ModuleList(), nn.ModuleList()
        for i, name in enumerate(NAMES):
            self.operations.append(operation(name, c))
            inputs = 1 + sum(layer == i for layer, _ in SKIPS)
            if i:
                self.projections.append(nn.Conv2d(inputs * c, c, 1, bias=False))
                self.norms.append(nn.BatchNorm2d(c))
            if i in (1, 3):
                self.halvings.append(nn.ModuleList(Reduce(c, 2 * c) for _ in range(i + 2)))
                c *= 2
        self.classifier = nn.Linear(c, classes)

    def forward(self, x):
        states = [self.stem(x)]
        for i in range(6):
            y = self.operations[i](states[-1])
            if i:
                inputs = [y, *(states[s] for layer, s in sorted(SKIPS) if layer == i)]
                y = self.norms[i - 1](self.projections[i - 1](torch.cat(inputs, 1).relu()))
            states.append(y)
            if i in (1, 3):
                halvings = self.halvings[i // 2]
                states = [halve(state) for halve, state in zip(halvings, states, strict=True)]
        return self.classifier(states[-1].mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_a_derived_network_concatenates_and_projects(training):
    derived = sn.derive(small(growth=2), network(SKIPS))
    hand = HandMade(4, 3)
    assert count_params(hand) == count_params(derived)

    for parameter in derived.parameters():
        nn.init.uniform_(parameter, -1, 1)
    copy_weights(hand.stem, derived.stem)
    copy_weights(hand.classifier, derived.classifier)
    for i, layer in enumerate(derived.layers):
        copy_weights(hand.operations[i], layer.operation)
        if i:
            copy_weights(hand.norms[i - 1], layer.norm)
            slices = [layer.project[1].weight]
            slices += [skip[1].weight for skip in layer.skips if isinstance(skip, nn.Sequential)]
            hand.projections[i - 1].weight.data.copy_(torch.cat(slices, 1))
    for mine, other in zip(hand.halvings, (derived.halvings[1], derived.halvings[3]), strict=True):
        copy_weights(mine, other)
    x = torch.randn(4, 1, 8, 8)
    expected = hand.train(training)(x)
    assert torch.allclose(derived.train(training)(x), expected, rtol=1e-4, atol=1e-4)


def copy_weights(mine, other):
    for target, source in zip(mine.parameters(), other.parameters(), strict=True):
        target.data.copy_(source.data)


def test_a_network_without_skips_is_a_chain(six):
    six.zero_grad(set_to_none=True)
    six(torch.randn(2, 1, 8, 8), network(set())).sum().backward()
    skips = [layer.skips for layer in six.model.layers]
    assert all(parameter.grad is None for one in skips for parameter in one.parameters())
    assert six.model.layers[3].project[1].weight.grad is not None
    six.zero_grad(set_to_none=True)


@pytest.mark.slow
def test_the_controller_keeps_skips_near_their_target():
    """The paper's term is over skips only; without rewards it alone moves the policy."""
    space = small(4).space
    for target in (0.2, 0.7):
        controller = Controller(space, 0, hidden=16, target=target)
        policy = Policy(controller, learning_rate=0.05, entropy=0.0, density=1.0)
        stream = random.Random(0)
        assert chances(controller, "skip") == pytest.approx(0.5)
        for _ in range(40):
            with torch.no_grad():
                drawn = [controller.draw(stream).architecture for _ in range(4)]
            policy.update(drawn, [0.0] * 4)
        assert chances(controller, "skip") == pytest.approx(target, abs=0.05)
        assert chances(controller, "conv3") == pytest.approx(1 / 6, abs=0.05)


def chances(controller, option):
    """Return the mean probability of an option over the decisions that have it, along 50 draws."""
    found, stream = [], random.Random(1)

    def choose(label, logs):
        values = controller._answers[label]
        if option in values:
            found.append(logs.exp()[values.index(option)].item())
        return stream.choices(range(len(values)), logs.exp().tolist())[0]

    with torch.no_grad():
        for _ in range(50):
            controller._walk(choose)
    return sum(found) / len(found)


@pytest.mark.slow
def test_shared_evaluation_is_that_of_one_network_after_the_other(six):
    stream, images = random.Random(0), torch.randn(4, 1, 8, 8)
    forward = SharedForward(six, [], [(images,)])
    six.eval()
    for one in forward.order([six.space.sample(stream) for _ in range(6)]):
        outputs = []
        forward.run(one, lambda _, y, found=outputs: found.append(y))
        with torch.no_grad():
            assert torch.equal(outputs[0], six(images, one))
    six.train()


@pytest.mark.slow
def test_derived_networks_are_exported(six):
    assert export_program(sn.derive(six, network(SKIPS)), torch.randn(1, 1, 8, 8))


def test_the_diagram_shows_skips(six):
    diagram = six.model.diagram(network(SKIPS))
    assert [n.label for n in diagram.nodes if n.kind == "operation"] == list(NAMES)
    into = {edge for edge in diagram.edges if "operation" not in edge.source + edge.target}
    expected = {Edge(str(state), str(layer + 1)) for layer, state in SKIPS}
    assert into == expected | {Edge("6", "output")}
    chain = {Edge(str(i), f"{i}.operation") for i in range(6)}
    assert chain <= set(diagram.edges)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 2}, "layers is 2, but two halvings between layers need 3"),
        ({"channels": 0}, "channels 0"),
        ({"channels": 1}, "channels is 1, but halvings of images need at least 2"),
        ({"growth": 0}, "growth 0"),
        ({"image": (1, 8, 3)}, "8×3 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        ENASMacro(**{"image": (1, 8, 8), "channels": 2, **arguments})


def test_all_subsets_of_a_layer_s_skips_exist():
    space = small(3).space
    found = {tuple(one[f"layer2.skip{s}"] for s in range(2)) for one in space}
    assert found == set(itertools.product(("none", "skip"), repeat=2))
