"""From single images to one tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from supernet.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_depth", "from_array", "from_pil", "has_channels_last", "is_grey", "stack"]

_GREY = ("1", "L")


def from_pil(image: Image.Image) -> Tensor:
    """Return the pixels, uint8 [channels, height, width]: one channel if grey, else red-green-blue.

    What is transparent is as if it were not.

    Raises:
        DataError: pixels have more than 8 bits, and would be clipped if converted.
    """
    check_depth(image)
    mode = "L" if is_grey(image) else "RGB"
    if image.mode == "P" and "transparency" in image.info:  # or Pillow warns that it is lost
        image = image.convert("RGBA")
    return from_array(np.array(image if image.mode == mode else image.convert(mode)))


def is_grey(image: Image.Image) -> bool:
    """Return whether an image becomes one channel."""
    return image.mode in _GREY


def check_depth(image: Image.Image) -> None:
    """Refuse pixels of more than 8 bits, which would be clipped if converted.

    Raises:
        DataError: they have.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(f"pixels of mode {image.mode} have more than 8 bits; save the image with 8")


def from_array(pixels: np.ndarray) -> Tensor:
    """Return uint8 pixels [height, width] or [height, width, channels] with channels first.

    Raises:
        DataError: the array has another shape.
    """
    if pixels.ndim == 2:
        return torch.from_numpy(pixels[None])
    if pixels.ndim != 3 or pixels.shape[2] > 4:
        raise DataError(
            f"a uint8 array is an image [height, width] or [height, width, channels], but its "
            f"shape is {list(pixels.shape)}; move the channels last, or give a tensor"
        )
    return torch.from_numpy(pixels).permute(2, 0, 1)


def has_channels_last(shape: Sequence[int], dtype: torch.dtype) -> bool:
    """Return whether the channels of an image are last; of floats, where nothing else is likely."""
    if len(shape) != 3:
        return False
    first, second, last = shape
    pixels = dtype == torch.uint8 or last > 1 or first == second
    return first > 4 and second > 4 and last in (1, 3, 4) and pixels


def stack(inputs: Sequence[Tensor], name: Callable[[int], str], remedy: str) -> Tensor:
    """Return all inputs in one tensor, [n, ...].

    Args:
        inputs: tensors of one shape and type.
        name: function from the number of an input to its name in an error.
        remedy: advice on what to do if shapes differ.

    Raises:
        DataError: two inputs differ in shape or type.
    """
    for number, tensor in enumerate(inputs):
        if tensor.shape != inputs[0].shape or tensor.dtype != inputs[0].dtype:
            raise DataError(
                f"Examples differ: {name(0)} is {_describe(inputs[0])}, "
                f"{name(number)} is {_describe(tensor)}. {remedy}"
            )
    return torch.stack(list(inputs)) if inputs else torch.empty(0)


def _describe(tensor: Tensor) -> str:
    if tensor.dtype == torch.uint8 and tensor.ndim == 3:
        channels, height, width = tensor.shape
        return f"{width}x{height} pixels ({channels} channel{'s' * (channels > 1)})"
    return f"{tensor.dtype} {list(tensor.shape)}"
