"""What a narrower network lacks, as one number.

After LeCun et al., "Optimal Brain Damage" (NeurIPS 1989), where what a network loses is the sum of the
saliencies of the weights that are taken away: the damage of an architecture is here the sum of the
importances of the channels that it lacks.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch

from supernet.conversion.trial_networks import largest
from supernet.elastic.importance import Importance, channel_importances, open_tensors
from supernet.elastic.size import Size
from supernet.net import SuperNet
from supernet.space import Architecture

__all__ = ["Damage"]


class Damage:
    """The damage of architectures, a score that costs no forward pass; lower is better.

        damage(architecture) = Σ over open sizes Σ over channels j that it lacks of I_j

    A block that is left out lacks all channels that are open within it; choices between kernels and
    operations do no damage. Sums over layers mean something where importances of different layers can be
    compared, as those of `Taylor` can, which say how much the loss changes.

    Args:
        supernet: supernet of a converted model, or of elastic layers; it is left as it is. Damage is
            that of its weights as they are now.
        importance: importance of channels.

    Raises:
        SupernetError: the importance cannot be measured, as its docstring says.
    """

    def __init__(self, supernet: SuperNet, importance: Importance) -> None:
        self._supernet = supernet
        with supernet.route(largest(supernet)):
            found = channel_importances(supernet.model, importance)
        self._sizes: dict[Hashable, Size] = {}
        for _, _, shape in open_tensors(supernet.model):
            terms = (term for size in shape if size is not None for term in size.terms)
            self._sizes.update({term.key: term for term in terms if term.key in found})
        # Importances (5, 3, 1) amount to 9 without the channels from 0 on, 4 from 1 on, then 1 and 0.
        self._without = {
            key: torch.cat([_from_each_on(one), one.new_zeros(1)]) for key, one in found.items()
        }

    def of(self, architecture: Architecture) -> float:
        """Return the damage of an architecture, at least 0; that of the largest is 0."""
        total = 0.0
        with self._supernet.route(architecture):
            for key, size in self._sizes.items():
                there = all(dimension.label in architecture for dimension in size.dimensions)
                total += float(self._without[key][size.now if there else 0])
        return total


def _from_each_on(importances: torch.Tensor) -> torch.Tensor:
    """Return the sums of all importances from each channel on, `[channels]`."""
    return importances.flip(0).cumsum(0).flip(0)
