"""What has been contributed to a job so far, by the rounds whose coalitions are valued? Part of a `Standing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm

from hansa.ledger.contribution.chosen import Chosen, appraised, chosen, seed_of
from hansa.ledger.contribution.games import WHOLE_JOB
from hansa.ledger.contribution.weights import weights
from hansa.ledger.jobs import CoalitionsValued, RoundClosed, Setting

# Variances are kept in multiples of 2^-512, so that their sums don't grow longer with every round. Shares, which
# money is paid by, are not rounded at all.
VARIANCE_BITS = 512


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Contributions over the rounds that are valued.

    Attributes:
        how: as the job was proposed.
        rounds: valued so far; {0} where the job is valued as a whole.
        awaited: rounds that are closed and not valued yet, with who took part, ascending.
        parts: what each player has contributed to a round, in the utility's unit, exact; one for each round valued.
        variances: of the shares, over what was drawn; those of a round without any count as 0.
        gain: what everybody together has made the model worth more, over these rounds.
        evaluations: how many coalitions were valued.
        rows: by party, the most that it has trained on in a round.
    """

    how: Chosen
    rounds: frozenset[int] = frozenset()
    awaited: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    parts: tuple[Mapping[str, Fraction], ...] = ()
    variances: Mapping[str, Fraction] = field(default_factory=dict)
    gain: Fraction = Fraction(0)
    evaluations: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def begun(cls, settings: Mapping[str, Setting]) -> "Appraisal | None":
        """Return that of a job that was just proposed; None if its contributions are its volumes."""
        how = chosen(settings)
        return None if how is None else cls(how)

    @property
    def shares(self) -> dict[str, Fraction]:
        """What each party has contributed over all rounds valued, in the utility's unit, exact; names ascending.

        Summed anew at every call.
        """
        return summed(self.parts)

    def weights(self, parties: Sequence[str]) -> dict[str, int]:
        """Return the weights that `ContributionMeasured` must have; who has taken part in no round has none."""
        shares = self.shares
        return dict(weights({party: shares.get(party, Fraction(0)) for party in parties}).whole)

    def players(self, number: int, started: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return whose coalitions are to be valued next for a round, ascending; None: there is nothing to value."""
        if number != WHOLE_JOB:
            return self.awaited.get(number)
        return None if self.rounds or self.awaited else started

    def closed(self, body: RoundClosed) -> "Appraisal":
        """Return it with one more round to value."""
        return replace(self, awaited={**self.awaited, body.round: tuple(sorted(body.participants))})

    def after(
        self, body: CoalitionsValued, started: tuple[str, ...], draws: Mapping[str, bytes]
    ) -> "Appraisal":
        """Return it with one more round valued.

        Raises:
            BadValue, ValueError: as `contribution.chosen.appraised` and `seed_of`.
        """
        found = appraised(self.how, seed_of(started, draws), body)
        rows = dict(self.rows)
        for player, count in zip(body.players, body.rows, strict=True):
            rows[player] = max(count, rows.get(player, 0))
        return replace(
            self,
            rounds=self.rounds | {body.round},
            awaited={number: who for number, who in self.awaited.items() if number != body.round},
            parts=(*self.parts, found.shares),
            variances=_added(self.variances, found.variances),
            gain=self.gain + found.gain,
            evaluations=self.evaluations + found.evaluations,
            rows=rows,
        )


def summed(parts: Sequence[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """Sum fractions by name, exactly; names ascending.

    A round's fractions have a denominator in common, and those of two rounds hardly anything. So sums grow longer
    with every round: they are taken two by two, over one denominator for all names, and cancelled once.
    """
    sums = [_over_one(part) for part in parts]
    while len(sums) > 1:
        odd = sums[len(sums) // 2 * 2 :]
        sums = [_both(*pair) for pair in zip(sums[::2], sums[1::2], strict=False)] + odd
    denominator, whole = sums[0] if sums else (1, {})
    return {name: Fraction(whole[name], denominator) for name in sorted(whole)}


def _over_one(part: Mapping[str, Fraction]) -> tuple[int, dict[str, int]]:
    denominator = lcm(*(each.denominator for each in part.values()))
    return denominator, {
        name: each.numerator * (denominator // each.denominator) for name, each in part.items()
    }


def _both(one: tuple[int, dict[str, int]], other: tuple[int, dict[str, int]]) -> tuple[int, dict[str, int]]:
    denominator = lcm(one[0], other[0])
    total: dict[str, int] = {}
    for over, whole in (one, other):
        factor = denominator // over
        for name, each in whole.items():
            total[name] = total.get(name, 0) + factor * each
    return denominator, total


def _added(sums: Mapping[str, Fraction], more: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = dict(sums)
    for name, each in more.items():
        rounded = Fraction(round(each * 2**VARIANCE_BITS), 2**VARIANCE_BITS)
        total[name] = total.get(name, Fraction(0)) + rounded
    return dict(sorted(total.items()))
