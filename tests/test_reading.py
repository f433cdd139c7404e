"""What users wrote is read within bounds, and what is wrong with it is said with its place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from supernet.errors import ConfigError
from supernet.reading import check_text, plain_value, read_text, shown, usable_path, yaml_value
from supernet.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: [x, 'y', null, ~]\n", {"a": 1, "b": ["x", "y", None, None]}),
        ("day: 2024-01-31", {"day": "2024-01-31"}),
        ("[1e3, 010, 0x1f, -1_000, +.5, 3.]", [1000.0, 10, 31, -1000, 0.5, 3.0]),
        ("[yes, off, True, 'no', n]", [True, False, True, "no", "n"]),
        ("1: {x: {}}\ntrue: []", {"1": {"x": {}}, "true": []}),
        ("- |\n  two\n  lines\n- >-\n  one\n  line", ["two\nlines\n", "one line"]),
        ("١٢", "١٢"),
        ("- -0.0\n- -0", [0.0, 0]),
    ],
)
def test_yaml_is_plain_data(text, value):
    found = yaml_value(text, "it")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", r"'a' is given twice \(line 3, column 1\)"),
        ("a: &x [1]\nb: *x", r"anchors and aliases .*line 1"),
        ("<<: *x", "aliases"),
        ("a: !!python/object/apply:os.system ['x']", "tags such as"),
        ("a: !!str 3", "tags such as"),
        ("[" * 3000, "within each other"),
        ("- " * 3000 + "x", "within each other"),
        ("{a: " * 40 + "}" * 40, "within each other"),
        ("? [1, 2]\n: 3", "a name is expected"),
        ("{'': 3}", "a name is expected"),
        ("---\na: 1\n---\nb: 2", "second document"),
        ("a: [", "is not YAML.* line 2"),
        ("a: 1\n\tb: 2", "is not YAML.* line 2"),
        ("a: .inf", "not a finite number"),
        ("a: -.NaN", "not a finite number"),
        ("a: 1e999", "not a finite number"),
        ("a: " + "9" * 20_000, "20,000 digits"),
        ("a: 'x\0'", "control character"),
        ('a: "x\\0"', "control character"),
        ("a: \ud800", "no UTF-8"),
        ("a: " + "x" * 300_000, "300,003 characters"),
    ],
)
def test_yaml_out_of_bounds_is_refused(text, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        yaml_value(text, "the file")
    assert str(caught.value).startswith("the file")
    assert len(str(caught.value)) < 300


def test_values_from_python_become_plain():
    given = {"a": (1, Path("x")), "b": np.float32(0.5), "c": torch.tensor(3), "d": np.bool_(True)}
    found = plain_value(given, "o")
    assert found == {"a": [1, "x"], "b": 0.5, "c": 3, "d": True}
    assert [type(one) for one in found.values()] == [list, float, int, bool]


@pytest.mark.slow
def test_values_from_python_are_bounded():
    twice: list = []
    for _ in range(30):
        twice = [twice, twice]
    itself: list = []
    itself.append(itself)
    for value, reason in (
        (twice, "too deep or too long"),
        (itself, "too deep or too long"),
        ({"a": {1: 2}}, "names within o.a are texts, not 1"),
        ({"a": {"": 2}}, "names within o.a are texts"),
        ({"a": float("nan")}, "o.a is nan"),
        ([float("inf")], "o is inf"),
        (10**5000, "bits"),
        (2**63, "64 bits"),
        (b"x", "texts, numbers, lists"),
        ({1, 2}, "texts, numbers, lists"),
        (np.zeros(3), "texts, numbers, lists"),
        (torch.nn.ReLU(), "texts, numbers, lists"),
        ("a\0", "control character"),
        ("\udcff", "no UTF-8"),
    ):
        with pytest.raises(ConfigError, match=reason):
            plain_value(value, "o")


def test_files_are_read_within_bounds(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_text(file, "it") == "a: 1"
    file.write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match="line 2 holds the byte 0xff; save it as UTF-8"):
        read_text(file, "it")
    with pytest.raises(ConfigError, match="more than 5 bytes"):
        read_text(file, "it", longest=5)
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "no ordinary file"),
        ("/dev/zero", "no ordinary file"),
        (tmp_path / "none", "No such file"),
        (file / "below", "Not a directory"),
        ("x" * 5000, "too long"),
        ("a\0b", "not 'a"),
        ("", "not ''"),
        (b"x", "not b'x'"),
        (None, "not None"),
    ):
        with pytest.raises(ConfigError, match=reason):
            read_text(path, "it")


def test_a_path_may_begin_at_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/some/where")
    assert usable_path("~/x", "it") == Path("/some/where/x")


def test_long_values_are_cut_in_messages():
    assert shown("x" * 10**6) == "'" + "x" * 78 + "…"
    assert "bits" in shown(10**5000)
    assert shown("a\ud800") == r"'a\ud800'"
    check_text("two\nlines\t\r", "it")


def test_the_nearest_name():
    known = ["bender", "spos", "fairnas"]
    assert nearest("SPOSS", known) == "spos"
    assert did_you_mean("fairnass", known) == "; did you mean 'fairnas'?"
    assert (
        did_you_mean("x" * 10**6, known)
        == did_you_mean("zzz", known)
        == did_you_mean(3, known)
        == ""
    )
