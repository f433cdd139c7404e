"""timm, where torchvision cannot be imported.

timm imports torchvision, whose builds on PyPI do not load beside every build of torch. None of what is
used here needs it, so an empty package stands in its place.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

__all__ = ["create_model"]


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Return a model of timm with random weights.

    Raises:
        ImportError: there is no timm.
    """
    if "torchvision" not in sys.modules:
        sys.meta_path.insert(0, _Finder())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other libraries warn of when they are imported
        import timm
    model: nn.Module = timm.create_model(name, **arguments)
    return model


class _Anything(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Empty(types.ModuleType):
    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Anything(name, (), {})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass
