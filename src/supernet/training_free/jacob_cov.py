"""Jacobian covariance: how differently a network maps the neighbourhoods of the images of a batch.

The first version of Mellor et al., "Neural Architecture Search without Training" (arXiv 2006.04647v1,
2020), by its code. J_i is the gradient of the sum of image i's outputs by the image, v are the
eigenvalues of the correlation matrix of all J_i, and the score is -Σ (log(v + k) + 1 / (v + k)), k =
1e-5.

Differences from the authors' code: gradients that do not vary at all, whose correlation is undefined,
count as alike.
"""

from __future__ import annotations

import numpy as np
import torch

from supernet.errors import ConfigError
from supernet.training_free.network import InitialNetwork, first_pass

__all__ = ["jacob_cov"]

K = 1e-5


def jacob_cov(network: InitialNetwork) -> float:
    """How little the gradients by inputs of a batch correlate (Mellor et al., 2020, first version).

    The least for a network without a path from input to output, all of whose gradients are 0.

    Raises:
        ConfigError: no input is of real numbers.
    """
    done = network.shared(first_pass)
    inputs = [value for value in done.inputs if value.requires_grad]
    if not inputs:
        raise ConfigError(
            "jacob_cov needs gradients by the inputs, but those of this batch are whole numbers, such "
            "as tokens; use another score, such as snip"
        )
    n = len(done.outputs)
    rows = np.zeros((n, 1))
    if done.outputs.requires_grad:
        gradients = torch.autograd.grad(
            done.outputs.sum(), inputs, retain_graph=True, materialize_grads=True
        )
        rows = torch.cat([g.reshape(n, -1) for g in gradients], 1).double().cpu().numpy()
    rows = rows - rows.mean(1, keepdims=True)
    sizes = np.linalg.norm(rows, axis=1)
    both = sizes[:, None] * sizes
    correlations = np.divide(rows @ rows.T, both, out=np.ones((n, n)), where=both > 0)
    eigenvalues = np.maximum(np.linalg.eigvalsh(correlations), 0)
    return float(-np.sum(np.log(eigenvalues + K) + 1 / (eigenvalues + K)))
