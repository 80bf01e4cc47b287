"""What can be wrong with the copy of the ledger, with the clock that it gives away, and with our place in it?"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hansa.agents.care.doctor import Finding, Patient
from hansa.agents.care.doctor_home import restore_remedy, unwritable
from hansa.agents.core.clerk import seen_head
from hansa.agents.errors import JournalError
from hansa.agents.home import JOURNAL
from hansa.ledger import (
    BadEntry,
    Head,
    LedgerError,
    LedgerStore,
    StoreMissing,
    Verifier,
    missing_guards,
    server_clock,
)

SKEW_S = 300.0  # the others refuse what is further ahead
QUICK_S = 3.0  # a longer ledger is for `hansa ledger verify`


def ledger(patient: Patient) -> Iterator[Finding]:
    """Open the copy; look at its guards; follow its hashes and rules up to the head that we have seen."""
    assert patient.config is not None  # needed
    try:
        store = patient.home.stored()
    except StoreMissing as error:
        yield Finding("ledger", "wrong", str(error), restore_remedy(patient))
        return
    except LedgerError as error:
        yield Finding("ledger", "wrong", str(error), "see that the database runs, and [ledger] in agent.toml")
        return
    with closing(store):
        try:
            yield from _look_into(patient, store)
        except BadEntry as error:
            yield Finding("ledger", "wrong", f"{store.address}: {error}", _FORGED)
        except LedgerError as error:
            yield Finding("ledger", "wrong", str(error), "see that the database runs, and is whole")


_FORGED = "somebody has been at it: keep it as evidence, tell the others; restore a backup: hansa restore"


def _look_into(patient: Patient, store: LedgerStore) -> Iterator[Finding]:
    assert patient.config is not None  # needed
    if store.address.startswith("sqlite:///"):
        yield from unwritable("ledger", Path(store.address.removeprefix("sqlite:///")))
    missing = missing_guards(store)
    if missing:
        yield Finding(
            "ledger",
            "wrong",
            f"{store.address}: entries are no longer guarded: trigger {', '.join(missing)} missing",
            "hansa ledger verify; then move the ledger to a database whose triggers stand: hansa backup, restore",
        )
    server_s = server_clock(store)
    patient.server_s = None if server_s is None else server_s - patient.clock()
    seen = _seen(patient)
    federation = patient.config.federation
    verifier = Verifier(bytes.fromhex(federation.charter), federation.id)
    began = time.monotonic()
    for entry in store.read():
        fields = verifier.accept(entry, signatures=False)
        patient.newest_s = max(patient.newest_s or 0.0, fields.time_ms / 1000)
        if seen is not None and verifier.head.size == seen.size and verifier.head != seen:
            raise BadEntry(entry.index, f"this agent has seen another one here, {seen.hash.hex()[:16]}")
        if time.monotonic() - began > QUICK_S:
            note = f"the first {verifier.head.size} entries are sound; the rest takes longer"
            yield Finding("ledger", "note", note, f"hansa ledger verify {patient.home.path}")
            return
    patient.standing = verifier.standing
    if seen is not None and verifier.head.size < seen.size:
        raise BadEntry(
            verifier.head.size,
            f"missing: this agent has seen {seen.size} entries, {verifier.head.size} are left",
        )
    if not missing:
        yield Finding("ledger", "ok", f"{store.address}: {verifier.head}")


def _seen(patient: Patient) -> Head | None:
    if patient.identity is None or not (patient.home.path / JOURNAL).exists():
        return None
    try:
        with closing(patient.home.journal(patient.identity, read_only=True)) as journal:
            return seen_head(journal)
    except JournalError:  # told where the journal was looked at
        return None


def clock(patient: Patient) -> Iterator[Finding]:
    """Hold our clock against the ledger's newest entry and the database server's."""
    remedy = "set this machine's clock (NTP); others refuse messages of a clock that is minutes off"
    wrong = False
    for what, ahead_s in (
        ("the ledger's newest entry", (patient.newest_s or 0.0) - patient.clock()),
        ("the database server's clock", patient.server_s or 0.0),
    ):
        late = abs(ahead_s) if what.startswith("the database") else ahead_s
        if late > SKEW_S:
            wrong = True
            side = "ahead of" if ahead_s > 0 else "behind"
            yield Finding(
                "clock", "wrong", f"{what} is {_span(abs(ahead_s))} {side} this machine's clock", remedy
            )
    if not wrong:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(patient.clock())))


def membership(patient: Patient) -> Iterator[Finding]:
    """Look what the ledger says of us."""
    assert patient.identity is not None  # needed
    name = patient.identity.name
    if patient.standing is None:
        yield Finding("membership", "unchecked", "not checked: needs ledger")
        return
    member = patient.standing.members.get(name)
    if member is None:
        yield Finding("membership", "note", f"our copy does not show {name} as a member yet")
    elif member.status != "active":
        said = "has left" if member.status == "left" else f"is {member.status}"
        remedy = "ask the keeper: hansa federation reinstate, or a new invitation"
        yield Finding("membership", "wrong", f"{name} {said}: the others refuse what it says", remedy)
    elif member.public != patient.identity.public:
        text = f"the ledger knows other keys of {name}: {member.public.short_fingerprint}"
        remedy = "put the newest keys back, from a backup made after they were replaced"
        yield Finding("membership", "wrong", text, remedy)
    else:
        yield Finding("membership", "ok", f"{name} is an active member")


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
