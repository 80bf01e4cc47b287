"""Does a federation's whole record hold? Everything in an exported ledger is recomputed, with nothing else at hand.

Every hash, author's signature, receipt and rule, the Merkle tree's root under each checkpoint, the keeper's and the
members' signatures under it, each change of keepers and each piece of evidence. After the first entry that is bad
nothing counts; what stands before it is reported.

Entries are followed in this process, since the rules need one after another; signatures are checked meanwhile on
all cores, a little behind. Should one be wrong, what came after it has been followed in vain: the entries before it
are followed once more. A file is read twice, and little of it held: what there is of members, jobs and data sets.

What no file can show: whether newer entries exist, and, without a charter's fingerprint from elsewhere, whose
ledger it is.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hansa.ledger.chain import ChainedEntry, Verifier, receipt_bytes
from hansa.ledger.errors import BadEntry, BadExport
from hansa.ledger.export import EvidenceFrame, Frame, NoteFrame, Survey, read_frames
from hansa.ledger.findings import Found, findings
from hansa.ledger.heads import Heads
from hansa.ledger.membership import KeeperChanged
from hansa.ledger.notes import Note
from hansa.ledger.report import AuditReport, Finding
from hansa.ledger.signatures import SignaturePool
from hansa.ledger.tally import MOST_POINTS, MOST_TICKS, Tally
from hansa.ledger.testimony import weigh

__all__ = ["MOST_POINTS", "MOST_TICKS", "Progress", "audit"]

Progress = Callable[[int, int], None]
"""Called with (entries followed, entries in all) now and then, and at the end."""

PROGRESS_ENTRIES = 256


def audit(
    path: Path,
    *,
    charter: bytes | None = None,
    at_least: Note | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    now_s: float | None = None,
) -> AuditReport:
    """Audit an exported ledger, whatever bytes it has.

    Args:
        charter: (32,) the federation's fingerprint, as the auditor has it from elsewhere; None takes the file's.
        at_least: a signed head that the auditor has from elsewhere: the ledger must contain it.
        progress: told how far it is.
        workers: processes that check signatures; None: one for each core.
        now_s: seconds since 1970 UTC; None: this machine's clock.

    Raises:
        BadNote: `at_least` is no checkpoint.
        OSError: the file can't be read.
    """
    with path.open("rb") as file, path.open("rb") as notes:
        survey, problem = _survey(file)
        replay = _Replay(survey, charter, at_least)
        with SignaturePool(workers) as pool:
            replay.follow(file, notes, pool, progress)
            first_wrong = pool.settle()
        if first_wrong is not None:
            replay = replay.again()
            replay.follow(file, notes, None, None, stop=first_wrong // 2)
            replay.bad = _wrong_signature(first_wrong)
        beyond = replay.heads.finish()
        weighed = tuple(weigh(_evidence(file, survey), replay.verifier.standing))
    return _report(
        path,
        Found(
            survey=survey,
            problem=problem or replay.problem,
            bad=replay.bad,
            standing=replay.verifier.standing,
            heads=replay.heads,
            beyond=beyond,
            seen=at_least is not None,
            pinned=charter is not None,
            evidence=weighed,
            now_s=time.time() if now_s is None else now_s,
        ),
        replay,
    )


class _Replay:
    """Follows a file's entries, and the checkpoints beside them, up to the first that is bad."""

    def __init__(self, survey: Survey, charter: bytes | None, at_least: Note | None) -> None:
        self.verifier = Verifier(charter)
        self.tally = Tally()
        self.heads = Heads(iter(()), at_least)
        self.bad: Finding | None = None
        self.problem = ""
        self._given = (survey, charter, at_least)

    def again(self) -> "_Replay":
        """Return one that has followed nothing yet."""
        return _Replay(*self._given)

    def follow(
        self,
        file: BinaryIO,
        notes: BinaryIO,
        pool: SignaturePool | None,
        progress: Progress | None,
        stop: int | None = None,
    ) -> None:
        """Follow entries up to `stop`, or the first bad one; signatures go to the pool, if there is one."""
        survey, _, at_least = self._given
        self.heads = Heads(_notes(notes, survey), at_least)
        try:
            for entry in _entries(file):
                if entry.index == stop or (pool is not None and pool.first_wrong is not None):
                    break
                self._follow(entry, pool)
                if progress is not None and (entry.index + 1) % PROGRESS_ENTRIES == 0:
                    progress(entry.index + 1, survey.counts["entry"])
        except BadEntry as error:
            self.bad = Finding("entries" if error.index else "charter", False, error.reason, error.index)
        except BadExport as error:
            self.problem = str(error)
        if progress is not None:
            progress(self.verifier.head.size, survey.counts["entry"])

    def _follow(self, entry: ChainedEntry, pool: SignaturePool | None) -> None:
        verifier = self.verifier
        fields, body = verifier.look(entry, signatures=False)
        if pool is not None:
            author, keeper = verifier.author_key(fields, body), verifier.receipt_key(fields, body)
            receipt = receipt_bytes(fields.federation, verifier.receipt_epoch(body), entry.index, entry.hash)
            pool.check(2 * entry.index, author.verify_key, entry.signature, entry.signed)
            pool.check(2 * entry.index + 1, keeper.verify_key, entry.receipt, receipt)
        if isinstance(body, KeeperChanged):
            self.heads.certified(body.certificate, verifier.standing)
        verifier.extend(entry, fields, body)
        self.tally.take(entry.index, fields, body)
        self.heads.reach(verifier.standing)


def _wrong_signature(number: int) -> Finding:
    index, receipt = divmod(number, 2)
    if receipt:
        return Finding("receipts", False, "its receipt is not signed by the keeper of its time", index)
    return Finding("signatures", False, "its signature is not its author's", index)


def _survey(file: BinaryIO) -> tuple[Survey, str]:
    """Return what a file is made of, and what is wrong with it as a file; "" if nothing is."""
    survey = Survey()
    try:
        for framed in read_frames(file):
            survey.take(framed)
        survey.check_whole()
    except BadExport as error:
        return survey, str(error)
    return survey, ""


def _entries(file: BinaryIO) -> Iterator[ChainedEntry]:
    for framed in read_frames(file):
        if framed.kind != "entry":
            return
        entry = framed.read()
        assert isinstance(entry, ChainedEntry)
        yield entry


def _notes(file: BinaryIO, survey: Survey) -> Iterator[NoteFrame]:
    for _, frame in zip(range(survey.counts["note"]), _from(file, survey, "note"), strict=False):
        assert isinstance(frame, NoteFrame)
        yield frame


def _evidence(file: BinaryIO, survey: Survey) -> Iterator[EvidenceFrame]:
    for _, frame in zip(range(survey.counts["evidence"]), _from(file, survey, "evidence"), strict=False):
        assert isinstance(frame, EvidenceFrame)
        yield frame


def _from(file: BinaryIO, survey: Survey, kind: str) -> Iterator[Frame]:
    """Yield frames from the first of a kind on; the survey has read them all, so that none is bad now."""
    start = survey.starts.get(kind)
    if start is not None:
        for framed in read_frames(file, start):
            yield framed.read()


def _report(path: Path, found: Found, replay: _Replay) -> AuditReport:
    standing, tally = found.standing, replay.tally
    charter = standing.charter if standing.founded else None
    newest = found.heads.newest
    return AuditReport(
        source=path.name,
        federation=charter.federation if charter else "",
        purpose=charter.purpose if charter else "",
        fingerprint=standing.head_checkpoint().fingerprint.hex() if charter else "",
        pinned=found.pinned,
        size=standing.tree.size,
        root=standing.tree.root.hex(),
        head=replay.verifier.head.hash.hex(),
        epoch=standing.epoch,
        keeper=standing.keeper.name if charter else "",
        final_size=newest.checkpoint.size if newest else 0,
        first_ms=tally.first_ms,
        last_ms=tally.last_ms,
        findings=findings(found),
        members=tally.members(standing),
        jobs=tally.jobs(standing),
        checkpoints=found.heads.lines,
        timeline=tally.timeline(),
        payouts=tally.payouts(standing),
    )
