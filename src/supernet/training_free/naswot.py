"""NASWOT: how differently the ReLUs of a network respond to the images of a batch.

Mellor et al., "Neural Architecture Search without Training" (ICML 2021). An image's code says which
ReLUs are active, a bit for each place. K_ij is the number of bits in which images i and j agree, and
the score is log |det K|: high where all codes differ.

Differences from the authors' code: it takes a batch of 128, and leaves out ReLUs that the output does
not depend on, of which derived networks have none. Eigenvalues of K that 64-bit numbers cannot tell
from 0 count as the smallest that they can, so the score is finite.
"""

from __future__ import annotations

import numpy as np
import torch

from supernet.errors import ConfigError
from supernet.training_free.network import InitialNetwork, first_pass

__all__ = ["naswot"]


def naswot(network: InitialNetwork) -> float:
    """Log-determinant of how the ReLUs' codes of a batch agree (Mellor et al., 2021).

    The least for a network without a path from input to output, whose images have one code.

    Raises:
        ConfigError: the network has no `nn.ReLU`.
    """
    activations = network.shared(first_pass).activations
    if not activations:
        raise ConfigError(
            "naswot compares which ReLUs are active, but the network calls no nn.ReLU; write functions "
            "such as F.relu as modules, or use another score, such as snip"
        )
    n = len(network.batch[-1])
    kernel = torch.zeros(n, n, dtype=torch.float64)
    for activation in activations:
        signs = (activation > 0).reshape(n, -1).float() * 2 - 1
        # Of d bits, a agree and d - a differ: the product of signs is 2a - d.
        kernel += ((signs @ signs.T).double().cpu() + signs.shape[1]) / 2
    eigenvalues = np.linalg.eigvalsh(kernel.numpy())
    least = np.finfo(float).eps * n * eigenvalues[-1]
    return float(np.log(np.maximum(eigenvalues, least)).sum())
