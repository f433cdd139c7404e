"""A small run folder as the steps of a run write it, and the drawing of a cell."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from supernet.space.diagram import Diagram, Edge, Node

COLUMNS = (
    "key, architecture, status, loss, accuracy, params, macs, latency_ms, split, images, "
    "batch_norm, batch_size, calibration_batches, weights, searcher, generation, seed, created"
)


def bender_cell() -> Diagram:
    """Four blocks that each read earlier blocks and add one or two operations."""
    nodes = [Node("k-2", "cell k-2", "input"), Node("k-1", "cell k-1", "input")]
    edges = []
    blocks = [
        (["k-2", "k-1"], ["separable 3x3", "1x7 then 7x1"]),
        (["k-1", "block 1"], ["separable 5x5", "max pool 3x3"]),
        (["k-2", "k-1", "block 1", "block 2"], ["identity"]),
        (["k-2", "block 1", "block 2", "block 3"], ["separable 7x7", "average pool 3x3"]),
    ]
    for number, (inputs, operations) in enumerate(blocks, 1):
        entry, block = f"inputs {number}", f"block {number}"
        nodes += [Node(entry, "+", "sum"), Node(block, block, "sum")]
        edges += [Edge(source, entry) for source in inputs]
        for operation in operations:
            name = f"{block} {operation}"
            nodes.append(Node(name, operation, "operation"))
            edges += [Edge(entry, name), Edge(name, block)]
    nodes.append(Node("out", "concatenate", "output"))
    edges += [Edge(f"block {number}", "out") for number in range(1, 5)]
    return Diagram("The chosen cell", tuple(nodes), tuple(edges))


@pytest.fixture
def cell() -> Diagram:
    return bender_cell()


def _log() -> str:
    lines = [
        {
            "stage": stage,
            "step": step,
            "seconds": step * 0.11,
            "loss": 2.3 * 0.985 ** (step / 8) + floor + 0.05 * (step % 3),
            "learning_rate": 0.05 * (1 - step / steps),
            "images_per_second": 900,
        }
        for stage, steps, floor in (
            ("train", 1000, 0.3),
            ("retrain-a0", 400, 0.2),
            ("retrain-a1", 400, 0.1),
        )
        for step in range(20, steps + 1, 20)
    ]
    # The process was killed in the middle of the last line.
    return "".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "retrain-a1", "st'


OPTIONS = ("separable 3x3", "identity", "max pool 3x3")
INPUTS = (["cell k-2"], ["cell k-1"], ["cell k-2", "cell k-1"], ["cell k-1"])


def _candidates(path: Path, count: int, label: str) -> None:
    draw = random.Random(1)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(f"CREATE TABLE candidates ({COLUMNS})")
        for index in range(count):
            macs = draw.randint(300_000, 4_000_000)
            accuracy = min(0.97, 0.5 + macs / 12e6 + draw.random() * 0.2)
            accuracy -= 0.1 * (index % 3 == 1)
            answers = {label: OPTIONS[index % 3], "cell/inputs 1": INPUTS[index % 4]}
            row = [
                f"a{index}",
                json.dumps(answers),
                "ok",
                1.2 - accuracy,
                accuracy,
                macs // 40,
                macs,
                1.5,
            ]
            row += ["search", 360, "recalibrate", 256, 4, "w1", "Random", index // 12, 0, "2030"]
            store.execute(f"INSERT INTO candidates VALUES ({', '.join('?' * 18)})", row)


def _retrained(
    key: str, role: str, supernet: float, validation: float, probe: bool = False
) -> dict:
    return {
        "key": key,
        "role": role,
        "probe": probe,
        "weights": "fresh",
        "supernet": {"accuracy": supernet, "loss": 1.5 - supernet},
        "params": 61_440,
        "macs": 2_345_678,
        "validation": {"accuracy": validation, "loss": 1.2 - validation},
    }


def full_metrics() -> dict:
    return {
        "environment": {
            "supernet": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.7",
            "device": "cpu",
            "threads": 1,
        },
        "data": {
            "name": "digits",
            "train": 1077,
            "search": 360,
            "test": 360,
            "classes": 10,
            "mean": [0.305],
            "std": [0.376],
        },
        "train": {"seconds": 110.4, "steps": 1000, "loss": 0.31},
        "search": {
            "seconds": 48.2,
            "candidates": 60,
            "failed": 1,
            "searcher": "Random",
            "space_size": "6002212995840",
            "protocol": {
                "split": "search",
                "images": 360,
                "batch_norm": "recalibrate",
                "batch_size": 256,
                "calibration_batches": 4,
                "weights": "w1",
            },
            "selected": [
                {
                    "key": key,
                    "role": "top",
                    "probe": False,
                    "architecture": {"x": 1},
                    "supernet": {"accuracy": 0.9, "loss": 0.6},
                    "params": 61_440,
                    "macs": 2_345_678,
                }
                for key in ("a0", "a1")
            ],
        },
        "retrain": {
            "seconds": 191.7,
            "steps": 800,
            "candidates": [
                _retrained("a0", "top", 0.8912, 0.9694),
                _retrained("a1", "top", 0.8845, 0.9722),
                _retrained("a2", "probe", 0.8801, 0.9611, probe=True),
                _retrained("a3", "random", 0.7012, 0.9389),
            ],
            "chosen": "a1",
            "chosen_weights": "fresh",
            "baselines": {"networks": [], "match": "macs", "tolerance": 0.1},
            "ranking": {
                "truth": "scratch",
                "population": 59,
                "why": None,
                "kendall_tau": 0.333,
                "low": -0.61,
                "high": 0.94,
                "confidence": 0.95,
                "n": 4,
                "meaningful": False,
                "costs": {},
            },
        },
        "test": {
            "seconds": 0.4,
            "images": 360,
            "chosen": {"key": "a1", "weights": "fresh", "accuracy": 0.9667, "loss": 0.1203},
            "random": [{"key": "a3", "weights": "fresh", "accuracy": 0.9361, "loss": 0.2311}],
            "better": [],
            "over_random": {
                "measure": "accuracy",
                "examples": {"value": 0.0306, "low": 0.0121, "high": 0.0489, "confidence": 0.95},
                "networks": None,
            },
        },
    }


@pytest.fixture
def metrics() -> dict:
    return full_metrics()


def write_run(folder: Path, *, until: str = "test", label: str = "cell/block 1") -> Path:
    """Write what a run leaves behind when it stops after the step `until`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("strategy: spos\nseed: 0\ntrain:\n  steps: 1000\n")
    (folder / "log.jsonl").write_text(_log())
    steps = ["train", "search", "retrain", "test"]
    kept = {"environment", "data", *steps[: steps.index(until) + 1]}
    metrics = {name: value for name, value in full_metrics().items() if name in kept}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    if until == "train":
        return folder
    _candidates(folder / "candidates.db", 60, label)
    if until == "search":
        return folder
    chosen = {
        "key": "a1",
        "architecture": {label: "separable 3x3", "cell/inputs 1": ["cell k-2", "cell k-1"]},
        "diagram": bender_cell().to_json(),
    }
    (folder / "architecture.json").write_text(json.dumps(chosen))
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def make_run() -> Callable[..., Path]:
    return write_run
