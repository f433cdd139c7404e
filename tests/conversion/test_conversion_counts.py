"""What converted networks cost, computed by hand or counted by PyTorch on the derived network."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import supernet as sn
from supernet.conversion import Depths, Operations, Widths, conversion_of
from supernet.cost import UncountedWarning, count_params, measure_costs
from supernet.elastic.spec import elastic_spec

WIDTHS = (Widths(multiple=4),)


def ends(supernet):
    """Return the architectures of the first and of the last options."""
    return [
        supernet.space.build(lambda d, place=place: d.value([place % len(d.options)]))
        for place in (0, -1)
    ]


def counted(network, *one):
    """Count by PyTorch's own counter, which counts a multiply-add as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        network(*one)
    return counter.get_total_flops() // 2


def checked(model, *example, one, rules=WIDTHS, **options):
    """Convert, and compare costs of both ends with those of the derived networks."""
    supernet = sn.SuperNet(sn.convert(model.eval(), *example, rules=rules, **options)).eval()
    tables = measure_costs(supernet, *one)
    for architecture in ends(supernet):
        network = sn.derive(supernet, architecture).eval()
        assert tables["macs"].cost(architecture) == counted(network, *one)
        assert tables["params"].cost(architecture) == count_params(network)
    return supernet, tables["macs"]


class Upsampled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 32, 3, padding=1)
        self.b, self.c = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 3, 1)

    def forward(self, x):
        return self.c(F.relu(self.b(F.pixel_shuffle(self.a(x), 2))))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.b, self.c = (
            nn.LSTM(6, 8, batch_first=True),
            nn.Linear(8, 32),
            nn.Linear(32, 3),
        )

    def forward(self, x):
        return self.c(F.relu(self.b(self.rnn(x)[0])))


class Summed(nn.Module):
    """An einsum, between two layers of open width where the equation is known."""

    def __init__(self, equation, shape, leaving):
        super().__init__()
        self.a, self.equation = nn.Linear(6, 32), equation
        self.w, self.b = nn.Parameter(torch.randn(shape)), nn.Linear(leaving, 5)

    def forward(self, x):
        return self.b(torch.einsum(self.equation, F.relu(self.a(x)), self.w))


class Grouped(nn.Module):
    """A function of a weight that is not known: a transposed convolution in groups."""

    def __init__(self):
        super().__init__()
        self.a, self.w = nn.Conv2d(3, 32, 1), nn.Parameter(torch.randn(32, 4, 2, 2))
        self.b, self.c = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 5, 1)

    def forward(self, x):
        y = F.conv_transpose2d(F.relu(self.a(x)), self.w, stride=2, groups=4)
        return self.c(F.relu(self.b(y)))


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.w = nn.Linear(6, 8), nn.Parameter(torch.randn(4, 8, 8))
        self.b, self.c = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = self.a(x)
        return self.c(F.relu(self.b(F.bilinear(x, x, self.w))))


@pytest.mark.slow
def test_behind_an_operator_that_is_not_known_macs_are_those_of_one_example():
    x = torch.randn(2, 3, 4, 4)
    supernet, macs = checked(Upsampled(), x, one=(x[:1],))
    assert macs.cost(ends(supernet)[1]) == 3 * 32 * 9 * 16 + 8 * 16 * 64 + 16 * 3 * 64
    x = torch.randn(2, 4, 6)  # PyTorch's counter leaves recurrent layers out
    supernet = sn.SuperNet(sn.convert(Recurrent().eval(), x, rules=WIDTHS))
    macs, (narrow, wide) = measure_costs(supernet, x[:1])["macs"], ends(supernet)
    assert macs.cost(narrow) == 4 * (4 * 8 * (6 + 8) + 8 * 8 + 8 * 3)
    assert macs.cost(wide) == 4 * (4 * 8 * (6 + 8) + 8 * 32 + 32 * 3)


@pytest.mark.slow_with(
    "...d,de->...e-shape0-16-1536",
    "bnd,de-shape1-3-1536",
    "bnd,ed->bn-shape3-3-96",
    "bnd,d->bn-shape4-3-96",
)
@pytest.mark.parametrize(
    ("equation", "shape", "leaving", "macs"),
    [
        ("...d,de->...e", (32, 16), 16, 3 * 32 * 16),
        ("bnd,de", (32, 16), 3, 3 * 32 * 16),  # axes that are left, by the alphabet: b, e, n
        ("bnd,nd->bnd", (3, 32), 32, 0),
        ("bnd,ed->bn", (16, 32), 3, 3 * 32),
        ("bnd,d->bn", (32,), 3, 3 * 32),
    ],
)
def test_products_by_einsum(equation, shape, leaving, macs):
    x = torch.randn(2, 3, 6)
    model = Summed(equation, shape, leaving)
    supernet, table = checked(model, x, one=(x[:1],))
    rows = model(x).numel() // 2 // 5
    assert table.cost(ends(supernet)[1]) == 3 * 6 * 32 + macs + rows * leaving * 5


@pytest.mark.slow
def test_functions_of_weights_that_are_not_known():
    x = torch.randn(2, 3, 4, 4)
    supernet, macs = checked(Grouped(), x, one=(x[:1],))
    whole = 16 * 3 * 32 + 16 * 4 * 32 * 4 + 64 * 16 * 16 + 64 * 16 * 5
    assert macs.cost(ends(supernet)[1]) == whole
    x = torch.randn(2, 6)
    supernet = sn.SuperNet(sn.convert(Bilinear().eval(), x, rules=WIDTHS))
    macs, (narrow, wide) = measure_costs(supernet, x[:1])["macs"], ends(supernet)
    assert macs.cost(wide) == 6 * 8 + 4 * (8 * 8 + 8) + 4 * 16 + 16 * 3
    assert macs.cost(narrow) == 6 * 8 + 4 * (8 * 8 + 8) + 4 * 4 + 4 * 3


class Block(nn.Module):
    def __init__(self, width=16, inner=24, shared=None):
        super().__init__()
        self.a, self.b = nn.Linear(width, inner), nn.Linear(inner, width)
        if shared is not None:
            self.shared = shared

    def forward(self, x):
        y = self.b(F.relu(self.a(x)))
        return x + (self.shared(y) if hasattr(self, "shared") else y)


class Listed(nn.Module):
    """Blocks in a row, some of which may be one object; the last runs once more under another name."""

    def __init__(self, blocks):
        super().__init__()
        self.stem, self.blocks, self.head = (
            nn.Linear(6, 16),
            nn.ModuleList(blocks),
            nn.Linear(16, 3),
        )
        self.last = blocks[-1]

    def forward(self, x):
        x = self.last(F.relu(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.mark.slow
def test_a_module_of_several_names_counts_wherever_it_is_called():
    block, x = Block(), torch.randn(2, 6)
    supernet, macs = checked(Listed([block, block]), x, one=(x[:1],))
    assert macs.cost(ends(supernet)[1]) == 6 * 16 + 3 * 2 * 16 * 24 + 16 * 3
    assert all(label.startswith(("stem", "blocks.0")) for label in supernet.space.labels)


@pytest.mark.slow
def test_what_blocks_of_an_open_depth_share_counts_once_for_each_that_is_there():
    shared = nn.Linear(16, 16)
    rules = (*WIDTHS, Depths(least=0.0))
    model = Listed([Block(shared=shared), Block(), Block(shared=shared)])
    supernet, macs = checked(model, x := torch.randn(2, 6), one=(x[:1],), rules=rules)
    assert 1 < supernet.space.size < 10_000
    for architecture in list(supernet.space)[::23]:
        assert macs.cost(architecture) == counted(sn.derive(supernet, architecture).eval(), x[:1])


@pytest.mark.slow
def test_an_offer_that_holds_the_module_itself():
    rules = (
        *WIDTHS,
        Operations("b", lambda module: {"twice": nn.Sequential(module, nn.ReLU(), module)}),
    )
    supernet, macs = checked(Three(), x := torch.randn(2, 6), one=(x[:1],), rules=rules)
    costs = {}
    for architecture in supernet.space:
        network = sn.derive(supernet, architecture).eval()
        costs[architecture] = macs.cost(architecture)
        assert costs[architecture] == counted(network, x[:1])
    assert max(costs.values()) == 6 * 16 + 2 * 16 * 16 + 16 * 3


class Three(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


@pytest.mark.slow
def test_a_width_that_code_asks_for_is_closed():
    x = torch.randn(2, 6)
    model = Branching()
    supernet, _ = checked(model, x, one=(x[:1],))
    assert supernet.space.labels == {"a"}
    rows = {row.name: row for row in conversion_of(supernet.model).rows}
    assert any("narrow networks" in reason for reason in rows["b"].closed)


class Branching(nn.Module):
    """A layer runs only where another is wide."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (
            nn.Linear(6, 24),
            nn.Linear(24, 16),
            nn.Linear(16, 16),
            nn.Linear(16, 3),
        )

    def forward(self, x):
        x = self.b(F.relu(self.a(x)))
        return self.d(x + self.c(x) if x.shape[1] > 8 else x)


def test_parameters_that_modules_share_count_once():
    class Tied(Three):
        """A bias that another module holds too, and a weight that is tied."""

        def __init__(self):
            super().__init__()
            self.other, self.d = nn.Module(), nn.Linear(6, 16)
            self.other.bias, self.d.weight = self.c.bias, self.a.weight

        def forward(self, x):
            y = super().forward(x) + self.other.bias
            return y + self.c(F.relu(self.d(x)))

    x = torch.randn(2, 6)
    supernet, _ = checked(Tied(), x, one=(x[:1],))
    params = measure_costs(supernet, x[:1])["params"].cost(ends(supernet)[1])
    assert params == (6 * 16 + 2 * 16) + (16 * 16 + 16) + (16 * 3 + 3)


def test_a_converted_model_that_another_calls_twice():
    class Pair(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, y):
            return self.net(x) - self.net(y)

    x = torch.randn(2, 6)
    pair = sn.SuperNet(Pair(sn.convert(Three().eval(), x, rules=WIDTHS)))
    macs = measure_costs(pair, x[:1], x[1:])["macs"]
    assert [macs.cost(architecture) for architecture in ends(pair)] == [
        2 * (6 * 4 + 4 * 4 + 4 * 3),
        2 * (6 * 16 + 16 * 16 + 16 * 3),
    ]


def test_costs_that_are_in_doubt_are_warned_of():
    x = torch.randn(2, 6)
    supernet = sn.SuperNet(sn.convert(Three().eval(), x, rules=WIDTHS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_costs(supernet, x[:1])
    elastic_spec(supernet.model).doubt = "macs are 3 where sizes say 2"
    with pytest.warns(UncountedWarning, match="macs are 3 where sizes say 2"):
        measure_costs(supernet, x[:1])


class AttentivePooling(nn.Module):
    """Vectors on either side of matrix products."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(6, 16)
        self.v, self.w = nn.Parameter(torch.randn(16)), nn.Parameter(torch.randn(16))
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        scores = (self.a(x).tanh() @ self.v).softmax(-1)
        gate = torch.matmul(self.w, self.b(x).transpose(1, 2))
        return self.head(((scores * gate)[..., None] * x).sum(1)) + self.v @ self.v


def test_products_with_vectors_are_open_and_count():
    supernet = sn.SuperNet(
        sn.convert(AttentivePooling().eval(), torch.randn(2, 7, 6), rules=WIDTHS)
    )
    table = measure_costs(supernet.eval(), torch.randn(1, 7, 6))["macs"]
    assert [d.options for d in supernet.space.decisions] == [(4, 8, 12, 16)] * 2
    for architecture in ends(supernet):
        a, b = (int(architecture[d.label]) for d in supernet.space.decisions)
        layers = 7 * 6 * (a + b) + 6 * 5
        assert table.cost(architecture) == layers + 7 * (a + b) + a
        y = sn.derive(supernet, architecture)(torch.ones(2, 7, 6))
        torch.testing.assert_close(y, supernet(torch.ones(2, 7, 6), architecture))
