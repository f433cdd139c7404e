import pytest
import torch
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.data import Digits, Normalise
from supernet.evaluate import Candidate, Evaluator, Protocol, Provenance
from supernet.net import SuperNet
from supernet.space import Architecture
from supernet.task import Classification


class Net(nn.Module):
    """Batch norms of every kind, dropout, a norm that is used twice, and three decisions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.twice = nn.BatchNorm2d(6, momentum=0.3)
        self.mix = Choice(
            {
                "tracked": nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)),
                "cumulative": nn.Sequential(
                    nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6, momentum=None, affine=False)
                ),
                "untracked": nn.Sequential(
                    nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6, track_running_stats=False)
                ),
            },
            pick=(1, 2),
            label="mix",
        )
        self.join = InputChoice(["mixed", "stem"], pick=(1, 2), label="join")
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 10)

    def forward(self, images):
        first = torch.relu(self.twice(self.stem(images)))
        second = self.twice(self.mix(first))
        return self.head(self.drop(self.join([second, first]).mean((2, 3))))


@pytest.fixture
def supernet():
    """A supernet whose statistics and modes are all set by hand, so that a change shows."""
    torch.manual_seed(0)
    net = SuperNet(Net())
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(17)
    net.train()
    net.model.drop.eval()
    net.model.twice.eval()
    return net


@pytest.fixture(scope="session")
def data():
    """Return examples to search and to train with, and their normalisation."""
    digits = Digits().load().train
    train = digits.select(torch.arange(300))
    return digits.select(torch.arange(300, 400)), train, Normalise.of(train)


@pytest.fixture
def make_evaluator(supernet, data):
    def make(batch_norm="recalibrate", batch_size=40, calibration_batches=3, task=None, **changes):
        search, train, normalise = data
        parts = {"search": search, "train": train, **changes}
        protocol = Protocol(batch_norm, batch_size, calibration_batches)
        task = task or Classification()
        return Evaluator(supernet, task, parts["search"], parts["train"], normalise, protocol)

    return make


@pytest.fixture
def everything():
    """Return a function that takes down every state of a model that an evaluation could change."""

    def snapshot(model):
        return {
            "buffers": [
                (name, id(b), b.clone(), b.is_inference()) for name, b in model.named_buffers()
            ],
            "parameters": [
                (name, id(p), p.detach().clone()) for name, p in model.named_parameters()
            ],
            "modes": [module.training for module in model.modules()],
            "norms": [
                (m.momentum, m.track_running_stats)
                for m in model.modules()
                if isinstance(m, nn.modules.batchnorm._BatchNorm)
            ],
            "hooks": [len(m._forward_hooks) for m in model.modules()],
            "gates": [getattr(m, "gate", None) for m in model.modules()],
        }

    return snapshot


@pytest.fixture
def assert_untouched(everything):
    """Return a function that compares two of them, values to the bit and objects by identity."""

    def check(model, before):
        after = everything(model)
        assert after.keys() == before.keys()
        for kind in ("buffers", "parameters"):
            for old, new in zip(before[kind], after[kind], strict=True):
                assert old[:2] == new[:2]
                assert torch.equal(old[2], new[2]), old[0]
                assert old[3:] == new[3:]
        for kind in ("modes", "norms", "hooks", "gates"):
            assert after[kind] == before[kind], kind

    return check


@pytest.fixture
def provenance():
    return Provenance("search", 100, "batch", 32, 0, "w0")


@pytest.fixture
def make_candidate():
    def make(name="a", status="ok", loss=0.5, accuracy=0.75, **costs):
        architecture = Architecture({"op": name, "inputs": ("x", "y"), "width": 3})
        costs = costs or {"params": 10, "macs": 2**40}
        return Candidate(architecture.key, architecture, status, loss, accuracy, costs)

    return make
