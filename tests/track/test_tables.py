"""Numbers as a person reads them, and the table at the end of a run."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.track.metrics import Metrics
from supernet.track.tables import (
    count,
    duration,
    export_table,
    percent,
    print_table,
    result_table,
    score,
)


def printed(capsys, metrics):
    print_table(result_table(Metrics.from_json(metrics)))
    return capsys.readouterr().out


def row(text, key):
    line = next(line for line in text.splitlines() if f"{key} " in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "—"),
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (61_440, "61.44 k"),
        (999_994, "999.99 k"),
        (999_999, "1.00 M"),
        (1_234_567, "1.23 M"),
        (4_100_000_000, "4.10 G"),
        (2.5e12, "2.50 T"),
    ],
)
def test_count(number, text):
    assert count(number) == text


@given(st.integers(0, 10**15))
def test_count_is_near_the_number(number):
    digits, _, unit = count(number).partition(" ")
    size = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit]
    assert float(digits) * size == pytest.approx(number, abs=0.0051 * size)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.42, "0.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (119.7, "2 min 00 s"),
        (3599.9, "1 h 00 min"),
        (7384, "2 h 03 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_percent_has_two_decimals():
    assert percent(0.96671) == "96.67 %"
    assert percent(1) == "100.00 %"
    assert percent(None) == "—"


def test_a_score_without_accuracy_is_the_loss():
    assert score({"accuracy": 0.0, "loss": 1.0}) == "0.00 %"
    assert score({"accuracy": None, "loss": 0.25}) == "loss 0.2500"
    assert score({"accuracy": None, "loss": None}) == "—"
    assert score(None) == "—"


def test_the_table_holds_every_score_and_cost(capsys, metrics):
    text = printed(capsys, metrics)
    assert row(text, "a0") == ["a0", "89.12 %", "61.44 k", "2.35 M", "96.94 %", "—"]
    assert row(text, "a1") == ["a1 (chosen)", "88.45 %", "61.44 k", "2.35 M", "97.22 %", "96.67 %"]
    assert row(text, "a3") == ["a3 (random)", "70.12 %", "61.44 k", "2.35 M", "93.89 %", "93.61 %"]


def test_the_role_of_a_candidate_that_is_no_top_one_is_named(capsys, metrics):
    metrics["retrain"]["candidates"][2]["role"] = "probe"
    assert row(printed(capsys, metrics), "a2")[0] == "a2 (probe)"


def test_the_caption_says_what_results_are_worth(capsys, metrics):
    text = " ".join(printed(capsys, metrics).split())
    assert "Chosen over random: 3.06 points better than one random architecture" in text
    assert "Kendall's τ = 0.33" in text
    metrics["retrain"].update(chosen="a3", searched="a1")
    text = " ".join(printed(capsys, metrics).split())
    assert "The chosen network, a3 (93.89 % on the search split), is a random baseline" in text


def test_a_run_that_only_trained_gives_an_empty_table(capsys, metrics):
    text = printed(capsys, {"train": metrics["train"]})
    assert "stand-alone" in text
    assert "%" not in text


def test_a_key_is_no_markup(capsys, metrics):
    metrics["retrain"]["candidates"][0]["key"] = "[red]a0[/red]"
    assert "[red]a0[/red]" in printed(capsys, metrics)


def test_without_a_terminal_the_width_is_fixed_and_nothing_is_coloured(
    capsys, metrics, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("FORCE_COLOR", "1")
    metrics["retrain"]["candidates"][0]["key"] = "k" * 300
    text = printed(capsys, metrics)
    assert max(map(len, text.splitlines())) == 100
    assert not re.search(r"\x1b", text)
    assert sum(line.count("k") for line in text.splitlines()) >= 300


def test_all_ways_of_training_have_a_column(capsys, metrics):
    assert "stand-alone" in printed(capsys, metrics)
    section = metrics["retrain"]
    for row_ in section["candidates"]:
        row_["stand_alone"] = {
            "inherited": {"accuracy": 0.8, "loss": 1.0},
            "fine_tuned": {"accuracy": 0.9, "loss": 0.5},
            "scratch": row_["validation"],
        }
    metrics["test"]["other"] = {"key": "a1", "weights": "inherited", "accuracy": 0.95, "loss": 0.2}
    text = printed(capsys, metrics)
    assert "stand-alone" not in text
    assert row(text, "a1")[4:] == ["80.00 %", "90.00 %", "97.22 %", "96.67 %"]
    assert "The chosen architecture fine-tuned: 95.00 % on the test split." in " ".join(
        text.split()
    )


def test_exports_show_their_costs_and_how_far_they_are_off(capsys):
    content = {
        "key": "a7",
        "pick": "latency_ms <= 3",
        "weights": "inherited",
        "supernet": {"accuracy": 0.8, "loss": 1.0},
        "validation": {"accuracy": 0.81, "loss": 0.9},
        "costs": {"params": 1200, "latency_ms": 2.5},
        "verification": {
            "tolerance": 1e-4,
            "model.pt2": {"examples": 9, "max_abs": 0.0, "max_relative": 1e-7},
            "model.onnx": {"examples": 9, "max_abs": 0.0, "max_relative": 3e-6},
        },
    }
    unverified = {
        **content,
        "key": "a8",
        "pick": None,
        "weights": "scratch",
        "costs": {"params": 7},
    }
    unverified["verification"] = {**content["verification"], "model.onnx": None}
    print_table(export_table([content, unverified]))
    text = capsys.readouterr().out
    shown = ["80.00 %", "1.20 k", "2.5 ms", "inherited", "81.00 %", "3.0e-06"]
    assert row(text, "a7") == ["latency_ms <= 3", "a7", *shown]
    assert row(text, "a8") == [
        "(chosen)",
        "a8",
        "80.00 %",
        "7",
        "—",
        "scratch",
        "81.00 %",
        "1.0e-07",
    ]
