"""All file operations of a run, an export and a table of latencies, each the last one once.

Called with the name of a campaign, a folder to work in, how many of the moments to try at most, and the
options of the run; prints how many there were, or what went wrong.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from faults import KILLED, attempt, moments, remembered

from conftest import candidates, metrics

EXPECTED = {"kill": KILLED, "full": 1}


def results(folder: Path) -> dict[str, Any]:
    """Return what must be the same after any interruption."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".pt", ".pt2", ".yaml", ".html")
        if path.name != "report.html"  # shows seconds
    }
    files["architecture"] = (folder / "architecture.json").read_bytes()
    return {**files, "candidates": candidates(folder), "metrics": metrics(folder)}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def sampled(found: list[int], most: int) -> list[int]:
    """Return at most so many, spread evenly."""
    return [found[n * len(found) // most] for n in range(most)] if len(found) > most else found


def disturbed(work: Path, command: list[str], at: int, kind: str) -> bool:
    """Run a command that is disturbed; return whether it was, rather than done before."""
    code, printed = attempt(work, command, at=at, kind=kind)
    assert "Traceback" not in printed, printed
    if kind == "full" and code == 0:
        return False  # what failed was optional, as a link that is replaced by a copy
    assert code == EXPECTED[kind], (at, code, printed)
    return True


def finished(work: Path, command: list[str]) -> None:
    code, printed = attempt(work, command)
    assert code == 0, printed


def campaign_run(work: Path, most: int, options: list[str], kind: str) -> int:
    """A run is disturbed and continued; it ends with the same bits and leaves nothing else."""
    whole, out = work / "whole", work / "out"
    warm(whole, options)
    expected, listed = results(whole), names(whole)
    found = moments(out, ["run", "--out", str(out), *options])
    assert results(out) == expected
    for at in sampled(found, most):
        shutil.rmtree(out)
        command = ["run", "--out", str(out), *options]
        disturbed(out, command, at, kind)
        if at % 2:  # and what goes on is disturbed, too
            attempt(out, command, at=at * 7 % 40, kind=kind)
        finished(out, command)
        assert results(out) == expected, at
        assert names(out) == listed, (at, set(names(out)) ^ set(listed))
    return len(found)


def campaign_export(work: Path, most: int, options: list[str], kind: str) -> int:
    """An export that replaces another: the old one or the new one is there, and whole."""
    from supernet.folders import recover

    whole, out = work / "whole", work / "out"
    warm(whole, options)
    to = out / "chosen"

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in to.iterdir()}

    command = ["export", "--run", str(whole), "--to", str(out)]
    finished(out, command)
    new = content()
    old = {**new, "model.onnx": b"of the old one only", "model.pt": b"old"}

    def before() -> None:
        shutil.rmtree(out)
        to.mkdir(parents=True)
        for name, one in old.items():
            (to / name).write_bytes(one)

    before()
    found = moments(out, command)
    for at in sampled(found, most):
        before()
        failed = disturbed(out, command, at, kind)
        recover(out)
        assert content() in (old, new), at
        if kind == "full":
            assert content() == (old if failed else new), at
        finished(out, command)
        assert content() == new, at
        assert names(out) == ["chosen", *(f"chosen/{name}" for name in sorted(new))], at
    return len(found)


def campaign_latency(work: Path, most: int, options: list[str], kind: str) -> int:
    """A table of latencies that replaces another: the old one or a new one is there, and whole."""
    whole, out = work / "whole", work / "out"
    warm(whole, options)
    table = out / "table.json"
    command = ["latency", "--run", str(whole), "--table", str(table), "--repeats=1"]
    finished(out, command)
    old = table.read_bytes()
    found = moments(out, command)
    for at in sampled(found, most):
        table.write_bytes(old)
        disturbed(out, command, at, kind)
        content = table.read_bytes()
        assert content == old or json.loads(content).keys() == json.loads(old).keys()
        finished(out, command)
        assert names(out) == ["table.json"], at
    return len(found)


def campaign_reading(work: Path, most: int, options: list[str], kind: str) -> int:
    """A run that cannot be written is reported and exported elsewhere; nothing is tried in it."""
    whole = work / "whole"
    warm(whole, options)
    (whole / ".supernet-lock").unlink()
    before = [(path, path.stat().st_mtime_ns) for path in sorted(whole.rglob("*"))]
    found = 0
    for command in (
        ["report", "--to", str(work / "page.html")],
        ["export", "--to", str(work / "to")],
        ["export", "--to", str(work / "to"), "--pick", "macs <= 100%"],
    ):
        code, printed = attempt(whole, [*command, "--run", str(whole)], at=0, kind=kind)
        assert code == 0, printed
        found += 1
    code, printed = attempt(whole, ["export", "--run", str(whole)], at=0, kind=kind)
    assert (code, "Traceback" in printed) == (1, False), printed
    assert [(path, path.stat().st_mtime_ns) for path in sorted(whole.rglob("*"))] == before
    return found


def warm(whole: Path, options: list[str]) -> None:
    """Run once in this process, so that everything is loaded and programmes are known."""
    from supernet.cli import main

    for name in ("retrain", "export"):
        # Not as attributes of the package, where functions have the names of their modules.
        module = importlib.import_module(f"supernet.pipeline.{name}")
        module.programs = remembered(module.programs)
    assert main(["run", "--out", str(whole), *options]) == 0
    assert main(["export", "--run", str(whole), "--to", str(whole.with_name("warm"))]) == 0


if __name__ == "__main__":
    kind, what, folder, most, *given = sys.argv[1:]
    campaigns = {
        "run": campaign_run,
        "export": campaign_export,
        "latency": campaign_latency,
        "reading": campaign_reading,
    }
    print(f"moments: {campaigns[what](Path(folder), int(most), given, kind)}")
