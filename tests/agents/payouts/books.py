"""A ledger with a job whose coalitions are valued, one party's contribution being negative, and payouts of it."""

from dataclasses import replace

from hansa.ledger import (
    Body,
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobFinished,
    JobStarted,
    PayoutApproved,
    PayoutProposed,
    RoundClosed,
    Setting,
)
from hansa.ledger.contribution import weights
from tests.ledger.chronicle import WISMAR, Chronicle, founded
from tests.ledger.slowtree import audit_path
from tests.ledger.town import BREMEN, DANZIG, DIGEST, LUBECK, PROPOSAL

PARTS = {"bremen": 0.375, "danzig": 0.125, "wismar": -0.0625}  # of a model's score, exact as floats
TERMS: dict[str, Setting] = {
    "payout.currency": "EUR",
    "payout.pot_minor": 10_000_000,
    "payout.price_micros": 5_000,
}


def proposed(**settings: Setting) -> Chronicle:
    """Return a ledger on which a job is proposed to three, to be valued by exact Shapley."""
    made = founded()
    for party in (BREMEN, DANZIG, WISMAR):
        made.write(party, DatasetRegistered("catch", 700, ("length", "weight"), "fresh", DIGEST))
    made.write(LUBECK, DatasetRegistered("agreed", 100, ("length", "weight"), "fresh", DIGEST))
    valued: dict[str, Setting] = {
        "contribution.method": "shapley",
        "contribution.utility": "score",
        "contribution.validation": "agreed",
    }
    made.write(
        LUBECK, replace(PROPOSAL, parties=tuple(PARTS), settings=PROPOSAL.settings | valued | settings)
    )
    return made


def finished(**settings: Setting) -> Chronicle:
    """Return that ledger with the job done, and its end final."""
    made = proposed(**settings)
    for number, party in enumerate((BREMEN, DANZIG, WISMAR)):
        made.write(party, JobAccepted("herring", bytes([number]) * 32))
    players = tuple(sorted(PARTS))
    values = [
        sum(PARTS[name] for place, name in enumerate(players) if coalition >> place & 1)
        for coalition in range(8)
    ]
    said: tuple[Body, ...] = (
        JobStarted("herring", players),
        RoundClosed("herring", 1, DIGEST, players),
        CoalitionsValued("herring", 1, players, (600, 600, 600), tuple(range(8)), tuple(values)),
    )
    made.write(LUBECK, *said)
    appraisal = made.verifier.standing.jobs["herring"].appraisal
    assert appraisal is not None
    shares = weights(appraisal.shares).whole
    made.write(LUBECK, ContributionMeasured("herring", "shapley", dict(shares)))
    made.write(LUBECK, JobFinished("herring", DIGEST, loss=0.25, score=0.9, metric="accuracy", rounds=1))
    made.checkpoint(BREMEN, DANZIG, WISMAR)
    return made


def certified(made: Chronicle, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Return this ledger's head, cosigned by all, and an entry's path under it."""
    path = audit_path(index, [entry.hash for entry in made.entries])
    return made.note(BREMEN, DANZIG, WISMAR).encoded(), tuple(path)


def pay(made: Chronicle, body: PayoutProposed, *approving: str) -> int:
    """Have a payout proposed, and approved; return its number."""
    made.write(LUBECK, body)
    number = made.size - 1
    for each in (BREMEN, DANZIG, WISMAR):
        if each.name in approving:
            made.write(each, PayoutApproved(number))
    return number
