"""Who is paid what for a job? The bodies of those entries."""

from dataclasses import dataclass
from typing import Literal

from hansa.broker.identity import check_name
from hansa.ledger.checks import REASON_CHARS, check_at_least, check_digest, check_names, check_text
from hansa.ledger.membership import MOST_CERTIFICATE_BYTES

MAX_MINOR = 2**53  # money, in minor units: exact in every language that may recompute it
MOST_HASHES = 62  # of a path; there are no larger trees (`merkle.MOST_LEAVES`)

Basis = Literal["training", "uses"]
Scheme = Literal["weights", "fli"]


@dataclass(frozen=True, slots=True)
class PayoutProposed:
    """Coordinator: this pot, split like this; the entry's index is the payout's number.

    Attributes:
        currency: ISO 4217, "EUR".
        pot_minor: the whole, in minor units (cents).
        amounts: by party, in minor units; they sum to the pot. All who had a part in the job are named, those
            who get nothing as well.
        checkpoint: a signed note of a final head (`finality`): nobody is paid for what may yet be taken back.
        inclusion: (32,) hashes, the path of the entry that the payout rests on in that head's tree: the job's
            finish or its newest measured weights, or the last use that is paid for.
        basis: for having trained the model, or for uses of it.
        since, until: of uses, the indices of the first entry and the last, both included; else -1.
        scheme: by the measured weights alone, or as `fli` spreads a limited budget over instalments.
    """

    job: str
    currency: str
    pot_minor: int
    amounts: dict[str, int]
    checkpoint: bytes
    inclusion: tuple[bytes, ...]
    basis: Basis = "training"
    since: int = -1
    until: int = -1
    scheme: Scheme = "weights"

    def __post_init__(self) -> None:
        check_name(self.job)
        capitals = self.currency.isascii() and self.currency.isalpha() and self.currency.isupper()
        if not (len(self.currency) == 3 and capitals):
            raise ValueError(f"currency: expected three capitals (ISO 4217), got {self.currency!r:.40}")
        check_names("amounts", self.amounts)
        for party, amount in self.amounts.items():
            check_at_least(f"amounts.{party}", amount, 0)
        if not 0 < self.pot_minor <= MAX_MINOR:
            raise ValueError(f"pot_minor: expected 1 … 2^53, got {self.pot_minor}")
        if sum(self.amounts.values()) != self.pot_minor:
            raise ValueError(f"amounts: sum to {sum(self.amounts.values())}, the pot is {self.pot_minor}")
        if len(self.checkpoint) > MOST_CERTIFICATE_BYTES:
            raise ValueError(f"checkpoint: expected at most {MOST_CERTIFICATE_BYTES} bytes")
        if len(self.inclusion) > MOST_HASHES:
            raise ValueError(f"inclusion: expected at most {MOST_HASHES} hashes, got {len(self.inclusion)}")
        for each in self.inclusion:
            check_digest("inclusion", each)
        if self.basis == "uses" and not 0 <= self.since <= self.until:
            raise ValueError(f"since, until: expected entries in order, got {self.since} … {self.until}")
        if self.basis == "training" and (self.since, self.until) != (-1, -1):
            raise ValueError("since, until: given without uses that they could be of")
        if self.basis == "uses" and self.scheme != "weights":
            raise ValueError("scheme: uses are paid by the weights alone")


@dataclass(frozen=True, slots=True)
class PayoutApproved:
    """Payee: we agree to the payout proposed in this entry.

    Attributes:
        digest: (32,) SHA-256 of that entry's body, so that nobody has agreed to another payout that comes to stand
            in its place where another keeper goes on; empty as earlier versions write it.
    """

    payout: int
    digest: bytes = b""

    def __post_init__(self) -> None:
        check_at_least("payout", self.payout, 0)
        if self.digest:
            check_digest("digest", self.digest)


@dataclass(frozen=True, slots=True)
class _Reasoned:
    """What somebody says of a payout, and why."""

    payout: int
    reason: str

    def __post_init__(self) -> None:
        check_at_least("payout", self.payout, 0)
        check_text("reason", self.reason, REASON_CHARS)


@dataclass(frozen=True, slots=True)
class PayoutHeld(_Reasoned):
    """Proposer or keeper: not to be settled before whoever says this releases it, and why."""


@dataclass(frozen=True, slots=True)
class PayoutDisputed(_Reasoned):
    """Payee: we contest it, and why. It can still be settled, if everybody else approves it."""


@dataclass(frozen=True, slots=True)
class PayoutReleased:
    """Who has held or disputed it: not any more."""

    payout: int

    def __post_init__(self) -> None:
        check_at_least("payout", self.payout, 0)


@dataclass(frozen=True, slots=True)
class PayoutWithdrawn(_Reasoned):
    """Proposer: it is not to be; another may be proposed in its place."""


@dataclass(frozen=True, slots=True)
class PayoutSettled:
    """Proposer: the money has moved; the reference is the bank's or the books'."""

    payout: int
    reference: str

    def __post_init__(self) -> None:
        check_at_least("payout", self.payout, 0)
        check_text("reference", self.reference, REASON_CHARS)
