"""How is a limited budget spread over instalments, so that costs are repaid and waiting counts? After FLI.

"Federated Learning Incentivizer": Yu, Liu, Liu, Chen, Cong, Weng, Niyato, Yang 2020, "A Fairness-aware Incentive
Scheme for Federated Learning" (AIES '20). The formulas below were checked against the account of it in Yang, Liu,
Cheng, Kang, Chen, Yu 2019, "Federated Learning", section 7.2: equations 7.7-7.9, 7.19 and 7.21.

For each party i and instalment t of whoever pays, with the budget B(t):

    u_i(t)   = ½ (ω q_i(t) + Y_i(t) + c_i(t) + Q_i(t) + λ_i(t))    its weight
    û_i(t)   = B(t) u_i(t) / Σ u_j(t)                              what it gets: the ½ is of no account
    Y_i(t+1) = max(Y_i(t) + c_i(t) - û_i(t), 0)                    its regret: costs not repaid yet
    Q_i(t+1) = max(Q_i(t) + λ_i(t) - û_i(t), 0)                    its temporal regret: having waited for that
    λ_i(t)   = i's average cost so far while Y_i(t) > 0, else 0

What the paper leaves open is settled here as follows. All of it is money, in minor units of one currency: the paper
has q as the "expected marginal revenue", and here it is the party's measured part of the instalment, q_i = B(t)
w_i / Σ w_j. So ω is a plain number, and 1: who neither waits nor has costs to be repaid is paid by the weights
alone, and costs and waiting shift the split by as much as they amount to. The cost c of a job counts once, in its
first instalment. The average is over the jobs before this one that have cost the party something. What is left of
regret is reckoned with what was paid in whole minor units, not with its exact part.

No promise of the paper's is made by this alone: that everybody's costs are repaid takes budgets that suffice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

OMEGA = 1  # of contribution against regret: both are money here


@dataclass(frozen=True, slots=True)
class Regret:
    """What one party's instalments in one currency have left open; amounts in minor units, exact.

    Attributes:
        owed: Y, costs not repaid yet.
        waited: Q, grows while some are owed.
        borne: all costs so far.
        jobs: how many have cost it something.
    """

    owed: Fraction = Fraction(0)
    waited: Fraction = Fraction(0)
    borne: Fraction = Fraction(0)
    jobs: int = 0

    @property
    def wait(self) -> Fraction:
        """λ, what another instalment of waiting is worth."""
        return self.borne / self.jobs if self.owed > 0 else Fraction(0)

    def weight(self, contribution: Fraction, cost: Fraction) -> Fraction:
        """Return 2 u, the party's weight in an instalment.

        Args:
            contribution: q, its measured part of the instalment.
            cost: c, of a job whose first instalment this is; else 0.
        """
        return OMEGA * contribution + self.owed + cost + self.waited + self.wait

    def after(self, cost: Fraction, paid: int) -> "Regret":
        """Return what is left open after an instalment in which so many minor units were paid."""
        return Regret(
            max(self.owed + cost - paid, Fraction(0)),
            max(self.waited + self.wait - paid, Fraction(0)),
            self.borne + cost,
            self.jobs + (cost > 0),
        )


def instalment_weights(
    budget: int,
    shares: Mapping[str, int],
    costs: Mapping[str, Fraction],
    regrets: Mapping[str, Regret],
) -> dict[str, Fraction]:
    """Return by what weights an instalment is split, by name.

    Args:
        budget: B, in minor units, > 0.
        shares: measured weights, at least one of them positive.
        costs: c, by party; those left out are 0.
        regrets: by party; who is left out has had no instalment yet.
    """
    total = sum(shares.values())
    return {
        party: regrets.get(party, Regret()).weight(
            Fraction(budget * share, total), costs.get(party, Fraction(0))
        )
        for party, share in sorted(shares.items())
    }
