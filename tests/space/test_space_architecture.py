import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import patient

from supernet.errors import SpaceError
from supernet.space import Architecture

VALUES = {"cell.op": "conv3", "inputs": ("a", "b"), "width": 32, "ratio": 0.25}

options = st.text(max_size=3) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
architectures = st.dictionaries(
    st.text(max_size=3), options | st.lists(options, max_size=3).map(tuple), max_size=4
).map(Architecture)


def test_key_does_not_drift():
    """Keys are stored in files: a change here makes every old run unreadable."""
    assert Architecture(VALUES).key == "7145f2bfc80adccd"


def test_order_of_decisions_does_not_matter():
    one, two = Architecture(VALUES), Architecture(dict(reversed(VALUES.items())))

    assert one == two
    assert (hash(one), one.key, one.to_json()) == (hash(two), two.key, two.to_json())


@pytest.mark.parametrize(
    "other",
    [
        {**VALUES, "width": 31},
        {**VALUES, "width": "32"},
        {**VALUES, "inputs": ("b", "a")},
        {**VALUES, "inputs": ("a",)},
        {**VALUES, "cell.op": ("conv3",)},
        {label: value for label, value in VALUES.items() if label != "ratio"},
    ],
)
def test_any_difference_makes_another_architecture(other):
    assert Architecture(other) != Architecture(VALUES)
    assert Architecture(other).key != Architecture(VALUES).key


@patient
@given(architectures)
def test_json_round_trip(architecture):
    back = Architecture.from_json(architecture.to_json())

    assert back == architecture
    assert back.to_json() == architecture.to_json()
    assert json.loads(architecture.to_json()).keys() == architecture.keys()


@patient
@given(architectures, architectures)
def test_equal_architectures_have_equal_hashes_and_keys(one, two):
    assert (one == two) == (one.key == two.key)
    assert one != two or hash(one) == hash(two)


def test_whole_numbers_are_equal_however_they_are_written():
    one, two = Architecture({"w": 2, "s": (1, 4)}), Architecture({"w": 2.0, "s": (1.0, 4)})

    assert one == two
    assert one.key == two.key


def test_lists_become_tuples_and_later_changes_of_the_input_are_not_seen():
    inputs = ["a", "b"]
    values = {"inputs": inputs}
    architecture = Architecture(values)

    inputs.append("c")
    values["more"] = "x"

    assert dict(architecture) == {"inputs": ("a", "b")}
    assert hash(architecture) == hash(Architecture({"inputs": ("a", "b")}))


def test_it_cannot_be_changed():
    architecture = Architecture(VALUES)

    with pytest.raises(TypeError):
        architecture["width"] = 1
    with pytest.raises(TypeError):
        del architecture["width"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_are_equal(copied):
    architecture = Architecture(VALUES)

    assert copied(architecture) == architecture
    assert copied(architecture).key == architecture.key


def test_it_is_a_mapping_but_no_plain_dictionary():
    architecture = Architecture(VALUES)

    assert {**architecture} == VALUES
    assert architecture != VALUES


@pytest.mark.parametrize(
    "values",
    [
        {1: "a"},
        {"a": None},
        {"a": True},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": {"b": 1}},
        {"a": [["b"]]},
        {"a": (True,)},
    ],
)
def test_what_is_no_answer_is_refused(values):
    with pytest.raises(SpaceError, match=r"label|answer"):
        Architecture(values)


@pytest.mark.parametrize("text", ["", "{", "[]", '"a"', "1", "null", '{"a": null}', '{"a": NaN}'])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(SpaceError):
        Architecture.from_json(text)
