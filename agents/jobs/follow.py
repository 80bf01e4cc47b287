"""What has the ledger gained? A home's own copy, read while its agent may be writing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hansa.agents.home import Home
from hansa.ledger import Body, LedgerStore, Standing, UnknownBody, Verifier, decode_body, read_entry


@dataclass(frozen=True, slots=True)
class Told:
    """One entry: who says what, and when (UTC seconds, by the author's clock)."""

    author: str
    time_s: float
    body: Body | UnknownBody


class LedgerView:
    """A copy of the ledger, as far as it has been read.

    Every entry's hash and the rules are checked on the way, its signatures are not: the agent has done that before
    it stored the entry, and `hansa ledger verify` does it again.
    """

    def __init__(self, store: LedgerStore, fingerprint: bytes) -> None:
        self._store = store
        self._verifier = Verifier(fingerprint)

    @property
    def standing(self) -> Standing:
        """Members, jobs and data sets as of what has been read; to be read only."""
        return self._verifier.standing

    def news(self) -> Iterator[Told]:
        """Yield what has been chained since the last call.

        Raises:
            LedgerError: the database failed, or an entry is not what its place in the chain asks for.
        """
        for entry in self._store.read(self._verifier.head.size):
            self._verifier.accept(entry, signatures=False)
            fields = read_entry(entry.signed)
            yield Told(
                fields.author, fields.time_ms / 1000, decode_body(fields.kind, fields.schema, fields.body)
            )


@contextmanager
def follow(home: Home) -> Iterator[LedgerView]:
    """Open a home's copy of the ledger for reading; nothing is made or written.

    Raises:
        ConfigError: the home's agent belongs to no federation yet.
        LedgerError: the copy is missing or unusable.
    """
    fingerprint = bytes.fromhex(home.config().federation.charter)
    store = home.stored()
    try:
        yield LedgerView(store, fingerprint)
    finally:
        store.close()


def read_standing(home: Home) -> Standing:
    """Return members, jobs and data sets as a home's copy of the ledger shows them; errors as `follow`."""
    with follow(home) as view:
        for _ in view.news():
            pass
        return view.standing
