"""Calling what others wrote: models, tasks, data, strategies of users and of libraries they chose.

What such code raises becomes one error of ours that says where it came from: the option and the
module whose forward pass it was, the function with its arguments, and the user's own line. All of that
is in the traceback, so nothing is noted while the code runs, and a call that succeeds costs nothing.

What was raised by this library or by those that it is built on, without any code of others between, is
left as it is: it is a mistake of ours.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

from supernet.errors import CodeError, SupernetError

__all__ = ["calling", "error_place"]

_LIBRARIES = frozenset(
    {
        *("supernet", "torch", "numpy", "scipy", "sklearn", "jsonargparse", "yaml", "rich"),
        *("PIL", "optuna", "onnx", "onnxscript", "onnxruntime"),
    }
)
"""Packages whose lines are none of the user's; those of Python itself are told by their folder."""

_PYTHON = Path(os.__file__).parent

_LONGEST = 300
"""Characters of a message of others that are shown."""


class calling:  # reads as a word: `with calling("..."):`
    """Within the block code of others is called; what it raises is said with its place.

    Too little memory and interruptions pass through, as do errors of ours; `exit()` does not.

    Args:
        what: name of what is done in the block, for the message; a function that says it is called
            only then.
        kind: class of the error.
        always: whether to translate also errors that no code of others took part in.

    Raises:
        SupernetError: of that kind; what was raised is its `__cause__`.
    """

    def __init__(
        self,
        what: str | Callable[[], str],
        kind: type[SupernetError] = CodeError,
        *,
        always: bool = False,
    ) -> None:
        self._what = what
        self._kind = kind
        self._always = always

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception | SystemExit) or isinstance(error, SupernetError):
            return
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return
        frames = list(_frames(trace))
        foreign = any(map(_is_foreign, frames))
        if not foreign and (isinstance(error, SystemExit) or not self._always):
            return
        what = self._what if isinstance(self._what, str) else self._what()
        raise self._kind(f"{what}: {_told(error)}{error_place(error)}") from error


def error_place(error: BaseException) -> str:
    """Return where an error came from, for the end of a message: " in FUNCTION, ...", or nothing."""
    if isinstance(
        error.__cause__, StopIteration
    ):  # which Python replaces where it passes a generator
        error = error.__cause__
    frames = list(_frames(error.__traceback__))
    foreign = [frame for frame in frames if _is_foreign(frame)]
    parts = []
    if foreign:
        line = dict(_lines(error.__traceback__))[foreign[-1]]
        file = foreign[-1].f_code.co_filename
        source = linecache.getline(file, line, foreign[-1].f_globals).strip()
        shown = f" ({source})" if source else ""
        parts.append(f"{_call(foreign[-1].f_code)} at {_relative(file)}:{line}{shown}")
        if foreign[0].f_code is not foreign[-1].f_code:
            parts.append(f"called from {_call(foreign[0].f_code)}")
    parts += _modules(frames)
    return f" in {', '.join(parts)}" if parts else ""


def _told(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"exit({'' if error.code is None else repr(error.code)}) was called"
    if isinstance(error, RecursionError):
        return "RecursionError: calls are nested without an end"
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    """Yield the frames of a traceback, the outermost first."""
    for frame, _ in _lines(trace):
        yield frame


def _lines(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _is_foreign(frame: FrameType) -> bool:
    root = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if not root or root in _LIBRARIES:
        return False
    if root not in sys.stdlib_module_names:
        return True
    file = Path(frame.f_code.co_filename)
    return file.is_absolute() and not file.is_relative_to(_PYTHON)


def _call(code: CodeType) -> str:
    """Return the name of a function with its arguments."""
    found = inspect.getargs(code)
    arguments = [*found.args]
    arguments += [f"*{found.varargs}"] if found.varargs else []
    arguments += [f"**{found.varkw}"] if found.varkw else []
    name = code.co_qualname.replace("<locals>.", "")
    return name if name == "<module>" else f"{name}({', '.join(arguments)})"


def _relative(file: str) -> str:
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _modules(frames: list[FrameType]) -> Iterator[str]:
    """Yield which module was running, and which option of which choice it lies in."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    running: list[Any] = []
    for frame in frames:
        module = frame.f_locals.get("self")
        if isinstance(module, torch.nn.Module) and not any(module is one for one in running):
            running.append(module)
    for outermost in running:  # a loss may be a module too
        root = outermost.model if hasattr(outermost, "choices") else outermost
        names = {id(module): name for name, module in root.named_modules(remove_duplicate=False)}
        if running[-1] is not root and id(running[-1]) in names:
            break
    else:
        return
    yield f"in the module {names[id(running[-1])]} ({type(running[-1]).__name__})"
    labels: Mapping[Any, str] = getattr(outermost, "choices", {})
    for outer, inner in reversed(list(pairwise(running))):
        options = list(getattr(outer, "options", None) or [])
        number = next((i for i, option in enumerate(options) if option is inner), None)
        if number is not None and hasattr(outer, "names"):
            label = labels.get(outer) or outer.label or names.get(id(outer))
            yield f"option {outer.names[number]!r} of the choice {label!r}"
