"""What figures say in words: one sentence on whether scores can be believed, and what to do else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from supernet.errors import ConfigError
from supernet.evaluate.rank_correlation import ENOUGH, RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.fidelity.cautions import Caution
from supernet.fidelity.ceiling import Ceiling
from supernet.fidelity.figures import Fidelity

__all__ = ["Verdict", "VerdictKind", "verdict"]

VerdictKind = Literal[
    "no numbers",
    "too few",
    "constant",
    "the truth",
    "another training",
    "reversed",
    "chance",
    "one option",
    "worse than a baseline",
    "a baseline",
    "ranks",
]

SURE = 0.3
"""Width of an interval of τ up to which a score is taken for another training whose τ it holds."""

_LONGER = "train the supernet longer"


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a score.

    Attributes:
        kind: "no numbers", where networks have no finite score; "too few" networks to say anything;
            "constant", the same for all; "the truth", which it orders without any fault; "another
            training", as well as which it ranks; "reversed", where higher scores are worse; "chance",
            where the interval of τ holds 0; "one option" decides nearly all of it; "worse than a
            baseline", such as a count of parameters or a score without training; "a baseline" ranks as
            well, as far as can be told; or it "ranks", better than every baseline.
        text: the same in a sentence, with numbers and what to do.
        cautions: further things to be careful about.
    """

    kind: VerdictKind
    text: str
    cautions: tuple[Caution, ...] = ()

    @property
    def believable(self) -> bool:
        """Whether the best by this score are worth more than what the best baseline picks."""
        return self.kind == "ranks"

    def sentences(self) -> str:
        """Return the verdict and all cautions as one text."""
        return " ".join([self.text, *(one.text for one in self.cautions)])


def verdict(
    found: Fidelity,
    baselines: Sequence[str] = (),
    ceiling: Ceiling | RankCorrelation | None = None,
    deciding: tuple[str, float, object] | None = None,
    cautions: Sequence[Caution] = (),
) -> Verdict:
    """Return what the figures of the first score say.

    Args:
        found: figures of the score, first, and of what it is compared with.
        baselines: names of the scores that need no supernet, such as "params", "macs" and "az_nas".
        ceiling: τ that a perfect score would reach, see `supernet.fidelity.ceiling_of`.
        deciding: decision that alone decides the score, see `supernet.fidelity.cautions.deciding`.
        cautions: further things to be careful about.

    Raises:
        ConfigError: a baseline is not among the scores.
    """
    if unknown := [name for name in baselines if name not in found.scores]:
        raise ConfigError(f"{unknown} are called baselines, but scores are {list(found.scores)}")
    kind, text = (
        _nothing(found)
        or _suspicious(found, ceiling)
        or _useless(found, baselines, ceiling)
        or _decided(found, ceiling, deciding)
        or _beside_baselines(found, baselines, ceiling)
    )
    return Verdict(kind, text, tuple(cautions))


_Said = tuple[VerdictKind, str]


def _nothing(found: Fidelity) -> _Said | None:
    """Say that nothing can be said."""
    score, figures = next(iter(found.scores.items()))
    if found.n < ENOUGH:
        return "too few", (
            f"{found.n} networks are too few to say how well {score} ranks: compare {ENOUGH} or more, "
            "better 50."
        )
    if "kendall_tau" not in figures:
        return "constant", f"All {found.n} networks have the same {score}: it ranks nothing."
    return None


def _suspicious(found: Fidelity, ceiling: Ceiling | RankCorrelation | None) -> _Said | None:
    """Say that a score knows what it cannot."""
    score, tau = _first(found)
    if tau.value > 1 - 1e-9:
        return "the truth", (
            f"{score} orders all {found.n} networks as the truth does, without a fault: see whether it "
            "was made of the truth."
        )
    twin = ceiling.twin if isinstance(ceiling, Ceiling) else None
    sure = tau.high if tau.high - tau.low <= SURE else tau.value
    if twin is not None and tau.low > 0 and sure >= twin:
        return "another training", (
            f"{score} ranks this space as well as training each network once more would, which reaches "
            f"τ = {twin:.2f} ({_said(found, ceiling)}): see whether it was made of such trainings."
        )
    return None


def _useless(
    found: Fidelity, baselines: Sequence[str], ceiling: Ceiling | RankCorrelation | None
) -> _Said | None:
    """Say that a score ranks the wrong way round, or not at all."""
    (score, tau), said = _first(found), _said(found, ceiling)
    if tau.high < 0:
        return "reversed", (
            f"Networks with a higher {score} are worse ({said}): rank by its negative."
        )
    if tau.low > 0:
        return None
    best = _best(found, baselines)
    tau_of_best = None if best is None else found.scores[best]["kendall_tau"]
    advice = _LONGER
    if tau_of_best is not None and tau_of_best.low > 0:
        advice = f"choose by {best}, which reaches {_written(tau_of_best)}"
    return "chance", f"{score} does not rank this space ({said}): {advice}."


def _decided(
    found: Fidelity,
    ceiling: Ceiling | RankCorrelation | None,
    deciding: tuple[str, float, object] | None,
) -> _Said | None:
    """Say that a score looks at one decision only."""
    if deciding is None:
        return None
    label, share, top = deciding
    (score, _), answer = _first(found), "its absence" if top is None else repr(top)
    return "one option", (
        f"One decision decides {score}: {label!r} explains {100 * share:.0f} % of its variance, and is "
        f"best with {answer} ({_said(found, ceiling)}): fix it, and see how well the others are ranked."
    )


def _beside_baselines(
    found: Fidelity, baselines: Sequence[str], ceiling: Ceiling | RankCorrelation | None
) -> _Said:
    """Say whether a score that ranks does so better than the best baseline."""
    (score, _), said, best = _first(found), _said(found, ceiling), _best(found, baselines)
    over = found.over.get(best) if best else None
    if over is not None and over.high < 0:
        return "worse than a baseline", (
            f"{score} ranks this space worse than {best} does, by {-over.value:.2f} "
            f"({-over.high:.2f} to {-over.low:.2f}; {said}): choose by {best}, or {_LONGER}."
        )
    if over is not None and over.low <= 0:
        return "a baseline", (
            f"{best} ranks this space as well as {score} does, as far as can be told (difference "
            f"{_written(over)}; {said}): compare more networks, or {_LONGER}."
        )
    beyond = "" if over is None else f", above {best} by {_written(over)}"
    return "ranks", f"{score} ranks this space ({said}{beyond})."


def _first(found: Fidelity) -> tuple[str, Interval]:
    """Return the name of the score that is judged, and its τ."""
    score, figures = next(iter(found.scores.items()))
    return score, figures["kendall_tau"]


def _said(found: Fidelity, ceiling: Ceiling | RankCorrelation | None) -> str:
    """Return the τ of the score that is judged, with what could be reached."""
    said = f"Kendall's τ {_written(_first(found)[1])}, n = {found.n}"
    if ceiling is None or ceiling.kendall_tau is None:
        return said
    return f"{said}; a perfect score would reach {ceiling.kendall_tau:.2f}"


def _best(found: Fidelity, baselines: Sequence[str]) -> str | None:
    """Return the baseline that ranks best, if any ranks."""
    return max(
        (name for name in baselines if "kendall_tau" in found.scores[name]),
        key=lambda name: found.scores[name]["kendall_tau"].value,
        default=None,
    )


def _written(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
