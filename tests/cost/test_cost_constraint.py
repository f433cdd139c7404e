import pytest

from supernet.cost import Constraint, Constraints, CostTable, Entry
from supernet.errors import ConstraintError
from supernet.space import Architecture, OneOf, Ordered, SearchSpace

SPACE = SearchSpace([Ordered("width", [1, 2, 4]), OneOf("op", "xy")])


def single(label, option, amount):
    return Entry(frozenset([((label, option),)]), amount)


TABLES = {
    "macs": CostTable(
        "macs",
        [
            Entry(frozenset([()]), 1000),
            *[single("width", width, width * 10_000) for width in (1, 2, 4)],
            single("op", "y", 500),
            Entry(frozenset([(("width", 4), ("op", "y"))]), 8),
        ],
    ),
    "params": CostTable("params", [Entry(frozenset([()]), 20), single("op", "y", 9)]),
}


def parse(text):
    return Constraint.parse(text, TABLES, SPACE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macs <= 20000", Constraint("macs", "<=", 20000)),
        ("macs<=2e4", Constraint("macs", "<=", 20000)),
        ("  macs  >=  2.5E+4  ", Constraint("macs", ">=", 25000)),
        ("params <= 20", Constraint("params", "<=", 20)),
        ("params >= 29", Constraint("params", ">=", 29)),
        ("params <= 25.", Constraint("params", "<=", 25)),
        ("params >= .5", Constraint("params", ">=", 0.5)),
        ("params <= 1000", Constraint("params", "<=", 1000)),
        ("macs <= 50%", Constraint("macs", "<=", 41508 / 2)),
        ("macs >= 12.5 %", Constraint("macs", ">=", 41508 / 8)),
        ("params <= 100%", Constraint("params", "<=", 29)),
        ("params >= 100%", Constraint("params", ">=", 29)),
    ],
)
def test_forms(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "macs",
        "macs < 3",
        "macs = 3",
        "<= 3",
        "macs <=",
        "macs <= x",
        "macs <= 1.2.3",
        "macs <= .",
        "macs <= -3",
        "macs <= 3 percent",
        "macs <= 30%%",
        "macs <= 3e",
        "1macs <= 3",
        "macs <= 3, params <= 3",
        "100 >= macs",
    ],
)
def test_what_cannot_be_read_is_explained(text):
    with pytest.raises(ConstraintError, match=r"cannot be read; write 'quantity <= number'"):
        parse(text)


def test_unknown_quantities_list_the_known_ones():
    with pytest.raises(ConstraintError, match=r"bounds 'flops'.*known for macs, params"):
        parse("flops <= 3")


@pytest.mark.parametrize(
    "text", ["macs <= 10999", "macs >= 41509", "macs <= 1%", "macs >= 101%", "macs <= 0"]
)
def test_an_impossible_bound_says_what_is_possible(text):
    with pytest.raises(
        ConstraintError, match=r"reaches from 11,000( \(26\.5 % of the largest\))? to 41,508"
    ) as error:
        parse(text)

    assert repr(text) in str(error.value)
    assert ("26.5 % of the largest" in str(error.value)) == ("%" in text)


@pytest.mark.parametrize("text", ["macs <= 11000", "macs >= 41508"])
def test_the_ends_of_the_range_are_possible(text):
    constraint = parse(text)

    assert sum(constraint.holds(TABLES["macs"].cost(architecture)) for architecture in SPACE) == 1


@pytest.mark.parametrize(
    ("sense", "held"), [("<=", [True, True, False]), (">=", [False, True, True])]
)
def test_bounds_include_their_limit(sense, held):
    constraint = Constraint("macs", sense, 5)

    assert [constraint.holds(cost) for cost in (4.9, 5, 5.1)] == held


def test_several_constraints_must_all_hold():
    constraints = Constraints(["macs >= 20e3", "macs <= 40e3", "params <= 20"], TABLES, SPACE)

    assert constraints.texts == ("macs >= 20e3", "macs <= 40e3", "params <= 20")
    assert [a for a in SPACE if constraints.hold(a)] == [Architecture({"width": 2, "op": "x"})]


def test_no_constraints_hold_for_everything():
    assert all(map(Constraints([], TABLES, SPACE).hold, SPACE))


def test_one_bad_constraint_of_several_is_found():
    with pytest.raises(ConstraintError, match="flops"):
        Constraints(["macs <= 50%", "flops <= 3"], TABLES, SPACE)
