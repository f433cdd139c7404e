"""Models that tracing or the rules of operators do not expect: converted, or refused in words."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import pytest
import torch
from conversion_models import Gated
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from supernet.conversion import NamedInputs, convert
from supernet.conversion.operators import OPERATORS
from supernet.errors import ConversionError
from supernet.net import SuperNet, derive


def checked(model, *inputs):
    """Return the supernet of a model, all of whose networks are what is derived."""
    model.eval()
    supernet = SuperNet(convert(model, *inputs)).eval()
    for architecture in supernet.space:
        torch.testing.assert_close(
            supernet(*inputs, architecture), derive(supernet, architecture)(*inputs)
        )
    return supernet


class Turned(nn.Module):
    """A part of each row is turned; here the whole, and nothing is left."""

    def __init__(self, turned):
        super().__init__()
        self.first, self.head, self.turned = nn.Linear(6, 32), nn.Linear(32, 5), turned

    def forward(self, x):
        x = self.first(x)
        return self.head(torch.cat([x[..., : self.turned].cos(), x[..., self.turned :]], -1))


def test_a_slice_of_nothing():
    supernet = checked(Turned(32), torch.randn(2, 6))
    assert supernet.space.decision("first").options == (8, 16, 24, 32)
    narrow = derive(supernet, {"first": 8})
    assert narrow.turned == 8
    x = torch.randn(2, 6)
    expected = narrow.head(narrow.first(x).cos())
    torch.testing.assert_close(narrow(x), expected)


class Lengthening(nn.Module):
    """What is new is put behind what was kept, at first nothing, as in a language model's cache."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 32), nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.cat([torch.tensor([]), self.first(x)], 1).mean(1))


def test_a_tensor_of_nothing_is_put_before():
    assert checked(Lengthening(), torch.randn(2, 3, 6)).space.labels == {"first"}


class Cache:
    """An object that PyTorch knows nothing of."""

    def __init__(self, kept):
        self.kept = kept


@dataclass
class Answer:
    logits: torch.Tensor
    cache: Cache


class Answering(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 32), nn.Linear(32, 5)

    def forward(self, x):
        x = self.first(x)
        return Answer(self.head(x.relu()), Cache(x))


def test_outputs_in_a_dataclass_beside_other_objects():
    x = torch.randn(2, 6)
    model = Answering()
    supernet = SuperNet(convert(model, x))
    assert supernet.space.labels == {"first"}
    narrow = derive(supernet, {"first": 8})
    answer = narrow(x)
    assert answer.cache.kept.shape == (2, 8)
    torch.testing.assert_close(supernet(x, {"first": 8}).logits, answer.logits)
    torch.testing.assert_close(supernet(x, {"first": 32}).logits, model(x).logits)


class Routed(nn.Module):
    """Each example goes through one of two layers, so that how many go where depends on the data."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 16), nn.Linear(16, 5)
        self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        y = torch.zeros_like(x)
        for place, expert in enumerate(self.experts):
            chosen = torch.where((x[:, 0] > 0) == bool(place))[0]
            y[chosen] = expert(x[chosen])
        return self.head(y)


def test_sizes_that_depend_on_the_data_are_refused_with_the_line():
    with pytest.raises(
        ConversionError, match=r"`chosen = torch.where.*depend on the values of tens"
    ):
        convert(Routed(), torch.randn(2, 6))


def test_compiled_modules_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is old
        scripted = torch.jit.script(nn.ReLU())
    compiled = nn.Sequential(nn.Linear(6, 16), scripted)
    with pytest.raises(
        ConversionError, match=r"module '1' is compiled by torch.jit.*before torch.jit"
    ):
        convert(compiled, torch.randn(2, 6))


@pytest.mark.slow  # importing the compiler takes seconds
@pytest.mark.filterwarnings("ignore")
def test_models_of_the_compiler_are_refused():
    with pytest.raises(ConversionError, match=r"the model is compiled by torch.compile; give"):
        convert(torch.compile(nn.Linear(6, 16)), torch.randn(2, 6))


def test_what_is_no_model_or_has_no_weights_yet():
    with pytest.raises(ConversionError, match=r"an nn.Module, not <class.*call the class for an"):
        convert(Gated, torch.randn(2, 3, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are new
        lazy = nn.Sequential(nn.LazyLinear(16))
    with pytest.raises(
        ConversionError, match=r"module '0' has weights of sizes that are not known"
    ):
        convert(lazy, torch.randn(2, 6))


def test_a_rule_that_fails_closes_what_it_takes(monkeypatch):
    monkeypatch.setitem(OPERATORS, "cat", lambda call: [][1])
    supernet = checked(
        nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), Doubled(), nn.Linear(32, 5)),
        torch.randn(2, 6),
    )
    assert supernet.space.labels == {"0"}


class Doubled(nn.Module):
    def forward(self, x):
        return torch.cat([x, F.relu(x)], 1)


def test_whatever_else_happens_is_said_in_words(monkeypatch):
    def broken(*_):
        raise KeyError("blocks.0")

    monkeypatch.setattr(sys.modules[convert.__module__], "open_operations", broken)
    with pytest.raises(
        ConversionError, match=r"cannot be converted: .*KeyError: 'blocks.0'; leave"
    ):
        convert(Gated(), torch.randn(2, 3, 8, 8))


class Distant(nn.Module):
    """Takes words and places, which are given by name."""

    def __init__(self):
        super().__init__()
        self.words, self.places, self.head = (
            nn.Embedding(9, 16),
            nn.Embedding(4, 16),
            nn.Linear(16, 5),
        )

    def forward(self, *, words, places, negate=False):
        y = self.head(self.words(words) + self.places(places))
        return -y if negate else y


def test_inputs_by_name():
    words, places = torch.randint(9, (2, 4)), torch.arange(4).repeat(2, 1)
    model = Distant()
    supernet = checked(NamedInputs(model, "words", "places", negate=True), words, places)
    assert supernet.space.labels == {"model.words"}
    largest = {"model.words": 16}
    expected = -model(words=words, places=places)
    torch.testing.assert_close(supernet(words, places, largest), expected)
    assert derive(supernet, {"model.words": 8}).model.head.in_features == 8


def test_a_cache_that_cannot_be_copied_is_named():
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5))
    model[1].kept = {"last": model[0](torch.randn(2, 6))}
    with pytest.raises(
        ConversionError, match=r"module '1' keeps a tensor .*\('kept'\).*empty that"
    ):
        convert(model, torch.randn(2, 6))


@pytest.mark.parametrize(
    ("weigh", "remedy"),
    [
        (nn.utils.weight_norm, "remove_weight_norm"),
        (nn.utils.spectral_norm, "remove_spectral_norm"),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "prune.remove"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_weights_that_hooks_make_are_refused_with_the_remedy(weigh, remedy):
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), weigh(nn.Linear(32, 5)))
    with pytest.raises(ConversionError, match=rf"'2' has its weights from a hook.*{remedy}"):
        convert(model, torch.randn(2, 6))
