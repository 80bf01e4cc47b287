"""Who sits where in a vertical regression, and what follows from that for the numbers that travel?

The guest holds the labels and some columns, hosts hold further columns of the same rows in the same order, and the
arbiter, the agent that leads the job, holds the key. Yang et al. 2019, Tables 1 and 2; Hardy et al. 2017.
"""

import hashlib
import math
from dataclasses import dataclass, field

from hansa.protocols.crypto import KeyKind, Packing, PublicKey
from hansa.protocols.errors import LocalProtocolError
from hansa.protocols.machine import Awaited, Brief
from hansa.protocols.vertical.batches import Plan
from hansa.protocols.vertical.settings import LinearSettings, LogisticSettings, VerticalSettings

LINEAR_NAME = "vertical-linear"
LOGISTIC_NAME = "vertical-logistic"
VERSION = 1
GUEST = "guest"
HOST = "host"
ARBITER = "arbiter"

SESSION_DOMAIN = b"hansa/vertical/session/1\x00"
FOOTING_DOMAIN = b"hansa/vertical/footing/1\x00"
SECRET_DOMAIN = b"hansa/vertical/secret/1\x00"
SECRET_BYTES = 32

MOST_ROWS, MOST_COLUMNS = 2**25, 2**16
# How finely coefficients and what is plain in the loss are rounded where the loss is put together; the
# coefficients themselves stay float64.
THETA_BITS, THETA_LIMIT = 30, 2.0**20
PENALTY_BITS, PENALTY_LIMIT = 16, 2.0**44
HELD_OUT_BITS = 32  # of scores of rows held out, at most


@dataclass(frozen=True, slots=True)
class Ended:
    """Finished or aborted, and all secrets forgotten: whatever still arrives is ignored."""

    seat: "Seat"


ENDED = Awaited("")


@dataclass(frozen=True, slots=True)
class Seat:
    """A brief whose settings are known to be vertical regression's; every state carries it. It holds no secret.

    Attributes:
        session: the mark of every message: of this job, its parties and settings.
        hosts: all parties but the guest.
        valued: whether the arbiter values coalitions, for which it sees everybody's own scores of rows held out.
        volumes: at the arbiter, by party, the rows and columns that it has registered, as far as that is known.
    """

    me: str
    arbiter: str
    parties: tuple[str, ...]
    hosts: tuple[str, ...]
    settings: LinearSettings | LogisticSettings
    seed: int
    session: bytes
    valued: bool = False
    volumes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def take(cls, brief: Brief, role: str) -> "Seat":
        """Check that a brief makes sense for this role.

        Raises:
            LocalProtocolError: another role or another protocol's settings, an arbiter that does not lead or is
                a party, a guest who is not a party, no host, a secret of another length, or no rows held out to
                value coalitions on.
        """
        settings, me = brief.settings, brief.me
        if not isinstance(settings, LinearSettings | LogisticSettings):
            raise LocalProtocolError(f"vertical regression needs its settings, not {type(settings).__name__}")
        if settings.guest not in brief.parties:
            raise LocalProtocolError(f"guest {settings.guest} is not a party of this job")
        if len(brief.parties) < 2 or brief.coordinator in brief.parties:
            raise LocalProtocolError("vertical regression takes a guest, a host, and an arbiter beside them")
        fitting = {brief.coordinator: ARBITER, settings.guest: GUEST}.get(me, HOST)
        if fitting != brief.role or brief.role != role or (role == HOST and me not in brief.parties):
            raise LocalProtocolError(f"{me} was given a brief for {brief.role} and put on as {role}")
        if len(brief.secret) != SECRET_BYTES:
            raise LocalProtocolError(f"a role needs {SECRET_BYTES} secret bytes, not {len(brief.secret)}")
        if brief.valued and not settings.holdout:
            raise LocalProtocolError("contributions are valued on rows held out: holdout must not be 0")
        hosts = tuple(party for party in brief.parties if party != settings.guest)
        return cls(
            me, brief.coordinator, brief.parties, hosts, settings, brief.seed, _session(brief), brief.valued,
            dict(brief.volumes),
        )  # fmt: skip

    @property
    def guest(self) -> str:
        """The party that holds the labels."""
        return self.settings.guest

    @property
    def logistic(self) -> bool:
        """Whether labels are two classes."""
        return isinstance(self.settings, LogisticSettings)

    @property
    def slope(self) -> float:
        """What a score is multiplied with before it is encrypted: d = slope·u − t."""
        return 0.25 if self.logistic else 1.0

    def plan(self, rows: int) -> Plan:
        """Return how so many rows are cut."""
        return Plan(rows, self.settings.batch, self.settings.block, self.seed)

    def gradients(self, party: str, columns: int) -> int:
        """Return how long a party's gradient is: its columns, and the guest's intercept."""
        return columns + (party == self.guest and self.settings.intercept)

    def residual_limit(self) -> int:
        """Return the bound of an encrypted residual, as an integer: a score from everybody."""
        return len(self.parties) * math.ceil(self.settings.score_limit * 2.0**self.settings.score_bits)

    def held_out_bits(self) -> int:
        """Return the fractional bits of scores of rows held out: everybody's together stay below 2^62."""
        most = len(self.parties) * math.ceil(self.settings.score_limit)
        return min(HELD_OUT_BITS, 62 - most.bit_length())

    def footing(self, rows: bytes = b"") -> bytes:
        """Return the mark of what a job that goes on from another must not change; the rest it may.

        Args:
            rows: the digest of our own rows; the arbiter has none.
        """
        settings = self.settings
        kept = (settings.guest, settings.batch, settings.optimiser, settings.intercept)
        words = (type(settings).__name__, str(self.seed), *self.parties, repr(kept), rows.hex())
        return hashed(FOOTING_DOMAIN, words)

    def packing(self, public: PublicKey, rows: int) -> Packing:
        """Return how gradients of a batch of so many rows share ciphertexts.

        At the most rows and limits that there may be, a gradient has less than 200 bits: one always has room.
        """
        feature = math.ceil(self.settings.feature_limit * 2.0**self.settings.feature_bits)
        return Packing.of(public, rows * feature * self.residual_limit())


def drawn_seed(secret: bytes, *purpose: str | int) -> bytes:
    """Return 32 secret bytes for one purpose, which must never be used for another.

    The same purpose gives the same bytes, so that a task that is run again after a crash makes the same masks for
    the same plaintexts.
    """
    text = "\x00".join(str(part) for part in purpose)
    return hashlib.sha256(SECRET_DOMAIN + secret + text.encode()).digest()


def key_kind(settings: VerticalSettings) -> KeyKind:
    """Return the kind of key that a job asks for."""
    return KeyKind.SUBGROUP if settings.key == "subgroup" else KeyKind.STANDARD


def _session(brief: Brief) -> bytes:
    """Return 32 bytes that differ between jobs, seeds, parties and settings, and by who is shown own scores."""
    valued = ("valued",) if brief.valued else ()
    words = (brief.job, str(brief.seed), brief.coordinator, *brief.parties, repr(brief.settings), *valued)
    return hashed(SESSION_DOMAIN, words)


def hashed(domain: bytes, words: tuple[str, ...]) -> bytes:
    """Return SHA-256 over a domain and words, each after its length, so that no two lists come to the same."""
    digest = hashlib.sha256(domain)
    for word in words:
        encoded = word.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()
