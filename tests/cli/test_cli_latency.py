"""Latency tables from the command line, and what they bound."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

MODEL = [
    "--model=nasbench-macro",
    "--model.channels=2",
    "--model.features=4",
    "--model.stages=[1,2]",
    "--split.limit=200",
]
SHORT = [
    "--train.steps=4",
    "--train.batch_size=16",
    "--retrain.train.steps=3",
    "--retrain.train.batch_size=16",
    "--retrain.top=1",
    "--search.searcher=exhaustive",
]


@pytest.fixture
def measured(tmp_path, call):
    out = tmp_path / "run"
    code, printed, err = call("latency", "--out", str(out), "--repeats=3", "--batch_size=4", *MODEL)
    assert code == 0, err
    assert "error on 10 networks measured whole" in printed
    return out


def costs(out):
    return ["--search.costs", json.dumps([str(out / "latency.json")])]


@pytest.mark.slow
def test_a_measured_table_bounds_the_search(measured, call):
    table = json.loads((measured / "latency.json").read_text())
    assert table["provenance"]["batch_size"] == 4
    run = ["run", "--out", str(measured), *SHORT, *costs(measured)]
    _, _, refusal = call(*run, "--search.constraints", "[latency_ms <= 0.000001]")
    # Between the cheapest and the dearest, wherever a busy machine has measured them.
    cheapest, dearest = map(float, re.search(r"from (\S+) to (\S+) in", refusal).groups())
    middle = (cheapest + dearest) / 2
    code, out, err = call(*run, "--search.constraints", f"[latency_ms <= {middle}]")
    assert code == 0, err
    assert "latency" in out
    with sqlite3.connect(measured / "candidates.db") as connection:
        found = [ms for (ms,) in connection.execute("SELECT latency_ms FROM candidates")]
    assert 0 < len(found) < 27
    assert all(isinstance(ms, float) and 0 < ms <= middle for ms in found)
    metrics = json.loads((measured / "metrics.json").read_text())
    assert metrics["latency"]["networks"] == 10
    assert metrics["retrain"]["candidates"][0]["latency_ms"] in found


@pytest.mark.slow
def test_candidates_have_the_costs_of_the_table_that_is_named_now(measured, call):
    assert call("run", "--out", str(measured), *SHORT)[0] == 0
    code, _, err = call("run", "--out", str(measured), *SHORT, *costs(measured))
    assert code == 0, err
    with sqlite3.connect(measured / "candidates.db") as connection:
        rows = connection.execute("SELECT latency_ms FROM candidates").fetchall()
    assert len(rows) == 27
    assert all(ms is not None for (ms,) in rows)


@pytest.mark.slow
def test_tables_made_for_something_else_are_refused(measured, tmp_path, call):
    path = measured / "latency.json"
    whole = json.loads(path.read_text())
    other = ["--out", str(tmp_path / "other"), *SHORT, *costs(measured)]

    def refused(words, *options, **changes):
        changed = json.loads(json.dumps(whole))
        del changed["digest"]  # the change is meant
        changed["provenance"].update(changes)
        path.write_text(json.dumps(changed))
        code, _, err = call("run", *other, *options)
        assert code == 2
        assert words in err
        assert not (tmp_path / "other" / "supernet.pt").exists()

    refused("made for another space")
    refused("another space", *MODEL, "--model.stages=[1,1]")
    refused("inputs of shape [3, 9, 9]", *MODEL, input_shapes=[[3, 9, 9]])
    refused("--search.other_device true", *MODEL, device="a phone")
    path.write_text("{")
    code, _, err = call("run", *other, *MODEL)
    assert code == 2
    assert "latency.json" in err


@pytest.mark.slow
def test_a_table_of_another_device_may_be_allowed(measured, tmp_path, call):
    path = measured / "latency.json"
    content = json.loads(path.read_text())
    del content["digest"]  # the change is meant
    content["provenance"]["device"] = "a phone"
    path.write_text(json.dumps(content))
    other = ["--out", str(tmp_path / "other"), *MODEL, *SHORT, *costs(measured)]
    code, _, err = call("run", *other, "--search.other_device=true")
    assert code == 0, err


@pytest.mark.slow
def test_two_tables_of_one_quantity_are_refused(measured, tmp_path, call):
    twice = json.dumps([str(measured / "latency.json")] * 2)
    code, _, err = call(
        "run", "--out", str(tmp_path / "o"), *MODEL, *SHORT, "--search.costs", twice
    )
    assert code == 2
    assert "for which there is a table already" in err


def test_help_of_latency(capsys):
    from supernet.cli import main

    assert main(["latency", "--help"]) == 0
    assert "--precision" in capsys.readouterr().out


@pytest.mark.slow
def test_measuring_gives_nothing_up(tmp_path, call):
    out = tmp_path / "run"
    assert call("run", "--out", str(out), *MODEL, *SHORT)[0] == 0
    config, metrics = (
        (out / "config.yaml").read_bytes(),
        json.loads((out / "metrics.json").read_text()),
    )
    for options in ([], ["--retrain.top=2"], ["--model.stages=[1]"]):
        table = str(tmp_path / "table.json")
        code, _, err = call("latency", "--run", str(out), "--table", table, "--repeats=2", *options)
        assert code == 0, err
    after = json.loads((out / "metrics.json").read_text())
    del metrics["digest"]
    assert {name: after[name] for name in metrics} == metrics
    assert (out / "config.yaml").read_bytes() == config


@pytest.mark.slow
def test_another_table_in_the_same_file_repeats_the_search(measured, call):
    assert call("run", "--out", str(measured), *SHORT, *costs(measured))[0] == 0
    path = measured / "latency.json"
    content = json.loads(path.read_text())
    del content["digest"]  # the change is meant
    content["fixed"]["amount"] += (
        1000  # more than a busy machine may have added to or taken from it
    )
    path.write_text(json.dumps(content))
    code, _, err = call("run", "--out", str(measured), *SHORT, *costs(measured))
    assert code == 0, err
    assert "tables of costs changed; repeated for that: search, retrain, test" in err
    with sqlite3.connect(measured / "candidates.db") as connection:
        assert connection.execute("SELECT MIN(latency_ms) FROM candidates").fetchone()[0] > 500


@pytest.mark.slow
def test_a_supernet_trained_by_one_table_is_not_used_with_another(measured, call):
    sampling = ["--strategy=spos", "--strategy.sampling=cost", "--strategy.quantity=latency_ms"]
    split = ["--few_shot.decision=layer0", "--few_shot.train.steps=3"]
    options = [*SHORT, *sampling, *split, *costs(measured)]
    code, _, err = call("run", "--out", str(measured), *options)
    assert code == 0, err
    path = measured / "latency.json"
    content = json.loads(path.read_text())
    del content["digest"]  # the change is meant
    content["fixed"]["amount"] += 100
    path.write_text(json.dumps(content))
    code, _, err = call("run", "--out", str(measured), *options)
    assert code == 2
    assert "other cost tables" in " ".join(err.split())


@pytest.mark.slow_with("key", "role")
@pytest.mark.parametrize("quantity", ["key", "role", "accuracy"])
def test_names_that_a_cost_cannot_have(quantity, tmp_path, call):
    table = tmp_path / "table.json"
    entries = [{"paths": [{}], "amount": 1.0}]
    table.write_text(json.dumps({"quantity": quantity, "entries": entries}))
    named = ["--search.costs", str(table)]
    code, _, err = call("run", "--out", str(tmp_path / "run"), *MODEL, *SHORT, *named)
    assert code == 2
    assert "a cost cannot be named" in err


def test_no_examples_are_no_measurement(tmp_path, call):
    code, _, err = call("latency", "--out", str(tmp_path / "run"), "--batch_size=0", *MODEL)
    assert code == 2
    assert "batch_size" in err
