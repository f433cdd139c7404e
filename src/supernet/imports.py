"""Import paths of classes and functions, the same wherever one may be written.

Whoever writes a path into a configuration has code run by whoever opens it, so a path may name only
what makes the thing that is asked for: never what Python itself brings along (`subprocess.call`,
`os.system`, `builtins.eval`), by whatever path it is reached, and of PyTorch and other installed
packages only classes of the right kind and functions that say that they return one. Code of one's own
is free: it is judged by what it returns. See docs/trust.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, get_type_hints

from supernet.errors import ConfigError

__all__ = [
    "check_callable",
    "check_not_pythons",
    "dotted",
    "find_module",
    "is_installed",
    "leave_here",
    "look_here",
    "named_in",
    "resolve",
    "safe_children",
]

_OF_TORCH = ("torch.nn", "torch.optim", "torch.utils.data", "torch._C._nn")
"""Where PyTorch keeps modules, their functions, optimizers and data sets; `torch.hub`, `torch.load`,
`torch.package` and `torch.utils.cpp_extension` run code that they find in files."""

_NOT_OF_TORCH = "torch.utils.data.datapipes"
"""Data sets there call any function with any arguments, and open files."""

_SAFE = "PYTHONSAFEPATH"

_SIGN = r"(?:[a-zA-Z0-9_]|[^\x00-\x7f\s])"
_PATH = re.compile(rf"(?<![a-zA-Z0-9_])(?<![^\x00-\x7f\s]){_SIGN}++(?:[.:]{_SIGN}++)+")
"""More than can be imported: names in Python also hold marks that are no letters."""


def dotted(path: str) -> str:
    """Return `package.module.name` for that, or for `package.module:name`."""
    return path.replace(":", ".")


def resolve(path: str, *kinds: type) -> Any:
    """Return what an import path names, `package.module.name` or `package.module:name`.

    Both are read alike: what follows the longest part that is a module are names in it.

    Args:
        path: import path; its module is looked for in the environment first, then in the working
            directory.
        kinds: classes of which it must be one, or make an object of one; see `check_callable`.

    Raises:
        ConfigError: it cannot be imported, or is not accepted.
    """
    module, _, name = dotted(path).rpartition(".")
    top = module.partition(".")[0]
    try:
        if not module:
            raise ImportError("it names no module")
        if not all(part.isidentifier() for part in dotted(path).split(".")):
            raise ImportError("its parts are no names of Python")
        check_not_pythons(path)
        _import_from_here(top)
        found, inner = _module(module)
        name = f"{inner}{name}"
        for part in name.split("."):
            found = getattr(found, part)
    except ConfigError:
        raise
    except Exception as error:  # importing a user's module may raise anything
        lacks = error.name if isinstance(error, ModuleNotFoundError) else None
        if lacks and not dotted(path).startswith(lacks):
            raise ConfigError(
                f"{path!r} cannot be imported, since it imports {lacks}, which is not installed here; "
                f"install that: {error}"
            ) from error
        raise ConfigError(
            f"{path!r} cannot be imported: {error}. Write package.module.name or package.module:name; "
            "modules are looked for in the environment that supernet is installed in, and then in the "
            f"working directory{_shadowed(top)}"
        ) from error
    check_callable(found, path, *kinds)
    return found


def check_not_pythons(path: str) -> None:
    """Refuse an import path into what Python itself brings along, importing nothing.

    Raises:
        ConfigError: it is one.
    """
    top = dotted(path).partition(".")[0]
    spec = find_module(top) if top in sys.stdlib_module_names else None
    if spec is not None and is_installed(top, spec.origin):
        raise ConfigError(_refusal(path, "Python's own, which nothing may be taken from", top))


def check_callable(found: Any, path: str, *kinds: type, nested: bool = False) -> None:
    """Refuse to use a class or function that is not made for what it would be used for.

    It is judged by where it was defined, however it was reached: `mine:os.system` is Python's.

    Args:
        found: class or function that the path names.
        path: import path, for the message.
        kinds: classes of which a class must be, and what a function of an installed package must
            say that it returns; what one's own function returns is looked at when it has been
            called.
        nested: whether it is an argument, so that what is one's own, and groups of options, may be
            of any kind.

    Raises:
        ConfigError: it is refused.
    """
    made = found
    while isinstance(made, functools.partial):
        made = made.func
    home = getattr(made, "__module__", None) or "builtins"
    if not callable(made):
        raise ConfigError(f"{path!r} is {made!r}, which is no class or function")
    installed = is_installed(home, getattr(sys.modules.get(home), "__file__", None))
    top = home.partition(".")[0]
    if installed and (top in sys.stdlib_module_names or top == "builtins"):
        raise ConfigError(_refusal(path, "Python's own, which nothing may be taken from", home))
    accepted = any(f"{home}.".startswith(f"{one}.") for one in _OF_TORCH)
    if top == "torch" and (not accepted or f"{home}.".startswith(f"{_NOT_OF_TORCH}.")):
        only = f"PyTorch's, of which only what lies in {', '.join(_OF_TORCH[:3])} may be named"
        only += ", without datapipes"
        raise ConfigError(_refusal(path, only, home))
    options = top == "supernet" and dataclasses.is_dataclass(made)
    if not kinds or (nested and (options or not installed)):
        return
    wanted = " or ".join(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    if inspect.isclass(made):
        if not issubclass(made, kinds):
            raise ConfigError(f"{path!r} is a class, but none of the kind that is needed: {wanted}")
    elif installed and not _returns(made, kinds):
        raise ConfigError(
            f"{path!r} is a function of the package {top} that does not say that it returns a {wanted}; "
            "write a function of your own that calls it, and name that one"
        )


def _refusal(path: str, whose: str, home: str) -> str:
    return (
        f"{path!r} is not used: it is {whose} (it was defined in {home}). Name a class or function of "
        "your own that makes what is asked for; a module of yours with that name needs another"
    )


def _returns(function: Any, kinds: tuple[type, ...]) -> bool:
    try:
        returned = get_type_hints(function).get("return")
    except Exception:  # annotations may name what is not there
        returned = None
    return isinstance(returned, type) and issubclass(returned, kinds)


def _module(path: str) -> tuple[Any, str]:
    """Return a module, or the one that `path` is within, and what of the path follows it, with a dot."""
    try:
        return importlib.import_module(path), ""
    except ModuleNotFoundError as error:
        outer, dot, last = path.rpartition(".")
        if not dot or error.name != path:
            raise
        found, inner = _module(outer)
        return found, f"{inner}{last}."


def _import_from_here(top: str) -> None:
    """Put the working directory at the end of the path, if a module is nowhere else.

    There it hides nothing that is installed, such as a `numpy.py` would.
    """
    there = _elsewhere(top)
    if (there is None or there.origin is None) and not {"", *_here()} & set(sys.path):
        sys.path += _here()
        importlib.invalidate_caches()


def _here() -> list[str]:
    """Return the working directory, or nothing where it was deleted."""
    try:
        return [os.getcwd()]
    except OSError:
        return []


def leave_here() -> None:
    """Take the working directory off the path, where `python -m` and empty entries put it.

    So a `random.py` that lies there hides nothing, and commands that only read run nothing.
    """
    here = [os.path.realpath(one) for one in _here() if not _is_environment(one)]
    sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) not in here]


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Keep Python processes that are started meanwhile from importing from the working directory.

    The parser of options asks one for its path, as `python -c "import json; ..."`.
    """
    before = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE]
        if before is not None:
            os.environ[_SAFE] = before


def _elsewhere(top: str) -> ModuleSpec | None:
    """Return where a top-level module is without the working directory, or None."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a stand-in without a specification, or no name at all
        module = sys.modules.get(top)
        return None if module is None else ModuleSpec(top, None, origin="built-in")


def find_module(name: str) -> ModuleSpec | None:
    """Return where a module or package is, in the environment or the working directory, or None.

    Nothing is imported; of `a.b.c` the last part that is a module is returned.
    """
    top, *parts = name.split(".")
    spec = _elsewhere(top)
    if spec is None or spec.origin is None:  # a folder without code may have parts here, too
        spec = PathFinder.find_spec(top, [*sys.path, *_here()])
    for part in parts:
        within = None if spec is None else spec.submodule_search_locations
        inner = None if within is None else PathFinder.find_spec(part, list(within))
        if inner is None:
            break
        spec = inner
    # A folder without code of its own has no origin, and nothing but the modules in it.
    return spec if spec is not None and spec.origin else None


def named_in(text: str) -> Iterator[str]:
    """Yield the import paths in a text that lead to a module outside supernet, PyTorch and Python.

    Nothing is imported.
    """
    for found in map(dotted, _PATH.findall(text)):
        top = found.partition(".")[0]
        spec = find_module(found)
        pythons = top in sys.stdlib_module_names and spec and is_installed(top, spec.origin)
        # Of supernet, PyTorch and Python `check_callable` lets little through, and nothing harmful.
        if spec is not None and top not in ("supernet", "torch") and not pythons:
            yield found


def look_here(paths: Iterable[str]) -> None:
    """Let import paths name modules in the working directory, those that are nowhere else."""
    for path in paths:
        _import_from_here(path.partition(".")[0])


def _shadowed(top: str) -> str:
    """Return a remark where a module in the working directory is hidden by an installed one."""
    here = PathFinder.find_spec(top, _here()) if top else None
    there = _elsewhere(top) if top else None
    if here is None or there is None or here.origin == there.origin or here.origin is None:
        return ""
    return f"; {here.origin} is hidden by the installed {top} and needs another name"


def is_installed(module: str, file: str | None) -> bool:
    """Return whether a module is Python's, torch's, supernet's or lies where packages are installed."""
    top = module.partition(".")[0]
    if top in ("supernet", "torch"):
        return True
    if (
        top in sys.stdlib_module_names or top == "builtins"
    ):  # unless a file of the user's has that name
        known = file is None or not os.path.isabs(file)  # "built-in" and "frozen" are no files
        return known or any(
            Path(str(file)).is_relative_to(sysconfig.get_path(name))
            for name in ("stdlib", "platstdlib")
        )
    return file is not None and _is_environment(file)


def _is_environment(path: str) -> bool:
    """Return whether a path lies where packages are installed."""
    return bool({"site-packages", "dist-packages"} & set(Path(path).parts))
