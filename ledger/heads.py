"""Do the signed heads of a ledger belong to its entries, and who put their names to them?

Shown each size of a ledger as its entries go by, and the checkpoints in the order of their sizes, so that neither
has to be kept. Of a size, three kinds of heads may lie there:

    of the epoch that was kept then     its keeper's signature and the root must be right, and each cosignature
    of a later one                      a member offered to take over there; likewise under its own name
    of an earlier one                   its keeper went on after another took over; no such head may be final
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hansa.ledger.checkpoints import Checkpoint, Cosignature, read_checkpoint
from hansa.ledger.errors import BadNote, NotFinal
from hansa.ledger.export import NoteFrame
from hansa.ledger.notes import Note, read_note
from hansa.ledger.report import CheckpointLine
from hansa.ledger.roster import Roster
from hansa.ledger.standing import Standing
from hansa.ledger.tally import Thinned

MOST_LINES = 2_000  # of checkpoints in a report, evenly thinned; bad ones are told apart
MOST_PROBLEMS = 20  # told in full

_NEVER = 2**63  # a size that no ledger comes to


@dataclass(frozen=True, slots=True)
class Judged:
    """One head.

    Attributes:
        problem: what does not hold, in words; "" if it holds.
        left: of an epoch that had ended: it counts for nothing, and need not.
        forked: rightly signed, and of another history than these entries.
        passed_over: lines under it that are of nobody who counts.
    """

    checkpoint: Checkpoint
    cosigned: tuple[Cosignature, ...]
    needed: int
    problem: str = ""
    left: bool = False
    forked: bool = False
    passed_over: int = 0

    @property
    def line(self) -> CheckpointLine:
        """The head as a report shows it."""
        return CheckpointLine(
            size=self.checkpoint.size,
            epoch=self.checkpoint.epoch,
            keeper=self.checkpoint.keeper,
            root=self.checkpoint.root.hex(),
            cosigners={each.member: each.time_s for each in self.cosigned},
            needed=self.needed,
            valid=not (self.problem or self.left or self.forked),
        )


def judge(note: Note, standing: Standing) -> Judged:
    """Say whether a head holds.

    Args:
        standing: as of exactly its size, which is 1 or more.

    Raises:
        BadNote: no checkpoint at all.
    """
    checkpoint = read_checkpoint(note.text)
    roster = standing.roster
    if checkpoint.origin != roster.origin:
        return _wrong(checkpoint, roster, f"it is of {checkpoint.origin}, another ledger")
    try:
        if checkpoint.epoch < roster.epoch:
            return _judge_former(note, checkpoint, standing)
        if checkpoint.epoch > roster.epoch:
            needed = roster.needed_to_succeed
            _check_offer(note, roster)
        else:
            needed = roster.needed
            roster.read(note)
        cosigned = roster.cosignatures(checkpoint, note)
    except BadNote as error:
        return _wrong(checkpoint, roster, str(error))
    if checkpoint.root != standing.tree.root:
        by = ", ".join([checkpoint.keeper, *(each.member for each in cosigned)])
        problem = (
            f"{by} signed the root {checkpoint.root.hex()}; these entries have {standing.tree.root.hex()}:"
            " a head of another history"
        )
        return Judged(checkpoint, cosigned, needed, problem, forked=True)
    return Judged(checkpoint, cosigned, needed, passed_over=len(note.signatures) - 1 - len(cosigned))


def _check_offer(note: Note, roster: Roster) -> None:
    try:
        roster.check_succession(note)
    except NotFinal:
        pass  # offered, and not taken up by enough


def _judge_former(note: Note, checkpoint: Checkpoint, standing: Standing) -> Judged:
    """Judge a head of an epoch that had ended; BadNote if a signature is wrong."""
    roster = standing.roster_of(checkpoint.epoch)
    if roster is None:
        raise BadNote(f"there was no epoch {checkpoint.epoch} of {checkpoint.keeper}")
    roster.read(note)
    cosigned = roster.cosignatures(checkpoint, note)
    if len(cosigned) >= roster.needed and checkpoint.root != standing.tree.root:
        names = ", ".join(each.member for each in cosigned)
        return _wrong(
            checkpoint,
            roster,
            f"it was final, with the names of {names}, and yet its entries were replaced when another keeper"
            " took over",
        )
    return Judged(checkpoint, cosigned, roster.needed, left=True)


def _wrong(checkpoint: Checkpoint, roster: Roster, problem: str) -> Judged:
    return Judged(checkpoint, (), roster.needed, problem)


class Heads:
    """Judges a file's checkpoints, and one that the auditor brought along, as the ledger's sizes go by.

    Args:
        frames: checkpoints as they lie in the file; it is advanced as far as the sizes have come.
        seen: a head that the auditor has from elsewhere.

    Attributes:
        problems: what does not hold, the first of them in words.
        forks: (epoch, what does not agree) of heads that another history than this one has, the first of them. They
            hold against their keeper, and against the ledger if no other epoch has begun since.
        wrong, right, final, left: how many there are of each.
        passed_over: lines under right ones that are of nobody who counts.
        newest: the final one of the greatest size.
        seen_found: the verdict on `seen`, once its size was reached; "" says that it stands in this ledger.
    """

    def __init__(self, frames: Iterator[NoteFrame], seen: Note | None = None) -> None:
        self.problems: list[str] = []
        self.forks: list[tuple[int, str]] = []
        self.wrong = self.right = self.final = self.left = self.passed_over = 0
        self.newest: Judged | None = None
        self.seen_found: str | None = None
        self._frames = frames
        self._seen = seen
        self._seen_size = _NEVER if seen is None else read_checkpoint(seen.text).size
        self._lines: Thinned[CheckpointLine] = Thinned(MOST_LINES)
        self._wrong_lines: list[CheckpointLine] = []
        self._order: tuple[int, int, str] = (-1, 0, "")
        self._number = -1
        self._next: Note | None = None
        self._next_size = _NEVER
        self._advance()

    @property
    def lines(self) -> tuple[CheckpointLine, ...]:
        """All that were judged, thinned, with the first that are wrong."""
        both = (*self._lines.all(), *self._wrong_lines)
        return tuple(sorted(both, key=lambda line: (line.size, line.epoch)))

    def reach(self, standing: Standing) -> None:
        """Judge what is of this size; to be called at every size from 1 on."""
        size = standing.tree.size
        while self._next_size <= size:
            assert self._next is not None
            if self._next_size < size:  # only of the empty ledger: all else comes in order
                self._problem(f"checkpoint {self._number}: a head of a ledger without entries")
            else:
                self._take(judge(self._next, standing))
            self._advance()
        if self._seen_size == size and self._seen is not None:
            judged = judge(self._seen, standing)
            replaced = "its keeper signed it after another had taken over, and its entries were replaced"
            self.seen_found = judged.problem or (replaced if judged.left else "")

    def certified(self, certificate: bytes, standing: Standing) -> None:
        """Take in the head at which another keeper takes over, which is final by the names under it.

        Args:
            standing: as of that head; the rules have found the certificate right.
        """
        self.newest = judge(read_note(certificate), standing)

    def finish(self) -> int:
        """Return how many are of more entries than there are."""
        beyond = 0
        while self._next is not None:
            beyond += 1
            self._advance()
        return beyond

    def _take(self, judged: Judged) -> None:
        if judged.problem:
            text = f"the head of {judged.checkpoint}: {judged.problem}"
            if judged.forked and len(judged.cosigned) < judged.needed:
                self._fork(judged.checkpoint.epoch, text)
            else:
                self._problem(text)
            if len(self._wrong_lines) < MOST_PROBLEMS:
                self._wrong_lines.append(judged.line)
            return
        self._lines.add(judged.line)
        if judged.left:
            self.left += 1
            return
        self.right += 1
        self.passed_over += judged.passed_over
        if judged.line.final:
            self.final += 1
            self.newest = judged

    def _fork(self, epoch: int, text: str) -> None:
        if len(self.forks) < MOST_PROBLEMS:
            self.forks.append((epoch, text))
        else:  # one of the newest epoch is always among them
            self.forks[-1] = max(self.forks[-1], (epoch, text))

    def _problem(self, text: str) -> None:
        self.wrong += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)

    def _advance(self) -> None:
        """Go on to the next one that is a checkpoint and in its order."""
        self._next, self._next_size = None, _NEVER
        for frame in self._frames:
            self._number += 1
            try:
                note = read_note(frame.encoded)
                checkpoint = read_checkpoint(note.text)
            except BadNote as error:
                self._problem(f"checkpoint {self._number}: {error}")
                continue
            order = (checkpoint.size, checkpoint.epoch, note.text)
            if order <= self._order:
                self._problem(f"checkpoint {self._number}: twice, or not in the order of sizes and epochs")
                continue
            self._order = order
            self._next, self._next_size = note, checkpoint.size
            return
