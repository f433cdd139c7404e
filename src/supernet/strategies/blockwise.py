"""Blocks that learn from the blocks of a trained network, each by itself.

* Li et al., "Block-wisely Supervised Neural Architecture Search with Knowledge Distillation" (DNA, CVPR
  2020),
* Molchanov et al., "LANA: Latency Aware Network Acceleration" (ECCV 2022),
* Bercovich et al., "Puzzle: Distillation-Based NAS for Inference-Optimized LLMs" (ICML 2025).

The network that others are replacements in, the largest, or of a converted model the model as it was
given, is kept as it is before training, and runs once in every step; what goes into each of its blocks
and comes out is kept. Then an architecture is drawn for each block, which runs alone on what went into
it. With its output y and what the trained network's block returned, t, the block learns by Puzzle's
normalised error,

    L = mean((y - t)²) / mean(t²),

of tensors in tuples and the like the sum. No gradient passes from one block to another, so all learn at
once, and a combination of blocks is good as far as each is. Labels are not looked at, and what lies
outside of blocks does not learn.

Narrower layers use parts of the weights of the largest ones, and would draw them away. So in every step
each block also learns in its largest form, by the same error, as the sandwich rule has it. With `freeze`
weights that the largest network uses do not learn at all: what does are operations that stand beside its
own, as in Puzzle.

Candidates are scored by the supernet's weights as they are; the chosen network is trained further.

Differences: DNA gives each block of a supernet the teacher's input, draws paths as here and searches
block by block; LANA and Puzzle train each alternative alone, for as many steps as the others, and share
no weights between them; here they are drawn. DNA and LANA do not divide the error by mean(t²), but DNA
by the variance of t. Nothing is dropped (dropout, dropped paths), so that a block's target is a function
of its input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from supernet.choice.plain import Part
from supernet.cost.reference import reference
from supernet.errors import ConfigError
from supernet.modules.hooks import hooked
from supernet.modules.nested import mapped, tensors
from supernet.net import SuperNet, derive
from supernet.net.batchnorm import batch_statistics
from supernet.precision import autocast_of
from supernet.ranks import agreed
from supernet.space import Architecture, Decision, Value
from supernet.strategies.base import Strategy, TrainingContext
from supernet.strategies.blocks import Blocks, find_blocks
from supernet.strategies.undropped import dropping, undropped
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["Blockwise"]


class Blockwise(Strategy):
    """Each block learns from the trained network's, on what went into that.

    Args:
        blocks: patterns of names of modules that are blocks, such as "layers.*"; without any, choices,
            and the members of sequences that hold all that a width or another number depends on.
        freeze: whether all weights that the largest network uses stay as they are.

    Raises:
        ConfigError: a pattern is no text.
    """

    adds = True
    of_task: ClassVar[bool] = False

    def __init__(self, blocks: Sequence[str] = (), freeze: bool = False) -> None:
        if isinstance(blocks, str) or not all(isinstance(one, str) for one in blocks):
            raise ConfigError(
                f"blocks are a list of patterns of names such as ['layers.*'], not {blocks!r}"
            )
        self.blocks = tuple(blocks)
        self.freeze = freeze
        self._kept_error: torch.Tensor | None = None

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Find the blocks, and keep the largest network as it is.

        Raises:
            ConfigError: there is no block with a decision, or nothing in it that may learn.
        """
        self._found: Blocks = find_blocks(supernet, self.blocks)
        self._largest = reference(supernet.space, setting.costs)
        self._random = dropping(supernet)
        self._resting = _used(supernet, self._largest) if self.freeze else []
        learning = (p for block in self._found.names for p in block.parameters())
        if self.freeze and set(learning) <= set(self._resting):
            raise ConfigError(
                "strategy.freeze leaves nothing that can learn: all weights in blocks are also the "
                "largest network's, of which narrower layers are parts; give --strategy.freeze false, "
                "or other operations beside its own (supernet.conversion.Operations)"
            )
        self._teacher = derive(supernet, self._largest).eval().requires_grad_(False)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of all blocks, as they are drawn and, unless it is frozen, as the largest.

        Returns:
            The mean over blocks of the sum of their errors.

        Raises:
            ConfigError: the task runs none of the blocks.
        """
        names = self._found.names
        with (
            torch.no_grad(),
            batch_statistics(self._teacher),  # as the blocks have them while they learn
            _followed(_alike(names, self._teacher)) as calls,
        ):
            task.loss(self._teacher, batch)
        if not calls:
            raise ConfigError(
                f"the loss of {type(task).__name__} runs none of the blocks "
                f"{', '.join(names.values())}; name others by strategy.blocks, or use another strategy"
            )
        routes = [self._drawn(model, moment), *([] if self.freeze else [self._largest])]
        errors = list[torch.Tensor]()
        with undropped(self._random), _at_rest(self._resting):
            for route in routes:
                with model.route(route):
                    errors.append(torch.stack([backward(one.error()) for one in calls]).sum())
        found: torch.Tensor = agreed(torch.stack(errors)) / len(names)
        self._kept_error = None if self.freeze else found[1]
        return found.sum()

    def metrics(self) -> dict[str, float]:
        """Return the mean error of the blocks in their largest form, in the last step."""
        return {} if self._kept_error is None else {"largest_error": float(self._kept_error)}

    def warnings(self) -> list[str]:
        """Say which decisions no block holds."""
        outside = self._found.outside
        if not outside:
            return []
        shown = ", ".join(outside[:6]) + (", ..." if len(outside) > 6 else "")
        return [
            f"{len(outside)} decisions lie in no block ({shown}): smaller answers to them were not "
            "trained, since they change what other blocks see; leave them out of the space, name "
            "larger blocks by strategy.blocks, or use sandwich"
        ]

    def _drawn(self, model: SuperNet, moment: Moment) -> Architecture:
        """Return the architecture of this step: drawn within blocks, the largest one's elsewhere."""
        random = moment.stream("blockwise")

        def answer(decision: Decision) -> Value:
            options = self._found.options.get(decision.label)
            if options is None:
                return self._largest[decision.label]
            if len(options) < len(decision.options):
                return random.choice(options)
            return decision.sample(random)

        return model.space.build(answer)


@dataclass(frozen=True)
class _Call:
    """A call of a block of the trained network.

    Attributes:
        name: name of the block.
        block: block that learns from it.
        given: arguments by place.
        named: arguments by name.
        autocast: makes the block of code in which it computes in the same types.
        returned: tensors of floats that were returned.
    """

    name: str
    block: nn.Module
    given: tuple[Any, ...]
    named: Mapping[str, Any]
    autocast: Any
    returned: list[torch.Tensor] = field(default_factory=list)

    def error(self) -> torch.Tensor:
        """Run the block as the route says, and return how far it is from what was returned, a scalar.

        Raises:
            ConfigError: it returns tensors of other shapes.
        """
        given, named = mapped(torch.clone, self.given), mapped(torch.clone, self.named)
        with self.autocast():
            outputs = list(_floats(self.block(*given, **named)))
        shapes = [[list(one.shape) for one in some] for some in (outputs, self.returned)]
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"the block {self.name!r} returns {shapes[0]} of a smaller answer, but {shapes[1]} in "
                "the largest network, so it cannot be trained alone; name a larger one by "
                "strategy.blocks, or use another strategy"
            )
        errors = [
            (_whole(y) - t).square().mean() / _size(t)
            for y, t in zip(outputs, self.returned, strict=True)
        ]
        return torch.stack(errors).sum()


def _alike(
    blocks: Mapping[nn.Module, str], teacher: nn.Module
) -> dict[nn.Module, tuple[str, nn.Module]]:
    """Return the blocks of the trained network, with their names and the blocks that learn from them."""
    modules = dict(teacher.named_modules(remove_duplicate=False))
    return {modules[name]: (name, one) for one, name in blocks.items() if name in modules}


def _size(target: torch.Tensor) -> torch.Tensor:
    """Return the mean square of a target over all ranks; 1 of zeros, which cannot be divided by."""
    found = agreed(target.square().mean())
    return torch.where(found > 0, found, torch.ones_like(found))


def _whole(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 where it is of half the size."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def _floats(value: Any) -> Iterator[torch.Tensor]:
    return (one for one in tensors(value) if one.is_floating_point())


def _kept(value: torch.Tensor) -> torch.Tensor:
    """Return a copy: what runs next may change a tensor in place."""
    return value.detach().clone()


@contextmanager
def _followed(blocks: Mapping[nn.Module, tuple[str, nn.Module]]) -> Iterator[list[_Call]]:
    """Within the block of code, keep what goes into the blocks of the model, and what comes out."""
    calls, running = list[_Call](), list[_Call]()

    def enter(block: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        autocast = autocast_of(next(tensors([given, named])).device)
        kept = mapped(_kept, given), mapped(_kept, dict(named))
        running.append(_Call(*blocks[block], *kept, autocast))

    def leave(block: nn.Module, given: object, returned: Any) -> None:
        call = running.pop()
        call.returned.extend(_whole(_kept(one)) for one in _floats(returned))
        calls.append(call)

    with hooked(blocks, enter, leave, named=True):
        yield calls


def _used(supernet: SuperNet, architecture: Architecture) -> list[nn.Parameter]:
    """Return the parameters that an architecture uses."""
    chosen = {
        (label, option)
        for label, value in architecture.items()
        for option in (value if isinstance(value, tuple) else (value,))
    }
    used = (
        parameter
        for module, paths in supernet.held()
        if any(chosen.issuperset(path) for path in paths)
        for parameter in module.parameters(recurse=isinstance(module, Part))
    )
    return list(dict.fromkeys(used))


@contextmanager
def _at_rest(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within the block of code these parameters have no gradients."""
    before = [one.requires_grad for one in parameters]
    try:
        for one in parameters:
            one.requires_grad_(False)
        yield
    finally:
        for one, required in zip(parameters, before, strict=True):
            one.requires_grad_(required)
