"""The files of one network: its weights, and programmes that were run and compared before."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from supernet.data.normalise import preprocess
from supernet.data.several import Values
from supernet.files import write_bytes
from supernet.modules.calls import called
from supernet.modules.nested import mapped, tensors
from supernet.net.batchnorm import recalibrated
from supernet.net.export import TOLERANCE, packed, traced_program, verified_program
from supernet.net.prepared import as_inputs, input_names
from supernet.pipeline.networks import Networks
from supernet.pipeline.scoring import protocol_of
from supernet.space import Architecture
from supernet.task import checked_measures

__all__ = ["Programs", "programs", "write_network"]


@dataclass(frozen=True)
class Programs:
    """Programmes of one network, ready to be written.

    Attributes:
        contents: bytes of each file, by its name.
        takes: type and shape of the examples that they take; of several inputs, of each by its name.
        verification: for each file, by its name, how far its outputs are from what is expected
            (None where it was not run), and the tolerance.
    """

    contents: Mapping[str, bytes]
    takes: Mapping[str, Any]
    verification: Mapping[str, Any]


def programs(
    networks: Networks,
    architecture: Architecture,
    weights: str,
    model: nn.Module,
    formats: Sequence[str],
) -> Programs:
    """Return a network as programmes that take examples as the data set has them.

    Each is run on a batch of the search split, and on a single example. It must return what the supernet
    does for the architecture; with weights that were trained further, what the network does.

    Args:
        networks: maker of the network, whose inputs are run.
        architecture: architecture of the network.
        weights: "inherited" for the supernet's as they are, "fine_tuned" or "scratch".
        model: network, a module in evaluation mode.
        formats: names of formats, see `supernet.net.export.FORMATS`.

    Raises:
        ExportError: the network cannot be exported, or a programme computes something else.
    """
    run, inputs = networks.run, networks.inputs
    search, size = inputs.splits.search, protocol_of(run.config).batch_size
    few = search.select(torch.arange(min(size, len(search)))).tensor()
    stored: Values = mapped(torch.Tensor.cpu, few)
    first: Values = mapped(lambda one: one[:1], stored)
    program = traced_program(model, first, preprocess(inputs.normalise, stored))
    names = input_names(first)
    contents = {f"model{suffix}": packed(program, suffix, names) for suffix in formats}
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    untouched = architecture if weights == "inherited" else None
    with exact, torch.no_grad():
        batches = [(part, _expected(networks, untouched, model, part)) for part in (stored, first)]
    verification: dict[str, Any] = {"tolerance": TOLERANCE}
    for (name, content), suffix in zip(contents.items(), formats, strict=True):
        difference = verified_program(content, suffix, batches)
        verification[name] = difference and asdict(difference)
        if difference is None:
            run.progress.say(f"{name} is not verified, since onnxruntime is not installed")
    return Programs(contents, _takes(stored), verification)


def _takes(stored: Values) -> dict[str, Any]:
    """Return type and shape of what is taken; of several inputs, of each by its name."""
    each = {
        name: {
            "dtype": str(one.dtype).removeprefix("torch."),
            "shape": ["batch", *one.shape[1:]],
        }
        for name, one in zip(input_names(stored), tensors(stored), strict=True)
    }
    return each["examples"] if isinstance(stored, torch.Tensor) else each


def write_network(folder: Path, model: nn.Module, made: Programs | None) -> None:
    """Write the files of a network into a folder: programmes, and weights as `model.pt`.

    Args:
        folder: folder that the files are written into.
        model: network; it is moved to the CPU.
        made: programmes, which were run and compared; None where there are none.
    """
    for name, content in ({} if made is None else made.contents).items():
        write_bytes(folder / name, content)
    buffer = io.BytesIO()
    plain = model.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    torch.save(plain.state_dict(), buffer)
    write_bytes(folder / "model.pt", buffer.getvalue())


def _expected(
    networks: Networks, untouched: Architecture | None, model: nn.Module, stored: Values
) -> Any:
    """Return what a programme must return for stored examples.

    Args:
        networks: maker of the network.
        untouched: architecture, if the network has the supernet's weights as they are.
        model: network.
        stored: examples as the data set has them, `[batch, ...]` each.
    """
    on_device: Values = mapped(lambda one: one.to(networks.run.device), stored)
    inputs = as_inputs(networks.inputs.normalise(on_device))
    if untouched is None:
        return called(model, inputs)
    supernet = networks.inherits.supernet_of(untouched)
    batches, measures = (
        networks.calibration(),
        partial(checked_measures, networks.inputs.task, supernet),
    )
    with supernet.route(untouched), recalibrated(supernet, batches, measures):
        return called(supernet, inputs)
