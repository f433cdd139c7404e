"""Files of a run folder that decide: whatever is changed in them is refused, and shown with a note."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import yaml
from tests.json_changes import WRONG, changed, places

from supernet.errors import DamagedFileError
from supernet.files import write_json
from supernet.strict_json import seal
from supernet.track import RunFiles, RunFolder
from supernet.track.config_and_log import config_text, log_records, read_config
from supernet.track.metrics import Metrics, read_metrics, record_section
from supernet.track.report import render
from supernet.track.sections import TrainRecord

FIRST = Path(__file__).with_name("metrics_version_1.json")


def test_metrics_come_back(tmp_path, metrics):
    file = tmp_path / "metrics.json"
    assert read_metrics(file) == Metrics()
    found = Metrics.from_json(metrics)
    for section in found.sections:
        record_section(file, section)
    assert read_metrics(file) == found
    written = json.loads(file.read_text())
    assert list(written) == ["version", *metrics, "digest"]
    assert written["train"] == {**metrics["train"], "passes": {}, "weights": None, "warnings": []}


def test_what_was_not_written_here_stays(tmp_path, metrics):
    """Keys that are not known, and what is left out of a file of version 1, stay as they are."""
    file = tmp_path / "metrics.json"
    metrics["search"]["mine"] = metrics["mine"] = [1]
    file.write_text(json.dumps(metrics))
    record_section(file, TrainRecord(seconds=1.0, steps=2, loss=None))
    written = json.loads(file.read_text())
    assert {**written, "train": None} == {
        **metrics,
        "version": 2,
        "train": None,
        "digest": written["digest"],
    }


def test_a_file_of_version_1_is_read_and_becomes_one_of_version_2(tmp_path):
    """It was written before files had a version, by a run with both kinds of weights."""
    first = json.loads(FIRST.read_text())
    found = read_metrics(FIRST)
    assert "version" not in first
    assert found.retrain.chosen == "2fe1bddcae2cf6be"
    assert found.retrain.ranking.correlation.n == 3
    assert found.search.selected[0].costs == {"params": 25482, "macs": 702080}
    assert found.test.other.score["accuracy"] == pytest.approx(0.2312, abs=1e-4)
    del first["retrain"]["better"]  # nothing is better than what is chosen, since version 2
    assert {**found.to_json(), "digest": first["digest"]} == {"version": 2, **first}
    file = tmp_path / "metrics.json"
    shutil.copy(FIRST, file)
    record_section(file, found.test)
    assert read_metrics(file) == found
    assert list(json.loads(file.read_text())) == ["version", *first]


@pytest.mark.parametrize("notes", [None, []])
def test_a_later_version_is_refused_and_said_so(tmp_path, metrics, notes):
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({**metrics, "version": 3, "digest": "of another kind"}))
    with pytest.raises(DamagedFileError, match=r"of version 3.*up to 2. Install the supernet that"):
        read_metrics(file, notes)
    for wrong in (None, True, 0, -1, 1.5, "2"):
        file.write_text(json.dumps({**metrics, "version": wrong}))
        with pytest.raises(DamagedFileError, match=r"at version there is"):
            read_metrics(file, notes)


@pytest.mark.slow
def test_a_digit_that_flips_is_noticed_and_shown_with_a_note(tmp_path, run_folder, metrics):
    file = run_folder / "metrics.json"
    write_json(file, seal(metrics))
    text = file.read_text()
    assert "0.9722" in text
    file.write_text(text.replace("0.9722", "0.9122"))
    with pytest.raises(DamagedFileError, match=r"was changed since.*delete its line"):
        read_metrics(file)
    page = render(run_folder)
    assert "metrics.json was changed since the run wrote it" in page
    assert "91.22 %" in page
    content = json.loads(file.read_text())
    del content["digest"]
    file.write_text(json.dumps(content))
    assert read_metrics(file).retrain.candidates[1].validation["accuracy"] == 0.9122
    assert "metrics.json was changed" not in render(run_folder)


def test_nothing_of_another_type_gets_through(tmp_path, metrics):
    """Read without a digest: what is of another type is refused, or changes nothing that is read."""
    file = tmp_path / "metrics.json"
    draws = random.Random(1)
    found = [(place, new) for place in places(metrics) if place for new in WRONG]
    refused = 0
    for place, new in draws.sample(found, 100):
        file.write_text(json.dumps(changed(metrics, place, new)))
        try:
            read_metrics(file)
        except DamagedFileError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("place", "new", "words"),
    [
        (("retrain", "chosen"), "a9", r"at retrain.chosen there is 'a9'"),
        (("retrain", "searched"), "a9", r"at retrain.searched there is 'a9'"),
        (("test", "better"), ["a1"], r"at test.better there is 'a1'"),
        (("search", "protocol", "images"), "60", r"at search.protocol.images there is '60'"),
        (("search", "selected", 0), 3, r"at search.selected\[0\] there is 3, where an object"),
        (("test",), [], r"at test there is \[\], where an object"),
        (("search", "selected", 0, "macs"), "1", r"at search.selected\[0\].macs there is '1'"),
        (("search", "selected", 0, "architecture"), {"x": None}, r"where the answers of an arch"),
        (
            ("retrain", "candidates", 1, "validation"),
            {},
            r"validation there is \{\}, where measures",
        ),
        (("retrain", "ranking", "low"), "x", r"at retrain.ranking.low there is 'x'"),
    ],
)
def test_the_place_is_named(tmp_path, metrics, place, new, words):
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(changed(metrics, place, new)))
    with pytest.raises(DamagedFileError, match=words):
        read_metrics(file)


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (("retrain", "candidates", 0, "supernet"), {"other": 1.0}),
        (("test", "random"), []),
        (("search", "space_size"), "1" * 6000),
        (("search", "space_size"), "²²²²²²²²"),
        (("retrain", "candidates", 0, "validation"), {"loss": 0.5}),
    ],
)
def test_what_is_unusual_is_shown(run_folder, metrics, place, new):
    (run_folder / "metrics.json").write_text(json.dumps(changed(metrics, place, new)))
    assert "Retrained networks" in render(run_folder)


def test_an_architecture_that_is_not_of_its_key_is_noted(run_folder):
    notes = RunFiles.read(run_folder).notes
    assert notes == [
        "architecture.json was changed since the run wrote it: its key is not that of its answers"
    ]


def test_a_configuration_that_was_changed_is_refused_once_there_are_results(tmp_path):
    folder = RunFolder(tmp_path / "run")
    try:
        folder.write_config({"train": {"steps": 30}})
        assert folder.read_config() == {"train": {"steps": 30}}
        folder.config.write_text(folder.config.read_text().replace("30", "20"))
        assert folder.read_config() == {"train": {"steps": 20}}
        folder.record(TrainRecord(seconds=1.0, steps=30, loss=None))
        with pytest.raises(DamagedFileError, match=r"was changed since.*on the command line"):
            folder.read_config()
        folder.config.write_text("train:\n  steps: 20\n")
        assert folder.read_config() == {"train": {"steps": 20}}
    finally:
        folder.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1",
        "[" * 500,
        "? [1]\n: 2",
        "a: " + "9" * 5000,
        "\0",
        "a: !x 1",
        "a: &a [*a]",
        "search: []",
    ],
)
def test_what_is_no_configuration_is_named(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(DamagedFileError, match=r"config\.yaml is damaged.*copy of it back"):
        read_config(file)


def test_a_configuration_is_yaml_and_comes_back(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(config_text({"a": {"b": [1, None]}}))
    assert read_config(file) == {"a": {"b": [1, None]}}
    assert yaml.safe_load(file.read_text()) == {"a": {"b": [1, None]}}


def test_a_configuration_that_is_cut_off_is_refused(tmp_path):
    file, text = tmp_path / "config.yaml", config_text({"a": {"b": 1}, "c": 2, "d": 34})
    for length in range(text.index("\n") + 1, len(text)):
        file.write_text(text[:length])
        with pytest.raises(DamagedFileError):
            read_config(file)


def test_lines_of_the_log_that_are_no_records_are_left_out(tmp_path):
    file = tmp_path / "log.jsonl"
    good = {"stage": "train", "step": 5, "loss": None, "further": [1]}
    wrong = [
        {**good, "step": "5"},
        {**good, "stage": 3},
        {**good, "loss": "x"},
        {**good, "step": -1},
    ]
    lines = [json.dumps(one) for one in (good, *wrong, {"step": 1}, [1], 5)] + ["[" * 10**5, "NaN"]
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\n" + json.dumps(good).encode())
    assert [record for _, record in log_records(file)] == [good]


def test_numbers_that_json_does_not_know_are_left_out_of_the_log(tmp_path):
    folder = RunFolder(tmp_path / "run")
    try:
        folder.stage_log("train").write({"step": 1, "loss": 0.5, "mine": float("nan")})
        (found,) = [record for _, record in log_records(folder.log)]
        assert (found["loss"], found["mine"]) == (0.5, None)
    finally:
        folder.close()
