"""An export holds a whole ledger, is the same for the same store, and is refused if it is anything else."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.broker.codec import encode
from hansa.ledger import BadExport, LedgerStore
from hansa.ledger import export as exporting
from hansa.ledger.chain import ChainedEntry
from hansa.ledger.export import (
    MAGIC,
    MOST_FRAME_BYTES,
    EndFrame,
    EvidenceFrame,
    ExportWriter,
    Frame,
    NoteFrame,
    export_to,
    read_export,
    write_export,
)
from hansa.ledger.notes import read_note
from tests.ledger.chronicle import exported, founded, told
from tests.ledger.test_proofs import stored
from tests.ledger.town import BREMEN, CATCH, DANZIG

TOLD = told()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LedgerStore]:
    opened = stored(TOLD, tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def frames(content: bytes) -> list[Frame]:
    return list(read_export(io.BytesIO(content)))


def written(store: LedgerStore) -> bytes:
    file = io.BytesIO()
    write_export(store, file)
    return file.getvalue()


def test_an_export_holds_entries_checkpoints_evidence_and_what_closes_it(store: LedgerStore) -> None:
    store.add_evidence("fork", b"one")
    store.add_evidence("receipts", b"two")
    found = frames(written(store))
    assert found[:18] == TOLD.entries
    assert [read_note(each.encoded) for each in found[18:22] if isinstance(each, NoteFrame)] == TOLD.notes
    assert found[22:24] == [EvidenceFrame("fork", b"one"), EvidenceFrame("receipts", b"two")]
    end = found[-1]
    assert isinstance(end, EndFrame)
    assert (end.entries, end.notes, end.evidence, len(found)) == (18, 4, 2, 25)
    assert str(end) == "18 entries, 4 checkpoints, 2 pieces of evidence"


def test_the_same_store_gives_the_same_bytes(store: LedgerStore, tmp_path: Path) -> None:
    once = written(store)
    assert once == written(store)
    assert export_to(store, tmp_path / "a").entries == 18
    assert (tmp_path / "a").read_bytes() == once == TOLD.exported()


def test_two_heads_of_one_size_come_in_the_order_of_their_texts(tmp_path: Path) -> None:
    made, other = founded(), founded("another")
    both = []
    for name, notes in (("a", [*made.notes, *other.notes]), ("b", [*other.notes, *made.notes])):
        made.notes = notes
        with_both = stored(made, tmp_path / name)
        both.append(written(with_both))
        with_both.close()
    assert both[0] == both[1]


def test_an_empty_store_gives_an_export_of_nothing(tmp_path: Path) -> None:
    empty = LedgerStore.open(tmp_path / "empty.sqlite")
    assert len(frames(written(empty))) == 1
    empty.close()


def test_what_is_appended_meanwhile_is_left_out(store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = told()
    behind = stored(made, Path(store.address.removeprefix("sqlite:///")).with_name("behind.sqlite"))
    read = LedgerStore.read
    made.write(BREMEN, CATCH.__class__("later", 1, ("a",), None, bytes(32)))
    made.checkpoint(DANZIG)

    def reading(self: LedgerStore, *arguments: int, **named: int) -> Iterator[ChainedEntry]:
        behind.append(made.entries[18:])
        behind.add_checkpoint(made.notes[-1])
        monkeypatch.setattr(LedgerStore, "read", read)
        return read(self, *arguments, **named)

    monkeypatch.setattr(LedgerStore, "read", reading)
    end = frames(written(behind))[-1]
    assert isinstance(end, EndFrame)
    assert (end.entries, end.notes) == (18, 4)
    end = frames(written(behind))[-1]
    assert isinstance(end, EndFrame)
    assert (end.entries, end.notes) == (19, 5)
    behind.close()


def test_entries_that_are_replaced_meanwhile_are_not_mixed(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = founded("another").entries
    for entries, why in (
        ([*TOLD.entries[:2], other[2]], "entry 2 of .* does not continue the one before it"),
        (TOLD.entries[:5], "ended at 18 entries.* and now ends at 5 entries"),
    ):
        monkeypatch.setattr(LedgerStore, "read", lambda self, entries=entries, **named: iter(entries))
        with pytest.raises(BadExport, match=why):
            written(store)


# --- the file ---------------------------------------------------------------------------------------------
def test_a_file_is_there_whole_or_as_it_was(
    store: LedgerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "ledger.export"
    path.write_bytes(b"before")

    def failing(descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("hansa.ledger.export.os.fsync", failing)
    with pytest.raises(OSError, match="no space left"):
        export_to(store, path)
    assert [each.name for each in folder.iterdir()] == ["ledger.export"]
    assert path.read_bytes() == b"before"
    monkeypatch.undo()
    export_to(store, path)
    assert path.read_bytes() == TOLD.exported()


def test_a_folder_that_is_not_there_is_the_systems_own_error(store: LedgerStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        export_to(store, tmp_path / "nowhere" / "ledger.export")


# --- what is refused --------------------------------------------------------------------------------------
SMALL = founded()
SMALL.evidence = [("fork", b"one")]
CONTENT = SMALL.exported()


def raw(*plain: object) -> bytes:
    """Return a frame of anything."""
    content = encode(list(plain))  # type: ignore[arg-type]
    return len(content).to_bytes(4, "big") + content


REFUSED = {
    "nothing": (b"", "not an exported ledger"),
    "another file": (b"SQLite format 3\0", "not an exported ledger"),
    "no frames": (MAGIC, "the closing frame is missing"),
    "half a length": (MAGIC + b"\0\0", "expected the length of a frame, found 0000"),
    "no length": (MAGIC + bytes(4), "expected the length of a frame, found 00000000"),
    "too long": (MAGIC + (MOST_FRAME_BYTES + 1).to_bytes(4, "big"), "expected the length of a frame"),
    "half a frame": (MAGIC + b"\0\0\0\x09abc", "cut off in a frame of 9 bytes, of which 3 are left"),
    "another kind": (MAGIC + raw("entries", 1), "no frame is of this kind"),
    "an entry's fields": (
        MAGIC + raw("entry", "0", b"", b"", b"", b"", b""),
        "other fields than its kind has",
    ),
    "a truth for an index": (
        MAGIC + raw("entry", True, b"", b"", b"", b"", b""),
        "other fields than its kind",
    ),
    "a note's fields": (MAGIC + raw("note", "text"), "other fields than its kind has"),
    "truths for counts": (MAGIC + raw("end", False, 0, 0, bytes(32)), "other fields than its kind has"),
    "not canonical": (MAGIC + b"\0\0\0\x09\x92\xa4note\xc5\0\0", "not canonical|not a frame"),
    "another count": (
        MAGIC + raw("end", 1, 0, 0, bytes(32)),
        "says that it holds 1 entries.*it holds 0 entries",
    ),
    "another hash": (MAGIC + raw("end", 0, 0, 0, bytes(32)), "its closing hash is another"),
    "more after the end": (CONTENT + raw("note", b""), "note frames after the closing one"),
    "two ends": (CONTENT + raw("end", 0, 0, 0, b""), "end frames after the closing one"),
    "stray bytes": (CONTENT + b"\0", "expected the length of a frame, found 00"),
    "a note before an entry": (
        exported([], [b"note"])[: -len(raw("end", 0, 1, 0, bytes(32)))]
        + raw("entry", 0, b"", b"", b"", b"", b""),
        "entry frames don't come after note frames",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_no_export_is_refused_in_words(case: str) -> None:
    content, why = REFUSED[case]
    with pytest.raises(BadExport, match=why):
        frames(content)


def test_a_frame_that_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(BadExport, match="a frame has at most"):
        ExportWriter(io.BytesIO()).frame("note", bytes(MOST_FRAME_BYTES))


def test_evidence_may_hold_a_whole_envelope() -> None:
    evidence = ("equivocation", bytes(2**20))
    assert frames(exported([], [], [evidence]))[0] == EvidenceFrame(*evidence)


def test_there_is_a_bound_on_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_EVIDENCE", 2)
    with pytest.raises(BadExport, match="more than 2 pieces of evidence"):
        frames(exported([], [], [("fork", b"a"), ("fork", b"b"), ("fork", b"c")]))


def test_a_cut_at_any_byte_is_found() -> None:
    for length in range(0, len(CONTENT), 5):
        with pytest.raises(BadExport):
            frames(CONTENT[:length])


def test_a_flip_of_any_byte_is_found() -> None:
    content = founded(members=()).exported()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        with pytest.raises(BadExport):
            frames(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused_by_the_houses_own_error(content: bytes) -> None:
    for start in (b"", MAGIC, MAGIC + len(content).to_bytes(4, "big"), CONTENT[:-60]):
        with pytest.raises(BadExport):
            frames(start + content)
