"""What is checked of one model that is converted."""

from __future__ import annotations

import copy
import pickle
import random
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from supernet.choice import ChoiceModule
from supernet.conversion import convert
from supernet.cost import count_params, measure_costs
from supernet.elastic import Elastic
from supernet.errors import SupernetError
from supernet.modules.nested import tensors
from supernet.net import SuperNet, derive
from supernet.space import Architecture, SearchSpace

__all__ = ["Built", "Outcome", "Wrong", "checked"]

Built = tuple[nn.Module, tuple[torch.Tensor, ...]]
"""A model, and a batch of two examples of what it takes."""


class Outcome(NamedTuple):
    """What became of a model.

    Attributes:
        kind: "right"; "wrong", where a check fails; "refused", with a reason; "traceback"; or "left
            out", where its library is not installed, or it does not run before it is converted.
        detail: of a right one the size of its space, else what happened.
    """

    kind: Literal["right", "wrong", "refused", "traceback", "left out"]
    detail: str


class Wrong(Exception):
    """Something that was computed or counted is not what it must be."""


def checked(build: Callable[[], Built], draws: int = 3) -> Outcome:
    """Build a model, convert it, check the space, and say what came of it.

    Args:
        build: makes the model.
        draws: how many sub-networks are drawn besides the smallest and the largest.

    Raises:
        ImportError: what the model is from is not installed.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model, inputs = build()
            model = model.eval()
            with torch.no_grad():
                model(*inputs)
        except ImportError:
            raise
        except Exception as error:  # whatever the model or its library raises is not of here
            return Outcome("left out", f"fails by itself: {type(error).__name__}: {error}")
        try:
            return Outcome("right", _check(model, inputs, draws))
        except Wrong as error:
            return Outcome("wrong", str(error))
        except SupernetError as error:
            return Outcome("refused", " ".join(str(error).split()))
        except Exception as error:  # this is what is looked for
            frame = traceback.extract_tb(error.__traceback__)[-1]
            first = (str(error).strip().splitlines() or [""])[0]
            return Outcome(
                "traceback", f"{type(error).__name__} at {frame.filename}:{frame.lineno}: {first}"
            )


def _check(model: nn.Module, inputs: tuple[torch.Tensor, ...], draws: int) -> str:
    before = copy.deepcopy(model.state_dict())
    graded = _graded(copy.deepcopy(model), inputs)
    with torch.no_grad():
        expected = list(tensors(model(*inputs)))
    supernet = SuperNet(convert(model, *inputs)).eval()
    _compare("the model's weights after conversion", before.values(), model.state_dict().values())
    space = supernet.space
    largest = _end(space, -1)
    with torch.no_grad():
        _compare("the largest sub-network", tensors(supernet(*inputs, largest)), expected)
    one = tuple(tensor[:1] for tensor in inputs)
    costs = measure_costs(supernet, *one)
    stream = random.Random(0)
    chosen = {"smallest": _end(space, 0), "largest": largest}
    chosen |= {f"{place + 1}. drawn": space.sample(stream) for place in range(draws)}
    for name, architecture in chosen.items():
        derived = derive(supernet, architecture)
        if any(isinstance(module, Elastic | ChoiceModule) for module in derived.modules()):
            raise Wrong(f"the {name} derived network holds open modules")
        with torch.no_grad():
            _compare(
                f"the {name} sub-network",
                tensors(supernet(*inputs, architecture)),
                list(tensors(derived(*inputs))),
            )
        for quantity, counted in (
            ("params", count_params(derived)),
            ("macs", _counted_otherwise(derived, one)),
        ):
            told = costs[quantity].cost(architecture)
            if told != counted:
                raise Wrong(f"{quantity} of the {name}: the table says {told}, counted {counted}")
        if name != "largest":
            _compare_gradients(f"the {name}", supernet, derived, inputs, architecture, graded)
    _check_kept(supernet, model, inputs, _end(space, 0))
    return f"{float(space.size):.1e} networks, {len(space.decisions)} decisions"


def _end(space: SearchSpace, end: Literal[0, -1]) -> Architecture:
    """Return the architecture of the first or of the last options."""
    return space.build(
        lambda d: d.value(
            range(d.low) if end == 0 else range(len(d.options) - d.high, len(d.options))
        )
    )


def _compare(what: str, mine: Any, others: Any) -> None:
    mine, others = list(mine), list(others)
    if len(mine) != len(others):
        raise Wrong(f"{what}: {len(mine)} tensors instead of {len(others)}")
    for a, b in zip(mine, others, strict=True):
        try:
            # Sums of channels in another order are as exact as their largest terms.
            size = (
                b.abs().nan_to_num(posinf=0.0).max().item()
                if b.is_floating_point() and b.numel()
                else 1
            )
            near = 1e-4 * max(1, size)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=near, equal_nan=True)
        except AssertionError as error:
            raise Wrong(
                f"{what} computes something else: {' '.join(str(error).split())}"
            ) from error


def _counted_otherwise(derived: nn.Module, one: Sequence[torch.Tensor]) -> int:
    """Return the multiply-adds by PyTorch's own counter, and a formula for what it does not know."""
    beside = {torch.ops.aten._grouped_mm: _rows_in_groups}
    # Its constructor has no types.
    counter = FlopCounterMode(display=False, custom_mapping=beside)  # type: ignore[no-untyped-call]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # The counter follows gradients of tensors that a module is given, also where there are none.
    learned = [parameter for parameter in derived.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        with (
            torch.no_grad(),
            torch.backends.mkldnn.flags(enabled=False),  # whose recurrent layers it does not know
            sdpa_kernel(SDPBackend.MATH),
            counter,
        ):
            derived(*one)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for parameter in learned:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops()) // 2


def _rows_in_groups(rows: Sequence[int], groups: Sequence[int], *_: Any, **__: Any) -> int:
    """Each of `[rows, i]` is multiplied by one of the matrices `[groups, i, o]`; two FLOPs for each."""
    return 2 * rows[0] * groups[1] * groups[2]


def _compare_gradients(
    what: str,
    supernet: SuperNet,
    derived: nn.Module,
    inputs: Sequence[torch.Tensor],
    architecture: Architecture,
    graded: bool,
) -> None:
    """Check the sum of the squares of all gradients, and that a step in training mode runs."""
    if graded:
        mine = _squared_gradients(supernet, supernet(*inputs, architecture))
        other = _squared_gradients(derived, derived(*inputs))
        if abs(mine - other) > 1e-3 * max(mine, other) + 1e-9:
            raise Wrong(f"{what}: squared gradients sum to {mine:.4g} instead of {other:.4g}")
    supernet.train()
    try:
        _squared_gradients(supernet, supernet(*inputs, architecture))
    finally:
        supernet.zero_grad()
        supernet.eval()


def _graded(model: nn.Module, inputs: Sequence[torch.Tensor]) -> bool:
    """Return whether a model has gradients in evaluation mode; not where it keeps a state in place."""
    try:
        _squared_gradients(model, model(*inputs))
    except RuntimeError:
        return False
    return True


def _squared_gradients(module: nn.Module, outputs: Any) -> float:
    found = [y for y in tensors(outputs) if y.requires_grad and y.is_floating_point()]
    module.zero_grad()
    if found:
        torch.stack([y.square().mean() for y in found]).sum().backward()
    grads = [p.grad for p in set(module.parameters()) if p.grad is not None]
    return sum(float(grad.double().square().sum()) for grad in grads)


def _check_kept(
    supernet: SuperNet,
    model: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    smallest: Architecture,
) -> None:
    """Check that a copy, one with loaded weights and a pickled one compute the same."""
    with torch.no_grad():
        expected = list(tensors(supernet(*inputs, smallest)))
        copied = copy.deepcopy(supernet)
        for parameter in copied.parameters():
            parameter.zero_()
        copied.load_state_dict(supernet.state_dict())
        _compare("a copy with loaded weights", tensors(copied(*inputs, smallest)), expected)
        try:
            pickle.dumps(model)
        except Exception:  # the model itself cannot be
            return
        # Of bytes that were made here just now.
        again = pickle.loads(pickle.dumps(supernet))
        _compare("a pickled one", tensors(again(*inputs, smallest)), expected)
