"""Hooks on modules for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

__all__ = ["hooked", "noting"]


@contextmanager
def hooked(
    modules: Iterable[nn.Module],
    enter: Callable[..., Any] | None = None,
    leave: Callable[[nn.Module, Any, Any], Any] | None = None,
    *,
    first: bool = False,
    named: bool = False,
) -> Iterator[None]:
    """Within the block, call functions before and after each call of the modules.

    Args:
        modules: modules whose calls are followed.
        enter: function that is given the module and its positional arguments before the call; what
            it returns, unless None, takes the place of the arguments.
        leave: function that is given the module, its arguments and its output after a call that
            raised nothing; what it returns, unless None, takes the place of the output.
        first: whether `enter` is called before hooks that the modules have already.
        named: whether `enter` is given the arguments by name too, as a third.
    """
    with ExitStack() as stack:
        for module in modules:
            if enter is not None:
                handle = module.register_forward_pre_hook(enter, prepend=first, with_kwargs=named)
                stack.callback(handle.remove)
            if leave is not None:
                stack.callback(module.register_forward_hook(leave).remove)
        yield


@contextmanager
def noting(model: nn.Module, inside: list[str]) -> Iterator[None]:
    """Note which modules are running, outermost first; what raises stays noted.

    Names belong to hooks, not to modules: a copy of the model that is made within the block, as
    `torch.export` does, notes the same ones.
    """

    def leave(*_: object) -> None:
        inside.pop()

    with ExitStack() as stack:
        for name, module in model.named_modules():
            stack.enter_context(hooked([module], partial(_note, inside, name), leave))
        yield


def _note(inside: list[str], name: str, *_: object) -> None:
    inside.append(name)
