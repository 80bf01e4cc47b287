"""What did a job's parties agree on money, and how is an amount of it written?

A job says so under "payout." in the settings of its proposal, and all parties consent to that with the job. Where
it says nothing, what a payout takes for its pot is between its proposer and those who approve it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hansa.ledger.jobs import Setting
from hansa.ledger.money import MAX_MINOR

PREFIX = "payout."
MICROS = 1_000_000  # of a currency's major unit: what prices and costs of one row are told in

# ISO 4217, table A.1 (2024): the currencies whose minor unit is not the hundredth of the major one.
_DIGITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
        0,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job's parties agreed on money.

    Attributes:
        currency: ISO 4217, "EUR".
        pot_minor: the whole that is paid for the training, in minor units; after FLI, by all instalments.
        price_micros: per row that the model scores, in millionths of the currency's major unit.
        cost_micros: likewise, what it costs a party to have a row trained on. Without it nothing is paid by
            the scheme "fli".
    """

    currency: str
    pot_minor: int | None = None
    price_micros: int | None = None
    cost_micros: int | None = None

    def price_of(self, rows: int) -> int:
        """Return what so many scored rows bring in, in minor units, rounded down. Nothing agreed: 0."""
        return int(_in_minor(self.currency, self.price_micros or 0, rows))

    def cost_of(self, rows: int) -> Fraction:
        """Return what it costs to have so many rows trained on, in minor units; exact. Nothing agreed: 0."""
        return _in_minor(self.currency, self.cost_micros or 0, rows)


def terms(settings: Mapping[str, Setting]) -> Terms | None:
    """Read from a job's settings what was agreed on money; None: nothing.

    Raises:
        ValueError: a key or a value that no terms have; it names the key.
    """
    ours = {key.removeprefix(PREFIX): value for key, value in settings.items() if key.startswith(PREFIX)}
    if not ours:
        return None
    currency = ours.pop("currency", None)
    if not isinstance(currency, str):
        raise ValueError(f"{PREFIX}currency: expected the currency of the other terms, got {currency!r:.60}")
    check_currency(currency)
    amounts = {key: _amount(key, value) for key, value in ours.items()}
    return Terms(currency, amounts.get("pot_minor"), amounts.get("price_micros"), amounts.get("cost_micros"))


def check_currency(currency: str) -> None:
    """Refuse what is no code of a currency by its form.

    Raises:
        ValueError: other than three capitals.
    """
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueError(f"{PREFIX}currency: expected three capitals (ISO 4217), got {currency!r:.60}")


def minor_digits(currency: str) -> int:
    """Return how many decimal places a currency has: 2, unless ISO 4217 says otherwise."""
    return _DIGITS.get(currency, 2)


def amount(minor: int, currency: str) -> str:
    """Return minor units as people write them, without the currency: "1,234.56"."""
    digits = minor_digits(currency)
    sign, (whole, rest) = "-" if minor < 0 else "", divmod(abs(minor), 10**digits)
    return f"{sign}{whole:,}.{rest:0{digits}}" if digits else f"{sign}{whole:,}"


def money(minor: int, currency: str) -> str:
    """Return minor units as people write them: "1,234.56 EUR"."""
    return f"{amount(minor, currency)} {currency}"


def _amount(key: str, value: Setting) -> int:
    if key not in ("pot_minor", "price_micros", "cost_micros"):
        raise ValueError(f"{PREFIX}{key}: expected currency, pot_minor, price_micros or cost_micros")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_MINOR:
        raise ValueError(f"{PREFIX}{key}: expected a whole number, 1 … 2^53, got {value!r:.60}")
    return value


def _in_minor(currency: str, micros: int, rows: int) -> Fraction:
    return Fraction(micros * rows * 10 ** minor_digits(currency), MICROS)
