"""What has become of everything that was to be sent or written? Read from the agents' own journals and ledgers.

Nothing is asked of the agents: a message is posted when its sender's journal has given it a number, confirmed when
it has left the outbox, and consumed when the recipient's journal says so; an entry is written when its author's
journal has numbered it, and there when every copy of the ledger has it.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from hansa.agents.core.journal import SqliteJournal, unpack_row
from hansa.agents.home import JOURNAL, Home
from hansa.broker import MalformedMessage, SeenRow, decode, from_plain
from hansa.broker.envelope import ENVELOPE
from hansa.broker.frames import unpack_frame
from hansa.ledger import (
    ChainedEntry,
    JobAborted,
    JobFinished,
    JobProposed,
    LedgerError,
    ModelEvaluated,
    RoundClosed,
    decode_body,
    read_entry,
    verify_store,
)

JUMPED = 10**6  # no author has written so many; a restored one goes on with the time as its number
WORD = re.compile("[a-z0-9-]+")

Letter = tuple[str, int, str, str, int]  # sender, incarnation, session, recipient, number
Authored = tuple[str, int]  # author, its number


@dataclass(frozen=True, slots=True)
class Books:
    """A federation's state at one moment.

    Attributes:
        posted, consumed: messages.
        unconfirmed: (32,) digests of messages that the broker has not answered for.
        digests: of the consumed messages.
        written: entries, as their authors numbered them; of a restored author, whose numbers have jumped, those
            that are awaited or on somebody's copy.
        awaited: those of them whose receipt has not come.
        chains: by agent, its copy of the ledger.
        trouble: what can't be read, or does not verify.
    """

    posted: frozenset[Letter]
    consumed: frozenset[Letter]
    unconfirmed: frozenset[bytes]
    digests: frozenset[bytes]
    written: frozenset[Authored]
    awaited: frozenset[Authored]
    chains: Mapping[str, tuple[ChainedEntry, ...]]
    trouble: tuple[str, ...]

    def without(self, older: Set[str]) -> "Books":
        """Leave out messages of and to agents that are older selves, and what those wrote and nobody chained."""
        if not older:
            return self
        kept = self.chained.keys() | self.awaited
        return replace(
            self,
            posted=frozenset(letter for letter in self.posted if not older & {letter[0], letter[3]}),
            consumed=frozenset(letter for letter in self.consumed if not older & {letter[0], letter[3]}),
            written=frozenset(entry for entry in self.written if entry[0] not in older or entry in kept),
        )

    @property
    def chained(self) -> Counter[Authored]:
        """How often each entry stands in the copy in which it stands least often."""
        counts = [Counter(map(_authored, chain)) for chain in self.chains.values()]
        everything = set().union(*counts) if counts else set()
        return Counter({entry: min(count[entry] for count in counts) for entry in everything})


def read_books(homes: Mapping[str, Home], *, verify: bool = False) -> Books:
    """Read every home's journal and ledger, running or not.

    Args:
        verify: also check hashes, signatures and rules of every copy, and that all copies are level.
    """
    posted: set[Letter] = set()
    consumed: set[Letter] = set()
    unconfirmed: set[bytes] = set()
    digests: set[bytes] = set()
    written: set[Authored] = set()
    awaited: set[Authored] = set()
    chains: dict[str, tuple[ChainedEntry, ...]] = {}
    trouble: list[str] = []
    for name, home in homes.items():
        journal = SqliteJournal(home.path / JOURNAL, home.identity().home_key(), read_only=True)
        meta = journal.load("meta")
        incarnation = int.from_bytes(meta.get(b"incarnation", b""))
        for stream, count in journal.load("sequence").items():
            session, recipient = unpack_row(stream)
            numbers = range(int.from_bytes(count))
            posted |= {(name, incarnation, session, recipient, number) for number in numbers}
        for value in journal.load("seen").values():
            row = from_plain(SeenRow, decode(value))
            consumed.add((row.sender, row.incarnation, row.session, name, row.sequence))
            digests.add(row.digest)
        unconfirmed |= {_digest(unpack_row(value)[1]) for value in journal.load("outbox").values()}
        awaited |= {(name, int.from_bytes(key)) for key in journal.load("awaited")}
        next_number = int.from_bytes(meta.get(b"author-seq", b""))
        written |= {(name, number) for number in range(next_number if next_number < JUMPED else 0)}
        journal.close()
        chains[name] = _chain(name, home, verify, trouble)
    written |= awaited | {_authored(entry) for chain in chains.values() for entry in chain}
    if verify and len(set(chains.values())) > 1:
        sizes = ", ".join(f"{name} {len(chain)}" for name, chain in chains.items())
        trouble.append(f"the copies of the ledger differ: {sizes}")
    return Books(
        frozenset(posted),
        frozenset(consumed),
        frozenset(unconfirmed),
        frozenset(digests),
        frozenset(written),
        frozenset(awaited),
        chains,
        tuple(trouble),
    )


@dataclass(frozen=True, slots=True)
class Course:
    """What a ledger says about one job.

    Attributes:
        rounds: closed, in order.
        model: digest of the finished model, empty if there is none.
        missing: whoever the rounds name as missing, or the abort, in its reason too.
        doubled: entries that say again what another says.
    """

    rounds: tuple[int, ...]
    model: str
    outcome: str
    reason: str
    missing: frozenset[str]
    doubled: int


def course(chain: tuple[ChainedEntry, ...], job: str) -> Course:
    """Read one job's course from a ledger."""
    rounds: list[int] = []
    said: Counter[tuple[object, ...]] = Counter()
    missing: set[str] = set()
    invited: set[str] = set()
    model = outcome = reason = ""
    for entry in chain:
        fields = read_entry(entry.signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        if getattr(body, "job", None) != job:
            continue
        match body:
            case RoundClosed(round=number):
                rounds.append(number)
                missing |= set(body.missing)
                said[fields.kind, number] += 1
            case ModelEvaluated(round=number):
                said[fields.kind, number] += 1
            case JobFinished():
                outcome, model = "finished", body.model_digest.hex()
                said["end", ""] += 1
            case JobAborted():
                outcome, reason = "aborted", body.reason
                missing |= set(body.missing) | (invited & set(WORD.findall(body.reason)))
                said["end", ""] += 1
            case JobProposed():
                invited |= set(body.parties)
                said[fields.kind, ""] += 1
            case _:
                said[fields.kind, fields.author] += 1
    doubled = sum(count - 1 for count in said.values())
    return Course(tuple(rounds), model, outcome, reason, frozenset(missing), doubled)


def _chain(name: str, home: Home, verify: bool, trouble: list[str]) -> tuple[ChainedEntry, ...]:
    try:
        store = home.stored()
        try:
            if verify:
                verify_store(store, fingerprint=bytes.fromhex(home.config().federation.charter))
            return tuple(store.read())
        finally:
            store.close()
    except LedgerError as error:
        trouble.append(f"{name}: {error}")
        return ()


def _authored(entry: ChainedEntry) -> Authored:
    fields = read_entry(entry.signed)
    return fields.author, fields.author_seq


def _digest(frame: bytes) -> bytes:
    """Return what the recipient's journal will call this message."""
    try:
        (signed, _), _ = unpack_frame(ENVELOPE, (bytes, bytes), frame)
    except MalformedMessage:
        return b""
    assert isinstance(signed, bytes)
    return hashlib.sha256(signed).digest()
