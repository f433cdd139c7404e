"""What the site does with pages beside MkDocs: links to files outside of `docs` become their names."""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"\[([^]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Return the page without links that would lead out of the site."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[2]))
        return found[1] if target.startswith("..") else found[0]

    return LINK.sub(inside, markdown)
