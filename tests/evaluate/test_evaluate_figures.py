"""Figures that are no means over examples: the same however they are scored, and never raced by."""

import numpy as np
import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.data import chunks
from supernet.errors import ConfigError
from supernet.evaluate import Evaluator, Preference, Protocol, example_results, measure
from supernet.evaluate.racing import DroppedCandidate
from supernet.modules.modes import evaluating
from supernet.net import SuperNet, derive
from supernet.task import Classification

IMAGES = 100
"""Examples of the search split."""


class Confused(Classification):
    """Counts which class is taken for which, and reports how often it is the one above."""

    lower_is_better = ("above", "off")

    def measure(self, model, batch):
        logits, targets = model(*batch[:-1]), batch[-1]
        found = super().measure(lambda _: logits, batch)
        predicted = logits.argmax(1)
        pairs = torch.zeros(len(targets), 10, 10)
        pairs[range(len(targets)), targets, predicted] = 1
        off = (predicted - targets).abs().float()
        return {**found, "pairs": pairs, "off": off}

    def figures(self, means):
        pairs = means["pairs"]
        rest = {name: value for name, value in means.items() if name != "pairs"}
        return {**rest, "above": pairs.diagonal(1).sum() / (1 - pairs.trace())}


def expected(supernet, architecture, data):
    search, _, normalise = data
    with torch.no_grad(), evaluating(supernet), supernet.route(architecture):
        batches = list(chunks(search, 40, normalise))
        predicted = torch.cat([supernet(batch[0]).argmax(1) for batch in batches])
    targets = search.targets
    wrong = predicted != targets
    return float((predicted[wrong] == targets[wrong] + 1).float().mean())


class Traceable(nn.Module):
    """Two decisions, one after the other, and a norm after each."""

    def __init__(self):
        super().__init__()
        sizes = {"a": (1, 6), "b": (6, 8)}
        for name, (few, many) in sizes.items():
            convs = [nn.Conv2d(few, many, k, padding=k // 2) for k in (1, 3, 5)]
            self.add_module(name, Choice(convs, label=name))
            self.add_module(f"norm_{name}", nn.BatchNorm2d(many))
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        hidden = torch.relu(self.norm_a(self.a(images)))
        return self.head(torch.relu(self.norm_b(self.b(hidden))).mean((2, 3)))


@pytest.mark.parametrize("batch_norm", ["running", "batch", "recalibrate"])
def test_shared_and_plain_scores_are_the_same(data, batch_norm):
    torch.manual_seed(0)
    (search, train, normalise), supernet = data, SuperNet(Traceable())
    protocol = Protocol(batch_norm, 40, 3)
    evaluator = Evaluator(supernet, Confused(), search, train, normalise, protocol)
    architectures = [supernet.space[i] for i in range(9)]
    shared = dict(evaluator.scores(architectures))
    assert not evaluator.plain_because
    assert shared == {one: evaluator.score(one) for one in architectures}
    assert all(one.keys() == {"loss", "accuracy", "off", "above"} for one in shared.values())
    assert len({one["above"] for one in shared.values()}) > 1


def test_the_figure_is_that_of_all_examples(make_evaluator, supernet, data):
    evaluator = make_evaluator("running", task=Confused())
    for index in (0, 5):
        architecture = supernet.space[index]
        found = evaluator.score(architecture)["above"]
        assert found == pytest.approx(expected(supernet, architecture, data))


def test_a_race_by_it_is_refused_and_one_by_a_mean_goes_by_its_direction(make_evaluator, supernet):
    architectures = [supernet.space[i] for i in range(supernet.space.size)]
    evaluator = make_evaluator("running", batch_size=10, task=Confused())
    with pytest.raises(ConfigError, match="'above' of Confused is no mean over examples"):
        list(evaluator.race(architectures, 1, by="above"))
    fates = dict(evaluator.race(architectures, 1, error=0.5, by="off"))
    whole = {one: evaluator.score(one)["off"] for one in architectures}
    fallen = [one for one, fate in fates.items() if isinstance(fate, DroppedCandidate)]
    assert fallen
    assert whole[min(whole, key=whole.get)] < min(whole[one] for one in fallen)


def test_examples_have_a_part_in_every_figure(make_evaluator, supernet):
    evaluator = make_evaluator("running", task=Confused())
    architectures = [supernet.space[0], supernet.space[1]]
    for _, (score, each) in evaluator.example_scores(architectures, "off"):
        assert each.mean() == pytest.approx(score["off"])
    for _, (score, each) in evaluator.example_scores(architectures, "above"):
        assert each.shape == (evaluator.images,)
        assert each.mean() == pytest.approx(
            score["above"], abs=0.02
        )  # but for the jackknife's bias
        assert each.std() > 0.1
    for _, (score, each) in evaluator.example_scores(architectures, "unknown"):
        assert each.mean() == pytest.approx(score["loss"])


class Whole(Confused):
    """Makes its figure of all examples only."""

    missing = float("nan")

    def figures(self, means):
        found = super().figures(means)
        right = float(means["accuracy"]) * IMAGES
        if abs(right - round(right)) < 1e-3:
            return found
        if self.missing is None:
            raise ValueError("too few")
        return {**found, "above": torch.tensor(self.missing)}


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_parts_are_unknown_where_there_is_no_figure_of_fewer_examples(
    make_evaluator, supernet, missing, monkeypatch
):
    monkeypatch.setattr(Whole, "missing", missing)
    evaluator = make_evaluator("running", task=Whole())
    assert evaluator.images == IMAGES
    for _, (score, each) in evaluator.example_scores([supernet.space[0]], "above"):
        assert each is None
        assert np.isfinite(score["above"])


def test_what_makes_a_figure_of_an_ordinary_model_is_kept_by_example(supernet, data):
    search, _, normalise = data
    model, task = derive(supernet, supernet.space[0]).eval(), Confused()
    arguments = model, task, search, normalise, 30
    score, off = example_results(*arguments, Preference("off", ("off",)))
    assert score == measure(*arguments)
    assert off.values.mean() == pytest.approx(score["off"])
    assert off.measures.keys() == {"off"}
    _, above = example_results(*arguments, Preference("above"))
    assert (above.name, above.values) == ("above", None)
    means = {name: torch.as_tensor(np.mean(one, 0)) for name, one in above.measures.items()}
    assert task.figures(means)["above"].item() == pytest.approx(score["above"])
