"""The notebook runs from top to bottom, shows bars in place, and goes on after an interruption."""

from __future__ import annotations

import json
import time

import pytest

from doc_pages import ROOT

NOTEBOOK = ROOT / "examples" / "first_search.ipynb"

pytestmark = pytest.mark.slow


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]


@pytest.fixture
def kernel(tmp_path):
    manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
    pytest.importorskip("ipykernel")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


class Cell:
    """What a cell led to."""

    def __init__(self, client, source, meanwhile=lambda: None):
        self.shown, self.said, self.error = [], "", None
        asked = client.execute(source)
        meanwhile()
        while True:
            message = client.get_iopub_msg(timeout=300)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return
            if kind in ("display_data", "update_display_data", "execute_result"):
                self.shown.append((kind, content["data"]))
            elif kind == "stream":
                self.said += content["text"]
            elif kind == "error":
                self.error = content["ename"]


def test_all_cells_run_and_bars_are_drawn_in_one_place(cells, kernel):
    _, client = kernel
    results = [Cell(client, source) for source in cells]
    assert [one.error for one in results] == [None] * len(cells)
    (search,) = [one for source, one in zip(cells, results, strict=True) if "sn.run(" in source]
    kinds = [kind for kind, _ in search.shown]
    assert kinds[0] == "display_data"
    assert kinds[-1] == "execute_result"
    assert set(kinds[1:-1]) == {"update_display_data"}
    assert "400/400" in search.shown[-2][1]["text/plain"]
    assert "\x1b" not in search.said
    assert "ipywidgets" not in search.said
    assert "stand-alone" in search.shown[-1][1]["text/html"]
    assert results[-1].shown[-1][1]["text/plain"] == "True"


def test_a_cell_that_was_interrupted_goes_on(cells, kernel, tmp_path):
    manager, client = kernel
    number = next(n for n, source in enumerate(cells) if "sn.run(" in source)
    source = cells[number].replace("options={", 'options={"train.checkpoint_seconds": 0, ')
    for before in cells[:number]:
        assert Cell(client, before).error is None
    log = tmp_path / "runs" / "notebook" / "log.jsonl"

    def interrupt():
        while not log.exists() or log.read_text().count("\n") < 5:
            time.sleep(0.05)
        manager.interrupt_kernel()

    assert Cell(client, source, interrupt).error == "KeyboardInterrupt"
    before = log.read_text().splitlines()[:4]
    again = Cell(client, source)
    assert again.error is None
    assert "400/400" in again.shown[-2][1]["text/plain"]
    assert log.read_text().splitlines()[:4] == before
