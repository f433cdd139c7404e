"""Text to be continued: what windows hold, that no split shares text with another, and bad input."""

import json

import pytest
import torch

from supernet.data import Alphabet, Characters, Prose, Vocabulary, split_data
from supernet.errors import ConfigError, DataError


def write(folder, text, name="mine.txt"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    return str(path)


def unique(count):
    """Return a text without a character that comes twice."""
    return "".join(map(chr, range(0x4E00, 0x4E00 + count)))


def texts(alphabet, examples):
    """Return each window with the character after it."""
    found = zip(examples.inputs, examples.targets, strict=True)
    return [alphabet.text(window) + alphabet.text(after[-1:]) for window, after in found]


def test_targets_are_the_next_characters(tmp_path):
    text = "ab cd\r\n" * 40 + "Zürich — 東京 \U0001f600"
    raw = Characters(write(tmp_path, text), length=10).load()
    alphabet = Alphabet(raw.train.words)
    begin = 0
    for part, end in ((raw.train, 0.8), (raw.search, 0.9), (raw.test, 1)):
        stretch = text[begin : round(end * len(text))]
        assert torch.equal(part.inputs[:, 1:], part.targets[:, :-1])
        assert len(part) == (len(stretch) - 1) // 10
        for number, window in enumerate(texts(alphabet, part)):
            expected = stretch[10 * number : 10 * number + 11]
            known = "".join(
                c if c in text[: round(0.8 * len(text))] else "\ufffd" for c in expected
            )
            assert window == known
        begin = round(end * len(text))
    assert (raw.test.targets == 0).any()
    assert not (raw.train.targets == 0).any()


@pytest.mark.parametrize("length", [1, 3, 8])
def test_no_character_is_in_two_splits(tmp_path, length):
    """Every place of the text is in one split only, and in one window's inputs, whatever the seed."""
    text, source = unique(200), Characters(write(tmp_path, unique(200)), length)
    raw = source.load()
    alphabet = Alphabet.of(text)  # tells apart what the training text does not have
    places = {}
    for name, begin, end in (("train", 0, 160), ("search", 160, 180), ("test", 180, 200)):
        part = getattr(source._cut("all", text), name)
        count = len(part) * length
        assert end - begin - length <= count < end - begin
        places[name] = set(text[begin : begin + count + 1])
    assert not places["train"] & places["search"]
    assert not places["search"] & places["test"]
    assert alphabet.text(raw.train.inputs.flatten()) == text[: len(raw.train) * length]
    splits = split_data(raw, 3)
    assert not (splits.train.inputs == 0).any()
    assert (splits.search.inputs == 0).all()  # unknown, as all of it is where it is unique
    assert (splits.test.open("chosen").inputs == 0).all()


def test_the_alphabet_is_that_of_the_training_text(tmp_path):
    raw = Characters(write(tmp_path, "ba" * 40 + "c" * 10 + "d" * 10), 5).load()
    assert raw.train.words == ("<unknown>", "a", "b")
    assert raw.search.words == raw.test.words == raw.train.words
    assert not raw.search.inputs.any()


def test_files_are_one_text_in_the_order_given(tmp_path):
    first, second = write(tmp_path, "b" * 100, "2.txt"), write(tmp_path, "a" * 100, "1.txt")
    write(tmp_path, "c" * 100, "sub/0.txt")
    write(tmp_path, "x" * 100, "notes.md")
    shares = {"length": 4, "search_fraction": 0.01, "test_fraction": 0.02}
    given = Characters(
        [first, second], **{**shares, "search_fraction": 0.03, "test_fraction": 0.03}
    )
    raw = given.load()
    text = Alphabet(raw.train.words).text(raw.train.inputs.flatten())
    assert text == ("b" * 100 + "\n" + "a" * 100)[: len(text)]
    assert given.name == "2"
    raw = Characters(
        str(tmp_path), **{**shares, "search_fraction": 0.03, "test_fraction": 0.03}
    ).load()
    text = Alphabet(raw.train.words).text(raw.train.inputs.flatten())
    assert text == ("a" * 100 + "\n" + "b" * 100 + "\n" + "c" * 100)[: len(text)]
    assert raw.train.words == ("<unknown>", "\n", "a", "b", "c")


def test_an_alphabet_comes_back_from_a_run_folder(tmp_path):
    text = 'Zürich: "東京"\t\U0001f600\n'
    alphabet = Alphabet.of(text)
    Vocabulary(alphabet.words, 8).write(tmp_path / "vocabulary.json")
    again = Alphabet.read(tmp_path / "vocabulary.json")
    assert again == alphabet
    assert again.text(again.tokens(text)) == text
    assert again.tokens("Zü€").tolist() == [again.words.index("Z"), again.words.index("ü"), 0]
    assert again.tokens("").shape == (0,)
    assert json.loads((tmp_path / "vocabulary.json").read_text())["words"][0] == "<unknown>"
    Vocabulary(("<padding>", "<unknown>", "word"), 8).write(tmp_path / "words.json")
    with pytest.raises(DataError, match="holds words, not characters"):
        Alphabet.read(tmp_path / "words.json")


@pytest.mark.slow
def test_prose_has_no_text_twice_and_several_packages():
    raw = Prose(30_000, length=100).load()
    text = Alphabet(raw.train.words).text(raw.train.inputs.flatten())
    lines = text.split("\n")[:-1]
    assert len(set(lines)) == len(lines) > 50
    assert len(text) == 23_900
    assert "array" in text
    assert "tensor" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the text is empty; give files that hold some"),
        (" \n" * 500, "the text is empty"),
        ("a" * 10, "of 10 characters, 8 are for train, too few for one window of 8"),
        ("a" * 60, "of 60 characters, 6 are for search.*a smaller `length`"),
    ],
)
def test_too_little_text_is_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        Characters(write(tmp_path, text), 8).load()
    assert len(Characters(write(tmp_path, "a" * 90), 8).load().test) == 1


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no\.txt cannot be read: .*check the path"):
        Characters(str(tmp_path / "no.txt")).load()
    path = tmp_path / "latin.txt"
    path.write_bytes(b"ok\n" + "Zürich ".encode("latin-1") * 200)
    with pytest.raises(DataError, match=r"line 2: the bytes are no utf-8.*`encoding`"):
        Characters(str(path)).load()
    assert "ü" in Characters(str(path), encoding="latin-1").load().train.words
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no files \.txt"):
        Characters(str(tmp_path / "empty")).load()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file": []}, "file names no file"),
        ({"length": 0}, "length is 0; give a number of characters"),
        ({"search_fraction": 0}, "must be positive"),
        ({"test_fraction": -0.1}, "must be positive"),
        ({"search_fraction": 0.5, "test_fraction": 0.5}, "leave something to train with"),
        ({"encoding": "utf-88"}, "'utf-88' is unknown"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Characters(**{"file": "mine.txt", **options})
