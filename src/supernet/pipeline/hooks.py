"""The one hook, `log(record, step)`: whoever asked for the records of a run is given each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from supernet.errors import CodeError
from supernet.files import REPEAT, read_json, write_json
from supernet.loggers import Hook, Logger
from supernet.track import RunFolder
from supernet.track.sections import RetrainRecord, Section, TestRecord
from supernet.user_code import calling

__all__ = ["Hooks", "result_records"]


class Hooks:
    """Who is given the records of a run: a function of the user, a logger, both or none.

    A hook that raises ends nothing: no result depends on it, a long training is worth more than one of
    its curves, and the run folder has all of it anyway. What it raised is said once, with its place; it
    is called on, since the next record may be one that it can take, and in the end the number of those
    that it missed is said. An interruption (`KeyboardInterrupt`) passes, so a hook can stop the run,
    which the same call continues. What a logger raises when it is started ends the run: then nothing is
    lost yet.

    Args:
        on_record: function that is given the records.
        say: function that prints a line.
    """

    def __init__(
        self, on_record: Hook | None = None, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self._hooks: dict[str, Hook] = {} if on_record is None else {"on_record": on_record}
        self._missed: dict[str, int] = {}
        self._say = say

    def tell(self, record: Mapping[str, Any]) -> None:
        """Give a record to every hook."""
        for name, hook in self._hooks.items():
            where = f"{name}, at step {record['step']} of {record['stage']}"
            try:
                with calling(where, always=True):
                    hook(dict(record), record["step"])
            except Exception as error:
                self._missed[name] = self._missed.get(name, 0) + 1
                if self._missed[name] == 1:
                    self._say(f"warning: {_said(error, where)}. The run goes on; this is said once")

    @contextmanager
    def logging(
        self, logger: Logger | None, folder: RunFolder, options: Mapping[str, Any]
    ) -> Iterator[None]:
        """Within the block the logger is one of the hooks; afterwards, say what any of them missed.

        Raises:
            ConfigError: the logger needs a package that is not installed.
            CodeError: it raised something else when it was started.
        """
        name = f"the logger {type(logger).__name__}"
        if logger is not None:
            _start(name, logger, folder, options)
            self._hooks = {name: logger.log, **self._hooks}  # first, if a function interrupts
        failed = True
        try:
            yield
            failed = False
        finally:
            if logger is not None:
                self._close(name, logger, failed)
            for one, count in self._missed.items():
                self._say(f"warning: {one} raised at {count:,} records, which it may lack")

    def _close(self, name: str, logger: Logger, failed: bool) -> None:
        del self._hooks[name]
        try:
            with calling(f"closing {name}", always=True):
                logger.close(failed=failed)
        except Exception as error:
            said = _said(error, f"closing {name}")
            self._say(f"warning: {said}. It may lack the last records")


def _said(error: Exception, where: str) -> str:
    """Return an error with its place; `calling` lets some pass as they are."""
    return str(error) if isinstance(error, CodeError) else f"{where}: {_name(error)}"


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Known(TypedDict):
    """Content of `logger.json`."""

    logger: dict[str, Any]
    run: str


def _start(name: str, logger: Logger, folder: RunFolder, options: Mapping[str, Any]) -> None:
    """Start a logger, which goes on where it was, unless it had other options then."""
    file: Path = folder.logger
    known = read_json(file, _Known, REPEAT) if file.exists() else None
    same = known is not None and known["logger"] == options["logger"]
    before = known["run"] if known is not None and same else None
    with calling(f"starting {name}", always=True):
        run = logger.start(folder.logs, options, before)
    if run is not None and run != before:
        write_json(file, {"logger": options["logger"], "run": run})


def result_records(section: Section | None) -> Iterator[dict[str, Any]]:
    """Yield what hooks are given of the results of a step: retrained networks, test figures."""
    if isinstance(section, RetrainRecord):
        for number, row in enumerate(section.candidates, 1):
            yield {"stage": "retrained", "step": number, **dict(_flat(row.to_json()))}
    if isinstance(section, TestRecord):
        yield {"stage": "test", "step": 1, **dict(_flat(section.to_json()))}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what nested objects and lists hold, by dotted names."""
    if isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
