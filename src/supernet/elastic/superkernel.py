"""A choice whose options are parts of one set of weights, and which can compute by indicators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.choice.routing import Gate
from supernet.ops.superblock import EXPANSIONS, KERNELS, Slice, SuperBlock

__all__ = ["Indicated", "SuperKernel"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Indicated(Gate):
    """A gate of one option of a `SuperKernel`, which is computed by masking all its weights.

    The output is that of the option, and has a gradient in the indicators.

    Attributes:
        indicators: k, e6 and e3 as zeros and ones, `[3]`, see `supernet.ops.superblock`.
    """

    indicators: torch.Tensor

    def learning_by(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """Return the gate with its indicators changed."""
        return replace(self, indicators=change(self.indicators))


class SuperKernel(ChoiceModule):
    """A choice of inverted residuals of kernel 3 or 5 and expansion 3 or 6, with shared weights.

    Where the layer keeps the shape, it may also be left out. The options are "mb3e3", "mb3e6", "mb5e3",
    "mb5e6" and "identity".

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: stride of the depthwise convolution.
        affine: whether batch norm learns a scale and an offset.
        label: label of the decision, see `ChoiceModule`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        affine: bool = True,
        label: str | None = None,
    ) -> None:
        block = SuperBlock(channels_in, channels_out, stride=stride, affine=affine)
        options: dict[str, nn.Module] = {
            f"mb{kernel}e{expansion}": Slice(block, kernel, expansion)
            for kernel in KERNELS
            for expansion in EXPANSIONS
        }
        if block.shortcut:
            options["identity"] = nn.Identity()
        super().__init__(options, label=label)

    @property
    def block(self) -> SuperBlock:
        """What the options are parts of."""
        (block,) = {option.block for option in self.options if isinstance(option, Slice)}
        return block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gated sum of the options' outputs, or the block masked by indicators."""
        if isinstance(self.gate, Indicated):
            y: torch.Tensor = self.block(x, self.gate.indicators)
            return y
        return self.mix(lambda i: self.options[i](x), (x,))

    def gate_of(self, indicators: torch.Tensor, values: Sequence[float]) -> Indicated:
        """Return the gate for indicators, `[3]`, whose values are known as numbers."""
        kernel, wide, layer = values
        name = f"mb{KERNELS[bool(kernel)]}e{EXPANSIONS[bool(wide)]}" if layer else "identity"
        return Indicated((self.names.index(name),), indicators=indicators)

    def shares(self, indicators: torch.Tensor) -> torch.Tensor:
        """Return 1 for the option that indicators `[3]` mean and 0 for others, `[options]`.

        They are products of the indicators and of what is left to 1, so they have a gradient.
        """
        kernel, wide, layer = indicators
        found = [
            layer * (kernel if large else 1 - kernel) * (wide if full else 1 - wide)
            for large in (False, True)
            for full in (False, True)
        ]
        return torch.stack(found if len(self.names) == len(found) else [*found, 1 - layer])

    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return the chosen option itself."""
        (module,) = modules
        return module
