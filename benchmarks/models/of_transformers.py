"""Families of Hugging Face's transformers, from small configurations with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.models.check import Built
from benchmarks.models.transformers_settings import (
    BART,
    ENCODER,
    IMAGE,
    OF_IMAGES,
    OF_SOUND,
    OF_TWO,
    OF_WORDS,
)
from supernet.conversion import NamedInputs

__all__ = ["MODELS"]


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

    text = {**ENCODER, "projection_dim": 16, "eos_token_id": 2}
    vision = {**IMAGE, "projection_dim": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    return transformers.CLIPModel(config), (_words(), torch.randn(2, 3, 32, 32))


def _whisper() -> Built:
    settings = {**BART, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16}
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
    settings = {key: value for key, value in BART.items() if key[0] in "de" and key != "vocab_size"}
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
    settings = {**IMAGE, "num_mel_bins": 16, "max_length": 32}
    settings.pop("image_size")
    return _made("AST:ASTModel", settings), (torch.randn(2, 32, 16),)


MODELS: dict[str, Callable[[], Built]] = {
    **{name: _of_words(name, settings) for name, settings in OF_WORDS.items()},
    **{name: _of_two(name, settings) for name, settings in OF_TWO.items()},
    **{name: _of_images(name, *settings) for name, settings in OF_IMAGES.items()},
    **{name: _of_sound(name, settings) for name, settings in OF_SOUND.items()},
    "CLIP:CLIPModel": _clip,
    "Whisper:WhisperModel": _whisper,
    "Detr:DetrForObjectDetection": _detr,
    "AST:ASTModel": _audio,
}
