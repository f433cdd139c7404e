"""Networks of candidates after a short training from the shared weights.

Shared weights serve all candidates, and those of one candidate were rarely trained together: its score
shows that more than what the network is worth. A few steps of it alone, at a constant rate, make up for
that; the supernet stays as it is.
"""

from __future__ import annotations

from torch import nn

from supernet.data import Examples, Loader, Normalise
from supernet.errors import DivergedError
from supernet.evaluate.protocol import Tuning
from supernet.net import SuperNet, derive
from supernet.random import derive_seed, seeded
from supernet.space import Architecture
from supernet.task import Task
from supernet.train import Fit, Moment, Plain, Schedule

__all__ = ["tuned_network"]


class _Constant(Plain):
    """Ordinary training at a constant learning rate.

    Args:
        share: the rate, as a share of the one that the optimizer is made with.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def rate(self, schedule: Schedule, moment: Moment) -> float:
        """Return what the learning rate is multiplied by."""
        return self._share


def tuned_network(
    supernet: SuperNet,
    architecture: Architecture,
    tuning: Tuning,
    task: Task,
    train: Examples,
    normalise: Normalise,
) -> nn.Module:
    """Return the ordinary module of an architecture, with the shared weights trained a little further.

    It depends on the arguments alone, and leaves the supernet and torch's random state as they were.

    Args:
        supernet: supernet with trained weights.
        architecture: architecture of its space.
        tuning: steps and rate of the training, see `Tuning`.
        task: task with the loss.
        train: the training split.
        normalise: normalisation, from stored examples to inputs.

    Raises:
        DivergedError: the loss or a weight is no finite number.
        SpaceError: no network can be derived.
    """
    seed = derive_seed(tuning.seed, "tune", architecture.key)
    with seeded(seed):  # what is derived may be built, and so draw weights, before it gets its own
        network = derive(supernet, architecture)
    loader = Loader(train, tuning.batch_size, seed, tuning.augment, normalise=normalise)
    loop = Fit(
        steps=tuning.steps,
        optimizer=tuning.optimizer,
        schedule="constant",
        warmup=0.0,
        clip=tuning.clip,
        precision=tuning.precision,
        accumulate=tuning.accumulate,
        log_every=tuning.steps,
        checkpoint_seconds=0.0,
        seed=seed,
    )
    try:
        loop.run(network, _Constant(tuning.rate), task, loader)
    except DivergedError as error:
        raise DivergedError(
            f"its training before the score ({tuning.text}) diverged; a smaller --evaluate.tune.rate "
            "helps, unless the shared weights give no finite loss as they are"
        ) from error
    return network
