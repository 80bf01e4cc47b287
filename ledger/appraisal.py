"""What has been contributed to a job so far, by the rounds whose coalitions are valued? Part of a `Standing`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from hansa.ledger.contribution.chosen import Chosen, appraised, chosen, seed_of
from hansa.ledger.jobs import CoalitionsValued, Setting


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Contributions, summed over the rounds that are valued.

    Attributes:
        how: as the job was proposed.
        rounds: valued so far.
        shares: by party, in the utility's unit; exact.
        variances: of the shares, over what was drawn; those of a round without any count as 0.
        gain: what everybody together has made the model worth more, over these rounds.
        evaluations: how many coalitions were valued.
        rows: by party, the most that it has trained on in a round.
    """

    how: Chosen
    rounds: frozenset[int] = frozenset()
    shares: Mapping[str, Fraction] = field(default_factory=dict)
    variances: Mapping[str, Fraction] = field(default_factory=dict)
    gain: Fraction = Fraction(0)
    evaluations: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def begun(cls, settings: Mapping[str, Setting]) -> "Appraisal | None":
        """Return that of a job that was just proposed; None if its contributions are its volumes."""
        how = chosen(settings)
        return None if how is None else cls(how)

    def after(
        self, body: CoalitionsValued, started: tuple[str, ...], draws: Mapping[str, bytes]
    ) -> "Appraisal":
        """Return it with one more round.

        Raises:
            BadValue, ValueError: as `contribution.chosen.appraised` and `seed_of`.
        """
        found = appraised(self.how, seed_of(started, draws), body)
        outcome = found.outcomes[0]
        rows = dict(self.rows)
        for player, count in zip(body.players, body.rows, strict=True):
            rows[player] = max(count, rows.get(player, 0))
        return replace(
            self,
            rounds=self.rounds | {body.round},
            shares=_added(self.shares, outcome.shares),
            variances=_added(self.variances, outcome.variances),
            gain=self.gain + found.gain,
            evaluations=self.evaluations + found.evaluations,
            rows=rows,
        )


def _added(sums: Mapping[str, Fraction], more: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = dict(sums)
    for name, each in more.items():
        total[name] = total.get(name, Fraction(0)) + each
    return dict(sorted(total.items()))
