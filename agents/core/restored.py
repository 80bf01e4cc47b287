"""What does an agent do that was restored from a backup? It is an older self, and others know a newer one.

Once, before anything else (`renew`): it begins a new incarnation, so that its streams start anew; its numbers on
the ledger jump to the time of the restoration, past all that its former self can have used, since nobody may sign
two things under one number; and what was on its way is dropped, for its former self has sent it, or it is of a job
that is left now.

Then it leaves the jobs that were open (`REASON`), catches up with the ledger, and ends what its former self began
after the backup. Peers drop what they held of its earlier incarnation; gaps in their streams to it, which nobody
can fill, it passes over (`hansa.broker.inbox`).

The keeper of the ledger chains nothing before it holds what its members hold (`CatchingUp`): else it would sign a
second history. Its own receipts prove what it takes back from them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hansa.agents.core.journal import RESTORED, Changes, Journal, unpack_row
from hansa.ledger import Standing
from hansa.ledger.standing import Member

REASON = "restored from a backup"
PATIENCE_S = 600.0  # then a keeper goes on without those who do not answer, if most others have
# On its way when the backup was made, or at work for a job that is left now.
DROPPED = ("outbox", "transfer", "sequence", "offer", "role", "task", "held", "chunk")


@dataclass(frozen=True, slots=True)
class Restoration:
    """When an agent was restored.

    Attributes:
        at_ms: UTC milliseconds since 1970.
        without: members that a keeper does not wait for.
        left: whether the jobs of the backup are left.
        settled: whether the agent has caught up with the ledger.
    """

    at_ms: int
    without: tuple[str, ...]
    left: bool
    settled: bool

    def note_left(self, changes: Changes) -> None:
        """Put it on record that the jobs of the backup are left."""
        changes.put("meta", b"left", self.at_ms.to_bytes(8))

    def note_settled(self, changes: Changes) -> None:
        """Put it on record that the agent has caught up."""
        changes.put("meta", b"settled", self.at_ms.to_bytes(8))


def restoration(journal: Journal) -> Restoration | None:
    """Return when a journal was restored from a backup, last; None: never."""
    meta = journal.load("meta")
    row = meta.get(RESTORED[1])
    if row is None:
        return None
    at_ms, without = unpack_row(row)
    noted = at_ms.to_bytes(8)
    return Restoration(at_ms, tuple(without), meta.get(b"left") == noted, meta.get(b"settled") == noted)


def renew(journal: Journal) -> Restoration | None:
    """Begin a new life, if the journal was restored and that was not done yet; to be called before it is read.

    Raises:
        JournalError: it can't be written; nothing has changed.
    """
    found = restoration(journal)
    meta = journal.load("meta")
    if found is None or meta.get(b"renewed") == found.at_ms.to_bytes(8):
        return found
    changes = Changes()
    incarnation = max(found.at_ms, int.from_bytes(meta.get(b"incarnation", b"")) + 1)
    author_seq = max(found.at_ms, int.from_bytes(meta.get(b"author-seq", b"")))
    changes.put("meta", b"incarnation", incarnation.to_bytes(8))
    changes.put("meta", b"author-seq", author_seq.to_bytes(8))
    changes.put("meta", b"renewed", found.at_ms.to_bytes(8))
    for space in DROPPED:
        for key in journal.load(space):
            changes.drop(space, key)
    for space in ("machine", "timer"):
        for key in journal.load(space):
            if unpack_row(key)[1] == "role":
                changes.drop(space, key)
    journal.commit(changes)
    return found


@dataclass(slots=True)
class CatchingUp:
    """Whom a restored keeper has asked what they hold of the ledger, and who has answered.

    Args:
        me: the keeper.
        since_s: when it began to ask, UTC seconds.
        without: members it does not wait for.
    """

    me: str
    since_s: float
    without: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    def to_ask(self, standing: Standing) -> list[str]:
        """Return the members to be asked now, which counts as done; new ones may come to light meanwhile."""
        fresh = sorted(self._others(standing.members) - self.asked)
        self.asked.update(fresh)
        return fresh

    def silent(self, standing: Standing) -> tuple[str, ...]:
        """Return who is waited for."""
        return tuple(sorted(self._others(standing.members) - self.answered - self.without))

    def over(self, standing: Standing, now_s: float) -> bool:
        """Whether the keeper may go on."""
        silent = self.silent(standing)
        others = self._others(standing.members) - self.without
        most = 2 * len(others & self.answered) > len(others)
        return not silent or (most and now_s >= self.since_s + PATIENCE_S)

    def go_without(self, names: Iterable[str]) -> None:
        """Wait for these no longer."""
        self.without.update(names)

    def _others(self, members: Mapping[str, Member]) -> set[str]:
        return {name for name, each in members.items() if each.status == "active" and name != self.me}
