"""What `--help` says: the common options on two screens, those of a step, or all there are.

Building the parser of all options takes seconds, so the common ones and those of steps are shipped as
texts, which `python -m supernet.option_help` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from supernet.classes import LATER
from supernet.files import write_text
from supernet.imports import safe_children
from supernet.option_lines import option_lines
from supernet.option_text import Option, class_options, option_names, options_of, short_name
from supernet.parser import DEFAULTS, build_parser, help_text
from supernet.track.contents import STEPS

__all__ = ["all_options", "brief_help", "write_helps"]

_COMMON = {
    "The model and the data": ("model", "data", "split.search_fraction", "split.limit"),
    "The training of the shared weights": (
        "strategy",
        "train.steps",
        "train.batch_size",
        "train.optimizer",
        "train.optimizer.lr",
        "train.precision",
    ),
    "The search": (
        "search.searcher",
        "search.searcher.count",
        "search.constraints",
        "evaluate.batch_norm",
        "evaluate.rank_by",
    ),
    "The training of the best by themselves": (
        "retrain.top",
        "retrain.baselines",
        "retrain.probes",
        "retrain.weights",
        "retrain.train.steps",
    ),
    "The machine": ("seed", "device", "threads"),
}
"""Options that most users meet first, by what they are about."""

_OF_STEPS = {
    "train": ("train", "few_shot"),
    "search": ("search",),
    "retrain": ("retrain",),
    "test": ("test",),
}
"""Steps of the commands that are not all steps."""

_BESIDE = {"train": ("watch",)}
"""Groups of options that act in a step and change no result of it."""

_MACHINE = ("device", "threads", "workers", "logger")
"""Options that no result of a step depends on, which all of them have."""


def all_options(command: str) -> str:
    """Return all options that a command takes which does steps of a run."""
    return help_text(f"supernet {command}")


def brief_help(command: str) -> str:
    """Return the common options of a run, or those of a step of it.

    Args:
        command: name of the command.
    """
    program = f"supernet {command}"
    with safe_children():
        options = options_of(build_parser(program))
    if command == "run":
        options |= _default_arguments()
        lines = []
        for title, names in _COMMON.items():
            lines += ["", f"{title}:", *_lines((options[name] for name in names), brief=True)]
    else:
        lines = _step_lines(command, options)
    return "\n".join([*lines[1:], "", *_more(program)]) + "\n"


def write_helps(folder: Path) -> None:
    """Write the shipped help of each command that does steps of a run, as COMMAND.txt.

    And options.txt, the names of all options and groups of options, by which wrong ones are known
    without the parser.

    Raises:
        StorageError: a file cannot be written.
    """
    for command in ("run", *_OF_STEPS):
        write_text(folder / f"{command}.txt", brief_help(command))
    names = option_names(build_parser("supernet run"))
    write_text(folder / "options.txt", "".join(f"{name}\n" for name in names))


def _step_lines(command: str, options: Mapping[str, Option]) -> list[str]:
    """Return the options that results of a step depend on, and those of the machine."""
    steps = [step for step in STEPS if step.name in _OF_STEPS[command]]
    before = [step.name for step in STEPS[: STEPS.index(steps[0])]]
    lines = []
    names = [*(one for step in steps for one in step.options), *_BESIDE.get(command, ())]
    if names:
        lines += ["", "What its results depend on:"]
    for name in names:
        below = [one for key, one in options.items() if _within(key, name) and not _is_later(key)]
        lines += [""] * (len(below) > 1) + _lines(below, brief=False)
        for later in LATER:
            if _within(later, name):
                words = "as for train; but for steps, what is given there holds here, too"
                lines += option_lines([(f"--{later}.OPTION VALUE", words)])
    if before:
        lines += ["", f"And on the results of {', '.join(before)}, with their options."]
    lines += ["", "The machine:"]
    return lines + _lines((options[name] for name in _MACHINE), brief=True)


def _is_later(name: str) -> bool:
    """Return whether an option is one of a later training that repeats one of the first."""
    return any(_within(name, later) and name != f"{later}.steps" for later in LATER)


def _within(name: str, group: str) -> bool:
    return name == group or name.startswith(f"{group}.")


def _default_arguments() -> dict[str, Option]:
    """Return the first argument of two classes that are defaults, as options."""
    searcher, optimizer = DEFAULTS["search.searcher"], DEFAULTS["train.optimizer"]
    count = class_options(searcher["class_path"])["count"]
    of = f"of {short_name(searcher['class_path'])}: {count.help}"
    rate = str(optimizer["init_args"]["lr"])
    found = (
        Option("search.searcher.count", count.value, of, count.default),
        Option("train.optimizer.lr", "X", "its learning rate, at the peak of the schedule", rate),
    )
    return {one.name: one for one in found}


def _lines(options: Iterable[Option], brief: bool) -> list[str]:
    return option_lines((f"--{one.name} {one.value}", one.words(brief)) for one in options)


def _more(program: str) -> list[str]:
    return [
        f"'{program} --help all' lists all options, 'supernet zoo' what has a name.",
        "'--strategy.help NAME' explains the arguments of a class, which are further options, such as",
        "--strategy bender --strategy.vanish 0.05.",
    ]


if __name__ == "__main__":
    write_helps(Path(__file__).parent / "commands" / "helps")
