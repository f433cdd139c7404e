"""Candidates that begin alike are computed once as far as they are alike.

The model is traced with its choices as leaves. What a node computes depends on the decisions that it
or anything before it asks, its *signature*; nodes of one signature form a segment. While candidates go
by in the order of their answers, a segment runs again only when an answer in its signature changed,
and hands the activations that later segments need, for all batches, to the next candidates. Within a
segment batches pass one after the other, and a value is dropped after its last use.

Norms are re-estimated segment by segment: the calibration batches pass in training mode, as they do
when the whole network is calibrated at once, then the evaluation batches with the statistics found.
Calibration batches stop at the last norm. Scores are the same to the bit as those of plain evaluation.

That holds as long as a node changes nothing but what it returns. So the versions of handed-on
activations (the first time that an option runs, their values), of parameters and buffers, and the states
of the random generators are compared, and hooks that the segments would pass by are refused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from supernet.evaluate.cutting import CutGraph
from supernet.evaluate.segments import (
    Answers,
    Inputs,
    Program,
    Segment,
    Signature,
    options_of,
    size,
    storage,
)
from supernet.evaluate.side_effects import (
    ModelContents,
    RandomStates,
    TensorWatch,
    UntraceableError,
    check_calls,
    handed_tensors,
    nothing_changed,
)
from supernet.modules.modes import evaluating
from supernet.modules.nested import mapped, tensors
from supernet.net import SuperNet
from supernet.net.batchnorm import (
    Statistics,
    batch_statistics,
    norms_with_statistics,
    reestimated,
    statistics_of,
    with_statistics,
)
from supernet.space import Architecture

__all__ = ["SharedForward", "UntraceableError"]

TRIAL = 2
"""Images that the sizes of activations are measured on."""


class SharedForward:
    """Forward passes of one candidate after the other on fixed batches.

    Args:
        supernet: supernet with trained weights.
        calibration: inputs that statistics are estimated on; empty to leave them as they are.
        evaluation: inputs whose outputs are wanted.
        memory: bytes that activations kept for the next candidate may take. Segments for which
            there is no room are joined to the last one, which keeps nothing.
        by_batch: normalise every batch by its own statistics.

    Raises:
        UntraceableError: the forward pass depends on data, does more than return its result, a norm is
            used in several segments, or the weights depend on the whole architecture.
    """

    def __init__(
        self,
        supernet: SuperNet,
        calibration: Sequence[Inputs],
        evaluation: Sequence[Inputs],
        memory: int = 2**30,
        by_batch: bool = False,
    ) -> None:
        if not supernet.shares:
            raise UntraceableError("what a layer computes depends on decisions that lie elsewhere")
        self._supernet = supernet
        self._calibration, self._evaluation = calibration, evaluation
        self._by_batch = by_batch
        self.part = range(len(evaluation))
        self._again = False
        self._known: dict[tuple[int, Answers], Statistics] = {}
        self._found: dict[tuple[int, Answers], Statistics] = {}
        self._modules = list(supernet.modules())
        self._norms = norms_with_statistics(supernet)
        self._own_modes = any(
            type(m).train is not nn.Module.train or type(m).eval is not nn.Module.eval
            for m in self._modules
        )
        first = next(iter(supernet.model.parameters()), torch.empty(0))
        self._device = first.device
        self._model = CutGraph(supernet, self._device)
        check_calls(supernet, self._model.called)
        self._contents = ModelContents(supernet)
        self._segments = self._model.cut(set(self._model.signatures.values()))
        kept = self._that_fit(memory)
        if len(kept) < len(self._segments):
            self._segments = self._model.cut(kept)

    def fits(self) -> bool:
        """Return whether the modules are those that were traced.

        Raises:
            UntraceableError: they are, but were given hooks that would not run.
        """
        modules = list(self._supernet.modules())
        if len(modules) != len(self._modules) or any(map(operator.is_not, modules, self._modules)):
            return False
        check_calls(self._supernet, self._model.called)
        return True

    def order(self, architectures: Iterable[Architecture]) -> list[Architecture]:
        """Return architectures in the order in which most is shared."""
        labels = [label for node in self._model.graph.nodes for label in self._model.asked_by(node)]
        decisions = [self._supernet.space.decision(label) for label in dict.fromkeys(labels)]

        def answers(architecture: Architecture) -> list[tuple[int, ...]]:
            return [
                decision.indices(architecture[decision.label])
                if decision.label in architecture
                else ()
                for decision in decisions
            ]

        return sorted(architectures, key=answers)

    def start(self, part: range, again: bool = False) -> None:
        """Forget all activations, and let `run` pass these evaluation batches only.

        Args:
            part: numbers of the batches.
            again: the candidates may pass again with another part: keep the statistics of their
                norms, and use those of the part before, unless this is the first.

        Raises:
            UntraceableError: the weights are not those of the part before.
        """
        self.forget()
        if again and part.start and self._contents.changed():
            raise UntraceableError("parameters or buffers change while candidates are scored")
        self._known = self._found if again and part.start else {}
        self._found = {}
        self._again = again
        self._contents = ModelContents(self._supernet)
        self.part = part

    def forget(self) -> None:
        """Drop all activations; the weights may change before the next candidates."""
        for segment in self._segments:
            segment.forget()

    def run(self, architecture: Architecture, use: Callable[[int, Any], None]) -> None:
        """Call `use` with the number of each evaluation batch and the model's output for it.

        Raises:
            UntraceableError: something changed that others would see, and no result can be trusted.
        """
        before = self._segments[:-1]
        with torch.no_grad(), self._ready(), self._supernet.route(architecture):
            draws = RandomStates(self._device)
            answers = [
                tuple(architecture.get(label) for label in sorted(segment.signature))
                for segment in self._segments
            ]
            calibrate = bool(self._calibration) and not self._all_known(answers)
            for number, segment in enumerate(before):
                calibrated = segment.calibrated or not calibrate
                if segment.answers != answers[number] or not calibrated:
                    segment.forget()
                    self._run(number, answers[number], architecture, calibrate)
                    segment.answers, segment.calibrated = answers[number], calibrate
            self._run(len(before), answers[-1], architecture, calibrate, use)
            if self._contents.changed():
                raise UntraceableError("parameters or buffers change while candidates are scored")
            if draws.happened():
                raise UntraceableError("random numbers are drawn in the forward pass")

    def _all_known(self, answers: Sequence[Answers]) -> bool:
        """Return whether the statistics of all norms were found in the part before."""
        return bool(self._known) and all(
            not segment.norms or (number, answers[number]) in self._known
            for number, segment in enumerate(self._segments)
        )

    def _run(
        self,
        number: int,
        answers: Answers,
        architecture: Architecture,
        calibrate: bool,
        use: Callable[[int, Any], None] | None = None,
    ) -> None:
        """Pass all batches through a segment, and keep its outputs or use them."""
        # With 2 calibration and 3 evaluation batches `count` is 2, and values are those of the batches
        # 0, 1 (calibration), 2, 3, 4 (evaluation): `values[node][batch]`.
        segment, count = self._segments[number], len(self._calibration)
        values: dict[fx.Node, dict[int, Any]] = {node: {} for node in segment.outputs}
        new = self._new_in(segment, architecture)

        def run(program: Program, inputs: Inputs, batch: int) -> None:
            results = self._compute(segment, program, inputs, batch, new)
            if use is None:
                for node in segment.outputs:
                    if node in results:
                        values[node][batch] = results[node]
            elif batch >= count:
                use(batch - count, results[segment.outputs[-1]])

        def estimate(batch: int) -> None:
            inputs = self._calibration[batch] if segment.reads_inputs else ()
            run(segment.calibration, inputs, batch)

        def evaluate() -> None:
            for batch in self.part:
                inputs = self._evaluation[batch] if segment.reads_inputs else ()
                run(segment.evaluation, inputs, count + batch)

        key = (number, answers)
        if count and segment.norms and not calibrate:
            with with_statistics(segment.norms, self._known[key]):
                evaluate()
        else:
            estimated = range(count) if calibrate and segment.calibration else ()
            with reestimated(segment.norms if count else [], estimated, estimate):
                if self._again and calibrate and segment.norms:
                    self._found[key] = statistics_of(segment.norms)
                evaluate()
        if key in self._known:
            self._found[key] = self._known[key]
        segment.values = values

    def _compute(
        self, segment: Segment, program: Program, inputs: Inputs, batch: int, values: bool
    ) -> dict[fx.Node, Any]:
        """Return the values of the nodes of a program that are needed after it.

        Args:
            segment: segment that the program belongs to.
            program: nodes to run, in their order.
            inputs: inputs of the batch, if they are read.
            batch: number of the batch, calibration batches first.
            values: look at the values of what is shared, not at their versions alone.
        """
        results: dict[fx.Node, Any] = {}
        for source in segment.sources:
            held = self._model.segment_of[source].values[source]
            if batch in held:
                results[source] = held[batch]
        shared = [tensor for value in results.values() for tensor in handed_tensors(value)]
        watch = TensorWatch([*shared, *tensors(inputs)], values)
        for node, over in program:
            results[node] = self._model.value(node, results, inputs)
            for source in over:
                results.pop(source, None)
        if watch.changed():
            raise UntraceableError(self._culprit(program, inputs, segment, batch))
        return results

    def _culprit(self, program: Program, inputs: Inputs, segment: Segment, batch: int) -> str:
        """Return what is to be said of the node that changes a value which others read."""
        results = {s: self._model.segment_of[s].values[s].get(batch) for s in segment.sources}
        shared = [tensor for value in results.values() for tensor in handed_tensors(value)]
        watch, name = TensorWatch([*shared, *tensors(inputs)], values=True), "a module"
        for node, _ in program:
            results[node] = self._model.value(node, results, inputs)
            if watch.changed():
                name = str(node.target)
                break
        return (
            f"{name} changes its input in place, which other candidates read too; build it with "
            "inplace=False"
        )

    def _new_in(self, segment: Segment, architecture: Architecture) -> bool:
        """Return whether a segment runs an option that did not run there before."""
        options = {
            (label, option)
            for label in segment.asked
            for option in options_of(architecture.get(label))
        }
        new = not segment.seen or not options <= segment.seen
        segment.seen |= options | {("", "")}
        return new

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """Evaluation mode, and norms as the protocol wants them: as `batch_statistics`, but faster."""
        if self._own_modes:
            with batch_statistics(self._supernet) if self._by_batch else evaluating(self._supernet):
                yield
            return
        training = [module for module in self._modules if module.training]
        norms = self._norms if self._by_batch else []
        settings = [(norm, norm.training, norm.track_running_stats) for norm in norms]
        try:
            for module in training:
                module.__dict__["training"] = False
            for norm in norms:
                norm.__dict__.update(training=True, track_running_stats=False)
            yield
        finally:
            for norm, mode, track in settings:
                norm.__dict__.update(training=mode, track_running_stats=track)
            for module in training:
                module.__dict__["training"] = True

    def _that_fit(self, memory: int) -> set[Signature]:
        """Return the signatures whose activations fit into the memory, the earliest first.

        Sizes are measured on two images, and taken to be proportional to the images of a batch.
        """
        calibration, evaluation, part = self._calibration, self._evaluation, self.part
        first = evaluation[0]
        images = min(TRIAL, len(next(tensors(first))))
        batches = [evaluation, calibration]
        total = [sum(size(group, i) for i in range(len(group))) for group in batches]
        few = mapped(lambda value: value[:images].clone(), first)
        self._calibration, self._evaluation, self.part = [], [few], range(1)
        kept = {self._segments[-1].signature}
        try:
            self._try_out(self._supernet.space[0])
            seen: set[int] = set()
            for segment in self._segments[:-1]:
                for node, values in segment.values.items():
                    count = total[0] + (
                        total[1] if self._model.needed.intersection(node.users) else 0
                    )
                    memory -= int(count / images * storage(handed_tensors(values[0]), seen))
                if memory < 0:
                    break
                kept.add(segment.signature)
        finally:
            self._calibration, self._evaluation, self.part = calibration, evaluation, part
            self.forget()
        return kept

    def _try_out(self, architecture: Architecture) -> None:
        try:
            with nothing_changed(self._supernet, self._device):
                self.run(architecture, lambda *_: None)
                for segment in self._segments:
                    segment.seen.clear()
        except UntraceableError:
            raise
        except (
            Exception
        ) as error:  # a user's model may raise anything, for one candidate or for all
            raise UntraceableError(f"{architecture} cannot be run: {error}") from error
