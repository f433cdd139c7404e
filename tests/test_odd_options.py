"""Odd values of options are accepted with all that they lead to, or refused by name, at once."""

from __future__ import annotations

import pytest

from odd_values import HOSTILE, ODD, distinct, outcome
from supernet.errors import ConfigError
from supernet.parser import parse

SAMPLE = [
    ([], "seed", "9" * 5000),
    ([], "train.steps", "1" + "0" * 30),
    ([], "train.optimizer.lr", "null"),
    ([], "train.clip", ".nan"),
    ([], "model.groups", "[" * 3000),
    ([], "split.augment", "[&a [1], *a, *a]"),
    (["--strategy=darts"], "strategy.alpha.clip", "null"),
    (["--search.searcher=evolution"], "search.searcher.mutants", "{a: 1, a: 2}"),
    ([], "search.constraints", "x" * 10**6),
    ([], "config", "/dev/zero"),
]


@pytest.mark.slow_with("first6-strategy.alpha.clip-null", "first8-search.constraints-value8")
@pytest.mark.parametrize(("first", "option", "value"), SAMPLE)
def test_a_sample(first, option, value):
    assert outcome(first, option, value) is None


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_every_option(part):
    found = list(distinct())
    assert len(found) > 300
    faults = {
        (option, value[:20]): fault
        for first, option in found[part::16]
        for value in ODD
        if (fault := outcome(first, option, value)) is not None
    }
    assert not faults


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "option"),
    [
        ([], "seed"),
        ([], "device"),
        ([], "train.clip"),
        ([], "search.constraints"),
        ([], "strategy.vanish"),
        ([], "model.groups"),
        ([], "train"),
        ([], "config"),
        ([], "retrain.model"),
        (["--strategy=darts"], "strategy.alpha.clip"),
        (["--data=folder", "--data.folder=x"], "data.folder"),
    ],
)
def test_hostile_values(first, option):
    faults = {
        value[:20]: fault
        for value in HOSTILE
        if (fault := outcome(first, option, value)) is not None
    }
    assert not faults


def plain(*arguments, base=None):
    return parse("supernet", arguments, base)[1]


def test_null_reaches_what_lies_deeper_than_an_argument():
    found = plain("--strategy=pdarts", "--strategy.alpha.warmup=0.1", "--strategy.alpha.clip=null")
    alpha = found["strategy"]["init_args"]["alpha"]
    assert (alpha["clip"], alpha["warmup"]) == (None, 0.1)


def test_defaults_that_are_objects_are_not_stored_as_something_else():
    stored = plain("--strategy=pdarts")
    assert "stages" not in stored["strategy"]["init_args"]
    config, again = parse("supernet", [], stored)
    assert again == stored
    assert [stage.keep for stage in config.strategy.stages] == [5, 3]


@pytest.mark.slow
def test_a_list_is_read_as_in_a_file():
    """The parser would take 010 for eight, as YAML 1.1 does."""
    groups = plain("--model.groups=[010, 1_0]")["model"]["init_args"]["groups"]
    assert groups == [10, 10]
    assert plain("--config={model: {init_args: {groups: [010, 1_0]}}}") == plain(
        "--model.groups=[010, 1_0]"
    )
    assert plain("--retrain.model={channels: 010}")["retrain"]["model"] == {"channels": 10}


@pytest.mark.slow
def test_a_parser_is_used_again_without_what_was_given_before():
    before = plain()
    assert plain("--strategy=darts", "--train.steps=3", "--model.channels=5") != before
    with pytest.raises(ConfigError):
        plain("--train.steps=4", "--train.clip=x")
    assert plain() == before


def test_empty_groups_in_a_file_are_as_if_left_out(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("train:\n  # steps: 3\nsearch:\nstrategy:\n")
    assert plain("--config", str(file)) == plain()


@pytest.mark.slow_with("arguments14-data.folder is a text", "arguments19-storage is a text")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train.steps=x"], "train.steps cannot be 'x'; possible: a whole number"),
        (["--train.optimizer.lr=x"], "train.optimizer.lr cannot be 'x'; possible: a number"),
        (["--model.groups=x"], r"model.groups cannot be 'x'; possible: a list such as \[1, 2\]"),
        (["--train.schedule=cosin"], "did you mean 'cosine'.*possible: 'cosine', 'linear' or"),
        (["--train=3"], "train is a group of options, not '3'"),
        (["--config={search: [1]}"], r"search is a group of options, not \[1\]"),
        (["--strategy=darts", "--strategy.alpha=3"], "strategy.alpha is a group of options"),
        (["--strategy={class_path: spos, init_args: 3}"], "init_args 3 is no mapping"),
        (["--config={strategy: 3}"], "strategy 3 is no name of a class; possible: alphanet"),
        (["--strategy=SPOSS"], "did you mean 'spos'"),
        (["--task=Classificaton"], "did you mean 'classification'"),
        (["--train.optimizer=AdamWW"], "did you mean 'AdamW'"),
        (["--config={config: x.yaml}"], "names another one"),
        (["--task.label_smoothing=null"], "task.label_smoothing cannot be null"),
        (["--data=folder", "--data.folder=1e3"], "data.folder is a text"),
        (["--config={seed: null}"], "seed cannot be null"),
        (["--seed=9223372036854775808"], "seed is a number of 64 bits"),
        (["--model.groups=[1, 1:30]"], "model.groups.* 1:30 is a time of day"),
        (["--config={train: {lowest: '0:0.5'}}"], "0:0.5 is a time of day"),
        (["--search.searcher=nsga2", "--search.searcher.storage=1e30"], "storage is a text"),
        (["--config={search: {costs: [12]}}"], r"search.costs cannot be '12'; possible: a text \("),
    ],
)
def test_one_sentence_says_what_is_possible(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        plain(*arguments)
    assert "<class" not in str(caught.value)
