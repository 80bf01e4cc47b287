"""What may be asked of an agent about single rows? To withdraw them, and to open one to an auditor."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hansa.agents.core.agent import Agent
from hansa.agents.data.commitments import Opening, row_tags
from hansa.agents.data.orders import check_free, until
from hansa.agents.data.proofs import prove_row
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import DataError
from hansa.agents.service.office import Office
from hansa.protocols.alignment.ids import normalised

SHOWN_IDS = 3  # in a refusal


@dataclass(frozen=True, slots=True)
class Shown:
    """A data set of ours: the registration's entry and commitment, and the rows that are out, or on their way."""

    entry: int
    root: bytes
    gone: frozenset[int]


@dataclass(frozen=True, slots=True)
class WithdrawRows:
    """Have rows of a data set serve no later job, and erase what would open their commitments.

    Args:
        name: of the data set.
        ids: of the rows, at least one.
        reason: for the ledger.
    """

    name: str
    ids: tuple[str, ...] = field(repr=False)
    reason: str = ""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how many rows, and whether the ledger says so and the salts are erased by now.

        Raises:
            DataError: the data set is not registered, or by an earlier version; a job is using it; other rows are
                on the way to the keeper; an id is of no row, or of one that is withdrawn already. Nothing is
                written then.
        """
        agent = office.agent
        office.ask(lambda: self._check(agent))  # before a large file is read
        shown = office.ask(lambda: _shown(agent, self.name))
        rows = self._found(agent, _opening(agent, self.name, shown.root), shown)

        def begin() -> None:
            self._check(agent)
            if _shown(agent, self.name) != shown:
                raise DataError(
                    f"data set {self.name!r} has changed on the ledger at this very moment; try again"
                )
            agent.withdrawals.begin(self.name, shown.root, rows, self.reason)

        office.ask(begin)
        chained = until(office, lambda: office.ask(lambda: _is_chained(agent, self.name, shown.root, rows)))
        erased = chained and until(office, lambda: not office.ask(agent.withdrawals.busy))
        return {"name": self.name, "rows": len(rows), "withdrawn": chained, "erased": erased}

    def _check(self, agent: Agent) -> None:
        check_free(agent, self.name)
        if agent.withdrawals.on_their_way():  # what waits for the keeper goes to it in one message
            raise DataError("rows withdrawn before are still on the way to the keeper; try again later")

    def _found(self, agent: Agent, opening: Opening, shown: Shown) -> dict[int, bytes]:
        """Return the rows' tags by leaf."""
        tags = dict(zip(row_tags(agent.salts.key, self.name, self.ids), self.ids, strict=True))
        places = opening.found(tags)
        before = agent.withdrawals.of(self.name).tags
        again = [
            text
            for tag, text in tags.items()
            if (tag in places and shown.gone.issuperset(places[tag])) or (tag not in places and tag in before)
        ]
        unknown = [text for tag, text in tags.items() if tag not in places and tag not in before]
        for texts, what in ((unknown, "no row has"), (again, "withdrawn already:")):
            if texts:
                raise DataError(f"data set {self.name!r}: {what} id {_listed(texts)}; nothing was withdrawn")
        return {leaf: tag for tag, leaves in places.items() for leaf in leaves if leaf not in shown.gone}


@dataclass(frozen=True, slots=True)
class ProveRow:
    """Open one row's commitment: what an auditor needs to see that it was registered."""

    name: str
    id: str = field(repr=False)

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the proof, as its file has it.

        Raises:
            DataError: no such row, or it is withdrawn, or not what it was; the data set is not registered, or by an
                earlier version, or can't be read.
        """
        agent = office.agent
        shown = office.ask(lambda: _shown(agent, self.name))
        opening = _opening(agent, self.name, shown.root)
        (tag,) = row_tags(agent.salts.key, self.name, [self.id])
        leaves = opening.found([tag]).get(tag, [])
        if shown.gone.intersection(leaves) or tag in agent.withdrawals.of(self.name).tags:
            raise DataError(
                f"data set {self.name!r}: row {self.id!r} is withdrawn; nobody can open it any more"
            )
        dataset = _read(office, self.name)
        wanted = normalised(self.id)
        rows = [row for row, text in enumerate(dataset.ids) if normalised(text) == wanted]
        if not leaves or not rows:
            where = "in the table" if leaves else "among the rows registered"
            raise DataError(f"data set {self.name!r}: no row {self.id!r} {where}")
        federation = agent.config.federation.id
        proof = prove_row(federation, agent.name, shown.entry, opening, leaves[0], dataset, rows[0])
        return {"proof": proof.written().decode()}


def _shown(agent: Agent, name: str) -> Shown:
    """Return a data set as the ledger has it; on the agent's own thread."""
    held, known = agent.clerk.standing.datasets.get((agent.name, name)), agent.registered(name)
    if held is None or known is None:
        raise DataError(f"data set {name!r} is not registered: nobody uses its rows")
    # what is on its way is out; but if nothing is on its way any more, the keeper has refused it
    gone = known.withdrawn if agent.clerk.waiting() else held.withdrawn
    return Shown(held.registered_at, held.commitment, gone)


def _opening(agent: Agent, name: str, root: bytes) -> Opening:
    opening = agent.salts.read(name, root)
    if opening is None:
        raise DataError(
            f"data set {name!r}: nothing here opens its commitment row by row: it was registered by an earlier "
            "version of hansa, or its file of salts is lost; register it anew first: hansa data add --replace"
        )
    return opening


def _is_chained(agent: Agent, name: str, root: bytes, rows: dict[int, bytes]) -> bool:
    held = agent.clerk.standing.datasets.get((agent.name, name))
    return held is None or held.commitment != root or held.withdrawn.issuperset(rows)


def _read(office: Office, name: str) -> Dataset:
    read: Callable[[], Dataset] | None = office.ask(lambda: office.agent.readers.get(name))
    if read is None:
        raise DataError(f"data set {name!r} is not in agent.toml, and its rows can't be read")
    return read()


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN_IDS} more" if len(texts) > SHOWN_IDS else ""
    return ", ".join(repr(text) for text in texts[:SHOWN_IDS]) + more
