"""How does it stand with the heads of a copy of the ledger? Who cosigned which, what is final, and since when not.

Read from the database alone: no agent needs to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hansa.agents.core.heads import Place, final_since, place_of, read_head
from hansa.ledger import BadNote, LedgerStore, NotFinal, RuleBroken, Standing, read_entry
from hansa.ledger.checkpoints import Checkpoint, Cosignature
from hansa.ledger.finality import check_final


@dataclass(frozen=True, slots=True)
class HeadLine:
    """One signed head.

    Attributes:
        cosigned: whose names stand under it.
        needed: how many make it final.
        waiting: the witnesses whose names do not.
        final_s: since when it is final, UTC seconds by the cosigners' clocks; None: it is not.
        place: where it stands to our copy.
    """

    checkpoint: Checkpoint
    cosigned: tuple[Cosignature, ...]
    needed: int
    waiting: tuple[str, ...]
    final_s: int | None
    place: Place

    @property
    def lacks(self) -> str:
        """What it lacks to be final, in words."""
        if self.place != "held":
            return {
                "contradicts": "NOT IN OUR COPY",
                "superseded": "another keeper has taken over before",
                "beyond": "of entries that our copy does not have yet",
            }[self.place]
        known = len(self.cosigned) + len(self.waiting)
        if known < self.needed:
            members = "member" if known == 1 else "members"
            return f"{len(self.cosigned)} of {self.needed} names, of {known} {members} beside the keeper"
        return f"{len(self.cosigned)} of {self.needed} names, waiting for {', '.join(self.waiting)}"


def head_lines(store: LedgerStore, standing: Standing, newest_first: bool = False) -> Iterator[HeadLine]:
    """Yield the signed heads that a copy holds, by size; notes that are not sound are left out.

    Args:
        standing: what the copy amounts to.
    """
    tree = store.tree()
    for note in store.checkpoints(newest_first=newest_first):
        try:
            head = read_head(note, standing)
        except (BadNote, RuleBroken):  # the latter: of no entries at all
            continue
        checkpoint, roster = head.checkpoint, standing.roster_at(head.checkpoint.size)
        place = place_of(checkpoint, standing, tree)
        succession = checkpoint.epoch > roster.epoch
        final_s = None
        if place == "held":
            try:
                check_final(standing, head.note)
                final_s = final_since(roster, checkpoint, head.note)
            except NotFinal:
                pass
        named = {each.member for each in head.cosigned}
        yield HeadLine(
            checkpoint,
            head.cosigned,
            roster.needed_to_succeed if succession else roster.needed,
            tuple(sorted(roster.witnesses.keys() - named)),
            final_s,
            place,
        )


def newest_heads(store: LedgerStore, standing: Standing) -> tuple[HeadLine | None, HeadLine | None]:
    """Return the newest final head of a copy, and the newest one, if it is another."""
    newest = None
    for line in head_lines(store, standing, newest_first=True):
        if line.place != "held":
            continue
        if line.final_s is not None:
            return line, newest
        newest = newest or line
    return None, newest


def not_final_since(store: LedgerStore, final: HeadLine | None) -> float | None:
    """Return when the oldest entry was written that no final head covers, by its author's clock; None: all are."""
    start = 0 if final is None else final.checkpoint.size
    entry = next(store.read(start, start + 1), None)
    return None if entry is None else read_entry(entry.signed).time_ms / 1000
