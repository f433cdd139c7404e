"""A CSV file: search a network for its rows, and use it on new ones without the file."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import torch
from sklearn.datasets import load_wine

import supernet as sn
from supernet.data import TableEncoding

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/table")
file = out.with_name("wine.csv")  # take a file of your own instead


def write_wine() -> None:
    """Write the chemistry of 178 wines, and who grew them."""
    wine = load_wine()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow([*wine.feature_names, "grower"])
        for row, kind in zip(wine.data.tolist(), wine.target, strict=True):
            rows.writerow([*row, wine.target_names[kind]])


if __name__ == "__main__":
    write_wine()
    result = sn.run(
        "mlp",
        file,
        strategy="spos",
        searcher="random",
        out=out,
        options={
            "data.target": "grower",
            "task.class_weights": "balanced",
            "model.widths": [16, 32],
            "model.depths": [1, 2],
            "search.searcher.count": 20,
            "train.steps": 400,
            "retrain.train.steps": 400,
        },
    )
    print(result.metrics["test"]["chosen"])
    encoding = TableEncoding.read(out / "encoding.json")
    program = torch.export.load(out / "model.pt2").module()
    numbers = program(encoding.inputs(file)).argmax(1).tolist()  # or of a file of new rows
    print([encoding.classes[number] for number in numbers[:5]])
