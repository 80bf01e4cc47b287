"""Whatever is changed in an export, or in the database it is made of, an audit finds; and it never crashes.

Every mutated file is closed anew, as somebody would who changes it on purpose: the closing hash is no help here.
Signatures that were checked once are remembered, so that thousands of audits cost little.
"""

import hashlib
import io
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker.codec import decode, encode
from hansa.broker.errors import BadSignature
from hansa.broker.identity import Identity, PublicIdentity
from hansa.ledger import (
    AuditReport,
    ChainedEntry,
    LedgerError,
    LedgerStore,
    MemberLeft,
    SignedEntry,
    link,
)
from hansa.ledger import signatures as checking
from hansa.ledger.audit import audit
from hansa.ledger.checkpoints import cosign, read_checkpoint, sign_checkpoint
from hansa.ledger.export import MAGIC, write_export
from hansa.ledger.notes import Note
from tests.ledger.chronicle import NEW_DANZIG, WISMAR, Chronicle, exported, founded, told
from tests.ledger.test_proofs import stored
from tests.ledger.town import BREMEN, DANZIG, LUBECK, STRANGER

SEED = 20_241_105
MUTATIONS = 2_090
EVERYBODY = (LUBECK, BREMEN, DANZIG, NEW_DANZIG, WISMAR, STRANGER)
TOLD = told()
OTHER = told("salt alone")  # the same story under another charter
SMALL = founded(members=(BREMEN, DANZIG))
LEAST = founded(members=())


@pytest.fixture(scope="module", autouse=True)
def _remembered() -> Iterator[None]:
    """Remember which signatures are right."""
    known: dict[tuple[bytes, bytes, bytes], bool] = {}

    def is_right(key: bytes, signature: bytes, message: bytes) -> bool:
        asked = key, signature, message
        if asked not in known:
            known[asked] = right(*asked)
        return known[asked]

    def verify(public: PublicIdentity, signature: bytes, data: bytes) -> None:
        if not is_right(public.verify_key, signature, data):
            raise BadSignature("not signed")

    right = checking.is_right
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "is_right", is_right)
        patch.setattr(PublicIdentity, "verify", verify)
        yield


class Auditor:
    """Audits one file after another, and compares what comes of it."""

    def __init__(self, path: Path, made: Chronicle) -> None:
        self._path = path
        self._made = made
        self.good = made.exported()
        self._report = self.audit(self.good)
        assert self._report.holds

    def audit(self, content: bytes, at_least: Note | None = None) -> AuditReport:
        self._path.write_bytes(content)
        return audit(self._path, charter=self._made.fingerprint, at_least=at_least, workers=1, now_s=2e9)

    def finds(self, content: bytes) -> bool:
        """Say whether a changed file does not hold, or its report says something else than the whole one's."""
        report = self.audit(content)
        return not report.holds or report != self._report


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("mutations") / "ledger.export", TOLD)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("small") / "ledger.export", SMALL)


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("least") / "ledger.export", LEAST)


# --- each byte --------------------------------------------------------------------------------------------
def spans(content: bytes) -> list[tuple[int, int]]:
    """Return where the frames' contents lie, the closing one left out."""
    found, at = [], len(MAGIC)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((at + 4, at + 4 + length))
        at += 4 + length
    return found[:-1]


def closed(content: bytes) -> bytes:
    """Return a file with another closing frame, that fits what stands before it."""
    start = spans(content)[-1][1]
    end = decode(content[start + 4 :])
    assert isinstance(end, list)
    frame = encode([*end[:-1], hashlib.sha256(content[:start]).digest()])
    return content[:start] + len(frame).to_bytes(4, "big") + frame


def finds_flips(auditor: Auditor, positions: range) -> None:
    """Flip one bit of each of these bytes, each of the eight in turn."""
    for at in positions:
        changed = bytearray(auditor.good)
        changed[at] ^= 1 << at % 8
        assert auditor.finds(closed(bytes(changed))), at


def test_a_flip_of_any_byte_is_found_though_the_file_is_closed_anew(least: Auditor, small: Auditor) -> None:
    assert closed(least.good) == least.good
    for span in spans(least.good):
        finds_flips(least, range(*span))
    *entries, note = spans(small.good)
    for start, stop in entries[1:]:
        finds_flips(small, range(start, stop, 25))
    finds_flips(small, range(*note))  # the keeper's name under it, and two others


def test_a_flip_of_any_byte_of_lengths_and_of_the_end_is_found(least: Auditor) -> None:
    inside = {at for span in spans(least.good) for at in range(*span)}
    for at in set(range(len(least.good))) - inside:
        for bit in range(8):
            changed = bytearray(least.good)
            changed[at] ^= 1 << bit
            assert least.finds(bytes(changed)), at


# --- mutations of a whole ledger ----------------------------------------------------------------------------
def entry_dropped(draw: random.Random, made: Chronicle) -> None:
    del made.entries[draw.randrange(made.size - 1)]  # without its last one, a ledger is an older one


def entries_swapped(draw: random.Random, made: Chronicle) -> None:
    one, two = draw.sample(range(made.size), 2)
    made.entries[one], made.entries[two] = made.entries[two], made.entries[one]


def entry_doubled(draw: random.Random, made: Chronicle) -> None:
    made.entries.insert(draw.randrange(made.size + 1), draw.choice(made.entries))


def entry_of_another_ledger(draw: random.Random, made: Chronicle) -> None:
    index = draw.randrange(made.size)
    made.entries[index] = OTHER.entries[index]


def histories_spliced(draw: random.Random, made: Chronicle) -> None:
    cut = draw.randrange(1, made.size)
    made.entries[cut:] = OTHER.entries[cut:]


def part_exchanged(draw: random.Random, made: Chronicle) -> None:
    one, two = draw.sample(range(made.size), 2)
    part = draw.choice([each.name for each in fields(ChainedEntry)])
    made.entries[one] = exchanged(made.entries[one], part, getattr(made.entries[two], part))


def exchanged(entry: ChainedEntry, part: str, content: object) -> ChainedEntry:
    cells = {each.name: getattr(entry, each.name) for each in fields(ChainedEntry)}
    return ChainedEntry(**cells | {part: content})


def byte_of_an_entry(draw: random.Random, made: Chronicle) -> None:
    index = draw.randrange(made.size)
    part = draw.choice(["previous", "signed", "signature", "hash", "receipt"])
    content = bytearray(getattr(made.entries[index], part))
    content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
    made.entries[index] = exchanged(made.entries[index], part, bytes(content))


def entry_signed_by_another(draw: random.Random, made: Chronicle) -> None:
    """Sign one entry as another member; a keeper that plays along chains it, and all that follows, anew."""
    index = draw.randrange(1, made.size)
    old = made.entries[index]
    author = draw.choice([each for each in EVERYBODY if each.sign(old.signed) != old.signature])
    chained_anew(made, index, SignedEntry(old.signed, author.sign(old.signed)), draw.choice([LUBECK, BREMEN]))


def author_changed(draw: random.Random, made: Chronicle) -> None:
    """Put another name into an entry, and sign it under that one's keys."""
    index = draw.randrange(1, made.size)
    old, author = made.entries[index], draw.choice(EVERYBODY)
    names = [each.name.encode() for each in EVERYBODY if each.name.encode() in old.signed[:120]]
    signed = old.signed.replace(names[0], author.name.encode(), 1) + (
        b"" if names[0] != author.name.encode() else b"\0"
    )
    chained_anew(made, index, SignedEntry(signed, author.sign(signed)), draw.choice([LUBECK, BREMEN]))


def chained_anew(made: Chronicle, index: int, entry: SignedEntry, keeper: Identity) -> None:
    rest = [SignedEntry(each.signed, each.signature) for each in made.entries[index + 1 :]]
    del made.entries[index:]
    for signed in (entry, *rest):
        epoch = 0 if keeper is LUBECK else 1
        made.entries.append(link(keeper, "hansa", made.entries[-1].head, signed, epoch))


def receipts_of_a_former_keeper(draw: random.Random, made: Chronicle) -> None:
    index = draw.randrange(14, made.size)
    old = made.entries[index]
    again = link(
        LUBECK,
        "hansa",
        made.entries[index - 1].head,
        SignedEntry(old.signed, old.signature),
        draw.randrange(3),
    )
    made.entries[index] = again


def tail_cut(draw: random.Random, made: Chronicle) -> None:
    del made.entries[draw.randrange(16) :]


def head_dropped(draw: random.Random, made: Chronicle) -> None:
    del made.notes[draw.randrange(len(made.notes))]


def head_doubled(draw: random.Random, made: Chronicle) -> None:
    made.notes.insert(draw.randrange(len(made.notes) + 1), draw.choice(made.notes))


def heads_swapped(draw: random.Random, made: Chronicle) -> None:
    one, two = draw.sample(range(len(made.notes)), 2)
    made.notes[one], made.notes[two] = made.notes[two], made.notes[one]


def head_of_another_ledger(draw: random.Random, made: Chronicle) -> None:
    index = draw.randrange(len(made.notes))
    made.notes[index] = OTHER.notes[index]


def texts_exchanged(draw: random.Random, made: Chronicle) -> None:
    one, two = draw.sample(range(len(made.notes)), 2)
    made.notes[one] = replace(made.notes[one], text=made.notes[two].text)


def cosignature_moved(draw: random.Random, made: Chronicle) -> None:
    one, two = draw.sample(range(len(made.notes)), 2)
    lines = made.notes[two].signatures
    made.notes[one] = replace(made.notes[one], signatures=(*made.notes[one].signatures, lines[-1]))
    made.notes[two] = replace(made.notes[two], signatures=lines[:-1] or lines)


def cosignature_dropped(draw: random.Random, made: Chronicle) -> None:
    index = draw.randrange(len(made.notes))
    lines = list(made.notes[index].signatures)
    del lines[draw.randrange(len(lines))]
    made.notes[index] = replace(made.notes[index], signatures=tuple(lines))


def head_signed_anew(draw: random.Random, made: Chronicle) -> None:
    """Put another root, size or epoch under a head, signed by somebody, with somebody's name under it."""
    index = draw.randrange(len(made.notes))
    head = read_checkpoint(made.notes[index].text)
    head = draw.choice(
        [
            replace(head, root=draw.randbytes(32)),
            replace(head, size=head.size + 1),
            replace(head, epoch=1 - head.epoch),
        ]
    )
    keeper, witness = draw.choice(EVERYBODY), draw.choice(EVERYBODY)
    made.notes[index] = Note(
        head.text, (sign_checkpoint(keeper, head), cosign(witness, head, draw.randrange(2**40)))
    )


MUTATORS: tuple[Callable[[random.Random, Chronicle], None], ...] = (
    entry_dropped,
    entries_swapped,
    entry_doubled,
    entry_of_another_ledger,
    histories_spliced,
    part_exchanged,
    byte_of_an_entry,
    entry_signed_by_another,
    author_changed,
    receipts_of_a_former_keeper,
    tail_cut,
    head_dropped,
    head_doubled,
    heads_swapped,
    head_of_another_ledger,
    texts_exchanged,
    cosignature_moved,
    cosignature_dropped,
    head_signed_anew,
)
TOLD_BY_WHAT_IS_LEFT = {head_dropped, cosignature_dropped, cosignature_moved}
TRUE_BY_ITSELF = {head_signed_anew}  # a member may well have signed that head, and offered to keep the ledger


def test_thousands_of_mutations_are_all_found(auditor: Auditor) -> None:
    draw = random.Random(SEED)
    unchanged = 0
    for number in range(MUTATIONS):
        mutate = MUTATORS[number % len(MUTATORS)]
        made = Chronicle(entries=list(TOLD.entries), notes=list(TOLD.notes))
        mutate(draw, made)
        content = exported(made.entries, [note.encoded() for note in made.notes])
        if content == auditor.good:
            unchanged += 1
            continue
        said = f"seed {SEED}, mutation {number}: {mutate.__name__}"
        if mutate in TOLD_BY_WHAT_IS_LEFT | TRUE_BY_ITSELF:
            assert auditor.finds(content), said
        else:
            assert not auditor.audit(content).holds, said
    assert unchanged < MUTATIONS // 50


def test_frames_moved_cut_or_doubled_as_bytes_are_found(auditor: Auditor) -> None:
    draw = random.Random(SEED)
    pieces = [auditor.good[start - 4 : stop] for start, stop in spans(auditor.good)]
    for number in range(300):
        changed = list(pieces)
        match number % 3:
            case 0:
                one, two = draw.sample(range(len(changed)), 2)
                changed[one], changed[two] = changed[two], changed[one]
            case 1:
                changed.insert(draw.randrange(len(changed)), draw.choice(changed[:18]))
            case _:
                piece = draw.randrange(len(changed))
                changed[piece] = changed[piece][: draw.randrange(len(changed[piece]))]
        content = MAGIC + b"".join(changed)
        end = auditor.good[spans(auditor.good)[-1][1] :]
        assert auditor.finds(content + end), f"seed {SEED}, mutation {number}"


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=400), cut=st.integers(0, 20_000))
def test_no_bytes_crash_an_auditor(auditor: Auditor, content: bytes, cut: int) -> None:
    assert not auditor.audit(content).holds
    assert not auditor.audit(MAGIC + content).holds
    assert auditor.finds(auditor.good[: cut % len(auditor.good)] + content) or content == b""


# --- rollback and fork ------------------------------------------------------------------------------------
def test_a_rollback_is_found_by_a_newer_head_and_is_else_an_older_ledger(auditor: Auditor) -> None:
    newest = TOLD.notes[-1]
    for size in range(1, 16):
        notes = [note.encoded() for note in TOLD.notes if read_checkpoint(note.text).size <= size]
        older = exported(TOLD.entries[:size], notes)
        assert auditor.audit(older).holds
        assert not auditor.audit(older, at_least=newest).holds
        kept = exported(TOLD.entries[:size], [note.encoded() for note in TOLD.notes])
        assert not auditor.audit(kept).holds


def test_a_fork_is_found_by_any_head_of_the_other_history(auditor: Auditor) -> None:
    for cut in range(4, 13):
        made = Chronicle(entries=[], notes=[])
        for entry in TOLD.entries[:cut]:
            made.verifier.accept(entry)
            made.entries.append(entry)
        made.numbers = {"wismar": 40}
        made.write(WISMAR, MemberLeft("wismar"))
        made.checkpoint()
        alone = made.exported()
        assert auditor.audit(alone).holds  # the keeper's word alone, and the audit says so
        assert auditor.finds(alone)
        assert not auditor.audit(alone, at_least=TOLD.notes[1]).holds
        if cut < 12:
            continue
        made.notes.append(TOLD.notes[1])
        assert not auditor.audit(made.exported()).holds


# --- the database -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("database") / "ledger.sqlite"
    stored(TOLD, path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path.read_bytes()


def outcome(path: Path) -> bytes | None:
    """Return a database's export, or None if the house refuses to make one."""
    file = io.BytesIO()
    try:
        store = LedgerStore.open_read_only(path)
    except LedgerError:
        return None
    try:
        write_export(store, file)
    except LedgerError:
        return None
    finally:
        store.close()
    return file.getvalue()


def test_what_is_changed_in_the_database_is_refused_or_found(
    auditor: Auditor, database: bytes, tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    refused = found = 0
    for number in range(250):
        changed = bytearray(database)
        for _ in range(draw.choice([1, 1, 4])):
            changed[draw.randrange(len(changed))] ^= draw.randrange(1, 256)
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(changed)
        content = outcome(path)
        if content is None:
            refused += 1
        elif content != auditor.good:  # else it was in a place that says nothing: an index, a free page
            found += 1
            assert auditor.finds(content), f"seed {SEED}, mutation {number}"
        path.unlink()
    assert refused + found > 25


STATEMENTS = (
    "DELETE FROM entries WHERE idx = {one}",
    "DELETE FROM entries WHERE idx >= {one}",
    "UPDATE entries SET signed = (SELECT signed FROM entries WHERE idx = {two}) WHERE idx = {one}",
    "UPDATE entries SET receipt = (SELECT receipt FROM entries WHERE idx = {two}) WHERE idx = {one}",
    "UPDATE entries SET hash = zeroblob(32) WHERE idx = {one}",
    "UPDATE entries SET signature = 'text' WHERE idx = {one}",
    "UPDATE entries SET idx = 90 + idx WHERE idx = {one}",
    "UPDATE checkpoints SET size = {one}",
    "DELETE FROM checkpoints",
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements_against_the_database_are_refused_or_found(
    auditor: Auditor, database: bytes, tmp_path: Path, statement: str
) -> None:
    draw = random.Random(SEED)
    for number in range(6):
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(database)
        connection = sqlite3.connect(path, isolation_level=None)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        one, two = draw.sample(range(1, 18), 2)
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(statement.format(one=one, two=two))
        connection.close()
        content = outcome(path)
        assert content is None or content == auditor.good or auditor.finds(content), (one, two)
