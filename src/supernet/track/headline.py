"""The top of the report: what the run is about and came to."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Any

from supernet.track import page
from supernet.track.numbers import score
from supernet.track.result_texts import gain, gain_text
from supernet.track.run_files import RunFiles
from supernet.track.sections import DataRecord, TestRecord
from supernet.track.verdict_texts import believed_text, chosen_text, compared_text

__all__ = ["headline", "size_text"]


def headline(run: RunFiles) -> str:
    """Return title, facts, verdict and the most important figures."""
    data, search = run.metrics.data or DataRecord(), run.metrics.search
    parts = {"train": data.train, "search": data.search, "test": data.test}
    strategy = run.config.get("strategy")
    facts = [
        f"strategy {_name(strategy)}" if strategy else "",
        f"searcher {search.searcher}" if search and search.searcher is not None else "",
        *(f"{count:,} examples to {part}" for part, count in parts.items() if count is not None),
        f"{data.classes} classes" if data.classes else "",
        f"vocabulary of {data.vocabulary:,}" if data.vocabulary else "",
    ]
    facts_text = " · ".join(fact for fact in facts if fact)
    tiles = _test_tiles(run.metrics.test) if run.metrics.test else ""
    if search and search.space_size is not None:
        tiles += page.tile(size_text(search.space_size), "architectures in the space")
    if search:
        failed = f", {search.failed} failed" if search.failed else ""
        tiles += page.tile(f"{search.candidates:,}", f"candidates evaluated{failed}")
    metrics = run.metrics
    said = (
        chosen_text(metrics),
        compared_text(metrics.test),
        believed_text(run.ranking, metrics.retrain),
    )
    verdict = "".join(f"<p>{escape(text)}</p>" for text in said if text)
    return (
        f'<header><h1>{escape(run.title)}</h1><p class="soft">{escape(facts_text)}</p>'
        f'<div class="verdict">{verdict}</div></header>'
        f'<div class="tiles">{tiles}</div>'
    )


def _test_tiles(test: TestRecord) -> str:
    tiles = page.tile(
        score(test.chosen.score, test.figure), "test score, chosen architecture", main=True
    )
    if random := [one.score for one in test.random]:
        names = dict.fromkeys(name for one in random for name in one)
        values = {name: [one.get(name) for one in random] for name in names}
        known = {name: [v for v in each if v is not None] for name, each in values.items()}
        mean = {name: sum(v) / len(v) for name, v in known.items() if len(v) == len(random)}
        many = f"mean of {len(random)} random architectures"
        tiles += page.tile(
            score(mean, test.figure),
            f"test score, {many if len(random) > 1 else 'random architecture'}",
        )
    if test.over_random is not None:
        tiles += page.tile(gain(test.over_random), gain_text(test.over_random, test))
    return tiles


def _name(component: Any) -> str:
    """Return the name of a configured component: a string, or a mapping with a name or class."""
    if isinstance(component, dict):
        component = component.get("name") or component.get("class_path") or "?"
    return str(component).rsplit(".", 1)[-1]


def size_text(text: str) -> str:
    """Return a number of architectures, which may be beyond all floats."""
    if not (text.isascii() and text.isdigit()):
        return text
    if len(text) < 7:
        return f"{int(text):,}"
    mantissa, exponent = f"{Decimal(text):.2e}".split("e+")
    power = exponent.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{power}"
