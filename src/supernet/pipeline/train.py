"""The first step: train the shared weights."""

from __future__ import annotations

from supernet.pipeline.run import Run

__all__ = ["train"]


def train(run: Run) -> None:
    """Train the supernet; writes `supernet.pt`.

    Raises:
        ConstraintError: no architecture satisfies the constraints, found before any training.
    """
    splits, space = run.splits, run.supernet.space
    if run.config.search.constraints:
        run.problem.sample(1, run.problem.stream("possible"))
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
