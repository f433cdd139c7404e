"""Architectures of timm, one or two of each family, as small as they can be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.models.check import Built
from benchmarks.timm_models import create_model

__all__ = ["MODELS"]

_SIDE = 64

_PLAIN: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "resnet26d": {},
    "resnet50_gn": {"layers": (1, 1, 1, 1)},
    "resnetblur18": {},
    "ecaresnet26t": {"layers": (1, 1, 1, 1)},
    "resnext50_32x4d": {"layers": (1, 1, 1, 1)},
    "seresnet18": {},
    "resnetv2_18": {},
    "resnetv2_50x1_bit": {},
    "legacy_seresnet18": {},
    "skresnet18": {},
    "resnest14d": {},
    "res2net50_14w_8s": {"layers": (1, 1, 1, 1)},
    "res2next50": {"layers": (1, 1, 1, 1)},
    "vgg11_bn": {},
    "densenet121": {"block_config": (2, 2), "growth_rate": 16},
    "densenetblur121d": {"block_config": (2, 2), "growth_rate": 16},
    "dla34": {},
    "dla46x_c": {},
    "dpn48b": {},
    "dpn68b": {},
    "regnetx_002": {},
    "regnety_002": {},
    "regnetz_005": {},
    "rexnet_100": {},
    "repvgg_a0": {},
    "mobileone_s0": {},
    "gernet_s": {},
    "gcresnext26ts": {},
    "eca_resnext26ts": {},
    "efficientnet_b0": {},
    "efficientnetv2_rw_t": {},
    "efficientnet_cc_b0_4e": {},
    "mixnet_s": {},
    "mnasnet_small": {},
    "mobilenetv2_050": {},
    "mobilenetv3_small_050": {},
    "mobilenetv4_conv_small_050": {},
    "mobilenetv4_hybrid_medium_075": {},
    "lcnet_035": {},
    "hardcorenas_a": {},
    "fbnetc_100": {},
    "tinynet_e": {},
    "ghostnet_050": {},
    "ghostnetv2_100": {},
    "repghostnet_050": {},
    "cs3darknet_s": {},
    "cspresnet50": {},
    "darknet17": {},
    "cspnext_tiny": {},
    "hgnet_tiny": {},
    "hgnetv2_b0": {},
    "hrnet_w18_small": {},
    "selecsls42": {},
    "ese_vovnet19b_slim": {},
    "nf_regnet_b0": {},
    "nf_resnet26": {},
    "nfnet_f0": {},
    "tresnet_m": {},
    "convnext_atto": {"depths": (1, 1, 2, 1)},
    "convnextv2_atto": {"depths": (1, 1, 2, 1)},
    "convmixer_768_32": {},
    "inception_next_atto": {},
    "fasternet_t0": {},
    "starnet_s050": {},
    "mambaout_femto": {},
    "edgenext_xx_small": {},
    "efficientvit_b0": {},
    "repvit_m0_9": {},
    "poolformer_s12": {},
    "caformer_s18": {},
    "convformer_s18": {},
    "mobilevit_xxs": {},
    "mobilevitv2_050": {},
    "focalnet_tiny_srf": {},
    "davit_tiny": {"depths": (1, 1, 1, 1)},
    "rdnet_tiny": {},
    "shvit_s1": {},
    "swiftformer_xs": {},
    "lowformer_b0": {},
    "fastvit_t8": {},
    "resnet26t": {},
    "lambda_resnet26t": {},
    "xception41": {},
    "ecaresnetlight": {"layers": (1, 1, 1, 1)},
    "pvt_v2_b0": {},
}
"""Those that take images of any size, and what they are built with."""

_SIDED: dict[str, tuple[int, dict[str, Any]]] = {
    "bat_resnext26ts": (256, {}),
    "vit_tiny_patch16_224": (32, {"img_size": 32, "patch_size": 8, "depth": 3}),
    "vit_base_patch16_gap_224": (
        32,
        {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 64, "num_heads": 4},
    ),
    "vit_relpos_small_patch16_224": (32, {"img_size": 32, "patch_size": 8, "depth": 2}),
    "vit_srelpos_small_patch16_224": (32, {"img_size": 32, "patch_size": 8, "depth": 2}),
    "deit_tiny_distilled_patch16_224": (32, {"img_size": 32, "patch_size": 8, "depth": 2}),
    "deit3_small_patch16_224": (32, {"img_size": 32, "patch_size": 8, "depth": 2}),
    "beit_base_patch16_224": (
        32,
        {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 64, "num_heads": 4},
    ),
    "eva02_tiny_patch14_224": (28, {"img_size": 28, "patch_size": 7, "depth": 2}),
    "cait_xxs24_224": (32, {"img_size": 32, "patch_size": 8, "depth": 2}),
    "xcit_nano_12_p16_224": (64, {"img_size": 64, "depth": 2}),
    "convit_tiny": (32, {"img_size": 32, "patch_size": 8, "depth": 3}),
    "crossvit_9_240": (240, {}),
    "coat_lite_tiny": (64, {"img_size": 64}),
    "pit_ti_224": (64, {"img_size": 64}),
    "levit_128s": (64, {"img_size": 64}),
    "tnt_s_patch16_224": (32, {"img_size": 32, "depth": 2}),
    "twins_svt_small": (64, {"img_size": 64, "depths": (1, 1, 2, 1)}),
    "twins_pcpvt_small": (64, {"img_size": 64, "depths": (1, 1, 2, 1)}),
    "visformer_tiny": (64, {"img_size": 64}),
    "swin_tiny_patch4_window7_224": (
        32,
        {"img_size": 32, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32, "window_size": 4},
    ),
    "swinv2_tiny_window8_256": (
        32,
        {"img_size": 32, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32, "window_size": 4},
    ),
    "swinv2_cr_tiny_224": (
        32,
        {"img_size": 32, "depths": (2, 2), "num_heads": (2, 4), "embed_dim": 32, "window_size": 4},
    ),
    "mixer_s32_224": (64, {"img_size": 64}),
    "gmixer_12_224": (64, {"img_size": 64}),
    "resmlp_12_224": (64, {"img_size": 64}),
    "gmlp_ti16_224": (64, {"img_size": 64}),
    "sequencer2d_s": (64, {"img_size": 64, "layers": (1, 1, 1, 1)}),
    "nest_tiny": (224, {}),
    "maxvit_pico_rw_256": (64, {"img_size": 64}),
    "coatnet_nano_rw_224": (64, {"img_size": 64}),
    "mvitv2_tiny": (64, {"img_size": 64}),
    "gcvit_xxtiny": (64, {"img_size": 64}),
    "hiera_tiny_224": (224, {"stages": (1, 1, 1, 1)}),
    "efficientformer_l1": (224, {}),
    "efficientformerv2_s0": (64, {"img_size": 64}),
    "efficientvit_m0": (64, {"img_size": 64}),
    "tiny_vit_5m_224": (64, {}),
    "nextvit_small": (64, {}),
    "volo_d1_224": (64, {"img_size": 64}),
    "botnet26t_256": (256, {}),
    "halonet26t": (256, {}),
    "samvit_base_patch16_224": (
        64,
        {"img_size": 64, "patch_size": 8, "depth": 2, "embed_dim": 64, "num_heads": 4},
    ),
    "inception_v3": (96, {}),
    "inception_v4": (96, {}),
    "vitamin_small_224": (64, {"img_size": 64}),
    "efficientvim_m1": (64, {}),
}
"""Those that take images of one size: its side, and what they are built with."""


def _building(name: str, side: int, arguments: dict[str, Any]) -> Callable[[], Built]:
    def build() -> Built:
        model = create_model(name, num_classes=7, **arguments)
        return model, (torch.randn(2, 3, side, side),)

    return build


MODELS: dict[str, Callable[[], Built]] = {
    **{name: _building(name, _SIDE, arguments) for name, arguments in _PLAIN.items()},
    **{name: _building(name, *settings) for name, settings in _SIDED.items()},
}
