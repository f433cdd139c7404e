"""`supernet zoo` lists what has a name, and explains one."""

from __future__ import annotations

import json

import pytest

from supernet.catalogue import catalogue, explained
from supernet.parser import parse
from supernet.training_free import COMBINED


def test_a_name_is_explained(call):
    code, out, _ = call("zoo", "evolution")
    assert code == 0
    assert "evolution (searchers), supernet.search.Evolution" in out
    assert "Mutation and crossover of the best." in out
    assert '"Single Path One-Shot Neural Architecture Search' in out
    assert "population N                    P, architectures per generation (default: 50)" in out
    assert "digits/spos" in out
    assert out.splitlines()[-1] == "Example: supernet run --search.searcher evolution"
    assert max(map(len, out.splitlines())) <= 100


def test_a_name_of_two_kinds_is_explained_twice(call):
    found = json.loads(call("zoo", "spos", "--json")[1])["spos"]
    assert [one["kind"] for one in found] == ["spaces", "strategies"]
    assert {"name": "widths", "value": "[...]"}.items() <= found[0]["arguments"][1].items()
    assert all(one["name"] not in ("image", "classes") for one in found[0]["arguments"])


@pytest.mark.parametrize("kind", list(catalogue()))
def test_all_of_a_kind_can_be_explained(kind):
    for name, entry in catalogue()[kind].items():
        (found,) = [one for one in explained(name) if one["kind"] == kind]
        assert found["class"] == entry["class"]
        assert found["summary"].startswith(entry["summary"])
        assert found["example"].startswith("supernet r")
        assert all(one["value"] for one in found["arguments"])


def test_combined_scores_are_explained():
    for name in COMBINED:
        assert COMBINED[name][0] in explained(name)[0]["summary"]


@pytest.mark.parametrize("strategy", ["spos", "pdarts"])
def test_the_methods_name_their_papers(strategy):
    (found,) = [one for one in explained(strategy) if one["kind"] == "strategies"]
    assert len(found["papers"]) == 1


def test_an_unknown_name_is_told_which_was_meant(call):
    code, out, err = call("zoo", "evolutoin")
    assert (code, out) == (2, "")
    assert "did you mean 'evolution'" in err


def test_tasks_have_short_names():
    _, short = parse("supernet run", ["--task=classification"])
    assert short["task"]["class_path"] == "supernet.task.Classification"
    assert short == parse("supernet run", ["--task=Classification"])[1]
