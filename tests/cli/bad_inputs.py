"""Inputs of the command line that cannot be meant: command, options, files, constraints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

COMMANDS = ["", " ", "rnu", "RUN", "trian", "--halp", "-x", "run ", "zoo\n", "x" * 10_000, "\ud800"]

NUMBERS = [
    "",
    "x",
    "0",
    "-1",
    "1.5",
    "1e99",
    "nan",
    "inf",
    "9" * 5000,
    "٣",
    "true",
    "[1]",
    "0x",
    "\0",
]

PATHS = ["", " ", "a\0b", "x" * 300, "x/" * 3000 + "x", "\ud800\0"]

FILES = {
    "empty": b"",
    "comment": b"# nothing\n",
    "list": b"- 1\n",
    "scalar": b"3",
    "open": b"a: [",
    "tab": b"train:\n\tsteps: 3\n",
    "twice": b"seed: 1\nseed: 2\n",
    "twice_deep": b"train: {steps: 1, steps: 2}\n",
    "tag": b"seed: !!python/name:os.system\n",
    "alias": b"a: &a [1]\nb: *a\n",
    "laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 109)
    ),
    "deep": b"a: " + b"[" * 3000,
    "deep_block": b"".join(b" " * i + b"a:\n" for i in range(500)),
    "latin": b"data: {class_path: folder, init_args: {folder: caf\xe9}}\n",
    "utf16": "seed: 1\n".encode("utf-16"),
    "nul": b"seed: 1\0\n",
    "binary": bytes(range(256)) * 10,
    "two": b"seed: 1\n---\nseed: 2\n",
    "number_key": b"1: 2\n",
    "list_key": b"? [1]\n: 2\n",
    "empty_key": b"'': 2\n",
    "date": b"seed: 2024-01-01\n",
    "infinite": b"train: {warmup: .inf}\n",
    "not_a_number": b"train: {lowest: .nan}\n",
    "digits": b"seed: " + b"9" * 5000 + b"\n",
    "huge": b"seed: 1" + b"0" * 30 + b"\n",
    "bool": b"seed: true\n",
    "float": b"seed: 1.0\n",
    "null": b"seed: null\n",
    "group": b"train: 3\n",
    "group_list": b"search: [1]\n",
    "class": b"strategy: 3\n",
    "class_list": b"model: [bender]\n",
    "class_path": b"strategy: {class_path: 3}\n",
    "arguments": b"strategy: {class_path: spos, init_args: 3}\n",
    "unknown": b"trian: {steps: 3}\n",
    "unknown_deep": b"train: {step: 3}\n",
    "config": b"config: other.yaml\n",
    "surrogate": b'device: "\\ud800"\n',
    "long": b"a: " + b"x" * 300_000,
    "wide": b"".join(b"a%d: 1\n" % i for i in range(30_000)),
    "json": b'{"seed": 1,, }',
    "merge": b"<<: {seed: x}\n",
}
"""What a configuration file may hold, by name."""

CONSTRAINTS = [
    *(
        "",
        " ",
        "macs",
        "macs <=",
        "<= 3",
        "macs < 3",
        "macs == 3",
        "macs <= x",
        "macs <= -1",
        "mac <= 3",
    ),
    *(
        "macs <= 1e999999",
        "macs <= nan",
        "macs <= inf",
        "macs <= 1_0",
        "macs <= 1,000",
        "macs <= 3%%",
    ),
    *(
        "macs <= ３",
        "mаcs <= 3",
        "macs <= 3 macs <= 4",
        "macs <= 3;",
        "macs\0 <= 3",
        "macs >= 101%",
    ),
    *("macs <= " + "1" * 20_000 + "x", "macs <= 3" + " " * 20_000 + "x", "m" * 20_000, "(" * 5000),
]


def inputs(folder: Path) -> Iterator[list[str]]:
    """Yield command lines, each of which must be refused; files of theirs are written to a folder."""
    out = f"--out={folder / 'run'}"
    for command in COMMANDS[1:]:
        yield [command]
        if not command.startswith("-"):  # help wins there
            yield [command, "--help"]
    for name, content in FILES.items():
        if name not in ("empty", "comment"):
            (folder / f"{name}.yaml").write_bytes(content)
            for command in ("run", "train", "latency"):
                yield [command, out, f"--config={folder / name}.yaml"]
    for path in (*PATHS, str(folder), "/dev/zero", str(folder / "none")):
        yield ["run", out, f"--config={path}"]
    for path in PATHS:
        for command in ("run", "train", "search", "report", "export", "latency"):
            yield [command, f"--out={path}"]
        yield ["export", out, f"--to={path}"]
        yield ["latency", out, f"--table={path}"]
    for number in NUMBERS:
        for option in (
            "--seed",
            "--train.batch_size",
            "--train.steps",
            "--train.log_every",
            "--retrain.top",
            "--evaluate.batch_size",
        ):
            if not (option == "--seed" and number == "0"):
                yield ["train", out, f"{option}={number}"]
        for option in ("--batch_size", "--repeats"):
            yield ["latency", out, f"{option}={number}"]
        for option in ("--classes", "--words", "--shape", "--multiple"):
            yield ["doctor", "bender", f"{option}={number}"]
    for text in ("", "x", "[1]", "3", "{", "{a: 1, a: 2}", "{1: 2}", "[" * 3000, "\0", "null"):
        yield ["doctor", "bender", f"--arguments={text}"]
    for path in (
        "",
        "x",
        "no.such:Model",
        "torch.nn:",
        ":",
        ".",
        "..",
        "a b.c",
        "torch.nn:Lin",
        "x" * 9999,
    ):
        yield ["doctor", path]
        for option in ("model", "strategy", "search.searcher", "data", "task", "train.optimizer"):
            yield ["run", out, f"--{option}={path}"]
    for arguments in (
        ["--"],
        ["-"],
        ["x"],
        ["--=3"],
        ["--seed"],
        ["--seed", "--seed"],
        ["--run"],
        ["---"],
    ):
        for command in ("run", "search", "report", "export", "latency", "zoo"):
            yield [command, *arguments] if command == "zoo" else [command, out, *arguments]
    for name in (
        "--trian.steps=1",
        "--train..steps=1",
        "--train.steps.x=1",
        "--.=1",
        "--seeds=1",
        "--é=1",
    ):
        yield ["run", out, name]
        yield ["latency", out, name]
