"""The command that makes a trained model smaller."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from supernet.commands.base import Answer, Command
from supernet.errors import ConfigError
from supernet.reading import shown
from supernet.terminal import Arguments, file_path

__all__ = ["COMPRESS"]

OUT = "runs/compressed"


def _parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Make a trained model smaller: open its widths and depths, train all sizes with the "
        "model as the teacher, search within each target, train what was found further, and write it.",
        epilog="All options of 'supernet run' may follow, such as --train.epochs 20, --task regression "
        "or --device cuda.",
    )
    parser.add_argument(
        "model",
        help="import path of a function that returns the trained model, as package.module:name, or the "
        "folder of a model of Hugging Face's transformers",
    )
    parser.add_argument(
        "--data", required=True, help="name, folder, file or import path of the data"
    )
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="BOUNDS",
        help="bounds such as 'macs <= 25%%' or 'params <= 1e6 and macs <= 50%%'; may be given several "
        "times (default: macs <= 50%%)",
    )
    parser.add_argument(
        "--strategy",
        default="sandwich",
        help="how sizes are trained: sandwich, all together, or blockwise, each block by itself "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--searcher",
        default="evolution",
        help="who chooses: evolution, or milp, by scores of single replacements (default: %(default)s)",
    )
    parser.add_argument("--onnx", action="store_true", help="write model.onnx too")
    parser.add_argument("--out", "--run", dest="out", type=file_path, default=Path(OUT))
    return parser


def _compress(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    from supernet.net.pretrained import read_pretrained
    from supernet.pipeline import compress
    from supernet.track import compressed_table, print_table
    from supernet.zoo.converted import built_from

    folder = Path(given.model)
    found = compress(
        read_pretrained(folder) if folder.is_dir() else built_from(given.model, {}),
        given.data,
        given.target or ["macs <= 50%"],
        strategy=given.strategy,
        searcher=given.searcher,
        out=given.out,
        onnx=given.onnx,
        options=_options(rest),
    )
    rows = [one.summary() for one in (found.original, *found.networks)]

    def show() -> None:
        print_table(compressed_table(rows, found.measure, found.images))
        for one in found.networks:
            print(f"{one.name}: {one.folder}")

    return Answer({"measure": found.measure, "images": found.images, "networks": rows}, show)


def _options(rest: Sequence[str]) -> dict[str, str]:
    """Return options of a run as they are written on the command line, by name.

    Raises:
        ConfigError: a word is no option and no value of one.
    """
    words, found = list(rest), dict[str, str]()
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not name.startswith("--") or not (equals or words):
            raise ConfigError(
                f"{shown(word)} is no option of a run with a value, such as --train.epochs 20"
            )
        found[name.removeprefix("--")] = value if equals else words.pop(0)
    return found


COMPRESS = Command(
    "compress",
    "make a trained model smaller, within targets such as half of its multiply-adds",
    _parser,
    _compress,
)
