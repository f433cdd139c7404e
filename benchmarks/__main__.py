"""Run all benchmarks and print one line each."""

from __future__ import annotations

import os
import platform

import torch

from benchmarks import (
    command,
    conversion,
    costs,
    evaluation,
    mixed,
    ranks,
    sandwich,
    sharing,
    steps,
    streaming,
)


def main() -> None:
    load = os.getloadavg()[0]
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"{torch.get_num_threads()} thread(s), load {load:.2f}"
        + ("  (other work is running: expect noise)" if load > 0.7 else "")
    )
    command.main()
    steps.main()
    mixed.main()
    sandwich.main()
    evaluation.main()
    sharing.main()
    costs.main()
    conversion.main()
    ranks.main()
    streaming.main()


main()
