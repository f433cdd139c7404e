"""What the documentation says can be done can be done: its code runs, its options and links exist."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import supernet.pipeline
from supernet.cli import main
from supernet.config import help_text
from supernet.data import SOURCES
from supernet.search import SEARCHERS
from supernet.strategies import STRATEGIES
from supernet.zoo import SPACES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [ROOT / "README.md", ROOT / "docs/guide.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
OPTION = re.compile(r"(?<![\w-])--([a-z][\w.]*)")
LINK = re.compile(r"\[[^]]*\]\(([^)]+)\)")

MOST = {
    "train.steps": 4,
    "train.batch_size": 16,
    "few_shot.train.steps": 3,
    "retrain.train.steps": 3,
    "retrain.train.batch_size": 16,
    "split.limit": 150,
}
"""Whatever schedule a page shows, the tests make it as short as this."""

OF_COMMANDS = {"config", "help", "out", "run", "version"}
"""Options that `supernet run --help` lists without a value, or another command has."""


def sections(page: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the title and the blocks (language, content) of each section that has some."""
    for section in re.split(r"^## ", page.read_text(), flags=re.MULTILINE):
        if blocks := BLOCK.findall(section):
            yield section.partition("\n")[0], blocks


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Work in an empty folder that modules are imported from, with short schedules."""
    real = supernet.pipeline.run

    def short(*arguments, options=None, **given):
        options = {**(options or {}), **MOST}
        return real(*arguments, options=options, progress=False, **given)

    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supernet.pipeline, "run", short)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def commands(block: str) -> Iterator[list[str]]:
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["supernet"]:
            yield words[1:]


def shortened(command: list[str]) -> list[str]:
    if command[0] == "latency":
        return [*command, "--repeats", "2"]
    return [*command, *(f"--{name}={value}" for name, value in MOST.items())]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_code_runs(page, workplace, capsys):
    found = [block for _, blocks in sections(page) for block in blocks]
    assert {language for language, _ in found} <= {"python", "sh"}
    assert len(found) == len(re.findall(r"^```\w", page.read_text(), re.MULTILINE)) > 0
    for title, blocks in sections(page):
        namespace = {"__name__": title}
        for language, content in blocks:
            if language == "python" and (name := FILE.match(content)):
                (workplace / name[1]).write_text(content)
            elif language == "python":
                exec(compile(content, f"{page.name}, {title}", "exec"), namespace)
            elif language == "sh":
                for command in commands(content):
                    assert main(shortened(command)) == 0, (command, capsys.readouterr().err)


def known_options() -> set[str]:
    """Return every option of the commands, those of ready and of documented classes included."""
    found = set(OPTION.findall(help_text("supernet run"))) | OF_COMMANDS
    found |= set(OPTION.findall(inspect.getsource(importlib.import_module("supernet.cli"))))
    documented = list(constructors())
    for option, classes in (
        ("model", SPACES),
        ("data", SOURCES),
        ("strategy", STRATEGIES),
        ("search.searcher", SEARCHERS),
        ("task", {}),
    ):
        for path in classes.values():
            module, _, name = path.rpartition(".")
            made = getattr(importlib.import_module(module), name)
            found |= {f"{option}.{argument}" for argument in arguments(made)}
        found |= {f"{option}.{argument}" for argument in documented}
    return found


def arguments(made: type) -> Iterator[str]:
    """Yield the constructor's arguments, and the fields of those that are grouped in a dataclass."""
    hints = typing.get_type_hints(made.__init__)
    for name in inspect.signature(made).parameters:
        yield name
        for kind in (hints[name], *typing.get_args(hints[name])):
            if dataclasses.is_dataclass(kind):
                yield from (f"{name}.{field.name}" for field in dataclasses.fields(kind))


def constructors() -> Iterator[str]:
    """Yield the names of the constructor arguments of the classes in the guide."""
    for _, blocks in sections(ROOT / "docs/guide.md"):
        for language, content in blocks:
            for node in ast.walk(ast.parse(content)) if language == "python" else ():
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    yield from (argument.arg for argument in node.args.args[1:])


def exists(option: str, known: set[str]) -> bool:
    """Return whether it is an option, a whole group of them, or a key of one that is a mapping."""
    option = re.sub(r"\.[A-Z]+$|\.$", "", option).removesuffix(".help")  # NAME stands for any
    mappings = ("data.arguments.", "data.test_arguments.", "retrain.model.")
    group = any(name.startswith(f"{option}.") for name in known)
    return option in known or group or option.startswith(mappings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_exist(page):
    known = known_options()
    text = page.read_text()
    unknown = {option for option in OPTION.findall(text) if not exists(option, known)}
    assert not unknown


def test_an_unknown_option_would_be_found():
    known = known_options()
    assert exists("train.steps", known)
    assert exists("strategy.vanish", known)
    for wrong in ("train.step", "strategy.vanishing", "steps", "search.searcher.counts"):
        assert not exists(wrong, known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            assert heading in anchors(target), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in LINK.findall(page.read_text()):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                waiting.append(target)
    assert {page for page in PAGES if page not in reached} == set()
