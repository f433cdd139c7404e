"""Two ranks share out work, and see that they agree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from queue_worker import PIECES
from test_contract_ranks import free_port

WORKER = Path(__file__).with_name("queue_worker.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of the two saw."""
    folder = tmp_path_factory.mktemp("queue")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    pair = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **address, "RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [one.wait(120) for one in pair] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_each_piece_is_done_once_and_all_have_the_results_in_their_order(found):
    first, second = (one["results"] for one in found)
    assert first["contents"] == second["contents"] == [str(number) for number in range(PIECES)]
    assert first["by"] == second["by"]
    assert first["own"] == [rank == 0 for rank in first["by"]]
    assert second["own"] == [rank == 1 for rank in first["by"]]


def test_a_slow_rank_does_less(found):
    by = found[0]["results"]["by"]
    assert 0 < by.count(1) < by.count(0)


def test_the_first_rank_keeps_what_another_sends_on_the_way(found):
    first, second = (one["results"] for one in found)
    kept = {f"{number} by 1" for number, rank in enumerate(first["by"]) if rank == 1}
    assert first["kept"]
    assert set(first["kept"]) <= kept
    assert second["kept"] == []


def test_large_results_arrive_whole(found):
    assert found[0]["large"] == found[1]["large"]
    by, whole = found[0]["large"]
    assert (sorted(by), whole) == ([0, 1], True)


def test_the_order_is_that_of_the_first_rank(found):
    assert found[0]["order"] == found[1]["order"] == ["a", "b"]


def test_ranks_with_other_work_are_told(found):
    for one in found:
        assert "process 1 is about to work on other networks than process 0" in one["other"]


def test_other_weights_are_named_and_buffers_become_those_of_the_first_rank(found):
    for one in (each["agreement"] for each in found):
        assert one["same"] is None
        assert one["mean"] == [0.0, 0.0, 0.0]
        assert "after step 7 process 1 of 2 differs" in one["weight"]
        assert "in parameter norm.bias," in one["weight"]
        assert "in optimizer param_groups 0 lr," in one["rate"]


def test_a_rank_that_ends_ends_the_others_with_its_reason(found):
    assert found[1]["fails"] == "OSError: the disk is full"
    other = found[0]["fails"]
    assert other.startswith("RanksError: another process of the run ended or hangs")
    assert "(process 1 of 2: OSError: the disk is full)" in other
