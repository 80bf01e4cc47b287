"""Processes that write to one ledger, for the tests to race and to kill: `python -m tests.ledger.writers …`."""

import sys
from pathlib import Path

from hansa.broker.identity import Identity
from hansa.ledger import ChainedEntry, Keeper, LedgerStore, ModelUsed, sign_entry
from tests.ledger.town import FEDERATION, NOW_S


def write(keeper: Path, author: Path, count: int, batch: int) -> None:
    """Keep a ledger and chain so many entries of one author, saying each number once it is on the disk.

    The ledger's address comes in by standard input: it may hold a password.
    """
    store = LedgerStore.open(sys.stdin.readline().strip(), create=False)
    keeping = Keeper(Identity.load(keeper), FEDERATION, store)
    identity = Identity.load(author)
    print("ready", flush=True)
    sys.stdin.readline()  # all at once
    first = keeping.standing.next_author_seq(identity.name)
    for start in range(first, first + count, batch):
        entries = [
            sign_entry(
                identity, federation=FEDERATION, author_seq=number, body=ModelUsed("herring", 1), time_ms=0
            )
            for number in range(start, start + batch)
        ]
        for entry, outcome in zip(entries, keeping.append(entries, NOW_S), strict=True):
            assert isinstance(outcome, ChainedEntry), outcome
            assert (outcome.signed, outcome.signature) == (entry.signed, entry.signature)
        print(start + batch, flush=True)


if __name__ == "__main__":
    keeper, author, count, batch = sys.argv[1:]
    write(Path(keeper), Path(author), int(count), int(batch))
