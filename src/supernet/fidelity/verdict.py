"""What figures say in words: one sentence on whether scores can be believed, and what to do else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from supernet.errors import ConfigError
from supernet.evaluate.rank_correlation import ENOUGH, RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.fidelity.figures import Fidelity

__all__ = ["Verdict", "VerdictKind", "verdict"]

VerdictKind = Literal[
    "too few",
    "constant",
    "the truth",
    "reversed",
    "chance",
    "worse than a count",
    "a count",
    "ranks",
]


_LONGER = "train the supernet longer"


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a score.

    Attributes:
        kind: "too few" networks to say anything; "constant", the same for all; "the truth", which it
            orders without any fault; "reversed", where higher scores are worse; "chance", where the
            interval of τ holds 0; "worse than a count"; "a count" ranks as well, as far as can be told;
            or it "ranks", better than every count.
        text: the same in a sentence, with numbers and what to do.
    """

    kind: VerdictKind
    text: str

    @property
    def believable(self) -> bool:
        """Whether the best by this score are worth more than what the best count picks."""
        return self.kind == "ranks"


def verdict(
    found: Fidelity, counts: Sequence[str] = (), ceiling: RankCorrelation | None = None
) -> Verdict:
    """Return what the figures of the first score say.

    Args:
        found: figures of the score, first, and of counts.
        counts: names of the scores that are counts, such as "params" and "macs".
        ceiling: τ that a perfect score would reach, see `supernet.evaluate.noise_ceiling`.

    Raises:
        ConfigError: a count is not among the scores.
    """
    if unknown := [name for name in counts if name not in found.scores]:
        raise ConfigError(f"{unknown} are called counts, but scores are {list(found.scores)}")
    score, tau = next(iter(found.scores)), next(iter(found.scores.values())).get("kendall_tau")
    if found.n < ENOUGH:
        return Verdict(
            "too few",
            f"{found.n} networks are too few to say how well {score} ranks: compare {ENOUGH} or more, "
            "better 50.",
        )
    if tau is None:
        return Verdict(
            "constant", f"All {found.n} networks have the same {score}: it ranks nothing."
        )
    if tau.value > 1 - 1e-9:
        return Verdict(
            "the truth",
            f"{score} orders all {found.n} networks as the truth does, without a fault: see whether it "
            "was made of the truth.",
        )
    said = f"Kendall's τ {_written(tau)}, n = {found.n}"
    if ceiling is not None and ceiling.kendall_tau is not None:
        said += f"; a perfect score would reach {ceiling.kendall_tau:.2f}"
    if tau.high < 0:
        return Verdict(
            "reversed", f"Networks with a higher {score} are worse ({said}): rank by its negative."
        )
    best = max(
        (name for name in counts if "kendall_tau" in found.scores[name]),
        key=lambda name: found.scores[name]["kendall_tau"].value,
        default=None,
    )
    count = found.scores[best]["kendall_tau"] if best else None
    useful = best is not None and count is not None and count.low > 0
    if tau.low <= 0:
        advice = (
            f"choose by {best}, which reaches {_written(count)}" if useful and count else _LONGER
        )
        return Verdict("chance", f"{score} does not rank this space ({said}): {advice}.")
    over = found.over.get(best) if best else None
    if over is not None and over.high < 0:
        return Verdict(
            "worse than a count",
            f"{score} ranks this space worse than {best} does, by {-over.value:.2f} "
            f"({-over.high:.2f} to {-over.low:.2f}; {said}): choose by {best}, or {_LONGER}.",
        )
    if over is not None and over.low <= 0:
        return Verdict(
            "a count",
            f"{best} ranks this space as well as {score} does, as far as can be told (difference "
            f"{_written(over)}; {said}): compare more networks, or {_LONGER}.",
        )
    beyond = "" if over is None else f", above {best} by {_written(over)}"
    return Verdict("ranks", f"{score} ranks this space ({said}{beyond}).")


def _written(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
