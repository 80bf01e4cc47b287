"""What does a job's file say of contributions and of money? Made whole with the charter, in the ledger's terms.

contribution = "gtg"          # or a table: [contribution] method = "gtg", cycles = 4
validation = "agreed"         # the coordinator's rows on which coalitions' models are valued
[payout]
currency = "EUR"
pot = "100000.00"
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from hansa.agents.core.agreed import can_value
from hansa.agents.core.messages import Setting
from hansa.agents.errors import JobError
from hansa.agents.payouts.figures import MOST_CHARS, read_amount
from hansa.ledger import Charter
from hansa.ledger.contribution import VOLUME
from hansa.ledger.money import MAX_MINOR
from hansa.ledger.terms import MICROS
from hansa.protocols import ProtocolSpec

MICRO_PLACES = len(str(MICROS)) - 1

_RATE = re.compile(f"([0-9]+)(?:\\.([0-9]{{1,{MICRO_PLACES}}}))?", re.ASCII)


def _method(value: Any) -> Any:
    """Have a bare name stand for a table with nothing but the method."""
    if isinstance(value, str):
        return {"method": value}
    if not isinstance(value, dict):
        raise ValueError("expected the name of a method, or a table")
    return value


def _written(value: Any) -> Any:
    """Take an amount as it was written; TOML's floats would round it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError('expected an amount in quotes, "0.005"')
    return value


Method = Annotated[dict[str, Setting], BeforeValidator(_method)]
Written = Annotated[str, BeforeValidator(_written)]


class PayoutSection(BaseModel):
    """`[payout]`: what is agreed on money; whatever is left out is not agreed on.

    Attributes:
        currency: ISO 4217, "EUR".
        pot: that is paid for the training.
        price_per_row: that a use of the model brings in for each row that it scores.
        cost_per_row: that it costs a party to have a row trained on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str
    pot: Written | None = None
    price_per_row: Written | None = None
    cost_per_row: Written | None = None

    def terms(self) -> dict[str, Setting]:
        """Return them as a job has them: whole numbers, exact.

        Raises:
            JobError: no currency's code, or no such amount; names the key.
        """
        agreed: dict[str, Setting] = {"currency": self.currency}
        try:
            if self.pot is not None:
                agreed["pot_minor"] = read_amount(self.pot, self.currency)
        except ValueError as error:
            raise JobError(f"payout.pot: {error}") from None
        for key, rate in (("price", self.price_per_row), ("cost", self.cost_per_row)):
            if rate is not None:
                agreed[f"{key}_micros"] = _micros(f"payout.{key}_per_row", rate)
        return agreed


def measuring(
    known: ProtocolSpec, given: Mapping[str, Setting], validation: str, charter: Charter
) -> dict[str, Setting]:
    """Return how a job's contributions are measured, as the job has it: nothing if by volume.

    Args:
        known: the job's protocol.
        given: what the file says; nothing: as the charter says, where the protocol can value coalitions.
        validation: the data set that the file names.

    Raises:
        JobError: the keys contradict each other.
    """
    if not given and can_value(known):
        given = {"method": charter.contribution}
    method = given.get("method", VOLUME if not given else "")
    if not isinstance(method, str) or not method:
        raise JobError("contribution.method: expected the name of a method")
    if method == VOLUME:
        if len(given) > 1:
            raise JobError(f"contribution.{min(given.keys() - {'method'})}: volumes take no settings")
        if validation:
            raise JobError("validation: of no use, since contributions are volumes: name a contribution")
        return {}
    if "validation" in given:
        raise JobError("contribution.validation: unknown key; validation stands beside dataset")
    return {"utility": charter.utility, "validation": validation, **given}


def _micros(key: str, text: str) -> int:
    """Return an amount of a currency's major unit in millionths of it."""
    found = _RATE.fullmatch(text)
    if found is None or len(text) > MOST_CHARS:
        raise JobError(
            f'{key}: expected an amount like "0.005", with at most {MICRO_PLACES} decimal places, '
            f"got {text[:MOST_CHARS]!r}"
        )
    micros = int(found[1] + (found[2] or "").ljust(MICRO_PLACES, "0"))
    if not 0 < micros <= MAX_MINOR:
        raise JobError(f"{key}: expected more than 0, and at most 2^53 millionths, got {text!r}")
    return micros
