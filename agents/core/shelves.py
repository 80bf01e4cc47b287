"""How do worker processes come to our rows without a copy each? They find them in files, mapped into memory.

The files lie in a folder of the home that only its user can read, from a job's first task to its end, or the
agent's; one that was killed leaves them, and empties the folder when it starts again.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hansa.agents.data.benches import AlignedWorkbench
from hansa.protocols import Array, BareWorkbench, FloatArray, Workbench
from hansa.protocols.preparation import Preparation

PARTS = ("X-training", "y-training", "X-holdout", "y-holdout")


@dataclass(frozen=True, slots=True)
class ShelvedWorkbench(BareWorkbench):
    """Rows in files, one for each array."""

    folder: Path
    prepared: Preparation

    kind = "a shelf of rows"

    def training(self) -> tuple[FloatArray, Array]:
        """Return the rows to train on."""
        return self._array(PARTS[0]), self._array(PARTS[1])

    def holdout(self) -> tuple[FloatArray, Array]:
        """Return the rows to evaluate on."""
        return self._array(PARTS[2]), self._array(PARTS[3])

    def preparation(self) -> Preparation:
        """Return how columns became features."""
        return self.prepared

    def _array(self, name: str) -> Array:
        array: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array


class Shelves:
    """The rows that jobs are at work on, by session.

    Args:
        folder: where files may lie; None: benches are passed as they are.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._benches: dict[str, Future[Workbench]] = {}
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def bench(self, session: str, make: Callable[[], Workbench], executor: Executor) -> "Future[Workbench]":
        """Return a job's bench, to be made by the executor if this is its first task."""
        with self._lock:
            if session not in self._benches:
                self._benches[session] = executor.submit(self._shelve, session, make)
            return self._benches[session]

    def clear(self, session: str) -> None:
        """Put a job's rows away, now or when they have been laid out."""
        with self._lock:
            found = self._benches.pop(session, None)
        if found is not None:
            found.add_done_callback(_put_away)

    def close(self) -> None:
        """Put all rows away."""
        for session in list(self._benches):
            self.clear(session)

    def _shelve(self, session: str, make: Callable[[], Workbench]) -> Workbench:
        bench = make()
        if self._folder is None or not isinstance(bench, AlignedWorkbench):
            return bench
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A name of its own: an agent that was built anew in this process shares no file with its predecessor.
        place = Path(tempfile.mkdtemp(prefix=f"{session}.", dir=self._folder))
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, place, ignore_errors=True)
            for name, array in zip(PARTS, (*bench.training(), *bench.holdout()), strict=True):
                _save(place / f"{name}.npy", array)
            undo.pop_all()
        return ShelvedWorkbench(place, bench.preparation())


def _save(path: Path, array: Array) -> None:
    """Write an array into a new file that only we can read, whatever the umask."""
    with open(path, "xb", opener=partial(os.open, mode=0o600)) as file:
        np.save(file, array, allow_pickle=False)


def _put_away(found: "Future[Workbench]") -> None:
    """Remove the files of a bench that has been made; one that failed has left none."""
    bench = None if found.cancelled() or found.exception() else found.result()
    if isinstance(bench, ShelvedWorkbench):
        shutil.rmtree(bench.folder, ignore_errors=True)
