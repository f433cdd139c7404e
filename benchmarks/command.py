"""Start-up of the command line: it must not wait for PyTorch."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import interleaved


def main(repeats: int = 7) -> None:
    program = "import sys; from supernet.cli import main; sys.exit(main(['--help']))"

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    a, b, _ = interleaved(lambda _: start(program), lambda _: start("pass"), repeats, warmup=1)
    print(
        f"supernet --help: {a:.3f} s; Python alone: {b:.3f} s (median of {repeats}; aim: at most 1 s)"
    )
