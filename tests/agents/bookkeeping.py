"""Entries written into a stopped federation's ledger by hand: what its jobs would have said there."""

import time
from pathlib import Path

from hansa.agents.home import Home
from hansa.ledger import Body, ChainedEntry, Keeper, sign_entry


def write_down(folder: Path, keeper: str, *said: tuple[str, Body]) -> None:
    """Chain what these authors say, in order, in the keeper's copy; fail the test if a rule forbids it."""
    home = Home(folder / keeper)
    store = home.store()
    try:
        books = Keeper(home.identity(), home.config().federation.id, store)
        for author, body in said:
            entry = sign_entry(
                Home(folder / author).identity(),
                federation=home.config().federation.id,
                author_seq=books.standing.next_author_seq(author),
                body=body,
                time_ms=time.time_ns() // 1_000_000,
            )
            [outcome] = books.append([entry], time.time())
            assert isinstance(outcome, ChainedEntry), outcome
    finally:
        store.close()
