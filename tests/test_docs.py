"""What the documentation says can be done can be done: its code runs, its options and links exist."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import functools
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import timm_models

import supernet.pipeline
from doc_pages import LANGUAGES, PAGES, ROOT, blocks, run_blocks, short, write_files
from supernet.data import SOURCES
from supernet.loggers import LOGGERS
from supernet.parser import help_text
from supernet.search import SEARCHERS
from supernet.strategies import STRATEGIES
from supernet.task import TASKS
from supernet.training_free import COMBINED, TRAINING_FREE
from supernet.zoo import SPACES

BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--([a-z][\w.]*)")
LINK = re.compile(r"\[[^]]*\]\(([^)]+)\)")

OF_COMMANDS = {"config", "help", "out", "run", "version"}
"""Options that `supernet run --help` lists without a value, or another command has."""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Work in an empty folder that modules are imported from, with short schedules."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supernet.pipeline, "run", short(supernet.pipeline.run))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


LONG = {"guide.md", "CONTRIBUTING.md"}
"""Pages that take long, with slow blocks too."""


def with_blocks(slow):
    """Return the pages whose blocks the test runs; the slow test runs pages with slow blocks whole."""
    found = {page: list(blocks(page.read_text())) for page in PAGES}
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page, its in found.items()
        if its and (any(block.remark == "slow" for block in its) if slow else page.name not in LONG)
    ]


@pytest.mark.slow_with(
    "docs/architecture.md",
    "docs/conversion.md",
    "README.md",
    "docs/costs.md",
    "docs/data.md",
    "docs/evaluation.md",
    "docs/fidelity.md",
)
@pytest.mark.parametrize("page", with_blocks(slow=False))
def test_code_runs(page, workplace):
    text = page.read_text()
    found = [block for block in blocks(text) if block.remark != "slow"]
    write_files(text)
    run_blocks(page.name, found)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks(slow=True))
def test_all_code_runs(page, workplace):
    try:
        timm_models.create_model("resnet10t")  # imports timm, also where it lacks torchvision
    except ImportError as error:
        pytest.skip(f"timm cannot be imported: {error}")
    text = page.read_text()
    write_files(text)
    run_blocks(page.name, list(blocks(text)))


@pytest.mark.parametrize("page", with_blocks(slow=False))
def test_blocks_have_a_language_and_fragments_a_reason(page):
    for block in blocks(page.read_text()):
        assert block.language in LANGUAGES, f"{page.name}, line {block.line}"
        if block.remark in {"fragment", "file"}:
            assert block.argument, f"{page.name}, line {block.line}"


def python(code):
    """Run a block of code as a page would."""
    run_blocks("page", list(blocks(f"# Page\n```python\n{code}\n```\n")))


def test_stated_results_are_compared(workplace):
    python("print(7680)  # 7,680\n1 / 3  # 0.333\nprint(2 > 1, 'a')  # True, 'a'\n2  # a number")
    for wrong in ("print(7680)  # 5,120", "1 / 3  # 0.334", "print(1 > 2)  # True", "1  # '1'"):
        with pytest.raises(AssertionError, match="as stated"):
            python(wrong)


def test_blocks_share_names_and_fragments_do_not_run(workplace):
    page = (
        "```python\nx = 1\n```\n"
        "<!-- fragment: WHY -->\n```python\nno_such_name\n```\n"
        "```python\nx  # 1\n```\n"
    )
    found = list(blocks(page))
    assert [(block.line, block.remark, block.argument) for block in found] == [
        (2, "", ""),
        (6, "fragment", "WHY"),
        (9, "", ""),
    ]
    run_blocks("page", found)
    with pytest.raises(NameError):
        python("no_such_name")
    with pytest.raises(ValueError, match="line 1 does not end"):
        list(blocks("```python\nx\n"))


@pytest.mark.parametrize("wrong", ["make nonsense", "rm file"])
def test_only_known_commands_are_shown(wrong, workplace):
    with pytest.raises(AssertionError):
        run_blocks("page", list(blocks(f"```sh\n{wrong}\n```\n")))


EXAMPLES = [
    file.relative_to(ROOT / "src").with_suffix("")
    for file in sorted((ROOT / "src").rglob("*.py"))
    if re.search(r"^ *>>> ", file.read_text(), re.MULTILINE)
]
"""Modules whose docstrings show examples."""


@pytest.mark.parametrize("module", EXAMPLES, ids=str)
def test_examples_of_docstrings(module):
    result = doctest.testmod(importlib.import_module(".".join(module.parts)))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "names",
    [SPACES, STRATEGIES, SEARCHERS, SOURCES, LOGGERS, [*TRAINING_FREE, *COMBINED]],
    ids=["spaces", "strategies", "searchers", "data", "loggers", "scores"],
)
def test_the_readme_names_all_that_is_registered(names):
    readme = (ROOT / "README.md").read_text()
    assert [name for name in names if f"`{name}`" not in readme] == []


@functools.cache
def known_options() -> set[str]:
    """Return every option of the commands, those of ready and of documented classes included."""
    found = set(OPTION.findall(help_text("supernet run"))) | OF_COMMANDS
    for file in (ROOT / "src/supernet/commands").glob("*.py"):
        found |= set(OPTION.findall(file.read_text()))
    documented = list(constructors())
    for option, classes in (
        ("model", SPACES),
        ("data", SOURCES),
        ("strategy", STRATEGIES),
        ("search.searcher", SEARCHERS),
        ("logger", LOGGERS),
        ("task", TASKS),
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
    for block in blocks((ROOT / "docs/guide.md").read_text()):
        for node in ast.walk(ast.parse(block.content)) if block.language == "python" else ():
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
    # Of `torchrun` and `srun` are the options before `-m supernet`.
    text = re.sub(r"(torchrun|srun|#SBATCH) .*?(-m supernet|`|$)", "", page.read_text(), flags=re.M)
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


@pytest.mark.parametrize(
    "page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=lambda page: str(page.relative_to(ROOT))
)
def test_prose_is_broken_at_120_characters(page):
    prose = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), page.read_text()).splitlines()
    long = [
        n for n, line in enumerate(prose, 1) if len(line) > 120 and line.lstrip()[0] not in "|<"
    ]
    assert not long, f"lines of {page.name}; end lines at sentences, and at 120 characters"


def test_words_of_the_glossary_are_defined_where_it_says():
    page = (ROOT / "docs/architecture.md").read_text()
    glossary = page[page.index("## Glossary") :].partition("\n## ")[0]
    modules = re.findall(r"\| `([\w/]+\.py)` \|$", glossary, re.MULTILINE)
    assert modules
    assert [m for m in modules if not (ROOT / "src/supernet" / m).exists()] == []


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
