"""The space of whole networks of ENAS.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section 2.3. A
chain of layers; each applies one of six operations to the layer before it, and reads any subset of the
states before that one (the stem and the layers) besides: these and the result of the operation are
concatenated and projected by a 1×1 convolution. At one and two thirds of the depth all states are
halved. The space has 6^n · 2^(n(n-1)/2) architectures, 6^12 · 2^66, about 1.6e29, with twelve layers.

A projection of a concatenation is the sum of one 1×1 convolution per input. So each skip connection is
a decision of its own, `none` or `skip`, and an architecture runs only the convolutions that it has.

Different from the authors' code: theirs adds the skipped states in the search network, and projects
them in the final networks only; here both do. There is no ReLU in its halvings, but there is one here.
As there, a halving exists for every state, also where no later layer reads it. There is no dropout;
images may have odd sizes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import SpaceError
from supernet.ops import FactorizedReduce, Zero, pointwise, pool
from supernet.space import Architecture, Diagram, Edge, Node
from supernet.zoo.arguments import check_halvings, check_positive

__all__ = ["ENASMacro"]

NONE, SKIP = "none", "skip"


class Layer(nn.Module):
    """An operation on the last state, and skip connections from those before it.

    Args:
        index: number of the layer from 0, which is the number of states that it may skip from.
        channels: channels of all states.
        affine: whether batch norm learns a scale and an offset.
    """

    def __init__(self, index: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.operation = Choice(operations(channels, affine), label=f"layer{index}.operation")
        self.project = _relu_pointwise(channels) if index else nn.Identity()
        self.skips = nn.ModuleList(
            Choice(
                {NONE: Zero(), SKIP: _relu_pointwise(channels)}, label=f"layer{index}.skip{state}"
            )
            for state in range(index)
        )
        self.norm = nn.BatchNorm2d(channels, affine=affine) if index else nn.Identity()

    def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
        """Map `index + 1` states `[b, channels, h, w]` to a further one."""
        total = self.project(self.operation(states[-1]))
        for skip, state in zip(self.skips, states[:-1], strict=True):
            total = total + skip(state)
        return cast(torch.Tensor, self.norm(total))


class ENASMacro(nn.Module):
    """The network of ENAS's macro space with all its choices.

    Small, for 8×8 grey images: `image=(1, 8, 8), layers=6, channels=8`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        layers: number of layers, at least 3 (published: 12).
        channels: channels of the stem and the layers (published: 36 for the search).
        growth: factor that channels are multiplied by where images are halved (published: 1 for the
            search, 2 for training alone).
        affine: whether batch norm learns a scale and an offset.

    Raises:
        SpaceError: a number is out of range, or the image is too small to be halved twice.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        layers: int = 12,
        channels: int = 36,
        growth: int = 1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        check_positive(image=image, classes=classes, channels=channels, growth=growth)
        check_halvings(image, (2, 2))
        if layers < 3:
            raise SpaceError(f"layers is {layers}, but two halvings between layers need 3")
        self.stem = nn.Sequential(
            nn.Conv2d(image[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.layers = nn.ModuleList()
        self.halvings = nn.ModuleList()
        """By layer, what halves the states before it and its output; empty for most."""
        for index in range(layers):
            self.layers.append(Layer(index, channels, affine))
            halving = nn.ModuleList()
            if index + 1 in (layers // 3, 2 * (layers // 3)):
                for _ in range(index + 2):
                    halving.append(FactorizedReduce(channels, channels * growth, affine=affine))
                channels *= growth
            self.halvings.append(halving)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        states = [self.stem(images)]
        for layer, halving in zip(self.layers, self.halvings, strict=True):
            states.append(layer(states))
            halvings = cast(nn.ModuleList, halving)
            if len(halvings):
                states = [halve(state) for halve, state in zip(halvings, states, strict=True)]
        return cast(torch.Tensor, self.classifier(states[-1].mean((2, 3))))

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the layers and their skip connections."""
        nodes = [Node("0", "stem", "input")]
        edges: list[Edge] = []
        for index in range(len(self.layers)):
            operation, output = f"{index}.operation", str(index + 1)
            nodes.append(Node(operation, str(architecture[f"layer{index}.operation"]), "operation"))
            nodes.append(Node(output, f"layer {index}", "sum"))
            edges += [Edge(str(index), operation), Edge(operation, output)]
            edges += [
                Edge(str(state), output)
                for state in range(index)
                if architecture[f"layer{index}.skip{state}"] == SKIP
            ]
        nodes.append(Node("output", "classes", "output"))
        edges.append(Edge(str(len(self.layers)), "output"))
        return Diagram("The layers and their skip connections", tuple(nodes), tuple(edges))


def operations(channels: int, affine: bool) -> dict[str, nn.Module]:
    """Return the six operations; each begins with a 1×1 convolution, batch norm and ReLU."""

    def after_pointwise(*layers: nn.Module) -> nn.Module:
        return nn.Sequential(*_norm_relu(pointwise(channels, channels), channels, affine), *layers)

    def convolution(kernel: int) -> nn.Module:
        layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        return after_pointwise(*_norm_relu(layer, channels, affine))

    def separable(kernel: int) -> nn.Module:
        padding = kernel // 2
        layer = nn.Conv2d(channels, channels, kernel, 1, padding, groups=channels, bias=False)
        return after_pointwise(layer, *_norm_relu(pointwise(channels, channels), channels, affine))

    return {
        "conv3": convolution(3),
        "sep3": separable(3),
        "conv5": convolution(5),
        "sep5": separable(5),
        "avg3": after_pointwise(pool("avg")),
        "max3": after_pointwise(pool("max")),
    }


def _norm_relu(layer: nn.Module, channels: int, affine: bool) -> tuple[nn.Module, ...]:
    return layer, nn.BatchNorm2d(channels, affine=affine), nn.ReLU()


def _relu_pointwise(channels: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), pointwise(channels, channels))
