"""What does an audit say in plain words? One finding after another, as the checks were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from hansa.ledger.clock import ago, counted, moment
from hansa.ledger.earnings import MOST_ALIKE, contributions, payouts
from hansa.ledger.export import Survey
from hansa.ledger.heads import Heads
from hansa.ledger.report import Finding, Subject
from hansa.ledger.standing import Standing


@dataclass(frozen=True, slots=True)
class Found:
    """What the checks have brought to light.

    Attributes:
        survey: what the file is made of.
        problem: why it is no whole export; "" if it is.
        bad: the first entry that does not hold, if one doesn't.
        standing: as of the last entry that holds.
        beyond: how many heads are of more entries than hold.
        seen: whether the auditor brought a head along.
        pinned: whether the auditor brought the charter's fingerprint along.
        evidence: what each piece of evidence amounts to.
        now_s: when, seconds since 1970 UTC.
    """

    survey: Survey
    problem: str
    bad: Finding | None
    standing: Standing
    heads: Heads
    beyond: int
    seen: bool
    pinned: bool
    evidence: tuple[Finding, ...]
    now_s: float

    @property
    def size(self) -> int:
        """How many entries hold together."""
        return self.standing.tree.size


def findings(found: Found) -> tuple[Finding, ...]:
    """Return everything that holds, does not, or holds and should be read."""
    return (
        _file(found),
        *_charter(found),
        *_entries(found),
        *_checkpoints(found),
        *_keepers(found),
        *contributions(found.standing),
        *payouts(found.standing),
        *_withdrawals(found),
        *_evidence(found),
    )


def _file(found: Found) -> Finding:
    counts = found.survey.counts
    if found.problem:
        return Finding("file", False, f"The file is not a whole export: {found.problem}.")
    what = (
        f"{counted(counts['entry'], 'entry', 'entries')}, {counted(counts['note'], 'checkpoint', 'checkpoints')},"
        f" {counted(counts['evidence'], 'piece', 'pieces')} of evidence"
    )
    return Finding("file", True, f"The file is whole: {what}.")


def _charter(found: Found) -> Iterator[Finding]:
    if found.bad is not None and found.bad.subject == "charter":
        yield Finding("charter", False, f"The charter, entry 0, does not hold: {found.bad.text}.", 0)
        return
    if not found.standing.founded:
        yield Finding("charter", False, "There is no charter, and so no ledger.")
        return
    charter = found.standing.charter
    fingerprint = found.standing.head_checkpoint().fingerprint.hex()
    who = f"{charter.federation}, founded by {charter.keeper.name}"
    if found.pinned:
        yield Finding(
            "charter", True, f"The charter is the one with the fingerprint that you gave: {who}.", 0
        )
    else:
        yield Finding(
            "charter",
            True,
            f"The charter holds by itself: {who}. But no fingerprint was given, so this may be anybody's ledger:"
            f" have a member tell you the fingerprint, and compare it with {fingerprint}.",
            0,
            concern=True,
        )
    yield Finding(
        "charter",
        True,
        "The keeper let the members in, with the keys whose fingerprints stand in this report: whoever pays by it"
        " compares them with the members themselves, by phone say.",
        concern=True,
    )


def _entries(found: Found) -> Iterator[Finding]:
    size = found.size
    upto = "" if found.bad is None and not found.problem else f" of the first {size:,}"
    sentences: tuple[tuple[Subject, str, str], ...] = (
        (
            "entries",
            f"Each{upto or f' of the {size:,}'} entries has its hash, continues the one before it, and was its"
            " author's to write, then and there.",
            "Entry {index} does not hold: {text}.",
        ),
        (
            "signatures",
            f"Each{upto or f' of the {size:,}'} entries is signed by its author.",
            "Entry {index} is forged: {text}.",
        ),
        (
            "receipts",
            f"Each{upto or f' of the {size:,}'} entries bears the receipt of the keeper of its time.",
            "Entry {index} was not taken in by the keeper: {text}.",
        ),
    )
    for subject, good, wrong in sentences:
        if found.bad is not None and found.bad.subject == subject:
            text = wrong.format(index=found.bad.index, text=found.bad.text)
            rest = found.survey.counts["entry"] - size
            yield Finding(
                subject,
                False,
                f"{text} It and what follows it, {counted(rest, 'entry', 'entries')} in all, count for nothing.",
                found.bad.index,
            )
        elif size:
            yield Finding(subject, True, good)
    if size:
        yield Finding(
            "tree", True, f"The Merkle tree over them has the root {found.standing.tree.root.hex()}."
        )
    unknown = sorted(found.standing.unknown_kinds)
    if unknown:
        yield Finding(
            "entries",
            True,
            "Some entries are of kinds that this version of hansa does not know"
            f" ({', '.join(unknown[:MOST_ALIKE])}): they are signed and in their places, but whether their"
            " authors may write them was not checked.",
            concern=True,
        )


def _checkpoints(found: Found) -> Iterator[Finding]:
    heads = found.heads
    for problem in heads.problems:
        yield Finding("checkpoints", False, f"A signed head does not hold: {problem}.")
    if heads.wrong > len(heads.problems):
        more = heads.wrong - len(heads.problems)
        yield Finding(
            "checkpoints", False, f"{counted(more, 'more signed head', 'more signed heads')} likewise."
        )
    for epoch, text in heads.forks:
        if epoch >= found.standing.epoch:
            yield Finding("checkpoints", False, f"The keeper has signed another history: {text}.")
        else:
            past = f"A former keeper has signed another history, which was not final, and is past: {text}."
            yield Finding("checkpoints", True, past, concern=True)
    if heads.right:
        yield Finding(
            "checkpoints",
            True,
            f"{counted(heads.right, 'signed head belongs', 'signed heads belong')} to these entries, with every"
            f" signature under {'it' if heads.right == 1 else 'them'}; {heads.final:,} of them final.",
        )
    yield from _beyond(found)
    yield from _seen(found)
    yield from _finality(found)
    if heads.left:
        yield Finding(
            "checkpoints",
            True,
            f"{counted(heads.left, 'head was', 'heads were')} signed by a keeper after another had taken over; none"
            " was final, and none counts.",
            concern=True,
        )
    if heads.passed_over:
        yield Finding(
            "checkpoints",
            True,
            f"{counted(heads.passed_over, 'name', 'names')} under checkpoints did not count there (of nobody who"
            " was a witness then) and were passed over.",
            concern=True,
        )


def _beyond(found: Found) -> Iterator[Finding]:
    if not found.beyond:
        return
    heads = counted(found.beyond, "head is", "heads are")
    text = f"{heads} of more entries than the {found.size:,} that hold"
    if found.bad is None and not found.problem:
        text += ": entries were left out at the end"
    yield Finding("checkpoints", False, f"{text}.")


def _seen(found: Found) -> Iterator[Finding]:
    verdict = found.heads.seen_found
    if not found.seen:
        yield Finding(
            "checkpoints",
            True,
            "Whether there are newer entries, no file can tell. Have a member give you its newest checkpoint, and"
            " audit with that (--at-least).",
            concern=True,
        )
    elif verdict is None:
        yield Finding(
            "checkpoints",
            False,
            f"The head that you have seen is of more entries than the {found.size:,} that hold here: this is an"
            " older state, or one that was cut short.",
        )
    elif verdict:
        yield Finding(
            "checkpoints", False, f"The head that you have seen does not stand in this ledger: {verdict}."
        )
    else:
        yield Finding(
            "checkpoints",
            True,
            "The head that you have seen stands in this ledger. Whether there are newer entries than these, no file"
            " can tell.",
        )


def _finality(found: Found) -> Iterator[Finding]:
    newest = found.heads.newest
    if not found.size:
        return
    if newest is None:
        yield Finding(
            "checkpoints",
            True,
            "No head is final: nobody but the keeper vouches for this ledger, and it could replace all of it.",
            concern=True,
        )
        return
    final = newest.checkpoint.size
    last_s = max(each.time_s for each in newest.cosigned)
    when = f"{moment(last_s)} by its witnesses' clocks, {ago(found.now_s - last_s)} this audit"
    after = found.size - final
    if after:
        text = (
            f"{counted(after, 'entry', 'entries')} came after the newest final head, of {final:,} entries"
            f" (cosigned {when}): only the keeper vouches for them yet."
        )
    else:
        text = f"All entries are final: the newest head was cosigned {when}."
    yield Finding("checkpoints", True, text, concern=bool(after))


def _keepers(found: Found) -> Iterator[Finding]:
    rosters = found.standing.rosters
    if not rosters:
        return
    changes = [
        (since, before, after)
        for (_, before), (since, after) in pairwise(rosters)
        if before.epoch != after.epoch
    ]
    if not changes:
        yield Finding("keepers", True, f"{rosters[0][1].keeper.name} has kept the ledger from its beginning.")
    for since, before, after in changes[-MOST_ALIKE:]:
        yield Finding(
            "keepers",
            True,
            f"{after.keeper.name} took over from {before.keeper.name} at entry {since - 1}, in epoch {after.epoch},"
            f" with the names of at least {before.needed_to_succeed} of {len(before.witnesses)} witnesses.",
            since - 1,
        )


def _withdrawals(found: Found) -> Iterator[Finding]:
    marked = ((name, job) for name, job in found.standing.jobs.items() if job.withdrawn)
    for name, job in islice(marked, MOST_ALIKE):
        rows = ", ".join(f"{count:,} of {party}" for party, count in sorted(job.withdrawn.items()))
        yield Finding(
            "entries",
            True,
            f"The model of job {name} may have been trained on rows that were withdrawn since: {rows}.",
            job.proposed_at,
            concern=True,
        )


def _evidence(found: Found) -> Iterator[Finding]:
    yield from found.evidence[:MOST_ALIKE]
    more = found.evidence[MOST_ALIKE:]
    if more:
        text = f"{counted(len(more), 'more piece', 'more pieces')} of evidence, not told one by one."
        yield Finding("evidence", all(each.holds for each in more), text, concern=True)
    if not found.evidence and not found.problem:
        yield Finding("evidence", True, "The file holds no evidence of a fork.")
