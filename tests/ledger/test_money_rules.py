"""Every payout is computed again before it is believed, and settled when those whom it pays have had their say."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    LedgerStore,
    MemberLeft,
    MemberSuspended,
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutProposed,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
    Verifier,
)
from hansa.ledger.finality import rests_on
from hansa.ledger.jobs import Setting
from hansa.ledger.payouts import needed_approvals, obstacles
from hansa.ledger.split import uses_pot
from tests.ledger.chronicle import WISMAR
from tests.ledger.market import (
    AGREED,
    PARTIES,
    POT,
    ROWS,
    SPLIT,
    VALUED,
    approve,
    opened,
    proposal,
    proposed,
    settled,
    trained,
    used,
)
from tests.ledger.town import BREMEN, DANZIG, LUBECK, Town, admission


@pytest.fixture
def store() -> Iterator[LedgerStore]:
    opened_store = LedgerStore.open("sqlite://")
    yield opened_store
    opened_store.close()


@pytest.fixture
def market(store: LedgerStore) -> Town:
    """A job is done, and nobody paid."""
    return trained(opened(store))


def replayed(town: Town) -> Verifier:
    """Follow the chain from its bytes, as another member would."""
    verifier = Verifier(town.genesis.hash)
    for entry in town.entries():
        verifier.accept(entry)
    return verifier


# --- amounts, pot, currency -------------------------------------------------------------------------------
def test_a_payout_is_proposed_approved_settled_and_the_same_for_whoever_replays_it(market: Town) -> None:
    number = settled(market)
    payout = market.keeper.standing.payouts[number]
    assert (payout.amounts, payout.pot_minor, payout.currency) == (SPLIT, POT, "EUR")
    assert (payout.status, payout.reference) == ("settled", "folio 12")
    assert payout.approved == tuple(PARTIES)
    assert replayed(market).standing.payouts == market.keeper.standing.payouts


def moved(town: Town) -> PayoutProposed:
    return proposal(town, SPLIT | {"bremen": 5_000, "danzig": 3_001})


def of_another_entry(town: Town) -> PayoutProposed:
    body, job = proposal(town), town.keeper.standing.jobs["herring"]
    other = trained(town, "salt").keeper.standing.jobs["salt"]
    assert other.rests_at > job.rests_at
    return replace(body, inclusion=proposal(town, job="salt").inclusion)


REFUSED: dict[str, tuple[Callable[[Town], PayoutProposed], str]] = {
    "one cent moved": (
        moved,
        "the pot of 100.01 EUR for herring is split wrongly: bremen: expected 50.01 EUR, found 50.00 EUR; "
        "danzig: expected 30.00 EUR, found 30.01 EUR",
    ),
    "somebody left out": (
        lambda town: proposal(town, {"bremen": 6_251, "danzig": 3_750}),
        "wismar: expected 20.00 EUR, found none",
    ),
    "somebody else": (
        lambda town: proposal(town, SPLIT | {"lubeck": 0}),
        "lubeck: expected none, found 0.00 EUR",
    ),
    "another pot": (
        lambda town: proposal(town, SPLIT | {"bremen": 5_002}),
        "the pot of herring: expected 100.01 EUR as agreed, found 100.02 EUR",
    ),
    "another currency": (
        lambda town: proposal(town, currency="SEK"),
        "herring is paid in EUR as agreed, not in SEK",
    ),
    "a checkpoint that is not final": (
        lambda town: proposal(town, witnesses=(BREMEN,)),
        "what herring is to be paid for is not final: .*cosigned by bremen, 1 of the 2 needed",
    ),
    "the path of another entry": (of_another_entry, "what herring is to be paid for is not final: "),
    "uses that there are none of": (
        lambda town: proposal(town, basis="uses", since=4, until=4),
        "entry 4 is no use of the model of herring",
    ),
    "a job that there is none of": (
        lambda town: replace(proposal(town), job="whale"),
        "no job whale was proposed",
    ),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_payout_that_differs_from_the_recomputation_is_refused(
    market: Town, body: Callable[[Town], PayoutProposed], reason: str
) -> None:
    assert re.search(reason, market.refusal(LUBECK, body(market)))


def test_only_so_many_wrong_amounts_are_told(store: LedgerStore) -> None:
    town = trained(opened(store), settings={})
    many = {f"town-{number}": 1 for number in range(9)}
    assert "; 7 more likewise" in town.refusal(LUBECK, proposal(town, many))


def test_nothing_agreed_leaves_pot_and_currency_to_proposer_and_payees(store: LedgerStore) -> None:
    town = trained(opened(store), settings={})
    number = settled(town, proposal(town, {"bremen": 5, "danzig": 3, "wismar": 2}, currency="JPY"))
    assert town.keeper.standing.payouts[number].pot_minor == 10


def test_terms_without_a_pot_leave_the_pot_open(store: LedgerStore) -> None:
    town = trained(opened(store), settings={"payout.currency": "SEK"})
    split = {"bremen": 5, "danzig": 3, "wismar": 2}
    assert "paid in SEK as agreed, not in EUR" in town.refusal(LUBECK, proposal(town, split))
    settled(town, proposal(town, split, currency="SEK"))


def test_terms_that_cannot_be_read_are_refused_by_name(store: LedgerStore) -> None:
    town = trained(opened(store), settings={})
    jobs = town.keeper.standing.jobs
    jobs["herring"] = replace(jobs["herring"], settings={"payout.currency": "gold"})
    reason = town.refusal(LUBECK, proposal(town))
    assert "what herring agreed on money can't be read: payout.currency: expected three capitals" in reason


def test_where_all_weights_are_zero_nobody_is_paid(store: LedgerStore) -> None:
    spoilt = (0.5, 0.4, 0.4, 0.3, 0.4, 0.3, 0.3, 0.2)
    town = trained(opened(store), settings=VALUED, values=spoilt, weights=dict.fromkeys(ROWS, 0))
    for scheme in ("weights", "fli"):
        assert "all its measured weights are 0" in town.refusal(LUBECK, proposal(town, scheme=scheme))
    trained(town, "whale", settings={}, weights={})
    reason = town.refusal(LUBECK, proposal(town, job="whale"))
    assert "nobody can be paid for whale: what each party has brought in was not measured" in reason


def test_a_copied_standing_does_not_see_what_is_paid_later(store: LedgerStore) -> None:
    town = trained(opened(store), settings=COST)
    number = proposed(town, proposal(town, {"bremen": 5, "danzig": 3, "wismar": 2}, scheme="fli"))
    before = town.keeper.standing.copy()
    approve(town, number, *PARTIES)
    town.write(LUBECK, PayoutSettled(number, ""))
    assert (before.instalments, before.fli) == ({("lubeck", "EUR"): number}, {})
    assert [payout.status for _, payout in before.payouts_of("herring")] == ["open"]
    assert (town.keeper.standing.instalments, len(town.keeper.standing.fli)) == ({}, 3)


def test_nobody_is_left_out_of_a_payout_by_being_left_out_of_the_measurement(store: LedgerStore) -> None:
    town = trained(opened(store), weights={"bremen": 500})
    reason = town.refusal(LUBECK, proposal(town, {"bremen": POT}))
    assert "danzig: expected 0.00 EUR, found none; wismar: expected 0.00 EUR, found none" in reason
    number = proposed(town, proposal(town, {"bremen": POT, "danzig": 0, "wismar": 0}))
    town.write(DANZIG, PayoutDisputed(number, "we trained too"))
    approve(town, number, "bremen")
    assert "1 of 3 payees approve it, 2 must" in town.refusal(LUBECK, PayoutSettled(number, "folio 12"))


# --- once ---------------------------------------------------------------------------------------------------
def test_a_training_is_paid_once_unless_the_payout_is_withdrawn(market: Town) -> None:
    number = proposed(market)
    assert f"the training of herring is paid by payout {number}, which is open" in market.refusal(
        LUBECK, proposal(market)
    )
    market.write(LUBECK, PayoutWithdrawn(number, "the pot is wrong"))
    assert f"payout {number} is withdrawn already" in market.refusal(BREMEN, PayoutApproved(number))
    again = settled(market)
    assert f"paid by payout {again}, which is settled" in market.refusal(LUBECK, proposal(market))
    statuses = [payout.status for payout in replayed(market).standing.payouts.values()]
    assert statuses == ["withdrawn", "settled"]


# --- approvals ----------------------------------------------------------------------------------------------
def test_who_approves_one_payout_has_not_approved_another_in_its_place(store: LedgerStore) -> None:
    town = trained(opened(store), settings={})
    number = proposed(town, proposal(town, {"bremen": 50, "danzig": 30, "wismar": 20}))
    payout = town.keeper.standing.payouts[number]
    other = PayoutApproved(number, sha256(b"ten times as much, on a chain that ended").digest())
    reason = f"bremen approves another payout than the one that entry {number} proposes"
    assert town.refusal(BREMEN, other) == reason
    town.write(BREMEN, PayoutApproved(number, payout.digest))
    assert town.keeper.standing.payouts[number].approved == ("bremen",)


def test_more_than_half_of_the_payees_must_approve(market: Town) -> None:
    number = proposed(market)
    settle = PayoutSettled(number, "folio 12")
    assert "0 of 3 payees approve it, 2 must; not yet bremen, danzig, wismar" in market.refusal(
        LUBECK, settle
    )
    approve(market, number, "bremen")
    assert f"payout {number} can't be settled: 1 of 3 payees approve it, 2 must; not yet danzig, wismar" in (
        market.refusal(LUBECK, settle)
    )
    approve(market, number, "wismar")
    market.write(LUBECK, settle)
    assert f"payout {number} is settled already" in market.refusal(LUBECK, settle)
    assert f"payout {number} is settled already" in market.refusal(DANZIG, PayoutApproved(number))


@pytest.mark.parametrize(("approvals", "needed"), [(0, 2), (1, 1), (3, 3), (7, 3)])
def test_the_charter_may_ask_for_more_or_fewer(store: LedgerStore, approvals: int, needed: int) -> None:
    town = trained(opened(store, approvals))
    number = proposed(town)
    standing = town.keeper.standing
    assert needed_approvals(standing.charter, standing.payouts[number]) == needed
    approve(town, number, *list(PARTIES)[:needed])
    assert obstacles(town.keeper.standing, town.keeper.standing.payouts[number]) == ()
    town.write(LUBECK, PayoutSettled(number, ""))


SAID: dict[str, tuple[Identity, Callable[[int], Body], str]] = {
    "a keeper who is not paid": (LUBECK, PayoutApproved, "lubeck is not among those whom payout"),
    "another settles": (
        BREMEN,
        lambda number: PayoutSettled(number, ""),
        "who proposed a payout settles it: lubeck",
    ),
    "another withdraws": (
        BREMEN,
        lambda number: PayoutWithdrawn(number, "we'd rather not"),
        "who proposed a payout withdraws it: lubeck",
    ),
    "a payee holds": (
        BREMEN,
        lambda number: PayoutHeld(number, "wait"),
        "bremen is not among those who may hold",
    ),
    "who is not paid disputes": (
        LUBECK,
        lambda number: PayoutDisputed(number, "unfair"),
        "lubeck is not among those whom payout",
    ),
    "nothing to release": (
        BREMEN,
        PayoutReleased,
        "bremen is not among those who hold or dispute payout",
    ),
}


@pytest.mark.parametrize(("author", "body", "reason"), SAID.values(), ids=SAID.keys())
def test_who_may_not_say_it_is_refused(
    market: Town, author: Identity, body: Callable[[int], Body], reason: str
) -> None:
    assert reason in market.refusal(author, body(proposed(market)))


def test_nobody_approves_holds_or_disputes_twice(market: Town) -> None:
    number = proposed(market)
    approve(market, number, "bremen")
    assert "bremen has approved" in market.refusal(BREMEN, PayoutApproved(number))
    market.write(LUBECK, PayoutHeld(number, "wait"))
    assert "lubeck holds" in market.refusal(LUBECK, PayoutHeld(number, "wait longer"))
    market.write(DANZIG, PayoutDisputed(number, "too little"))
    assert "danzig disputes" in market.refusal(DANZIG, PayoutDisputed(number, "far too little"))
    assert "releases it before it approves" in market.refusal(DANZIG, PayoutApproved(number))


# --- held, disputed, released -------------------------------------------------------------------------------
def test_what_is_held_is_settled_after_its_release(market: Town) -> None:
    number = proposed(market)
    approve(market, number, *PARTIES)
    market.write(LUBECK, PayoutHeld(number, "the bank is closed"))
    settle = PayoutSettled(number, "folio 12")
    assert "lubeck holds it: the bank is closed" in market.refusal(LUBECK, settle)
    market.write(LUBECK, PayoutReleased(number))
    market.write(LUBECK, settle)


def test_what_is_disputed_needs_everybody_else(market: Town) -> None:
    number = proposed(market)
    approve(market, number, "bremen", "danzig")
    market.write(BREMEN, PayoutDisputed(number, "our rows were better"))  # its approval no longer counts
    settle = PayoutSettled(number, "folio 12")
    reason = market.refusal(LUBECK, settle)
    assert reason.endswith(
        "1 of 3 payees approve it, 2 must; disputed by bremen, so that all others must approve it; not yet wismar"
    )
    approve(market, number, "wismar")
    market.write(LUBECK, settle)
    assert market.keeper.standing.payouts[number].disputed == {"bremen": "our rows were better"}


def test_a_dispute_of_most_payees_stops_a_payout_until_they_release_it(market: Town) -> None:
    number = proposed(market)
    for identity in (BREMEN, DANZIG):
        market.write(identity, PayoutDisputed(number, "too little"))
    approve(market, number, "wismar")
    settle = PayoutSettled(number, "folio 12")
    assert (
        "1 of 3 payees approve it, 2 must; disputed by bremen, danzig, so that somebody must release it"
        in (market.refusal(LUBECK, settle))
    )
    market.write(BREMEN, PayoutReleased(number))
    approve(market, number, "bremen")
    market.write(LUBECK, settle)


def test_a_payee_who_left_or_is_suspended_counts_and_the_error_says_that_it_cannot_approve(
    market: Town,
) -> None:
    number = proposed(market)
    market.write(WISMAR, MemberLeft("wismar"))
    market.write(LUBECK, MemberSuspended("danzig", "salt in the sugar"))
    approve(market, number, "bremen")
    settle = PayoutSettled(number, "folio 12")
    assert "not yet danzig (suspended, and can't), wismar (left, and can't)" in market.refusal(LUBECK, settle)
    market.write(LUBECK, admission(DANZIG))
    approve(market, number, "danzig")
    market.write(LUBECK, settle)


def test_of_many_who_are_silent_only_some_are_named(market: Town) -> None:
    number = proposed(market)
    standing = market.keeper.standing
    names = [f"town-{each}" for each in range(8)]
    standing.members.update(dict.fromkeys(names, standing.members["bremen"]))
    payout = replace(standing.payouts[number], amounts=dict.fromkeys(names, 1))
    (said,) = obstacles(standing, payout)
    assert (
        said == "0 of 8 payees approve it, 5 must; not yet town-0, town-1, town-2, town-3, town-4 and 3 more"
    )
    assert obstacles(standing, replace(payout, status="withdrawn")) == ("it is withdrawn already",)


# --- uses ---------------------------------------------------------------------------------------------------
def for_uses(
    town: Town, since: int, until: int, *amounts: int, job: str = "herring", currency: str = "EUR"
) -> PayoutProposed:
    split = dict(zip(PARTIES, amounts, strict=True))
    return proposal(town, split, job, basis="uses", since=since, until=until, currency=currency)


def test_uses_are_paid_by_the_weights_of_the_training_at_the_agreed_price(market: Town) -> None:
    settled(market)
    first, _, third = used(market, 1_000, 200, 1)
    number = settled(market, for_uses(market, first, third, 300, 180, 120))  # 1,201 rows: 6.005 EUR
    payout = market.keeper.standing.payouts[number]
    assert (payout.basis, payout.since, payout.until, payout.pot_minor) == ("uses", first, third, 600)
    fourth = used(market, 2_000)[0]
    settled(market, for_uses(market, fourth, fourth, 500, 300, 200))
    assert replayed(market).standing.payouts == market.keeper.standing.payouts


def test_paying_for_uses_often_keeps_nothing_back(market: Town) -> None:
    pots = []
    for _ in range(4):
        (use,) = used(market, 3)  # 1.5 cents
        pots.append(uses_pot(market.keeper.standing, "herring", use)[2])
        amounts = (pots[-1], 0, 0) if pots[-1] == 1 else (1, 1, 0)
        proposed(market, for_uses(market, use, use, *amounts))
    assert pots == [1, 2, 1, 2]


def test_uses_are_paid_in_turn_and_once(market: Town) -> None:
    first, second, third = used(market, 200, 200, 200)
    assert (
        f"the uses of herring that no payout covers begin at entry {first}, not {second}"
        in market.refusal(LUBECK, for_uses(market, second, third, 100, 60, 40))
    )
    number = proposed(market, for_uses(market, first, second, 100, 60, 40))
    assert (
        f"the uses of herring that no payout covers begin at entry {third}, not {second}"
        in market.refusal(LUBECK, for_uses(market, second, third, 100, 60, 40))
    )
    assert f"entry {second} is covered by a payout; the uses that none covers begin at {third}" in (
        market.refusal(LUBECK, for_uses(market, first, second, 100, 60, 40))
    )
    rest = proposed(market, for_uses(market, third, third, 50, 30, 20))
    assert "every use of the model of herring is covered" in market.refusal(
        LUBECK, for_uses(market, first, third, 150, 90, 60)
    )
    market.write(LUBECK, PayoutWithdrawn(number, "once more"))
    assert f"the uses of herring from entry {third} on are covered by payout {rest}" in market.refusal(
        LUBECK, for_uses(market, first, third, 150, 90, 60)
    )
    market.write(LUBECK, for_uses(market, first, first, 50, 30, 20))
    market.write(LUBECK, for_uses(market, second, second, 50, 30, 20))


def test_uses_of_another_job_at_another_price_or_too_few_are_refused(market: Town) -> None:
    trained(market, "salt")
    salt = used(market, 200, job="salt")[0]
    herring = used(market, 200)[0]
    assert f"entry {salt} is no use of the model of herring" in market.refusal(
        LUBECK, for_uses(market, salt, salt, 50, 30, 20)
    )
    assert "200 rows bring in 1.00 EUR at the agreed price, found 1.01 EUR" in market.refusal(
        LUBECK, for_uses(market, herring, herring, 51, 30, 20)
    )
    trained(market, "free", settings={})
    (free,) = used(market, 1, job="free")
    market.write(LUBECK, for_uses(market, free, free, 5, 3, 2, job="free", currency="SEK"))


def test_uses_are_final_with_the_last_of_them_or_with_newer_weights(market: Town) -> None:
    (use,) = used(market, 200)
    standing = market.keeper.standing
    assert rests_on(standing, "herring", use)[0] == use
    assert rests_on(standing, "herring")[0] == standing.jobs["herring"].rests_at < use
    early = proposal(market)
    late = replace(for_uses(market, use, use, 50, 30, 20), checkpoint=early.checkpoint)
    market.write(LUBECK, late)
    later = used(market, 200)[0]
    body = for_uses(market, later, later, 50, 30, 20)
    stale = replace(body, checkpoint=early.checkpoint)
    assert f"entry {later} is not among the first" in market.refusal(LUBECK, stale)
    standing.jobs["herring"] = replace(standing.jobs["herring"], rests_at=99)
    assert rests_on(standing, "herring", use)[0] == 99


# --- instalments after FLI ----------------------------------------------------------------------------------
COST: dict[str, Setting] = {"payout.currency": "EUR", "payout.cost_micros": 1_000}
FLI = VALUED | {"payout.currency": "EUR", "payout.pot_minor": 100_000, "payout.cost_micros": 1_000_000}


def test_instalments_repay_costs_that_the_weights_alone_would_leave(store: LedgerStore) -> None:
    town = trained(opened(store), settings=FLI)

    def instalment(*amounts: int) -> PayoutProposed:
        return proposal(town, dict(zip(PARTIES, amounts, strict=True)), scheme="fli")

    by_weights = instalment(26_667, 13_333, 0)
    assert "wismar: expected 57.14 EUR, found 0.00 EUR" in town.refusal(LUBECK, by_weights)
    number = proposed(town, instalment(21_905, 12_381, 5_714))
    assert f"payout {number} is open, and of lubeck's instalments in EUR only one is" in town.refusal(
        LUBECK, instalment(21_905, 12_381, 5_714)
    )
    town.write(LUBECK, PayoutWithdrawn(number, "the bank is closed"))
    settled(town, instalment(21_905, 12_381, 5_714))
    owed = {party: regret.owed for (*_, party), regret in town.keeper.standing.fli.items()}
    assert owed == {"bremen": 28_095, "danzig": 17_619, "wismar": 14_286}
    settled(town, instalment(20_952, 12_191, 6_857))
    assert "expected at most 200.00 EUR, the rest of it, found 400.00 EUR" in town.refusal(
        LUBECK, instalment(20_952, 12_191, 6_857)
    )
    assert "the training of herring is paid by payout" in town.refusal(
        LUBECK, proposal(town, {"bremen": 66_667, "danzig": 33_333, "wismar": 0})
    )
    twin = replayed(town).standing
    assert (twin.fli, twin.payouts) == (town.keeper.standing.fli, town.keeper.standing.payouts)


def test_what_is_paid_by_the_weights_is_not_paid_in_instalments_too(market: Town) -> None:
    number = settled(market)
    assert f"the training of herring is paid by payout {number}" in market.refusal(
        LUBECK, proposal(market, scheme="fli")
    )


def test_one_payer_has_one_open_instalment_over_all_jobs(store: LedgerStore) -> None:
    town = trained(trained(opened(store), settings=COST), "salt", settings=COST)
    split = {"bremen": 5, "danzig": 3, "wismar": 2}
    number = proposed(town, proposal(town, split, scheme="fli"))
    assert f"payout {number} is open" in town.refusal(LUBECK, proposal(town, split, "salt", scheme="fli"))
    trained(town, "wool", settings=COST | {"payout.currency": "SEK"})
    proposed(town, proposal(town, split, "wool", scheme="fli", currency="SEK"))
    approve(town, number, *PARTIES)
    town.write(LUBECK, PayoutSettled(number, ""))
    proposed(town, proposal(town, split, "salt", scheme="fli"))
    assert set(town.keeper.standing.instalments) == {("lubeck", "EUR"), ("lubeck", "SEK")}


def test_what_others_have_left_open_takes_nothing_from_a_pot(store: LedgerStore) -> None:
    town = trained(opened(store), "own", settings=COST | {"payout.cost_micros": 2**53}, coordinator=BREMEN)
    own = {"bremen": 1, "danzig": 0, "wismar": 0}
    number = town.write(BREMEN, proposal(town, own, "own", scheme="fli"))[0].index  # and leaves it open
    trained(town, settings=COST | {"payout.cost_micros": 1})
    split = {"bremen": 500, "danzig": 300, "wismar": 200}
    settled(town, proposal(town, split, scheme="fli"))
    approve(town, number, *PARTIES)
    town.write(BREMEN, PayoutSettled(number, ""))  # now bremen is owed a fortune by bremen
    settled(town, proposal(town, split, scheme="fli"))


def test_who_has_agreed_on_no_costs_repays_none(market: Town) -> None:
    reason = "herring has agreed on no costs, and so on no instalments that would repay any"
    assert market.refusal(LUBECK, proposal(market, scheme="fli")) == reason
    trained(market, "free", settings={})
    assert "free has agreed on no costs" in market.refusal(LUBECK, proposal(market, job="free", scheme="fli"))


def test_the_terms_of_a_job_bind_its_uses_currency_too(store: LedgerStore) -> None:
    only = {key: AGREED[key] for key in ("payout.currency", "payout.pot_minor")}
    town = trained(opened(store), settings=only)
    (use,) = used(town, 7)
    wrong = for_uses(town, use, use, 50, 30, 20, currency="SEK")
    assert "herring is paid in EUR as agreed, not in SEK" in town.refusal(LUBECK, wrong)
    town.write(LUBECK, for_uses(town, use, use, 50, 30, 20))
