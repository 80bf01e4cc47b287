"""What does an entry say in a few words, where its fields would be a wall of figures?"""

from collections.abc import Sequence

from hansa.agents.cli.outcome import counted
from hansa.agents.service.logs import printable
from hansa.ledger import Body, CoalitionsValued, ContributionMeasured, PayoutProposed, UnknownBody
from hansa.ledger.terms import amount, money

MOST_NAMED = 8  # of what an entry lists


def in_words(body: Body | UnknownBody) -> str | None:
    """Return an entry in words, or None if its fields say it shorter."""
    match body:
        case CoalitionsValued():
            return _valued(body)
        case ContributionMeasured(job, method, shares) if method != "volume":
            total = sum(shares.values())
            parts = [
                f"{party} {weight / total:.1%}" if total else f"{party} 0" for party, weight in shares.items()
            ]
            return f"job {job}  by {printable(method)}: {_listed(parts)}"
        case PayoutProposed():
            return _proposed(body)
        case _:
            return None


def _valued(body: CoalitionsValued) -> str:
    told = dict(zip(body.coalitions, body.values, strict=True))
    named = (("of nobody", told.get(0)), ("of all", told.get(2 ** len(body.players) - 1)))
    what = f"{counted(len(body.values), 'coalition')} of {_listed(body.players)} valued"
    figures = [f"{name} {value:.4g}" for name, value in named if value is not None]
    return f"job {body.job}  round {body.round}  {what}: {', '.join(figures)}"


def _proposed(body: PayoutProposed) -> str:
    what = "training" if body.basis == "training" else f"uses {body.since} … {body.until}"
    paid = [f"{party} {amount(each, body.currency)}" for party, each in sorted(body.amounts.items())]
    how = " as fli has it" if body.scheme == "fli" else ""
    return f"job {body.job}  {money(body.pot_minor, body.currency)} for {what}{how}: {_listed(paid)}"


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - MOST_NAMED} more" if len(parts) > MOST_NAMED else ""
    return ", ".join(parts[:MOST_NAMED]) + more
