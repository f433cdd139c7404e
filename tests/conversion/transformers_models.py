"""Small models of Hugging Face's transformers with random weights, of several families."""

from __future__ import annotations

import torch

__all__ = ["FAMILIES", "made"]

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "vocab_size": 50,
    "max_position_embeddings": 32,
}
DECODER = {**TEXT, "num_key_value_heads": 4, "pad_token_id": 0}
IMAGE = {**TEXT, "image_size": 32, "patch_size": 8}
SOUND = {
    "d_model": 64,
    "encoder_layers": 3,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 96,
    "num_mel_bins": 8,
    "max_source_positions": 16,
    "vocab_size": 50,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}

FAMILIES = {
    "llama": ("LlamaForCausalLM", DECODER),
    "qwen2": ("Qwen2ForCausalLM", DECODER),
    "qwen3": ("Qwen3ForCausalLM", {**DECODER, "head_dim": 8}),
    "mistral": ("MistralForCausalLM", DECODER),
    "gpt2": (
        "GPT2LMHeadModel",
        {"n_embd": 64, "n_layer": 3, "n_head": 8, "vocab_size": 50, "n_positions": 32},
    ),
    "gpt-neox": ("GPTNeoXForCausalLM", TEXT),
    "opt": ("OPTForCausalLM", {**TEXT, "ffn_dim": 96, "word_embed_proj_dim": 64}),
    "bert": ("BertForSequenceClassification", TEXT),
    "t5": (
        "T5ForConditionalGeneration",
        {
            "d_model": 64,
            "d_kv": 8,
            "d_ff": 96,
            "num_layers": 3,
            "num_decoder_layers": 2,
            "num_heads": 8,
            "vocab_size": 50,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
        },
    ),
    "vit": ("ViTForImageClassification", IMAGE),
    "whisper": ("WhisperForAudioClassification", SOUND),
    "mamba": (
        "MambaForCausalLM",
        {"hidden_size": 64, "num_hidden_layers": 3, "state_size": 8, "vocab_size": 50},
    ),
}
"""Class and configuration, by family."""


def made(family):
    """Return a model in evaluation mode and its example."""
    import transformers

    name, settings = FAMILIES[family]
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    model = kind(kind.config_class(**settings)).eval()
    words = torch.randint(3, 50, (2, 12))
    if family == "t5":
        return model, ({"input_ids": words, "decoder_input_ids": words.flip(1)},)
    if family == "vit":
        return model, (torch.randn(2, 3, 32, 32),)
    return model, (torch.randn(2, 8, 32) if family == "whisper" else words,)
