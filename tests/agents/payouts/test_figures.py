"""Money as it is typed: what is written is read again, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.payouts.figures import plain, read_amount
from hansa.ledger.money import MAX_MINOR
from hansa.ledger.terms import amount

CURRENCIES = ("EUR", "JPY", "KWD", "CLF")


@given(st.integers(1, MAX_MINOR), st.sampled_from(CURRENCIES))
def test_what_is_written_is_read_again(minor: int, currency: str) -> None:
    assert read_amount(plain(minor, currency), currency) == minor
    assert amount(minor, currency).replace(",", "") == plain(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("100000", "EUR", 10_000_000),
        ("100000.00", "EUR", 10_000_000),
        ("0.5", "EUR", 50),
        ("007", "EUR", 700),
        ("100000", "JPY", 100_000),
        ("1.005", "KWD", 1_005),
        ("90071992547409.92", "EUR", MAX_MINOR),
    ],
)
def test_amounts_are_read_with_the_currencys_decimal_places(text: str, currency: str, minor: int) -> None:
    assert read_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("100,000.00", "expected an amount like 100000.00"),
        ("1e5", "expected an amount like 100000.00"),
        ("-5", "expected an amount like 100000.00"),
        ("+5", "expected an amount like 100000.00"),
        ("5.", "expected an amount like 100000.00"),
        (".5", "expected an amount like 100000.00"),
        ("", "expected an amount like 100000.00"),
        (" 5", "expected an amount like 100000.00"),
        ("\uff15", "expected an amount like 100000.00"),  # a digit, but none that is read
        ("NaN", "expected an amount like 100000.00"),
        ("1" * 5_000, "expected an amount like 100000.00"),
        ("1.005", "EUR has 2 decimal places"),
        ("0", "expected more than 0"),
        ("0.00", "expected more than 0"),
        ("90071992547409.93", "at most 90071992547409.92 EUR"),
    ],
)
def test_anything_else_is_refused_with_the_expected_form(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read_amount(text, "EUR")
    assert len(str(caught.value)) < 120


def test_a_currency_without_decimal_places_takes_none() -> None:
    with pytest.raises(ValueError, match="JPY has no decimal places; expected an amount like 100000"):
        read_amount("5.0", "JPY")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "E1R", "ÄÖÜ"])
def test_a_currency_has_three_capitals(currency: str) -> None:
    with pytest.raises(ValueError, match="three capitals"):
        read_amount("5", currency)
