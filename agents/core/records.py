"""What do jobs leave here? What our role ended with, and what it has kept for a job that goes on from it."""

from collections.abc import Callable
from typing import Any

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import JobSpec
from hansa.agents.errors import JobError
from hansa.broker import ArrayRef, attach, decode, detach, encode, refs
from hansa.protocols import protocol


class Records:
    """One record of each kind for a job, by its name.

    Args:
        spec_of: the job of a name, by whose protocol its records are read.
    """

    def __init__(
        self,
        desk: Desk,
        blobs: BlobStore,
        journal: Journal,
        detach_bytes: int,
        spec_of: Callable[[str], JobSpec],
    ) -> None:
        self._desk = desk
        self._blobs = blobs
        self._journal = journal
        self._detach_bytes = detach_bytes
        self._spec_of = spec_of
        for space in ("result", "kept"):
            for key, value in journal.load(space).items():
                blobs.use(space, key, refs(decode(value)))

    def result(self, job: str) -> Any:
        """Return what our role ended with.

        Raises:
            JobError: nothing, or not yet.
            CorruptBlob: it is damaged.
        """
        value = self._journal.load("result").get(job.encode())
        if value is None:
            raise JobError(f"job {job!r} has left no result at {self._desk.name}")
        return self._read(value, protocol(self._spec_of(job).protocol).results)

    def kept(self, job: str) -> Any:
        """Return what our role kept of a job that ended without a result, or None.

        Raises:
            CorruptBlob: it is damaged.
        """
        value = self._journal.load("kept").get(job.encode())
        return None if value is None else self._read(value, protocol(self._spec_of(job).protocol).kept)

    def with_result(self) -> set[str]:
        """Return the jobs that have left a result."""
        return {key.decode() for key in self._journal.load("result")}

    def finish(self, job: str, result: object) -> None:
        """Keep what our role ended with, for good; what it has kept until then is needed no more."""
        self._blobs.secure(self._write("result", job, result))
        self.drop_kept(job)

    def keep(self, job: str, record: object) -> None:
        """Keep a record in place of the one before."""
        self._write("kept", job, record)

    def drop_kept(self, job: str) -> None:
        """Forget what our role has kept, if anything."""
        self._desk.changes.drop("kept", job.encode())
        self._blobs.use("kept", job.encode(), ())

    def _read(self, value: bytes, classes: tuple[type, ...]) -> Any:
        return wire.restore(attach(decode(value), self._blobs.load), classes)

    def _write(self, space: str, job: str, record: object) -> tuple[ArrayRef, ...]:
        """Write a record; return the references of its large arrays."""
        plain = detach(wire.snapshot(record), self._blobs.keep, self._detach_bytes)
        self._desk.changes.put(space, job.encode(), encode(plain))
        arrays = refs(plain)
        self._blobs.use(space, job.encode(), arrays)
        return arrays
