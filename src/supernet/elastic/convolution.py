"""Convolutions whose width and kernel are open.

Cai et al., "Once-for-All" (ICLR 2020): a smaller kernel is the centre of a larger one, if so asked
through a matrix that is learned for each step from size to size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from supernet.elastic.composed import CentreSize
from supernet.elastic.module import ElasticLayer
from supernet.elastic.size import Size, as_size
from supernet.elastic.spec import ElasticSpec, Groups, Number, SizeTuple, make_elastic
from supernet.errors import SpaceError

__all__ = ["Conv1d", "Conv2d", "Conv3d", "Convolution", "Padding"]


@dataclass(frozen=True)
class Padding:
    """As much less around a smaller kernel that the output keeps its shape.

    Attributes:
        kernel: kernel size, as chosen.
        around: padding around the largest kernel, by direction.
        dilation: dilation of the kernel, by direction.
    """

    kernel: Size
    around: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def now(self) -> tuple[int, ...]:
        """The padding by direction."""
        less = self.kernel.largest - self.kernel.now
        pairs = zip(self.around, self.dilation, strict=True)
        return tuple(pad - apart * less // 2 for pad, apart in pairs)


class Convolution(ElasticLayer):
    """What `Conv1d`, `Conv2d` and `Conv3d` have in common: width and kernel are elastic.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        kernel: kernel size, the same in all directions; smaller ones are the centre of the largest.
        stride: stride in all directions, see `torch.nn.Conv2d`.
        padding: around the largest kernel; smaller ones have less, so that the output has the same
            shape. Half of the kernel if not given.
        dilation: dilation in all directions, see `torch.nn.Conv2d`.
        groups: number of groups at the largest width. A group keeps its size, so a narrower convolution
            has fewer of them. Or the same object as `channels_in` and `channels_out`, for a depthwise
            one.
        bias: whether the convolution has a bias.
        transforms: whether smaller kernels pass through OFA's learned matrices, the identity at first.

    Raises:
        SpaceError: the groups are open, but the convolution is not depthwise; later, where it is used,
            the channels are not whole groups.
    """

    _ordinary: Any
    rank: int
    _extra = ("kernel", "transforms")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        cls.rank = 1 + next(place for place, kind in enumerate(kinds) if issubclass(cls, kind))

    def __init__(
        self,
        channels_in: Size | int,
        channels_out: Size | int,
        kernel: Size | int,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: Size | int = 1,
        bias: bool = True,
        transforms: bool = False,
    ) -> None:
        entering, leaving, size = as_size(channels_in), as_size(channels_out), as_size(kernel)
        if isinstance(groups, Size) and not (groups is channels_in and groups is channels_out):
            raise SpaceError(
                "the groups of a convolution are a number, or the object that its channels_in and "
                "channels_out are, for a depthwise one"
            )
        count = as_size(groups).largest
        self._ordinary.__init__(
            self,
            entering.largest,
            leaving.largest,
            size.largest,
            stride,
            dilation * (size.largest - 1) // 2 if padding is None else padding,
            dilation,
            count,
            bias,
        )
        conv = cast(nn.Conv2d, self)
        numbers: dict[str, Number] = {
            "in_channels": entering,
            "out_channels": leaving,
            "kernel_size": SizeTuple((size,) * self.rank),
            "padding": Padding(size, cast(tuple[int, ...], conv.padding), conv.dilation),
        }
        if count > 1:
            numbers["groups"] = Groups(entering, leaving, count)
        ordered = count > 1 and not isinstance(groups, Size)
        inner = entering if count == 1 else None
        kernels = (CentreSize(size),) * self.rank
        make_elastic(
            self,
            ElasticSpec(
                {"weight": (leaving, inner, *kernels), "bias": (leaving,)},
                numbers,
                (size,),
                ordered,
            ),
        )
        self.leads = ((1, entering),)
        self.__dict__["kernel"] = size
        self.transforms = nn.ParameterDict()
        if transforms:
            for smaller in self.kernels()[1:]:
                self.transforms[str(smaller)] = nn.Parameter(torch.eye(smaller**self.rank))

    kernel: Size

    def kernels(self) -> list[int]:
        """Return the sizes that the kernel may have, the largest first."""
        sizes = {int(value) for d in self.kernel.dimensions for value in d.values}
        return sorted(sizes or {self.kernel.largest}, reverse=True)

    def _used(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Return the part that is used; of the kernel the centre, through OFA's matrices if any."""
        if name != "weight" or not self.transforms:
            return super()._used(name, value)
        *widths, kernel = self.__dict__["_opened"].shapes[name][:3]
        for axis, size in enumerate(widths):
            value = value if size is None else size.take(value, axis)
        for number in self.kernels()[1:]:
            if number < kernel.now:
                break
            start = (value.shape[-1] - number) // 2
            for axis in range(2, 2 + self.rank):
                value = value.narrow(axis, start, number)
            flat = value.flatten(2) @ self.transforms[str(number)].T
            value = flat.reshape(*value.shape[:2], *self.rank * (number,))
        return value


class Conv1d(Convolution, nn.Conv1d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    _ordinary = nn.Conv1d


class Conv2d(Convolution, nn.Conv2d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    _ordinary = nn.Conv2d


class Conv3d(Convolution, nn.Conv3d):
    """A convolution of elastic width and kernel, with the arguments of `Convolution`."""

    _ordinary = nn.Conv3d
