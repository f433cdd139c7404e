"""The building blocks of the report's page; all text that they take is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from supernet.track import charts

__all__ = [
    "code",
    "document",
    "drawing",
    "figure",
    "grid",
    "more",
    "pair",
    "section",
    "table",
    "tile",
    "titled",
]

MADE_BY = '<meta name="generator" content="supernet">'
"""By this a page is known to be ours."""

_STYLE = """
:root{color-scheme:light dark;--page:#fbfcfd;--card:#fff;--ink:#1f2933;--soft:#66717f;
--rule:#e3e8ee;--accent:#3866b8;--mark:#eef3fb;--blue:#4c7bd0;--orange:#c96f12;
--green:#2f8a62;--grey:#8b97a8;--violet:#8e6bbf;--red:#c0504d;--cyan:#2f95a8;
--yellow:#a08a1f;--slate:#6d7785}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1b1f26;--ink:#e4e8ee;
--soft:#97a3b3;--rule:#2d343e;--accent:#86aaf0;--mark:#212b3d;--blue:#6d9bee;--orange:#f0a04b;
--green:#57b98d;--grey:#7d8998;--violet:#b294e0;--red:#e07b78;--cyan:#5fbfd1;
--yellow:#cdb84f;--slate:#98a2b0}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:26px;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:16px;font-weight:650;margin:0 0 4px}
p{margin:0}.soft{color:var(--soft);font-size:13.5px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:20px 24px;margin-top:20px;min-width:0}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 20px}
.uneven{grid-template-columns:minmax(0,2fr) minmax(0,3fr)}.pair>*{min-width:0}
@media(max-width:820px){.pair,.uneven{grid-template-columns:minmax(0,1fr)}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:16px;
margin-top:24px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 20px}
.tile b{display:block;font-size:25px;font-weight:650;line-height:1.3;white-space:nowrap;
font-variant-numeric:tabular-nums}
.tile.main{border-color:var(--accent);background:var(--mark)}.tile.main b{color:var(--accent)}
@media(max-width:600px){main{padding:24px 12px 40px}section{padding:16px 14px}
td+td:not(.n){min-width:9em}}
.scroll{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 14px 7px 0;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:500;font-size:13px}
td.n,th.n{text-align:right;white-space:nowrap}td:last-child,th:last-child{padding-right:0}
tr.chosen td{font-weight:650}tr.chosen td:first-child{color:var(--accent)}
.bar{display:block;height:8px;border-radius:4px;background:var(--accent);min-width:2px}
pre{margin:12px 0 0;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;
overflow-wrap:anywhere}
pre.columns{columns:400px;column-gap:32px}
ul{margin:8px 0 0;padding-left:18px}
.drawing{text-align:center;margin-top:16px}
.verdict{font-size:17px;line-height:1.5;margin-top:16px}.verdict p+p{margin-top:8px}
h1,h2,p,li,summary{overflow-wrap:anywhere}
summary{cursor:pointer;margin-top:16px;color:var(--accent)}
.grid-of{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));
gap:16px 24px;margin-top:16px}
h3{font-size:14px;font-weight:650;margin:0;overflow-wrap:anywhere}
figure{margin:12px auto 0;width:100%;max-width:520px}figcaption{color:var(--soft);font-size:13px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;justify-content:flex-end;font-size:13px;
color:var(--soft);margin-bottom:4px;overflow-wrap:anywhere}
.legend span,.dot{color:var(--c)}
.chart{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}
.chart text{fill:var(--soft);dominant-baseline:central;text-anchor:middle}
.chart .y,.chart .name{text-anchor:end}.chart .side{text-anchor:start}
.chart .grid{stroke:var(--rule);fill:none}
.chart path.line,.chart path.steps{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}
.chart path.points{fill:none;stroke:var(--c);stroke-linecap:round;opacity:.75}
.chart circle{fill:var(--c);opacity:.85}.chart circle:hover{stroke:var(--ink);stroke-width:1.5}
.chart path.dotted{stroke-dasharray:2 3;stroke-width:1.3}
.interval{--c:var(--grey)}.interval.marked{--c:var(--orange)}
.interval path{stroke:var(--c);stroke-width:2}.chart .marked text{fill:var(--ink);font-weight:650}
.chart .middle{stroke:var(--soft);stroke-dasharray:3 3}
"""
_STYLE += "".join(
    f".{colour}{{--c:var(--{colour})}}"
    for colour in ("blue", "orange", "green", "grey", "violet", "red", "cyan", "yellow", "slate")
)
_STYLE += ".dotted{--c:var(--grey)}\n"


def document(title: str, body: str) -> str:
    """Return the whole page, with its styles inside."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'{MADE_BY}<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, body: str, note: str = "") -> str:
    """Return a titled part of the page; `body` is HTML, title and note are text."""
    soft = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{soft}{body}</section>"


def pair(*sections: str, uneven: bool = False) -> str:
    """Return sections side by side, the second wider if uneven; empty ones are left out."""
    shown = [section for section in sections if section]
    kind = "pair uneven" if uneven else "pair"
    return f'<div class="{kind}">{"".join(shown)}</div>' if len(shown) > 1 else "".join(shown)


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
    colours: Mapping[str, str] | None = None,
) -> str:
    """Return a table whose first `text` columns are words and the others numbers.

    Args:
        heads: headings of the columns; empty for none.
        rows: cells of each row.
        text: the number of columns with words.
        marked: the first cell of the row that stands out.
        colours: colours of the dots before cells, by the cell's text.
    """

    def dot(cell: str) -> str:
        colour = (colours or {}).get(cell)
        return f'<span class="dot {colour}">\u25cf</span>&nbsp;' if colour else ""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{'' if i < text else ' class=n'}>{dot(cell)}{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(
        f"<tr{' class=chosen' if row[0] == marked else ''}>{line('td', row)}</tr>" for row in rows
    )
    head = f"<tr>{line('th', heads)}</tr>" if heads else ""
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def figure(name: str, chart: charts.Chart) -> str:
    """Return a figure with its legend above and its note below."""
    listed = {one.name: one.colour for one in chart.series if one.listed}
    marks = {one.name: "\u25cf" if one.kind == "points" else "\u2501" for one in chart.series}
    legend = "".join(
        f'<div><span class="{colour}">{marks[one]}</span> {escape(one)}</div>'
        for one, colour in listed.items()
    )
    legend = f'<div class="legend">{legend}</div>' if len(listed) > 1 else ""
    note = f"<figcaption>{escape(chart.notes)}</figcaption>" if chart.notes else ""
    return f'<figure id="{escape(name)}">{legend}{charts.svg(chart, name)}{note}</figure>'


def drawing(name: str, svg: str) -> str:
    """Return a drawing that is SVG already as a figure."""
    return f'<figure id="{escape(name)}">{svg}</figure>'


def code(text: str) -> str:
    """Return lines of code."""
    return f"<pre>{escape(text)}</pre>"


def titled(title: str, body: str) -> str:
    """Return HTML under a small title."""
    return f"<div><h3>{escape(title)}</h3>{body}</div>"


def grid(parts: Iterable[str]) -> str:
    """Return parts of a page, HTML, in as many columns as there is room for."""
    return f'<div class="grid-of">{"".join(parts)}</div>'


def more(title: str, body: str) -> str:
    """Return a part of the page, HTML, that is shown when its title is pressed."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"
