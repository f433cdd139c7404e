"""Numbers as a person reads them, and the table at the end of a run."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.track.tables import (
    count,
    duration,
    percent,
    print_table,
    ranking_text,
    result_table,
    score,
)


def printed(capsys, metrics):
    print_table(result_table(metrics))
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


def test_the_caption_warns_when_n_is_too_small(capsys, metrics):
    text = " ".join(printed(capsys, metrics).split())
    assert "τ = 0.33 (n = 4, 95 % interval [-0.61, 0.94]): too few to mean anything." in text
    metrics["retrain"]["ranking"]["meaningful"] = True
    assert "too few" not in " ".join(printed(capsys, metrics).split())


def test_the_caption_compares_with_a_ranking_by_cost():
    ranking = {"kendall_tau": 0.5, "n": 12, "meaningful": True}
    text = ranking_text({**ranking, "kendall_tau_of_costs": {"params": 0.1, "macs": 0.25}})
    assert text.endswith("τ = 0.50 (n = 12). Multiply-adds alone: τ = 0.25.")
    assert "alone" not in ranking_text({**ranking, "kendall_tau_of_costs": {"macs": None}})


def test_the_role_of_a_candidate_that_is_no_top_one_is_named(capsys, metrics):
    metrics["retrain"]["candidates"][2]["role"] = "probe"
    assert row(printed(capsys, metrics), "a2")[0] == "a2 (probe)"


def test_the_caption_can_do_without_tau_and_interval():
    nothing = {"kendall_tau": None, "low": None, "high": None, "n": 1, "meaningful": False}
    assert "τ is undefined (n = 1): too few" in ranking_text(nothing)
    alone = {"kendall_tau": 0.5, "low": None, "high": None, "n": 12, "meaningful": True}
    assert ranking_text(alone).endswith("τ = 0.50 (n = 12).")
    assert ranking_text(None) == ""


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
