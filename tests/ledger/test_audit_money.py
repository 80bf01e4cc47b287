"""An audit computes who earned what itself, and names the first entry where somebody was to get another amount.

The keeper and the coordinator are one here, and both hostile: they sign and chain whatever they like.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    AuditReport,
    Body,
    CoalitionsValued,
    ContributionMeasured,
    LedgerStore,
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutSettled,
    PayoutWithdrawn,
    SignedEntry,
    link,
)
from hansa.ledger.audit import audit
from tests.ledger.chronicle import exported
from tests.ledger.market import (
    AGREED,
    PARTIES,
    POT,
    ROWS,
    SPLIT,
    VALUED,
    VALUES,
    WEIGHTS,
    approve,
    opened,
    proposal,
    proposed,
    settled,
    trained,
    used,
)
from tests.ledger.town import BREMEN, DANZIG, FEDERATION, LUBECK, NOW_S, Town

SEED = 20_261_124
Said = tuple[Identity, Body]


@pytest.fixture
def town() -> Iterator[Town]:
    store = LedgerStore.open("sqlite://")
    yield opened(store)
    store.close()


def audited(town: Town, path: Path, *forced: Said) -> AuditReport:
    """Audit the ledger, with entries at its end that no rule was asked about."""
    entries = town.entries()
    for author, body in forced:
        entries.append(link(LUBECK, FEDERATION, entries[-1].head, town.sign(author, body)))
        town.numbers[author.name] -= 1
    path.write_bytes(exported(entries, []))
    return audit(path, charter=town.genesis.hash, workers=1, now_s=NOW_S)


def told(report: AuditReport, subject: str) -> list[str]:
    return [finding.text for finding in report.findings if finding.subject == subject]


# --- what holds ---------------------------------------------------------------------------------------------
def test_the_report_says_what_was_recomputed_and_from_what(town: Town, path: Path) -> None:
    trained(town)
    trained(town, "salt", VALUED)
    settled(town)
    held = proposed(town, proposal(town, {"bremen": 2, "danzig": 1, "wismar": 0}, "salt"))
    first, last = used(town, 1_000, 201)
    uses = proposal(
        town, {"bremen": 300, "danzig": 180, "wismar": 120}, basis="uses", since=first, until=last
    )
    town.write(LUBECK, PayoutWithdrawn(proposed(town, uses), "once more"), PayoutHeld(held, "wait"))
    disputed = proposed(town, uses)
    town.write(BREMEN, PayoutDisputed(disputed, "there were more"))
    report = audited(town, path)
    assert report.holds
    assert told(report, "contributions") == [
        "The contributions of 1 job were recomputed from 8 values of coalitions, and the weights measured are those"
        " that follow.",
        "The contributions of 1 job are volumes, none of them more than its party had registered.",
    ]
    assert told(report, "payouts") == [
        "4 payouts were recomputed to the cent from the measured weights and what was agreed, and proposed for what"
        " was final; 1 settled with the approvals needed, 1 withdrawn.",
        f"Payout {held}, of 0.03 EUR for job salt, is open, and held by lubeck (wait).",
        f"Payout {disputed}, of 6.00 EUR for job herring, is open, and disputed by bremen (there were more).",
    ]


def test_every_payout_has_its_line(town: Town, path: Path) -> None:
    trained(town)
    number = settled(town)
    first, last = used(town, 1_000, 201)
    split = {"bremen": 300, "danzig": 180, "wismar": 120}
    uses = proposed(town, proposal(town, split, basis="uses", since=first, until=last))
    approve(town, uses, "danzig")
    training, revenue = audited(town, path).payouts
    now_ms = int(NOW_S * 1000)
    assert (training.number, training.job, training.basis, training.scheme) == (
        number,
        "herring",
        "training",
        "weights",
    )
    assert (training.currency, training.minor_digits, training.pot_minor) == ("EUR", 2, POT)
    assert (training.amounts, training.proposer) == (SPLIT, "lubeck")
    assert (training.proposed_ms, training.settled_ms, training.reference) == (now_ms, now_ms, "folio 12")
    assert (training.approved, training.needed, training.waiting) == (tuple(PARTIES), 2, ())
    assert (training.since, training.until, training.rows) == (None, None, 0)
    assert (revenue.basis, revenue.since, revenue.until, revenue.rows) == ("uses", first, last, 1_201)
    assert (revenue.status, revenue.settled_ms, revenue.held, revenue.disputed) == ("open", None, {}, {})
    assert revenue.waiting == ("1 of 3 payees approve it, 2 must; not yet bremen, wismar",)


def test_a_job_line_has_contributions_with_their_errors(town: Town, path: Path) -> None:
    spoilt = (0.5, 0.7, 0.6, 0.8, 0.4, 0.6, 0.5, 0.7)  # with wismar always 0.1 less
    trained(town, "salt", VALUED, values=spoilt)
    trained(town, "herring")
    report = audited(town, path)
    assert report.holds
    salt, herring = report.jobs
    assert {party: round(each, 9) for party, each in salt.contributions.items()} == {
        "bremen": 0.2,
        "danzig": 0.1,
        "wismar": -0.1,
    }
    assert salt.errors == dict.fromkeys(ROWS, 0.0)
    assert salt.gain == pytest.approx(0.2)
    assert (salt.evaluations, salt.utility, salt.shares) == (8, "score", WEIGHTS)
    assert (herring.contributions, herring.errors, herring.gain) == ({}, {}, None)
    assert (herring.evaluations, herring.utility) == (0, "")
    assert told(report, "contributions")[2] == (
        "The model of job salt is worth less with what some have brought in than without it: wismar (-0.1000)."
        " They are paid nothing for it."
    )


# --- what does not ------------------------------------------------------------------------------------------
def one_cent(town: Town) -> list[Said]:
    return [(LUBECK, proposal(town, SPLIT | {"bremen": 5_000, "danzig": 3_001}))]


def another_pot(town: Town) -> list[Said]:
    return [(LUBECK, proposal(town, SPLIT | {"bremen": 5_002}))]


def too_few_approvals(town: Town) -> list[Said]:
    number = proposed(town)
    approve(town, number, "wismar")
    return [(LUBECK, PayoutSettled(number, "folio 12"))]


def approved_by_another(town: Town) -> list[Said]:
    return [(LUBECK, PayoutApproved(proposed(town)))]


def settled_twice(town: Town) -> list[Said]:
    return [(LUBECK, PayoutSettled(settled(town), "folio 13"))]


def paid_twice(town: Town) -> list[Said]:
    settled(town)
    return [(LUBECK, proposal(town))]


def a_price_of_their_own(town: Town) -> list[Said]:
    (use,) = used(town, 200)
    split = {"bremen": 500, "danzig": 300, "wismar": 200}
    return [(LUBECK, proposal(town, split, basis="uses", since=use, until=use))]


FORGED: dict[str, tuple[Callable[[Town], list[Said]], str]] = {
    "one cent moved": (
        one_cent,
        "the pot of 100.01 EUR for herring is split wrongly: bremen: expected 50.01 EUR, found 50.00 EUR;"
        " danzig: expected 30.00 EUR, found 30.01 EUR.",
    ),
    "another pot": (another_pot, "the pot of herring: expected 100.01 EUR as agreed, found 100.02 EUR."),
    "another currency": (
        lambda town: [(LUBECK, proposal(town, currency="SEK"))],
        "herring is paid in EUR as agreed, not in SEK.",
    ),
    "not final": (
        lambda town: [(LUBECK, proposal(town, witnesses=(DANZIG,)))],
        "cosigned by danzig, 1 of the 2 needed",
    ),
    "too few approvals": (
        too_few_approvals,
        "can't be settled: 1 of 3 payees approve it, 2 must; not yet bremen, danzig.",
    ),
    "an approval of nobody's": (approved_by_another, "lubeck is not among those whom payout"),
    "settled twice": (settled_twice, "is settled already."),
    "paid twice": (paid_twice, "the training of herring is paid by payout"),
    "another price": (
        a_price_of_their_own,
        "the pot for uses of herring: 200 rows bring in 1.00 EUR at the agreed price, found 10.00 EUR.",
    ),
}


@pytest.mark.parametrize(("forge", "text"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_payout_is_the_first_bad_entry(
    town: Town, path: Path, forge: Callable[[Town], list[Said]], text: str
) -> None:
    forged = forge(trained(town))
    size = town.keeper.standing.tree.size
    report = audited(town, path, *forged, (BREMEN, PayoutApproved(size)))
    (wrong,) = [finding for finding in report.findings if not finding.holds]
    assert (wrong.index, report.size) == (size, size)
    assert wrong.text.startswith(f"Entry {size} does not hold: ")
    assert text in wrong.text
    assert "It and what follows it, 2 entries in all, count for nothing." in wrong.text
    assert size not in [payout.number for payout in report.payouts]


def test_weights_that_do_not_follow_from_the_values_are_found(town: Town, path: Path) -> None:
    trained(town, "salt", VALUED, weights={})  # it was never measured, and is measured wrongly now
    size = town.keeper.standing.tree.size
    more = WEIGHTS | {"bremen": 666_666_666, "wismar": 1}
    report = audited(town, path, (LUBECK, ContributionMeasured("salt", "shapley", more)))
    (wrong,) = [finding for finding in report.findings if not finding.holds]
    assert wrong.index == size


def test_whatever_is_changed_in_a_payout_is_found(town: Town, path: Path) -> None:
    trained(town, settings=AGREED | VALUED)
    draw, right = Random(SEED), proposal(town, {"bremen": 6_667, "danzig": 3_334, "wismar": 0})
    assert audited(town, path, (LUBECK, right)).holds
    size = town.keeper.standing.tree.size
    for number in range(120):
        changed = mutated(draw, right)
        report = audited(town, path, (LUBECK, changed))
        found = [finding.index for finding in report.findings if not finding.holds]
        assert found == [size], f"seed {SEED}, mutation {number}: {changed}"


def mutated(draw: Random, body: PayoutProposed) -> PayoutProposed:
    amounts = dict(body.amounts)
    match draw.randrange(5):
        case 0:  # from one to another
            one, other = draw.sample([name for name in amounts if amounts[name]], 2)
            moved = draw.randint(1, min(3, amounts[one]))
            return replace(body, amounts=amounts | {one: amounts[one] - moved, other: amounts[other] + moved})
        case 1:
            more = draw.choice([-1, 1, 100])
            amounts["bremen"] += more
            return replace(body, amounts=amounts, pot_minor=body.pot_minor + more)
        case 2:
            return replace(body, currency=draw.choice(["SEK", "JPY", "DKK"]))
        case 3:
            path = list(body.inclusion)
            path[draw.randrange(len(path))] = draw.randbytes(32)
            return replace(body, inclusion=tuple(path))
        case _:
            del amounts["wismar"]
            return replace(body, amounts=amounts)


def test_values_of_coalitions_that_were_changed_are_found(town: Town, path: Path) -> None:
    trained(town, "salt", VALUED)
    entries = town.entries()
    assert audited(town, path).holds
    place = next(at for at, entry in enumerate(entries) if b"coalitions-valued" in entry.signed)
    rest = town.entries()[place + 1 :]
    values = (*VALUES[:-1], 0.81)
    body = CoalitionsValued("salt", 1, tuple(ROWS), tuple(ROWS.values()), tuple(range(8)), values)
    number = sum(b"lubeck" in entry.signed[:60] for entry in entries[:place])
    signed = town.sign(LUBECK, body, number=number)
    forged = [*entries[:place], link(LUBECK, FEDERATION, entries[place - 1].head, signed)]
    for entry in rest:
        again = SignedEntry(entry.signed, entry.signature)
        forged.append(link(LUBECK, FEDERATION, forged[-1].head, again))
    path.write_bytes(exported(forged, []))
    report = audit(path, charter=town.genesis.hash, workers=1, now_s=NOW_S)
    (wrong,) = [finding for finding in report.findings if not finding.holds]
    assert wrong.index == place + 1  # the weights no longer follow
