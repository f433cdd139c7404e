"""Small configurations of models of Hugging Face's transformers."""

from __future__ import annotations

from typing import Any

__all__ = ["BART", "ENCODER", "IMAGE", "OF_IMAGES", "OF_SOUND", "OF_TWO", "OF_WORDS"]

TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
ENCODER = {**TEXT, "intermediate_size": 64, "max_position_embeddings": 32}
DECODER = {**ENCODER, "num_key_value_heads": 2, "pad_token_id": 0}
IMAGE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
SOUND = {
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
BART = {
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

OF_WORDS: dict[str, dict[str, Any]] = {
    "Bert:BertModel": ENCODER,
    "Bert:BertForSequenceClassification": ENCODER,
    "Bert:BertForMaskedLM": ENCODER,
    "Albert:AlbertModel": {**ENCODER, "embedding_size": 16},
    "Roberta:RobertaModel": ENCODER,
    "XLMRoberta:XLMRobertaModel": ENCODER,
    "Camembert:CamembertModel": ENCODER,
    "Electra:ElectraModel": {**ENCODER, "embedding_size": 16},
    "DistilBert:DistilBertModel": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "vocab_size": 50,
    },
    "MobileBert:MobileBertModel": {**ENCODER, "embedding_size": 32, "intra_bottleneck_size": 32},
    "ConvBert:ConvBertModel": {**ENCODER, "embedding_size": 32},
    "Deberta:DebertaModel": ENCODER,
    "DebertaV2:DebertaV2Model": ENCODER,
    "MPNet:MPNetModel": ENCODER,
    "FNet:FNetModel": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "vocab_size": 50,
        "max_position_embeddings": 32,
    },
    "SqueezeBert:SqueezeBertModel": {**ENCODER, "embedding_size": 32},
    "ModernBert:ModernBertModel": {**ENCODER, "pad_token_id": 0},
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
    "GPTNeoX:GPTNeoXModel": ENCODER,
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
    "OPT:OPTModel": {**ENCODER, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "Bloom:BloomModel": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "Falcon:FalconModel": TEXT,
    "Mpt:MptModel": {"d_model": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 50},
    "XLNet:XLNetModel": {
        "d_model": 32,
        "n_layer": 2,
        "n_head": 4,
        "d_inner": 64,
        "vocab_size": 50,
    },
    "Llama:LlamaModel": DECODER,
    "Llama:LlamaForCausalLM": DECODER,
    "Mistral:MistralModel": DECODER,
    "Mixtral:MixtralModel": {**DECODER, "num_local_experts": 4},
    "Qwen2:Qwen2Model": DECODER,
    "Qwen2:Qwen2ForCausalLM": DECODER,
    "Qwen3:Qwen3Model": {**DECODER, "head_dim": 8},
    "Qwen2Moe:Qwen2MoeModel": {
        **DECODER,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 32,
    },
    "Qwen3Moe:Qwen3MoeModel": {
        **DECODER,
        "head_dim": 8,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "num_experts_per_tok": 2,
    },
    "Phi:PhiModel": DECODER,
    "Phi3:Phi3Model": DECODER,
    "Gemma:GemmaModel": {**DECODER, "head_dim": 8},
    "Gemma2:Gemma2Model": {**DECODER, "head_dim": 8},
    "Gemma3Text:Gemma3TextModel": {**DECODER, "head_dim": 8},
    "StableLm:StableLmModel": DECODER,
    "Starcoder2:Starcoder2Model": DECODER,
    "Olmo:OlmoModel": DECODER,
    "Olmo2:Olmo2Model": DECODER,
    "Cohere:CohereModel": DECODER,
    "Granite:GraniteModel": DECODER,
    "Glm:GlmModel": {**DECODER, "head_dim": 8},
    "SmolLM3:SmolLM3Model": DECODER,
    "Persimmon:PersimmonModel": ENCODER,
    "Nemotron:NemotronModel": {**DECODER, "head_dim": 8},
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

OF_TWO: dict[str, dict[str, Any]] = {
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
    "Bart:BartModel": BART,
    "MBart:MBartModel": BART,
    "Marian:MarianModel": {**BART, "pad_token_id": 0, "decoder_start_token_id": 0},
    "Pegasus:PegasusModel": BART,
    "Blenderbot:BlenderbotModel": BART,
    "M2M100:M2M100Model": BART,
}
"""Those that take two sequences of words, `input_ids` and `decoder_input_ids`."""

OF_IMAGES: dict[str, tuple[int, dict[str, Any]]] = {
    "ViT:ViTModel": (32, IMAGE),
    "ViT:ViTForImageClassification": (32, IMAGE),
    "DeiT:DeiTModel": (32, IMAGE),
    "Beit:BeitModel": (32, IMAGE),
    "ViTMSN:ViTMSNModel": (32, IMAGE),
    "Dinov2:Dinov2Model": (32, IMAGE),
    "Yolos:YolosModel": (32, {**IMAGE, "image_size": [32, 32], "num_detection_tokens": 4}),
    "CLIPVision:CLIPVisionModel": (32, IMAGE),
    "SiglipVision:SiglipVisionModel": (32, IMAGE),
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

OF_SOUND: dict[str, dict[str, Any]] = {
    "Wav2Vec2:Wav2Vec2Model": SOUND,
    "Hubert:HubertModel": SOUND,
    "WavLM:WavLMModel": SOUND,
}
"""Those that take sound."""
