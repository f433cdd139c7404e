"""Rules for models of Hugging Face's transformers that shall be such again, whatever is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from supernet.conversion.convert import convert
from supernet.conversion.rules import ConversionRule, Depths, Widths
from supernet.conversion.trial_networks import largest
from supernet.errors import ConversionError
from supernet.net import SuperNet, derive
from supernet.net.export import ExportError
from supernet.net.pretrained import as_pretrained, is_pretrained
from supernet.space import Option

__all__ = ["pretrained_rules"]

DEPTH = ".depth"
"""End of the labels of decisions on depth."""


def pretrained_rules(
    model: nn.Module,
    *example: Any,
    fractions: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0),
    multiple: int = 8,
    least: float = 0.5,
) -> list[ConversionRule]:
    """Return rules by which only networks are opened that the model's class makes from a configuration.

    A class of transformers makes all its layers alike, so widths are one decision for all layers
    (`Widths(uniform=True)`); where it computes the size of a head from the width of the tokens, heads
    and this width are one (`square=True`). Each option of each decision is tried: the network in which
    it alone is not the largest is made by the class, loaded and run. What cannot be made is left out.

    Args:
        model: model of transformers; it is not changed.
        example: inputs, as `supernet.convert` takes them.
        fractions: fractions of the whole width that are offered, see `Widths`.
        multiple: number that widths are multiples of, see `Widths`.
        least: smallest depth, see `Depths`.

    Raises:
        ConversionError: it is no model of transformers, cannot be converted, or nothing that can be open
            can be written into its configuration.
    """
    if not is_pretrained(model):
        raise ConversionError(
            f"{type(model).__name__} is no model of Hugging Face's transformers, which has a "
            "configuration; of a model around one, give the one within"
        )
    tried: list[_Opened] = []
    for square in (False, True):
        widths = Widths("*", fractions, multiple, uniform=True, square=square)
        tried.append(_Opened.by(widths, Depths("*", least), model, *example))
        if not tried[-1].closed:
            break
    best = min(tried, key=lambda one: len(one.closed))
    return [*best.exceptions(*example), best.widths, best.depths]


@dataclass(frozen=True)
class _Opened:
    """A model as it is opened by two rules.

    Attributes:
        widths: rule for widths.
        depths: rule for depths.
        supernet: converted model.
        said: options that a configuration says where all else is largest, by label of the decision.
    """

    widths: Widths
    depths: Depths
    supernet: SuperNet
    said: Mapping[str, list[Option]]

    @classmethod
    def by(cls, widths: Widths, depths: Depths, model: nn.Module, *example: Any) -> _Opened:
        rules = [widths, depths]
        supernet = SuperNet(convert(model, *example, rules=rules, sort=False))
        said = {
            decision.label: [
                option
                for option in decision.options[:-1]
                if _is_said(supernet, {decision.label: option}, *example)
            ]
            for decision in supernet.space.decisions
        }
        return cls(widths, depths, supernet, said)

    @property
    def closed(self) -> list[str]:
        """The labels of decisions of which no configuration says anything but the largest."""
        return sorted(label for label, options in self.said.items() if not options)

    def exceptions(self, *example: Any) -> Iterator[ConversionRule]:
        """Yield the rules for what is not opened as all else is."""
        options = {one.label: one.options for one in self.supernet.space.decisions}
        tied: dict[tuple[Option, ...], list[str]] = {}
        for label in self.closed:
            if not label.endswith(DEPTH):
                tied.setdefault(options[label], []).append(label)
        for group in tied.values():  # perhaps a configuration has one entry for all of them
            said = [
                option
                for option in options[group[0]][:-1]
                if len(group) > 1
                and _is_said(self.supernet, dict.fromkeys(group, option), *example)
            ]
            together = f"{group[0]}, ..." if len(group) > 1 else None
            for match in group:
                yield self._limited(match, said, options[match], together)
        for label, said in self.said.items():
            if label.endswith(DEPTH) and (missing := len(options[label]) - 1 - len(said)):
                whole = int(options[label][-1])
                least = 1.0 if not said else (int(options[label][missing]) / whole)
                yield Depths(label.removesuffix(DEPTH), least)
            elif said and len(said) < len(options[label]) - 1:
                yield self._limited(label, said, options[label], None)

    def _limited(
        self, match: str, said: Sequence[Option], options: Sequence[Option], label: str | None
    ) -> Widths:
        """Return the rule for widths with the fractions that amount to these options."""
        whole = float(options[-1])
        fractions = [
            one
            for one in self.widths.fractions
            if min(options, key=lambda option: abs(float(option) - one * whole)) in said
        ]
        return replace(self.widths, match=match, fractions=(*fractions, 1.0), label=label)


def _is_said(supernet: SuperNet, answers: Mapping[str, Option], *example: Any) -> bool:
    """Return whether a configuration says the network with these answers, the largest else."""
    whole = largest(supernet)
    architecture = supernet.space.build(
        lambda decision: answers.get(decision.label, whole[decision.label])
    )
    try:
        as_pretrained(derive(supernet, architecture), *example)
    except ExportError:
        return False
    return True
