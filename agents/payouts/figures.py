"""How is an amount of money typed, and how is it given to a program? In decimal digits, never in floats.

How people read one is for `hansa.ledger.terms.amount`: that has separators, which are refused here, since a comma
is the decimal sign of one half of the world and separates thousands in the other.
"""

import re

from hansa.ledger.money import MAX_MINOR
from hansa.ledger.terms import check_currency, minor_digits

MOST_CHARS = 32  # of what is typed; 2^53 has 16 digits

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)


def read_amount(text: str, currency: str) -> int:
    """Return an amount in minor units, as a person types it: "100000" or "100000.00".

    Raises:
        ValueError: no such number, more decimal places than the currency has, zero, or more than 2^53 minor units;
            or no currency's code.
    """
    check_currency(currency)
    digits = minor_digits(currency)
    form = f"expected an amount like {plain(100_000 * 10**digits, currency)}"
    found = _AMOUNT.fullmatch(text)
    if found is None or len(text) > MOST_CHARS:
        raise ValueError(f"{text[:MOST_CHARS]!r}: {form}")
    whole, places = found[1], found[2] or ""
    if len(places) > digits:
        has = f"{digits} decimal places" if digits else "no decimal places"
        raise ValueError(f"{text!r}: {currency} has {has}; {form}")
    minor = int(whole + places.ljust(digits, "0"))
    if not 0 < minor <= MAX_MINOR:
        raise ValueError(
            f"{text!r}: expected more than 0, and at most {plain(MAX_MINOR, currency)} {currency}"
        )
    return minor


def plain(minor: int, currency: str) -> str:
    """Return minor units, >= 0, in decimal digits without separators: "100000.00"; `read_amount` reads it."""
    digits = minor_digits(currency)
    whole, places = divmod(minor, 10**digits)
    return f"{whole}.{places:0{digits}}" if digits else str(whole)
