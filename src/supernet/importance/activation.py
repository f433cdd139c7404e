"""Weights times the norms of what they multiply.

Sun et al., "A Simple and Effective Pruning Approach for Large Language Models" (Wanda, ICLR 2024): the
score of a weight is |w_ij| · ‖x_j‖₂, with the norm of input feature j over all examples and positions.
Here they are summed up over the weights that multiply a channel,

    I_j = Σ_i |w_ij| · ‖x_j‖₂,

of convolutions over all places of the kernel, with the norm of the input channel over all positions of
the input. Norms are found where matrix products and convolutions are computed, so the model's own code
counts as layers do. No labels are needed. The model runs in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from supernet.elastic.importance import Amounts, Importance
from supernet.importance.measuring import checked_batches, explaining, read, standing_in
from supernet.modules.calls import called

__all__ = ["Activation"]

Noting = Callable[[torch.Tensor, torch.Tensor], None]
"""Takes a weight and the sums of squares of what its elements multiply, of a shape that fits it."""


class Activation(Importance):
    """Σ |w| · ‖x‖₂ of the weights that multiply a channel x (Wanda: Sun et al., 2024).

    Args:
        batches: iterable of inputs `[batch, ...]`, or of `(inputs, labels)`, whose labels are not
            looked at (several inputs need the tuple: `(first, second, None)`).
        seed: seed of what the model draws.

    Raises:
        ConfigError: batches are none, at the latest when they are gone through.
        DataError: a batch is not what the model takes.
    """

    def __init__(self, batches: Iterable[Any], seed: int = 0) -> None:
        self.batches = checked_batches(batches)
        self.seed = seed

    def amounts(self, model: nn.Module) -> Iterator[Amounts]:
        """Yield |w| · ‖x‖₂ of all weights that multiply something, once."""
        # With gradients, as without them PyTorch computes attention in one operator.
        with standing_in(model, self.seed) as (stand_in, weights):
            norms = _Norms(weights)
            for inputs, _ in read(self.batches, model, labels=False, by="Activation"):
                with explaining("Activation", inputs), norms:
                    called(stand_in, inputs)
            yield {
                own: weights[own].detach().abs() * squares.sqrt()
                for own, squares in norms.squares().items()
            }


class _Norms(TorchDispatchMode):  # type: ignore[no-untyped-call] # so is its constructor
    """Adds up, for each element of weights, the squares of all that it is multiplied by.

    Weights are known by their memory, also where operators are given views of them.
    """

    def __init__(self, weights: Mapping[nn.Parameter, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._own = {_memory(copy): own for own, copy in weights.items()}
        self._squares = {
            _memory(copy): torch.zeros_like(copy, dtype=torch.float64, requires_grad=False)
            for copy in weights.values()
        }
        self._multiplied, self._used = set[int](), set[int]()

    def squares(self) -> dict[nn.Parameter, torch.Tensor]:
        """Return the sums, each in the shape of its parameter; zero of what was not used at all.

        Parameters that were used in other ways alone, as those of norms, are left out.
        """
        others = self._used - self._multiplied
        return {own: self._squares[at] for at, own in self._own.items() if at not in others}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator, and note what weights it uses and multiplies."""
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, torch.Tensor) and _memory(value) in self._own:
                self._used.add(_memory(value))
        if (rule := _RULES.get(func.overloadpacket)) is not None:
            rule(self._note, *args)
        return func(*args, **(kwargs or {}))

    def _note(self, weight: torch.Tensor, squares: torch.Tensor) -> None:
        memory = _memory(weight)
        if memory not in self._squares:
            return
        self._multiplied.add(memory)
        squares = squares.detach().expand(weight.shape)
        # A weight that is expanded, as for each example of a batch, is one element there.
        one = [axis for axis, stride in enumerate(weight.stride()) if not stride]
        if one:
            squares = squares.sum(one, keepdim=True)
        place = self._squares[memory].as_strided(
            squares.shape, weight.stride(), weight.storage_offset()
        )
        place.add_(squares)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _product(note: Noting, a: torch.Tensor, b: torch.Tensor) -> None:
    """Note the factors of `[..., m, k] @ [..., k, n]`."""
    note(b, a.double().square().sum(-2).unsqueeze(-1))
    note(a, b.double().square().sum(-1).unsqueeze(-2))


def _product_with_bias(note: Noting, bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    _product(note, a, b)


def _convolution(
    note: Noting,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> None:
    """Note the weight `[out, in / groups, *kernel]`, transposed `[in, out / groups, *kernel]`."""
    kernel = weight.ndim - 2
    squares = x.double().square().sum((0, *range(x.ndim - kernel, x.ndim)))
    if transposed:
        squares = squares[:, None]
    else:
        # Of 4 channels in 2 groups, outputs of the first group have the squares of channels 0 and 1.
        squares = squares.view(groups, -1).repeat_interleave(len(weight) // groups, 0)
    note(weight, squares.view(*squares.shape, *(1,) * kernel))


_aten = torch.ops.aten
_RULES = cast(
    dict[Any, Callable[..., None]],
    {
        _aten.mm: _product,
        _aten.bmm: _product,
        _aten.addmm: _product_with_bias,
        _aten.baddbmm: _product_with_bias,
        _aten.convolution: _convolution,
    },
)
