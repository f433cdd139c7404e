"""The command line; commands are loaded when they are called, so that help does not wait for PyTorch."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import supernet
from supernet.errors import SupernetError

__all__ = ["main"]

_STEPS = {
    "run": "all steps: train, search, retrain, test, report; resumes the folder when it exists",
    "train": "train the shared weights (and split the supernet, with --few_shot.decision)",
    "search": "score candidates with the shared weights",
    "retrain": "train the best candidates and a random one from scratch, and choose",
    "test": "read the test split, once, for the chosen network",
    "report": "write report.html from the files of the run",
}

_DEFAULT_OUT = "runs/default"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong input, 1 anything else."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    command, rest = (given[0], given[1:]) if given else ("", [])
    try:
        if command in _STEPS:
            _steps(command, rest)
        elif command == "latency":
            _latency(rest)
        elif command == "zoo":
            _zoo(rest)
        else:
            parser.parse_args(given)
            parser.print_help()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        shown = command not in (*_STEPS, "latency") or {"-h", "--help"} & set(rest)
        return 0 if shown else 1
    except SupernetError as error:
        print(f"supernet {command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            f"supernet {command}: interrupted; the same command continues where the last checkpoint is",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="supernet",
        description="One-shot neural architecture search on PyTorch.",
        epilog="'supernet COMMAND --help' explains the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"supernet {supernet.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, text in _STEPS.items():
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser(
        "latency",
        help="measure the latency of every option on this device, into a table of costs",
        add_help=False,
    )
    commands.add_parser(
        "zoo", help="list spaces, strategies, searchers and data sets", add_help=False
    )
    return parser


def _folder(command: str, arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Take the run folder, `--out` or `--run`, out of the arguments."""
    parser = argparse.ArgumentParser(prog=f"supernet {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("--out", "--run", dest="out", type=Path, default=Path(_DEFAULT_OUT))
    known, rest = parser.parse_known_args(arguments)
    return known.out, rest


def _steps(command: str, arguments: Sequence[str]) -> None:
    from supernet.arguments import import_from_here
    from supernet.config import help_text, parse
    from supernet.pipeline import STEPS, execute, open_run
    from supernet.track import print_table, result_table

    program = f"supernet {command}"
    import_from_here()
    if {"-h", "--help"} & set(arguments):
        print(f"{program}: {_STEPS[command]}\n")
        print(f"--out DIR, --run DIR: the run folder (default: {_DEFAULT_OUT})\n")
        print(help_text(program))
        return
    if any(argument.partition("=")[0].endswith(".help") for argument in arguments):
        parse(program, arguments)
    out, rest = _folder(command, arguments)
    if command not in ("run", "train") and not (out / "config.yaml").exists():
        from supernet.errors import RunFolderError

        raise RunFolderError(f"{out} is no run folder; start with: supernet run --out {out}")
    if command == "report":
        _report(out, rest)
        return
    with open_run(rest, out, program=program) as opened:
        steps = {"run": list(STEPS), "train": ["train", "few_shot"]}
        execute(opened, steps.get(command, [command]))
        metrics = opened.folder.metrics
    if "retrain" in metrics:
        print_table(result_table(metrics))
    if command == "run":
        print(f"report: {out / 'report.html'}")


def _latency(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="supernet latency",
        description="Measure the latency of every option of a model on this device. The table is used "
        "with --search.costs '[TABLE]' in constraints, such as 'latency_ms <= 3.5', and objectives.",
        epilog="All options of 'supernet run' name the model, the data (for the shape of the inputs) "
        "and the device.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", "--run", dest="out", type=Path, default=Path(_DEFAULT_OUT))
    parser.add_argument(
        "--table", type=Path, help="the file (default: latency.json in the run folder)"
    )
    parser.add_argument("--batch_size", type=int, default=1, help="examples per forward pass")
    parser.add_argument("--precision", default="float32", help="float32, bfloat16, ...")
    parser.add_argument("--repeats", type=int, default=50, help="measurements of each option")
    given, rest = parser.parse_known_args(arguments)

    from supernet.arguments import import_from_here
    from supernet.pipeline import measure_latency, open_run, settings
    from supernet.track import latency_text

    import_from_here()
    path = given.table or given.out / "latency.json"
    with (
        open_run(rest, given.out, program="supernet latency", look=True) as opened,
        settings(opened),
    ):
        table = measure_latency(
            opened,
            path,
            batch_size=given.batch_size,
            precision=given.precision,
            repeats=given.repeats,
        )
    print(latency_text(table.content))
    print(f"table: {path}")


def _report(out: Path, options: Sequence[str]) -> None:
    """Write the report from the files alone, whatever made them."""
    from supernet.errors import ConfigError
    from supernet.files import read_json
    from supernet.track import print_table, result_table, write_report

    if options:
        raise ConfigError(f"the report takes no options, but got {' '.join(options)}")
    path = write_report(out)
    metrics = read_json(out / "metrics.json") if (out / "metrics.json").exists() else {}
    if "retrain" in metrics:
        print_table(result_table(metrics))
    print(f"report: {path}")


def _zoo(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="supernet zoo", description="List spaces, strategies, searchers and data sets."
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    as_json = parser.parse_args(arguments).json

    from supernet.registry import catalogue

    entries = catalogue()
    if as_json:
        import json

        print(json.dumps(entries, indent=2))
        return
    width = max(len(name) for group in entries.values() for name in group)
    for kind, group in entries.items():
        print(f"{kind}:")
        for name, entry in group.items():
            print(f"  {name:<{width}}  {entry['summary']}")
