"""How rows of a table become inputs is kept, and makes inputs of further rows by itself."""

from pathlib import Path

import pytest
import torch

import supernet as sn
from supernet.data import Table, TableEncoding
from supernet.errors import DataError


def write(path, text):
    path.write_text(text)
    return str(path)


def test_an_encoding_that_was_written_needs_no_rows_to_train_with(tmp_path):
    train = write(tmp_path / "train.csv", "a,b,c,y\n1,x,,p\n,z,2,q\n3,x,4,p\n")
    table = Table(train)
    written = table.load().encoding
    written.write(tmp_path / "encoding.json")
    new = write(tmp_path / "new.csv", "c;extra;b;a\n;u;z;1,5\n2;u;new;\n")
    expected = table.inputs(new)
    Path(train).unlink()
    read = TableEncoding.read(tmp_path / "encoding.json")
    assert read == written
    assert read.classes == ("p", "q")
    found = read.inputs(new)
    torch.testing.assert_close(found, expected, equal_nan=True)
    gaps = [[0.0, 1.0], [1.0, 0.0]]
    categories = [[0.0, 1.0], [0.0, 0.0]]
    nan = float("nan")
    by_hand = [[1.5, nan, *gaps[0], *categories[0]], [nan, 2.0, *gaps[1], *categories[1]]]
    torch.testing.assert_close(found, torch.tensor(by_hand), equal_nan=True)


def test_an_encoding_is_written_for_embedded_categories_and_numbers_too(tmp_path):
    train = write(tmp_path / "train.csv", "a,b,y\n1,x,0.5\n2,z,1.5\n3,x,2.5\n")
    table = Table(train, embed=True, predict="numbers")
    table.load().encoding.write(tmp_path / "encoding.json")
    read = TableEncoding.read(tmp_path / "encoding.json")
    assert read.classes == ()
    found = read.inputs(train)
    assert found["numbers"].tolist() == [[1.0], [2.0], [3.0]]
    assert found["categories"].tolist() == [[1], [2], [1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("[]", "no encoding of a table"),
        ('{"numbers": [], "gaps": [], "categories": {}}', "no columns"),
        ('{"numbers": ["a"], "gaps": ["b"], "categories": {}}', "two meanings"),
        ('{"numbers": ["a"], "gaps": [], "categories": {"a": ["x"]}}', "two meanings"),
        ('{"numbers": ["a"], "gaps": [], "categories": {}, "digest": "0"}', "changed"),
    ],
)
def test_what_is_no_encoding_is_refused(tmp_path, content, said):
    path = tmp_path / "encoding.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=said):
        TableEncoding.read(path)


@pytest.mark.slow
def test_a_run_keeps_the_encoding_of_a_table(tmp_path):
    rows = [f"{i % 7},{'xyz'[i % 3]},{'pq'[i % 2]}" for i in range(40)]
    file = write(tmp_path / "train.csv", "\n".join(["a,b,y", *rows]) + "\n")
    options = {"train.steps": 2, "retrain.train.steps": 2, "retrain.top": 1, "model.depths": [1]}
    given = {"strategy": "spos", "options": {**options, "search.searcher.count": 2}}
    result = sn.run("mlp", file, searcher="random", out=tmp_path / "run", progress=False, **given)
    expected = Table(file).inputs(file)
    Path(file).unlink()
    read = TableEncoding.read(tmp_path / "run/encoding.json")
    again = write(tmp_path / "again.csv", "\n".join(["a,b,y", *rows]))
    assert torch.equal(read.inputs(again), expected)
    assert result.metrics["data"]["columns"] == 2
