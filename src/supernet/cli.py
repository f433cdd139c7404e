"""The command line; commands are loaded when they are called, so that help does not wait for PyTorch."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import supernet
from supernet.errors import ConfigError, SupernetError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.imports import leave_here
from supernet.names import meant
from supernet.reading import shown
from supernet.terminal import (
    Arguments,
    complain,
    file_path,
    mapping,
    number,
    several,
    usable_streams,
    whole,
)

__all__ = ["main"]

_STEPS = {
    "run": "all steps: train, search, retrain, test, report; resumes the folder when it exists",
    "train": "train the shared weights (and split the supernet, with --few_shot.decision)",
    "search": "score candidates with the shared weights",
    "retrain": "train the best candidates and a random one by themselves, and choose",
    "test": "read the test split, once, for the chosen network",
    "report": "write report.html from the files of the run",
}

_COMMANDS = {
    **_STEPS,
    "latency": "measure latencies on this device, into a table of costs",
    "export": "write the best candidates within bounds as files that run without supernet",
    "doctor": "say what of a model is open, why something is not, and what its networks cost",
    "zoo": "list spaces, strategies, searchers and data sets",
}

_DEFAULT_OUT = "runs/default"

_TRUST = "--trust"
_TRUST_HELP = "run code that a folder or configuration of another origin names"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong input, 1 anything else."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # called by a shell
        leave_here()
    command, rest = (given[0], given[1:]) if given else ("", [])
    said = f"supernet {command}" if command in _COMMANDS else "supernet"
    with usable_streams():
        try:
            with machine_errors("this command", MORE_MEMORY):
                _run(command, rest)
            sys.stdout.flush()
        except SystemExit as end:  # of a parser that has shown its help
            return end.code if isinstance(end.code, int) else 0
        except BrokenPipeError:  # whoever read the output has read enough
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            works = command in _COMMANDS and command != "zoo"
            return 1 if works and not {"-h", "--help"} & set(rest) else 0
        except SupernetError as error:
            complain(f"{said}: {error}")
            return error.exit_code
        except OSError as error:  # such as of a full disk that the output is sent to
            complain(f"{said}: {error}")
            return 1
        except KeyboardInterrupt:
            complain(
                f"{said}: interrupted; the same command continues where the last checkpoint is"
            )
            return 1
    return 0


def _run(command: str, rest: Sequence[str]) -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the working directory cannot be used: {error.strerror}; change to another one"
        ) from error
    if command in _STEPS:
        _steps(command, rest)
    elif command in _COMMANDS:
        {"latency": _latency, "export": _export, "doctor": _doctor, "zoo": _zoo}[command](rest)
    elif not command or command.startswith("-"):
        parser = _parser()
        parser.parse_args([command, *rest] if command else [])
        parser.print_help()
    else:
        raise ConfigError(
            f"there is no command {shown(command)}{meant(command, _COMMANDS)}; possible: "
            f"{', '.join(_COMMANDS)} (see supernet --help)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        "supernet",
        description="One-shot neural architecture search on PyTorch.",
        epilog="'supernet COMMAND --help' explains the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"supernet {supernet.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=argparse.ArgumentParser)
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _folder(command: str, arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Take the run folder, `--out` or `--run`, out of the arguments."""
    parser = Arguments(f"supernet {command}", add_help=False)
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(_DEFAULT_OUT))
    known, rest = parser.parse_known_args(arguments)
    return known.out, rest


def _steps(command: str, arguments: Sequence[str]) -> None:
    from supernet.parser import help_text, parse
    from supernet.pipeline import STEPS, execute, open_run
    from supernet.track import print_table, result_table

    program = f"supernet {command}"
    if {"-h", "--help"} & set(arguments):
        print(f"{program}: {_STEPS[command]}\n")
        print(f"--out DIR, --run DIR: the run folder (default: {_DEFAULT_OUT})\n")
        if command == "report":
            print("--to FILE: where the page is written (default: report.html in the run folder)\n")
            return
        print(f"{_TRUST}: {_TRUST_HELP}\n")
        print(help_text(program))
        return
    if any(argument.partition("=")[0].endswith(".help") for argument in arguments):
        parse(program, arguments)
    trust, arguments = _trust(arguments)
    out, rest = _folder(command, arguments)
    if command not in ("run", "train"):
        _check_folder(out)
    if command == "report":
        _report(out, rest)
        return
    with open_run(rest, out, program=program, trust=trust) as opened:
        steps = {"run": list(STEPS), "train": ["train", "few_shot"]}
        execute(opened, steps.get(command, [command]))
        metrics = opened.run.folder.metrics
    if "retrain" in metrics:
        print_table(result_table(metrics))
    if command == "run":
        print(f"report: {out / 'report.html'}")


def _trust(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Take `--trust` out of the arguments."""
    return _TRUST in arguments, [one for one in arguments if one != _TRUST]


def _check_folder(out: Path) -> None:
    if not (out / "config.yaml").exists():
        from supernet.errors import RunFolderError

        raise RunFolderError(f"{out} is no run folder; start with: supernet run --out {out}")


def _export(arguments: Sequence[str]) -> None:
    parser = Arguments(
        "supernet export",
        description="Write networks that a search found as files that run without supernet. Weights are "
        "the supernet's, or those of the run's retraining where they are better on the search split.",
        epilog="Options of 'supernet run', such as --device or --search.costs (a table of latencies), "
        "are used without changing the folder.",
    )
    parser.add_argument("--run", "--out", dest="out", type=file_path, default=Path(_DEFAULT_OUT))
    parser.add_argument(
        "--pick",
        action="append",
        default=[],
        metavar="BOUNDS",
        help="the best candidate within bounds, such as 'latency_ms <= 3 and params <= 50%%'; may be "
        "given several times (default: the chosen network of the run)",
    )
    parser.add_argument("--onnx", action="store_true", help="write model.onnx too")
    parser.add_argument(
        "--to",
        type=file_path,
        help="where the folders are made (default: exports in the run folder)",
    )
    parser.add_argument(_TRUST, action="store_true", help=_TRUST_HELP)
    given, rest = parser.parse_known_args(arguments)

    from supernet.pipeline import check_identity, export_networks, open_run, settings
    from supernet.track import export_table, print_table

    _check_folder(given.out)
    program = "supernet export"
    with (
        open_run(rest, given.out, program=program, write=False, trust=given.trust) as opened,
        settings(opened.run),
    ):
        check_identity(opened, read_only=True)
        exported = export_networks(opened, given.pick, onnx=given.onnx, to=given.to)
    print_table(export_table([one.content for one in exported]))
    for one in exported:
        print(f"{one.name}: {one.folder}")
    if (left_out := len(set(given.pick)) - len(exported)) > 0:
        from supernet.errors import NoNetworkError

        raise NoNetworkError(
            f"{left_out} of {len(set(given.pick))} networks were not exported, for the reasons above; "
            "the others are whole"
        )


def _doctor(arguments: Sequence[str]) -> None:
    import json

    sizes = several(whole(1, 10**6))
    parser = Arguments(
        "supernet doctor",
        description="Say what of a model is open, why something is not, how many architectures there "
        "are, and what they cost. A model without choices is converted for that.",
    )
    parser.add_argument(
        "model", help="a space of 'supernet zoo', or a class or function as package.module:name"
    )
    parser.add_argument("--arguments", type=mapping, default={}, help="of the model, as JSON")
    parser.add_argument(
        "--shape", type=sizes, default=(3, 32, 32), help="of one example (default: 3,32,32)"
    )
    parser.add_argument(
        "--words", type=whole(1), help="examples are tokens below this number, not images"
    )
    parser.add_argument(
        "--classes", type=whole(1), default=10, help="given to the model if it takes them"
    )
    parser.add_argument(
        "--constraint", action="append", default=[], help="such as 'macs <= 5e6'; several times"
    )
    parser.add_argument("--widths", type=several(number), default=(0.25, 0.5, 0.75, 1.0))
    parser.add_argument("--multiple", type=whole(1), default=8, help="widths are multiples of it")
    parser.add_argument("--inner", action="store_true", help="sizes of heads are open too")
    parser.add_argument(
        "--depth", type=number, default=0.5, help="smallest part of a row of blocks"
    )
    parser.add_argument("--kernels", type=sizes, default=(), help="for depthwise convolutions")
    parser.add_argument(
        "--keep", action="append", default=[], help="pattern of modules that stay; several times"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    given = parser.parse_args(arguments)

    from supernet.pipeline import diagnose_named, doctor_text
    from supernet.track import doctor_table, print_table

    options = {
        name: value
        for name, value in vars(given).items()
        if name in ("widths", "multiple", "inner", "depth", "kernels", "keep")
    }
    with machine_errors("the model", f"Give smaller examples with --shape. {MORE_MEMORY}"):
        found = diagnose_named(
            given.model,
            given.arguments,
            given.shape,
            words=given.words,
            classes=given.classes,
            constraints=given.constraint,
            **options,
        )
    if given.json:
        print(json.dumps(found.to_json(), indent=2))
        return
    print_table(doctor_table(found.rows_as_text()))
    print(doctor_text(found))


def _latency(arguments: Sequence[str]) -> None:
    parser = Arguments(
        "supernet latency",
        description="Measure the latency of every option of a model on this device, or of whole "
        "networks where numbers are open, such as widths. The table is used "
        "with --search.costs '[TABLE]' in constraints, such as 'latency_ms <= 3.5', and objectives.",
        epilog="All options of 'supernet run' name the model, the data (for the shape of the inputs) "
        "and the device.",
    )
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(_DEFAULT_OUT))
    parser.add_argument(
        "--table", type=file_path, help="the file (default: latency.json in the run folder)"
    )
    parser.add_argument(
        "--batch_size", type=whole(1, 10**6), default=1, help="examples per forward pass"
    )
    parser.add_argument("--precision", default="float32", help="float32, bfloat16, ...")
    parser.add_argument(
        "--repeats", type=whole(1, 10**6), default=50, help="measurements of each option"
    )
    parser.add_argument(_TRUST, action="store_true", help=_TRUST_HELP)
    given, rest = parser.parse_known_args(arguments)

    from supernet.pipeline import measure_latency, open_run, settings
    from supernet.track import latency_text

    path = given.table or given.out / "latency.json"
    with (
        open_run(
            rest, given.out, program="supernet latency", read_only=True, trust=given.trust
        ) as opened,
        settings(opened.run),
    ):
        table = measure_latency(
            opened.run,
            opened.inputs,
            path,
            batch_size=given.batch_size,
            precision=given.precision,
            repeats=given.repeats,
        )
    print(latency_text(table.content))
    print(f"table: {path}")


def _report(out: Path, options: Sequence[str]) -> None:
    """Write the report from the files alone, whatever made them."""
    parser = Arguments("supernet report", add_help=False)
    parser.add_argument("--to", type=file_path)
    given, options = parser.parse_known_args(options)

    from supernet.track import RunFiles, print_table, result_table, write_report

    if options:
        raise ConfigError(
            f"the report takes no options but --to, but got {shown(' '.join(options))}"
        )
    path, read = write_report(out, given.to), RunFiles.read(out)
    for note in read.notes:
        print(f"warning: {note}", file=sys.stderr)
    if "retrain" in read.metrics:
        print_table(result_table(read.metrics))
    print(f"report: {path}")


def _zoo(arguments: Sequence[str]) -> None:
    parser = Arguments(
        "supernet zoo", description="List spaces, strategies, searchers and data sets."
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    as_json = parser.parse_args(arguments).json

    from supernet.catalogue import catalogue

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
