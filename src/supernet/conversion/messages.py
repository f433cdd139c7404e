"""What cannot be converted is refused in words, whatever goes wrong: with the module and the remedy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from supernet.conversion.trace import first, line
from supernet.errors import ConversionError, SupernetError
from supernet.failures import check_memory
from supernet.modules.copies import kept_results

__all__ = ["closed", "explaining_failures"]

P = ParamSpec("P")


def explaining_failures(convert: Callable[P, nn.Module]) -> Callable[P, nn.Module]:
    """Let a conversion refuse models whose code it cannot see, and say of any failure where it is."""

    @functools.wraps(convert)
    def converted(*arguments: P.args, **options: P.kwargs) -> nn.Module:
        for model in arguments[:1]:
            _check_modules(model)
        try:
            return convert(*arguments, **options)
        except SupernetError:
            raise
        except Exception as error:  # a user's model may do anything
            check_memory(error)
            raise ConversionError(
                f"the model cannot be converted: {line(error)}raises {type(error).__name__}: "
                f"{first(error)}; leave the part that does so out by rules, such as "
                'Widths("NAME.*", fractions=(1.0,)) before the others, or convert the rest of the model'
            ) from error

    return converted


def closed(reasons: Mapping[str, Sequence[str]]) -> ConversionError:
    """Return the error of a model in which nothing can be open.

    Args:
        reasons: why not, by module.
    """
    places: dict[str, list[str]] = {}
    for name, found in reasons.items():
        for reason in found:
            places.setdefault(reason, []).append(name or "the model itself")
    plain = [reason for reason in places if reason in _EVERYWHERE or "kernel" in reason]
    others = [reason for reason in places if reason not in plain]
    told = [f"{reason} ({', '.join(places[reason][:3])})" for reason in (*others, *plain)[:5]]
    return ConversionError(
        f"nothing of the model can be open: {'; '.join(told) or 'it has no widths'}; write what is not "
        "known in other operators or convert another part of the model, see docs/conversion.md; rules "
        "with a smaller `multiple`, `inner=True`, or for kernels and operations, may open more"
    )


_EVERYWHERE = ("the model's input", "the model's output", "no residual blocks in a row")
"""Reasons that most models have for something."""


_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
"""By which PyTorch computes weights before each forward pass, and keeps them as plain attributes."""


def _check_modules(model: object) -> None:
    """Refuse modules whose code is compiled, and such as have no weights yet.

    Raises:
        ConversionError: there is one.
    """
    if not isinstance(model, nn.Module):
        raise ConversionError(
            f"a model is an nn.Module, not {model!r}"
            + ("; call the class for an instance of it" if isinstance(model, type) else "")
        )
    for name, module in model.named_modules():
        where = f"the module {name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ConversionError(
                f"{where} is compiled by torch.jit, so its code cannot be followed or run in other "
                "sizes; give the model as it is before torch.jit.script or torch.jit.trace, and compile "
                "what is derived"
            )
        if type(module).__name__ == "OptimizedModule":
            raise ConversionError(
                f"{where} is compiled by torch.compile; give the module before that (its attribute "
                "`_orig_mod`), and compile what is derived"
            )
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, _HOOKS):
                raise ConversionError(
                    f"{where} has its weights from a hook ({type(hook).__name__}) that makes them anew "
                    "in each forward pass, so it cannot be copied; use weight_norm or spectral_norm of "
                    "torch.nn.utils.parametrizations instead, or make them plain weights before it is "
                    "converted, by remove_weight_norm or remove_spectral_norm of torch.nn.utils, or by "
                    "torch.nn.utils.prune.remove"
                )
        for own, _ in kept_results(module):
            raise ConversionError(
                f"{where} keeps a tensor that was computed with gradients ({own!r}), so it cannot be "
                "copied; empty that cache, or build the model anew and run it under torch.no_grad() "
                "only, before it is converted"
            )
        if why := _unfit(module):
            raise ConversionError(f"{where} {why}")
        if any(
            is_lazy(tensor) for tensor in (*module._parameters.values(), *module._buffers.values())
        ):
            raise ConversionError(
                f"{where} has weights of sizes that are not known yet; run the model once on an example "
                "before it is converted"
            )


def _unfit(module: nn.Module) -> str | None:
    """Return why the weights of a module are none that narrower networks could begin with."""
    made_by = type(module).__module__
    own = [
        one for one in (*module._parameters.values(), *module._buffers.values()) if one is not None
    ]
    kinds = [type(one).__module__ for one in own]
    if made_by.startswith("peft."):
        return (
            "has adapters of peft beside its weights; merge them, and give what their "
            "merge_and_unload() returns"
        )
    if (
        "quantized" in made_by
        or made_by.startswith("bitsandbytes")
        or any(kind.startswith("torchao") for kind in kinds)
        or any(one.is_quantized for one in own)
    ):
        return "is quantised; give the model before that, and quantise what is derived"
    if any(kind.startswith("torch.distributed") for kind in kinds):
        return "has its weights in parts on several processes; give it whole"
    if any(one.is_meta for one in own):
        return "has no weights yet (device meta); read or draw them before it is converted"
    return None
