import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.evaluate import batch_statistics, recalibrated
from supernet.net.batchnorm import explaining_single_values


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.BatchNorm2d(4))


def make_batches(count=3, size=6):
    random = torch.Generator().manual_seed(1)
    return [torch.randn(size + i, 2, 5, 5, generator=random) * (i + 1) for i in range(count)]


def enter(kind, model, batches=None, run=None):
    if kind == "batch":
        return batch_statistics(model)
    return recalibrated(model, batches or make_batches(), run or model)


KINDS = pytest.mark.parametrize("kind", ["batch", "recalibrate"])


@KINDS
def test_everything_is_as_it_was_afterwards(kind, everything, assert_untouched):
    model = make_model().train()
    model[2].eval()
    model(make_batches()[0])
    before = everything(model)
    with enter(kind, model), torch.no_grad():
        model(make_batches()[1])
    assert_untouched(model, before)


@KINDS
@pytest.mark.parametrize("where", ["inside", "batches", "run"])
def test_everything_is_as_it_was_when_an_exception_passes(
    kind, where, everything, assert_untouched
):
    model = make_model()
    before = everything(model)

    def batches():
        yield make_batches()[0]
        if where == "batches":
            raise KeyError(where)

    def run(batch):
        model(batch)
        if where == "run":
            raise KeyError(where)

    def evaluate():
        with enter(kind, model, batches(), run), torch.no_grad():
            model(make_batches()[1])
            raise KeyError(where)

    with pytest.raises(KeyError):
        evaluate()
    assert_untouched(model, before)


@KINDS
def test_dropout_is_off_and_nothing_is_recorded(kind):
    model = make_model()
    batch = make_batches()[0]
    with enter(kind, model), torch.no_grad():
        statistics = [buffer.clone() for buffer in model.buffers()]
        assert torch.equal(model(batch), model(batch))
        assert not model[2].training
        for buffer, value in zip(model.buffers(), statistics, strict=True):
            assert torch.equal(buffer, value)


def test_batch_statistics_normalise_by_the_batch():
    model, batch = make_model(), make_batches()[2]
    with batch_statistics(model), torch.no_grad():
        output = model(batch)
    hidden = model[0](batch)
    for norm in (model[1], model[3]):
        mean = hidden.mean((0, 2, 3), keepdim=True)
        var = ((hidden - mean) ** 2).mean((0, 2, 3), keepdim=True)
        hidden = (hidden - mean) / (var + norm.eps).sqrt()
    torch.testing.assert_close(output, hidden)


def test_recalibration_gives_the_mean_of_the_statistics_of_the_batches():
    model, batches = make_model(), make_batches()
    first = [model[0](batch) for batch in batches]
    normed = [F.batch_norm(hidden, None, None, training=True) for hidden in first]
    with recalibrated(model, batches, model):
        for norm, hidden in ((model[1], first), (model[3], normed)):
            mean = torch.stack([h.mean((0, 2, 3)) for h in hidden]).mean(0)
            var = torch.stack([h.var((0, 2, 3), unbiased=True) for h in hidden]).mean(0)
            torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-5)


def test_every_batch_weighs_the_same_in_any_order():
    model, batches = make_model(), make_batches(12)
    found = []
    for order in (batches, batches[::-1]):
        with recalibrated(model, order, model):
            found.append(model[1].running_mean.clone())
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_a_norm_that_is_used_several_times_averages_over_all_uses():
    norm, batches = nn.BatchNorm2d(2), make_batches(4)

    def run(batch):
        norm(batch)
        norm(batch + 100)

    with recalibrated(norm, batches, run):
        mean = torch.stack([batch.mean((0, 2, 3)) + 50 for batch in batches]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean)


@pytest.mark.parametrize("momentum", [None, 0.0, 0.1, 1.0])
def test_the_models_own_momentum_does_not_matter(momentum):
    model, batches = make_model(), make_batches()
    with recalibrated(model, batches, model):
        expected = [buffer.clone() for buffer in model.buffers()]
    model[1].momentum = model[3].momentum = momentum
    with recalibrated(model, batches, model):
        for buffer, value in zip(model.buffers(), expected, strict=True):
            assert torch.equal(buffer, value)
    assert model[1].momentum == momentum


@KINDS
def test_norms_without_statistics_use_the_batch(kind):
    norm = nn.BatchNorm2d(2, track_running_stats=False)
    batch = make_batches()[0]
    with enter(kind, norm):
        torch.testing.assert_close(norm(batch), F.batch_norm(batch, None, None, training=True))
    assert norm.running_mean is None


@KINDS
def test_statistics_that_are_frozen_are_not_used_either(kind):
    """`track_running_stats = False` on a finished model keeps its buffers, which fit no candidate."""
    model, frozen = make_model(), make_model()
    for module in (frozen[1], frozen[3]):
        module.track_running_stats = False
        module.running_mean.fill_(9)
    batch = make_batches()[0]
    with enter(kind, model), torch.no_grad():
        expected = model(batch)
    with enter(kind, frozen), torch.no_grad():
        assert torch.equal(frozen(batch), expected)
    assert [frozen[i].track_running_stats for i in (1, 3)] == [False, False]


@KINDS
@pytest.mark.parametrize("inner", ["batch", "recalibrate"])
def test_nested_in_itself_or_the_other(kind, inner, everything, assert_untouched):
    model = make_model()
    before, batch = everything(model), make_batches()[2]
    with torch.no_grad(), enter(kind, model):
        expected = model(batch)
        statistics = [(id(buffer), buffer.clone()) for buffer in model.buffers()]
        with enter(inner, model, make_batches(1, 9)):
            other = model(batch)
        assert torch.equal(model(batch), expected)
        for (name, value), buffer in zip(statistics, model.buffers(), strict=True):
            assert id(buffer) == name
            assert torch.equal(buffer, value)
    assert_untouched(model, before)
    with torch.no_grad(), enter(inner, model, make_batches(1, 9)):
        assert torch.equal(model(batch), other)


@KINDS
def test_one_image_is_normalised_over_its_pixels(kind):
    model = make_model()
    (image,) = make_batches(1, size=1)
    with enter(kind, model, [image]), torch.no_grad():
        hidden = model[1](model[0](image))
    # Of nine pixels, either by their own variance or by the unbiased estimate from them.
    spread = hidden.var((0, 2, 3), unbiased=kind == "recalibrate")
    torch.testing.assert_close(spread, torch.ones(4), rtol=1e-3, atol=1e-3)


@KINDS
def test_a_model_without_batch_norm_is_only_put_into_evaluation_mode(kind):
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Dropout(0.5)).train()
    batch = make_batches()[0]
    with enter(kind, model):
        assert torch.equal(model(batch), model[1](model[0](batch)))
    assert all(module.training for module in model.modules())


def test_instance_norm_has_statistics_too():
    """Its estimate is the mean over all instances of their own statistics, at every use."""
    norm, batches = nn.InstanceNorm2d(2, track_running_stats=True, momentum=0.3), make_batches(4, 5)
    batches = [batch[:5] for batch in batches]
    norm.running_mean.fill_(9)

    def run(batch):
        norm(batch)
        norm(batch + 100)

    with recalibrated(norm, batches, run), torch.no_grad():
        every = torch.cat(batches)
        mean, var = every.mean((2, 3)).mean(0) + 50, every.var((2, 3), unbiased=True).mean(0)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-4)
        expected = F.batch_norm(every, norm.running_mean, norm.running_var)
        torch.testing.assert_close(norm(every), expected)
    assert norm.momentum == 0.3
    assert torch.equal(norm.running_mean, torch.full((2,), 9.0))
    assert not norm._forward_pre_hooks


def test_instance_norm_under_batch_statistics_normalises_each_instance():
    norm, batch = nn.InstanceNorm2d(2, track_running_stats=True), make_batches()[0]
    with batch_statistics(norm):
        torch.testing.assert_close(norm(batch), F.instance_norm(batch))
    assert norm.track_running_stats


@KINDS
def test_one_value_per_channel_is_explained(kind):
    norm, image = nn.BatchNorm1d(4), torch.ones(1, 4)

    def evaluate():
        with explaining_single_values(1), enter(kind, norm, [image]):
            norm(image)

    with pytest.raises(ConfigError, match=r"batch_size 1 .* 2 or more"):
        evaluate()


def test_other_errors_pass_unexplained():
    with pytest.raises(ValueError, match="of another kind"), explaining_single_values(1):
        raise ValueError("of another kind")


def test_nothing_is_calibrated_without_norms():
    calls = []
    with recalibrated(nn.Conv2d(2, 4, 3), make_batches(), calls.append):
        assert not calls
