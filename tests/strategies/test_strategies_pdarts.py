import pytest
import torch
from coupled_models import ready

from supernet.data import Digits, Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.space import OneOf
from supernet.strategies import PDARTS, Alpha, DrNAS, Stage, TrainingContext
from supernet.strategies.derivation import edges, strongest, with_at_most
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo import DARTS


def cells(count=3, **arguments):
    torch.manual_seed(count)
    return SuperNet(DARTS((1, 8, 8), cells=count, channels=4, nodes=2, **arguments)).train()


def setting(**given):
    return TrainingContext(3, {}, search=Loader(Digits().load().train, 16, 3), **given)


def set_alphas(strategy, seed=0):
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for alpha in strategy.alphas.values():
            alpha.copy_(torch.randn(len(alpha), generator=random))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PDARTS, DrNAS])
def test_the_strongest_options_go_on_from_stage_to_stage(kind):
    stages = (Stage(keep=5), Stage({"cells": 4}, keep=2))
    first, second, third = (kind(stages=stages) for _ in range(3))
    first.prepare(cells(), setting())
    assert all(kept == tuple(range(len(first.alphas[label]))) for label, kept in first.kept.items())
    set_alphas(first)
    before = {label: alpha.detach().clone() for label, alpha in first.alphas.items()}

    second.prepare(cells(), setting(stage=1, before=first.state_dict()))
    operations = [d.label for d in cells().space.decisions if isinstance(d, OneOf)]
    for label in operations:
        assert second.kept[label] == tuple(sorted(before[label].topk(5).indices.tolist()))
    for label in second.kept.keys() - set(operations):
        assert second.kept[label] == first.kept[label]
    for label, alpha in second.alphas.items():
        if kind is DrNAS:  # α goes on
            assert torch.equal(alpha.detach(), before[label])
        else:
            assert alpha.detach().abs().max() < 0.01 < before[label].abs().max()

    with torch.no_grad():  # what is out of the race cannot come back
        for label in operations:
            second.alphas[label].fill_(50.0)
            second.alphas[label][list(second.kept[label])] = torch.tensor([0.0, 2, 0.1, 3, 0.2])
    third.prepare(cells(4), setting(stage=2, before=second.state_dict()))
    for label in operations:
        kept = second.kept[label]
        assert third.kept[label] == (kept[1], kept[3])


@pytest.mark.slow
def test_a_named_option_goes_on_beside_none():
    first, second = (PDARTS(stages=(Stage(keep=1),)) for _ in range(2))
    first.prepare(cells(), setting())
    space = cells().space
    with torch.no_grad():
        for label, alpha in first.alphas.items():
            if "from" in label:
                options = space.decision(label).options
                alpha.zero_()
                alpha[options.index("none")] = 9.0
                alpha[options.index("sep5")] = 5.0
    second.prepare(cells(), setting(stage=1, before=first.state_dict()))
    (found,) = second.learned(cells())
    assert {value for label, value in found.items() if "from" in label} == {"sep5"}


@pytest.mark.slow
def test_a_stage_that_takes_nothing_out_is_said():
    first, second, third = (PDARTS(stages=(Stage(keep=8), Stage(keep=3))) for _ in range(3))
    first.prepare(cells(), setting())
    second.prepare(cells(), setting(stage=1, before=first.state_dict()))
    third.prepare(cells(), setting(stage=2, before=second.state_dict()))
    assert ["took no option out" in " ".join(s.warnings()) for s in (first, second, third)] == [
        False,
        True,
        False,
    ]


def test_entropy_is_that_of_the_options_in_the_race():
    first, second = PDARTS(), PDARTS(alpha=Alpha(spread=0.0))
    first.prepare(cells(), setting())
    second.prepare(cells(), setting(stage=1, before=first.state_dict()))
    assert second.metrics()["entropy"] == pytest.approx(1.0)


@pytest.mark.slow
def test_only_what_is_kept_runs_and_learns():
    strategy, supernet = PDARTS(alpha=Alpha(0.1)), cells()
    earlier = PDARTS()
    earlier.prepare(cells(), setting())
    set_alphas(earlier)
    strategy.prepare(supernet, setting(stage=2, before=earlier.state_dict()))
    images = Digits().load().train
    batch = Loader(images, 16, 3).batch(0)
    strategy.backward(supernet, Classification(), batch, Moment(0, 10, 3))
    for choice, label in supernet.choices.items():
        if label in strategy.kept and "from" in label:
            assert len(strategy.kept[label]) == 3
            for i, option in enumerate(choice.options):
                reached = i in strategy.kept[label]
                assert all((p.grad is not None) == reached for p in option.parameters())
    for label, answer in strategy.learned(supernet)[0].items():
        kept = strategy.kept[label]
        assert set(supernet.space.decision(label).indices(answer)) <= set(kept)


def test_skips_beyond_the_bound_are_taken_out_weakest_first():
    space = cells().space
    strengths = {d.label: [0.01] * len(d.options) for d in space.decisions}
    skips = {"normal.node0.from0": 0.9, "normal.node0.from1": 0.6, "normal.node1.from2": 0.7}
    for label, strength in [*skips.items(), ("reduce.node0.from0", 0.8)]:
        strengths[label][space.decision(label).options.index("skip")] = strength
    strengths["normal.node0.from1"][space.decision(label).options.index("sep3")] = 0.3
    for label in ("normal.node1.from0", "normal.node1.from1"):
        strengths[label][space.decision(label).options.index("dil3")] = 0.5

    free, bound = (with_at_most(n, edges, space, strengths, "normal") for n in (9, 2))
    assert free == edges(space, strengths)
    assert [label for label in skips if free.get(label) == "skip"] == list(skips)
    assert [label for label in skips if bound.get(label) == "skip"] == [
        "normal.node0.from0",
        "normal.node1.from2",
    ]
    assert bound["normal.node0.from1"] == "sep3"
    assert bound["reduce.node0.from0"] == "skip"  # not counted
    alone = {label: list(values) for label, values in strengths.items()}
    first = alone["normal.node0.from0"]
    first[:] = [0.0] * len(first)
    first[space.decision("normal.node0.from0").options.index("skip")] = 0.9
    stays = with_at_most(0, edges, space, alone, "normal")
    assert stays["normal.node0.from0"] == "skip"  # its decision has no other option left
    assert stays["normal.node0.from1"] == "sep3"
    none = with_at_most(0, edges, space, strengths, "normal")
    assert not [label for label, value in none.items() if value == "skip" and "normal" in label]
    assert none["normal.node1.edges"] == (
        "0",
        "1",
    )  # without its skip the edge from 2 is the weakest
    assert with_at_most(0, strongest, space, strengths)["reduce.node0.from0"] != "skip"


def test_a_decision_that_has_only_a_skip_keeps_it():
    skip = SuperNet(DARTS((1, 8, 8), cells=3, channels=4, nodes=1, operations=("skip",)))
    strengths = {d.label: [0.5] * len(d.options) for d in skip.space.decisions}
    assert with_at_most(0, edges, skip.space, strengths) == edges(skip.space, strengths)


def test_the_derived_cell_respects_the_bound():
    strategy, supernet = PDARTS(skips=1), cells()
    strategy.prepare(supernet, setting())
    for seed in range(5):
        set_alphas(strategy, seed)
        with torch.no_grad():
            for label, alpha in strategy.alphas.items():
                if "from" in label:
                    alpha[supernet.space.decision(label).options.index("skip")] += 2
        (found,) = strategy.learned(supernet)
        skips = [label for label, value in found.items() if value == "skip"]
        assert sum(label.startswith("normal") for label in skips) == 1
        assert sum(label.startswith("reduce") for label in skips) > 1


def test_stages_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match=r"PDARTS keep 3, 5 options"):
        PDARTS(stages=(Stage(keep=3), Stage(keep=5)))
    with pytest.raises(ConfigError, match="at least 1 option of a decision, not 0"):
        Stage(keep=0)
    with pytest.raises(ConfigError, match="skips is a number"):
        PDARTS(skips=-1)


def test_the_defaults_are_the_paper_s():
    strategy = PDARTS()
    assert [stage.keep for stage in strategy.stages] == [5, 3]
    assert strategy.skips == 2
    assert strategy.alpha == Alpha(6e-4, (0.5, 0.999), 1e-3, 10 / 25, clip=5.0)
    assert ready(PDARTS()).space
