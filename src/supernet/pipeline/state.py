"""What the steps of an open run hand on, each made once."""

from __future__ import annotations

from functools import cached_property

from supernet.cost import CostTable
from supernet.pipeline.context import Run
from supernet.pipeline.costs import load_costs
from supernet.pipeline.inputs import Inputs, load_inputs
from supernet.pipeline.networks import Networks
from supernet.pipeline.retrained import Retrained, load_retrained
from supernet.pipeline.searched import Searched, load_searched
from supernet.pipeline.shared_weights import SharedWeights, load_shared_weights
from supernet.pipeline.trained import Trained, load_trained, trained_state

__all__ = ["RunState"]


class RunState:
    """How far a run has come: what a step returned, or else what the run folder holds of it.

    Each is read when it is first asked for, and of what was made before it.

    Args:
        run: run whose folder is open.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def inputs(self) -> Inputs:
        """The data, the task and the initial supernet."""
        return load_inputs(self.run)

    @cached_property
    def costs(self) -> dict[str, CostTable]:
        """The cost tables of the space by quantity."""
        return load_costs(self.run, self.inputs)

    @cached_property
    def trained(self) -> Trained:
        """The trained supernet."""
        inputs = self.inputs  # by which it is known how many steps epochs are
        state = trained_state(self.run)  # what is missing is said before costs are counted
        return load_trained(self.run, inputs, self.costs, state)

    @cached_property
    def shared(self) -> SharedWeights:
        """The weights that candidates are scored with."""
        return load_shared_weights(self.run, self.trained)

    @cached_property
    def searched(self) -> Searched:
        """What the search led to."""
        return load_searched(self.run)

    @cached_property
    def retrained(self) -> Retrained:
        """What retraining led to."""
        return load_retrained(self.run)

    def networks(self, *, inherit: bool) -> Networks:
        """Return what makes ordinary networks.

        Args:
            inherit: whether any inherit the shared weights, which are read for that.
        """
        shared = self.shared if inherit else None
        return Networks(self.run, self.inputs, self.searched, shared)
