"""The building blocks of the report's page; all text that they take is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

__all__ = ["document", "figure", "pair", "section", "table", "tile"]

MADE_BY = '<meta name="generator" content="supernet">'
"""By this a page is known to be ours."""

_STYLE = """
:root{color-scheme:light dark;--page:#fbfcfd;--card:#fff;--ink:#1f2933;--soft:#66717f;
--rule:#e3e8ee;--accent:#3866b8;--mark:#eef3fb}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1b1f26;--ink:#e4e8ee;
--soft:#97a3b3;--rule:#2d343e;--accent:#86aaf0;--mark:#212b3d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:26px;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:16px;font-weight:650;margin:0 0 4px}
p{margin:0}.soft{color:var(--soft);font-size:13.5px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:20px 24px;margin-top:20px;min-width:0}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:0 20px}
@media(max-width:820px){.pair{grid-template-columns:1fr}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:16px;
margin-top:24px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 20px}
.tile b{display:block;font-size:25px;font-weight:650;line-height:1.3;white-space:nowrap;
font-variant-numeric:tabular-nums}
.tile.main{border-color:var(--accent);background:var(--mark)}.tile.main b{color:var(--accent)}
.scroll{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 14px 7px 0;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:500;font-size:13px}
td.n,th.n{text-align:right;white-space:nowrap}td:last-child,th:last-child{padding-right:0}
tr.chosen td{font-weight:650}tr.chosen td:first-child{color:var(--accent)}
.bar{display:block;height:8px;border-radius:4px;background:var(--accent);min-width:2px}
pre{margin:12px 0 0;font:13px/1.5 ui-monospace,monospace;columns:400px;column-gap:32px;
white-space:pre-wrap;overflow-wrap:anywhere}
ul{margin:8px 0 0;padding-left:18px}
.drawing{text-align:center;margin-top:16px}
.js-plotly-plot .xtick text,.js-plotly-plot .ytick text,.js-plotly-plot .y2tick text,
.js-plotly-plot .legendtext,.js-plotly-plot .infolayer>g>text{fill:var(--soft)!important}
"""


def document(title: str, body: str) -> str:
    """Return the whole page, with styles and the script that draws figures inside."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'{MADE_BY}<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main></body></html>\n"
    )


def section(title: str, body: str, note: str = "") -> str:
    """Return a titled part of the page; `body` is HTML, title and note are text."""
    soft = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{soft}{body}</section>"


def pair(*sections: str) -> str:
    """Return sections side by side; empty ones are left out."""
    shown = [section for section in sections if section]
    return f'<div class="pair">{"".join(shown)}</div>' if len(shown) > 1 else "".join(shown)


def tile(value: str, label: str, *, main: bool = False) -> str:
    """Return a large figure with what it means."""
    kind = "tile main" if main else "tile"
    return (
        f'<div class="{kind}"><b>{escape(value)}</b><span class="soft">{escape(label)}</span></div>'
    )


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text: int = 1,
    marked: str | None = None,
) -> str:
    """Return a table whose first `text` columns are words and the others numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{'' if i < text else ' class=n'}>{escape(str(cell))}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(
        f"<tr{' class=chosen' if row[0] == marked else ''}>{line('td', row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{line("th", heads)}</tr>{body}</table></div>'


def figure(name: str, figure: go.Figure) -> str:
    """Return a figure, without the script that draws it."""
    # Plotly writes <, > and / in its JSON as \\u escapes: no label can close the script element.
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"displaylogo": False, "displayModeBar": False, "responsive": True},
        )
    )
