"""Do the tests bite? Small faults are put into the code, and the tests are to find them.

    pip install cosmic-ray
    python -m benchmarks.mutation --sample 120

Draws faults of cosmic-ray (another operator, number, comparison, an empty loop, ...) in the rooms
whose results everything else stands on, and runs the quick tests of that room, which end at the
first failure. A fault that changes only annotations or docstrings is not drawn. What is found by
tests of other rooms alone counts as missed, so the share found is a lower bound.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent

TESTS = {
    "space": ["space", "search", "contract/test_contract_spaces.py"],
    "net": ["net", "elastic", "train", "evaluate", "zoo/test_zoo_chain.py"],
    "evaluate": ["evaluate", "net", "parity", "pipeline/test_failed.py"],
    "cost": ["cost", "search", "conversion/test_conversion_counts.py", "contract"],
}
"""By room of `src/supernet` the tests, beneath `tests`, that are to find its faults."""

LONGEST = 400.0
"""Seconds after which a fault counts as found: the tests of a room take a minute or less."""


@dataclass(frozen=True)
class Fault:
    """One change of one file."""

    file: str
    operator: str
    line: int
    code: str

    @property
    def room(self) -> str:
        """Folder of `src/supernet` that the file lies in."""
        return Path(self.file).parts[2]


def main() -> None:
    """Draw faults, run the tests with each, and print what was not found."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--sample", type=int, default=120, help="how many faults, evenly by room")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn")
    parser.add_argument("--workers", type=int, default=2, help="how many are tried at a time")
    options = parser.parse_args()
    draws = random.Random(options.seed)
    drawn = []
    for room in TESTS:
        drawn += faults(room, options.sample // len(TESTS), draws)
    draws.shuffle(drawn)
    found = tried(drawn, options.workers)
    for room in TESTS:
        of_room = [result for fault, result in found if fault.room == room]
        print(f"{room}: {sum(of_room)} of {len(of_room)} found")
    share = sum(result for _, result in found) / len(found)
    error = 1.96 * (share * (1 - share) / len(found)) ** 0.5
    print(f"all: {100 * share:.0f} % ± {100 * error:.0f} of {len(found)} found")


def faults(room: str, count: int, draws: random.Random) -> Iterator[Fault]:
    """Yield so many faults of the files of a room, of those that can change what they do."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    operators = {
        name.split("/")[-1]: get_operator(name)()
        for name in sorted(operator_names())
        if not get_operator(name).arguments()
    }
    faults_at: dict[tuple[Path, tuple[int, int]], list[tuple[str, int]]] = {}
    for path in sorted((ROOT / "src" / "supernet" / room).glob("*.py")):
        nodes = list(ast_nodes(get_ast(path.read_text())))
        for name, operator in operators.items():
            of_file = [place for node in nodes for place in operator.mutation_positions(node)]
            for occurrence, (start, _) in enumerate(of_file):
                faults_at.setdefault((path, start), []).append((name, occurrence))
    # Places first, then one fault there: an operator could be replaced by eleven others.
    places = list(faults_at)
    draws.shuffle(places)
    left = count
    for path, start in places:
        if not left:
            return
        name, occurrence = draws.choice(faults_at[path, start])
        source = path.read_text()
        code = mutate_code(source, operators[name], occurrence)
        if code is not None and does_otherwise(code, source):
            yield Fault(str(path.relative_to(ROOT)), name, start[0], code)
            left -= 1


def does_otherwise(code: str, source: str) -> bool:
    """Return whether a changed file still parses and differs in more than what is only read."""
    try:
        return executed(code) != executed(source)
    except SyntaxError:
        return False


def executed(code: str) -> str:
    """Return what of a file is executed: no annotation, no docstring, no list of names."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [one for one in node.body if not only_read(one)]
    return ast.dump(tree)


def only_read(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring or an import for types."""
    if isinstance(statement, ast.If):
        return isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def tried(drawn: list[Fault], workers: int) -> list[tuple[Fault, bool]]:
    """Return for each fault whether its tests find it; each worker has a copy of the project."""
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        for number in range(workers):
            copies.put(Path(folder) / str(number))
            skipped = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info")
            shutil.copytree(ROOT, Path(folder) / str(number), ignore=skipped)

        def one(fault: Fault) -> tuple[Fault, bool]:
            copy = copies.get()
            try:
                began = time.perf_counter()
                outcome = tests_fail(copy, fault)
                seconds = time.perf_counter() - began
            finally:
                copies.put(copy)
            word = "found " if outcome else "MISSED"
            print(f"{word} {fault.file}:{fault.line} {fault.operator} {seconds:.0f} s", flush=True)
            return fault, outcome

        return list(pool.map(one, drawn))


def tests_fail(copy: Path, fault: Fault) -> bool:
    """Return whether the tests of the room fail, or do not end, with the fault in this copy."""
    file = copy / fault.file
    before = file.read_text()
    tests = [str(Path("tests") / name) for name in TESTS[fault.room]]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(copy / "src"), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    file.write_text(fault.code)
    try:
        run = subprocess.run(
            [*command, "-m", "not slow", *tests],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(before)
    return run.returncode != 0


if __name__ == "__main__":
    main()
