"""The code blocks of a page of the documentation, and how they are run.

The conventions (also in `docs/architecture.md`):

* A block has a language. `python`, `sh`, `yaml` and `json` are run or read, `text` is not.
* A comment on the line before a block says how it is taken: `<!-- fragment: WHY -->` does not run,
  `<!-- slow -->` runs with the slow tests, `<!-- file: NAME -->` is written to a file of that name.
* `<!-- files of: PAGE PAGE -->` anywhere in a page: the files that these pages save are there.
* Blocks of a page run from top to bottom in one empty folder and share their names.
* A comment that is a value, after an expression or after `print(...)`, is what it must be.
"""

from __future__ import annotations

import ast
import json
import math
import re
import shlex
import sys
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType

from supernet.classes import TRAININGS
from supernet.cli import main
from supernet.parser import parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^ *```(.*)$")
REMARK = re.compile(r"^ *<!-- (fragment|slow|file)(?:: (.+))? -->$")
FILES_OF = re.compile(r"^<!-- files of: (.+) -->$", re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")

LANGUAGES = {"python", "sh", "yaml", "json", "text"}

MOST = {
    "train.steps": 4,
    "train.batch_size": 16,
    "few_shot.train.steps": 3,
    "retrain.train.steps": 3,
    "retrain.train.batch_size": 16,
    "split.limit": 150,
}
"""Whatever schedule a page shows, the tests make it as short as this."""

FEW_EPOCHS = 0.2


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line, `remark` the word of the comment before it."""

    language: str
    content: str
    line: int
    remark: str = ""
    argument: str = ""


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page.

    Raises:
        ValueError: a block does not end.
    """
    lines = text.splitlines(keepends=True)
    start: int | None = None
    language = ""
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if start is None:
            start, language = number, fence[1].strip()
            continue
        remark = REMARK.match(lines[start - 1].rstrip("\n")) if start else None
        words = (remark[1], remark[2] or "") if remark else ()
        yield Block(language, "".join(lines[start + 1 : number]), start + 2, *words)
        start = None
    if start is not None:
        raise ValueError(f"the block of line {start + 1} does not end")


def write_files(text: str) -> None:
    """Write the files that other pages save, which a page names, into the present folder."""
    for named in FILES_OF.findall(text):
        for page in named.split():
            for block in blocks((ROOT / "docs" / page).read_text()):
                file = FILE.match(block.content) if block.language == "python" else None
                if file:
                    Path(file[1]).write_text(block.content)


def run_blocks(page: str, found: Sequence[Block]) -> None:
    """Run the blocks of a page in the present folder, from top to bottom.

    Raises:
        AssertionError: a command fails, or a result is not what a comment says.
    """
    # A module of that name, since options may be looked for among the classes of all modules.
    module = ModuleType(re.sub(r"\W", "_", f"page {page}"))
    sys.modules[module.__name__] = module
    names: dict[str, object] = vars(module)
    for block in found:
        if block.remark == "fragment":
            continue
        source = f"{page}, line {block.line}"
        file = FILE.match(block.content) if block.language == "python" else None
        if block.remark == "file" or file:
            Path(block.argument or file[1]).write_text(block.content)
        if block.language == "python" and not file:
            run_python(block, source, names)
        elif block.language == "sh":
            for command in commands(block.content):
                assert main(shortened(command)) == 0, (source, command)
        elif block.language == "yaml":
            config = Path("block.yaml")
            config.write_text(block.content)
            parse("supernet run", ["--config", str(config)])
        elif block.language == "json":
            json.loads(block.content)


def run_python(block: Block, source: str, names: dict[str, object]) -> None:
    """Run statement by statement and compare values with the comments that state them.

    Raises:
        AssertionError: a value is another than stated.
    """
    stated = dict(comments(block.content))
    for statement in ast.parse(block.content).body:
        ast.increment_lineno(statement, block.line - 1)
        expected = stated.get((statement.end_lineno or 0) - block.line + 1)
        if not isinstance(statement, ast.Expr) or expected is None:
            exec(compile(ast.Module([statement], []), source, "exec"), names)
            continue
        value = eval(compile(ast.Expression(shown(statement.value)), source, "eval"), names)
        assert same(value, expected[0]), f"{source}: {value!r} is not {expected[0]!r} as stated"


def comments(code: str) -> Iterator[tuple[int, tuple[object]]]:
    """Yield the line and the value of each comment that is a value, with `5,120` read as a number."""
    for token in tokenize.generate_tokens(StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", token.string.removeprefix("#").strip())
            try:
                yield token.start[0], (ast.literal_eval(text),)
            except (ValueError, SyntaxError):  # it is a sentence
                continue


def shown(expression: ast.expr) -> ast.expr:
    """Return what `print` is given (a tuple if that is several), or the expression itself."""
    match expression:
        case ast.Call(func=ast.Name(id="print"), args=[one], keywords=[]):
            return one
        case ast.Call(func=ast.Name(id="print"), args=several, keywords=[]):
            return ast.copy_location(ast.Tuple(several, ast.Load()), expression)
    return expression


def same(value: object, stated: object) -> bool:
    """Return whether a value is the stated one; floats, to the digits that are written."""
    numbers = all(isinstance(one, int | float) for one in (value, stated))
    if numbers and bool not in (type(value), type(stated)) and isinstance(value, float):
        digits = len(str(stated).partition(".")[2])
        return math.isclose(round(value, digits), stated, rel_tol=1e-9)
    if isinstance(stated, tuple) and isinstance(value, tuple):
        return len(stated) == len(value) and all(map(same, value, stated))
    if isinstance(stated, dict) and isinstance(value, dict):
        return stated.keys() == value.keys() and all(same(value[k], stated[k]) for k in stated)
    return type(value) is type(stated) and value == stated


def commands(content: str) -> Iterator[list[str]]:
    """Yield the words after `supernet` of each of its commands; of `make`, check the target.

    Raises:
        AssertionError: another command is there, or a target that the Makefile lacks.
    """
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in content.replace("\\\n", " ").splitlines():
        match shlex.split(line, comments=True):
            case ["supernet", *words]:
                yield words
            case ["make", target]:
                assert target in targets, line
            case words:
                assert not words, f"{line!r} is not a command of supernet or make"


def shortened(command: list[str]) -> list[str]:
    """Return a command with short schedules."""
    if command[0] == "latency":
        return [*command, "--repeats", "2"]
    if command[0] != "run":
        return command
    return [*command, *(f"--{name}={value}" for name, value in MOST.items())]


def short(real: Callable[..., object]) -> Callable[..., object]:
    """Return `supernet.run` with short schedules."""

    def run(
        *arguments: object, options: dict[str, object] | None = None, **given: object
    ) -> object:
        asked = options or {}
        few = {f"{name}.epochs" for name in TRAININGS} & set(asked)
        steps = {
            name: one for name, one in MOST.items() if name.replace("steps", "epochs") not in few
        }
        short = {**asked, **steps, **dict.fromkeys(few, FEW_EPOCHS)}
        return real(*arguments, options=short, progress=False, **given)

    return run
