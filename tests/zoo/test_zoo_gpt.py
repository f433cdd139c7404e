"""GPT never sees what comes later, computes what a transformer computes, and learns in every step."""

import inspect
import random
import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.data import Alphabet, Characters
from supernet.errors import SpaceError
from supernet.space import Edge
from supernet.task import LanguageModel
from supernet.zoo import GPT
from supernet.zoo.transformer import Block

SMALL = {
    "vocabulary": 11,
    "context": 9,
    "widths": (6, 8, 12),
    "heads": (1, 2, 3),
    "head": 4,
    "ratios": (0.5, 1, 2),
    "depths": (1, 2, 3),
    "dropout": 0.0,
}


def small(**arguments):
    torch.manual_seed(0)
    return sn.SuperNet(GPT(**SMALL | arguments))


def samples(space, count=6):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


@pytest.fixture
def tokens():
    return torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(1))


def test_the_space_is_as_large_as_its_docstring_says():
    assert small().space.size == 3 * (9 + 9**2 + 9**3)
    with torch.device("meta"):
        published = sn.SuperNet(GPT(100, 64))
    assert published.space.size == 3 * (9**4 + 9**5 + 9**6)
    assert "about 1.8 million" in inspect.getdoc(inspect.getmodule(GPT)).replace("\n", " ")
    assert round(published.space.size / 1e6, 1) == 1.8


def test_the_small_preset_of_the_docstring_works(tokens):
    text = re.search(r"Small: `(.*?)`", inspect.getdoc(GPT), re.DOTALL)[1]
    supernet = sn.SuperNet(eval(f"GPT(11, 9, {text})", {"GPT": GPT}))
    assert supernet.space.size == 3 * (9**2 + 9**3 + 9**4)
    assert supernet(tokens, supernet.space[0]).shape == (3, 9, 11)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_no_token_sees_a_later_one(tokens, training):
    supernet = small().train(training)
    for architecture in samples(supernet.space):
        derived = sn.derive(supernet, architecture)
        for network in (lambda x, a=architecture: supernet(x, a), derived):
            before = network(tokens)
            for place in range(9):
                changed = tokens.clone()
                changed[:, place] = (changed[:, place] + 1) % 11
                after = network(changed)
                assert torch.equal(after[:, :place], before[:, :place])
                assert (after[:, place:] != before[:, place:]).flatten(1).any(1).all()
                assert (after[:, -1] != before[:, -1]).any()  # it looks back to all of them


def test_a_beginning_alone_gives_the_same(tokens):
    supernet = small().eval()
    for architecture in samples(supernet.space, 3):
        whole = supernet(tokens, architecture)
        for length in (1, 4, 8):
            part = supernet(tokens[:, :length], architecture)
            torch.testing.assert_close(part, whole[:, :length], atol=1e-6, rtol=1e-5)


def alone(model, architecture, tokens):
    """Return what one architecture says of one text `[length]`, token by token, from sliced weights."""
    width = architecture["width"]

    def linear(layer, x, leaving):
        weight = layer.weight[:leaving, : x.shape[-1]]
        return x @ weight.t() + layer.bias[:leaving]

    def normed(layer, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        scaled = (x - mean) / (variance + 1e-5).sqrt()
        return scaled * layer.weight[:width] + layer.bias[:width]

    x = model.tokens.weight[tokens, :width] + model.positions.weight[: len(tokens), :width]
    blocks = {name: block for name, block in model.named_modules() if isinstance(block, Block)}
    for number, block in enumerate(list(blocks.values())[: architecture["depth"]]):
        heads = architecture[f"block{number}.heads"]
        norm, attention, _ = block.attention.module
        y, rows = normed(norm, x), []
        q, k, v = (
            linear(layer, y, 4 * heads).view(-1, heads, 4)
            for layer in (attention.queries, attention.keys, attention.values)
        )
        for t in range(len(tokens)):
            weights = torch.einsum("hd,thd->ht", q[t], k[: t + 1]) / 2
            rows.append(torch.einsum("ht,thd->hd", weights.softmax(1), v[: t + 1]).flatten())
        x = x + linear(attention.out, torch.stack(rows), width)
        norm, up, _, down, _ = block.layers.module
        inner = round(width * architecture[f"block{number}.ratio"])
        x = x + linear(down, F.gelu(linear(up, normed(norm, x), inner)), width)
    return linear(model.output, normed(model.norm, x), 11)


def test_networks_are_the_transformers_of_the_module_docstring(tokens):
    supernet = small()
    for parameter in supernet.parameters():
        nn.init.normal_(parameter, std=0.5)
    for architecture in samples(supernet.space):
        found = supernet(tokens, architecture)
        for text, logits in zip(tokens, found, strict=True):
            expected = alone(supernet.model, architecture, text)
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_sizes_follow_the_published_formula(tokens):
    """That of Kaplan et al., "Scaling Laws for Neural Language Models" (2020), and biases and norms."""
    supernet = small()
    tables = measure_costs(supernet, tokens[:1])
    for architecture in samples(supernet.space, 10):
        width, depth = architecture["width"], architecture["depth"]
        params = 11 * width + 9 * width + 2 * width + 11 * width + 11
        macs = 9 * 11 * width
        for number in range(depth):
            inner = 4 * architecture[f"block{number}.heads"]
            hidden = round(width * architecture[f"block{number}.ratio"])
            weights = 4 * width * inner + 2 * width * hidden
            params += weights + 3 * inner + width + hidden + width + 4 * width
            macs += 9 * weights
        cost = cost_of(tables, architecture)
        assert cost["params"] == params
        derived = sn.derive(supernet, architecture)
        assert count_params(derived) == params
        assert cost["macs"] == count_macs(derived, tokens[:1])
        assert cost["macs"] >= macs  # attention itself comes on top


def test_dropout_is_for_training_only(tokens):
    supernet = small(dropout=0.5)
    architecture = samples(supernet.space, 1)[0]
    first, second = supernet(tokens, architecture), supernet(tokens, architecture)
    assert not torch.equal(first, second)
    supernet.eval()
    assert torch.equal(supernet(tokens, architecture), supernet(tokens, architecture))


def test_the_diagram_shows_the_blocks_that_run():
    supernet = small()
    architecture = next(one for one in samples(supernet.space, 20) if one["depth"] == 2)
    diagram = supernet.model.diagram(architecture)
    edges = {("input", "block0"), ("block0", "block1"), ("block1", "output")}
    assert set(diagram.edges) == {Edge(*pair) for pair in edges}
    assert f"width {architecture['width']}" in diagram.title
    assert f"{architecture['block1.heads']} heads" in diagram.nodes[2].label


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"vocabulary": 0}, "vocabulary 0"),
        ({"context": 0}, "context 0"),
        ({"widths": ()}, "widths"),
        ({"heads": (0, 1)}, "heads"),
        ({"depths": (0, 3)}, "depths"),
        ({"depths": (3, 2)}, "2"),
        ({"ratios": ()}, "ratios are positive numbers"),
        ({"ratios": (0, 1)}, "ratios are positive numbers"),
        ({"dropout": 1.0}, r"dropout is a probability in \[0, 1\), not 1.0"),
    ],
)
def test_impossible_sizes_are_refused(arguments, words):
    with pytest.raises(SpaceError, match=words):
        GPT(**SMALL | arguments)


def test_more_tokens_than_the_context_are_refused():
    with pytest.raises(SpaceError, match="10 tokens are more than the context of 9"):
        GPT(**SMALL)(torch.zeros(1, 10, dtype=torch.int64))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [pytest.param("sandwich", marks=pytest.mark.slow), "spos"])
def test_a_search_goes_from_text_to_text(tmp_path, strategy):
    """All steps, on a text that repeats, which the network must have learned to continue."""
    text = "the quick brown fox. " * 120
    (tmp_path / "fox.txt").write_text(text)
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}}
    options = {
        "model.widths": [12, 16],
        "model.heads": [1, 2],
        "model.head": 8,
        "model.ratios": [1, 2],
        "model.depths": [1, 2],
        "model.dropout": 0,
        "train.steps": 40,
        "train.batch_size": 16,
        "train.optimizer": optimizer,
        "search.searcher.count": 3,
        "retrain.train.steps": 150,
        "retrain.train.batch_size": 16,
        "retrain.train.optimizer": optimizer,
        "retrain.top": 1,
    }
    result = sn.run(
        "gpt",
        Characters(str(tmp_path / "fox.txt"), length=16),
        task=LanguageModel,
        strategy=strategy,
        searcher="random",
        out=tmp_path / "run",
        options=options,
        progress=False,
    )
    data, test = result.metrics["data"], result.metrics["test"]["chosen"]
    assert (data["vocabulary"], data["classes"]) == (len(set(text)) + 1, 0)
    assert test["correct"] > 0.9
    assert test["bits_per_character"] < 1.5
    losses = [row["validation"]["loss"] for row in result.metrics["retrain"]["candidates"]]
    assert test["key"] == result.metrics["retrain"]["candidates"][0]["key"]
    assert all(loss < 1.5 for loss in losses)
    alphabet = Alphabet.read(tmp_path / "run/vocabulary.json")
    prompt = alphabet.tokens(text[5:21]).unsqueeze(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(tmp_path / "run/model.pt2").module()
    torch.testing.assert_close(program(prompt), result.model(prompt), atol=1e-5, rtol=1e-5)
    assert program(prompt.repeat(5, 1)).shape == (5, 16, data["vocabulary"])
    for _ in range(21):
        following = result.model(prompt[:, -16:])[:, -1].argmax(1, keepdim=True)
        prompt = torch.cat([prompt, following], 1)
    assert alphabet.text(prompt[0]) == text[5:42]
    report = (tmp_path / "run/report.html").read_text()
    assert f"vocabulary of {data['vocabulary']}" in report
    assert f"loss {test['loss']:.4f}" in report
