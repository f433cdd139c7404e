"""The ordinary networks of a run: with fresh or inherited weights, as they are or trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from supernet.config import WeightsName
from supernet.cost import count_macs, count_params
from supernet.errors import RunFolderError
from supernet.evaluate.batches import Batches
from supernet.net import derive
from supernet.net.batchnorm import explaining_single_values, recalibrated
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.models import placed
from supernet.pipeline.scoring import protocol_of
from supernet.pipeline.searched import Searched
from supernet.pipeline.shared_weights import SharedWeights
from supernet.space import Architecture
from supernet.task import checked_measures
from supernet.track.records import Selected
from supernet.train import digest

__all__ = ["Networks", "network_name"]


@dataclass(frozen=True)
class Networks:
    """Makes the ordinary networks of a run.

    Attributes:
        run: run whose checkpoints are read.
        inputs: inputs of the networks.
        searched: search, by whose protocol statistics of batch norm are estimated.
        shared: weights that are inherited; None where none are.
    """

    run: Run
    inputs: Inputs
    searched: Searched
    shared: SharedWeights | None

    @property
    def inherits(self) -> SharedWeights:
        """The weights that are inherited."""
        assert self.shared is not None  # who inherits has asked for them
        return self.shared

    def untrained(self, selected: Selected, weights: WeightsName) -> nn.Module:
        """Return the module of an architecture with the weights that its training starts from."""
        if weights == "inherited":
            return self.inherited(selected.architecture)
        overrides = self.run.config.retrain.model
        supernet = self.inputs.models.retraining(selected.key, overrides)
        return placed(derive(supernet, selected.architecture), self.run.device)

    def inherited(self, architecture: Architecture) -> nn.Module:
        """Return the ordinary module of an architecture, in evaluation mode, with the shared weights.

        Its statistics of batch norm are estimated as those of candidates are, so that it computes what
        the supernet computes for the architecture in the search.

        Raises:
            NoNetworkError: the training of its part of the supernet failed.
        """
        supernet = self.inherits.supernet_of(architecture)
        model = placed(derive(supernet, architecture), self.run.device)
        batches, measures = self.calibration(), partial(checked_measures, self.inputs.task, model)
        with (
            explaining_single_values(batches.size(0)),
            torch.no_grad(),
            recalibrated(model, batches, measures),
        ):
            state = model.state_dict()
        model.load_state_dict(state)
        return model.eval()

    def calibration(self) -> Batches:
        """Return the training batches that statistics of batch norm were re-estimated on in the search.

        Where candidates were scored with statistics of the evaluation batch, as many as are configured.
        """
        protocol, train = self.searched.protocol, self.inputs.splits.train
        batches = protocol.calibration_batches or protocol_of(self.run.config).calibration_batches
        count = min(len(train), protocol.batch_size * batches)
        examples = train.select(torch.arange(count))
        return Batches(examples, protocol.batch_size, self.inputs.normalise)

    def retrained(self, selected: Selected, weights: WeightsName) -> nn.Module:
        """Return the ordinary module of an architecture, in evaluation mode, as retraining left it.

        Raises:
            RunFolderError: it was not retrained to the end.
        """
        run, steps = self.run, self.run.config.retrain.train.steps
        model = self.untrained(selected, weights)
        if steps:
            checkpoint = run.folder.retrained(network_name(selected, weights))
            state = checkpoint.trained()
            unfinished = state is None or state["step"] < steps
            if state is None or unfinished or state["identity"] != self.identity(weights):
                raise RunFolderError(
                    f"{checkpoint.path} is missing, unfinished or of other options; delete "
                    f"{run.folder.architecture} and {run.repeat('retrain')}"
                )
            with checkpoint.restoring():
                model.load_state_dict(state["model"])
        return model.eval()

    def trained_as(self, weights: WeightsName) -> str:
        """Return what retraining makes of weights: "scratch", "fine_tuned", or still "inherited"."""
        if weights == "fresh":
            return "scratch"
        return "fine_tuned" if self.run.config.retrain.train.steps else "inherited"

    def identity(self, weights: WeightsName) -> str:
        """Return a hash of what a retrained network depends on besides its architecture."""
        options = without_neutral(self.run.options["retrain"])
        if weights == "fresh":
            identity = self.inputs.identity
            return digest([options["train"], options["model"], options["augment"], identity])
        protocol = self.searched.protocol  # holds a hash of the supernet's weights
        return digest(
            [options["train"], options["augment"], self.inputs.identity, protocol.to_json()]
        )

    def costs_of(self, selected: Selected, model: nn.Module) -> Mapping[str, float]:
        """Return the costs of a network as it is retrained, which may be wider than in the supernet.

        Quantities that cannot be counted on a module are left out where it is another network.
        """
        if not self.run.config.retrain.model:
            return selected.costs
        return {"params": count_params(model), "macs": count_macs(model, *self.inputs.example)}


def network_name(selected: Selected, weights: WeightsName) -> str:
    """Return what the checkpoint of a network is called, and the stage that trains it ends with."""
    return selected.key if weights == "fresh" else f"{selected.key}-{weights}"
