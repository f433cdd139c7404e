"""Networks of converted models of Hugging Face's transformers are such models again."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest
import torch
from torch import nn
from transformers_models import FAMILIES, made

from marks import slow_unless
from supernet.conversion import (
    Depths,
    Operations,
    Widths,
    conversion_of,
    convert,
    pretrained_rules,
)
from supernet.cost import count_params, measure_costs
from supernet.errors import ConversionError
from supernet.modules.calls import called
from supernet.modules.nested import tensors
from supernet.net import SuperNet, derive
from supernet.net.export import ExportError
from supernet.net.pretrained import as_pretrained, write_pretrained

LAYERS, GPT, BERT = "model.layers", "transformer.h", "bert.encoder.layer"
DECISIONS = {
    "llama": {"model.embed_tokens", f"{LAYERS}.*.self_attn.q_proj", f"{LAYERS}.*.mlp.gate_proj"},
    "mistral": {"model.embed_tokens", f"{LAYERS}.*.self_attn.q_proj", f"{LAYERS}.*.mlp.gate_proj"},
    "qwen2": {f"{LAYERS}.*.self_attn.q_proj", f"{LAYERS}.*.mlp.gate_proj"},
    "qwen3": {"model.embed_tokens", f"{LAYERS}.*.mlp.gate_proj"},
    "gpt2": {f"{GPT}.*.attn.c_attn", f"{GPT}.*.mlp.c_fc", f"{GPT}.depth"},
    "gpt-neox": {
        "gpt_neox.layers.*.attention.query_key_value",
        "gpt_neox.layers.*.mlp.dense_h_to_4h",
        "gpt_neox.layers.depth",
    },
    "opt": {
        "model.decoder.layers.*.self_attn.q_proj",
        "model.decoder.layers.*.fc1",
        "model.decoder.layers.depth",
    },
    "bert": {f"{BERT}.*.attention.self.query", f"{BERT}.*.intermediate.dense"},
    "t5": {
        "decoder.block.*.layer.*.EncDecAttention.q, ...",
        "decoder.block.*.layer.*.DenseReluDense.wi, ...",
        "encoder.block.depth",
    },
    "vit": {"vit.layers.*.attention.q_proj", "vit.layers.*.mlp.fc1", "vit.layers.depth"},
    "whisper": {
        "encoder.layers.*.self_attn.q_proj",
        "encoder.layers.*.fc1",
        "encoder.layers.depth",
        "projector",
    },
    "mamba": {"backbone.embeddings", "backbone.layers.*.mixer.in_proj", "backbone.layers.depth"},
}
"""All decisions of each family, but for the depth of `model.layers`, which those with such have."""


def outputs(model, example):
    with torch.no_grad():
        return list(tensors(called(model, example)))


@pytest.mark.parametrize("family", [slow_unless(name == "gpt2", name) for name in FAMILIES])
def test_networks_are_written_and_read_again(family, tmp_path):
    model, example = made(family)
    rules = pretrained_rules(model, *example)
    supernet = SuperNet(convert(model, *example, rules=rules)).eval()
    space = supernet.space
    depth = {f"{LAYERS}.depth"} if any(LAYERS in label for label in DECISIONS[family]) else set()
    assert space.labels == DECISIONS[family] | depth
    one = [
        {name: v[:1] for name, v in x.items()} if isinstance(x, dict) else x[:1] for x in example
    ]
    params = measure_costs(supernet, *one)["params"]
    drawn = [space.sample(random.Random(seed)) for seed in range(3)]
    for number, architecture in enumerate([space.build(lambda d: d.value([0])), *drawn]):
        network = derive(supernet, architecture).eval()
        write_pretrained(network, tmp_path / str(number), *example)
        read = type(model).from_pretrained(tmp_path / str(number)).eval()
        assert count_params(read) == params.cost(architecture)
        torch.testing.assert_close(
            outputs(read, example), outputs(network, example), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_what_is_written_needs_no_supernet(tmp_path):
    model, (words,) = made("llama")
    rules = pretrained_rules(model, words)
    supernet = SuperNet(convert(model, words, rules=rules)).eval()
    network = derive(supernet, supernet.space.sample(random.Random(1))).eval()
    write_pretrained(network, tmp_path / "network", words)
    torch.save((words, outputs(network, (words,))[0]), tmp_path / "expected.pt")
    code = (
        "import sys; sys.modules['supernet'] = None\n"
        "import torch\n"
        "from transformers import AutoModelForCausalLM\n"
        "words, expected = torch.load('expected.pt')\n"
        "model = AutoModelForCausalLM.from_pretrained('network').eval()\n"
        "torch.testing.assert_close(model(words).logits, expected, rtol=1e-4, atol=1e-5)\n"
        "assert model.generate(words[:1], max_new_tokens=3, do_sample=False).shape == (1, 15)\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_layers_that_differ_are_refused():
    model, (words,) = made("llama")
    supernet = SuperNet(convert(model, words))
    labels = supernet.space.labels
    assert {"model.layers.0.mlp.gate_proj", "model.layers.1.mlp.gate_proj"} <= labels
    narrow = supernet.space.build(
        lambda d: d.value([0 if d.label == "model.layers.1.mlp.gate_proj" else len(d.options) - 1])
    )
    with pytest.raises(
        ExportError, match=r"layers\.1\.mlp\.gate_proj\.weight is \[24, 64\].*pretrained_r"
    ):
        as_pretrained(derive(supernet, narrow), words)


@pytest.mark.slow
def test_what_lies_beside_the_weights_comes_along(tmp_path):
    model, (words,) = made("mistral")
    model.save_pretrained(tmp_path / "model")
    beside = {"tokenizer.json": "{}", "LICENSE.txt": "mine", "notes.txt": "not"}
    for name, content in beside.items():
        (tmp_path / "model" / name).write_text(content)
    read = type(model).from_pretrained(tmp_path / "model").eval()
    write_pretrained(read, tmp_path / "copy", words)
    assert (tmp_path / "copy" / "LICENSE.txt").read_text() == "mine"
    assert (tmp_path / "copy" / "tokenizer.json").read_text() == "{}"
    assert not (tmp_path / "copy" / "notes.txt").exists()


@pytest.mark.slow
def test_heads_are_closed_where_the_width_of_tokens_is():
    import transformers

    torch.manual_seed(0)
    _, settings = FAMILIES["bert"]
    model = transformers.BertModel(transformers.BertConfig(**settings)).eval()
    words = torch.randint(3, 50, (2, 12))
    supernet = SuperNet(convert(model, words, rules=pretrained_rules(model, words)))
    assert supernet.space.labels == {"encoder.layer.*.intermediate.dense"}


class Mean(nn.Module):
    """The mean of the tokens so far, projected; called and returning as Llama's attention."""

    def __init__(self, width):
        super().__init__()
        self.project = nn.Linear(width, width)

    def forward(self, hidden_states, **others):
        seen = torch.arange(1, hidden_states.shape[1] + 1, dtype=hidden_states.dtype)
        return self.project(hidden_states.cumsum(1) / seen[:, None]), None


@pytest.mark.slow
def test_attention_is_one_of_several_operations():
    model, (words,) = made("llama")
    rules = [
        Operations("*.self_attn", lambda attention: {"mean": Mean(64)}),
        Widths(uniform=True),
        Depths(),
    ]
    space = convert(model, words, rules=rules)
    supernet = SuperNet(space).eval()
    labels = supernet.space.labels
    assert {f"model.layers.{layer}.self_attn.operation" for layer in range(3)} <= labels
    assert {"model.layers.depth", "model.embed_tokens"} <= labels, conversion_of(space)
    params = measure_costs(supernet, words[:1])["params"]
    for seed in range(6):
        architecture = supernet.space.sample(random.Random(seed))
        network = derive(supernet, architecture).eval()
        with torch.no_grad():
            mine = supernet(words, routing=architecture).logits
        torch.testing.assert_close(mine, outputs(network, (words,))[0], rtol=1e-4, atol=1e-5)
        assert count_params(network) == params.cost(architecture)


def test_other_models_are_refused():
    with pytest.raises(ExportError, match="Linear is no model of Hugging Face's transformers"):
        as_pretrained(nn.Linear(2, 2), torch.randn(1, 2))
    with pytest.raises(ConversionError, match="Linear is no model of Hugging Face's transformers"):
        pretrained_rules(nn.Linear(2, 2), torch.randn(1, 2))
