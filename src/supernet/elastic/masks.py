"""Numbers that are weighed instead of chosen: widths and kernels under a gate with weights.

Wan et al., "FBNetV2: Differentiable Neural Architecture Search for Spatial and Channel Dimensions" (CVPR
2020): of widths that share their weights a mixture costs no more than the largest of them, since

    Σ_i g_i · (the first w_i of the channels, then zeros) = (all channels) · Σ_i g_i · mask_i.

Under a gate with weights a dimension has the largest number that the gate lists, and what reads its
channels, the weight of a linear layer or of a convolution, is multiplied by the expected mask along
them. So channels that are off reach nothing, whatever norms and activations have made of them, and under
weights that are one-hot the network computes what the sliced one does. A kernel is masked around its
centre, which is the mixture of convolutions with all of its sizes.

Different from the paper: it multiplies what a block returns, here a channel counts where it enters the
next layer that mixes channels. Unless the weights are one-hot these differ: what passes through a
depthwise convolution, or along a residual stream through several blocks, is weighed once here. The paper
has no masks of kernels; its masks of resolutions are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import nn

from supernet.choice.routing import Gate
from supernet.elastic.size import Size

__all__ = ["MIXING", "expected_mask", "masked_part"]

MIXING = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
"""Layers whose weight mixes what enters: its second axis and those after it."""


def masked_part(
    module: nn.Module, name: str, part: torch.Tensor, shape: tuple[Size | None, ...]
) -> torch.Tensor:
    """Return the used part of a parameter, multiplied by the expected masks of what it reads.

    Args:
        module: module that the parameter belongs to.
        name: name of the parameter; only a `weight` reads channels.
        part: used part of the parameter.
        shape: sizes of the part's axes, the first that of the output.
    """
    if name != "weight" or not isinstance(module, MIXING):
        return part
    soft = {axis: size for axis, size in enumerate(shape[1:], 1) if size and _gates([size])}
    while soft:
        first = next(iter(soft))
        # a kernel's axes are as long as each other, so one mask is that of all of them
        mine = _gates([soft[first]])
        together = [axis for axis in soft if not mine.keys().isdisjoint(_gates([soft[axis]]))]
        sizes = [soft.pop(axis) for axis in together]
        place = [1] * part.ndim
        for axis, size in zip(together, sizes, strict=True):
            place[axis] = size.now
        part = part * expected_mask(sizes, part).view(place)
    return part


def expected_mask(sizes: Sequence[Size], like: torch.Tensor) -> torch.Tensor:
    """Return `Σ_i g_i · mask_i` of the used positions, `[now of the first, now of the second, ...]`.

    Args:
        sizes: numbers of several axes, which some gates weigh; numbers of several gates have the product
            of their weights.
        like: gives the type and the device.
    """
    # A width of 2 or 4 under the weights 0.3 and 0.7: 0.3 · [1, 1, 0, 0] + 0.7 · [1, 1, 1, 1], which is
    # [1, 1, 0.7, 0.7]. A kernel of 3 or 5 in two directions: one gate weighs both axes, so the mask is
    # 0.3 inside plus 0.7 everywhere, and not the product of two masks of one axis.
    gates = list(_gates(sizes))
    total = torch.ones((), dtype=like.dtype, device=like.device)[None]
    for gate in gates:
        assert gate.weights is not None
        total = (total[:, None] * gate.weights.to(like)).flatten()
    for size in sizes:  # [combinations, ..., 1] * [combinations, 1, ..., now]
        masks = _masks(size, gates, like)
        total = total[..., None] * masks.view(len(masks), *(1,) * (total.ndim - 1), -1)
    return total.sum(0)


def _gates(sizes: Iterable[Size]) -> dict[Gate, None]:
    """Return the gates that weigh what sizes depend on; dimensions of one label have one gate."""
    dimensions = (d for size in sizes for d in size.dimensions)
    return {d.gate: None for d in dimensions if d.weighed and d.gate is not None}


def _masks(size: Size, gates: Sequence[Gate], like: torch.Tensor) -> torch.Tensor:
    """Return 1 where a used position is on and else 0, `[combinations of what gates list, now]`.

    They are kept until gates list other numbers.
    """
    own = size.dimensions
    places = tuple(tuple(i for i, d in enumerate(own) if d.gate is gate) for gate in gates)
    mine = [[own[i] for i in found] for found in places]
    options = tuple(gate.options for gate in gates)
    others = tuple(d.now for d in own if not d.weighed)
    key = (places, options, others, like.dtype, like.device)
    kept: dict[str, tuple[object, torch.Tensor]] = size.__dict__
    if "_masks" not in kept or kept["_masks"][0] != key:
        with torch.inference_mode(False):  # what is kept must serve passes with gradients too
            found = torch.zeros(math.prod(map(len, options)), size.largest)
            try:
                for row, chosen in enumerate(product(*options)):
                    for dimensions, index in zip(mine, chosen, strict=True):
                        for dimension in dimensions:
                            dimension.set_gate(Gate((index,)))
                    found[row, size.used()] = 1
            finally:
                for gate, dimensions in zip(gates, mine, strict=True):
                    for dimension in dimensions:
                        dimension.set_gate(gate)
            kept["_masks"] = key, size.take(found, 1).to(like)
    return kept["_masks"][1]
