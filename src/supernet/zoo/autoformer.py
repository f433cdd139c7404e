"""AutoFormer: a vision transformer whose width, heads, hidden widths and depth are open.

Chen et al., "AutoFormer: Searching Transformers for Visual Recognition" (ICCV 2021). Patches become
tokens, a class token and learned positions are added, and blocks of attention and a hidden layer follow,
each after a layer norm. All tokens have one width; each block has a number of heads, of 64 numbers each
whatever the width, and a ratio of the hidden layer to the width; the first few blocks run. All sizes
are the leading parts of one set of weights ("weight entanglement"). With w widths, h numbers of heads
and r ratios there are w · Σ_depth (h · r)^depth networks, in the supernet-tiny 3 · (4¹² + 4¹³ + 4¹⁴),
about 10⁹.

Different from the published code: no relative positions in the attention; the class token is classified,
where the published commands average the other tokens; queries, keys and values have matrices of their
own, of which each takes the leading rows; the supernet is no wider than its widest network; weights
start as PyTorch starts them, learned tokens as there; the probability of dropping a path rises over a
training to its last value.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from supernet import elastic
from supernet.elastic import ClassToken, Dimension, Positions
from supernet.errors import SpaceError
from supernet.space import Architecture, Diagram
from supernet.zoo.arguments import check_positive
from supernet.zoo.chain import chain
from supernet.zoo.transformer import Block

__all__ = ["AutoFormer"]


class AutoFormer(nn.Module):
    """A vision transformer of open width, heads, hidden widths and depth.

    The defaults are the paper's supernet-tiny. Supernet-small: `widths=(320, 384, 448), heads=(5, 6, 7),
    ratios=(3, 3.5, 4)`. Supernet-base: `widths=(528, 576, 624), heads=(9, 10), ratios=(3, 3.5, 4),
    depths=(14, 15, 16)`. Small, for 8×8 grey images: `image=(1, 8, 8), patch=2, widths=(24, 32, 40),
    heads=(2, 3), head=8, ratios=(1, 2), depths=(2, 3, 4)`. For 32×32: `patch=4`.

    Args:
        image: channels, height and width of the images; pixels beyond the last whole patch are not seen.
        classes: number of classes.
        patch: side of a patch, in pixels.
        widths: widths of the tokens to choose from.
        heads: numbers of heads of a block to choose from.
        ratios: ratios to choose from, the hidden width of a block over its width.
        depths: depths to choose from, in blocks.
        head: width of a head, numbers of each token in it.
        drop_path: probability, at the end of training, that the last block's attention, or its hidden
            layer, is dropped for an image; less for earlier blocks, down to none for the first.

    Raises:
        SpaceError: a number is out of range, or the image is smaller than a patch.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        patch: int = 16,
        widths: tuple[int, ...] = (192, 216, 240),
        heads: tuple[int, ...] = (3, 4),
        ratios: tuple[float, ...] = (3.5, 4),
        depths: tuple[int, ...] = (12, 13, 14),
        head: int = 64,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        check_positive(
            image=image,
            classes=classes,
            patch=patch,
            widths=widths,
            heads=heads,
            depths=depths,
            head=head,
        )
        if min(ratios, default=0) <= 0 or not 0 <= drop_path < 1:
            raise SpaceError(
                f"ratios {ratios} must be positive and some, and drop_path {drop_path} from 0 to below 1"
            )
        if min(image[1:]) < patch:
            raise SpaceError(
                f"images of {image[1]}×{image[2]} are smaller than a patch of {patch}×{patch}; choose a "
                "patch of at most the shorter side"
            )
        width = Dimension("width", widths)
        tokens = (image[1] // patch) * (image[2] // patch)
        self.patches = elastic.Conv2d(image[0], width, patch, stride=patch, padding=0)
        self.token = ClassToken(width)
        self.positions = Positions(1 + tokens, width)
        count = max(depths)
        blocks = [
            Block(
                width,
                f"block{i}",
                heads,
                head,
                ratios,
                drop_path=drop_path * i / max(1, count - 1),
            )
            for i in range(count)
        ]
        self.blocks = elastic.depth(blocks, depths, "depth")
        self.norm = elastic.LayerNorm(width)
        self.classifier = elastic.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to logits `[batch, classes]`."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = self.blocks(self.positions(self.token(x)))
        logits: torch.Tensor = self.classifier(self.norm(x[:, 0]))
        return logits

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of the blocks that run, as heads and ratio."""
        blocks = {"patches": f"patches to {architecture['width']} numbers"}
        for place in range(int(cast(int, architecture["depth"]))):
            heads, ratio = (architecture[f"block{place}.{name}"] for name in ("heads", "ratio"))
            blocks[f"block{place}"] = f"heads {heads}, ratio {ratio}"
        return chain("The blocks", blocks)
