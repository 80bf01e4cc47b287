"""A process that writes to ledgers while its system calls are made to fail: `python -m tests.ledger.faulty PLAN`.

It imports once, and forks for each ledger that a line of standard input names. The child stops and is named; once
somebody has attached a tracer to it and lets it go on, it writes what the plan, a whole ledger, has more. What is
written for certain it says line by line, by `writev`, which the tracer leaves alone.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial

from hansa.ledger import ChainedEntry, HeadMoved, LedgerStore, Note, StoreError

ATTEMPTS = 3
TRACED_BY_ANYBODY = (0x59616D61, ctypes.c_ulong(-1))  # PR_SET_PTRACER, where Yama asks for leave


def say(words: str) -> None:
    """Write a line at once."""
    os.writev(sys.stdout.fileno(), [f"{words}\n".encode()])


def insist(write: Callable[[], object], words: str) -> None:
    """Try again what the disk refused, and say it when it is done."""
    for _ in range(ATTEMPTS):
        try:
            write()
        except StoreError:
            continue
        say(words)
        return
    say(f"gave up {words}")


def append(store: LedgerStore, entries: Sequence[ChainedEntry]) -> None:
    """Append entries, perhaps for the second time: the disk may have kept what it would not confirm."""
    try:
        store.append(entries)
    except HeadMoved:
        if store.head() != entries[-1].head:
            raise


def write(path: str, entries: Sequence[ChainedEntry], notes: Sequence[Note]) -> None:
    """Write everything: entries, one or two at a time, then name after name under the checkpoints."""
    stores: list[LedgerStore] = []
    insist(lambda: stores.append(LedgerStore.open(path, create=False)), "opened")
    store = stores[0]
    size = store.head().size
    while size < len(entries):
        batch = entries[size : size + 1 + size % 2]
        insist(partial(append, store, batch), f"entries {size + len(batch)}")
        size += len(batch)
    for number, note in enumerate(notes):
        for line in note.signatures:
            insist(partial(store.add_checkpoint, Note(note.text, (line,))), f"name {number} {line.name}")
    store.close()
    say("closed")


def serve(plan: str) -> None:
    """Fork for every line."""
    store = LedgerStore.open_read_only(plan)
    entries, notes = list(store.read()), list(store.checkpoints())
    store.close()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(*TRACED_BY_ANYBODY)
            os.kill(os.getpid(), signal.SIGSTOP)
            write(line.strip(), entries, notes)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        say(str(child))
        _, status = os.waitpid(child, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    serve(sys.argv[1])
