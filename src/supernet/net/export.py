"""From a module to a programme that runs without the library that defined it."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import linecache
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from supernet.errors import ConfigError, SupernetError
from supernet.files import write_bytes
from supernet.modules.calls import called, given_as
from supernet.modules.copies import copied
from supernet.modules.modes import evaluating
from supernet.modules.nested import mapped, tensors
from supernet.net.prepared import Example, as_inputs, input_names, prepared, with_signature

__all__ = [
    "FORMATS",
    "TOLERANCE",
    "Difference",
    "ExportError",
    "check_formats",
    "export",
    "export_program",
    "packed",
    "traced_program",
    "verified_program",
]

TOLERANCE = 1e-4
"""The largest difference between a programme and its module, relative to the largest output: some
hundred times what rounding in another order makes of float32."""

FORMATS = (".pt2", ".onnx")
"""What a programme is written as, by the end of the file's name: for PyTorch, or for ONNX."""


class ExportError(SupernetError, RuntimeError):
    """A module cannot be exported, or what was exported computes something else."""


@dataclass(frozen=True)
class Difference:
    """How far the outputs of a programme are from those of the module.

    Attributes:
        examples: number of examples that were compared.
        max_abs: the largest difference of two outputs.
        max_relative: largest difference divided by the largest absolute value of the module's
            outputs.
    """

    examples: int
    max_abs: float
    max_relative: float

    @classmethod
    def of(cls, expected: Any, found: Any) -> Difference:
        """Compare outputs: tensors `[batch, ...]`, or lists and dictionaries of them.

        Raises:
            ExportError: they differ in number or shape, or by more than `TOLERANCE`.
        """
        ours, theirs = list(tensors(expected)), list(tensors(found))
        if not ours or len(ours) != len(theirs):
            raise ExportError(
                f"the exported programme returns {len(theirs)} tensors where the module returns "
                f"{len(ours)}; it is not written. A module returns tensors, at least one"
            )
        pairs = list(zip(ours, theirs, strict=True))
        for one, other in pairs:
            if one.shape != other.shape:
                raise ExportError(
                    f"the exported programme returns {list(other.shape)} where the module returns "
                    f"{list(one.shape)}; it is not written. Shapes must not depend on anything but the "
                    "inputs' shapes"
                )
        wide = [(one.double().cpu(), other.double().cpu()) for one, other in pairs]
        largest = max(one.abs().max().item() for one, _ in wide)
        apart = max((one - other).abs().max().item() for one, other in wide)
        relative = apart / largest if apart else 0.0
        if not relative <= TOLERANCE:  # also what is no number
            raise ExportError(
                f"the outputs of the exported programme differ from the module's by {apart:.3g}, "
                f"{relative:.3g} of the largest, where {TOLERANCE:g} is allowed; it is not written. Is "
                "there anything in evaluation mode that is random, or depends on what ran before?"
            )
        return cls(len(wide[0][0]), apart, relative)


def export(
    model: nn.Module, example: Example, path: str | Path, before: nn.Module | None = None
) -> Difference | None:
    """Write a module, in evaluation mode, as a programme for batches of any size.

    The programme is run on the example, alone and twice in a batch, and written only if it computes the
    same as the module. A `.pt2` file runs by `torch.export.load(path).module()(inputs)`. Of several
    inputs it takes as many, or takes them by name, `(**inputs)`; those of an ONNX file have these names,
    or are called "examples_0", "examples_1", ...

    Args:
        model: an ordinary module, for instance `supernet.derive(...)`; it is left as it is.
        example: an input `[1, ...]` of the programme; of several a tuple, or a dictionary by name.
        path: ends with `.pt2`, or with `.onnx` for ONNX.
        before: module that inputs pass through first, for instance their normalisation. Of several it
            takes as many, in their order, and returns a tuple.

    Returns:
        How far the programme is from the module; None for ONNX where onnxruntime is not installed, and
        the file is written without having been run.

    Raises:
        ConfigError: the name ends otherwise, or a package that ONNX needs is missing.
        ExportError: PyTorch cannot export the module, or the programme computes something else.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    check_formats([path.suffix])
    program = traced_program(model, example, before)
    content = packed(program, path.suffix, input_names(example))
    whole = prepared(model, before, example)
    both: Example = mapped(lambda one: torch.cat([one, one]), example)
    with torch.no_grad(), evaluating(whole):
        batches = [(batch, called(whole, as_inputs(batch))) for batch in (both, example)]
    difference = verified_program(content, path.suffix, batches)
    write_bytes(path, content)
    return difference


def check_formats(formats: list[str]) -> None:
    """Check that programmes can be written in these formats, before anything else is done.

    Raises:
        ConfigError: a format is unknown, or a package that it needs is missing.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"a programme is written as {' or '.join(FORMATS)}, not as {name!r}")
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if ".onnx" in formats and missing:
        raise ConfigError(
            f"ONNX needs {' and '.join(missing)}, which cannot be imported; install what is missing: "
            "pip install 'supernet[onnx]' (or: pip install onnx onnxscript onnxruntime)"
        )


def export_program(model: nn.Module, example: Example, before: nn.Module | None = None) -> bytes:
    """Return the module in evaluation mode as a `torch.export` programme, for batches of any size.

    Raises:
        ExportError: see `traced_program`.
    """
    return packed(traced_program(model, example, before), ".pt2")


def traced_program(
    model: nn.Module, example: Example, before: nn.Module | None = None
) -> ExportedProgram:
    """Return what a module computes in evaluation mode, as a programme for batches of any size.

    Modules within it with an attribute `training_only` that is true are left out.

    Args:
        model: an ordinary module; it is left as it is.
        example: an input `[1, ...]` of the programme, or several, see `export`.
        before: module that inputs pass through first, for instance their normalisation.

    Raises:
        ExportError: PyTorch cannot trace the module; the message names the place.
    """
    whole = prepared(model, before, example)
    whole = copied(whole).eval().cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in list(whole.modules()):
        for name, child in list(module.named_children()):
            if getattr(child, "training_only", False):
                setattr(module, name, None)
        # Models of Hugging Face's transformers; the cache of a first call is nothing to be returned.
        if getattr(getattr(module, "config", None), "use_cache", False):
            config: Any = copy.copy(module.config)
            config.use_cache = False
            module.config = config
    whole = with_signature(whole, example)
    # A batch of one would be taken as fixed.
    batch = mapped(lambda one: torch.cat([one, one]).cpu().contiguous(), as_inputs(example))
    args, named = given_as(batch)
    axes = {name: {0: torch.export.Dim.AUTO} for name in input_names(example)}
    dimensions = tuple(axes.values()) if isinstance(example, torch.Tensor) else axes
    try:
        # PyTorch prints the graph as far as it came, whatever else is said.
        with _quiet(), contextlib.redirect_stderr(io.StringIO()):
            return torch.export.export(whole, args, named or None, dynamic_shapes=dimensions)
    except Exception as error:  # PyTorch may raise anything on a model that it cannot trace
        raise _explained(error, model) from error


def packed(program: ExportedProgram, suffix: str, names: Sequence[str] = ("examples",)) -> bytes:
    """Return the content of a file with this suffix; for ONNX, with these names of the inputs.

    Raises:
        ExportError: the programme uses what ONNX does not have.
    """
    buffer = io.BytesIO()
    if suffix == ".pt2":
        torch.export.save(program, buffer)
        return buffer.getvalue()
    try:
        with _quiet():
            onnx = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=list(names),
                output_names=["outputs"],
            )
        content: bytes = onnx.model_proto.SerializeToString()  # type: ignore[union-attr]
    except Exception as error:  # the translator may raise anything
        raise ExportError(
            f"the programme cannot be translated to ONNX: {_first_line(error)}. Leave --onnx out, or "
            "write the model with other operators"
        ) from error
    return content


def verified_program(
    content: bytes, suffix: str, batches: Sequence[tuple[Example, Any]]
) -> Difference | None:
    """Run what is in a file with this suffix, on the CPU, and compare.

    Args:
        content: bytes of the file.
        suffix: suffix of the file's name, a key of `FORMATS`.
        batches: inputs, and what the module returns for them; of several sizes, the largest first.

    Returns:
        The difference on the first batch; None for ONNX where onnxruntime is not installed.

    Raises:
        ExportError: the programme fails on a batch, or returns something else.
    """
    if suffix == ".onnx" and find_spec("onnxruntime") is None:
        return None
    run = _runner(content, suffix)
    differences = []
    for inputs, expected in batches:
        try:
            found = run(inputs)
        except Exception as error:  # whatever the programme's own checks raise
            count = len(next(tensors(inputs)))
            raise ExportError(
                f"the exported programme fails on a batch of {count}: {_first_line(error)}; it is "
                "not written. Does the model take the number of examples as a fixed number, or decide "
                "by it?"
            ) from error
        differences.append(Difference.of(expected, found))
    return differences[0]


def _runner(content: bytes, suffix: str) -> Callable[[Example], Any]:
    if suffix == ".pt2":
        program = torch.export.load(io.BytesIO(content)).module()
        return lambda inputs: called(program, mapped(_plain, as_inputs(inputs)))
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only: what differs is said by the comparison
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(inputs: Example) -> list[torch.Tensor]:
        given = [_plain(tensor).numpy() for tensor in tensors(inputs)]
        outputs = session.run(None, dict(zip(names, given, strict=True)))
        return [torch.as_tensor(output) for output in outputs]

    return run


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.cpu().contiguous()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what PyTorch says of its own inner parts from whoever exports a model."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch.onnx._internal.exporter", "torch.fx.experimental.symbolic_shapes")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # recurrent layers keep their parameters in a list besides, which tracing fills anew
            warnings.filterwarnings(
                "ignore", r"The tensor attributes? .*_flat_weights.* assigned during"
            )
            # raised by PyTorch's own use of its tree library when a programme is copied
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _explained(error: Exception, model: nn.Module) -> ExportError:
    """Say where in the model PyTorch gave up, and what can be done there."""
    place = _place(error)
    where = "the model" if place is None else _where(place, model)
    if "data-dependent" in str(error):
        return ExportError(
            f"{where} decides by the values of the data what is computed, and a programme holds one way "
            "only. Write the decision with torch.where (both ways are computed) or torch.cond, or leave "
            "it out in evaluation mode"
        )
    return ExportError(f"PyTorch cannot export {where}: {_first_line(error)}")


def _place(error: Exception) -> FrameType | None:
    """Return the innermost call of a module's own code that is not PyTorch's."""
    found, trace = None, error.__traceback__
    inside = str(Path(torch.__file__).parent)
    while trace is not None:
        frame = trace.tb_frame
        names, file = frame.f_code.co_varnames, frame.f_code.co_filename
        first = frame.f_locals.get(names[0]) if names else None
        if isinstance(first, nn.Module) and not file.startswith(inside):
            found = frame
        trace = trace.tb_next
    return found


def _where(frame: FrameType, model: nn.Module) -> str:
    module = frame.f_locals[frame.f_code.co_varnames[0]]
    # The traced module is a copy; it is known by its class, and the name of its place if that is one.
    names = [name for name, other in model.named_modules() if type(other) is type(module) and name]
    name = f" {names[0]!r}" if len(names) == 1 else ""
    file, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(file, line).strip()
    return f"{type(module).__name__}{name} ({file}, line {line}: {source})"


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
