"""The first step: train the shared weights."""

from __future__ import annotations

import torch
from torch import nn

from supernet.pipeline.run import Run
from supernet.search import Search

__all__ = ["train"]


def train(run: Run) -> None:
    """Train the supernet; writes `supernet.pt`.

    Raises:
        ConstraintError: no architecture satisfies the constraints, found before any training.
    """
    splits, space = run.splits, run.supernet.space
    _check_later_steps(run)
    run.folder.record(
        "data",
        {
            "name": splits.name,
            "train": len(splits.train),
            "search": len(splits.search),
            "test": len(splits.test),
            "classes": len(splits.train.classes),
            "mean": list(run.normalise.mean),
            "std": list(run.normalise.std),
            "identity": run.identity(),
        },
    )
    run.progress.say(
        f"{splits.name}: {len(splits.train):,} examples to train, {len(splits.search):,} to search, "
        f"{len(splits.test):,} to test; {space.size:,} architectures"
    )
    strategy, checkpoint = run.config.strategy, run.folder.checkpoint
    run.folder.record(
        "train", run.fit(run.config.train, "train", run.supernet, strategy, checkpoint)
    )


def _check_later_steps(run: Run) -> None:
    """Raise now what would otherwise be raised after the training: a folder keeps its options."""
    _ = run.protocol
    Search(run.config.search.searcher, run.problem).ask()
    if run.config.retrain.model:
        run.retraining_supernet("check")
    for options in (run.config.train, run.config.retrain.train):
        options.optimizer([nn.Parameter(torch.zeros(1))])
