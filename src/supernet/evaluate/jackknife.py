"""How much each example has a part in a figure that is no mean over examples.

The figure θ of n examples, and θ_i of all but example i, give the pseudo-values n θ − (n − 1) θ_i, which
can be taken for n independent values with the mean θ (Tukey, "Bias and confidence in not-quite large
samples", 1958; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11). Of a mean
they are the values themselves. Of figures that are smooth in the means of measures, as F1, R² and mean
IoU are, their variance over n is that of the figure; of a median it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

__all__ = ["pseudo_values"]


def pseudo_values(
    figure: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    measures: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """Return the part of each example in a figure, `[examples]`, in double precision.

    Args:
        figure: function that computes the figure, a scalar, of the means of measures, `[...]` each.
        measures: measures of at least two examples, `[examples, ...]` each.
    """
    # Values 1, 2, 6 and their mean 3: without the last it is 1.5, and its part 3 · 3 − 2 · 1.5 = 6.
    sums = {name: values.double().sum(0) for name, values in measures.items()}
    n = len(next(iter(measures.values())))
    whole = figure({name: total / n for name, total in sums.items()}).double()
    without = [
        figure({name: (total - measures[name][i]) / (n - 1) for name, total in sums.items()})
        for i in range(n)
    ]
    return n * whole - (n - 1) * torch.stack(without).double()
