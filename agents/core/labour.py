"""Which tasks are under way for the roles? Each journalled when it is asked for, and dropped when it has ended.

So a restart runs it again: the same inputs and seed give the same result.
"""

from collections.abc import Callable

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.agents.core.workshop import Ended, Workshop
from hansa.broker import Plain, attach, decode, detach, encode, refs
from hansa.protocols import Compute, ProtocolSpec, Workbench

Bench = Callable[[], Workbench]


class Labour:
    """The tasks of one agent's roles, by session and id; those the journal has wait for their role (`resume`)."""

    def __init__(
        self, desk: Desk, blobs: BlobStore, journal: Journal, workshop: Workshop, detach_bytes: int
    ) -> None:
        self._desk = desk
        self._blobs = blobs
        self._workshop = workshop
        self._detach_bytes = detach_bytes
        self._tasks: set[tuple[str, str]] = set()
        self._interrupted: dict[str, dict[str, Plain]] = {}  # by session and id, until their role is back
        for key, value in journal.load("task").items():
            session, task_id = unpack_row(key)
            plain = decode(value)
            blobs.use("task", key, refs(plain))
            self._tasks.add((session, task_id))
            self._interrupted.setdefault(session, {})[task_id] = plain

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin(self, session: str, spec: ProtocolSpec, effect: Compute, bench: Bench) -> None:
        """Note a task, and run it; one of the same name is replaced."""
        key = pack_row(session, effect.task_id)
        row: list[Plain] = [effect.function, effect.seed, wire.snapshot(effect.inputs)]
        detached = detach(row, self._blobs.keep, self._detach_bytes)
        self._desk.changes.put("task", key, encode(detached))
        self._blobs.use("task", key, refs(detached))
        self._run(session, spec, effect, bench)

    def resume(self, session: str, spec: ProtocolSpec, bench: Bench) -> None:
        """Run the journalled tasks of a role again.

        Raises:
            CorruptBlob: an array of their inputs is lost.
        """
        for task_id, plain in self._interrupted.pop(session, {}).items():
            function, seed, inputs = wire.parts(attach(plain, self._blobs.load))
            given = wire.restore(inputs, [spec.tasks[function].inputs])
            self._run(session, spec, Compute(task_id, function, given, seed), bench)

    def ended(self, ended: Ended) -> bool:
        """Drop a task that has ended; False if nobody waits for it: its role is over, or it was replaced."""
        if (ended.session, ended.task_id) not in self._tasks:
            return False
        self._drop(ended.session, ended.task_id)
        return True

    def stop(self, session: str) -> None:
        """Drop all tasks of a job, and what they were lent."""
        for task in [task for task in self._tasks if task[0] == session]:
            self._drop(*task)
        self._workshop.forget(session)

    def _run(self, session: str, spec: ProtocolSpec, effect: Compute, bench: Bench) -> None:
        self._tasks.add((session, effect.task_id))
        self._workshop.start(session, spec.tasks[effect.function], effect, bench)

    def _drop(self, session: str, task_id: str) -> None:
        self._tasks.remove((session, task_id))
        key = pack_row(session, task_id)
        self._desk.changes.drop("task", key)
        self._blobs.use("task", key, ())
