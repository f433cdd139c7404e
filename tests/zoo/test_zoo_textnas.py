"""Padding changes nothing in TextNAS, and its space and networks are those that its module describes."""

import io
import random
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import supernet as sn
from supernet.cost import build_latency_table, count_macs
from supernet.data import Text
from supernet.errors import SpaceError
from supernet.evaluate.sharing import SharedForward
from supernet.net.derive import reinitialise
from supernet.net.export import export_program
from supernet.ops.sequence import masked_mean
from supernet.space import Edge
from supernet.zoo import TextNAS
from supernet.zoo.textnas import operations

OPERATIONS = ("conv1", "conv3", "conv5", "conv7", "avg3", "max3", "gru", "attention")
LENGTHS = (6, 1, 4, 0)


def small(layers=5, **arguments):
    torch.manual_seed(0)
    given = {
        "vocabulary": 20,
        "classes": 3,
        "width": 8,
        "window": 2,
        "embedding": 6,
        "dropout": 0.0,
    }
    return sn.SuperNet(TextNAS(layers=layers, **{**given, **arguments}))


def texts(length=6):
    """Return tokens whose numbers are LENGTHS, `[4, length]`."""
    tokens = torch.randint(1, 20, (4, 6), generator=torch.Generator().manual_seed(1))
    tokens[torch.arange(6) >= torch.tensor(LENGTHS).unsqueeze(1)] = 0
    return F.pad(tokens, (0, length - 6))


@pytest.fixture(scope="module")
def five():
    return small()


@pytest.fixture(params=OPERATIONS)
def operation(request):
    torch.manual_seed(2)
    return operations(8, heads=2)[request.param]


@pytest.mark.parametrize("training", [True, False])
def test_operations_see_no_padding(operation, training):
    """Whatever features stand at padded positions, and however many of these there are."""
    operation.train(training)
    x, mask = torch.randn(4, 9, 8), texts(9) != 0
    full = operation(x, mask)
    assert full.isfinite().all()
    assert not full[~mask].any()
    other = torch.where(mask.unsqueeze(2), x, 100.0)
    assert torch.allclose(operation(other, mask), full, atol=1e-6)
    for row, length in enumerate(LENGTHS):
        if length:
            alone = operation(x[row : row + 1, :length], mask[row : row + 1, :length])
            assert alone.any()
            assert torch.allclose(alone[0], full[row, :length], atol=1e-5)


def alone(name, operation, x):
    """Return what an operation does to one sequence `[length, 8]`, computed in another way."""
    rows = x.t().unsqueeze(0)
    if name.startswith("conv"):
        kernel = int(name[-1])
        blank = torch.zeros(1, 8, kernel // 2)
        y = F.conv1d(torch.cat([blank, rows, blank], 2), operation.convolution.weight)[0].t()
        return F.layer_norm(y, (8,)).relu()
    around = F.pad(x, (0, 0, 1, 1))
    if name == "avg3":
        return (around[:-2] + around[1:-1] + around[2:]) / 3
    if name == "max3":
        return torch.stack([x[max(0, i - 1) : i + 2].amax(0) for i in range(len(x))])
    if name == "gru":
        whole = nn.GRU(8, 8, bidirectional=True)
        mine = {
            f"{part}{suffix}": value
            for gru, suffix in ((operation.onward, ""), (operation.back, "_reverse"))
            for part, value in gru.state_dict().items()
        }
        whole.load_state_dict(mine)
        y = pad_packed_sequence(whole(pack_sequence([x]))[0])[0][:, 0]
        return y[:, :8] + y[:, 8:]
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        q, k, v = (
            F.linear(x, layer.weight, layer.bias).relu()[:, part]
            for layer in (operation.query, operation.key, operation.value)
        )
        heads.append((q @ k.t() / 2).softmax(1) @ v)
    return F.layer_norm(torch.cat(heads, 1), (8,))


def test_operations_compute_what_they_are_named_after(operation, request):
    name = request.node.callspec.params["operation"]
    x, mask = torch.randn(4, 6, 8), texts() != 0
    y = operation(x, mask)
    for row, length in enumerate(LENGTHS):
        if length:
            expected = alone(name, operation, x[row, :length])
            assert torch.allclose(y[row, :length], expected, atol=1e-5)


def test_the_mean_is_over_tokens():
    x, mask = torch.randn(4, 6, 8), texts() != 0
    mean = masked_mean(x, mask)
    assert torch.allclose(mean[2], x[2, :4].mean(0))
    assert not mean[3].any()


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_no_logits(five, training):
    """Nor does it change gradients; a text has the logits that it has alone."""
    five.train(training)
    stream = random.Random(0)
    for _ in range(8):
        network = sn.derive(five, five.space.sample(stream))
        logits = network(texts())
        assert torch.allclose(network(texts(15)), logits, atol=1e-5)
        for row, length in enumerate(LENGTHS):
            if length:
                assert torch.allclose(
                    network(texts()[row : row + 1, :length])[0], logits[row], atol=1e-5
                )
        gradients = [
            torch.autograd.grad(network(tokens).square().sum(), list(network.parameters()))
            for tokens in (texts(), texts(15))
        ]
        for one, other in zip(*gradients, strict=True):
            assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.slow
def test_the_space_has_the_size_of_the_formula(five):
    assert small(1).space.size == 8
    assert five.space.size == 8**5 * (1 * 2**1) * (2 * 2**2) * (2 * 2**3) * (2 * 2**4)
    published = small(24, width=4, embedding=2, vocabulary=2, window=5).space
    # 8 operations 24 times, 1 to 5 inputs, 0 + 1 + … + 23 = 276 skips
    assert published.size == 8**24 * (1 * 2 * 3 * 4 * 5**19) * 2**276
    assert len({*small(3).space}) == 8**3 * (1 * 2) * (2 * 4)
    decisions = {d.label: d.options for d in five.space.decisions}
    assert decisions["layer4.input"] == ("2", "3")
    assert decisions["layer4.operation"] == OPERATIONS
    assert "layer0.input" not in decisions
    assert "layer1.input" not in decisions


ANSWERS = {
    "layer0.operation": "conv5",
    "layer1.operation": "attention",
    "layer1.skip0": "skip",
    "layer2.operation": "gru",
    "layer2.input": "0",
    "layer2.skip0": "none",
    "layer2.skip1": "skip",
    "layer3.operation": "max3",
    "layer3.input": "2",
    "layer3.skip0": "skip",
    "layer3.skip1": "none",
    "layer3.skip2": "skip",
    "layer4.operation": "conv1",
    "layer4.input": "2",
    "layer4.skip0": "none",
    "layer4.skip1": "skip",
    "layer4.skip2": "none",
    "layer4.skip3": "none",
}

PUBLISHED = """
max3
attention 1 0
conv7 10 00
gru 001 011
conv3 0010 0100
conv3 00001 00101
conv1 00001 001111
gru 10000 0110000
max3 01000 01011011
max3 00100 000001011
attention 10000 1100100110
avg3 10000 10011110000
conv3 00010 110101001000
conv5 00010 1100001001101
conv1 00010 00100011101100
conv7 00001 100000100011001
conv5 00010 0000000001101010
avg3 00001 01111001010000100
conv7 00100 000001000000011101
conv7 00100 0001000000100010000
max3 01000 11000000001100111100
attention 10000 011100010111101000000
attention 00001 0011110101100001000001
conv7 00010 10010001000010001000000
"""
"""The network of microsoft/nni (final_arc.json): by layer its operation, which of the last five layers
it reads, oldest first, and which of all layers before are added."""


def published():
    """Return the published network as answers."""
    answers = {}
    for layer, line in enumerate(PUBLISHED.split("\n")[1:-1]):
        operation, *rest = line.split()
        answers[f"layer{layer}.operation"] = operation
        if not rest:
            continue
        inputs, skips = rest
        if len(inputs) > 1:
            answers[f"layer{layer}.input"] = str(layer - len(inputs) + inputs.index("1"))
        assert len(skips) == layer
        for source, bit in enumerate(skips):
            answers[f"layer{layer}.skip{source}"] = "skip" if bit == "1" else "none"
    return answers


@pytest.mark.slow
def test_the_published_network_can_be_written_down_and_computed():
    supernet = small(24, width=4, embedding=2, window=5)
    architecture = sn.Architecture(published())
    supernet.space.validate(architecture)
    assert architecture["layer23.skip0"] == "skip"  # much further back than the window
    assert architecture["layer7.input"] == "2"  # the oldest of the five that it may read
    network = sn.derive(supernet, architecture)
    assert torch.allclose(network(texts()), supernet(texts(), architecture), atol=1e-6)


def test_a_derived_network_reads_skips_and_adds_as_described(five):
    """Computed once more from the operations, with weights of the sum that differ."""
    network = sn.derive(five, sn.Architecture(ANSWERS)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    network.embedding.words.weight.data[0] = 0
    tokens = texts()
    mask = tokens != 0
    place = torch.arange(1, 7).unsqueeze(1) / 10_000 ** (torch.arange(0, 6, 2) / 6)
    first = network.embedding
    x = first.words(tokens) + torch.cat([place.sin(), place.cos()], 1) / 6**0.5
    x = first.norm(first.project(x)).relu()
    layers = network.layers
    h0 = layers[0].norm(layers[0].operation(x, mask))
    h1 = layers[1].norm(layers[1].operation(h0, mask) + h0)
    h2 = layers[2].norm(layers[2].operation(h0, mask) + h1)
    h3 = layers[3].norm(layers[3].operation(h2, mask) + h0 + h2)
    h4 = layers[4].norm(layers[4].operation(h2, mask) + h1)
    weights = network.combine.weights.softmax(0)
    total = sum(w * h for w, h in zip(weights, (h0, h1, h2, h3, h4), strict=True))
    mean = torch.stack(
        [
            total[row, :length].mean(0) if length else torch.zeros(8)
            for row, length in enumerate(LENGTHS)
        ]
    )
    assert torch.allclose(network(tokens), network.classifier(mean), atol=1e-5)


def test_fresh_weights_of_a_copy_are_as_small_as_the_first():
    model = small(2, vocabulary=2000, embedding=16).model
    for one in (model, reinitialise(model, 3)):
        words = one.embedding.words.weight
        assert words.norm(dim=1).mean().item() == pytest.approx(1, abs=0.05)
        assert not words[0].any()
        assert not one.combine.weights.any()


def test_padding_is_never_learned(five):
    five.zero_grad(set_to_none=True)
    five(texts(), sn.Architecture(ANSWERS)).square().sum().backward()
    gradient = five.model.embedding.words.weight.grad
    assert gradient.any()
    assert not gradient[0].any()
    five.zero_grad(set_to_none=True)


def test_multiply_adds_are_those_of_the_matrices():
    one = small(1)
    tokens, width, length = texts()[:1], 8, 6
    rest = length * 6 * width + width * 3  # the projection of the embedding, and the classifier
    expected = {
        **{f"conv{k}": length * width * width * k for k in (1, 3, 5, 7)},
        "avg3": 0,
        "max3": 0,
        "gru": 2 * length * 6 * width * width,
        "attention": length * 3 * width * width + 2 * length * length * width,
    }
    for name, macs in expected.items():
        derived = sn.derive(one, sn.Architecture({"layer0.operation": name}))
        assert count_macs(derived, tokens) == rest + macs


@pytest.mark.slow
def test_derived_networks_are_exported(five):
    network = sn.derive(five, sn.Architecture(ANSWERS)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = export_program(network, texts()[:1])
    program = torch.export.load(io.BytesIO(content)).module()
    for tokens in (texts(), texts()[:1], texts().repeat(5, 1)):
        assert torch.allclose(program(tokens), network(tokens), atol=1e-6)


def test_shared_evaluation_is_that_of_one_network_after_the_other(five):
    stream, tokens = random.Random(0), texts()
    five.eval()
    forward = SharedForward(five, [], [(tokens,)])
    for one in forward.order([five.space.sample(stream) for _ in range(6)]):
        outputs = []
        forward.run(one, lambda _, y, found=outputs: found.append(y))
        with torch.no_grad():
            assert torch.equal(outputs[0], five(tokens, one))


ANIMALS = {"ant": "six legs", "bee": "wings and honey", "cow": "milk"}


@pytest.mark.slow
def test_a_run_searches_retrains_and_exports(tmp_path):
    """All steps on texts of a file; the programme takes tokens as the data set has them."""
    rows = [f"number {n} has {what},{name}" for n in range(30) for name, what in ANIMALS.items()]
    (tmp_path / "animals.csv").write_text("\n".join(["text,label", *rows]))
    source = Text(str(tmp_path / "animals.csv"), length=7)
    options = {
        "train.steps": 24,
        "train.batch_size": 16,
        "retrain.train.steps": 40,
        "retrain.train.batch_size": 16,
        "retrain.top": 1,
        "strategy.interval": 8,
        "strategy.updates": 1,
        "strategy.candidates": 4,
    }
    result = sn.run(
        partial(TextNAS, layers=2, width=8, embedding=8, dropout=0.1),
        source,
        strategy="enas",
        out=tmp_path / "run",
        options=options,
        progress=False,
    )
    assert result.metrics["test"]["chosen"]["accuracy"] > 0.9
    program = torch.export.load(tmp_path / "run/model.pt2").module()
    tokens = source.load().train.inputs
    assert tokens.dtype == torch.int64
    assert torch.allclose(program(tokens), result.model(tokens), atol=1e-5)
    assert torch.equal(result.normalise(tokens), tokens)


def test_latencies_are_measured_on_tokens():
    supernet = small(2)
    table = build_latency_table(supernet, texts(), repeats=1, warmup=0, fit=2, held_out=0)
    architecture = supernet.space.sample(random.Random(0))
    assert table.cost(architecture) > 0
    assert table.provenance["input_shapes"] == [[6]]


def test_the_diagram_shows_inputs_and_skips(five):
    diagram = five.model.diagram(sn.Architecture(ANSWERS))
    operations = [node.label for node in diagram.nodes if node.kind == "operation"]
    assert operations == ["conv5", "attention", "gru", "max3", "conv1"]
    read = {edge.source for edge in diagram.edges if edge.target == "2.operation"}
    assert read == {"0"}
    assert {edge.source for edge in diagram.edges if edge.target == "3"} == {
        "3.operation",
        "0",
        "2",
    }
    assert {Edge(str(i), "output") for i in range(5)} <= set(diagram.edges)
    assert Edge("input", "0.operation") in diagram.edges


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers 0"),
        ({"window": 0}, "window 0"),
        ({"heads": 3}, "width 8 must be a multiple of heads 3"),
        ({"embedding": 5}, "embedding 5 even"),
        ({"dropout": 1.0}, r"dropout is a probability in \[0, 1\), not 1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        TextNAS(**{"vocabulary": 9, "layers": 2, "width": 8, "embedding": 4, **arguments})
