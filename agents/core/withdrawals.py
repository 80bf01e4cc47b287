"""Which rows of ours may no job use any more, and are their salts gone?

The ledger says which leaves of a data set's commitment are withdrawn; that is what counts, and it comes first. What
a leaf is at home, the salts' file says: each row's tag, a keyed hash of its id. So the order is

1. the tags are journalled with the ledger's entry, in one commit; from there on no task gets these rows
2. the entry comes onto the chain
3. the salts are erased: their file is written anew without them, on a thread of its own
4. that is journalled

and after a crash, or in a home restored from a backup that knows less than the ledger, look() goes on with whatever
the ledger says and the journal does not.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np

from hansa.agents.core.clerk import SESSION, Clerk
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal
from hansa.agents.data.commitments import TAG_BYTES, pieces, row_tags
from hansa.agents.data.rows import Dataset
from hansa.agents.data.salts import Salts
from hansa.agents.errors import DataError
from hansa.ledger import DatasetWithdrawn, RowsWithdrawn
from hansa.ledger.membership import MOST_LEAVES_AT_ONCE

log = logging.getLogger("hansa.data")

SPACE = "withdrawn"
RETRY_S = 60.0  # after our own disk has failed
LEAF_BYTES = 8  # of a leaf's number, or a count of them, in the journal

Found = dict[int, bytes] | None  # tags by leaf; None: there is no file that could tell
Reader = Callable[[], Dataset]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What the journal has of one data set.

    Attributes:
        root: of the registration that the leaves are of.
        leaves: the rows that are out, or on their way out.
        erased: how many of them have no salt any more.
        tags: (16,) each, of all rows that were ever withdrawn; they stay out of later registrations too.
        ended: root of a registration that is withdrawn as a whole, whose salts are still to go; empty if none is.
    """

    root: bytes = b""
    leaves: frozenset[int] = frozenset()
    erased: int = 0
    tags: frozenset[bytes] = field(default=frozenset(), repr=False)
    ended: bytes = b""

    def under(self, root: bytes) -> "Withdrawn":
        """Return what holds for a registration: its own leaves, or none yet."""
        return self if root == self.root else replace(self, root=root, leaves=frozenset(), erased=0)

    def packed(self) -> bytes:
        """Return it as a row of the journal; not as messages are encoded, which are held to a size."""
        leaves = np.array(sorted(self.leaves), dtype="<u8").tobytes()
        short = b"".join(len(root).to_bytes(1) + root for root in (self.root, self.ended))
        counts = self.erased.to_bytes(LEAF_BYTES) + len(self.leaves).to_bytes(LEAF_BYTES)
        return short + counts + leaves + b"".join(sorted(self.tags))

    @classmethod
    def unpacked(cls, row: bytes) -> "Withdrawn":
        """Read `packed`."""
        stream = BytesIO(row)
        root, ended = (stream.read(stream.read(1)[0]) for _ in range(2))
        erased, count = (int.from_bytes(stream.read(LEAF_BYTES)) for _ in range(2))
        leaves = np.frombuffer(stream.read(LEAF_BYTES * count), dtype="<u8").tolist()
        return cls(root, frozenset(leaves), erased, frozenset(pieces(stream.read(), TAG_BYTES)), ended)


@dataclass(frozen=True, slots=True)
class Errand:
    """Salts that are to go: of some rows, or, if `whole`, of all."""

    dataset: str
    root: bytes
    whole: bool
    leaves: frozenset[int] = frozenset()

    def run(self, salts: Salts) -> Found:
        """Erase them; return the rows' tags by leaf, or None if nothing opens this root any more.

        Raises:
            DataError: the file is damaged, or can't be written.
        """
        if self.whole:
            salts.drop(self.dataset, self.root)
            return None
        opening = salts.read(self.dataset, self.root)
        if opening is None:
            return None
        salts.write(self.root, opening.erased(self.leaves))
        return {leaf: opening.tag(leaf) for leaf in self.leaves}


class Withdrawals:
    """One agent's withdrawn rows.

    Everything but `without` belongs to the thread that steps.

    Args:
        desk: where the step under way gathers what follows.
        journal: what to go on with after a restart.
        clerk: what the ledger says.
        salts: what opens our commitments.
        executor: where files are written.
        wake: ends the agent's sleep.
    """

    def __init__(
        self,
        desk: Desk,
        journal: Journal,
        clerk: Clerk,
        salts: Salts,
        executor: Executor,
        wake: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._clerk = clerk
        self._salts = salts
        self._executor = executor
        self._wake = wake
        self._held = {
            key.decode(): Withdrawn.unpacked(row) for key, row in journal.load(SPACE).items()
        }  # values are replaced, never changed: other threads read them
        self._task: tuple[Errand, Future[Found]] | None = None
        self._lost: set[tuple[str, bytes]] = set()  # (data set, root) told to have no file any more
        self._rest_until = 0.0

    def of(self, dataset: str) -> Withdrawn:
        """Return what is known of a data set's withdrawn rows."""
        return self._held.get(dataset, Withdrawn())

    def busy(self) -> bool:
        """Whether salts are still to be erased that the ledger says are."""
        return self._task is not None or next(self._due(), None) is not None

    def on_their_way(self) -> bool:
        """Whether the ledger does not show all that was withdrawn here, and may still come to do so."""
        datasets = self._clerk.standing.datasets
        shown = ((known, datasets.get((self._desk.name, name))) for name, known in self._held.items())
        return self._clerk.waiting() and any(
            held is not None and not known.under(held.commitment).leaves <= held.withdrawn
            for known, held in shown
        )

    # --- withdrawing --------------------------------------------------------------------------------------
    def begin(self, dataset: str, root: bytes, tags: Mapping[int, bytes], reason: str) -> None:
        """Withdraw rows: keep them from every task, and have the ledger say so.

        Args:
            dataset: registered under this root.
            tags: by leaf, of the rows; at least one.
            reason: for the ledger.
        """
        known = self.of(dataset).under(root)
        self._note(
            dataset, replace(known, leaves=known.leaves | tags.keys(), tags=known.tags | set(tags.values()))
        )
        leaves = sorted(tags)
        for start in range(0, len(leaves), MOST_LEAVES_AT_ONCE):
            chunk = tuple(leaves[start : start + MOST_LEAVES_AT_ONCE])
            self._desk.write(SESSION, RowsWithdrawn(dataset, chunk, reason))

    def end(self, dataset: str, root: bytes, reason: str) -> None:
        """Withdraw a whole data set, registered under this root."""
        self._note(dataset, replace(self.of(dataset), ended=root))
        self._desk.write(SESSION, DatasetWithdrawn(dataset, reason))

    # --- keeping rows out ---------------------------------------------------------------------------------
    def without(self, dataset: Dataset) -> Dataset:
        """Return the rows that may be used; from any thread.

        Raises:
            DataError: the ledger shows rows as withdrawn that nobody here can tell from the others (yet).
        """
        known = self.of(dataset.name)
        shown = self._clerk.standing.datasets.get((self._desk.name, dataset.name))
        if shown is not None and not shown.withdrawn <= known.under(shown.commitment).leaves:
            raise DataError(
                f"data set {dataset.name!r}: the ledger shows rows as withdrawn, and which is not known here: "
                "if it stays so, take them out of the table and register it anew (hansa data add --replace)"
            )
        if not known.tags:
            return dataset
        tags = row_tags(self._salts.key, dataset.name, dataset.ids)
        kept = np.array([row for row, tag in enumerate(tags) if tag not in known.tags], dtype=np.int64)
        out = dataset.rows - len(kept)
        what = "a withdrawn row" if out == 1 else f"{out} withdrawn rows"
        return dataset.only(kept, f"{dataset.source} without {what}") if out else dataset

    # --- erasing ------------------------------------------------------------------------------------------
    def look(self, now_s: float) -> None:
        """Erase what the ledger says is withdrawn, one file at a time."""
        if self._task is not None and self._task[1].done():
            self._finish(now_s, *self._task)
        if self._task is None and now_s >= self._rest_until:
            errand = next(self._due(), None)
            if errand is not None:
                task = self._executor.submit(errand.run, self._salts)
                self._task = (errand, task)
                task.add_done_callback(lambda _: self._wake())

    def tidy(self, dataset: str, root: bytes) -> None:
        """Drop what opens roots of a data set that never came to the ledger, while this one is registered.

        Raises:
            DataError: a file can't be removed.
        """
        shown = self._clerk.standing.datasets.get((self._desk.name, dataset))
        if shown is not None and shown.commitment == root:  # else another may be on its way there
            self._salts.drop_others(dataset, root)

    def _due(self) -> Iterator[Errand]:
        datasets = self._clerk.standing.datasets
        for dataset, known in self._held.items():
            shown = datasets.get((self._desk.name, dataset))
            if known.ended and (shown is None or shown.commitment != known.ended):
                yield Errand(dataset, known.ended, whole=True)
        for (owner, dataset), shown in datasets.items():
            if owner == self._desk.name and shown.withdrawn and (dataset, shown.commitment) not in self._lost:
                known = self.of(dataset).under(shown.commitment)
                if known.erased < len(shown.withdrawn):
                    yield Errand(dataset, shown.commitment, whole=False, leaves=shown.withdrawn)

    def _finish(self, now_s: float, errand: Errand, task: "Future[Found]") -> None:
        self._task = None
        try:
            found = task.result()
            self.tidy(errand.dataset, errand.root)  # other files could still hold the same rows' salts
        except (DataError, CancelledError) as error:
            log.error(
                "%s: data set %s: salts of withdrawn rows are still here: %s",
                *(self._desk.name, errand.dataset, error),
            )
            self._rest_until = now_s + RETRY_S
            return
        known = self.of(errand.dataset)
        if errand.whole:
            self._desk.changes.drop("salt", errand.dataset.encode())  # of a commitment of the earlier kind
            self._note(errand.dataset, replace(known, ended=b""))
        else:
            self._take_note(errand.dataset, known.under(errand.root), found)

    def _take_note(self, dataset: str, known: Withdrawn, found: Found) -> None:
        """Journal that salts are erased, and of whose rows."""
        shown = self._clerk.standing.datasets.get((self._desk.name, dataset))
        if shown is None or shown.commitment != known.root:  # withdrawn as a whole meanwhile, or replaced
            tags = set() if found is None else set(found.values())
            self._note(dataset, replace(self.of(dataset), tags=known.tags | tags))
            return
        if found is None and not shown.withdrawn <= known.leaves:
            self._lost.add((dataset, known.root))
            log.error(
                "%s: data set %s: the ledger shows rows as withdrawn, and the file that tells which is not here: "
                "no job gets any of its rows until it is registered anew without them",
                *(self._desk.name, dataset),
            )
            return
        gone = {} if found is None else found
        leaves = known.leaves | gone.keys()
        erased = len(leaves) if found is None else len(gone)
        self._note(
            dataset, replace(known, leaves=leaves, erased=erased, tags=known.tags | set(gone.values()))
        )
        log.info(
            "%s: data set %s: %d rows withdrawn, and their salts erased", self._desk.name, dataset, erased
        )

    def _note(self, dataset: str, known: Withdrawn) -> None:
        self._held[dataset] = known
        self._desk.changes.put(SPACE, dataset.encode(), known.packed())


class Kept(Mapping[str, Reader]):
    """Data sets without their withdrawn rows, by name: what tasks and predictions read.

    Args:
        datasets: how to read them whole; may change.
        withdrawals: of which rows are out.
    """

    def __init__(self, datasets: Mapping[str, Reader], withdrawals: Withdrawals) -> None:
        self._datasets = datasets
        self._withdrawals = withdrawals

    def __getitem__(self, name: str) -> Reader:
        read = self._datasets[name]
        return lambda: self._withdrawals.without(read())

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)
