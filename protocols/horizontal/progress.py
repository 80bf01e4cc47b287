"""How far has an aggregator come? What it carries from round to round."""

from dataclasses import dataclass, field, replace

from hansa.protocols.machine import Valuation
from hansa.protocols.ratios import summed


@dataclass(frozen=True, slots=True)
class Progress:
    """What is carried from round to round.

    Attributes:
        rows: by party, what its latest update said it trained on.
        gone: by party that left, why.
        best_loss: the least pooled loss of any model so far; None before the first evaluation.
        stale: rounds in a row that did not improve it by ``tol``.
        valuing: rounds whose coalitions are being valued, ascending.
        early: the valuation of a round that is not closed yet, if it has come before the round's average.
        contributions: by party, what it has added in the rounds that were valued; exact, as of ``ratios``.
    """

    rows: dict[str, int]
    gone: dict[str, str]
    best_loss: float | None = None
    stale: int = 0
    valuing: tuple[int, ...] = ()
    early: tuple[Valuation, ...] = ()
    contributions: dict[str, str] = field(default_factory=dict)

    def after(self, loss: float, tol: float) -> "Progress":
        """Return the progress once a further model's loss is known."""
        if self.best_loss is None:
            return replace(self, best_loss=loss)
        stale = self.stale + 1 if loss > self.best_loss - tol else 0
        return replace(self, best_loss=min(loss, self.best_loss), stale=stale)

    def asking(self, number: int) -> "Progress":
        """Return the progress once a round's coalitions are to be valued."""
        return replace(self, valuing=(*self.valuing, number))

    def valued(self, valuation: Valuation) -> "Progress":
        """Return the progress once a round's coalitions are valued; shares of rounds are summed."""
        valuing = tuple(number for number in self.valuing if number != valuation.round)
        return replace(self, valuing=valuing, contributions=summed(self.contributions, valuation.shares))
