"""Scores after a short training: what they are, and what they leave as it was."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from supernet.cost import measure_costs
from supernet.data import Augment, Loader, chunks
from supernet.errors import ConfigError, DivergedError
from supernet.evaluate import CandidateTable, Evaluator, Protocol, Scorer, Tuning
from supernet.net import derive
from supernet.random import derive_seed
from supernet.task import Classification

STEPS, LR, SEED = 4, 0.1, 7

make_sgd = partial(torch.optim.SGD, lr=LR, momentum=0.9, nesterov=True, weight_decay=1e-3)


def tuning(**changes):
    given = {"rate": 0.5, "batch_size": 16, "clip": 0.2, "augment": Augment(crop=1), "seed": SEED}
    return Tuning(**{"steps": STEPS, "optimizer": make_sgd, **given, **changes})


@pytest.fixture
def make(supernet, data):
    def make(batch_norm="recalibrate", net=None, task=None, **changes):
        protocol = Protocol(batch_norm, 40, 2, tuning(**changes))
        search, train, normalise = data
        return Evaluator(
            net or supernet, task or Classification(), search, train, normalise, protocol
        )

    return make


def trained_plainly(supernet, architecture, data):
    """Train the network of an architecture by a loop of plain PyTorch."""
    _, train, normalise = data
    network = derive(supernet, architecture).train()
    seed = derive_seed(SEED, "tune", architecture.key)
    loader = Loader(train, 16, seed, Augment(crop=1), normalise=normalise)
    optimizer = make_sgd(network.parameters(), lr=LR * 0.5)
    for step in range(STEPS):
        inputs, targets = loader.batch(step)
        torch.manual_seed(derive_seed(seed, "torch", step))  # of dropout
        loss = functional.cross_entropy(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.2)
        optimizer.step()
    return network.eval()


def recalibrate(network, data):
    """Replace statistics by means over two batches of 40 training images."""
    _, train, normalise = data
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        for inputs, _ in chunks(train.select(torch.arange(80)), 40, normalise):
            network(inputs)
    network.eval()


def measured(network, data, batch_norm):
    search, _, normalise = data
    for norm in network.modules():
        if batch_norm == "batch" and isinstance(norm, nn.BatchNorm2d):
            norm.train()
    outputs, targets = [], []
    with torch.no_grad():
        for inputs, labels in chunks(search, 40, normalise):
            outputs.append(network(inputs))
            targets.append(labels)
    outputs, targets = torch.cat(outputs), torch.cat(targets)
    loss = functional.cross_entropy(outputs, targets).item()
    return loss, (outputs.argmax(1) == targets).float().mean().item()


@pytest.mark.parametrize("batch_norm", ["recalibrate", "batch", "running"])
def test_a_score_is_that_of_the_network_trained_by_a_plain_loop(supernet, data, make, batch_norm):
    evaluator = make(batch_norm)
    for architecture in list(supernet.space)[3:17:7]:
        network = trained_plainly(supernet, architecture, data)
        if batch_norm == "recalibrate":
            recalibrate(network, data)
        loss, accuracy = measured(network, data, batch_norm)
        score = evaluator.score(architecture)
        assert score["loss"] == pytest.approx(loss, rel=1e-5)
        assert score["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_neither_order_nor_others_matter_and_the_supernet_stays(
    supernet, make, everything, assert_untouched
):
    architectures = list(supernet.space)[:3]
    alone = {one: make().score(one) for one in architectures}
    before, state = everything(supernet), torch.get_rng_state()
    found = dict(make().scores(architectures))
    assert found == alone
    assert dict(make().scores(architectures[::-1])) == alone
    assert torch.equal(torch.get_rng_state(), state)
    assert_untouched(supernet, before)
    assert all(parameter.grad is None for parameter in supernet.parameters())
    assert len({one["loss"] for one in alone.values()}) == 3


def test_every_option_of_the_tuning_makes_other_scores(supernet, make):
    architecture = supernet.space[4]
    changes = [
        {},
        {"steps": 5},
        {"rate": 0.4},
        {"batch_size": 20},
        {"clip": None},
        {"augment": None},
    ]
    changes += [{"seed": 8}]
    losses = [make(**one).score(architecture)["loss"] for one in changes]
    assert len(set(losses)) == len(losses)
    texts = {tuning(**one).text for one in changes[:4]}
    assert len(texts) == 4  # what may differ within a run folder is told apart there


@pytest.mark.slow
def test_a_part_of_the_images_and_races_measure_the_same_network(supernet, make, data):
    architectures = list(supernet.space)[:4]
    search, train, normalise = data
    count = len(next(iter(chunks(search, 40, normalise)))[1])
    for architecture, score in make().scores(architectures[:2], batches=1):
        network = trained_plainly(supernet, architecture, data)
        recalibrate(network, data)
        loss, _ = measured(network, (search.select(torch.arange(count)), train, normalise), "")
        assert score["loss"] == pytest.approx(loss, rel=1e-5)
    raced = dict(make().race(architectures, keep=4))
    assert raced == dict(make().scores(architectures))


def test_tuned_scores_are_stored_beside_others_with_their_seconds(supernet, make, data, tmp_path):
    costs = measure_costs(supernet, torch.zeros(1, 1, 8, 8))
    architectures = list(supernet.space)[:2]

    def scored(table, evaluator):
        scorer = Scorer(evaluator, costs, table, "w0", seed=3)
        return scorer.score(architectures, "a", 0), scorer

    with CandidateTable(tmp_path / "candidates.db") as table:
        untuned = Evaluator(supernet, Classification(), *data, Protocol("recalibrate", 40, 2))
        plain, plain_scorer = scored(table, untuned)
        tuned, scorer = scored(table, make())
        assert not {one.loss for one in plain} & {one.loss for one in tuned}
        assert (plain_scorer.tuned, plain[0].tune_seconds) == ((0, 0), None)
        assert all(one.tune_seconds > 0 for one in tuned)
        spent = sum(one.tune_seconds for one in tuned)
        assert scorer.tuned == (2, pytest.approx(spent))
        again, other = scored(table, make())
        assert again == tuned
        assert other.tuned == scorer.tuned  # of what was tuned before, too
        assert scored(table, make(steps=5))[0] != tuned
        assert table.all(scorer.provenance) == tuned
        assert table.all(plain_scorer.provenance) == plain
    assert scorer.provenance.tuning == "4 steps of 16 examples at 0.5 of the learning rate"


def test_one_that_diverges_is_said_and_the_others_go_on(supernet, make):
    class Failing(Classification):
        """Infinite losses in training of networks that hold a convolution of kernel 1."""

        def loss(self, model, batch):
            found = super().loss(model, batch)
            wanted = any(
                isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in model.modules()
            )
            return found * float("inf") if wanted else found

    found = dict(make(task=Failing()).scores(list(supernet.space)[::5]))
    failed = {one: error for one, error in found.items() if isinstance(error, Exception)}
    assert 0 < len(failed) < len(found)
    for architecture, error in failed.items():
        assert architecture["mix"] != ("tracked",)
        assert isinstance(error, DivergedError)
        assert "a smaller --evaluate.tune.rate helps" in str(error)
    losses = {one: score["loss"] for one, score in found.items() if one not in failed}
    assert losses == {one: make().score(one)["loss"] for one in losses}


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"batch_size": 0}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="at least one step"):
        tuning(**wrong)
