"""What a payout pays, computed from a standing: as agreed, as typed, and never another cent."""

import json
from dataclasses import replace

import pytest

from hansa.agents.errors import PayoutError
from hansa.agents.payouts.sheet import Sheet, as_paid, drafted, payout_of, read_sheet, recomputed
from hansa.ledger import LedgerError, ModelUsed, PayoutSettled, PayoutWithdrawn, Setting, Standing
from hansa.ledger.money import Basis, Scheme
from tests.agents.payouts.books import TERMS, certified, finished, pay, proposed
from tests.ledger.chronicle import told
from tests.ledger.town import BREMEN, LUBECK


def draft(
    now: Standing,
    pot: str = "",
    currency: str = "",
    basis: Basis = "training",
    scheme: Scheme = "weights",
    author: str = "lubeck",
) -> Sheet:
    return drafted(now, author, "herring", pot, currency, basis, scheme)


def standing(**settings: Setting) -> Standing:
    return finished(**settings).verifier.standing


def test_a_negative_contribution_is_shown_as_such_and_gets_nothing() -> None:
    sheet = draft(standing(), "100000.00", "EUR")
    assert [(line.party, line.contribution) for line in sheet.lines] == [
        ("bremen", 0.375),
        ("danzig", 0.125),
        ("wismar", -0.0625),
    ]
    assert sheet.amounts == {"bremen": 7_500_000, "danzig": 2_500_000, "wismar": 0}
    assert [line.share for line in sheet.lines] == [0.75, 0.25, 0.0]
    assert (sheet.unit, sheet.method, sheet.needed, sheet.pot_minor) == ("score", "shapley", 2, 10_000_000)


def test_what_was_agreed_need_not_be_typed() -> None:
    sheet = draft(standing(**TERMS))
    assert (sheet.pot_minor, sheet.currency) == (10_000_000, "EUR")
    assert draft(standing(**TERMS), "100000", "EUR") == sheet
    assert read_sheet(json.loads(json.dumps(sheet.as_json()))) == sheet


def test_volumes_are_told_in_rows() -> None:
    sheet = drafted(told().verifier.standing, "lubeck", "herring", "1", "EUR", "training", "weights")
    assert (sheet.unit, [line.contribution for line in sheet.lines]) == ("rows", [700, 300])


@pytest.mark.parametrize(
    ("pot", "currency", "why"),
    [
        ("", "", "agreed on no currency: name one, --currency EUR"),
        ("", "EUR", "agreed on no pot: say what is to be split, --pot 100000.00"),
        ("1e5", "EUR", "expected an amount like 100000.00"),
        ("5", "euro", "three capitals"),
    ],
)
def test_what_nobody_agreed_must_be_typed_as_it_is_written(pot: str, currency: str, why: str) -> None:
    with pytest.raises((PayoutError, ValueError), match=why):
        draft(standing(), pot, currency)


@pytest.mark.parametrize(
    ("pot", "currency", "why"),
    [
        ("", "USD", "has agreed on EUR, not USD: leave out --currency"),
        ("100000.01", "", "has agreed on 100,000.00 EUR, not 100,000.01 EUR"),
    ],
)
def test_nothing_else_is_paid_than_was_agreed(pot: str, currency: str, why: str) -> None:
    with pytest.raises(PayoutError, match=why):
        draft(standing(**TERMS), pot, currency)


def test_only_the_coordinator_of_a_finished_job_drafts_its_payout() -> None:
    with pytest.raises(LedgerError, match="one coordinator: lubeck, not bremen"):
        draft(standing(), "5", "EUR", author="bremen")
    with pytest.raises(LedgerError, match="has no model: open"):
        draft(proposed().verifier.standing, "5", "EUR")
    with pytest.raises(LedgerError, match="no job cod was proposed"):
        drafted(standing(), "lubeck", "cod", "5", "EUR", "training", "weights")


def test_uses_that_no_payout_covers_are_paid_at_the_price_agreed() -> None:
    made = finished(**TERMS)
    with pytest.raises(PayoutError, match="hansa model used --job herring --rows N"):
        draft(made.verifier.standing, basis="uses")
    made.write(BREMEN, ModelUsed("herring", 1))
    with pytest.raises(PayoutError, match=r"come to 0\.00 EUR so far: wait for more"):
        draft(made.verifier.standing, basis="uses")
    made.write(LUBECK, ModelUsed("herring", 2_000, "the market of Scania"))
    sheet = draft(made.verifier.standing, basis="uses")
    assert (sheet.rows, sheet.pot_minor, sheet.since, sheet.until) == (
        2_001,
        1_000,
        made.size - 2,
        made.size - 1,
    )
    assert sheet.rests_at == sheet.until
    number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)))
    assert recomputed(made.verifier.standing, number) == sheet
    with pytest.raises(LedgerError, match="covered by a payout"):
        draft(made.verifier.standing, basis="uses")


def test_uses_without_a_price_need_a_pot() -> None:
    made = finished()
    made.write(BREMEN, ModelUsed("herring", 10))
    with pytest.raises(PayoutError, match="agreed on no price for uses"):
        draft(made.verifier.standing, currency="EUR", basis="uses")
    assert draft(made.verifier.standing, "7.00", "EUR", "uses").pot_minor == 700


def test_a_payout_is_computed_again_and_not_believed() -> None:
    made = finished(**TERMS)
    sheet = draft(made.verifier.standing)
    number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)), "bremen")
    now = made.verifier.standing
    assert recomputed(now, number) == as_paid(now, number) == sheet
    payout = payout_of(now, number)
    now.payouts[number] = replace(payout, amounts={"bremen": 7_500_001, "danzig": 2_499_999, "wismar": 0})
    with pytest.raises(
        PayoutError, match=r"gives bremen 75,000\.01 EUR.*it is 75,000\.00 EUR: approve nothing"
    ):
        recomputed(now, number)
    now.payouts[number] = replace(payout, amounts={"bremen": 7_500_000, "danzig": 2_499_999, "cod": 1})
    with pytest.raises(PayoutError, match=r"gives cod 0\.01 EUR"):
        recomputed(now, number)


def test_a_pot_for_uses_other_than_their_price_is_not_believed() -> None:
    made = finished(**TERMS)
    made.write(BREMEN, ModelUsed("herring", 2_000))
    sheet = draft(made.verifier.standing, basis="uses")
    number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)))
    now = made.verifier.standing
    now.payouts[number] = replace(payout_of(now, number), pot_minor=999)
    with pytest.raises(PayoutError, match=r"a pot of 9\.99 EUR, .*it is 10\.00 EUR"):
        recomputed(now, number)


def test_a_withdrawn_payout_is_shown_as_it_was() -> None:
    made = finished(**TERMS)
    sheet = draft(made.verifier.standing)
    number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)))
    made.write(LUBECK, PayoutWithdrawn(number, "too early"))
    assert as_paid(made.verifier.standing, number).amounts == sheet.amounts


def test_an_unknown_payout_is_refused_with_those_there_are() -> None:
    made = finished(**TERMS)
    with pytest.raises(PayoutError, match="there are: none yet"):
        payout_of(made.verifier.standing, 3)
    sheet = draft(made.verifier.standing)
    number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)))
    with pytest.raises(PayoutError, match=f"there are: {number}"):
        payout_of(made.verifier.standing, 3)


def test_instalments_are_computed_again_while_they_are_open_until_nothing_is_left() -> None:
    made = finished(**{**TERMS, "payout.cost_micros": 10_000})
    for pot in ("40000.00", ""):
        sheet = draft(made.verifier.standing, pot, scheme="fli")
        assert sum(sheet.amounts.values()) == sheet.pot_minor
        number = pay(made, sheet.proposal(*certified(made, sheet.rests_at)), "bremen", "danzig")
        assert recomputed(made.verifier.standing, number) == sheet
        made.write(LUBECK, PayoutSettled(number, "TX 5"))
        assert as_paid(made.verifier.standing, number) == sheet
        if pot:
            with pytest.raises(PayoutError, match=r"has left 60,000\.00 EUR, not 60,000\.01 EUR"):
                draft(made.verifier.standing, "60000.01", scheme="fli")
    with pytest.raises(PayoutError, match="nothing is left"):
        draft(made.verifier.standing, scheme="fli")
