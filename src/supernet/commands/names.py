"""The commands that need no run: what a model is, what has a name, and the shipped configurations."""

from __future__ import annotations

import argparse

from supernet.commands.base import Command
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.terminal import Arguments, mapping, number, several, whole_number

__all__ = ["NAMES"]


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


NAMES = (
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
"""The commands, in the order in which help lists them."""
