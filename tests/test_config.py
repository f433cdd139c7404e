"""Options are typed, short names are written out, and what is stored can be read again."""

from __future__ import annotations

import pytest

from supernet.arguments import read_config_file
from supernet.config import differences, parse
from supernet.errors import ConfigError
from supernet.search import Evolution
from supernet.strategies import SPOS


def plain(*arguments: str, base=None):
    return parse("supernet run", arguments, base)[1]


def test_short_names_stand_for_classes():
    config, stored = parse("supernet run", ["--strategy", "spos", "--search.searcher=evolution"])
    assert isinstance(config.strategy, SPOS)
    assert isinstance(config.search.searcher, Evolution)
    by_class = plain("--strategy=supernet.strategies.SPOS", "--search.searcher=Evolution")
    assert list(differences(stored, by_class)) == []


def test_resolved_configuration_is_a_fixed_point():
    stored = plain(
        "--strategy=spos", "--train.optimizer=torch.optim.AdamW", "--split.augment.crop=2"
    )
    assert plain(base=stored) == stored


def test_later_options_win(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("seed: 3\ntrain: {steps: 7}\n")
    assert plain("--config", str(file))["seed"] == 3
    both = plain("--config", str(file), "--train.steps=9")
    assert (both["seed"], both["train"]["steps"]) == (3, 9)
    assert plain("--seed=5", base=both)["seed"] == 5


def test_short_names_in_files(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "strategy: spos\nsearch:\n  searcher: {class_path: evolution, init_args: {population: 60}}\n"
    )
    read = read_config_file(file)
    assert read["strategy"] == "supernet.strategies.SPOS"
    assert plain("--config", str(file))["search"]["searcher"]["init_args"]["population"] == 60
    file.write_text("strategy: nonsense\n")
    with pytest.raises(ConfigError, match=r"bender, .*fairnas, .*spos"):
        read_config_file(file)


def test_optimizer_is_built_with_its_options():
    import torch

    config, _ = parse(
        "supernet run",
        ["--train.optimizer=torch.optim.AdamW", "--train.optimizer.weight_decay=0.3"],
    )
    optimizer = config.train.optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


def test_differences_name_both_values():
    one, two = {"a": {"b": 1, "c": [1]}, "d": {}}, {"a": {"b": 2, "c": [1]}, "e": None, "d": {}}
    assert list(differences(one, two)) == ["a.b: 1 and 2"]
    assert list(differences(one, one)) == []


def test_model_does_not_take_what_the_data_gives():
    with pytest.raises(ConfigError, match="classes"):
        plain("--model.classes=3")


def test_another_class_does_not_inherit_the_arguments_of_the_one_before(tmp_path):
    assert plain("--search.searcher=randomnas")["search"]["searcher"]["init_args"]["count"] == 1000
    assert plain("--model=nasbench-macro")["model"]["init_args"]["channels"] == 32
    adam = plain("--train.optimizer=torch.optim.AdamW")["train"]["optimizer"]["init_args"]
    assert adam["lr"] == 1e-3
    stored = plain("--search.searcher=random", "--search.searcher.count=7")
    again = plain("--search.searcher=randomnas", base=stored)
    assert again["search"]["searcher"]["init_args"]["count"] == 1000
    file = tmp_path / "c.yaml"
    file.write_text("model: {class_path: bender, init_args: {channels: 5}}\n")
    other = plain("--config", str(file), "--model", "nasbench201", "--model.cells=1")
    assert other["model"]["init_args"]["channels"] == 16
    assert other["model"]["init_args"]["cells"] == 1


def test_the_same_class_named_again_keeps_its_arguments(tmp_path):
    stored = plain("--search.searcher=random", "--search.searcher.count=7")
    for name in ("random", "RandomSearch", "supernet.search.RandomSearch"):
        again = plain(f"--search.searcher={name}", base=stored)
        assert again["search"]["searcher"]["init_args"]["count"] == 7
    file = tmp_path / "c.yaml"
    file.write_text("search: {searcher: {class_path: random, init_args: {count: 9}}}\n")
    again = plain("--search.searcher=evolution", "--config", str(file), base=stored)
    assert again["search"]["searcher"]["init_args"] == {"count": 9}
