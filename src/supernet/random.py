"""Random draws as functions of (seed, purpose, step).

No random state is ever saved: whoever needs randomness derives a fresh stream from the run's seed
and a purpose, for instance `stream(seed, "path", step)`. Two draws with the same arguments are equal
on every machine, in every process and after any interruption.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["derive_seed", "generator", "seeded", "stream"]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on every argument, equal in every process."""
    text = repr((int(seed), *purpose)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def stream(seed: int, *purpose: str | int) -> random.Random:
    """Return a Python random stream for this purpose (exact for integers of any size)."""
    return random.Random(derive_seed(seed, *purpose))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's own random state, of all devices, within the block, and put it back after it."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def generator(
    seed: int, *purpose: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a torch generator on `device` for this purpose."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))
