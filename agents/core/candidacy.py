"""How far has a member come that wants to keep the ledger? One round after the other, each in an epoch of its own.

    asking       what do you hold beyond my head? until enough witnesses have answered, and it is ours too
    proposing    the head at which I take over, in the new epoch: until enough have put their names to it
    taking over  an entry that carries these names is signed in one step, and chained in the next

What a round is about is journalled with the messages that it leads to, so a candidate that is killed goes on.
"""

from dataclasses import dataclass, field
from typing import Any

from hansa.agents.core.journal import Changes, Journal, pack_row, unpack_row

SPACE = "takeover"
_KEY = b"candidacy"


@dataclass(slots=True)
class Candidacy:
    """An attempt of ours to keep the ledger.

    Attributes:
        epoch: in which we would keep it; another in every round.
        since_ms: when the first round began, UTC milliseconds since 1970.
        reason: for people.
        held: how many entries each witness has said that it holds, in this round.
        note: the head we propose, with the names under it so far; empty while we ask.
        number: our own of the entry that says we take over; -1 while there is none.
        undecided: why witnesses have not agreed, and what a person there may type.
        refused: why witnesses will not agree in this round.
    """

    epoch: int
    since_ms: int
    reason: str
    held: dict[str, int] = field(default_factory=dict)
    note: bytes = b""
    number: int = -1
    undecided: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def begin_round(self, epoch: int) -> None:
        """Begin anew in a later epoch."""
        self.epoch = epoch
        self.held, self.undecided, self.refused = {}, {}, {}
        self.note, self.number = b"", -1

    def save(self, changes: Changes) -> None:
        """Journal it with this step."""
        row = pack_row(
            self.epoch,
            self.since_ms,
            self.reason,
            _pairs(self.held),
            self.note,
            self.number,
            _pairs(self.undecided),
            _pairs(self.refused),
        )
        changes.put(SPACE, _KEY, row)


def drop(changes: Changes) -> None:
    """Forget our candidacy with this step."""
    changes.drop(SPACE, _KEY)


def load(journal: Journal) -> Candidacy | None:
    """Return our candidacy as journalled, or None."""
    row = journal.load(SPACE).get(_KEY)
    if row is None:
        return None
    epoch, since_ms, reason, held, note, number, undecided, refused = unpack_row(row)
    return Candidacy(epoch, since_ms, reason, dict(held), note, number, dict(undecided), dict(refused))


def _pairs(values: dict[str, Any]) -> list[Any]:
    return [[name, value] for name, value in sorted(values.items())]
