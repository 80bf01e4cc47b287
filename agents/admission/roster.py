"""Who belongs to the federation, who was asked to, and who asks? Read from a home's files, agent or no agent."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from hansa.agents.admission.registrar import load_invitations
from hansa.agents.home import JOURNAL, Home
from hansa.broker import Identity
from hansa.ledger import ChainedEntry, Member, Standing, Verifier, read_entry


@dataclass(frozen=True, slots=True)
class Row:
    """One name.

    Attributes:
        status: of a member as the ledger has it; "invited", "waiting" (it asks) or "expired" of others.
        fingerprint: of its keys, 64 hex digits; empty while they are unknown.
        since_ms: since when it is a member, or suspended, or has left: milliseconds since 1970 UTC. A suspension
            that is over does not make it a newer member.
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


@dataclass(frozen=True, slots=True)
class Roster:
    """All names, and how far the copy of the ledger goes that they were read from.

    Attributes:
        entries: how many it has; those that the keeper chained since are not seen.
        keeper: who keeps the ledger as of then.
    """

    rows: list[Row]
    entries: int
    keeper: str


def read_roster(home: Home, unlock: Callable[[Home], Identity]) -> Roster:
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
        history = _Since({}, {})
        for entry in store.read():
            verifier.accept(entry, signatures=False)  # they were checked when they were written
            history.note(verifier.standing, entry)
        rows = list(_members(verifier.standing, history))
        entries = verifier.head.size
    keeper = verifier.standing.keeper.name if verifier.standing.founded else federation.keeper
    if keeper == config.agent.name and (home.path / JOURNAL).exists():
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
    return Roster(rows, entries, keeper)


@dataclass(frozen=True, slots=True)
class _Since:
    """When did each name come to its status?

    Attributes:
        times: milliseconds since 1970 UTC, by name and status.
        seen: each member as it was when its status last changed.
    """

    times: dict[tuple[str, str], int]
    seen: dict[str, Member]

    def note(self, now: Standing, entry: ChainedEntry) -> None:
        """Take in what the newest entry has changed."""
        for name, member in now.members.items():
            if member.status_at != entry.index:
                continue
            before = self.seen.get(name)
            # With the keys it had it was reinstated; with others it has joined anew.
            again = before is not None and before.status == "suspended" and before.public == member.public
            if member.status != "active" or not again:
                self.times[name, member.status] = read_entry(entry.signed).time_ms
            self.seen[name] = member


def _members(standing: Standing, since: _Since) -> Iterator[Row]:
    for name, member in sorted(standing.members.items()):
        since_ms = since.times[name, member.status]
        yield Row(name, member.organisation, member.status, member.public.fingerprint, since_ms)
