"""Which models other tools make smaller, and in how many ways, beside `supernet.convert`.

Each model is converted as it is, with the defaults of each tool. Of a space the decisions are counted,
its size, and the parameters of its smallest network as a share of the model's. It is checked that the
largest network computes what the model does, and that the smallest and some drawn networks, as plain
modules, have outputs of the right shape and the values that they had in the space. torch-pruning has no
space: it removes a quarter, half and three quarters of the channels, and the shapes are checked.
"""

from __future__ import annotations

import copy
import importlib.metadata
import math
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from benchmarks.models import own
from benchmarks.timm_models import create_model
from supernet.conversion import convert
from supernet.cost import count_params
from supernet.net import SuperNet, derive

DRAWS = 8
RATIOS = (0.25, 0.5, 0.75)
TOLERANCE = 1e-3
OF_TIMM = ("resnet18", "mobilenetv2_100", "vit_tiny_patch16_224")
OF_OWN = ("inverted residuals", "u-net", "dense", "squeeze and excite")


@dataclass
class Found:
    """What a tool made of a model.

    Attributes:
        size: decisions and size of the space, or how it was made smaller.
        smallest: parameters of the smallest network, as a share of the model's.
        right: number of networks that were right.
        tried: number of networks that were looked at.
        wrong: what was wrong with one of the others, if any were.
    """

    size: str
    smallest: float = 1.0
    right: int = 0
    tried: int = 0
    wrong: str = ""

    def take(self, network: Callable[[], nn.Module], inputs: torch.Tensor, wanted: Wanted) -> None:
        """Look at a network, which is to compute what is wanted."""
        self.tried += 1
        try:
            with torch.no_grad():
                module = network().eval()
                found = module(inputs)
            self.smallest = min(self.smallest, count_params(module) / wanted.params)
            self._check(found, wanted)
        except Exception as error:  # whatever another tool's networks raise
            self.wrong = _first_line(error)
        else:
            self.right += 1

    def _check(self, found: torch.Tensor, wanted: Wanted) -> None:
        if found.shape != wanted.shape:
            raise AssertionError(f"outputs {list(found.shape)}, not {list(wanted.shape)}")
        if wanted.values is not None:
            apart = float((found - wanted.values).abs().max())
            if not apart <= TOLERANCE * max(1.0, float(wanted.values.abs().max())):
                raise AssertionError(f"outputs are apart by {apart:.1e}")

    def __str__(self) -> str:
        text = f"{self.size}, smallest {self.smallest:.0%}, {self.right} of {self.tried} right"
        return f"{text} ({self.wrong})" if self.wrong else text


@dataclass(frozen=True)
class Wanted:
    """What a network is compared with.

    Attributes:
        params: number of parameters of the model.
        shape: shape of its outputs.
        values: values that the outputs are to have, if these are known.
    """

    params: int
    shape: torch.Size
    values: torch.Tensor | None = None


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tools = {"supernet": here, "modelopt autonas": autonas, "modelopt fastnas": fastnas}
    tools["torch-pruning"] = pruned
    for name in ("nvidia-modelopt", "torch-pruning", "timm"):
        try:
            print(name, importlib.metadata.version(name))
        except ImportError:
            print(f"{name} is not installed")
    for title, build in _models():
        for tool, converted in tools.items():
            torch.manual_seed(0)
            random.seed(0)
            try:
                model, inputs = build()
                model.eval()
                with torch.no_grad():
                    outputs = model(inputs)
                said = str(
                    converted(model, inputs, Wanted(count_params(model), outputs.shape, outputs))
                )
            except ImportError as error:
                said = f"left out: {error}"
            except (
                Exception
            ) as error:  # whatever another tool says of a model that it does not take
                said = f"does not convert: {_first_line(error)}"
            print(f"{title}: {tool}: {said}", flush=True)


def here(model: nn.Module, inputs: torch.Tensor, wanted: Wanted) -> Found:
    """Convert by this library."""
    supernet = SuperNet(convert(model, inputs)).eval()
    space = supernet.space
    ends = [
        space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options)))),
        space.build(lambda d: d.value(range(d.low))),
    ]
    found = Found(f"{len(space.decisions)} decisions, {space.size:.1e}")
    for number, one in enumerate([*ends, *(space.sample() for _ in range(DRAWS))]):
        with torch.no_grad():
            values = supernet(inputs, one) if number else wanted.values
        aim = Wanted(wanted.params, wanted.shape, values)
        found.take(partial(derive, supernet, one), inputs, aim)
    return found


def autonas(model: nn.Module, inputs: torch.Tensor, wanted: Wanted) -> Found:
    """Convert by modelopt, for its one-shot search."""
    return _modelopt("autonas", model, inputs, wanted)


def fastnas(model: nn.Module, inputs: torch.Tensor, wanted: Wanted) -> Found:
    """Convert by modelopt, for pruning by a search."""
    return _modelopt("fastnas", model, inputs, wanted)


def _modelopt(mode: str, model: nn.Module, inputs: torch.Tensor, wanted: Wanted) -> Found:
    import modelopt.torch.nas as nas
    from modelopt.torch.opt.utils import named_hparams

    space = nas.convert(model, mode=mode).eval()
    open_ones = {id(one): one for _, one in named_hparams(space, configurable=True)}.values()
    size = math.prod(len(one.choices) for one in open_ones)
    found = Found(f"{len(open_ones)} decisions, {size:.1e}")
    for number, choose in enumerate([max, min, *[random.choice] * DRAWS]):
        nas.sample(space, choose)
        with torch.no_grad():
            values = space(inputs) if number else wanted.values
        aim = Wanted(wanted.params, wanted.shape, values)
        found.take(lambda: nas.export(copy.deepcopy(space)), inputs, aim)
    return found


def pruned(model: nn.Module, inputs: torch.Tensor, wanted: Wanted) -> Found:
    """Remove channels by torch-pruning, those of least magnitude in each layer."""
    import torch_pruning as tp

    found = Found(f"channels less {', '.join(f'{ratio:.0%}' for ratio in RATIOS)}")
    for ratio in RATIOS:

        def smaller(ratio: float = ratio) -> nn.Module:
            small = copy.deepcopy(model)
            with torch.enable_grad():
                tp.pruner.BasePruner(
                    small,
                    inputs,
                    importance=tp.importance.GroupMagnitudeImportance(),
                    pruning_ratio=ratio,
                    ignored_layers=list(_last(small)),
                ).step()
            return small

        found.take(smaller, inputs, Wanted(wanted.params, wanted.shape))
    return found


def _last(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers that make the outputs, which are to stay."""
    layers = [one for one in model.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    yield layers[-1]


def _models() -> Iterator[tuple[str, Callable[[], tuple[nn.Module, torch.Tensor]]]]:
    for name in OF_TIMM:

        def of_timm(name: str = name) -> tuple[nn.Module, torch.Tensor]:
            return create_model(name, num_classes=10), torch.randn(2, 3, 224, 224)

        yield f"timm {name}", of_timm
    for name in OF_OWN:

        def of_own(name: str = name) -> tuple[nn.Module, torch.Tensor]:
            model, (inputs, *_) = own.MODELS[name]()
            return model, inputs

        yield name, of_own


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


if __name__ == "__main__":
    main()
