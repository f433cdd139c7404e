"""Two processes train what one does, by every strategy: the same losses, weights and α."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_contract_strategies import CASES, SMALL

WORKER = Path(__file__).with_name("ranks_worker.py")
QUICK = ["spos", "darts", "bender", "sandwich"]
OWN_TRAFFIC = {
    "cdarts": "also moves the weights of an evaluation network",
    "darts of second order": "also looks at gradients where the weights would be next",
}
"""Strategies that send more than the gradients that move the weights, and why."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(file, steps, cases, environment):
    paths = [str(WORKER.parent), str(WORKER.parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(file), str(steps), *cases],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            **environment,
        },
    )


def both(folder, steps, cases):
    """Return what one process and what two trained, by case."""
    alone, together = folder / "1.pt", folder / "2.pt"
    port = str(free_port())
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    pair = [started(together, steps, cases, {**address, "RANK": str(r)}) for r in range(2)]
    assert [one.wait(300) for one in pair] == [0, 0]
    assert started(alone, steps, cases, {}).wait(300) == 0  # last: it goes on with what they began
    one, two = (torch.load(file, weights_only=False) for file in (alone, together))
    return {case: (one[case], two[case]) for case in one}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    cases = [f"{case}:{SMALL[case]}" for case in QUICK]
    return both(tmp_path_factory.mktemp("quick"), 12, cases)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    cases = [f"{case}:{SMALL[case]}" for case in CASES]
    return both(tmp_path_factory.mktemp("every"), 50, cases)


def assert_alike(case, alone, together):
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-11)
    for kind in ("weights", "alphas"):
        assert together[kind].keys() == alone[kind].keys()
        for name, value in alone[kind].items():
            torch.testing.assert_close(together[kind][name], value, rtol=1e-8, atol=1e-11)
    if case != "bender":  # whose ghost batches are of one rank, and so are their running statistics
        for name, value in alone["buffers"].items():
            torch.testing.assert_close(together["buffers"][name], value, rtol=1e-8, atol=1e-11)
    assert alone["reduced"] == 0
    if case not in OWN_TRAFFIC:
        assert together["reduced"] == together["moved"] == alone["moved"]


@pytest.mark.parametrize("case", QUICK)
def test_two_processes_train_as_one_does(quick, case):
    assert_alike(case, *quick[f"{case}:{SMALL[case]}"])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does_by_every_strategy(every, case):
    assert_alike(case, *every[f"{case}:{SMALL[case]}"])


def test_what_two_processes_began_one_goes_on_with(quick):
    whole = quick[f"spos:{SMALL['spos']}"][0]
    rest, begun = quick["continued"]
    losses = [*begun["losses"][:6], *rest["losses"]]
    assert len(rest["losses"]) == 6
    assert losses == pytest.approx(whole["losses"], rel=1e-11)
    for name, value in whole["weights"].items():
        torch.testing.assert_close(rest["weights"][name], value, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm_is_that_of_the_whole_batch(quick, affine):
    """Outputs, statistics, and derivatives of first order and of second, as guards of α need them."""
    alone, together = quick[f"affine {affine}"]
    assert alone["second"].abs().max() > 1e-3
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_batch_norm_of_half_the_precision_has_whole_statistics(quick):
    alone, together = quick["half"]
    for name, value in alone.items():
        exact = name in ("statistics", "parameters")
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if exact else {"rtol": 0.01, "atol": 0.02}
        torch.testing.assert_close(together[name], value, msg=name, **tolerance)


def test_figures_are_those_of_the_whole_batch(quick):
    alone, together = quick["figures"]
    assert 0.2 < alone["f1_macro"] < 0.9
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_processes_whose_clocks_differ_check_each_other_at_the_same_steps(quick):
    alone, together = quick["clocks"]
    assert len(alone["losses"]) == 6
    assert_alike("spos", alone, together)


@pytest.mark.parametrize("kind", ["plain", "changed", "changed together", "stored"])
def test_two_processes_mix_examples_as_one_does(quick, kind):
    """Over the whole batch, to the bit."""
    alone, together = (one[kind] for one in quick["mixed"])
    assert [one.shape for one in alone[0]] == [(24, 1, 8, 8), (24, 10)]
    assert any(0 < share < 1 for share in alone[0][1].flatten().tolist())
    for one, two in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_two_processes_train_on_mixed_examples_as_one_does(quick):
    assert_alike("spos", *quick["trained on mixed"])
