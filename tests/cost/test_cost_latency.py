"""Latency tables, with a clock that counts operations; no real time is asserted."""

import copy
import functools

import pytest
import torch
from cost_models import MODELS, X, conv, nested, pair
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import supernet as sn
from supernet.cost import LatencyTable, build_latency_table
from supernet.cost.timing import device_name
from supernet.errors import ConfigError, SpaceError
from supernet.zoo import Bender


class Clock(TorchDispatchMode):
    """Ticks by operation: a convolution by its weights, an addition 7, everything else 1."""

    def __init__(self):
        super().__init__()
        self.ticks = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__ if hasattr(func, "overloadpacket") else str(func)
        if "conv" in name or "linear" in name:
            self.ticks += 10 * args[1].numel()
        else:
            self.ticks += 7 if "add" in name and "mm" not in name else 1
        return func(*args, **(kwargs or {}))


def clock(call):
    with Clock() as counter:
        call()
    return counter.ticks / 1000


def ticks(supernet, architecture, x):
    """Return the ticks of a whole network."""
    network = sn.derive(supernet, architecture).eval()
    with torch.inference_mode():
        return 1e3 * clock(lambda: network(x))


def build(model, *batch, **options):
    options = {"warmup": 0, "repeats": 1, "timer": clock, **options}
    return build_latency_table(sn.SuperNet(model), *(batch or (X,)), **options)


@pytest.mark.slow_with("choice_in_choice")
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_the_table_adds_up_to_every_whole_network(make):
    model = nn.Sequential(conv(1), make())
    supernet = sn.SuperNet(model)
    table = build(model, fit=0, held_out=5)

    for architecture in supernet.space:
        assert table.cost(architecture) == pytest.approx(ticks(supernet, architecture, X))
    assert table.held_out["networks"] == min(5, supernet.space.size)
    assert table.held_out["mape"] == pytest.approx(0)
    assert table.content["clamped"] == []


@pytest.mark.slow
def test_the_table_adds_up_to_bender_networks():
    """All cells share one architecture, and each block sums one to four inputs."""
    table = build(Bender((1, 6, 6), 4, 3, (1, 1), blocks=2), torch.randn(2, 1, 6, 6))

    assert table.held_out["networks"] == 10
    assert table.held_out["mape"] == pytest.approx(0, abs=1e-9)
    assert table.held_out["kendall_tau"] == pytest.approx(1)
    assert table.content["correction"] == pytest.approx({"offset": 0, "factor": 1}, abs=1e-6)


def test_every_option_has_an_entry_even_one_that_is_a_choice():
    inner = sn.Choice({"a": conv(1), "b": nn.Identity()}, label="inner")
    table = build(nn.Sequential(sn.Choice({"deep": inner, "flat": conv(3)}, label="outer")))
    amounts = {str(e["paths"]): e["amount"] for e in table.content["entries"]}

    assert amounts == pytest.approx(
        {
            "[{'outer': 'deep'}]": 0,
            "[{'outer': 'deep', 'inner': 'a'}]": 10 * 16,
            "[{'outer': 'deep', 'inner': 'b'}]": 0,
            "[{'outer': 'flat'}]": 10 * 9 * 16,
        }
    )
    assert table.content["fixed"]["amount"] == 0


def test_amounts_are_medians_and_spreads_interquartile_ranges():
    seconds = iter([100, 3, 1, 2, 10, 4])  # the first is the warm-up

    def timer(call):
        return next(seconds) if kernel_of(call) else 0.5

    model = nn.Sequential(sn.Choice({"only": conv(1)}, label="op"))
    table = build(model, warmup=1, repeats=5, fit=0, held_out=0, timer=timer)

    assert table.content["entries"] == [
        {"paths": [{"op": "only"}], "amount": 3000.0, "spread": 2000.0}
    ]
    assert table.content["fixed"] == {"amount": 500.0, "spread": 0.0}
    assert table.cost({"op": "only"}) == 3500.0


def test_places_that_share_a_label_add_up_round_by_round():
    """The median of the sum, not the sum of the medians."""
    times = {1: iter([1, 9, 2]), 3: iter([1, 2, 9])}

    def timer(call):
        kernel = kernel_of(call)
        return next(times[kernel]) if kernel in times else 0

    model = nn.Sequential(
        sn.Choice({"a": conv(1)}, label="op"), sn.Choice({"a": conv(3)}, label="op")
    )
    table = build(model, warmup=0, repeats=3, fit=0, held_out=0, timer=timer)

    assert table.content["entries"] == [
        {"paths": [{"op": "a"}], "amount": 11_000.0, "spread": pytest.approx(4500.0)}
    ]


def kernel_of(call):
    """Return the kernel size of the convolution that a call runs, or None."""
    seen = []
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, *_: seen.append(module) if isinstance(module, nn.Conv2d) else None
    )
    try:
        call()
    finally:
        hook.remove()
    return seen[0].kernel_size[0] if seen else None


def test_a_negative_difference_counts_as_nothing_and_is_recorded():
    """A model that is nothing but a choice surrounds it by less than one addition."""
    table = build(sn.Choice({"a": conv(1), "b": conv(3)}, (1, 2), "op"), fit=0, held_out=0)

    assert table.content["fixed"]["amount"] == 0
    assert table.content["clamped"] == [{"paths": [{}], "amount": pytest.approx(-7)}]
    assert table.cost({"op": ("a",)}) == pytest.approx(160 + 7)


@pytest.mark.slow
def test_the_correction_is_fitted_to_other_networks_than_the_error_is_measured_on():
    """Whole networks take twice as long as their parts, and 50 ms more."""
    model = Bender((1, 6, 6), 4, 3, (1,), blocks=2)

    def timer(call):
        whole = hasattr(getattr(call, "func", None), "classifier")
        whole = whole and not any("Replay" in type(m).__name__ for m in modules_of(call))
        return 0.05 + 2 * clock(call) if whole else clock(call)

    x = torch.randn(1, 1, 6, 6)
    table = build(model, x, timer=timer, fit=4, held_out=6)

    assert table.content["correction"] == pytest.approx({"offset": 50, "factor": 2})
    assert table.held_out["networks"] == 6
    assert table.held_out["mape"] == pytest.approx(0, abs=1e-9)
    assert table.content["uncorrected"]["mape"] > 0.5
    assert table.content["uncorrected"]["bias"] == -table.content["uncorrected"]["mape"]
    supernet = sn.SuperNet(model)
    architecture = supernet.space[7]
    assert table.cost(architecture) == pytest.approx(50 + 2 * ticks(supernet, architecture, x))
    assert build(model, x, timer=timer, fit=2, held_out=2).content["correction"] is None


def modules_of(call):
    if isinstance(call, functools.partial):  # of a whole network
        return list(call.func.modules())
    (module,) = [
        c.cell_contents for c in call.__closure__ if isinstance(c.cell_contents, nn.Module)
    ]
    return list(module.modules())


def test_small_spaces_give_what_they_have():
    table = build(nn.Sequential(conv(1), pair()), fit=10, held_out=10)

    assert table.held_out["networks"] == 2
    assert table.content["correction"] is None
    assert build(nested(), held_out=0).held_out is None


class Spy(nn.Conv2d):
    """Notes how it was called."""

    calls: list = []  # noqa: RUF012

    def forward(self, x):
        facts = (x.dtype, self.weight.dtype, self.training, torch.is_inference_mode_enabled())
        Spy.calls.append((*facts, x.shape[0], x.is_contiguous(memory_format=torch.channels_last)))
        return super().forward(x)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_networks_run_as_they_will_be_used_and_the_supernet_stays_as_it_is(precision, dtype):
    Spy.calls.clear()
    model = nn.Sequential(sn.Choice([Spy(4, 4, 1), Spy(4, 4, 3, padding=1)]), nn.BatchNorm2d(4))
    model.to(memory_format=torch.channels_last)
    supernet = sn.SuperNet(model).train()
    before = copy.deepcopy(supernet.state_dict())
    batch = torch.randn(3, 4, 6, 6).to(memory_format=torch.channels_last)
    table = build_latency_table(supernet, batch, precision=precision, warmup=1, repeats=2)

    assert set(Spy.calls) == {(dtype, dtype, False, True, 3, True)}
    assert all(torch.equal(value, before[key]) for key, value in supernet.state_dict().items())
    assert all(module.training for module in supernet.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in supernet.modules())
    assert table.provenance["precision"] == precision
    assert table.provenance["batch_size"] == 3
    assert table.provenance["input_shapes"] == [[4, 6, 6]]
    assert table.provenance["memory_format"] == "channels_last"


def test_options_see_the_inputs_of_the_supernet_also_after_work_in_place():
    seen = []

    class First(nn.Module):
        def forward(self, x):
            seen.append(float(x.min()))
            return x * 1

    class InPlace(nn.Module):
        def forward(self, x):
            return x.add_(1)

    options = {"a": First(), "b": InPlace()}
    build(nn.Sequential(nn.ReLU(), sn.Choice(options)), -X.abs(), fit=0, held_out=0)

    assert seen == [0, 0]


def test_a_real_build_on_the_cpu():
    supernet = sn.SuperNet(nn.Sequential(conv(3), nested()))
    table = build_latency_table(supernet, X, warmup=1, repeats=3, fit=3, held_out=3)
    options = {tuple(entry["paths"][0].items()) for entry in table.content["entries"]}

    assert isinstance(table, LatencyTable)
    assert options == {
        (("1.0", "deep"),),
        (("1.0", "deep"), ("1.0.deep.0", "3")),
        (("1.0", "deep"), ("1.0.deep.0", "1")),
        (("1.0", "flat"),),
        (("1.1", "3"),),
        (("1.1", "1"),),
    }
    assert all(table.cost(architecture) > 0 for architecture in supernet.space)
    assert table.range(supernet.space)[0] > 0
    assert table.held_out["networks"] == 3
    assert table.held_out["mape"] >= abs(table.held_out["bias"])
    assert len(table.held_out["measured"]) == len(table.held_out["predicted"]) == 3
    assert table.provenance["device"] == device_name(torch.device("cpu")) != ""
    assert table.provenance["threads"] == torch.get_num_threads()
    assert table.provenance["clock"] == ("thread" if torch.get_num_threads() == 1 else "wall")
    assert build(nested()).provenance["clock"] == "given"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_build_on_a_gpu():
    supernet = sn.SuperNet(nn.Sequential(conv(3), nested()))
    table = build_latency_table(supernet, X, device="cuda", precision="bfloat16", repeats=3)

    assert all(table.cost(architecture) > 0 for architecture in supernet.space)
    assert table.provenance["device"] == torch.cuda.get_device_name()
    assert all(parameter.device.type == "cpu" for parameter in supernet.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, r"no precision 'int8'; possible: float32, float64"),
        ({"repeats": 0}, r"repeats \(0\) must be at least 1"),
        ({"warmup": -1}, r"warmup \(-1\)"),
        ({"fit": -1}, r"fit \(-1\)"),
        ({"held_out": -2}, r"held_out \(-2\)"),
        ({"device": "nonsense"}, r"device 'nonsense' cannot be used here"),
    ],
)
def test_impossible_options_are_explained(options, message):
    with pytest.raises(ConfigError, match=message):
        build(nested(), **options)


@pytest.mark.parametrize("batch", [(), (torch.tensor(1.0),), ([1.0],)])
def test_a_batch_is_needed(batch):
    with pytest.raises(ConfigError, match=r"tensors of shape \[batch, ...\]"):
        build_latency_table(sn.SuperNet(nested()), *batch)


def test_options_of_different_shapes_are_an_error():
    model = nn.Sequential(sn.Choice({"a": conv(1), "b": nn.AdaptiveAvgPool2d(1)}, label="op"))

    with pytest.raises(SpaceError, match="'op' cannot be added up"):
        build(model)
