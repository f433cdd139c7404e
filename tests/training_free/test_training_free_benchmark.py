"""The truth that scores are compared with is read as plain data, and what was computed is kept."""

import pickle

import pytest
import torch
from benchmarks.fidelity import training_free as benchmark
from PIL import Image

from supernet.errors import ConfigError


def test_the_table_is_read_by_cells_with_the_mean_of_its_trainings(tmp_path):
    table = {"301420": {"val_acc": [80.0, 90.0]}, "000000": {"val_acc": [10.0]}}
    (tmp_path / "table.pkl").write_bytes(pickle.dumps(table))
    assert benchmark.read_truth(tmp_path / "table.pkl") == {
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|": 0.85,
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|": 0.1,
    }


def test_a_table_that_imports_something_is_refused(tmp_path):
    (tmp_path / "table.pkl").write_bytes(pickle.dumps({"000000": torch.nn.ReLU}))
    with pytest.raises(ConfigError, match="which is refused"):
        benchmark.read_truth(tmp_path / "table.pkl")


def test_images_are_normalised_and_have_the_number_of_their_folder(tmp_path):
    for name, value in (("cat", 0), ("dog", 255)):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4), (value,) * 3).save(tmp_path / "train" / name / "0.png")
    images, targets = benchmark.read_batch(tmp_path, 2, seed=0)
    assert images.shape == (2, 3, 4, 4)
    assert sorted(targets.tolist()) == [0, 1]
    for image, target in zip(images, targets, strict=True):
        assert (image > 0).all() == bool(target)
    assert images[targets == 0][0, 0, 0, 0].item() == pytest.approx(-0.4914 / 0.2470)


def test_what_is_in_the_file_is_not_computed_again(tmp_path, monkeypatch):
    asked = []

    def scores(supernet, architectures, batch, names, seed):
        asked.append((architectures, names))
        return {name: [float(one) for one in architectures] for name in names}

    monkeypatch.setattr(benchmark, "training_free_scores", scores)
    kept = tmp_path / "rows.json"
    benchmark.computed(None, {"a": 1, "b": 2}, [], ["snip"], 0, kept)
    found = benchmark.computed(None, {"a": 1, "b": 2, "c": 3}, [], ["snip"], 0, kept)
    assert found == {"snip": {"a": 1.0, "b": 2.0, "c": 3.0}}
    found = benchmark.computed(None, {"a": 1}, [], ["snip", "zen"], 0, kept)
    assert found["zen"] == {"a": 1.0}
    assert asked == [([1, 2], ["snip"]), ([3], ["snip"]), ([1], ["zen"])]
