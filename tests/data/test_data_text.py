"""Texts of a user's file become tokens; what is wrong with a file is said once, and where."""

import importlib.util
import json
import re
import sysconfig
from pathlib import Path

import pytest
import torch
from data_cases import write_csv, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.data import (
    Augment,
    Docstrings,
    Examples,
    Loader,
    Normalise,
    Preprocess,
    Raw,
    Text,
    Vocabulary,
    split_data,
)
from supernet.data import text_docstrings as docstrings
from supernet.data.text_tokens import split_words
from supernet.errors import ConfigError, DataError

TEXTS = ["b a, b c", "A a d'accord", "d'accord B", "c", "rare"]
LABELS = ["x", "y", "y", "x", "x"]


@pytest.fixture
def file(tmp_path):
    write_csv(tmp_path / "mine.csv", TEXTS, LABELS)
    return str(tmp_path / "mine.csv")


def sentences(examples):
    return [" ".join(examples.words[i] for i in row if i) for row in examples.inputs.tolist()]


# How texts become tokens.


def test_words_are_numbered_by_frequency_padded_and_cut(file):
    raw = Text(file, length=3).load()
    # what is cut off, such as the first "c", does not count
    assert raw.train.words == ("<padding>", "<unknown>", "a", "b", "d'accord")
    assert raw.train.inputs.dtype == torch.int64
    assert raw.train.inputs.tolist() == [[3, 2, 1], [2, 2, 4], [4, 3, 0], [1, 0, 0], [1, 0, 0]]
    assert raw.train.targets.tolist() == [0, 1, 1, 0, 0]
    assert raw.train.classes == ("x", "y")
    assert (raw.name, raw.test, raw.augment) == ("mine", None, Augment())


def test_vocabulary_and_least_bound_the_words(file):
    everything = Text(file, least=1).load().train.words
    assert set(everything[2:]) == {"a", "b", "c", "d'accord", ",", "rare"}
    assert Text(file, vocabulary=4, least=1).load().train.words == everything[:4]
    assert set(Text(file, least=3).load().train.words[2:]) == {"a", "b"}


any_texts = st.lists(st.text(max_size=30), max_size=8)


@settings(deadline=None)
@given(any_texts, any_texts, st.integers(1, 12), st.integers(3, 9))
def test_tokens_are_numbers_of_words_and_padding_stands_at_the_end(known, texts, length, size):
    vocabulary = Vocabulary.of(known, size, length)
    assert len(vocabulary.words) <= size
    assert vocabulary.words == Vocabulary.of(known[::-1], size, length).words
    tokens = vocabulary.tokens(texts)
    assert tokens.shape == (len(texts), length)
    for row, text in zip(tokens.tolist(), texts, strict=True):
        words = split_words(text)[:length]
        assert [token == 0 for token in row] == [n >= len(words) for n in range(length)]
        for word, token in zip(words, row, strict=False):
            assert vocabulary.words[token] == word or (token == 1 and word not in vocabulary.words)
    assert torch.equal(vocabulary.tokens(texts), tokens)


def test_case_does_not_matter_and_an_empty_text_is_all_padding():
    vocabulary = Vocabulary.of(["The bee"], 10, 4)
    the, bee = (vocabulary.words.index(word) for word in ("the", "bee"))
    tokens = vocabulary.tokens(["THE Bee", "", "the <padding> bee"])
    assert tokens.tolist() == [[the, bee, 0, 0], [0, 0, 0, 0], [the, 1, 1, 1]]


# The vocabulary of a run.


@settings(deadline=None, max_examples=20)
@given(any_texts, st.integers(1, 5))
def test_a_vocabulary_is_read_as_it_was_written(tmp_path_factory, texts, length):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    vocabulary = Vocabulary.of(texts, 99, length, classes=("no", "yes"))
    vocabulary.write(path)
    assert Vocabulary.read(path) == vocabulary
    content = json.loads(path.read_text())
    assert set(content) == {"words", "length", "classes", "digest"}
    content["length"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed since it was written"):
        Vocabulary.read(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"words": ["a", "b"]}',
        '{"words": ["a", "b", "b"], "length": 3, "classes": []}',
        '{"words": ["a", "b"], "length": 1000000000, "classes": []}',
        '{"words": ["a"], "length": 3, "classes": []}',
        '{"words": ["a", 2], "length": 3, "classes": []}',
        '{"words": ["a", "b"], "length": 0, "classes": []}',
        '{"words": ["a", "b"], "length": "3", "classes": []}',
        '{"words": ["a", "b"], "length": 3, "classes": [1]}',
    ],
)
def test_a_damaged_vocabulary_is_refused(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"vocabulary\.json is no vocabulary.*run folder"):
        Vocabulary.read(path)
    with pytest.raises(DataError, match=r"missing\.json cannot be read: No such file"):
        Vocabulary.read(tmp_path / "missing.json")


def test_the_official_test_file_has_no_influence_on_the_vocabulary(file, tmp_path):
    alone = Text(file, length=4).load()
    test = tmp_path / "test.csv"
    write_csv(test, ["unheard unheard of", "a b"], ["y", "y"])
    raw = Text(file, str(test), length=4).load()
    assert raw.train.words == raw.test.words == alone.train.words
    assert torch.equal(raw.train.inputs, alone.train.inputs)
    a, b = (raw.train.words.index(word) for word in "ab")
    assert raw.test.inputs.tolist() == [[1, 1, 1, 0], [a, b, 0, 0]]
    assert raw.test.targets.tolist() == [1, 1]


# Files.

ROWS = ["one, two", 'say "three"', "one\nthree", "two\u2028ü"]


def test_all_kinds_of_files_are_read_alike(tmp_path):
    labels = ["7", "10", "7", "10"]
    write_lines(tmp_path / "a.jsonl", ROWS, [int(label) for label in labels])
    write_csv(tmp_path / "a.csv", ROWS, labels)
    write_csv(tmp_path / "a.tsv", ROWS, labels, delimiter="\t")
    write_csv(tmp_path / "mark.csv", ROWS, labels, (" text ", "label"))
    content = (tmp_path / "mark.csv").read_bytes()
    (tmp_path / "mark.csv").write_bytes(b"\xef\xbb\xbf" + content + b"\r\n")
    for name in ("a.jsonl", "a.csv", "a.tsv", "mark.csv"):
        train = Text(str(tmp_path / name), least=1, length=5).load().train
        assert train.classes == ("7", "10")  # in the order of numbers
        assert train.targets.tolist() == [0, 1, 0, 1]
        assert sentences(train) == ["one , two", 'say " three "', "one three", "two ü"]


def test_columns_and_encoding_can_be_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,body,kind\n1,naïve naïve,x\n2,b,y\n".encode("latin-1"))
    source = Text(str(path), text="body", label="kind", encoding="latin-1", name="insects")
    assert source.load().train.words[2:] == ("naïve",)
    assert source.load().name == "insects"


BAD = {
    "missing": ("a.csv", None, "a.csv cannot be read: No such file.*check the path"),
    "empty": ("a.csv", b"", "a.csv is empty: it holds no text"),
    "no lines": ("a.jsonl", b"\n\n", "a.jsonl is empty: it holds no text"),
    "header only": ("a.csv", b"text,label\n", "a.csv is empty: it holds no text"),
    "one class": ("a.csv", b"text,label\na a,x\nb,x\n", "label 'x'; a classifier needs two"),
    "bytes": ("a.csv", b"text,label\na,x\nna\xefve,y\n", "line 3: the bytes are no utf-8"),
    "columns": ("a.csv", b"body,label\na,x\n", "there is no 'text', only 'body', 'label'; name"),
    "twice": ("a.csv", b"text,label,text\na,x,b\n", "line 1: there are two columns of one name"),
    "label": ("a.csv", b"text,label\na,x\nb, \n", "line 3: 'label' is ' ', not a label"),
    "few cells": ("a.csv", b"text,label\na,x\nb\n", "line 3: there are 1 cells, but 2 columns"),
    "many cells": ("a.csv", b"text,label\na, b,x\n", "line 2: there are 3 cells.*put quotes"),
    "quotes": ("a.csv", b'text,label\n"a" b,x\n', "line 2: this is no CSV"),
    "open quote": ("a.csv", b'text,label\n"a,x\nb,y\n', "line 3: this is no CSV"),
    "empty texts": ("a.csv", b"text,label\n,x\n  ,y\n", "all texts are empty; check that 'text'"),
    "rare words": ("a.csv", b"text,label\na,x\nb,y\n", "no word occurs 2 times.*smaller `least`"),
    "kind": ("a.txt", b"a", "ends in '.txt'; possible are .csv, .tsv, .jsonl"),
    "JSON": ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', "line 2: this is no JSON"),
    "deep": ("a.jsonl", b"[" * 200_000, "line 1: this is no JSON"),
    "no object": ("a.jsonl", b'["a"]\n', r"line 1: \['a'\] is no object"),
    "no text": ("a.jsonl", b'{"text": 3, "label": "x"}\n', "line 1: 'text' is 3, not a text"),
    "null": ("a.jsonl", b'{"text": "a", "label": null}\n', "line 1: 'label' is None, not a label"),
    "no key": ("a.jsonl", b'{"text": "a"}\n', "line 1: there is no 'label', only 'text'"),
    "no keys": ("a.jsonl", b"{}\n", "line 1: there is no 'text', only nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_also_for_the_test(case, file, tmp_path):
    name, content, message = BAD[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}/.*{message}") as caught:
        Text(str(tmp_path / name)).load()
    assert len(str(caught.value)) < 400
    if case in ("one class", "empty texts", "rare words"):
        return  # a test file may be so
    with pytest.raises(DataError, match=message):
        Text(file, str(tmp_path / name)).load()


def test_a_folder_is_no_file_of_texts(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"a\.csv cannot be read: Is a directory"):
        Text(str(tmp_path / "a.csv")).load()


def test_a_class_that_only_the_test_file_has_is_refused(file, tmp_path):
    write_csv(tmp_path / "test.csv", ["a"], ["wasp"])
    with pytest.raises(DataError, match=r"test.csv has the label\(s\) 'wasp'.*it has 'x', 'y'"):
        Text(file, str(tmp_path / "test.csv")).load()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"least": 0}, "least is 0"),
        ({"vocabulary": 2}, "vocabulary is 2.*at least 3"),
        ({"encoding": "utf-9"}, "encoding 'utf-9' is unknown"),
        ({"encoding": "base64"}, "encoding 'base64' is unknown"),
        ({"label": "text"}, "text and label are both 'text'"),
        ({"test": "./a.csv"}, "test is a.csv too"),
    ],
)
def test_bad_options_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Text("a.csv", **arguments)


# Tokens among other examples.


def test_tokens_pass_through_the_pipeline_as_they_are(file):
    texts, labels = [f"{text} {n}" for n in range(20) for text in TEXTS], 20 * LABELS
    write_csv(Path(file), texts, labels)
    splits = split_data(Text(file, length=6, least=1).load(), seed=0)
    normalise = Normalise.of(splits.train, channels_last=True)
    assert normalise == Normalise(channels_last=True)
    inputs, _ = Loader(splits.train, 16, 0, splits.augment, normalise=normalise).batch(0)
    assert inputs.dtype == torch.int64
    rows = set(map(tuple, splits.train.inputs.tolist()))
    assert all(tuple(row) in rows for row in inputs.tolist())
    assert Preprocess(normalise, inputs[:1])(inputs) is inputs
    with pytest.raises(DataError, match="Augmentation needs images"):
        Augment(crop=1)(inputs, torch.Generator())


WORDS = ("<padding>", "<unknown>", "a")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.tensor([[0, 3]]), "numbered 0 to 2"),
        (torch.tensor([[-1, 2]]), "from -1 to 2 are no tokens"),
        (torch.zeros(1, 1, 2, dtype=torch.int64), r"\[1, 1, 2\]"),
        (torch.zeros(1, 2), "torch.float32"),
    ],
)
def test_tokens_and_words_must_fit(inputs, message):
    with pytest.raises(DataError, match=message):
        Examples(inputs, torch.tensor([0]), ("x", "y"), WORDS)


def test_tokens_of_other_words_are_no_test_split():
    tokens, targets = torch.tensor([[1, 2]]), torch.tensor([0])
    train = Examples(tokens, targets, ("x", "y"), WORDS)
    test = Examples(tokens, targets, ("x", "y"), (*WORDS[:2], "b"))
    with pytest.raises(DataError, match=r"mine: .* other words"):
        Raw("mine", train, test, Augment())


# Docstrings.


@pytest.mark.slow
def test_docstrings_are_different_english_texts_without_the_names_of_packages():
    train = Docstrings(count=30).load().train
    assert train.classes == docstrings.PACKAGES
    assert torch.bincount(train.targets).tolist() == [30] * 5
    assert len(set(map(tuple, train.inputs.tolist()))) > 0.95 * len(train)
    assert {"the", "of", "and", "is", "."} <= set(train.words[:20])
    assert not {"numpy", "scipy", "sklearn", "torch", "pytorch", "python"} & set(train.words)


SOURCE = b'''
raise SystemExit("run")

def one():
    """Return the :class:`~numpy.ndarray` with *eight* words in one line of it.

    And a second paragraph, with torch.nn.Linear left out.

    Parameters
    ----------
    x : all this is left out
    """

class Two:
    """Too short."""
'''


def test_prose_is_read_from_source_that_is_not_run(tmp_path):
    (tmp_path / "mine.py").write_bytes(SOURCE)
    (tmp_path / "broken.py").write_bytes(b"def broken(:")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/left_out.py").write_bytes(SOURCE.replace(b"eight", b"other"))
    assert list(docstrings._texts(tmp_path)) == [
        "Return the with eight words in one line of it. And a second paragraph, with left out."
    ]


@pytest.mark.slow
def test_a_package_that_is_not_there_is_named(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: real(name.replace("scipy", "_no"))
    )
    with pytest.raises(DataError, match="the package scipy is not installed; use another"):
        Docstrings(count=1).load()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="source files of python hold no docstrings here"):
        Docstrings(count=1).load()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"length": 0}, "length is 0"),
        ({"vocabulary": 1}, "is 1, but"),
    ],
)
def test_bad_options_of_docstrings_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Docstrings(**arguments)


def test_texts_that_are_cut_off_are_counted(file):
    (note,) = Text(file, length=3, least=1).load().notes
    assert note.startswith("1 of 5 texts have more than 3 words")
    assert Text(file, length=5, least=1).load().notes == ()
