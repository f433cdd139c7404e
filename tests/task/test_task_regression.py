"""Numbers of an example: losses and figures beside scikit-learn's, and what is refused."""

import pytest
import torch
from figures_of import Given, figures_of, in_parts
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from supernet.errors import ConfigError, DataError
from supernet.task import Regression


@pytest.fixture(params=[(), (3,)])
def data(request):
    random = torch.Generator().manual_seed(0)
    targets = 2 + 5 * torch.randn(60, *request.param, generator=random)
    return targets + torch.randn(targets.shape, generator=random), targets


def test_figures_are_those_of_scikit_learn(data):
    outputs, targets = data
    found = figures_of(Regression(), outputs, targets)
    assert found.keys() == {"loss", "rmse", "mae", "r2"}
    assert found["loss"] == pytest.approx(mean_squared_error(targets, outputs), rel=1e-5)
    assert found["rmse"] == pytest.approx(mean_squared_error(targets, outputs) ** 0.5, rel=1e-5)
    assert found["mae"] == pytest.approx(mean_absolute_error(targets, outputs), rel=1e-5)
    assert found["r2"] == pytest.approx(r2_score(targets, outputs), rel=1e-6)
    assert 0.8 < found["r2"] < 1


def test_far_from_zero_the_variance_is_not_lost():
    random = torch.Generator().manual_seed(1)
    targets = 1e5 + torch.randn(200, generator=random)
    outputs = targets + 0.5 * torch.randn(200, generator=random)
    found = figures_of(Regression(), outputs, targets)
    assert found["r2"] == pytest.approx(r2_score(targets, outputs), rel=1e-4)


def test_numbers_that_do_not_vary_explain_nothing(data):
    outputs, targets = data
    if targets.ndim == 1:
        assert figures_of(Regression(), outputs, torch.full_like(targets, 0.1))["r2"] == 0
        return
    targets = targets.clone()
    targets[:, 1] = 0.1
    expected = r2_score(targets[:, [0, 2]], outputs[:, [0, 2]])
    assert figures_of(Regression(), outputs, targets)["r2"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "formula"),
    [
        ({}, lambda e: e**2),
        ({"loss": "mae"}, abs),
        ({"loss": "huber"}, lambda e: e**2 / 2 if abs(e) < 1 else abs(e) - 0.5),
        (
            {"loss": "huber", "delta": 0.3},
            lambda e: e**2 / 2 if abs(e) < 0.3 else 0.3 * (abs(e) - 0.15),
        ),
    ],
)
def test_the_loss_is_the_formula(data, arguments, formula):
    errors = (data[0] - data[1]).double().flatten().tolist()
    expected = sum(map(formula, errors)) / len(errors)
    task = Regression(**arguments)
    assert task.loss(Given(), data).item() == pytest.approx(expected, rel=1e-5)
    assert figures_of(task, *data)["loss"] == pytest.approx(expected, rel=1e-5)
    whole, parts = in_parts(task, *data)
    assert whole == pytest.approx(parts)


def test_one_output_for_one_number_is_no_product_of_both():
    outputs, targets = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 3.0])
    assert Regression().loss(Given(), (outputs, targets)).item() == pytest.approx(1 / 3)
    assert figures_of(Regression(), outputs, targets)["mae"] == pytest.approx(1 / 3)


def test_targets_of_another_precision_have_gradients_of_the_outputs():
    outputs = torch.zeros(4, 2, requires_grad=True)
    Regression().loss(Given(), (outputs, torch.ones(4, 2, dtype=torch.float64))).backward()
    assert outputs.grad.dtype == torch.float32


def test_errors_are_better_when_lower():
    assert {"rmse", "mae"} <= {*Regression.lower_is_better}
    assert "r2" not in Regression.lower_is_better


@pytest.mark.parametrize(
    ("outputs", "targets", "words"),
    [
        ((5, 1), torch.zeros(5, dtype=torch.int64), ["torch.int64", "task classification"]),
        ((5, 1), torch.zeros(5, 2, 2), ["[5, 2, 2]", "flatten(1)"]),
        ((5, 3), torch.zeros(5), ["[5]", "returned [5, 3]", "1 output,"]),
        ((5,), torch.zeros(5, 1), ["[5, 1]", "returned [5]"]),
        ((5, 2), torch.zeros(5, 3), ["returned [5, 2]", "3 outputs", "--model.classes 3"]),
    ],
)
def test_other_shapes_are_refused(outputs, targets, words):
    for call in (Regression().loss, Regression().measure):
        with pytest.raises(DataError) as caught:
            call(Given(), (torch.zeros(outputs), targets))
        for word in ["regression", *words]:
            assert word in str(caught.value)


@pytest.mark.parametrize("arguments", [{"loss": "l2"}, {"delta": 0}, {"delta": float("inf")}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Regression(**arguments)


def test_models_need_an_output_for_each_number():
    assert [Regression().outputs(torch.zeros(shape)) for shape in ([5], [5, 3])] == [1, 3]
    assert Regression().outputs(torch.zeros(5, dtype=torch.int64)) is None
