import io
import random
import subprocess
import sys
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from supernet.errors import DamagedFileError, TooLittleMemoryError
from supernet.train import Checkpoint, digest


def a_state(seed=0):
    """A state as the training loop saves it: nested, shared, in several layouts."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    tied = torch.rand(6)
    return {
        "step": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "learner": {"tied": [tied, tied], "part": torch.rand(9)[2:5], "name": "".join(["a", "b"])},
    }


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "run" / "supernet.pt")


def test_a_state_comes_back(checkpoint):
    state = a_state()
    assert checkpoint.load() is None
    checkpoint.save(state)
    loaded = checkpoint.load()
    assert digest(loaded) == digest(state)
    assert list(loaded) == list(state)
    weight = loaded["model"]["0.weight"]
    assert torch.equal(weight, state["model"]["0.weight"])
    assert weight.stride() == state["model"]["0.weight"].stride()


def test_the_file_loads_without_executing(checkpoint):
    checkpoint.save(a_state())
    assert torch.load(checkpoint.path, weights_only=True)["step"] == 3


def test_equal_states_are_equal_bytes_whatever_their_history(tmp_path):
    first, again, twin = (Checkpoint(tmp_path / f"{name}.pt") for name in ("a", "b", "c"))
    first.save(a_state())
    again.save(first.load())
    twin.save(a_state())
    assert first.path.read_bytes() == again.path.read_bytes() == twin.path.read_bytes()
    twin.save(a_state(seed=1))
    assert first.path.read_bytes() != twin.path.read_bytes()


def test_shared_memory_and_views_do_not_show_in_the_bytes(tmp_path):
    whole = torch.arange(12.0)
    states = [
        {"a": whole[2:5], "b": whole[2:5], "c": nn.Parameter(whole[2:5])},
        {"a": torch.arange(2.0, 5.0), "b": whole[2:5].clone(), "c": torch.tensor([2.0, 3.0, 4.0])},
    ]
    files = [Checkpoint(tmp_path / name) for name in ("a.pt", "b.pt")]
    for file, state in zip(files, states, strict=True):
        file.save(state)
    assert files[0].path.read_bytes() == files[1].path.read_bytes()


def test_the_state_before_is_kept_and_used(checkpoint):
    for step in (1, 2, 3):
        checkpoint.save({"step": step})
    assert checkpoint.load() == {"step": 3}
    checkpoint.path.unlink()
    assert checkpoint.load() == {"step": 2}
    assert sorted(path.name for path in checkpoint.path.parent.iterdir()) == [
        "supernet.previous.pt"
    ]


def test_a_file_that_is_a_link_stays_one(checkpoint, tmp_path):
    checkpoint.path.parent.mkdir()
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "large.pt"
    checkpoint.path.symlink_to(target)
    for step in (1, 2):
        checkpoint.save({"step": step})
    assert checkpoint.path.is_symlink()
    assert checkpoint.load() == {"step": 2}
    target.unlink()
    assert checkpoint.load() == {"step": 1}
    assert list((tmp_path / "disk").iterdir()) == []


def test_the_previous_file_goes_when_the_newest_is_final(checkpoint):
    checkpoint.drop_previous()
    checkpoint.save({"step": 1})
    checkpoint.save({"step": 2})
    checkpoint.drop_previous()
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["supernet.pt"]
    assert checkpoint.load() == {"step": 2}


def assert_damaged(checkpoint, remedy):
    with pytest.raises(DamagedFileError) as caught:
        checkpoint.load()
    message = str(caught.value)
    assert str(checkpoint.path) in message
    assert "Delete it and run the same command again" in message
    assert remedy in message


def test_the_remedy_names_the_previous_file_if_there_is_one(checkpoint):
    checkpoint.save({"step": 1})
    checkpoint.path.write_bytes(b"")
    assert_damaged(checkpoint, "starts anew")
    checkpoint.path.unlink()
    checkpoint.save({"step": 1})
    checkpoint.save({"step": 2})
    checkpoint.path.write_bytes(b"")
    assert_damaged(checkpoint, "continues from supernet.previous.pt")


def test_a_truncated_file_is_recognised(checkpoint):
    checkpoint.save(a_state())
    whole = checkpoint.path.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        checkpoint.path.write_bytes(whole[:length])
        assert_damaged(checkpoint, "starts anew")


def test_no_flipped_bit_changes_what_is_loaded(checkpoint):
    state = {"step": 3, "model": {"w": torch.rand(64)}, "names": ["a", "b"], "rate": 0.25}
    checkpoint.save(state)
    whole, expected = checkpoint.path.read_bytes(), digest(state)
    draw, damaged = random.Random(0), 0
    for _ in range(400):
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        checkpoint.path.write_bytes(changed)
        try:
            assert digest(checkpoint.load()) == expected
        except DamagedFileError:
            damaged += 1
    assert damaged > 100


def test_every_flipped_bit_of_a_weight_is_recognised(checkpoint):
    weights = torch.rand(16)
    checkpoint.save({"w": weights})
    whole = checkpoint.path.read_bytes()
    start = whole.index(weights.numpy().tobytes())
    for position in range(start, start + weights.numel() * 4):
        changed = bytearray(whole)
        changed[position] ^= 1
        checkpoint.path.write_bytes(changed)
        assert_damaged(checkpoint, "starts anew")


def test_random_bytes_are_recognised(checkpoint):
    checkpoint.path.parent.mkdir()
    draw = random.Random(0)
    for length in (1, 2, 10, 100, 5000):
        for start in (b"", b"\x80\x02", b"PK\x03\x04"):
            checkpoint.path.write_bytes(start + draw.randbytes(length))
            assert_damaged(checkpoint, "starts anew")


@pytest.mark.slow
def test_a_file_with_rewritten_content_is_recognised(checkpoint):
    checkpoint.save(a_state())
    with zipfile.ZipFile(checkpoint.path) as archive:
        items = {name: archive.read(name) for name in archive.namelist()}
    draw = random.Random(0)
    (pickled,) = (name for name in items if name.endswith("data.pkl"))
    expected, damaged = digest(checkpoint.load()), 0
    for _ in range(200):
        changed = bytearray(items[pickled])
        changed[draw.randrange(len(changed))] = draw.randrange(256)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in items.items():
                archive.writestr(name, bytes(changed) if name == pickled else content)
        checkpoint.path.write_bytes(buffer.getvalue())
        try:
            assert digest(checkpoint.load()) == expected
        except DamagedFileError:
            damaged += 1
    assert damaged > 100


@pytest.mark.parametrize(
    "content",
    [3, torch.zeros(2), [1], {"step": 1}, {"step": 1, "digest": "0"}, nn.Linear(2, 2).state_dict()],
    ids=["number", "tensor", "list", "no digest", "wrong digest", "state dict"],
)
def test_a_foreign_torch_file_is_recognised(checkpoint, content):
    checkpoint.path.parent.mkdir()
    torch.save(content, checkpoint.path)
    assert_damaged(checkpoint, "starts anew")


class Touch:
    """Pickles to an instruction that creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_file_is_not_executed(checkpoint, tmp_path):
    checkpoint.path.parent.mkdir()
    trace = tmp_path / "trace"
    torch.save({"step": 1, "digest": Touch(trace)}, checkpoint.path)
    assert_damaged(checkpoint, "starts anew")
    assert not trace.exists()
    torch.load(checkpoint.path, weights_only=False)["digest"].close()
    assert trace.exists()


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from supernet.errors import StorageError
from supernet.train import Checkpoint

checkpoint = Checkpoint(Path(sys.argv[1]))
checkpoint.save({"step": 1})
checkpoint.save({"step": 2})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.save({"step": 3, "w": torch.zeros(100_000)})
except StorageError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_older_files(tmp_path):
    pytest.importorskip("resource")
    checkpoint = Checkpoint(tmp_path / "a.pt")
    command = [sys.executable, "-c", FULL_DISK, str(checkpoint.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert checkpoint.path.name in done.stdout
    assert "disk is full" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.previous.pt", "a.pt"]
    assert checkpoint.load() == {"step": 2}


BASE = {"a": torch.arange(6.0).view(2, 3), "b": [1, 2.0, "x", None, True], "c": {"d": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"a": torch.arange(6.0).view(3, 2)},
        {"a": torch.arange(6.0).view(6)},
        {"a": torch.arange(6.0).view(2, 3).double()},
        {"a": torch.arange(6.0).view(2, 3).view(torch.int32)},
        {"a": torch.arange(6.0).view(2, 3).add(torch.eye(2, 3) * 1e-6)},
        {"a": torch.arange(6.0).view(2, 3) * torch.tensor(-0.0).sign().add(-1)},
        {"b": [2.0, 1, "x", None, True]},
        {"b": [1, 2, "x", None, True]},
        {"b": [1, 2.0, "x", None, 1]},
        {"b": [1, 2.0, "x", None]},
        {"b": [1, 2.0, ["x", None], True]},
        {"b": [1, 2.0, "x", "None", True]},
        {"c": {"d": 2}},
        {"c": {"e": 1}},
        {"c": {}},
        {"c": [["d", 1]]},
        {"e": 1},
    ],
)
def test_the_digest_sees_every_change(change):
    assert digest({**BASE, **change}) != digest(BASE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_the_digest_takes_every_type_and_shape(dtype):
    shapes = [(), (0,), (1,), (2, 0), (2, 3)]
    digests = {digest(torch.ones(shape, dtype=dtype)) for shape in shapes}
    assert len(digests) == len(shapes)


def test_the_digest_is_blind_to_layout_order_and_containers():
    images = torch.rand(2, 3, 4, 5)
    layouts = [
        images,
        images.contiguous(memory_format=torch.channels_last),
        images.transpose(0, 3).contiguous().transpose(0, 3),
        torch.cat([images, images])[:2],
        nn.Parameter(images),
    ]
    assert len({digest(layout) for layout in layouts}) == 1
    assert digest(images.flatten()[::2]) == digest(images.flatten()[::2].clone())
    shuffled = OrderedDict((key, BASE[key]) for key in ("c", "a", "b"))
    assert digest({**shuffled, "b": tuple(BASE["b"])}) == digest(BASE)


def test_too_little_memory_to_read_is_no_damage(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "a.pt")
    checkpoint.save({"step": 3})
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: torch.empty(2**46))
        with pytest.raises(TooLittleMemoryError, match="keep it") as caught:
            checkpoint.load()
    assert "elete" not in str(caught.value)
    assert checkpoint.load() == {"step": 3}


WHOLE = {
    "step": 3,
    "identity": "a",
    "model": {},
    "optimizer": {},
    "learner": {},
    "ema": {},
    "scaler": {},
    "stopping": {},
    "ranks": 0,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": "3"}, "at step there is '3', where a whole number"),
        ({"step": -1}, "at step there is -1"),
        ({"identity": None}, "at identity there is nothing, where a text"),
        ({"model": [1]}, "at model there is a list of 1, where an object"),
        ({"model": {1: 2}}, "at model there is an object of 1"),
    ],
)
def test_a_state_that_the_loop_did_not_save_is_named(checkpoint, change, words):
    checkpoint.save(WHOLE)
    assert checkpoint.trained() == WHOLE
    checkpoint.save({**WHOLE, **change})
    with pytest.raises(DamagedFileError, match=words) as caught:
        checkpoint.trained()
    assert str(checkpoint.path) in str(caught.value)


def test_weights_of_another_model_are_named(checkpoint):
    checkpoint.save({**WHOLE, "model": nn.Linear(2, 3).state_dict()})
    state = checkpoint.trained()
    with (
        pytest.raises(DamagedFileError, match=r"supernet\.pt.*size mismatch for weight.*delete it"),
        checkpoint.restoring(),
    ):
        nn.Linear(2, 4).load_state_dict(state["model"])
