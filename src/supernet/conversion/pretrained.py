"""Rules for models of Hugging Face's transformers that shall be such again, whatever is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from supernet.conversion.convert import convert
from supernet.conversion.rules import ConversionRule, Depths, Widths
from supernet.conversion.trial_networks import trial
from supernet.errors import ConversionError
from supernet.net import SuperNet, derive
from supernet.net.export import ExportError
from supernet.net.pretrained import as_pretrained, is_pretrained

__all__ = ["pretrained_rules"]


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
    and this width are one (`square=True`). Each decision is tried: the network in which it alone is
    small is made by the class, loaded and run. What cannot be made is left as it is.

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
        tried.append(_Opened.by([widths, Depths("*", least)], model, *example))
        if not tried[-1].refused:
            break
    best = min(tried, key=lambda one: len(one.refused))
    one, *_ = (rule for rule in best.rules if isinstance(rule, Widths))
    tied = best.tied(*example)
    own: list[ConversionRule] = [
        replace(one, match=label, label=f"{group[0]}, ...") for group in tied for label in group
    ]
    for label in sorted(set(best.refused) - {label for group in tied for label in group}):
        if label.endswith(".depth"):
            own.append(Depths(label.removesuffix(".depth"), least=1.0))
        else:
            own.append(Widths(label, fractions=(1.0,)))
    return [*own, *best.rules]


@dataclass(frozen=True)
class _Opened:
    """A model as it is opened by rules.

    Attributes:
        rules: rules.
        supernet: converted model.
        refused: labels of decisions that no configuration says alone.
    """

    rules: Sequence[ConversionRule]
    supernet: SuperNet
    refused: Sequence[str]

    @classmethod
    def by(cls, rules: Sequence[ConversionRule], model: nn.Module, *example: Any) -> _Opened:
        supernet = SuperNet(convert(model, *example, rules=rules, sort=False))
        labels = sorted(supernet.space.labels)
        refused = [label for label in labels if not _said(supernet, [label], *example)]
        return cls(rules, supernet, refused)

    def tied(self, *example: Any) -> list[list[str]]:
        """Return the refused widths that a configuration says together, as one number for several."""
        alike: dict[tuple[Any, ...], list[str]] = {}
        for decision in self.supernet.space.decisions:
            if decision.label in self.refused and not decision.label.endswith(".depth"):
                alike.setdefault(tuple(decision.options), []).append(decision.label)
        groups = (sorted(group) for group in alike.values() if len(group) > 1)
        return [group for group in groups if _said(self.supernet, group, *example)]


def _said(supernet: SuperNet, small: Sequence[str], *example: Any) -> bool:
    """Return whether a configuration says the network in which these decisions alone are small."""
    try:
        as_pretrained(derive(supernet, trial(supernet, small)), *example)
    except ExportError:
        return False
    return True
