"""Candidates scored per second, under both ways to treat batch norm, over the derived module's."""

from __future__ import annotations

import torch

from benchmarks.measure import interleaved, spread
from supernet.data import Digits, Normalise, split_data
from supernet.evaluate import Evaluator, Protocol, measure
from supernet.net import SuperNet, derive
from supernet.random import stream
from supernet.task import Classification
from supernet.zoo import Bender


def main(repeats: int = 60) -> None:
    splits = split_data(Digits().load(), seed=0)
    normalise = Normalise.of(splits.train, channels_last=True)
    model = Bender((1, 8, 8), 10, 8, (1, 1)).to(memory_format=torch.channels_last)
    supernet, task = SuperNet(model), Classification()
    architectures = [supernet.space.sample(stream(0, i)) for i in range(repeats + 5)]
    plain = [derive(supernet, architecture) for architecture in architectures]
    for protocol in (Protocol("batch"), Protocol("recalibrate", calibration_batches=4)):
        evaluator = Evaluator(supernet, task, splits.search, splits.train, normalise, protocol)

        def shared(repeat: int, evaluator: Evaluator = evaluator) -> None:
            evaluator.score(architectures[repeat])

        def alone(repeat: int) -> None:
            measure(plain[repeat], task, splits.search, normalise, 256)

        a, _, ratios = interleaved(shared, alone, repeats)
        print(
            f"scoring on {len(splits.search)} digits, batch norm '{protocol.batch_norm}': "
            f"{1 / a:.0f} candidates/s; over a plain forward pass: {spread(ratios)}"
        )
