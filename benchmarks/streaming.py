"""Images read as they are needed over PyTorch's own `DataLoader` (aim: at least 0.95 of its images/s).

Both decode the same folder of JPEG files with two worker processes, in batches of 64 in random order,
and normalise them; in between, a small convolution is trained or nothing is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import interleaved, spread
from supernet.data import ImageFolder, Loader, Normalise

BATCH, WORKERS, SIDE = 64, 2, 256


class Files(Dataset[tuple[Tensor, int]]):
    """What a user would write for such a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("train/*/*.jpg"))
        self.names = sorted({file.parent.name for file in self.files})

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file = self.files[index]
        with Image.open(file) as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1), self.names.index(file.parent.name)


def main(images: int = 2000, repeats: int = 7, batches: int = 20) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, images)
        raw = ImageFolder(str(folder), stream=True).load().read_by(WORKERS)
        normalise = Normalise.of(raw.train, channels_last=True)
        loader = Loader(raw.train, BATCH, 0, normalise=normalise)
        plain = endless(
            DataLoader(Files(folder), BATCH, shuffle=True, num_workers=WORKERS, drop_last=True)
        )
        for what, step in (("alone", lambda _: None), ("with a step", training_step())):
            numbers = iter(range(sys.maxsize))
            compare(
                f"{WORKERS} processes, {SIDE}x{SIDE} JPEG, batch {BATCH}, {what}",
                lambda numbers=numbers, step=step: step(loader.batch(next(numbers))[0]),
                lambda step=step: step(normalise(next(plain)[0])),
                repeats,
                batches,
            )


def write(folder: Path, count: int) -> None:
    """Write images that compress as photographs do: smooth shapes with some noise."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        pixels = (smooth + random.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        path = folder / "train" / f"class{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def endless(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def training_step() -> Callable[[Tensor], None]:
    """Return a step of a small network."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 7, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step(inputs: Tensor) -> None:
        model(inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def compare(
    what: str, streamed: Callable[[], None], plain: Callable[[], None], repeats: int, batches: int
) -> None:
    """Print images per second of both; each rests while the other is timed, with its batches ready."""

    def timed(work: Callable[[], None]) -> Callable[[int], None]:
        return lambda _: [work() for _ in range(batches)] and None

    started = time.perf_counter()
    a, b, ratios = interleaved(timed(streamed), timed(plain), repeats, warmup=1)
    rates = [BATCH * batches / seconds for seconds in (a, b)]
    print(
        f"stored images / DataLoader, {what}: {spread([1 / ratio for ratio in ratios])}; "
        f"{rates[0]:,.0f} / {rates[1]:,.0f} images/s, median of {repeats} turns of {batches} batches "
        f"({time.perf_counter() - started:.0f} s; aim: at least 0.95)"
    )


if __name__ == "__main__":
    main()
