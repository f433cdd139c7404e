"""Scripts by which shells complete commands, options, and names and choices after them.

A script holds all words itself: a shell that asked supernet for them would load PyTorch at every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supernet.classes import NAMED, names_of
from supernet.imports import safe_children
from supernet.option_text import options_of
from supernet.parser import build_parser
from supernet.shipped import shipped

__all__ = ["SHELLS", "Words", "completion_script", "run_values"]

SHELLS = ("bash", "zsh", "fish")

Words = Mapping[str, Sequence[str]]
"""What may be completed, by command or option."""

_BASH = """\
_supernet() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$current" = "=" ]; then
        current=""
    elif [ "$before" = "=" ]; then
        before="${{COMP_WORDS[COMP_CWORD-2]}}"
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "$before" in
{values}
        *)
            case "${{COMP_WORDS[1]}}" in
{options}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _supernet supernet
"""

_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def run_values() -> dict[str, list[str]]:
    """Return the options of a run as they are written, and the words that each may be."""
    with safe_children():
        options = options_of(build_parser("supernet run"))
    values = {}
    for name, option in options.items():
        words = option.value.split("|")
        choices = [word for word in words if word == word.lower() and "[" not in word]
        values[f"--{name}"] = names_of(name) if name in NAMED else choices
    return {"--config": list(shipped()), **values}


def completion_script(shell: str, helps: Mapping[str, str], options: Words, values: Words) -> str:
    """Return the script that a shell reads when it starts.

    Args:
        shell: one of `SHELLS`.
        helps: a line on each command, by its name.
        options: options that each command takes.
        values: words that may be written after each option, or after a command or another word.
    """
    values = {name: words for name, words in values.items() if words}
    if shell == "fish":
        return _fish(helps, options, values)
    script = _BASH.format(
        commands=" ".join(helps),
        values="\n".join(_case(name, words) for name, words in values.items()),
        options="\n".join(_case(name, words, 12) for name, words in options.items()),
    )
    return script if shell == "bash" else _ZSH + script


def _case(name: str, words: Sequence[str], indent: int = 8) -> str:
    return f'{" " * indent}{name}) words="{" ".join(words)}" ;;'


def _fish(helps: Mapping[str, str], options: Words, values: Words) -> str:
    lines = [
        f"complete -c supernet -n __fish_use_subcommand -f -a {name} -d {_quoted(text)}"
        for name, text in helps.items()
    ]
    within = "complete -c supernet -n '__fish_seen_subcommand_from {}'"
    for word in (one for one in values if not one.startswith("-")):
        lines.append(f"{within.format(word)} -f -a {_quoted(' '.join(values[word]))}")
    for command, names in options.items():
        for name in names:
            words = f" -x -a {_quoted(' '.join(values[name]))}" if name in values else ""
            lines.append(f"{within.format(command)} -l {name.removeprefix('--')}{words}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a text in single quotes, as fish reads them."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
