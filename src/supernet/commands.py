"""The commands, in a table; what they need is loaded when they run, so that help waits for nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supernet.errors import ConfigError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.reading import shown
from supernet.suggestions import did_you_mean
from supernet.terminal import Arguments, file_path, mapping, number, several, whole_number

__all__ = ["COMMANDS", "Command"]

_DEFAULT_OUT = "runs/default"

_TRUST = "--trust"
_TRUST_HELP = "run code that a folder or configuration of another origin names"


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: name by which the command is called.
        help: one line that says what it does.
        parser: makes the parser of its own arguments, of a name for messages.
        act: does it; is given the command, its own arguments, and those that its parser leaves.
        leaves: whether its parser leaves arguments that it does not know, which are options of a run.
        explain: prints its help, where the parser does not; is told whether everything is asked for.
        works: whether it does more than print, so that a broken pipe is a failure.
        ranks: whether several processes that `torchrun` started do it together.
    """

    name: str
    help: str
    parser: Callable[[str], Arguments]
    act: Callable[[Command, argparse.Namespace, list[str]], None]
    leaves: bool = True
    explain: Callable[[Command, bool], None] | None = None
    works: bool = True
    ranks: bool = False

    @property
    def program(self) -> str:
        """What its messages begin with."""
        return f"supernet {self.name}"

    def run(self, arguments: Sequence[str]) -> None:
        """Do what the arguments after its name ask for."""
        if self.explain is not None and {"-h", "--help"} & set(arguments):
            self.explain(self, "all" in arguments)
            return
        if not self.ranks:
            _check_alone(self)
        parser = self.parser(self.program)
        if not self.leaves:
            self.act(self, parser.parse_args(arguments), [])
            return
        given, rest = parser.parse_known_args(arguments)
        _check_names(parser, rest)
        self.act(self, given, rest)


def _check_names(parser: Arguments, rest: Sequence[str]) -> None:
    """Check that options without a dot are those of a run, and say which of all was meant.

    Args:
        parser: parser of the command's own arguments.
        rest: what it left.

    Raises:
        ConfigError: one is not.
    """
    given = [name for one in rest if "." not in (name := one.partition("=")[0])]
    options = [name for name in given if name.startswith("--")]
    if not options:
        return
    from supernet.parser import OPTIONS

    possible = [f"--{name}" for name in OPTIONS]
    for name in options:
        if name not in possible:
            own = [one for one in parser.names if one != "--help"]
            raise ConfigError(
                f"there is no option {shown(name)}{did_you_mean(name, [*own, *possible])} "
                f"(see {parser.prog} --help)"
            )


def _check_alone(command: Command) -> None:
    """Check that a command is not given to several processes that it would not know of each other.

    Raises:
        ConfigError: `torchrun` started several.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            "this is done by one process, and torchrun started "
            f"{os.environ['WORLD_SIZE']}; run it without torchrun. Several can do: "
            f"{', '.join(name for name, one in COMMANDS.items() if one.ranks)}"
        )


def _step_parser(program: str) -> Arguments:
    parser = Arguments(program, add_help=False)
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(_DEFAULT_OUT))
    parser.add_argument(_TRUST, action="store_true")
    return parser


def _profiled_parser(program: str) -> Arguments:
    parser = _step_parser(program)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--profile.trace", dest="trace", type=whole_number(1, 1000), default=0)
    return parser


def _explain_step(command: Command, everything: bool) -> None:
    from supernet.option_help import run_help

    own = {
        "--out DIR, --run DIR": f"the run folder (default: {_DEFAULT_OUT})",
        _TRUST: _TRUST_HELP,
        "--profile": "say where time and memory went, in a table and in profile.json",
        "--profile.trace N": "and trace N training steps, into trace.json for Perfetto",
    }
    print(f"{command.program}: {command.help}\n")
    print(run_help(command.name, own, everything))


def _explain_report(command: Command, everything: bool) -> None:
    print(f"{command.program}: {command.help}\n")
    print(f"--out DIR, --run DIR: the run folder (default: {_DEFAULT_OUT})\n")
    print("--to FILE: where the page is written (default: report.html in the run folder)\n")


def _steps(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    from supernet.parser import parse
    from supernet.pipeline import STEPS, Profiler, as_rank, execute, open_run
    from supernet.ranks import rank
    from supernet.track import print_table, profile_tables, result_table

    if any(argument.partition("=")[0].endswith(".help") for argument in rest):
        parse(command.program, rest)
    profiler = Profiler(given.trace) if given.profile or given.trace else None
    with as_rank(given.out, [command.name, *rest]) as out:
        if command.name not in ("run", "train"):
            _check_folder(out, given.out)
        with open_run(
            rest,
            out,
            program=command.program,
            trust=given.trust,
            profiler=profiler,
            progress=None if rank() == 0 else False,
        ) as opened:
            steps = {"run": list(STEPS), "train": ["train", "few_shot"]}
            execute(opened, steps.get(command.name, [command.name]))
            metrics = opened.run.folder.metrics
        if metrics.retrain is not None:
            print_table(result_table(metrics))
        for table in profile_tables(profiler.record) if profiler else ():
            print_table(table)
        if command.name == "run":
            print(f"report: {out / 'report.html'}")


def _check_folder(out: Path, named: Path | None = None) -> None:
    """Check that there is a run folder.

    Args:
        out: path of the folder.
        named: path that the user gave, where this process works in a copy of it.
    """
    if not (out / "config.yaml").exists():
        from supernet.errors import RunFolderError

        shown = named or out
        raise RunFolderError(f"{shown} is no run folder; start with: supernet run --out {shown}")


def _export_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
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
    return parser


def _export(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    from supernet.pipeline import check_identity, export_networks, open_run, settings
    from supernet.track import export_table, print_table

    _check_folder(given.out)
    with (
        open_run(
            rest, given.out, program=command.program, mode="read", trust=given.trust
        ) as opened,
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


def _rank_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Say how far the scores of a run can be believed: networks of which it is known "
        "what they are worth are scored under its weights; figures, a verdict and what to be careful "
        "about go to ranking.json in its folder. Without --truth, probes of the space are trained alone "
        "to know it.",
        epilog="Probes are trained as the run's retrain.train says; options such as --train.steps 500 "
        "say otherwise.",
    )
    parser.add_argument("--run", "--out", dest="out", type=file_path, default=Path(_DEFAULT_OUT))
    parser.add_argument(
        "--truth",
        metavar="TABLE",
        help="what networks are worth: a file .csv or .json, nasbench201[:cifar10|cifar100|imagenet16], "
        "or nasbench-macro:FILE",
    )
    parser.add_argument(
        "--count",
        type=whole_number(10),
        default=1000,
        help="networks that are drawn from the table at random (default: 1000)",
    )
    parser.add_argument(
        "--probes",
        type=whole_number(3),
        default=16,
        help="without --truth: networks that are trained (default: 16)",
    )
    parser.add_argument(
        "--seeds", type=whole_number(1), default=1, help="trainings of each (default: 1)"
    )
    parser.add_argument(
        "--twice",
        type=whole_number(0),
        default=4,
        help="probes that are trained once more, to see how much trainings scatter (default: 4)",
    )
    parser.add_argument(
        "--training_free",
        metavar="NAMES",
        help="scores without training that are compared, too, with commas, or 'none' (default: "
        "az_nas,naswot)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="of draws and intervals (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(_TRUST, action="store_true", help=_TRUST_HELP)
    return parser


def _rank(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    import json

    from supernet.pipeline import SCORES, ProbeOptions, as_rank, open_run, rank_run
    from supernet.ranks import rank
    from supernet.track import print_table, ranking_table

    with as_rank(given.out, [command.name, repr(sorted(vars(given).items())), *rest]) as out:
        _check_folder(out, given.out)
        bars = None if rank() == 0 else False
        with open_run([], out, program=command.program, trust=given.trust, progress=bars) as opened:
            options = ProbeOptions(given.probes, given.seeds, given.twice, rest)
            ranking = rank_run(
                opened,
                given.truth,
                count=given.count,
                seed=given.seed,
                options=options,
                free=SCORES if given.training_free is None else _names(given.training_free),
            )
        if given.json:
            print(json.dumps(ranking.summary(), indent=2))
            return
        print_table(ranking_table(ranking))
        print(ranking.sentences())
        print(f"ranking: {out / 'ranking.json'}")


def _names(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",")]


def _doctor_parser(program: str) -> Arguments:
    sizes = several(whole_number(1, 10**6))
    parser = Arguments(
        program,
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
        "--words", type=whole_number(1), help="examples are tokens below this number, not images"
    )
    parser.add_argument(
        "--inputs",
        type=mapping,
        help="of several inputs, by name the type and shape of one example, as JSON such as "
        '\'{"tokens": ["int64", 16], "mask": ["bool", 16]}\'',
    )
    parser.add_argument(
        "--classes", type=whole_number(1), default=10, help="given to the model if it takes them"
    )
    parser.add_argument(
        "--constraint", action="append", default=[], help="such as 'macs <= 5e6'; several times"
    )
    parser.add_argument("--widths", type=several(number), default=(0.25, 0.5, 0.75, 1.0))
    parser.add_argument(
        "--multiple", type=whole_number(1), default=8, help="widths are multiples of it"
    )
    parser.add_argument("--inner", action="store_true", help="sizes of heads are open too")
    parser.add_argument(
        "--depth", type=number, default=0.5, help="smallest part of a row of blocks"
    )
    parser.add_argument("--kernels", type=sizes, default=(), help="for depthwise convolutions")
    parser.add_argument(
        "--keep", action="append", default=[], help="pattern of modules that stay; several times"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _doctor(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    import json

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
            inputs=given.inputs,
            **options,
        )
    if given.json:
        print(json.dumps(found.to_json(), indent=2))
        return
    print_table(doctor_table(found.rows_as_text()))
    print(doctor_text(found))


def _latency_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
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
        "--batch_size", type=whole_number(1, 10**6), default=1, help="examples per forward pass"
    )
    parser.add_argument("--precision", default="float32", help="float32, bfloat16, ...")
    parser.add_argument(
        "--repeats", type=whole_number(1, 10**6), default=50, help="measurements of each option"
    )
    parser.add_argument(_TRUST, action="store_true", help=_TRUST_HELP)
    return parser


def _latency(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    from supernet.pipeline import measure_latency, open_run, settings
    from supernet.track import latency_text

    path = given.table or given.out / "latency.json"
    with (
        open_run(rest, given.out, program=command.program, mode="add", trust=given.trust) as opened,
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


def _report_parser(program: str) -> Arguments:
    parser = _step_parser(program)
    parser.add_argument("--to", type=file_path)
    return parser


def _report(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    """Write the report from the files alone, whatever made them."""
    _check_folder(given.out)
    from supernet.track import RunFiles, print_table, result_table, write_report

    if rest:
        raise ConfigError(f"the report takes no options but --to, but got {shown(' '.join(rest))}")
    path, read = write_report(given.out, given.to), RunFiles.read(given.out)
    for note in read.notes:
        print(f"warning: {note}", file=sys.stderr)
    if read.metrics.retrain is not None:
        print_table(result_table(read.metrics))
    print(f"report: {path}")


def _zoo_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="List spaces, strategies, searchers, data sets and scores without training.",
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _zoo(command: Command, given: argparse.Namespace, rest: list[str]) -> None:
    from supernet.catalogue import catalogue

    entries = catalogue()
    if given.json:
        import json

        print(json.dumps(entries, indent=2))
        return
    width = max(len(name) for group in entries.values() for name in group)
    for kind, group in entries.items():
        print(f"{kind}:")
        for name, entry in group.items():
            print(f"  {name:<{width}}  {entry['summary']}")


COMMANDS = {
    command.name: command
    for command in (
        *(
            Command(name, text, _profiled_parser, _steps, explain=_explain_step, ranks=True)
            for name, text in {
                "run": "all steps: train, search, retrain, test, report; resumes the folder when it "
                "exists",
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
        Command(
            "latency",
            "measure latencies on this device, into a table of costs",
            _latency_parser,
            _latency,
        ),
        Command(
            "export",
            "write the best candidates within bounds as files that run without supernet",
            _export_parser,
            _export,
        ),
        Command(
            "rank",
            "say how far the scores of a run can be believed, beside what networks are worth",
            _rank_parser,
            _rank,
            ranks=True,
        ),
        Command(
            "doctor",
            "say what of a model is open, why something is not, and what its networks cost",
            _doctor_parser,
            _doctor,
            leaves=False,
        ),
        Command(
            "zoo",
            "list what has a name: spaces, strategies, searchers, data sets, scores",
            _zoo_parser,
            _zoo,
            leaves=False,
            works=False,
        ),
    )
}
"""The commands by name."""
