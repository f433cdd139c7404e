"""Families of Hugging Face's transformers, from small configurations with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.models.check import Built
from supernet.conversion import NamedInputs

__all__ = ["MODELS"]

_TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
_ENCODER = {**_TEXT, "intermediate_size": 64, "max_position_embeddings": 32}
_DECODER = {**_ENCODER, "num_key_value_heads": 2, "pad_token_id": 0}
_IMAGE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_SOUND = {
    "conv_dim": (32, 32),
    "conv_kernel": (8, 4),
    "conv_stride": (4, 2),
    "vocab_size": 12,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
_BART = {
    "vocab_size": 50,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 32,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}

_OF_WORDS: dict[str, dict[str, Any]] = {
    "Bert:BertModel": _ENCODER,
    "Bert:BertForSequenceClassification": _ENCODER,
    "Bert:BertForMaskedLM": _ENCODER,
    "Albert:AlbertModel": {**_ENCODER, "embedding_size": 16},
    "Roberta:RobertaModel": _ENCODER,
    "XLMRoberta:XLMRobertaModel": _ENCODER,
    "Camembert:CamembertModel": _ENCODER,
    "Electra:ElectraModel": {**_ENCODER, "embedding_size": 16},
    "DistilBert:DistilBertModel": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "vocab_size": 50,
    },
    "MobileBert:MobileBertModel": {**_ENCODER, "embedding_size": 32, "intra_bottleneck_size": 32},
    "ConvBert:ConvBertModel": {**_ENCODER, "embedding_size": 32},
    "Deberta:DebertaModel": _ENCODER,
    "DebertaV2:DebertaV2Model": _ENCODER,
    "MPNet:MPNetModel": _ENCODER,
    "FNet:FNetModel": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "vocab_size": 50,
        "max_position_embeddings": 32,
    },
    "SqueezeBert:SqueezeBertModel": {**_ENCODER, "embedding_size": 32},
    "ModernBert:ModernBertModel": {**_ENCODER, "pad_token_id": 0},
    "Funnel:FunnelModel": {
        "vocab_size": 50,
        "block_sizes": [1, 1],
        "d_model": 32,
        "n_head": 4,
        "d_head": 8,
        "d_inner": 64,
        "num_decoder_layers": 1,
    },
    "GPT2:GPT2Model": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "GPT2:GPT2LMHeadModel": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "GPTNeo:GPTNeoModel": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": 50,
        "attention_types": [[["global", "local"], 1]],
    },
    "GPTNeoX:GPTNeoXModel": _ENCODER,
    "GPTJ:GPTJModel": {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "vocab_size": 50,
        "rotary_dim": 4,
    },
    "GPTBigCode:GPTBigCodeModel": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "CodeGen:CodeGenModel": {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "vocab_size": 50,
        "rotary_dim": 4,
    },
    "CTRL:CTRLModel": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "dff": 64},
    "OPT:OPTModel": {**_ENCODER, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "Bloom:BloomModel": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "Falcon:FalconModel": _TEXT,
    "Mpt:MptModel": {"d_model": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 50},
    "XLNet:XLNetModel": {
        "d_model": 32,
        "n_layer": 2,
        "n_head": 4,
        "d_inner": 64,
        "vocab_size": 50,
    },
    "Llama:LlamaModel": _DECODER,
    "Llama:LlamaForCausalLM": _DECODER,
    "Mistral:MistralModel": _DECODER,
    "Mixtral:MixtralModel": {**_DECODER, "num_local_experts": 4},
    "Qwen2:Qwen2Model": _DECODER,
    "Qwen2:Qwen2ForCausalLM": _DECODER,
    "Qwen3:Qwen3Model": {**_DECODER, "head_dim": 8},
    "Qwen2Moe:Qwen2MoeModel": {
        **_DECODER,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 32,
    },
    "Qwen3Moe:Qwen3MoeModel": {
        **_DECODER,
        "head_dim": 8,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "num_experts_per_tok": 2,
    },
    "Phi:PhiModel": _DECODER,
    "Phi3:Phi3Model": _DECODER,
    "Gemma:GemmaModel": {**_DECODER, "head_dim": 8},
    "Gemma2:Gemma2Model": {**_DECODER, "head_dim": 8},
    "Gemma3Text:Gemma3TextModel": {**_DECODER, "head_dim": 8},
    "StableLm:StableLmModel": _DECODER,
    "Starcoder2:Starcoder2Model": _DECODER,
    "Olmo:OlmoModel": _DECODER,
    "Olmo2:Olmo2Model": _DECODER,
    "Cohere:CohereModel": _DECODER,
    "Granite:GraniteModel": _DECODER,
    "Glm:GlmModel": {**_DECODER, "head_dim": 8},
    "SmolLM3:SmolLM3Model": _DECODER,
    "Persimmon:PersimmonModel": _ENCODER,
    "Nemotron:NemotronModel": {**_DECODER, "head_dim": 8},
    "Mamba:MambaModel": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 4,
        "vocab_size": 50,
    },
    "Mamba2:Mamba2Model": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 4,
        "vocab_size": 50,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "chunk_size": 8,
    },
    "Rwkv:RwkvModel": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50},
}
"""Those that take words, by configuration and model."""

_OF_TWO: dict[str, dict[str, Any]] = {
    "T5:T5Model": {
        "vocab_size": 50,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
    },
    "T5:T5ForConditionalGeneration": {
        "vocab_size": 50,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
    },
    "MT5:MT5Model": {
        "vocab_size": 50,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
    },
    "Bart:BartModel": _BART,
    "MBart:MBartModel": _BART,
    "Marian:MarianModel": {**_BART, "pad_token_id": 0, "decoder_start_token_id": 0},
    "Pegasus:PegasusModel": _BART,
    "Blenderbot:BlenderbotModel": _BART,
    "M2M100:M2M100Model": _BART,
}
"""Those that take two sequences of words, `input_ids` and `decoder_input_ids`."""

_OF_IMAGES: dict[str, tuple[int, dict[str, Any]]] = {
    "ViT:ViTModel": (32, _IMAGE),
    "ViT:ViTForImageClassification": (32, _IMAGE),
    "DeiT:DeiTModel": (32, _IMAGE),
    "Beit:BeitModel": (32, _IMAGE),
    "ViTMSN:ViTMSNModel": (32, _IMAGE),
    "Dinov2:Dinov2Model": (32, _IMAGE),
    "Yolos:YolosModel": (32, {**_IMAGE, "image_size": [32, 32], "num_detection_tokens": 4}),
    "CLIPVision:CLIPVisionModel": (32, _IMAGE),
    "SiglipVision:SiglipVisionModel": (32, _IMAGE),
    "Swin:SwinModel": (
        32,
        {
            "image_size": 32,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "Swinv2:Swinv2Model": (
        32,
        {
            "image_size": 32,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "ConvNext:ConvNextModel": (32, {"hidden_sizes": [16, 32], "depths": [2, 2], "num_stages": 2}),
    "ConvNextV2:ConvNextV2Model": (
        32,
        {"hidden_sizes": [16, 32], "depths": [2, 2], "num_stages": 2},
    ),
    "ResNet:ResNetModel": (
        32,
        {
            "embedding_size": 16,
            "hidden_sizes": [16, 32],
            "depths": [2, 2],
            "layer_type": "basic",
        },
    ),
    "RegNet:RegNetModel": (
        32,
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [2, 2], "groups_width": 8},
    ),
    "Bit:BitModel": (
        32,
        {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 4},
    ),
    "MobileNetV1:MobileNetV1Model": (32, {"depth_multiplier": 0.25, "image_size": 32}),
    "MobileNetV2:MobileNetV2Model": (32, {"depth_multiplier": 0.35, "image_size": 32}),
    "EfficientNet:EfficientNetModel": (
        32,
        {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320},
    ),
    "MobileViT:MobileViTModel": (
        64,
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": 2,
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32],
        },
    ),
    "PoolFormer:PoolFormerModel": (64, {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}),
    "Segformer:SegformerModel": (
        64,
        {
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 16, 32, 32],
            "num_attention_heads": [1, 2, 4, 4],
        },
    ),
    "Segformer:SegformerForSemanticSegmentation": (
        64,
        {
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 16, 32, 32],
            "num_attention_heads": [1, 2, 4, 4],
            "decoder_hidden_size": 32,
        },
    ),
    "Pvt:PvtModel": (
        64,
        {
            "image_size": 64,
            "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 16, 32, 32],
            "num_attention_heads": [1, 2, 4, 4],
        },
    ),
    "Cvt:CvtModel": (64, {"embed_dim": [16, 32, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3]}),
    "Focalnet:FocalNetModel": (32, {"image_size": 32, "embed_dim": 16, "depths": [1, 1]}),
    "Levit:LevitModel": (
        64,
        {
            "image_size": 64,
            "hidden_sizes": [32, 48, 64],
            "num_attention_heads": [2, 3, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
    ),
}
"""Those that take images: the side, and the configuration."""

_OF_SOUND: dict[str, dict[str, Any]] = {
    "Wav2Vec2:Wav2Vec2Model": _SOUND,
    "Hubert:HubertModel": _SOUND,
    "WavLM:WavLMModel": _SOUND,
}
"""Those that take sound."""


def _made(name: str, settings: dict[str, Any]) -> nn.Module:
    import transformers

    kind, _, model = name.partition(":")
    kind = {"Focalnet": "FocalNet"}.get(kind, kind)
    config = getattr(transformers, f"{kind}Config")(**settings)
    made: nn.Module = getattr(transformers, model)(config)
    return made


def _words() -> torch.Tensor:
    return torch.randint(3, 50, (2, 12))


def _of_words(name: str, settings: dict[str, Any]) -> Callable[[], Built]:
    return lambda: (_made(name, settings), (_words(),))


def _of_two(name: str, settings: dict[str, Any]) -> Callable[[], Built]:
    return lambda: (
        NamedInputs(_made(name, settings), "input_ids", "decoder_input_ids"),
        (_words(), _words()),
    )


def _of_images(name: str, side: int, settings: dict[str, Any]) -> Callable[[], Built]:
    return lambda: (_made(name, settings), (torch.randn(2, 3, side, side),))


def _of_sound(name: str, settings: dict[str, Any]) -> Callable[[], Built]:
    return lambda: (_made(name, settings), (torch.randn(2, 400),))


def _clip() -> Built:
    import transformers

    text = {**_ENCODER, "projection_dim": 16, "eos_token_id": 2}
    vision = {**_IMAGE, "projection_dim": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    return transformers.CLIPModel(config), (_words(), torch.randn(2, 3, 32, 32))


def _whisper() -> Built:
    settings = {**_BART, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16}
    settings |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    settings |= {"decoder_start_token_id": 1}
    settings.pop("max_position_embeddings")
    model = _made("Whisper:WhisperModel", settings)
    called = NamedInputs(model, "input_features", "decoder_input_ids")
    return called, (torch.randn(2, 8, 32), _words())


def _detr() -> Built:
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage2"],
    )
    settings = {
        key: value for key, value in _BART.items() if key[0] in "de" and key != "vocab_size"
    }
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        num_queries=5,
        **settings,
    )
    return transformers.DetrForObjectDetection(config), (torch.randn(2, 3, 32, 32),)


def _audio() -> Built:
    settings = {**_IMAGE, "num_mel_bins": 16, "max_length": 32}
    settings.pop("image_size")
    return _made("AST:ASTModel", settings), (torch.randn(2, 32, 16),)


MODELS: dict[str, Callable[[], Built]] = {
    **{name: _of_words(name, settings) for name, settings in _OF_WORDS.items()},
    **{name: _of_two(name, settings) for name, settings in _OF_TWO.items()},
    **{name: _of_images(name, *settings) for name, settings in _OF_IMAGES.items()},
    **{name: _of_sound(name, settings) for name, settings in _OF_SOUND.items()},
    "CLIP:CLIPModel": _clip,
    "Whisper:WhisperModel": _whisper,
    "Detr:DetrForObjectDetection": _detr,
    "AST:ASTModel": _audio,
}
