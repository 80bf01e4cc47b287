"""A federation that has agreed on money: three towns trained a model, others use it, and payouts are to be split.

The rows are 500, 300 and 200, so that a pot of 100.01 EUR leaves a cent over.
"""

from collections.abc import Mapping
from dataclasses import replace

from hansa.broker.identity import Identity
from hansa.ledger import (
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobStarted,
    Keeper,
    LedgerStore,
    ModelUsed,
    PayoutProposed,
    PayoutSettled,
    RoundClosed,
)
from hansa.ledger.finality import rests_on
from hansa.ledger.jobs import Setting
from hansa.ledger.money import Basis, PayoutApproved, Scheme
from tests.ledger.chronicle import WISMAR
from tests.ledger.slowtree import audit_path
from tests.ledger.town import (
    BREMEN,
    CHARTER,
    DANZIG,
    DIGEST,
    FEDERATION,
    LUBECK,
    NOW_S,
    Town,
    admission,
    signed_note,
)

PARTIES = {"bremen": BREMEN, "danzig": DANZIG, "wismar": WISMAR}
ROWS = {"bremen": 500, "danzig": 300, "wismar": 200}
POT = 10_001  # cents
SPLIT = {"bremen": 5_001, "danzig": 3_000, "wismar": 2_000}
AGREED: dict[str, Setting] = {
    "payout.currency": "EUR",
    "payout.pot_minor": POT,
    "payout.price_micros": 5_000,  # half a cent
}
VALUED: dict[str, Setting] = {
    "contribution.method": "shapley",
    "contribution.utility": "score",
    "contribution.validation": "held-out",
}
# By coalition, bits bremen, danzig, wismar: additive, so that the shares are 0.2, 0.1 and nothing.
VALUES = (0.5, 0.7, 0.6, 0.8, 0.5, 0.7, 0.6, 0.8)
WEIGHTS = {"bremen": 666_666_667, "danzig": 333_333_333, "wismar": 0}


def opened(store: LedgerStore, approvals: int = 0) -> Town:
    """Found the federation and let everybody in, with their rows."""
    keeper = Keeper(LUBECK, FEDERATION, store)
    genesis = keeper.found(replace(CHARTER, approvals=approvals), int(NOW_S * 1000))
    town = Town(store, keeper, genesis, {"lubeck": 1})
    town.write(LUBECK, *map(admission, PARTIES.values()))
    for name, rows in ROWS.items():
        town.write(PARTIES[name], DatasetRegistered("catch", rows, ("length",), "fresh", DIGEST))
    town.write(LUBECK, DatasetRegistered("held-out", 90, ("length",), "fresh", DIGEST))
    return town


def trained(
    town: Town,
    job: str = "herring",
    settings: Mapping[str, Setting] = AGREED,
    *,
    values: tuple[float, ...] = VALUES,
    weights: Mapping[str, int] | None = None,
    coordinator: Identity = LUBECK,
) -> Town:
    """Propose a job, train, measure and finish it; its contributions are volumes, or all coalitions are valued.

    Args:
        weights: to be measured; none if empty, None: those that follow.
    """
    valued = "contribution.method" in settings
    parties = tuple(ROWS)
    town.write(
        coordinator, JobProposed(job, "fedavg", "softmax", dict(settings), parties, "catch", 3, 60.0, DIGEST)
    )
    for name, identity in PARTIES.items():
        town.write(identity, JobAccepted(job, name.encode().ljust(32, b".") if valued else b""))
    shares = ROWS
    if valued:
        town.write(coordinator, JobStarted(job, parties))
        shares = WEIGHTS
    shares = dict(shares if weights is None else weights)
    town.write(coordinator, RoundClosed(job, 1, DIGEST, parties))
    if valued:
        rows, coalitions = tuple(ROWS.values()), tuple(range(8))
        town.write(coordinator, CoalitionsValued(job, 1, parties, rows, coalitions, values))
    if shares:
        town.write(coordinator, ContributionMeasured(job, "shapley" if valued else "volume", shares))
    town.write(coordinator, JobFinished(job, DIGEST, loss=0.25, score=0.8, metric="accuracy", rounds=1))
    return town


def used(town: Town, *rows: int, job: str = "herring") -> list[int]:
    """Note uses; return the indices of their entries."""
    return [town.write(LUBECK, ModelUsed(job, each))[0].index for each in rows]


def proposal(
    town: Town,
    amounts: Mapping[str, int] = SPLIT,
    job: str = "herring",
    *,
    pot: int | None = None,
    witnesses: tuple[Identity, ...] = (BREMEN, DANZIG),
    currency: str = "EUR",
    basis: Basis = "training",
    since: int = -1,
    until: int = -1,
    scheme: Scheme = "weights",
) -> PayoutProposed:
    """Return a payout as it is to be proposed at this head: whatever it says, it brings a right path along."""
    standing = town.keeper.standing
    index, _ = rests_on(standing, job, until)
    note = signed_note(standing.head_checkpoint(), LUBECK, *witnesses)
    path = audit_path(index, [entry.hash for entry in town.entries()])
    total = sum(amounts.values()) if pot is None else pot
    return PayoutProposed(
        job, currency, total, dict(amounts), note.encoded(), tuple(path), basis, since, until, scheme
    )


def proposed(town: Town, body: PayoutProposed | None = None) -> int:
    """Propose a payout; return its number."""
    return town.write(LUBECK, body or proposal(town))[0].index


def approve(town: Town, number: int, *names: str) -> None:
    """Have these approve a payout."""
    for name in names:
        town.write(PARTIES[name], PayoutApproved(number))


def settled(town: Town, body: PayoutProposed | None = None) -> int:
    """Propose a payout, have all approve it, and settle it; return its number."""
    number = proposed(town, body)
    approve(town, number, *PARTIES)
    town.write(LUBECK, PayoutSettled(number, "folio 12"))
    return number
