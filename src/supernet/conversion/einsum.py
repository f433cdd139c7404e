"""What an equation of `torch.einsum` says of the axes of its operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Equation", "equation"]


class Equation(NamedTuple):
    """An equation of `torch.einsum`, with one letter for each axis.

    Attributes:
        operands: the axes of each operand.
        result: axes of the result.
    """

    operands: tuple[str, ...]
    result: str

    def multiplied(self, wide: str) -> str:
        """Return the letters whose sizes' product is the number of multiply-adds, if there are some.

        Of two operands, what only one of them has and the result has not is summed up first. Where they
        then share nothing that is summed up, they are multiplied position by position, which counts as
        nothing, as multiplications elsewhere.

        Args:
            wide: the letters of axes of more than one position.
        """
        first, second = map(set, self.operands)
        summed = (first & second) - set(self.result)
        if not summed & set(wide):
            return ""
        return "".join(sorted(set(self.result) | summed))


def equation(written: str, ranks: Sequence[int]) -> Equation:
    """Return an equation with a letter for every axis, also of an ellipsis, and with its result.

    Args:
        written: equation as it is given to `torch.einsum`.
        ranks: the numbers of axes of the operands.
    """
    terms, arrow, result = written.replace(" ", "").partition("->")
    free = [chr(code) for code in range(0x3B1, 0x3C9)]  # letters that equations do not use
    operands = []
    most = 0
    for term, rank in zip(terms.split(","), ranks, strict=True):
        more = rank - len(term.replace("...", ""))
        most = max(most, more if "..." in term else 0)
        operands.append(term.replace("...", "".join(free[:more][::-1])))
    around = "".join(free[:most][::-1])
    if not arrow:
        letters = "".join(terms.split(",")).replace("...", "")
        result = "..." + "".join(sorted(one for one in set(letters) if letters.count(one) == 1))
    return Equation(tuple(operands), result.replace("...", around))
