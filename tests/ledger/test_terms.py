"""What a job agrees on money is read strictly, and amounts are written as their currency has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.ledger.jobs import Setting
from hansa.ledger.money import MAX_MINOR
from hansa.ledger.terms import Terms, amount, minor_digits, money, terms


def test_a_job_may_agree_on_nothing_or_on_any_part() -> None:
    assert terms({"protocol.rounds": 3}) is None
    assert terms({"payout.currency": "EUR"}) == Terms("EUR")
    settings: dict[str, Setting] = {
        "payout.currency": "EUR",
        "payout.pot_minor": 10_000_000,
        "payout.price_micros": 5_000,
        "payout.cost_micros": 10_000,
        "model.l2": 0.5,
    }
    assert terms(settings) == Terms("EUR", 10_000_000, 5_000, 10_000)


WRONG: dict[str, tuple[dict[str, Setting], str]] = {
    "no currency": ({"payout.pot_minor": 5}, "payout.currency: expected the currency of the other terms"),
    "no code": ({"payout.currency": "eur"}, "payout.currency: expected three capitals"),
    "other letters": ({"payout.currency": "ÄÖÜ"}, "payout.currency: expected three capitals"),
    "digits": ({"payout.currency": "E4R"}, "payout.currency: expected three capitals"),
    "a number for it": ({"payout.currency": 978}, "payout.currency: expected the currency"),
    "another key": ({"payout.currency": "EUR", "payout.tip": 5}, "payout.tip: expected currency, pot_minor"),
    "a fraction": ({"payout.currency": "EUR", "payout.pot_minor": 5.0}, "payout.pot_minor: expected a whole"),
    "a truth": ({"payout.currency": "EUR", "payout.pot_minor": True}, "payout.pot_minor: expected a whole"),
    "nothing": (
        {"payout.currency": "EUR", "payout.price_micros": 0},
        "payout.price_micros: expected a whole",
    ),
    "too much": (
        {"payout.currency": "EUR", "payout.cost_micros": MAX_MINOR + 1},
        "payout.cost_micros: expected a whole number, 1 … 2\\^53, got 9007199254740993",
    ),
}


@pytest.mark.parametrize(("settings", "reason"), WRONG.values(), ids=WRONG.keys())
def test_terms_that_are_none_are_refused_by_their_key(settings: dict[str, Setting], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        terms(settings)


def test_amounts_are_written_with_the_decimal_places_of_their_currency() -> None:
    assert [minor_digits(code) for code in ("EUR", "JPY", "KRW", "KWD", "BHD", "CLF", "XYZ")] == [
        2,
        0,
        0,
        3,
        3,
        4,
        2,
    ]
    assert money(10_000_005, "EUR") == "100,000.05 EUR"
    assert money(1_234, "JPY") == "1,234 JPY"
    assert money(1_234, "KWD") == "1.234 KWD"
    assert money(7, "EUR") == "0.07 EUR"
    assert amount(-7, "EUR") == "-0.07"


@given(st.integers(-MAX_MINOR, MAX_MINOR), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_a_written_amount_is_that_amount(minor: int, currency: str) -> None:
    digits = amount(minor, currency).replace(",", "").replace(".", "")
    assert int(digits) == minor


def test_rows_bring_in_whole_units_and_cost_exact_ones() -> None:
    agreed = Terms("EUR", price_micros=5_000, cost_micros=5_000)
    assert agreed.price_of(1_201) == 600  # 6.005 EUR
    assert agreed.cost_of(1_201) * 2 == 1_201
    assert Terms("JPY", price_micros=5_000).price_of(1_201) == 6
    assert Terms("KWD", price_micros=5_000).price_of(1_201) == 6_005
    assert Terms("EUR").price_of(1_201) == 0
    assert Terms("EUR").cost_of(1_201) == 0
