"""An audit recomputes a whole ledger from one file, and says in words what holds and what doesn't."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from hansa.broker.fields import pack_fields
from hansa.broker.identity import Identity
from hansa.ledger import (
    AuditReport,
    BadNote,
    ChainedEntry,
    DatasetRegistered,
    EpochEnded,
    Finding,
    JobAborted,
    JobAccepted,
    KeyRevoked,
    MemberLeft,
    PayoutProposed,
    SignedEntry,
    link,
    read_checkpoint,
    sign_entry,
)
from hansa.ledger import audit as auditing
from hansa.ledger.audit import MOST_POINTS, MOST_TICKS, audit
from hansa.ledger.checkpoints import Checkpoint, cosign, sign_checkpoint
from hansa.ledger.clock import ago, moment
from hansa.ledger.evidence import ForkEvidence, ReceiptEvidence
from hansa.ledger.merkle import leaf_hash
from hansa.ledger.notes import Note
from hansa.ledger.signatures import SignaturePool
from hansa.ledger.tally import OTHER, Thinned
from tests.ledger.chronicle import NEW_DANZIG, START_S, WISMAR, Chronicle, exported, founded, told
from tests.ledger.test_proofs import path_of
from tests.ledger.town import BREMEN, DANZIG, DIGEST, LUBECK, PROPOSAL, STRANGER

TOLD = told()
NOW_S = START_S + 7_200.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.export"


def audited(
    made: Chronicle, path: Path, *, charter: bytes | None = None, at_least: Note | None = None
) -> AuditReport:
    """Write a chronicle's export and audit it."""
    made.write_to(path)
    pinned = made.fingerprint if charter is None else charter
    return audit(path, charter=pinned, at_least=at_least, workers=1, now_s=NOW_S)


def wrong(report: AuditReport) -> list[Finding]:
    return [finding for finding in report.findings if not finding.holds]


def read(report: AuditReport) -> str:
    """Return all that is to be read of what holds."""
    return "\n".join(finding.text for finding in report.findings if finding.concern)


# --- what holds -------------------------------------------------------------------------------------------
def test_a_good_ledger_holds_and_the_report_says_all_that_there_is(path: Path) -> None:
    report = audited(TOLD, path)
    assert report.holds
    assert (report.source, report.federation, report.purpose) == (
        "ledger.export",
        "hansa",
        "salt and herring",
    )
    assert (report.fingerprint, report.pinned, report.size) == (TOLD.fingerprint.hex(), True, 18)
    assert report.root == TOLD.head().root.hex()
    assert report.head == TOLD.entries[-1].hash.hex()
    assert (report.epoch, report.keeper, report.final_size) == (1, "bremen", 16)
    assert (report.first_ms, report.last_ms) == (START_S * 1000, (START_S + 17 * 60) * 1000)
    assert [finding.subject for finding in report.findings if not finding.concern] == [
        "file",
        "charter",
        "entries",
        "signatures",
        "receipts",
        "tree",
        "checkpoints",
        "keepers",
        "contributions",
        "evidence",
    ]
    danzig = report.members[1]
    assert (danzig.name, danzig.status, danzig.admitted_at, danzig.entries) == ("danzig", "active", 2, 4)
    assert danzig.fingerprint == NEW_DANZIG.public.fingerprint
    assert danzig.datasets == {"catch": (300, 2)}
    job = report.jobs[0]
    assert (job.name, job.status, job.proposed_at, job.ended_at) == ("herring", "finished", 6, 12)
    assert (job.metric, job.uses, job.withdrawn, job.model_digest) == (
        "accuracy",
        12,
        {"danzig": 2},
        DIGEST.hex(),
    )
    assert [(point.step, point.loss, point.score) for point in job.points] == [(0, 0.25, 0.9)]
    assert [(line.size, line.epoch, line.final) for line in report.checkpoints] == [
        (4, 0, True),
        (13, 0, True),
        (14, 0, False),
        (16, 1, True),
    ]
    assert sum(sum(tick.kinds.values()) for tick in report.timeline) == 18


def test_what_holds_and_is_to_be_read_is_told(path: Path) -> None:
    said = read(audited(TOLD, path))
    assert "compares them with the members themselves" in said
    assert "Whether there are newer entries, no file can tell" in said
    assert (
        "2 entries came after the newest final head, of 16 entries (cosigned 2027-01-15 08:16 UTC by its"
        " witnesses' clocks, 1 hour before this audit)"
    ) in said
    assert (
        "The model of job herring may have been trained on rows that were withdrawn since: 2 of danzig."
        in said
    )


def test_without_a_fingerprint_it_may_be_anybodys_ledger(path: Path) -> None:
    TOLD.write_to(path)
    report = audit(path, workers=1)
    assert report.holds
    assert not report.pinned
    assert f"compare it with {TOLD.fingerprint.hex()}" in read(report)


def test_a_fully_final_ledger_says_so(path: Path) -> None:
    report = audited(founded(), path)
    assert "All entries are final" in report.findings[-3].text
    assert report.final_size == report.size == 4


def test_without_a_final_head_only_the_keeper_vouches(path: Path) -> None:
    made = founded()
    made.notes.clear()
    report = audited(made, path)
    assert report.holds
    assert "No head is final: nobody but the keeper vouches" in read(report)
    assert report.final_size == 0


def test_a_certificate_makes_the_head_final_at_which_another_takes_over(path: Path) -> None:
    made = founded()
    made.notes.clear()
    made.write(BREMEN, MemberLeft("bremen"))
    made.take_over(DANZIG, WISMAR)
    report = audited(made, path)
    assert report.final_size == 5
    assert report.findings[-2].text == (
        "danzig took over from lubeck at entry 5, in epoch 1, with the names of at least 2 of 2 witnesses."
    )


def test_progress_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "PROGRESS_ENTRIES", 8)
    TOLD.write_to(path)
    seen: list[tuple[int, int]] = []
    audit(path, workers=1, progress=lambda *done: seen.append(done))
    assert seen == [(8, 18), (16, 18), (18, 18)]


def test_signatures_are_checked_in_processes_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = told()
    made.entries[9] = replace(made.entries[9], receipt=bytes(64))
    made.write_to(path)
    monkeypatch.setattr(auditing, "SignaturePool", lambda workers: SignaturePool(2, patience=4))
    report = audit(path, charter=made.fingerprint)
    assert [(each.subject, each.index) for each in wrong(report)] == [("receipts", 9), ("checkpoints", None)]


def test_an_early_wrong_signature_ends_the_following(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = told()
    made.entries[1] = replace(made.entries[1], receipt=bytes(64))
    made.write_to(path)
    monkeypatch.setattr(auditing, "SignaturePool", lambda workers: SignaturePool(1, patience=4))
    assert audit(path).size == 1


# --- what does not hold -----------------------------------------------------------------------------------
def test_what_stands_before_a_bad_entry_is_reported_and_nothing_after_counts(path: Path) -> None:
    made = told()
    made.entries[14] = replace(made.entries[14], signed=made.entries[14].signed[:-1] + b"\0")
    report = audited(made, path)
    assert not report.holds
    assert (report.size, report.epoch, report.keeper, report.final_size) == (14, 0, "lubeck", 13)
    assert [line.size for line in report.checkpoints] == [4, 13, 14]
    assert [(each.subject, each.index) for each in wrong(report)] == [("entries", 14), ("checkpoints", None)]
    assert wrong(report)[0].text == (
        "Entry 14 does not hold: its content does not have its hash. It and what follows it, 4 entries in all,"
        " count for nothing."
    )
    assert wrong(report)[1].text == "1 head is of more entries than the 14 that hold."
    assert "of the first 14 entries is signed" in report.findings[4].text


def test_another_charter_than_the_one_pinned_is_refused(path: Path) -> None:
    report = audited(TOLD, path, charter=founded("another").fingerprint)
    assert report.size == 0
    assert wrong(report)[0].text.startswith("The charter, entry 0, does not hold: not the pinned charter")


def resigned(
    made: Chronicle, index: int, author: Identity, keeper: Identity, epoch: int = 0
) -> list[ChainedEntry]:
    """Return the ledger with one entry signed by somebody else, and all that follow chained anew by a keeper."""
    entries = made.entries[:index]
    for old in made.entries[index:]:
        signature = author.sign(old.signed) if old.index == index else old.signature
        signed = SignedEntry(old.signed, signature)
        entries.append(link(keeper, "hansa", entries[-1].head, signed, epoch))
    return entries


def test_an_entry_signed_by_another_member_is_forged_even_if_the_keeper_chains_it(path: Path) -> None:
    made = told()
    made.entries = resigned(made, 7, DANZIG, LUBECK)
    report = audited(made, path)
    assert (wrong(report)[0].subject, wrong(report)[0].index, report.size) == ("signatures", 7, 7)
    assert "Entry 7 is forged: its signature is not its author's." in wrong(report)[0].text


def test_an_entry_that_its_author_may_not_write_is_found(path: Path) -> None:
    made = founded()
    entry = sign_entry(STRANGER, federation="hansa", author_seq=0, body=MemberLeft("stranger"), time_ms=0)
    made.entries.append(link(LUBECK, "hansa", made.entries[-1].head, entry))
    report = audited(made, path)
    assert "'stranger' is no member" in wrong(report)[0].text


@pytest.mark.parametrize("content", [b"", b"hansa-ledger-export-1\n", bytes(100)])
def test_a_file_that_is_none_is_told_as_such(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    report = audit(path, workers=1)
    assert [each.subject for each in wrong(report)] == ["file", "charter"]
    assert (report.size, report.federation, report.keeper, report.fingerprint) == (0, "", "", "")


def test_a_file_that_was_cut_off_is_reported_up_to_there(path: Path) -> None:
    content = TOLD.exported()
    path.write_bytes(content[: len(content) // 2])
    report = audit(path, charter=TOLD.fingerprint, workers=1)
    assert [each.subject for each in wrong(report)] == ["file"]
    assert 0 < report.size < 18
    assert "holds no evidence" not in report.findings[-1].text


def test_payouts_are_told(path: Path) -> None:
    made = told()
    leaves = [leaf_hash(entry.hash) for entry in made.entries[:13]]
    final = made.notes[1].encoded()
    made.write(
        LUBECK,
        PayoutProposed("herring", "EUR", 100, {"bremen": 70, "danzig": 30}, final, path_of(leaves, 12)),
    )
    report = audited(made, path)
    assert report.holds
    assert "1 payout was recomputed to the cent" in report.findings[-3].text
    assert "0 settled with the approvals needed, 0 withdrawn." in report.findings[-3].text


# --- heads ------------------------------------------------------------------------------------------------
def test_an_older_state_is_found_by_a_head_that_was_seen_and_by_nothing_else(path: Path) -> None:
    older = told()
    older.entries, older.notes = older.entries[:13], older.notes[:2]
    report = audited(older, path)
    assert report.holds  # it is what the ledger was, and no file can tell that there is more
    report = audited(older, path, at_least=TOLD.notes[-1])
    assert not report.holds
    assert "this is an older state, or one that was cut short" in wrong(report)[0].text
    assert audited(older, path, at_least=TOLD.notes[0]).holds


def test_entries_cut_off_at_the_end_are_found_by_the_heads_in_the_file(path: Path) -> None:
    made = told()
    made.entries = made.entries[:15]
    report = audited(made, path)
    assert [each.text for each in wrong(report)] == [
        "1 head is of more entries than the 15 that hold: entries were left out at the end."
    ]


def test_a_head_of_another_ledger_that_was_seen_is_told(path: Path) -> None:
    report = audited(TOLD, path, at_least=founded("another").notes[0])
    assert "does not stand in this ledger: it is of hansa/hansa/" in wrong(report)[0].text


def test_a_head_that_was_seen_and_replaced_is_told_as_such(path: Path) -> None:
    now = TOLD.head()
    head = Checkpoint(now.federation, now.fingerprint, 17, DIGEST, 0, "lubeck")
    report = audited(TOLD, path, at_least=Note(head.text, (sign_checkpoint(LUBECK, head),)))
    assert "after another had taken over, and its entries were replaced" in wrong(report)[0].text


def test_what_was_seen_must_be_a_checkpoint(path: Path) -> None:
    with pytest.raises(BadNote):
        audited(TOLD, path, at_least=Note("no checkpoint\n", TOLD.notes[0].signatures))


def forked() -> Chronicle:
    """Return a ledger whose keeper has signed another history, too: its head is among the others."""
    made, other = founded(), founded()
    other.entries = list(made.entries)
    other.verifier = made.verifier.copy()
    made.write(BREMEN, DatasetRegistered("catch", 700, ("length",), None, DIGEST))
    other.write(BREMEN, DatasetRegistered("salt", 700, ("length",), None, DIGEST))
    other.notes = []
    other.checkpoint(WISMAR)
    made.checkpoint(DANZIG)
    made.notes = [made.notes[0], *sorted([made.notes[1], other.notes[0]], key=lambda note: note.text)]
    return made


def test_a_head_of_another_history_is_told_with_the_names_under_it(path: Path) -> None:
    report = audited(forked(), path)
    assert len(wrong(report)) == 1
    assert "The keeper has signed another history: the head of 5 entries" in wrong(report)[0].text
    assert "lubeck, wismar signed the root" in wrong(report)[0].text
    assert [line.valid for line in report.checkpoints].count(False) == 1


def test_after_another_has_taken_over_the_former_keepers_fork_is_past(path: Path) -> None:
    made = forked()
    made.take_over(BREMEN, DANZIG)
    report = audited(made, path)
    assert report.holds
    assert "A former keeper has signed another history, which was not final, and is past" in read(report)


def test_two_final_histories_are_never_past(path: Path) -> None:
    made = forked()
    for number, note in enumerate(made.notes):
        if "wismar" in note.signatures[-1].name:
            lines = (*note.signatures, cosign(DANZIG, read_checkpoint(note.text), 5))
            made.notes[number] = Note(note.text, lines)
    made.take_over(BREMEN, DANZIG)
    report = audited(made, path)
    assert "lubeck, danzig, wismar signed the root" in wrong(report)[0].text


def test_what_a_former_keeper_signed_after_another_took_over_counts_for_nothing(path: Path) -> None:
    made = told()
    now = made.head()
    head = Checkpoint(now.federation, now.fingerprint, now.size, DIGEST, 0, "lubeck")
    lines = (sign_checkpoint(LUBECK, head), cosign(WISMAR, head, 9))
    made.notes.append(Note(head.text, lines))
    report = audited(made, path)
    assert report.holds
    assert "1 head was signed by a keeper after another had taken over" in read(report)
    made.notes[-1] = Note(head.text, (*lines, cosign(BREMEN, head, 9), cosign(NEW_DANZIG, head, 9)))
    report = audited(made, path)
    assert "was final, with the names of bremen, danzig, wismar, and yet its entries were replaced" in (
        wrong(report)[0].text
    )
    head = replace(head, epoch=0, keeper="wismar")
    made.notes[-1] = Note(head.text, (sign_checkpoint(WISMAR, head),))
    assert not audited(made, path).holds


def test_a_head_of_an_epoch_that_nobody_kept_does_not_hold(path: Path) -> None:
    made = founded()
    made.epoch = 1  # some had promised themselves to an epoch 1 that never came
    made.take_over(BREMEN, DANZIG)
    head = replace(made.head(), epoch=1)
    made.notes.append(Note(head.text, (sign_checkpoint(BREMEN, head),)))
    assert "there was no epoch 1 of bremen" in wrong(audited(made, path))[0].text


def test_an_offer_to_take_over_is_a_head_too(path: Path) -> None:
    made = founded()
    now = made.head()
    head = Checkpoint(now.federation, now.fingerprint, now.size, now.root, 4, "wismar")
    made.notes.append(Note(head.text, (sign_checkpoint(WISMAR, head), cosign(WISMAR, head, 9))))
    assert audited(made, path).checkpoints[-1].epoch == 4
    made.notes[-1] = Note(head.text, (sign_checkpoint(STRANGER, head),))
    assert not audited(made, path).holds


def test_names_that_do_not_count_are_passed_over_and_told(path: Path) -> None:
    made = founded()
    made.notes = [made.note(BREMEN, DANZIG, LUBECK, STRANGER)]
    report = audited(made, path)
    assert report.holds
    assert "2 names under checkpoints did not count there" in read(report)


BAD_NOTES = {
    "no note": ([b"x"], "checkpoint 0: a note"),
    "no checkpoint": (
        [Note("x\ny\n", TOLD.notes[0].signatures).encoded()],
        "checkpoint 0: a checkpoint has four lines",
    ),
    "twice": ([TOLD.notes[0].encoded()] * 2, "checkpoint 1: twice, or not in the order"),
    "out of order": (
        [TOLD.notes[1].encoded(), TOLD.notes[0].encoded()],
        "checkpoint 1: twice, or not in the order",
    ),
    "another ledger": ([founded("another").notes[0].encoded()], "another ledger"),
}


@pytest.mark.parametrize("case", BAD_NOTES)
def test_heads_that_are_none_are_told(path: Path, case: str) -> None:
    notes, why = BAD_NOTES[case]
    path.write_bytes(exported(TOLD.entries, notes))
    assert why in wrong(audit(path, workers=1))[0].text


def test_a_head_of_no_entries_has_no_keeper(path: Path) -> None:
    now = TOLD.head()
    head = Checkpoint(now.federation, now.fingerprint, 0, hashlib.sha256(b"").digest(), 0, "lubeck")
    path.write_bytes(exported(TOLD.entries, [Note(head.text, (sign_checkpoint(LUBECK, head),)).encoded()]))
    assert "a head of a ledger without entries" in wrong(audit(path, workers=1))[0].text


def test_many_bad_heads_are_counted(path: Path) -> None:
    path.write_bytes(exported(TOLD.entries, [b"x"] * 30))
    found = wrong(audit(path, workers=1))
    assert len(found) == 21
    assert found[-1].text == "10 more signed heads likewise."


def test_many_forks_are_told_in_part_the_newest_epochs_among_them(path: Path) -> None:
    made = told()
    notes = []
    for size in range(1, 18):
        for byte in (1, 2):
            roster = made.verifier.standing.roster_at(size)
            keeper = LUBECK if roster.epoch == 0 else BREMEN
            head = replace(
                made.head(), size=size, root=bytes([byte]) * 32, epoch=roster.epoch, keeper=keeper.name
            )
            notes.append(Note(head.text, (sign_checkpoint(keeper, head),)))
    path.write_bytes(exported(made.entries, [note.encoded() for note in notes]))
    report = audit(path, workers=1)
    assert len(wrong(report)) == 1
    assert "head of 17 entries" in wrong(report)[0].text


# --- evidence ---------------------------------------------------------------------------------------------
def fork_evidence() -> bytes:
    first, second = (note.encoded() for note in forked().notes[1:])
    return ForkEvidence(first, second).encoded()


def test_evidence_against_the_keeper_is_against_the_ledger_until_another_keeps_it(path: Path) -> None:
    made = founded()
    made.evidence = [("fork", fork_evidence())]
    report = audited(made, path)
    assert wrong(report)[0].text.startswith(
        "Proven: lubeck, who kept the ledger in epoch 0, has signed two histories"
    )
    made.take_over(BREMEN, DANZIG)
    report = audited(made, path)
    assert report.holds
    assert "Proven, and past: lubeck" in read(report)


def test_two_receipts_are_evidence(path: Path) -> None:
    made = founded()
    first, second = (
        link(LUBECK, "hansa", made.entries[-1].head, made.sign(BREMEN, MemberLeft("bremen")))
        for _ in range(2)
    )
    made.evidence = [("receipts", ReceiptEvidence(first, second, 0).encoded())]
    assert "has signed two entries 4" in wrong(audited(made, path))[0].text


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ([("fork", b"x")], "Piece 0 of evidence proves nothing"),
        ([("receipts", fork_evidence())], "it is of kind fork, and called 'receipts'"),
        ([("equivocation", b"x"), ("equivocation", b"x")], "Piece 1 of evidence is there twice."),
    ],
)
def test_what_proves_nothing_does_not_belong_there(
    path: Path, evidence: list[tuple[str, bytes]], why: str
) -> None:
    made = founded()
    made.evidence = evidence
    assert why in wrong(audited(made, path))[0].text


def test_evidence_about_messages_is_not_about_the_ledger(path: Path) -> None:
    made = founded()
    made.evidence = [("equivocation", bytes([number])) for number in range(23)]
    report = audited(made, path)
    assert report.holds
    assert report.findings[-1].text == "3 more pieces of evidence, not told one by one."


def test_evidence_without_a_ledger_proves_nothing(path: Path) -> None:
    path.write_bytes(exported([], [], [("fork", fork_evidence())]))
    assert "there is no ledger that it could be about" in wrong(audit(path, workers=1))[-1].text


# --- counting ---------------------------------------------------------------------------------------------
def test_curves_and_times_are_thinned(path: Path) -> None:
    made = founded()
    made.write(LUBECK, PROPOSAL)
    made.write(BREMEN, JobAccepted("herring"))
    made.write(DANZIG, JobAccepted("herring"))
    for epoch in range(1, MOST_POINTS + 50):
        made.write(LUBECK, EpochEnded("herring", epoch, 1 / epoch, "improved"))
        if epoch % 50 == 0:
            made.write(BREMEN, EpochEnded("herring", epoch, None, "improved"))
    made.write(LUBECK, JobAborted("herring", "out of salt"))
    report = audited(made, path)
    job = report.jobs[0]
    assert (job.status, job.reason, job.ended_at) == ("aborted", "out of salt", made.size - 1)
    steps = [point.step for point in job.points]
    assert MOST_POINTS // 2 <= len(steps) <= MOST_POINTS
    assert (steps[0], steps[-1]) == (1, MOST_POINTS + 49)
    assert all(point.loss == 1 / point.step for point in job.points)
    assert len(report.timeline) <= MOST_TICKS
    assert sum(sum(tick.kinds.values()) for tick in report.timeline) == made.size


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 1000])
def test_a_thinned_series_keeps_its_first_and_last(count: int) -> None:
    series: Thinned[int] = Thinned(4)
    for number in range(count):
        series.add(number)
    kept = series.all()
    assert len(kept) <= 5
    assert list(kept) == sorted(set(kept))
    if count:
        assert (kept[0], kept[-1]) == (0, count - 1)
    else:
        assert kept == ()


def test_kinds_that_are_not_known_are_told(path: Path) -> None:
    made = founded()
    fields = ("hansa", "bremen", 0, "salt-weighed", 1, START_S * 1000, b"\x80")
    signed = pack_fields("hansa-entry-v1", *fields)
    made.chain(SignedEntry(signed, BREMEN.sign(signed)))
    assert "salt-weighed" in made.verifier.standing.unknown_kinds
    report = audited(made, path)
    assert report.holds
    assert "kinds that this version of hansa does not know (salt-weighed)" in read(report)
    assert sum(tick.kinds.get(OTHER, 0) for tick in report.timeline) == 1


def test_a_member_that_was_revoked_is_told_as_such(path: Path) -> None:
    made = founded()
    made.write(LUBECK, KeyRevoked("wismar", WISMAR.public.verify_key, "lost"))
    assert audited(made, path).members[-1].status == "revoked"


def test_times_are_said_as_people_say_them() -> None:
    assert moment(0) == "1970-01-01 00:00 UTC"
    assert moment(2**62) == f"second {2**62} since 1970"
    said = [ago(seconds) for seconds in (-5, 5, 60, 7_300, 90_000)]
    assert said == [
        "by this machine's clock after",
        "less than a minute before",
        "1 minute before",
        "2 hours before",
        "1 day before",
    ]
