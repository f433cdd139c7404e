"""The weights that candidates share: of the trained supernet, or of its parts where it is split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from supernet.errors import NoNetworkError, RunFolderError
from supernet.net import SuperNet, split_supernet
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.context import Run
from supernet.pipeline.failures import failed_file, read_failure
from supernet.pipeline.trained import Trained
from supernet.space import Architecture, Option
from supernet.train import digest

__all__ = ["SharedWeights", "load_shared_weights", "split_identity"]


@dataclass(frozen=True)
class SharedWeights:
    """What candidates are scored with.

    Attributes:
        trained: the whole supernet.
        hash: hash of all weights that candidates are scored with.
        label: label of the decision along which the supernet is split; None if it is not.
        parts: parts with their trained weights, by option.
        failed: error to raise for each part whose training failed, by its option.
    """

    trained: Trained
    hash: str
    label: str | None = None
    parts: Mapping[Option, SuperNet] = field(default_factory=dict)
    failed: Mapping[Option, NoNetworkError] = field(default_factory=dict)

    def supernet_of(self, architecture: Architecture) -> SuperNet:
        """Return the supernet that an architecture is scored with: the whole, or its part.

        Raises:
            NoNetworkError: the training of its part failed.
        """
        if self.label is None:
            return self.trained.supernet
        option: Option = architecture[self.label]  # type: ignore[assignment]  # one option
        if (error := self.failed.get(option)) is not None:
            raise error
        return self.parts[option]


def load_shared_weights(run: Run, trained: Trained) -> SharedWeights:
    """Return the weights that candidates share, from the folder where the supernet is split.

    Raises:
        RunFolderError: the training of a part has not ended.
    """
    label = run.config.few_shot.decision
    if label is None:
        return SharedWeights(trained, trained.hash)
    identity, options = split_identity(run, trained), trained.supernet.space.decision(label).options
    failed = _failed_parts(run, label, options, identity)
    parts, hashes = dict[Option, SuperNet](), list[str]()
    for number, option in enumerate(options):
        if option in failed:
            hashes.append("failed")
        else:
            parts[option], weights = _part(run, trained, label, number, option, identity)
            hashes.append(weights)
    return SharedWeights(trained, digest(hashes), label, parts, failed)


def split_identity(run: Run, trained: Trained) -> str:
    """Return a hash of what the parts of the supernet depend on."""
    return digest([without_neutral(run.options["few_shot"]), trained.hash])


def _failed_parts(
    run: Run, label: str, options: tuple[Option, ...], identity: str
) -> dict[Option, NoNetworkError]:
    found = dict[Option, NoNetworkError]()
    for number, option in enumerate(options):
        failed = read_failure(failed_file(run.folder.part(number)), identity)
        if failed is not None:
            found[option] = NoNetworkError(
                f"the part of the supernet with {label} = {option} failed in training: {failed.error}"
            )
    return found


def _part(
    run: Run, trained: Trained, label: str, number: int, option: Option, identity: str
) -> tuple[SuperNet, str]:
    """Return the part of the supernet with an option, with its trained weights, and their hash."""
    checkpoint = run.folder.part(number)
    state = checkpoint.trained()
    unfinished = state is None or state["step"] < run.config.few_shot.train.steps
    if state is None or unfinished or state["identity"] != identity:
        raise RunFolderError(
            f"{run.folder.path} lacks the part of the supernet with {label} = {option}; delete "
            f"{checkpoint.path}, if it is there, and run the step 'train'"
        )
    part = split_supernet(trained.supernet, label, option)
    with checkpoint.restoring():
        part.load_state_dict(state["model"])
    return part, digest(state["model"])
