"""Models that take their inputs by name."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["NamedInputs"]


class NamedInputs(nn.Module):
    """A model whose inputs have names, for those who give them in order: conversion, tasks, costs.

    Args:
        model: model that is called with each input by its name.
        names: names of the inputs, in the order in which they are given.
        options: further arguments of every call, for instance `use_cache=False`.
    """

    def __init__(self, model: nn.Module, *names: str, **options: Any) -> None:
        super().__init__()
        self.model, self.names, self.options = model, names, options

    def forward(self, *inputs: Any) -> Any:
        """Call the model.

        Raises:
            ValueError: there are not as many inputs as names.
        """
        return self.model(**dict(zip(self.names, inputs, strict=True)), **self.options)
