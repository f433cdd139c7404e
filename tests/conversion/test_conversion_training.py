"""What a model's code does in training mode only: what it records, and what does not follow a width."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.conversion import Widths, conversion_of, convert


def converted(model, *example):
    """Return the supernet of a converted model, and its smallest architecture."""
    supernet = sn.SuperNet(convert(model.eval(), *example, rules=[Widths(multiple=4)]))
    return supernet, supernet.space.build(lambda d: d.value(range(d.low)))


class Recorded(nn.Module):
    """Statistics of one's own, recorded in place or by assignment."""

    def __init__(self, width, assigns):
        super().__init__()
        self.assigns = assigns
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("moments", torch.zeros(2, width))

    def forward(self, x):
        if self.training:
            moments = torch.stack([x, x.square()]).mean(1).detach()
            if self.assigns:
                self.mean = 0.9 * self.mean + 0.1 * moments[0]
                self.moments = self.moments.lerp(moments, 0.1)
            else:
                self.mean.mul_(0.9).add_(moments[0], alpha=0.1)
                self.moments.lerp_(moments, 0.1)
        return x - self.mean + self.moments[1]


class Joined(nn.Module):
    """Two widths side by side: what a narrow network has of both lies apart."""

    def __init__(self, assigns):
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(6, 8)
        self.record, self.head = Recorded(24, assigns), nn.Linear(24, 5)

    def forward(self, x):
        return self.head(self.record(torch.cat([self.a(x), self.b(x)], 1)))


@pytest.mark.parametrize("assigns", [False, True])
def test_what_code_records_in_training_mode_is_kept(assigns):
    x = torch.randn(3, 6)
    supernet, smallest = converted(Joined(assigns), x)
    derived = sn.derive(supernet, smallest).train()
    supernet.train()
    for _ in range(2):
        torch.testing.assert_close(supernet(x, smallest), derived(x))
    record = supernet.model.record
    assert derived.record.mean.shape == (8,)
    assert (record._buffers["mean"].shape, record._buffers["moments"].shape) == ((24,), (2, 24))
    again = sn.derive(supernet, smallest)
    for name, buffer in derived.record.named_buffers():
        torch.testing.assert_close(getattr(again.record, name), buffer)
        whole, used = record._buffers[name], [0, 1, 2, 3, 16, 17, 18, 19]
        unused = [place for place in range(24) if place not in used]
        assert whole[..., unused].count_nonzero() == 0
        assert whole[..., used].count_nonzero() == whole[..., used].numel()


class Noisy(nn.Module):
    """Adds noise in training mode, of a size that is written into the code."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 32), nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.a(x)
        if self.training:
            x = x + torch.rand(x.shape[0], 32)
        return self.head(self.b(x).relu())


def test_what_does_not_follow_in_training_mode_only_is_closed():
    x = torch.randn(2, 6)
    supernet, smallest = converted(Noisy(), x)
    assert [str(d.label) for d in supernet.space.decisions] == ["b"]
    rows = {row.name: row for row in conversion_of(supernet.model).rows}
    assert any("(in training mode)" in reason for reason in rows["a"].closed)
    assert supernet.train()(x, smallest).shape == (2, 5)
