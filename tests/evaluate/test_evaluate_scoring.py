import numpy as np
import pytest
import torch

from supernet.cost import measure_costs
from supernet.errors import StorageError
from supernet.evaluate import CandidateTable, Evaluator, Protocol, Scorer
from supernet.space import Architecture
from supernet.task import Classification


class Counting(Evaluator):
    """An evaluator that notes what it is asked for."""

    asked: tuple[Architecture, ...] = ()

    def scores(self, architectures, batches=None):
        self.asked += tuple(architectures)
        return super().scores(architectures, batches)

    def race(self, architectures, keep, error=0.05, by="accuracy"):
        self.asked += tuple(architectures)
        self.raced_by = by
        return super().race(architectures, keep, error, by)


@pytest.fixture
def costs(supernet):
    return measure_costs(supernet, torch.zeros(1, 1, 8, 8))


@pytest.fixture
def make_scorer(supernet, data, costs):
    def make(table, weights="w0", protocol=None, images=None):
        search, train, normalise = data
        search = search if images is None else search.select(torch.arange(images))
        protocol = protocol or Protocol("batch", 50)
        evaluator = Counting(supernet, Classification(), search, train, normalise, protocol)
        return Scorer(evaluator, costs, table, weights, seed=3), evaluator

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "candidates.db"


def test_a_candidate_has_its_scores_and_costs(path, make_scorer, supernet, costs):
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        for architecture in supernet.space:
            (candidate,) = scorer.score([architecture], "RandomSearch", 4)
            score = evaluator.score(architecture)
            assert (candidate.key, candidate.status) == (architecture.key, "ok")
            assert candidate.architecture == architecture
            assert (candidate.loss, candidate.accuracy) == (score["loss"], score["accuracy"])
            assert candidate.costs == {name: costs[name].cost(architecture) for name in costs}


def test_candidates_are_ranked_and_raced_by_what_the_table_says(path, make_scorer, supernet):
    architectures = list(supernet.space)
    with CandidateTable(path, by="loss") as table:
        scorer, evaluator = make_scorer(table)
        found = scorer.score(architectures, "a", 0)
        best = min(found, key=lambda one: one.rank_key)
        assert best.loss == min(one.loss for one in found)
        assert {one.by for one in [*found, *table.all(scorer.provenance)]} == {"loss"}
        other, evaluator = make_scorer(table, weights="w1")
        other.race(architectures, "a", 0, 2, 0.05)
        assert evaluator.raced_by == "loss"


def test_scores_of_another_precision_are_others(path, make_scorer, supernet):
    architectures = list(supernet.space)[:4]
    with CandidateTable(path) as table:
        losses, asked = {}, []
        for precision in ("float32", "bfloat16", "float32", "bfloat16"):
            scorer, evaluator = make_scorer(
                table, protocol=Protocol("batch", 50, precision=precision)
            )
            found = [one.loss for one in scorer.score(architectures, "a", 0)]
            assert losses.setdefault(precision, found) == found
            asked.append(len(evaluator.asked))
        assert asked == [4, 4, 0, 0]
        assert losses["float32"] != losses["bfloat16"]


def test_nothing_is_scored_twice(path, make_scorer, supernet):
    architectures = list(supernet.space)[:4]
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        first = scorer.score(architectures, "a", 0)
        assert scorer.score(architectures, "a", 1) == first
        assert sorted(evaluator.asked, key=str) == sorted(architectures, key=str)
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        again = scorer.score(architectures, "b", 1)
        assert evaluator.asked == ()
        assert again == first
        assert len(table.all(scorer.provenance)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "w1"},
        {"protocol": Protocol("batch", 25)},
        {"protocol": Protocol("recalibrate", 50, 2)},
        {"images": 60},
    ],
    ids=["weights", "batch size", "batch norm", "images"],
)
def test_other_weights_or_another_protocol_score_anew(path, make_scorer, supernet, change):
    architecture = supernet.space[0]
    with CandidateTable(path) as table:
        first = make_scorer(table)[0].score([architecture], "a", 0)[0]
        scorer, evaluator = make_scorer(table, **change)
        (other,) = scorer.score([architecture], "a", 0)
        assert evaluator.asked == (architecture,)
        assert "weights" in change or other.loss != first.loss
        assert make_scorer(table)[0].score([architecture], "a", 0)[0] == first


def test_the_number_of_calibration_batches_counts_only_where_it_is_used(
    path, make_scorer, supernet
):
    def calls(table, kind, batches):
        scorer, evaluator = make_scorer(table, protocol=Protocol(kind, 50, batches))
        scorer.score([supernet.space[0]], "a", 0)
        return len(evaluator.asked)

    with CandidateTable(path) as table:
        assert [calls(table, "batch", n) for n in (1, 2)] == [1, 0]
        assert [calls(table, "recalibrate", n) for n in (1, 2, 1)] == [1, 1, 0]


def test_a_loss_that_is_no_number_is_recorded_as_failed(path, make_scorer, supernet):
    with torch.no_grad():
        supernet.model.mix.options[0][0].weight.fill_(float("nan"))
    bad = Architecture({"mix": ("tracked",), "join": ("mixed",)})
    good = Architecture({"mix": ("cumulative",), "join": ("mixed",)})
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        failed, passed = scorer.score([bad, good], "a", 0)
        assert (failed.status, failed.loss, failed.accuracy) == ("failed", None, None)
        assert failed.costs["params"] > 0
        assert passed.status == "ok"
        assert passed.rank_key < failed.rank_key
        assert "DivergedError" in failed.error
        assert scorer.score([bad, good], "a", 0) == [failed, passed]
        assert sorted(evaluator.asked, key=str) == sorted([bad, bad, good], key=str)


def test_a_failed_candidate_is_tried_again_and_its_row_mended(path, make_scorer, supernet):
    first, *others = supernet.space[0], supernet.space[1]
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        original = evaluator.scores
        evaluator.scores = lambda asked, _: [
            (one, RuntimeError("a passing trouble")) for one in asked
        ]
        assert [c.status for c in scorer.score([first], "a", 0)] == ["failed"]
        evaluator.scores = original
        (mended,) = scorer.score([first], "a", 1)
        assert (mended.status, mended.error) == ("ok", None)
        scorer.score(others, "a", 1)
        assert [candidate.status for candidate in table.all(scorer.provenance)] == ["ok", "ok"]
        assert table.get(first.key, scorer.provenance) == mended


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError(), StorageError("full")])
def test_what_is_the_fault_of_the_machine_stops_the_search(path, make_scorer, supernet, error):
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        evaluator.scores = lambda asked, _: [(one, error) for one in asked]
        with pytest.raises(type(error)):
            scorer.score([supernet.space[0]], "a", 0)
        assert table.all(scorer.provenance) == []


def test_a_part_of_the_images_makes_partial_candidates(path, make_scorer, supernet):
    architectures = list(supernet.space)[:3]
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table)
        partial = scorer.score(architectures, "a", 0, batches=1)
        assert {candidate.status for candidate in partial} == {"partial"}
        first = dict(evaluator.scores(architectures, 1))
        assert [c.loss for c in partial] == [first[c.architecture]["loss"] for c in partial]
        whole = scorer.score(architectures, "a", 1)
        assert {candidate.status for candidate in whole} == {"ok"}
        assert all(one.loss != other.loss for one, other in zip(partial, whole, strict=True))
        assert max(whole, key=lambda c: c.rank_key).rank_key < min(c.rank_key for c in partial)
        evaluator.asked = ()
        assert scorer.score(architectures, "b", 2, batches=1) == partial
        assert scorer.score(architectures, "b", 2) == whole
        assert evaluator.asked == ()


def test_a_race_is_read_from_the_table_or_run_as_a_whole(path, make_scorer, supernet, monkeypatch):
    architectures = list(supernet.space)
    keep = 2

    def falls(self, results, higher):
        return results.mean(1) < np.sort(results.mean(1))[-keep]

    monkeypatch.setattr("supernet.evaluate.racing.Race.falls", falls)
    with CandidateTable(path) as table:
        scorer, evaluator = make_scorer(table, protocol=Protocol("batch", 10))
        raced = scorer.race(architectures, "a", 0, keep, 0.05)
        assert [candidate.architecture for candidate in raced] == architectures
        assert {candidate.status for candidate in raced} == {"ok", "partial"}
        for candidate in raced:
            if candidate.status == "ok":
                assert candidate.loss == evaluator.score(candidate.architecture)["loss"]
        evaluator.asked = ()
        assert scorer.race(architectures, "b", 1, keep, 0.05) == raced
        assert evaluator.asked == ()
        more = scorer.race(architectures[1:], "b", 1, keep, 0.05)
        assert more == raced[1:]


def test_costs_of_a_known_candidate_follow_the_tables(path, make_scorer, supernet, costs):
    architecture = supernet.space[0]
    with CandidateTable(path) as table:
        scorer, _ = make_scorer(table)
        scorer.score([architecture], "a", 0)
        costs["energy"] = costs["params"]
        again, evaluator = make_scorer(table)
        (candidate,) = again.score([architecture], "a", 0)
        assert candidate.costs["energy"] == candidate.costs["params"]
        assert evaluator.asked == ()
        assert table.get(architecture.key, again.provenance) == candidate
