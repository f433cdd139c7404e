"""How deep a sequence of blocks is, as a decision."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from supernet.choice.choice import Choice
from supernet.choice.plain import Skip
from supernet.errors import SpaceError
from supernet.space import Decision, Ordered

__all__ = ["Depth", "depth"]


class Depth(Choice):
    """A block that is there from some depth on: one place in a sequence of elastic depth.

    Args:
        block: block that is there or not.
        place: position of the block in the sequence, from 0.
        values: depths that may be chosen.
        label: label of the decision.
        skip: module in place of the block where it is left out; returns its first input if not
            given.
    """

    def __init__(
        self,
        block: nn.Module,
        place: int,
        values: Sequence[int],
        label: str,
        skip: nn.Module | None = None,
    ) -> None:
        options = {n: block if n > place else skip or Skip() for n in values}
        super().__init__(options, label=label)

    def decision(self, label: str) -> Decision:
        """Return the ordered decision between depths."""
        return Ordered(label, self.names)


def depth(blocks: Sequence[nn.Module], values: Sequence[int], label: str) -> nn.Sequential:
    """Return the blocks in a row, of which only the first few run, as many as the decision says.

    A block's own decisions exist only where it runs. All blocks after the smallest depth must return
    what has the shape of their input.

    Args:
        blocks: blocks in their order, as many as the largest depth.
        values: increasing depths, at least 0.
        label: label of the decision.

    Raises:
        SpaceError: the depths do not increase, or there are not as many blocks as the largest.
    """
    decision = Ordered(label, tuple(values))
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise SpaceError(f"depths are whole numbers from 0, not {list(values)}")
    if decision.options[-1] != len(blocks):
        raise SpaceError(
            f"the depth {label!r} is at most {decision.options[-1]}, but there are {len(blocks)} blocks"
        )
    least = values[0]
    optional = [Depth(block, place, values, label) for place, block in enumerate(blocks)][least:]
    return nn.Sequential(*blocks[:least], *optional)
