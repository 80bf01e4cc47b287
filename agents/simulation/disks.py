"""What does a simulated agent find again after a kill? What was durable, and nothing else."""

from collections.abc import Collection
from typing import Any

from hansa.agents.core.blobs import Chunk, MemoryFiles
from hansa.agents.core.journal import RESTORED, Changes, MemoryJournal, pack_row, unpack_row
from hansa.agents.simulation.weather import Weather
from hansa.ledger import DatasetRegistered, LedgerStore, decode_body, read_entry
from hansa.ledger.notes import Note


class Files(MemoryFiles):
    """A disk: a kill takes what was not flushed yet; a power failure, what was not meant to be durable too."""

    def __init__(self, weather: Weather, name: str) -> None:
        super().__init__()
        self._weather, self._name = weather, name
        self._unsafe: dict[tuple[bytes, int], Chunk] = {}
        self._unsynced: set[bytes] = set()

    def write(self, blob_id: bytes, index: int, chunk: Chunk, durable: bool = True) -> None:
        self._unsafe[blob_id, index] = chunk
        if not durable:
            self._unsynced.add(blob_id)

    def read(self, blob_id: bytes, index: int) -> Chunk:
        unsafe = self._unsafe.get((blob_id, index))
        return super().read(blob_id, index) if unsafe is None else unsafe

    def flush(self, needless: Collection[bytes] = ()) -> None:
        for (blob_id, index), chunk in self._unsafe.items():
            if blob_id not in needless:
                self._weather.may_crash(self._name, "flush")
                super().write(blob_id, index, chunk)
        self._unsafe.clear()

    def secure(self, blob_id: bytes) -> None:
        self._unsynced.discard(blob_id)

    def link(self, source: bytes, blob_id: bytes) -> None:
        super().link(source, blob_id)
        for index in [index for origin, index in self._unsafe if origin == source]:
            self._unsafe.setdefault((blob_id, index), self._unsafe[source, index])
        self._unsynced.add(blob_id)

    def remove(self, blob_id: bytes) -> None:
        for place in [place for place in self._unsafe if place[0] == blob_id]:
            del self._unsafe[place]
        self._unsynced.discard(blob_id)
        super().remove(blob_id)

    def copy(self) -> dict[bytes, dict[int, Chunk]]:
        """Return what is on it."""
        return {blob_id: dict(chunks) for blob_id, chunks in self._chunks.items()}

    def become(self, chunks: dict[bytes, dict[int, Chunk]]) -> None:
        """Hold what another one held."""
        self._chunks = {blob_id: dict(each) for blob_id, each in chunks.items()}
        self._unsynced.clear()

    def fail(self, power: bool) -> None:
        """Lose what the kill takes."""
        self._unsafe.clear()
        for blob_id in list(self._unsynced) if power else ():
            self.remove(blob_id)


class Journal(MemoryJournal):
    def __init__(self, weather: Weather, name: str) -> None:
        super().__init__()
        self._weather, self._name = weather, name
        self.most_early = 0  # messages that waited for a start at once
        self.pledged: list[str] = []  # the heads that its agent put its name to, over all its lives
        self.registered: set[str] = set()  # the data sets that its agent has signed on the ledger

    def commit(self, changes: Changes) -> None:
        self._weather.may_crash(self._name, "before commit")
        super().commit(changes)
        self.pledged += [value.decode() for space, _, value in changes if space == "pledge" and value]
        for space, _, value in changes:
            if space == "awaited" and value:
                self._note_signed(value)
        self.most_early = max(self.most_early, len(self._spaces.get("early", ())))
        self._weather.may_crash(self._name, "after commit")

    def _note_signed(self, row: bytes) -> None:
        _, _, signed, _ = unpack_row(row)
        fields = read_entry(signed)
        body = decode_body(fields.kind, fields.schema, fields.body)
        if isinstance(body, DatasetRegistered):
            self.registered.add(body.dataset)

    def copy(self) -> dict[str, dict[bytes, bytes]]:
        """Return all rows."""
        return {space: dict(rows) for space, rows in self._spaces.items()}

    def become(self, spaces: dict[str, dict[bytes, bytes]], at_ms: int) -> None:
        """Hold what was backed up, marked as restored."""
        self._spaces = {space: dict(rows) for space, rows in spaces.items()}
        space, key = RESTORED
        self._spaces.setdefault(space, {})[key] = pack_row(at_ms, [])


class Store:
    """A ledger store whose process may be killed around an append.

    Args:
        held: where the hashes are noted, by index, of what was ever stored; None: nowhere.
    """

    def __init__(
        self, weather: Weather, name: str, store: LedgerStore, held: dict[int, set[bytes]] | None
    ) -> None:
        self._weather, self._name, self._store, self._held = weather, name, store, held

    def append(self, *arguments: Any) -> None:
        self._weather.may_crash(self._name, "before append")
        self._store.append(*arguments)
        if self._held is not None:
            for entry in arguments[0]:
                self._held.setdefault(entry.index, set()).add(entry.hash)
        self._weather.may_crash(self._name, "after append")

    def set_aside(self, size: int) -> int:
        self._weather.may_crash(self._name, "before setting aside")
        count = self._store.set_aside(size)
        self._weather.may_crash(self._name, "after setting aside")
        return count

    def add_checkpoint(self, note: Note) -> bool:
        self._weather.may_crash(self._name, "before checkpoint")
        added = self._store.add_checkpoint(note)
        self._weather.may_crash(self._name, "after checkpoint")
        return added

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
