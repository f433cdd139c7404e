"""What every source must do (`supernet.testing`), and that it loads what was announced."""

import pytest
import torch

from supernet.data.several import parts_of
from supernet.testing.data import PROMISES, DataCase, contents


@pytest.fixture(scope="session")
def of_source(case):
    return DataCase(case.source)


@pytest.mark.slow_with("docstrings", "prose")
def test_shapes_types_and_numbers_are_those_announced(case, of_source):
    raw = of_source.raw
    first = parts_of(raw.train.inputs)[0]
    assert first.shape == (case.train, *case.shape)
    assert first.dtype == case.dtype
    assert raw.train.targets.dtype == torch.int64
    assert (raw.test and len(raw.test)) == case.test
    assert (raw.search and len(raw.search)) == case.search
    if raw.train.targets.ndim == 1:
        assert len(raw.train.classes) == int(raw.train.targets.max()) + 1
    else:
        assert int(raw.train.targets.max()) < len(raw.train.words)


@pytest.mark.slow_with("docstrings", "prose")
def test_all_examples_are_different(of_source):
    """So that those which the promises trace can be told apart."""
    found = [content for part in of_source.given.values() for content in contents(part)]
    assert len(set(found)) == len(found)


@pytest.mark.slow_with(
    "docstrings-every_load_is_the_same",
    "docstrings-it_loads_examples",
    "prose-every_load_is_the_same",
)
@pytest.mark.parametrize("kept", PROMISES, ids=lambda kept: kept.__name__)
def test_what_is_promised(of_source, kept):
    kept(of_source)
