"""Scores that were planted are called what they are, in words that say what to do."""

import re

import numpy as np
import pytest

from supernet.errors import ConfigError
from supernet.evaluate import noise_ceiling
from supernet.fidelity import fidelity, verdict

N = 200
RANDOM = np.random.default_rng(7)
TRUTH = RANDOM.normal(size=N)
NOISE = RANDOM.normal(size=(4, N))
PARAMS = TRUTH + NOISE[0]

PLANTED = {
    "constant": (np.ones(N), "constant", "the same score"),
    "random": (
        NOISE[1],
        "chance",
        "does not rank this space .* choose by params, which reaches 0.4",
    ),
    "truth": (TRUTH, "the truth", "without a fault: see whether it was made of the truth"),
    "scaled truth": (3 * TRUTH - 1, "the truth", "as the truth does"),
    "loss": (-TRUTH + 0.3 * NOISE[1], "reversed", "rank by its negative"),
    "weak": (TRUTH + 4 * NOISE[1], "worse than a baseline", "worse than params does, by 0"),
    "a count": (PARAMS, "a baseline", "params ranks this space as well .*difference 0.00"),
    "near a count": (PARAMS + 0.1 * NOISE[2], "a baseline", "compare more networks"),
    "good": (TRUTH + 0.3 * NOISE[1], "ranks", "above params by 0"),
    "another seed": (TRUTH + 0.1 * NOISE[3], "ranks", "ranks this space"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_scores_are_called_what_they_are(name):
    score, kind, words = PLANTED[name]
    found = fidelity({"score": score, "params": PARAMS}, TRUTH, ["params"])
    said = verdict(found, ["params"])
    assert said.kind == kind, said.text
    assert said.believable == (kind == "ranks")
    assert re.search(words, said.text), said.text


def test_few_networks_say_nothing():
    found = fidelity({"score": TRUTH[:9]}, TRUTH[:9])
    assert verdict(found).kind == "too few"
    assert "9 networks are too few" in verdict(found).text


def test_without_a_count_that_knows_more_the_advice_is_to_train_longer():
    found = fidelity({"score": NOISE[1], "params": NOISE[2]}, TRUTH)
    assert verdict(found, ["params"]).text.endswith("train the supernet longer.")
    assert verdict(found).text.endswith("train the supernet longer.")


def test_the_ceiling_is_said_beside_it():
    ceiling = noise_ceiling([TRUTH + 0.3 * NOISE[0], TRUTH + 0.3 * NOISE[1]])
    found = fidelity({"score": TRUTH + NOISE[2]}, TRUTH)
    assert (
        f"a perfect score would reach {ceiling.kendall_tau:.2f}" in verdict(found, (), ceiling).text
    )


def test_a_baseline_that_is_no_score_is_refused():
    found = fidelity({"score": TRUTH}, TRUTH)
    with pytest.raises(ConfigError, match=r"\['macs'\] are called baselines"):
        verdict(found, ["macs"])
