"""A network as programmes, each run and compared before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from supernet.data import Preprocess
from supernet.net.export import TOLERANCE, packed, traced, verified
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import protocol_of

__all__ = ["Programs", "programs"]


@dataclass(frozen=True)
class Programs:
    """Programmes of one network, ready to be written.

    Attributes:
        contents: bytes of each file, by its name.
        takes: type and shape of the examples that they take.
        verification: for each file, by its name, how far its outputs are from what is expected
            (None where it was not run), and the tolerance.
    """

    contents: Mapping[str, bytes]
    takes: Mapping[str, Any]
    verification: Mapping[str, Any]


def programs(
    run: Run,
    inputs: Inputs,
    model: nn.Module,
    formats: Sequence[str],
    expected: Callable[[torch.Tensor], Any],
) -> Programs:
    """Return a network as programmes that take examples as the data set has them.

    Each is run on a batch of the search split, and on a single example.

    Args:
        run: run that says what cannot be verified.
        inputs: inputs, whose examples are normalised and run.
        model: network, a module in evaluation mode.
        formats: names of formats, see `supernet.net.export.FORMATS`.
        expected: function from stored examples to what a programme must return.

    Raises:
        ExportError: the network cannot be exported, or a programme computes something else.
    """
    stored = inputs.splits.search.inputs[: protocol_of(run.config).batch_size].cpu()
    program = traced(model, stored[:1], Preprocess(inputs.normalise, stored))
    contents = {f"model{suffix}": packed(program, suffix) for suffix in formats}
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with exact, torch.no_grad():
        batches = [(part, expected(part)) for part in (stored, stored[:1])]
    verification: dict[str, Any] = {"tolerance": TOLERANCE}
    for (name, content), suffix in zip(contents.items(), formats, strict=True):
        difference = verified(content, suffix, batches)
        verification[name] = difference and asdict(difference)
        if difference is None:
            run.progress.say(f"{name} is not verified, since onnxruntime is not installed")
    takes = {
        "dtype": str(stored.dtype).removeprefix("torch."),
        "shape": ["batch", *stored.shape[1:]],
    }
    return Programs(contents, takes, verification)
