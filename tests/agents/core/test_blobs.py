"""Large arrays: sealed once, whole again, and gone exactly when the last row lets go of them."""

import gc
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.agents.core import blobs
from hansa.agents.core.blobs import Array, BlobStore, Chunk, ChunkFiles, DiskFiles, MemoryFiles
from hansa.agents.errors import JournalError
from hansa.broker.chunks import CHUNK_BYTES, ArrayRef
from hansa.broker.errors import CorruptBlob

ROW = b"row"


@pytest.fixture(params=["memory", "disk", "disk, nothing remembered"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChunkFiles:
    if request.param == "memory":
        return MemoryFiles()
    if request.param == "disk, nothing remembered":
        monkeypatch.setattr(blobs, "RECENT_BYTES", 0)
    return DiskFiles(tmp_path / "chunks")


def weights(size: int = 1_000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=size)


def reopened(store: BlobStore, files: ChunkFiles) -> BlobStore:
    """Return a store over the same files that remembers nothing, as after a restart."""
    store.flush()
    return BlobStore(files)


class CountingFiles(MemoryFiles):
    """Chunks in memory, and how many were ever written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        self.writes += 1
        super().write(blob_id, index, chunk, durable)


# --- files, both kinds ----------------------------------------------------------------------------------
def test_a_chunk_is_read_as_it_was_written(files: ChunkFiles) -> None:
    files.write(b"a" * 16, 0, b"one")
    files.write(b"a" * 16, 1, b"two")
    files.write(b"b" * 16, 0, b"")
    files.flush()
    assert [files.read(b"a" * 16, index) for index in (0, 1)] == [b"one", b"two"]
    assert files.read(b"b" * 16, 0) == b""
    assert sorted(files.ids()) == [b"a" * 16, b"b" * 16]


def test_a_chunk_written_again_replaces_the_shorter_and_the_longer(files: ChunkFiles) -> None:
    for chunk in (b"some bytes", b"few", b"many more bytes"):
        files.write(b"a" * 16, 0, chunk)
        assert files.read(b"a" * 16, 0) == chunk


@pytest.mark.parametrize("place", [(b"a" * 16, 1), (b"b" * 16, 0)])
def test_a_chunk_that_is_not_there_is_missing_by_name(files: ChunkFiles, place: tuple[bytes, int]) -> None:
    files.write(b"a" * 16, 0, b"one")
    with pytest.raises(CorruptBlob, match=f"blob {place[0].hex()}: chunk {place[1]} is missing"):
        files.read(*place)


def test_removing_a_blob_removes_all_its_chunks_and_no_others(files: ChunkFiles) -> None:
    for blob_id in (b"a" * 16, b"b" * 16):
        for index in range(3):
            files.write(blob_id, index, b"chunk")
    files.remove(b"a" * 16)
    files.remove(b"c" * 16)  # unknown: nothing to do
    assert files.ids() == [b"b" * 16]
    with pytest.raises(CorruptBlob):
        files.read(b"a" * 16, 2)


def test_flushing_twice_or_with_nothing_written_is_fine(files: ChunkFiles) -> None:
    files.flush()
    files.write(b"a" * 16, 0, b"one")
    files.flush()
    files.flush()
    assert files.read(b"a" * 16, 0) == b"one"


def test_a_chunk_need_not_be_durable_to_be_read(files: ChunkFiles) -> None:
    files.write(b"a" * 16, 0, b"one", durable=False)
    assert files.read(b"a" * 16, 0) == b"one"
    files.secure(b"a" * 16)
    files.secure(b"b" * 16)  # unknown: nothing to do
    files.flush()
    assert files.read(b"a" * 16, 0) == b"one"


# --- the store, over both kinds -------------------------------------------------------------------------
@pytest.mark.parametrize(
    "array",
    [
        weights(),
        weights().astype(np.float32).reshape(10, 4, 25),
        np.asfortranarray(weights().reshape(20, 50)),
        weights()[::-3],
        np.arange(300, dtype=">i4"),
        np.array([True, False]),
        np.array(1.5),
        np.empty((0, 7)),
        np.arange(2 * CHUNK_BYTES // 8 + 3, dtype=np.uint64),
    ],
    ids=[
        "float64",
        "float32",
        "Fortran order",
        "strided",
        "big-endian",
        "bool",
        "no axis",
        "empty",
        "three chunks",
    ],
)
def test_what_is_kept_is_loaded_after_a_restart(files: ChunkFiles, array: Array) -> None:
    store = BlobStore(files)
    ref = store.keep(array)
    loaded = reopened(store, files).load(ref)
    assert loaded.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(loaded, array)
    assert loaded.shape == array.shape
    assert not loaded.flags.writeable


def test_keeping_an_array_freezes_it(files: ChunkFiles) -> None:
    array = weights()
    BlobStore(files).keep(array)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


def test_an_array_is_sealed_once_while_somebody_holds_it() -> None:
    files = CountingFiles()
    store = BlobStore(files)
    array = weights()
    ref = store.keep(array)
    assert store.keep(array) is ref
    assert store.load(ref) is array
    assert files.writes == 1


def test_what_a_message_brought_is_not_sealed_again_for_the_snapshot() -> None:
    files = CountingFiles()
    sender = BlobStore(files)
    ref = sender.keep(weights())
    receiver = reopened(sender, files)
    brought = receiver.load(ref)
    assert receiver.keep(brought) == ref
    assert receiver.load(ref) is brought
    assert files.writes == 1


def test_an_equal_array_in_another_place_is_another_blob() -> None:
    store = BlobStore(MemoryFiles())
    array = weights()
    one, other = store.keep(array), store.keep(array.copy())
    assert one.blob_id != other.blob_id
    assert one.key != other.key
    assert one.digest == other.digest


def test_a_new_array_where_a_dead_one_lay_is_not_taken_for_it() -> None:
    store = BlobStore(MemoryFiles())
    refs: dict[int, ArrayRef] = {}
    for seed in range(200):
        refs[seed] = store.keep(weights(10, seed))  # dies at once; the next often gets its address
    gc.collect()
    assert len({ref.blob_id for ref in refs.values()}) == 200
    for seed, ref in refs.items():
        assert np.array_equal(store.load(ref), weights(10, seed))


def test_a_ref_with_another_key_does_not_open_what_is_already_in_memory() -> None:
    store = BlobStore(MemoryFiles())
    array = weights()
    ref = store.keep(array)
    forged = ArrayRef(ref.blob_id, bytes(32), ref.digest, ref.dtype, ref.shape)
    with pytest.raises(CorruptBlob):
        store.load(forged)
    assert store.load(ref) is array


# --- damage ---------------------------------------------------------------------------------------------
@pytest.fixture
def three_chunks(files: ChunkFiles) -> tuple[ChunkFiles, ArrayRef]:
    store = BlobStore(files)
    ref = store.keep(np.zeros(2 * CHUNK_BYTES + 1, dtype=np.uint8))
    store.flush()
    return files, ref


def test_a_missing_chunk_is_a_corrupt_blob(files: ChunkFiles) -> None:
    ref = BlobStore(MemoryFiles()).keep(weights())
    with pytest.raises(CorruptBlob, match=f"{ref.blob_id.hex()}: chunk 0 is missing"):
        BlobStore(files).load(ref)


@pytest.mark.parametrize("place", [0, 8_000, -1])
def test_an_altered_byte_is_a_corrupt_blob(files: ChunkFiles, place: int) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    chunk = bytearray(files.read(ref.blob_id, 0))
    chunk[place] ^= 1
    files.write(ref.blob_id, 0, bytes(chunk))
    with pytest.raises(CorruptBlob):
        reopened(store, files).load(ref)


def test_a_chunk_cut_short_is_a_corrupt_blob(files: ChunkFiles) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    files.write(ref.blob_id, 0, files.read(ref.blob_id, 0)[:-1])
    with pytest.raises(CorruptBlob):
        reopened(store, files).load(ref)


def test_swapped_chunks_are_a_corrupt_blob(three_chunks: tuple[ChunkFiles, ArrayRef]) -> None:
    files, ref = three_chunks
    first, second = files.read(ref.blob_id, 0), files.read(ref.blob_id, 1)
    files.write(ref.blob_id, 0, second)
    files.write(ref.blob_id, 1, first)
    with pytest.raises(CorruptBlob):
        BlobStore(files).load(ref)


def test_chunks_of_another_blob_are_a_corrupt_blob(files: ChunkFiles) -> None:
    store = BlobStore(files)
    one, other = store.keep(weights(seed=1)), store.keep(weights(seed=2))
    files.write(one.blob_id, 0, files.read(other.blob_id, 0))
    with pytest.raises(CorruptBlob):
        reopened(store, files).load(one)


def test_a_ref_with_another_digest_is_a_corrupt_blob(files: ChunkFiles) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    lying = ArrayRef(ref.blob_id, ref.key, bytes(32), ref.dtype, ref.shape)
    with pytest.raises(CorruptBlob):
        reopened(store, files).load(lying)


# --- who still needs it ---------------------------------------------------------------------------------
def test_what_nobody_uses_goes_with_the_next_sweep(files: ChunkFiles) -> None:
    store = BlobStore(files)
    array = weights()
    ref = store.keep(array)
    store.sweep()
    assert files.ids() == []
    again = store.keep(array)  # the array is still here, but its file is not
    assert again.blob_id != ref.blob_id
    assert np.array_equal(reopened(store, files).load(again), array)


def test_what_a_row_uses_stays_until_that_row_lets_go(files: ChunkFiles) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    store.use("machine", ROW, [ref])
    store.sweep()
    assert files.ids() == [ref.blob_id]
    store.use("machine", ROW, ())
    assert files.ids() == [ref.blob_id]  # not before the commit
    store.sweep()
    assert files.ids() == []


def test_what_two_rows_use_stays_until_both_let_go(files: ChunkFiles) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    store.use("machine", ROW, [ref, ref])
    store.use("outbox", ROW, [ref])
    store.use("machine", ROW, ())
    store.sweep()
    assert files.ids() == [ref.blob_id]
    store.use("outbox", ROW, ())
    store.sweep()
    assert files.ids() == []


def test_a_row_that_changes_keeps_what_it_still_names(files: ChunkFiles) -> None:
    store = BlobStore(files)
    one, two, three = (store.keep(weights(seed=seed)) for seed in range(3))
    store.use("machine", ROW, [one, two])
    store.use("machine", ROW, [two, three])
    store.sweep()
    assert sorted(files.ids()) == sorted([two.blob_id, three.blob_id])


def test_a_blob_dropped_and_used_again_before_the_sweep_stays(files: ChunkFiles) -> None:
    store = BlobStore(files)
    ref = store.keep(weights())
    store.use("task", ROW, [ref])
    store.use("task", ROW, ())
    store.use("result", ROW, [ref])
    store.sweep()
    assert files.ids() == [ref.blob_id]


def test_a_chunk_from_a_peer_stays_once_it_is_used_and_goes_otherwise(files: ChunkFiles) -> None:
    peer = BlobStore(MemoryFiles())
    ref = peer.keep(weights())
    chunk = peer.read_chunk(ref.blob_id, 0)
    store = BlobStore(files)
    store.write_chunk(ref.blob_id, 0, chunk)
    store.sweep()
    assert files.ids() == []
    store.write_chunk(ref.blob_id, 0, chunk)
    store.use_ids("chunk", ref.blob_id, [ref.blob_id])
    store.write_chunk(ref.blob_id, 0, chunk)  # delivered twice
    store.sweep()
    assert files.ids() == [ref.blob_id]
    assert np.array_equal(store.load(ref), weights())


def test_after_a_restart_what_no_row_names_is_an_orphan_and_goes(files: ChunkFiles) -> None:
    store = BlobStore(files)
    kept, orphan = store.keep(weights(seed=1)), store.keep(weights(seed=2))
    again = reopened(store, files)
    again.use("machine", ROW, [kept])
    again.sweep()
    assert len(files.ids()) == 2  # nothing goes before the rows are all known
    again.adopt_orphans()
    again.sweep()
    assert files.ids() == [kept.blob_id]
    with pytest.raises(CorruptBlob):
        again.load(orphan)


STEPS = st.lists(
    st.tuples(st.sampled_from(["machine", "task", "outbox"]), st.sets(st.integers(0, 3)), st.booleans()),
    max_size=12,
)


# Each example sweeps away all that it wrote, so that sharing the fixture is safe.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_file_is_there_exactly_while_some_row_names_it(
    files: ChunkFiles, steps: list[tuple[str, set[int], bool]]
) -> None:
    store = BlobStore(files)
    arrays = [weights(4, seed) for seed in range(4)]
    rows: dict[str, set[bytes]] = {}
    for space, wanted, sweeps in steps:
        refs = [store.keep(arrays[number]) for number in sorted(wanted)]
        store.use(space, ROW, refs)
        rows[space] = {ref.blob_id for ref in refs}
        if sweeps:
            store.sweep()
            assert set(files.ids()) == set().union(*rows.values())
    for space in rows:
        store.use(space, ROW, ())
    store.sweep()
    assert files.ids() == []


def open_descriptors() -> int:
    """Return how many files this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


# --- on disk --------------------------------------------------------------------------------------------
def test_neither_values_nor_keys_can_be_read_on_the_disk(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path / "chunks")
    array = np.frombuffer(b"nobody may read this on the disk" * 300, dtype=np.uint8)
    ref = BlobStore(files).keep(array)
    files.flush()
    [file] = (tmp_path / "chunks").iterdir()
    content = file.read_bytes()
    assert len(content) > array.nbytes
    assert b"nobody m" not in content
    assert ref.key not in content
    assert ref.digest not in content


def test_files_and_folder_are_their_owners_only(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path / "home" / "chunks")
    files.write(b"a" * 16, 0, b"one")
    files.flush()
    assert stat.S_IMODE((tmp_path / "home" / "chunks").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "home" / "chunks" / f"{'61' * 16}.0").stat().st_mode) == 0o600


def test_a_folder_is_taken_up_again_and_strange_files_in_it_are_left_alone(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    for index in (0, 10):
        files.write(b"a" * 16, index, b"chunk")
    files.flush()
    (tmp_path / ".DS_Store").write_bytes(b"")
    again = DiskFiles(tmp_path)
    assert again.ids() == [b"a" * 16]
    again.remove(b"a" * 16)
    assert [file.name for file in tmp_path.iterdir()] == [".DS_Store"]


def test_a_large_array_does_not_use_up_the_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "MAX_OPEN_FILES", 8)
    files = DiskFiles(tmp_path)
    before = open_descriptors()
    for index in range(100):
        files.write(b"a" * 16, index, b"chunk")
        assert open_descriptors() <= before + 7
    files.flush()
    assert open_descriptors() == before


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hansa.agents.core.blobs.os.write", refuse)
        patch.setattr("hansa.agents.core.blobs.os.fsync", refuse)
        yield


def test_only_so_many_bytes_of_recent_chunks_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "RECENT_BYTES", 10)
    files = DiskFiles(tmp_path)
    for index in (0, 1, 0, 2):  # the first is written again, and so more recent than the second
        files.write(b"a" * 16, index, b"chunk")
    for file in tmp_path.iterdir():
        file.unlink()
    assert files.read(b"a" * 16, 0) == files.read(b"a" * 16, 2) == b"chunk"
    with pytest.raises(CorruptBlob, match="chunk 1 is missing"):
        files.read(b"a" * 16, 1)
    files.remove(b"a" * 16)
    with pytest.raises(CorruptBlob, match="chunk 0 is missing"):
        files.read(b"a" * 16, 0)


def test_a_full_disk_is_a_journal_error_that_names_the_file(tmp_path: Path, full_disk: None) -> None:
    files = DiskFiles(tmp_path)
    before = open_descriptors()
    with pytest.raises(JournalError, match=r"61\.0: cannot write the chunk: No space left on device"):
        files.write(b"a" * 16, 0, b"one")
    assert open_descriptors() == before


def test_a_disk_that_does_not_sync_is_a_journal_error(tmp_path: Path, full_disk: None) -> None:
    files = DiskFiles(tmp_path)
    files.write(b"a" * 16, 0, b"")
    with pytest.raises(JournalError, match="cannot write the chunks: No space left on device"):
        files.flush()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the inodes of what was fsynced, as it happens."""
    inodes: list[int] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        inodes.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr("hansa.agents.core.blobs.os.fsync", spy)
    return inodes


def inode(folder: Path, index: int) -> int:
    return (folder / f"{'61' * 16}.{index}").stat().st_ino


def test_what_we_made_is_synced_by_the_flush_and_its_folder_last(tmp_path: Path, synced: list[int]) -> None:
    files = DiskFiles(tmp_path)
    for index in range(2):
        files.write(b"a" * 16, index, b"chunk")
    assert synced == []
    files.flush()
    assert set(synced[:-1]) == {inode(tmp_path, 0), inode(tmp_path, 1)}
    assert synced[-1] == tmp_path.stat().st_ino


def test_a_peers_chunks_are_synced_once_they_are_to_be_kept(tmp_path: Path, synced: list[int]) -> None:
    store = BlobStore(files := DiskFiles(tmp_path))
    ref = BlobStore(MemoryFiles()).keep(np.zeros(CHUNK_BYTES + 1, dtype=np.uint8))
    peers = ArrayRef(b"a" * 16, ref.key, ref.digest, ref.dtype, ref.shape)
    for index in range(peers.chunk_count):
        store.write_chunk(peers.blob_id, index, b"chunk")
    store.flush()
    assert synced == []
    store.secure([peers])
    store.flush()
    assert set(synced[:-1]) == {inode(tmp_path, 0), inode(tmp_path, 1)}
    synced.clear()
    store.secure([peers])  # safe already
    store.flush()
    assert synced == []
    files.remove(b"a" * 16)


def test_after_a_restart_nobody_knows_what_was_synced(tmp_path: Path, synced: list[int]) -> None:
    earlier = DiskFiles(tmp_path)
    earlier.write(b"a" * 16, 0, b"chunk", durable=False)
    earlier.flush()
    files = DiskFiles(tmp_path)
    files.secure(b"a" * 16)
    files.flush()
    assert synced[0] == inode(tmp_path, 0)


def test_a_chunk_that_is_lost_before_it_was_secured_is_a_journal_error(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.write(b"a" * 16, 0, b"chunk", durable=False)
    files.flush()
    (tmp_path / f"{'61' * 16}.0").unlink()
    with pytest.raises(JournalError, match="cannot open the chunk: No such file"):
        files.secure(b"a" * 16)


def test_a_peers_chunk_is_in_its_file_after_the_flush_and_not_before(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.write(b"a" * 16, 0, b"chunk", durable=False)
    assert list(tmp_path.iterdir()) == []
    files.flush()
    assert (tmp_path / f"{'61' * 16}.0").read_bytes() == b"chunk"
    files.write(b"a" * 16, 0, b"another", durable=False)
    files.write(b"a" * 16, 0, b"ours")  # at once, and for good
    assert (tmp_path / f"{'61' * 16}.0").read_bytes() == b"ours"
    files.flush()
    assert (tmp_path / f"{'61' * 16}.0").read_bytes() == b"ours"


def test_a_peers_chunk_that_its_message_has_used_up_is_never_written(tmp_path: Path) -> None:
    store = BlobStore(DiskFiles(tmp_path))
    store.write_chunk(b"a" * 16, 0, b"chunk")
    store.use_ids("chunk", b"a" * 16, [b"a" * 16])
    store.use_ids("chunk", b"a" * 16, [])
    store.flush()
    assert list(tmp_path.iterdir()) == []
    store.sweep()
    store.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_peers_chunk_that_is_not_written_yet_may_be_linked_and_removed(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.write(b"a" * 16, 0, b"chunk", durable=False)
    files.link(b"a" * 16, b"b" * 16)
    files.remove(b"a" * 16)
    assert files.read(b"b" * 16, 0) == b"chunk"
    files.flush()
    assert [file.name for file in tmp_path.iterdir()] == [f"{'62' * 16}.0"]
    files.link(b"b" * 16, b"c" * 16)
    assert (tmp_path / f"{'63' * 16}.0").stat().st_nlink == 2


def test_a_chunk_that_was_linked_before_a_crash_is_linked_already(tmp_path: Path) -> None:
    earlier = DiskFiles(tmp_path)
    earlier.write(b"a" * 16, 0, b"chunk", durable=False)
    earlier.flush()
    files = DiskFiles(tmp_path)
    earlier.link(b"a" * 16, b"b" * 16)
    files.link(b"a" * 16, b"b" * 16)
    assert files.read(b"b" * 16, 0) == b"chunk"


def test_a_chunk_that_cannot_be_linked_is_a_journal_error(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.write(b"a" * 16, 0, b"chunk", durable=False)
    files.flush()
    (tmp_path / f"{'61' * 16}.0").unlink()
    with pytest.raises(JournalError, match=r"62\.0: cannot link the chunk: No such file"):
        files.link(b"a" * 16, b"b" * 16)


def test_what_waits_for_the_flush_is_written_when_it_grows_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "RECENT_BYTES", 10)
    files = DiskFiles(tmp_path)
    for index in range(3):
        files.write(b"a" * 16, index, b"chunk", durable=False)
    assert [file.name for file in tmp_path.iterdir()] == [f"{'61' * 16}.0"]
    assert files.read(b"a" * 16, 0) == b"chunk"


@pytest.mark.parametrize(("platform", "files"), [("linux", 1), ("darwin", 0)])
def test_linux_is_asked_to_begin_writing_what_will_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, files: int
) -> None:
    hastened: list[int] = []
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("os.posix_fadvise", lambda *asked: hastened.append(asked[0]), raising=False)
    DiskFiles(tmp_path).write(b"a" * 16, 0, b"chunk")
    DiskFiles(tmp_path).write(b"b" * 16, 0, b"chunk", durable=False)
    assert len(hastened) == files


def test_a_chunk_that_cannot_be_read_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / f"{'61' * 16}.0").mkdir()
    with pytest.raises(JournalError, match="cannot read the chunk: Is a directory"):
        DiskFiles(tmp_path).read(b"a" * 16, 0)


def test_a_folder_that_cannot_be_made_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / "chunks").write_bytes(b"")
    with pytest.raises(JournalError, match="cannot open the folder of chunks: File exists"):
        DiskFiles(tmp_path / "chunks")
