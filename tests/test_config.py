"""Options are typed, short names are written out, and what is stored can be read again."""

from __future__ import annotations

import pytest

from supernet.arguments import read_layers
from supernet.errors import ConfigError
from supernet.parser import differences, parse
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


@pytest.mark.slow
def test_resolved_configuration_is_a_fixed_point():
    stored = plain(
        "--strategy=spos", "--train.optimizer=torch.optim.AdamW", "--split.augment.crop=2"
    )
    assert plain(base=stored) == stored


@pytest.mark.slow
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
    read = read_layers([f"--config={file}"], None)[1][1]
    assert read["strategy"] == "supernet.strategies.SPOS"
    assert plain("--config", str(file))["search"]["searcher"]["init_args"]["population"] == 60
    file.write_text("strategy: nonsense\n")
    with pytest.raises(ConfigError, match=r"bender, .*fairnas, .*spos"):
        plain("--config", str(file))


def test_optimizer_is_built_with_its_options():
    import torch

    config, _ = parse(
        "supernet run",
        ["--train.optimizer=torch.optim.AdamW", "--train.optimizer.weight_decay=0.3"],
    )
    optimizer = config.train.optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


def test_a_logger_is_a_class_with_options_or_none():
    assert plain()["logger"] is None
    stored = plain("--logger=wandb", "--logger.project=digits")
    assert stored["logger"]["init_args"]["project"] == "digits"
    assert plain(base=stored) == stored
    renamed = plain("--logger.name=first", base=stored)["logger"]["init_args"]
    assert (renamed["project"], renamed["name"]) == ("digits", "first")
    other = plain("--logger=mlflow", base=stored)["logger"]
    assert other["class_path"] == "supernet.loggers.MLflow"
    assert "project" not in other["init_args"]
    assert plain("--logger=null", base=stored) == plain()
    named = plain("--logger=null", "--logger=tensorboard")["logger"]
    assert named["class_path"] == "supernet.loggers.TensorBoard"
    for wrong, said in {
        "--logger=tensorbord": "did you mean 'tensorboard'",
        "--logger.project=digits": "logger.project is given, but no logger; name one, as --logger",
        "--logger=supernet.strategies.SPOS": "none of the kind that is needed: .*Logger",
        "--logger=os.system": "nothing may be taken from",
    }.items():
        with pytest.raises(ConfigError, match=said):
            plain(wrong)


def test_differences_name_both_values():
    one, two = {"a": {"b": 1, "c": [1]}, "d": {}}, {"a": {"b": 2, "c": [1]}, "e": None, "d": {}}
    assert list(differences(one, two)) == ["a.b: 1 and 2"]
    assert list(differences(one, one)) == []


def test_model_does_not_take_what_the_data_gives():
    with pytest.raises(ConfigError, match="classes"):
        plain("--model.classes=3")


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_same_class_named_again_keeps_its_arguments(tmp_path):
    stored = plain("--search.searcher=random", "--search.searcher.count=7")
    for name in ("random", "RandomSearch", "supernet.search.RandomSearch"):
        again = plain(f"--search.searcher={name}", base=stored)
        assert again["search"]["searcher"]["init_args"]["count"] == 7
    file = tmp_path / "c.yaml"
    file.write_text("search: {searcher: {class_path: random, init_args: {count: 9}}}\n")
    again = plain("--search.searcher=evolution", "--config", str(file), base=stored)
    assert again["search"]["searcher"]["init_args"] == {"count": 9}


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--train.step=7"], "train.steps"),
        (["--trian.steps=7"], "train.steps"),
        (["--stratgy=spos"], "strategy"),
        (["--retrain={tpo: 1}"], "top"),
        (["--search.searcher=random", "--search.searcher.cout=3"], "count"),
        (["--data=folder", "--data.foldr=x"], "folder"),
        (["--train.optimizer=Adam", "--train.optimizer.lrr=1"], "lr"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(arguments, meant):
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'") as caught:
        plain(*arguments)
    assert "few_shot" not in str(caught.value)


def test_an_unknown_option_in_a_file_is_refused_with_the_nearest(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("train: {step: 7}\n")
    with pytest.raises(ConfigError, match=r"'train.step' is not accepted .*did you mean 'steps'"):
        plain("--config", str(file))
    file.write_text("strategy: {class_path: spos, init_args: {colour: 7}}\n")
    with pytest.raises(
        ConfigError, match=r"'strategy.colour' is not accepted .*possible: sampling, "
    ):
        plain("--config", str(file))


def trainings(*arguments: str, base=None):
    found = plain(*arguments, base=base)
    return found["train"], found["few_shot"]["train"], found["retrain"]["train"]


def test_what_training_is_given_holds_for_later_trainings():
    adam = ["--train.optimizer=torch.optim.AdamW", "--train.optimizer.lr=0.003"]
    train, few_shot, retrain = trainings(*adam, "--train.batch_size=16", "--train.steps=9")
    assert few_shot == {**train, "steps": 500}
    assert retrain == {**few_shot, "patience": None}
    assert train["steps"] == 9
    assert (retrain["batch_size"], retrain["optimizer"]["init_args"]["lr"]) == (16, 0.003)


def test_what_later_trainings_are_given_comes_first():
    said = ["--retrain.train.optimizer.lr=0.02", "--retrain.train.batch_size=8"]
    train, few_shot, retrain = trainings(
        *said,
        "--train.optimizer=AdamW",
        "--train.optimizer.weight_decay=0.5",
        "--train.batch_size=16",
    )
    assert retrain["optimizer"]["class_path"] == "torch.optim.AdamW"
    assert retrain["optimizer"]["init_args"]["lr"] == 0.02
    assert retrain["optimizer"]["init_args"]["weight_decay"] == 0.5
    assert (train["batch_size"], few_shot["batch_size"], retrain["batch_size"]) == (16, 16, 8)
    other = trainings("--retrain.train.optimizer=Adam", "--train.optimizer=AdamW")[2]["optimizer"]
    assert other["class_path"] == "torch.optim.Adam"
    assert other["init_args"]["weight_decay"] == 0.0


@pytest.mark.slow
def test_files_hand_training_on_too(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("train: {batch_size: 4, clip: null, optimizer: {class_path: Adam}, steps: 3}\n")
    _, _, retrain = trainings("--config", str(file))
    assert (retrain["batch_size"], retrain["clip"], retrain["steps"]) == (4, None, 500)
    assert retrain["optimizer"]["class_path"] == "torch.optim.Adam"
    stored = plain("--config", str(file), "--retrain.train.batch_size=2")
    assert plain(base=stored) == stored


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["decisions", "architectures", "networks"])
def test_what_random_draws_are_uniform_over_is_an_option_of_strategies_and_of_the_search(sampling):
    for name in (
        "spos",
        "randomnas",
        "sandwich",
        "attentivenas",
        "alphanet",
        "ofa",
        "smash",
        "ghn",
    ):
        default, _ = parse("supernet", [f"--strategy={name}"])
        assert default.strategy.sampling == default.search.sampling == "decisions"
        options = [f"--strategy.sampling={sampling}", f"--search.sampling={sampling}"]
        config, plain = parse("supernet", [f"--strategy={name}", *options])
        assert config.strategy.sampling == config.search.sampling == sampling
        assert plain["search"]["sampling"] == sampling
    with pytest.raises(ConfigError, match="sampling"):
        parse("supernet", ["--search.sampling=paths"])


@pytest.mark.slow
def test_options_that_are_given_together_are_as_those_given_one_by_one():
    together = parse(
        "supernet run", ['--search={"searcher": "exhaustive", "constraints": ["macs <= 9"]}']
    )
    alone = parse(
        "supernet run", ["--search.searcher=exhaustive", "--search.constraints=[macs <= 9]"]
    )
    assert together[1] == alone[1]
    with pytest.raises(ConfigError, match=r"search .*is not YAML"):
        parse("supernet run", ["--search={searcher: ["])
