"""Which tasks are under way for the roles? Each journalled when it is asked for, and dropped when it has ended.

So a restart runs it again: the same inputs and seed give the same result.
"""

from collections.abc import Callable

from hansa.agents.core import wire
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import pack_row, unpack_row
from hansa.agents.core.workshop import Ended, Workshop
from hansa.broker import Plain, attach, decode, detach, encode, refs
from hansa.protocols import Compute, ProtocolSpec, Workbench

Bench = Callable[[], Workbench]


class Labour:
    """The tasks of one agent's roles, by session and id."""

    def __init__(self, desk: Desk, blobs: BlobStore, workshop: Workshop, detach_bytes: int) -> None:
        self._desk = desk
        self._blobs = blobs
        self._workshop = workshop
        self._detach_bytes = detach_bytes
        self._tasks: set[tuple[str, str]] = set()

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

    def resume(self, session: str, task_id: str, value: bytes, spec: ProtocolSpec, bench: Bench) -> None:
        """Run a journalled task again.

        Raises:
            CorruptBlob: an array of its inputs is lost.
        """
        function, seed, inputs = wire.parts(attach(decode(value), self._blobs.load))
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

    def forget_row(self, key: bytes) -> None:
        """Drop a journalled task that can't be run again."""
        self._desk.changes.drop("task", key)
        self._blobs.use("task", key, ())

    def _run(self, session: str, spec: ProtocolSpec, effect: Compute, bench: Bench) -> None:
        self._tasks.add((session, effect.task_id))
        self._workshop.start(session, spec.tasks[effect.function], effect, bench)

    def _drop(self, session: str, task_id: str) -> None:
        self._tasks.remove((session, task_id))
        self.forget_row(pack_row(session, task_id))


def session_of(key: bytes) -> str:
    """Return the job that a journalled task is of."""
    return str(unpack_row(key)[0])
