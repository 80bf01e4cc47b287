"""Who belongs to the federation, who was asked to, and who asks? Read from a home's files, agent or no agent."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from hansa.agents.home import JOURNAL, Home
from hansa.agents.registrar import load_invitations
from hansa.broker import Identity
from hansa.ledger import LedgerStore, Standing, Verifier, read_entry


@dataclass(frozen=True, slots=True)
class Row:
    """One name.

    Attributes:
        status: of a member as the ledger has it; "invited", "waiting" (it asks) or "expired" of others.
        fingerprint: of its keys, 64 hex digits; empty while they are unknown.
        since_ms: when it got its status, milliseconds since 1970 UTC.
        until_ms: when its invitation expires.
    """

    name: str
    organisation: str
    status: str
    fingerprint: str
    since_ms: int | None
    until_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def read_roster(home: Home, unlock: Callable[[Home], Identity]) -> list[Row]:
    """Return members by name, and at the keeper those who are invited after them.

    Args:
        unlock: gives the keys under which the keeper's journal is sealed; called only there.

    Raises:
        ConfigError: the home belongs to no federation. LedgerError: its copy of the ledger can't be read.
    """
    config = home.config()
    federation = config.federation
    with closing(home.stored()) as store:
        verifier = Verifier(bytes.fromhex(federation.charter), federation.id)
        for entry in store.read():
            verifier.accept(entry, signatures=False)  # they were checked when they were written
        rows = list(_members(store, verifier.standing))
    if federation.keeper == config.agent.name and (home.path / JOURNAL).exists():
        with closing(home.journal(unlock(home), read_only=True)) as journal:
            invitations = load_invitations(journal)
        now_ms = int(time.time() * 1000)
        for each in invitations:
            if each.status in ("open", "waiting"):
                status = "expired" if now_ms >= each.expires_ms else "invited"
                asks = each.applicant
                if asks is None:
                    rows.append(Row(each.member, "", status, "", None, each.expires_ms))
                else:
                    status = status if status == "expired" else "waiting"
                    print_, since = asks.public.fingerprint, asks.since_ms
                    rows.append(Row(each.member, asks.organisation, status, print_, since, each.expires_ms))
    return rows


def _members(store: LedgerStore, standing: Standing) -> Iterator[Row]:
    for name, member in sorted(standing.members.items()):
        entry = next(store.read(member.status_at, member.status_at + 1))
        since_ms = read_entry(entry.signed).time_ms
        yield Row(name, member.organisation, member.status, member.public.fingerprint, since_ms)
