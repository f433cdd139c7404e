"""Cost tables as files: what is written is read, and what does not fit is named."""

import json
import re

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import Constraints, CostTable, LatencyTable, build_latency_table, load_table
from supernet.cost.table_files import space_hash
from supernet.cost.timing import device_name
from supernet.errors import ConfigError, DamagedFileError, SpaceError, StorageError
from supernet.space import OneOf, Ordered, SearchSpace, SomeOf


def model(kernels=(1, 3), label="op", pick=1, deep="deep"):
    inner = sn.Choice({str(k): nn.Conv2d(2, 2, k, padding=k // 2) for k in kernels}, pick, label)
    outer = sn.Choice({deep: nn.Sequential(inner), "flat": nn.Identity()}, label="outer")
    return nn.Sequential(nn.Conv2d(2, 2, 1), outer)


SPACE = sn.SuperNet(model()).space


@pytest.fixture(scope="module")
def table():
    x = torch.randn(3, 2, 5, 5)
    return build_latency_table(sn.SuperNet(model()), x, warmup=1, repeats=3, held_out=2)


@pytest.fixture
def path(tmp_path, table):
    table.save(tmp_path / "table.json")
    return tmp_path / "table.json"


def change(path, function):
    content = json.loads(path.read_text())
    content.pop("digest", None)  # the change is meant
    function(content)
    path.write_text(json.dumps(content))
    return path


def test_a_measured_table_is_read_as_it_was_written(table, path):
    again = load_table(path, SPACE, input_shape=(2, 5, 5), device="cpu")

    assert isinstance(again, LatencyTable)
    assert again.content == table.content
    assert again.quantity == "latency_ms"
    assert again.provenance == table.provenance
    assert again.held_out == table.held_out
    assert [again.cost(a) for a in SPACE] == [table.cost(a) for a in SPACE]
    assert again.range(SPACE) == table.range(SPACE)


def test_the_file_says_what_it_is(path):
    content = json.loads(path.read_text())

    assert (content["schema"], content["quantity"], content["unit"]) == (1, "latency_ms", "ms")
    assert {"paths": [{"outer": "deep", "op": "3"}]}.items() <= content["entries"][2].items()
    assert content["space"]["hash"] == space_hash(SPACE)
    assert content["space"]["decisions"]["op"] == {
        "options": ["1", "3"],
        "pick": [1, 1],
        "conditions": [{"outer": "deep"}],
    }


def test_the_correction_is_part_of_the_costs(path):
    change(path, lambda c: c.update(correction={"offset": 2.0, "factor": 10.0}))
    change(path, lambda c: c["fixed"].update(amount=0.5))
    change(path, lambda c: c.update(entries=entries(deep=1, flat=0.25, one=0.75, three=4)))
    loaded = load_table(path, SPACE)

    assert loaded.cost({"outer": "flat"}) == 2 + 10 * 0.75
    assert loaded.cost({"outer": "deep", "op": "1"}) == 2 + 10 * 2.25
    assert loaded.range(SPACE) == (9.5, 2 + 10 * 5.5)


@pytest.mark.parametrize(("amount", "name"), [(float("nan"), "NaN"), (float("inf"), "Infinity")])
def test_amounts_are_numbers_of_json(path, amount, name):
    changed = change(path, lambda content: content["entries"][1].update(amount=amount))
    with pytest.raises(DamagedFileError, match=f"{name} is no number of JSON"):
        load_table(changed, SPACE)


def test_a_measured_amount_that_was_changed_is_noticed(path):
    content = json.loads(path.read_text())
    content["entries"][0]["amount"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedFileError, match="was changed since it was measured; build it again"):
        load_table(path, SPACE)


def entries(deep, flat, one, three):
    return [
        {"paths": [{"outer": "deep"}], "amount": deep},
        {"paths": [{"outer": "flat"}], "amount": flat},
        {"paths": [{"outer": "deep", "op": "1"}], "amount": one},
        {"paths": [{"outer": "deep", "op": "3"}], "amount": three},
    ]


def by_hand(tmp_path, **changes):
    path = tmp_path / "energy.json"
    content = {"quantity": "energy_mj", "entries": entries(0, 0.1, 1.5, 2), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return path


def test_a_table_by_hand_needs_a_quantity_and_entries_only(tmp_path):
    loaded = load_table(by_hand(tmp_path), SPACE, input_shape=(9, 9), device="cpu")

    assert type(loaded) is CostTable
    assert loaded.quantity == "energy_mj"
    assert loaded.cost({"outer": "flat"}) == 0.1
    assert loaded.cost({"outer": "deep", "op": "3"}) == 2
    constraints = Constraints(["energy_mj <= 75%"], {"energy_mj": loaded}, SPACE)
    assert [constraints.hold(a) for a in SPACE] == [loaded.cost(a) <= 1.5 for a in SPACE]


def test_a_table_by_hand_may_have_a_fixed_part_and_amounts_of_several_paths(tmp_path):
    path = by_hand(
        tmp_path,
        fixed={"amount": 7},
        entries=[
            *entries(0, 0, 0, 0),
            {"paths": [{}], "amount": 10},
            {"paths": [{"outer": "flat"}, {"op": "3"}], "amount": 100},
        ],
    )
    loaded = load_table(path, SPACE)

    assert loaded.cost({"outer": "flat"}) == 117
    assert loaded.cost({"outer": "deep", "op": "1"}) == 17
    assert loaded.cost({"outer": "deep", "op": "3"}) == 117


def test_a_decision_that_costs_nothing_may_be_left_out(tmp_path):
    path = by_hand(tmp_path, entries=entries(1, 2, 0, 0)[:2])

    assert load_table(path, SPACE).range(SPACE) == (1, 2)


def test_numbers_as_options(tmp_path):
    space = SearchSpace([Ordered("width", [8, 16])])
    amounts = [{"paths": [{"width": width}], "amount": width} for width in (8, 16)]

    assert load_table(by_hand(tmp_path, entries=amounts), space).cost({"width": 16}) == 16
    text = [{"paths": [{"width": "8"}], "amount": 1}]
    with pytest.raises(
        SpaceError, match=r"names options \['8'\] of 'width', but that has \[8, 16\]"
    ):
        load_table(by_hand(tmp_path, entries=text), space)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (model(kernels=(1, 5)), r"options of 'op': \['1', '3'\] in the table, \['1', '5'\] here"),
        (model(pick=(1, 2)), r"pick of 'op': \[1, 1\] in the table, \[1, 2\] here"),
        (model(label="kernel"), r"'kernel' is in this space only; 'op' is in the table only"),
        (nn.Sequential(model(), model(label="more")), r"'more' is in this space only"),
        (
            model(deep="low"),
            r"options of 'outer': .*; conditions of 'op': \[{'outer': 'deep'}\] in",
        ),
    ],
)
def test_another_space_is_told_apart_by_its_decisions(path, other, difference):
    with pytest.raises(SpaceError, match=f"made for another space, which differs in.*{difference}"):
        load_table(path, sn.SuperNet(other).space)


def test_many_differences_are_not_all_listed(path):
    space = SearchSpace([OneOf(f"d{i}", "ab") for i in range(9)])

    with pytest.raises(SpaceError, match=r"'d4' is in this space only; and 6 more"):
        load_table(path, space)


def test_the_hash_depends_on_decisions_and_conditions_only():
    a, b = OneOf("a", "xy"), SomeOf("b", "pq", 1, 2)
    spaces = [
        SearchSpace([a, b]),
        SearchSpace([a, b], {"b": [(("a", "x"),)]}),
        SearchSpace([a, b], {"b": [(("a", "y"),)]}),
        SearchSpace([a, SomeOf("b", "pq", 2, 2)]),
        SearchSpace([a, SomeOf("b", "pr", 1, 2)]),
        SearchSpace([a]),
    ]

    assert len({space_hash(space) for space in spaces}) == len(spaces)
    assert space_hash(SearchSpace([b, a], canonical=lambda x: x)) == space_hash(spaces[0])


def test_another_input_is_refused(path):
    with pytest.raises(ConfigError, match=r"on inputs of shape \[2, 5, 5\] .*not \[2, 8, 8\]"):
        load_table(path, SPACE, input_shape=(2, 8, 8))


def test_another_device_is_refused_unless_any_will_do(path):
    change(path, lambda c: c["provenance"].update(device="NVIDIA H900"))
    here = device_name(torch.device("cpu"))

    message = re.escape(f"measured on 'NVIDIA H900', but this device is {here!r}")
    with pytest.raises(ConfigError, match=message):
        load_table(path, SPACE, device="cpu")
    assert load_table(path, SPACE, device="cpu", other_device=True).provenance["device"] != here
    assert load_table(path, SPACE).provenance["device"] == "NVIDIA H900"
    with pytest.raises(ConfigError, match="'nonsense' cannot be used here"):
        load_table(path, SPACE, device="nonsense")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda c: c.update(schema=2), r"its schema is 2, but this version of supernet reads 1"),
        (lambda c: c.update(schema=None), r"its schema is None"),
        (lambda c: c.pop("entries"), r"the key 'entries' is missing"),
        (lambda c: c.pop("fixed"), r"the key 'fixed' is missing"),
        (lambda c: c.pop("provenance"), r"the key 'provenance' is missing"),
        (lambda c: c["provenance"].pop("device"), r"the key 'provenance.device' is missing"),
        (lambda c: c["provenance"].update(threads="4"), r"'provenance.threads' cannot be '4'"),
        (lambda c: c["provenance"].update(input_shapes=[3]), r"must list the shape of each input"),
        (lambda c: c["provenance"].update(input_shapes=[]), r"must list the shape of each input"),
        (lambda c: c["space"].pop("decisions"), r"the key 'space.decisions' is missing"),
        (lambda c: c["space"]["decisions"].update(op=3), r"an object for each decision"),
        (lambda c: c.update(space=[]), r"'space' cannot be \[\]"),
        (lambda c: c.update(quantity=3), r"'quantity' cannot be 3"),
        (
            lambda c: c["entries"][0].update(amount=-1),
            r"entries\[0\].amount must be .*not negative.*-1",
        ),
        (lambda c: c["entries"][1].update(amount=10**400), r"entries\[1\].amount must be finite"),
        (
            lambda c: c["entries"][1].update(amount="2"),
            r"entries\[1\].amount must be a number, not '2'",
        ),
        (lambda c: c["entries"][1].update(amount=True), r"must be a number, not True"),
        (lambda c: c["entries"][1].pop("amount"), r"entries\[1\].amount is missing"),
        (lambda c: c["entries"][1].update(spread=-1), r"entries\[1\].spread must be"),
        (lambda c: c["fixed"].update(amount=-1), r"fixed.amount must be"),
        (lambda c: c.update(correction={"offset": 1.0}), r"correction.factor is missing"),
        (
            lambda c: c.update(correction={"offset": 1.0, "factor": -1.0}),
            r"correction.factor must be",
        ),
        (
            lambda c: c.update(correction={"offset": -1e9, "factor": 1.0}),
            r"predicts negative times",
        ),
    ],
)
def test_a_changed_file_is_refused(path, function, message):
    with pytest.raises(ConfigError, match=message):
        load_table(change(path, function), SPACE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": None}, r"the key 'quantity' is missing"),
        ({"entries": None}, r"the key 'entries' is missing"),
        ({"entries": {}}, r"'entries' cannot be {}"),
        ({"entries": [3]}, r"entries\[0\] must be an object"),
        ({"entries": [{"amount": 1}]}, r"entries\[0\] must be an object"),
        ({"entries": [{"paths": [], "amount": 1}]}, r"entries\[0\].paths must list one or more"),
        ({"entries": [{"paths": [["op", "1"]], "amount": 1}]}, r"objects {label: option"),
        ({"entries": [{"paths": [{"op": None}], "amount": 1}]}, r"objects {label: option"),
        ({"entries": entries(1, 1, 1, 1) * 2}, r"entries\[4\] has the paths of an earlier entry"),
        ({"quantity": "energy in mJ"}, r"'energy in mJ' must be a name such as energy_mj"),
        ({"fixed": 3}, r"fixed must be an object"),
    ],
)
def test_a_faulty_table_by_hand_is_explained(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_table(by_hand(tmp_path, **changes), SPACE)


def test_all_that_is_wrong_is_named_at_once(tmp_path):
    path = by_hand(tmp_path, entries=entries(-1, "x", -2, 0))

    with pytest.raises(ConfigError, match=r"entries\[0\].*entries\[1\].*entries\[2\]"):
        load_table(path, SPACE)
    many = [{"paths": [{"op": str(i)}], "amount": -1} for i in range(8)]
    with pytest.raises(ConfigError, match=r"entries\[4\].*; and 3 more"):
        load_table(by_hand(tmp_path, entries=many), SPACE)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"op": "9"}, r"names options \['9'\] of 'op', but that has \['1', '3'\]"),
        ({"kernel": "3"}, r"of 'kernel', but the space has \['op', 'outer'\]"),
    ],
)
def test_unknown_options_are_named(tmp_path, which, message):
    path = by_hand(tmp_path, entries=[*entries(1, 1, 1, 1), {"paths": [which], "amount": 1}])

    with pytest.raises(SpaceError, match=message):
        load_table(path, SPACE)


def test_forgotten_options_are_named(tmp_path):
    path = by_hand(tmp_path, entries=entries(1, 1, 1, 1)[:3])

    with pytest.raises(SpaceError, match=r"no amounts for the options \['3'\] of 'op'.*amount 0"):
        load_table(path, SPACE)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"quantity": "e", "entries": [}'])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_bytes(content)

    with pytest.raises(DamagedFileError, match=r"table.json is no JSON .*build it again"):
        load_table(path, SPACE)


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null"])
def test_other_json_is_no_table(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_text(content)

    with pytest.raises(ConfigError, match=r'it must be an object {"quantity"'):
        load_table(path, SPACE)


def test_files_that_cannot_be_read_or_written_are_told(tmp_path, table):
    with pytest.raises(ConfigError, match=r"none.json cannot be read: No such file"):
        load_table(tmp_path / "none.json", SPACE)
    with pytest.raises(ConfigError, match="cannot be read: it is a folder"):
        load_table(tmp_path, SPACE)
    with pytest.raises(StorageError):
        table.save(tmp_path / "none" / "table.json")
