"""The shipped configurations are listed, shown, copied and named."""

from __future__ import annotations

import json

import pytest

from supernet.errors import ConfigError
from supernet.parser import parse
from supernet.shipped import config_path, shipped, shipped_path


def plain(*arguments: str) -> dict:
    return parse("supernet run", arguments)[1]


def test_all_are_listed_with_what_they_are(call):
    code, out, _ = call("configs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(shipped())
    assert all(len(line.split()) > 1 and len(line) <= 100 for line in out.splitlines())
    assert call("configs", "list") == (0, out, "")
    listed = json.loads(call("configs", "--json")[1])
    assert listed["digits/spos"] == "Single-path training and evolution on the same space"


def test_one_is_shown_and_copied_and_means_the_same(call, tmp_path):
    text = shipped_path("digits/spos").read_text()
    assert call("configs", "show", "digits/spos") == (0, text, "")
    assert json.loads(call("configs", "show", "digits/spos", "--json")[1])["text"] == text
    file = tmp_path / "mine.yaml"
    assert call("configs", "copy", "digits/spos", str(file))[0] == 0
    assert file.read_text() == text
    assert plain("--config", str(file)) == plain("--config=digits/spos")
    file.write_text("seed: 3")
    code, _, err = call("configs", "copy", "digits/spos", str(file))
    assert code == 2
    assert "is there already" in err
    assert file.read_text() == "seed: 3"


def test_a_file_of_the_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_path("digits/spos") == shipped_path("digits/spos")
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/spos").write_text("seed: 3\n")
    assert plain("--config=digits/spos")["seed"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "digits/spo"], "did you mean 'digits/spos'"),
        (["shw"], "did you mean 'show'"),
        (["show"], "after show 0 words"),
        (["copy", "digits/spos"], "after copy 1 words"),
        (["list", "digits/spos"], "after list 1 words"),
        (["copy", "digits/spos", "no/such/folder.yaml"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, said, call):
    code, out, err = call("configs", *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_a_name_that_nearly_fits_is_told_which_was_meant():
    with pytest.raises(ConfigError, match="did you mean 'digits/spos'"):
        plain("--config=digits/sposs")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        plain("--config=somewhere/else/mine.yaml")
