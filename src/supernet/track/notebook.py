"""What a notebook shows: coloured text in a place of a cell's output that is drawn again and again."""

from __future__ import annotations

import importlib
import io
from typing import Any

from rich.console import Console, RenderableType

__all__ = ["NotebookPlace", "in_notebook", "notebook_html"]

_WIDTH = 110


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook."""
    return Console(stderr=True).is_jupyter


def notebook_html(content: RenderableType) -> tuple[str, str]:
    """Return content as HTML that keeps its columns, and as plain text."""
    # Not of a notebook itself, where the console would show the content besides.
    console = Console(width=_WIDTH, record=True, file=io.StringIO(), force_jupyter=False)
    console.print(content)
    plain = console.export_text(clear=False)
    style = "line-height: 1.15; white-space: pre; overflow-x: auto"
    page = console.export_html(
        code_format=f'<pre style="{style}">{{code}}</pre>', inline_styles=True
    )
    return page, plain


class NotebookPlace:
    """A place in the output of the cell that runs, made when it is first drawn."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, content: RenderableType) -> None:
        """Show content there instead of what was there before."""
        page, plain = notebook_html(content)
        shown = {"text/html": page, "text/plain": plain}
        if self._handle is None:
            display: Any = importlib.import_module("IPython.display").display
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
