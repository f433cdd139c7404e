"""What a run folder holds: which step writes each file, on what it depends, and when it goes.

Cleaning, resuming and the page on the run folder go by this one description. In names of files, N is a
number, KEY the key of an architecture, NAME any name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from supernet.track.metrics import Metrics
from supernet.track.records import Failed

__all__ = ["ENTRIES", "EXPORTS", "FILES", "FOLDERS", "LOGS", "STEPS", "Entry", "Step", "entries_of"]


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes:
        name: the name of the step, and of its section in `metrics.json`.
        options: the options whose change makes its results, and those of the steps after it, others.
    """

    name: str
    options: tuple[str, ...]


STEPS = (
    Step("train", ("seed", "model", "data", "split", "task", "strategy", "train", "sharing")),
    Step("few_shot", ("few_shot",)),
    Step("search", ("evaluate", "search", "retrain.top", "retrain.probes")),
    Step("retrain", ("retrain",)),
    Step("test", ()),
)
"""In their order. The device, the number of threads and the like belong to none."""


@dataclass(frozen=True)
class Entry:
    """A file of a run folder, or files of one kind.

    Attributes:
        name: the name, relative to the folder.
        step: the step or command that writes it; "every" for what several do.
        content: phrase on the page on the run folder that says what it holds.
        goes: moment when it is deleted: "never"; "repeated", once the results of its step are
            forgotten; or "changed", once code, weights or data that its step depends on changed, so that
            what is there cannot be taken up again.
        is_result: whether it holds what another configuration would spoil.
        also: names of files that belong to it.
        needed: the names of those files without which its step is repeated, by what the steps found.
        after: the step that it depends on, where a command writes it that is none.
    """

    name: str
    step: str
    content: str
    goes: Literal["never", "repeated", "changed"] = "never"
    is_result: bool = False
    also: tuple[str, ...] = ()
    needed: Callable[[Metrics], Sequence[str]] = lambda _: ()
    after: str | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All its names."""
        return (self.name, *self.also)

    def files(self, folder: Path) -> list[Path]:
        """Return the files of this kind that may be in a run folder."""
        found: list[Path] = []
        for name in self.names:
            inner, _, pattern = name.rpartition("/")
            if not inner:
                found.append(folder / name)
                continue
            wanted = re.compile(re.escape(pattern).replace("KEY", "[0-9a-f]+").replace("N", r"\d+"))
            found += [one for one in (folder / inner).glob("*") if wanted.fullmatch(one.name)]
        return found


def always(name: str) -> Callable[[Metrics], Sequence[str]]:
    """Return what is needed of a file that its step always needs."""
    return lambda _: (name,)


def vocabulary(metrics: Metrics) -> Sequence[str]:
    """Return the vocabulary, where the data are texts."""
    data = metrics.data
    return () if data is None or data.vocabulary is None else ("vocabulary.json",)


def encoding(metrics: Metrics) -> Sequence[str]:
    """Return how rows become inputs, where the data are a table."""
    data = metrics.data
    return () if data is None or data.columns is None else ("encoding.json",)


def parts(metrics: Metrics) -> Sequence[str]:
    """Return the checkpoints of the parts that did not fail."""
    if metrics.few_shot is None:
        return ()
    failed = {Path(name).name.partition(".")[0] for name in kept(metrics.few_shot.failed)}
    numbers = map(str, range(metrics.few_shot.parts))
    return [f"few_shot/{number}.pt" for number in numbers if number not in failed]


def networks(metrics: Metrics) -> Sequence[str]:
    """Return the checkpoints of retrained networks that are still needed."""
    retrain = metrics.retrain
    if retrain is None or not retrain.steps:
        return ()
    return [
        f"retrain/{row.key}{'' if row.weights == 'fresh' else '-inherited'}.pt"
        for row in retrain.candidates
        if row.key == retrain.chosen
        or ((row.role == "random" or row.key == retrain.searched) and metrics.test is None)
    ]


def kept(failed: Sequence[Failed]) -> Sequence[str]:
    """Return the files that keep failures: a network whose file was deleted shall be tried again."""
    return [one.file for one in failed if one.file]


ENTRIES = (
    Entry(
        "config.yaml",
        "every",
        "the whole resolved configuration, and its digest in a comment; can be given to `--config` "
        "again. Where it names code that is not supernet's or PyTorch's, its first line says that it "
        "was written here ([trust](trust.md))",
    ),
    Entry("log.jsonl", "every", "one object per record, see below"),
    Entry(
        "supernet.pt",
        "train",
        "`torch.load(path, weights_only=True)`: step, identity, model, optimizer, learner, digest",
        is_result=True,
        also=("supernet.previous.pt",),
        needed=always("supernet.pt"),
    ),
    Entry(
        "stages/N.pt",
        "train",
        "the same for the supernet of stage N of `strategy.stages`, trained before",
        is_result=True,
        also=("stages/N.previous.pt",),
    ),
    Entry(
        "few_shot/N.pt",
        "few_shot",
        "the same for the part of the supernet with option number N of `few_shot.decision`",
        goes="changed",
        is_result=True,
        also=("few_shot/N.previous.pt",),
        needed=parts,
    ),
    Entry(
        "few_shot/N.failed.json",
        "few_shot",
        "why the training of this part failed, and a hash of what it depended on; without the file it "
        "is tried again ([failures](#failures))",
        goes="changed",
        needed=lambda metrics: kept(metrics.few_shot.failed) if metrics.few_shot else (),
    ),
    Entry(
        "candidates.db",
        "search",
        "SQLite, table `candidates`, see below",
        goes="changed",
        is_result=True,
        also=("candidates.db-journal", "candidates.db-wal", "candidates.db-shm"),
        needed=always("candidates.db"),
    ),
    Entry(
        "retrain/KEY.pt",
        "retrain",
        "checkpoint of an architecture trained from fresh weights, and as `retrain/KEY-inherited.pt` "
        "from inherited ones",
        goes="changed",
        is_result=True,
        also=(
            "retrain/KEY.previous.pt",
            "retrain/KEY-inherited.pt",
            "retrain/KEY-inherited.previous.pt",
        ),
        needed=networks,
    ),
    Entry(
        "retrain/KEY.failed.json",
        "retrain",
        "why the training of this network failed, as for a part; from inherited weights in "
        "`retrain/KEY-inherited.failed.json`",
        goes="changed",
        also=("retrain/KEY-inherited.failed.json",),
        needed=lambda metrics: kept(metrics.retrain.failed) if metrics.retrain else (),
    ),
    Entry(
        "architecture.json",
        "retrain",
        "the chosen architecture: key, answers, drawing, and names of the classes in the order of its "
        "outputs",
        goes="repeated",
        needed=always("architecture.json"),
    ),
    Entry("metrics.json", "every", "what each step found, see below"),
    Entry(
        "model.pt",
        "retrain",
        "the state dict of the chosen network",
        goes="repeated",
        needed=always("model.pt"),
    ),
    Entry(
        "model.pt2",
        "retrain",
        "`torch.export` programme, written only if it computes what the network does on a batch of the "
        "search split: `torch.export.load(path).module()(examples)` needs no supernet; it takes "
        "examples as the data set has them and normalises them itself",
        goes="repeated",
    ),
    Entry(
        "watch.json",
        "train",
        "only with `watch.networks`: scores of a few networks while the supernet trained, see below",
    ),
    Entry(
        "profile.json",
        "every",
        "only with `--profile`: where time and memory went in the last call that asked, see below",
    ),
    Entry(
        "trace.json",
        "every",
        "only with `--profile.trace`: training steps for Perfetto or chrome://tracing "
        "([profiling](logging.md#profiling))",
    ),
    Entry(
        "logger.json",
        "every",
        "only with `--logger`: by what the run is known where it is logged ([logging](logging.md)); "
        "what a logger writes here is in `logs`",
    ),
    Entry("vocabulary.json", "train", "only with texts, see below", needed=vocabulary),
    Entry("encoding.json", "train", "only with tables, see below", needed=encoding),
    Entry(
        "initial.pt",
        "train",
        "only where the model was given as an instance: the weights that training began with",
    ),
    Entry(
        "latency.json",
        "latency",
        "the table that `supernet latency` wrote, unless `--table` named another place",
    ),
    Entry(
        "probes/KEY-N.pt",
        "rank",
        "checkpoint of training N of a probe of `supernet rank`, or of a network of `retrain.short`",
        goes="changed",
        is_result=True,
        also=("probes/KEY-N.previous.pt",),
        after="retrain",
    ),
    Entry(
        "probes/KEY-N.failed.json",
        "rank",
        "why it failed, as for a network that is retrained",
        goes="changed",
        after="retrain",
    ),
    Entry(
        "ranking.json",
        "rank",
        "how far the scores can be believed ([figures](fidelity.md)); it goes with the search",
        goes="repeated",
        after="search",
    ),
    Entry(
        "training-free.json",
        "rank",
        "scores without training of networks that `supernet rank` or `retrain.promising` asked for, and "
        "a hash of what they depend on",
        goes="never",
    ),
    Entry("report.html", "report", "everything on one page, no network needed"),
    Entry(
        "exports/NAME/",
        "export",
        "`model.pt`, `model.pt2`, perhaps `model.onnx`, of a model of transformers perhaps a folder "
        "`pretrained`, `architecture.json`, see below, and a mark of its own",
    ),
)
"""All that a run writes, besides the mark of the folder and the lock on it."""

EXPORTS = "exports"
"""Where networks are exported to; each has a folder and a mark of its own there."""

LOGS = "logs"
"""Where a logger writes its files, unless it is told another place; they are no concern of a run."""

FILES = tuple(name for entry in ENTRIES for name in entry.names if "/" not in name)
"""What a run writes directly into its folder."""

FOLDERS = tuple(
    dict.fromkeys(
        name.partition("/")[0]
        for entry in ENTRIES
        for name in entry.names
        if "/" in name and entry.step != "export"
    )
)
"""Where it writes checkpoints of other networks than the supernet."""


def entries_of(step: str, goes: str | None = None) -> list[Entry]:
    """Return the entries of a step; of these those that are deleted for the same reason."""
    of_step = [one for one in ENTRIES if step in (one.step, one.after)]
    return [one for one in of_step if goes is None or one.goes == goes]
