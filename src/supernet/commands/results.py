"""The commands that use a run beside its steps: latencies, exports, how far scores can be believed."""

from __future__ import annotations

import argparse
from pathlib import Path

from supernet.commands.base import (
    DEFAULT_OUT,
    TRUST,
    TRUST_HELP,
    Answer,
    Command,
    alone,
    check_folder,
)
from supernet.terminal import Arguments, file_path, whole_number

__all__ = ["RESULTS"]


def _latency_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Measure the latency of every option of a model on this device, or of whole "
        "networks where numbers are open, such as widths. The table is used "
        "with --search.costs '[TABLE]' in constraints, such as 'latency_ms <= 3.5', and objectives.",
        epilog="All options of 'supernet run' name the model, the data (for the shape of the inputs) "
        "and the device.",
    )
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(DEFAULT_OUT))
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
    parser.add_argument(TRUST, action="store_true", help=TRUST_HELP)
    return parser


def _latency(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
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
    return Answer(
        {"table": str(path), **table.content},
        lambda: print(f"{latency_text(table.content)}\ntable: {path}"),
    )


def _export_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Write networks that a search found as files that run without supernet. Weights are "
        "the supernet's, or those of the run's retraining where they are better on the search split.",
        epilog="Options of 'supernet run', such as --device or --search.costs (a table of latencies), "
        "are used without changing the folder.",
    )
    parser.add_argument("--run", "--out", dest="out", type=file_path, default=Path(DEFAULT_OUT))
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
    parser.add_argument(TRUST, action="store_true", help=TRUST_HELP)
    return parser


def _export(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    check_folder(given.out)
    from supernet.pipeline import check_identity, export_networks, open_run, settings
    from supernet.track import export_table, print_table

    with (
        open_run(
            rest, given.out, program=command.program, mode="read", trust=given.trust
        ) as opened,
        settings(opened.run),
    ):
        check_identity(opened, read_only=True)
        exported = export_networks(opened, given.pick, onnx=given.onnx, to=given.to)
    count = len(set(given.pick))
    error = None
    if (left_out := count - len(exported)) > 0:
        from supernet.errors import NoNetworkError

        error = NoNetworkError(
            f"{left_out} of {count} networks were not exported, for the reasons above; "
            "the others are whole"
        )

    def show() -> None:
        print_table(export_table([one.content for one in exported]))
        for one in exported:
            print(f"{one.name}: {one.folder}")

    networks = [{"name": one.name, "folder": str(one.folder), **one.content} for one in exported]
    return Answer({"networks": networks, "left_out": max(left_out, 0)}, show, error)


def _rank_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Say how far the scores of a run can be believed: networks of which it is known "
        "what they are worth are scored under its weights; figures, a verdict and what to be careful "
        "about go to ranking.json in its folder. Without --truth, probes of the space are trained alone "
        "to know it.",
        epilog="Probes are trained as the run's retrain.train and retrain.model say; options such as "
        "--train.steps 500 and --model.channels 8 say otherwise.",
    )
    parser.add_argument("--run", "--out", dest="out", type=file_path, default=Path(DEFAULT_OUT))
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
    parser.add_argument(TRUST, action="store_true", help=TRUST_HELP)
    return parser


def _rank(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer | None:
    if alone():  # before PyTorch is loaded
        check_folder(given.out)
    from supernet.pipeline import SCORES, ProbeOptions, as_rank, open_run, rank_run
    from supernet.ranks import rank
    from supernet.track import print_table, ranking_table

    with as_rank(given.out, [command.name, repr(sorted(vars(given).items())), *rest]) as out:
        check_folder(out, given.out)
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
        first = rank() == 0
    if not first:
        return None

    def show() -> None:
        print_table(ranking_table(ranking))
        print(ranking.sentences())
        print(f"ranking: {out / 'ranking.json'}")

    return Answer(ranking.summary(), show)


def _names(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",")]


RESULTS = (
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
)
"""The commands, in the order in which help lists them."""
