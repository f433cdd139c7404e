"""The commands that do steps of a run, and the one that writes its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from supernet.commands.base import (
    DEFAULT_OUT,
    HELPS,
    JSON,
    JSON_HELP,
    TRUST,
    TRUST_HELP,
    Answer,
    Command,
    alone,
    check_folder,
)
from supernet.errors import ConfigError
from supernet.option_lines import option_lines
from supernet.reading import shown
from supernet.terminal import Arguments, file_path, whole_number

__all__ = ["STEPS"]


def _step_parser(program: str) -> Arguments:
    parser = Arguments(program, add_help=False)
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(DEFAULT_OUT))
    parser.add_argument(TRUST, action="store_true")
    return parser


def _profiled_parser(program: str) -> Arguments:
    parser = _step_parser(program)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--profile.trace", dest="trace", type=whole_number(1, 1000), default=0)
    if program.endswith((" run", " train")):
        parser.add_argument("--overwrite", action="store_true")
    else:
        parser.set_defaults(overwrite=False)
    return parser


def _explain_step(command: Command, everything: bool) -> None:
    own = {
        "--out DIR, --run DIR": f"the run folder (default: {DEFAULT_OUT})",
        TRUST: TRUST_HELP,
        "--profile": "say where time and memory went, in a table and in profile.json",
        "--profile.trace N": "and trace N training steps, into trace.json for Perfetto",
        JSON: JSON_HELP,
    }
    if command.name in ("run", "train"):
        own["--overwrite"] = "begin anew, and delete what a run left in the folder"
    if everything:
        from supernet.option_help import all_options

        options = all_options(command.name)
    else:
        own["--config FILE"] = (
            "a YAML file of options, or a name of 'supernet configs'; may be given several times"
        )
        options = (HELPS / f"{command.name}.txt").read_text(encoding="utf-8")
    print(f"{command.program}: {command.help}\n")
    print(f"usage: {command.program} [--config FILE] [--OPTION VALUE ...]\n\nThe call:")
    print("\n".join(option_lines(own.items())), options, sep="\n\n")


def _explain_report(command: Command, everything: bool) -> None:
    print(f"{command.program}: {command.help}\n")
    print(f"--out DIR, --run DIR: the run folder (default: {DEFAULT_OUT})\n")
    print("--to FILE: where the page is written (default: report.html in the run folder)\n")
    print(f"{JSON}: {JSON_HELP}\n")


def _steps(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer | None:
    if any(argument.partition("=")[0].endswith(".help") for argument in rest):
        from supernet.parser import parse

        parse(command.program, rest)
    goes_on = command.name not in ("run", "train")
    if goes_on and alone():  # before PyTorch is loaded
        check_folder(given.out)
    from supernet.pipeline import STEPS, Profiler, as_rank, execute, open_run
    from supernet.ranks import rank
    from supernet.track import print_table, profile_tables, result_table

    profiler = Profiler(given.trace) if given.profile or given.trace else None
    with as_rank(given.out, [command.name, *rest]) as out:
        if goes_on:
            check_folder(out, given.out)
        with open_run(
            rest,
            out,
            program=command.program,
            trust=given.trust,
            profiler=profiler,
            anew=given.overwrite,
            progress=None if rank() == 0 else False,
        ) as opened:
            steps = {"run": list(STEPS), "train": ["train", "few_shot"]}
            execute(opened, steps.get(command.name, [command.name]))
            metrics = opened.run.folder.metrics
        first = rank() == 0
    if not first:
        return None
    report = out / "report.html" if command.name == "run" else None

    def show() -> None:
        if metrics.retrain is not None:
            print_table(result_table(metrics))
        for table in profile_tables(profiler.record) if profiler else ():
            print_table(table)
        if report is not None:
            print(f"report: {report}")

    content = {
        "folder": str(out),
        "report": None if report is None else str(report),
        "metrics": metrics.to_json(),
        "profile": None if profiler is None else profiler.record.to_json(),
    }
    return Answer(content, show)


def _report_parser(program: str) -> Arguments:
    parser = _step_parser(program)
    parser.add_argument("--to", type=file_path)
    return parser


def _report(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    """Write the report from the files alone, whatever made them."""
    check_folder(given.out)
    from supernet.track import RunFiles, print_table, result_table, write_report

    if rest:
        raise ConfigError(f"the report takes no options but --to, but got {shown(' '.join(rest))}")
    path, read = write_report(given.out, given.to), RunFiles.read(given.out)
    for note in read.notes:
        print(f"warning: {note}", file=sys.stderr)

    def show() -> None:
        if read.metrics.retrain is not None:
            print_table(result_table(read.metrics))
        print(f"report: {path}")

    content = {
        "folder": str(given.out),
        "report": str(path),
        "metrics": read.metrics.to_json(),
        "warnings": list(read.notes),
    }
    return Answer(content, show)


STEPS = (
    *(
        Command(name, text, _profiled_parser, _steps, explain=_explain_step, ranks=True)
        for name, text in {
            "run": "all steps: train, search, retrain, test, report; resumes the folder when it exists",
            "train": "train the shared weights (and split the supernet, with --few_shot.decision)",
            "search": "score candidates with the shared weights",
            "retrain": "train the best candidates and a random one by themselves, and choose",
            "test": "read the test split, once, for the chosen network",
        }.items()
    ),
    Command(
        "report",
        "write report.html from the files of the run",
        _report_parser,
        _report,
        explain=_explain_report,
    ),
)
"""The commands, in the order of a run."""
