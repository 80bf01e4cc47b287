"""How does our role in a job begin? As all have agreed on it, and from what earlier jobs have left here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hansa.agents.core.journal import pack_row, unpack_row
from hansa.agents.core.messages import JobSpec
from hansa.agents.core.policy import read_settings
from hansa.agents.core.records import Records
from hansa.agents.errors import JobError
from hansa.broker import Plain
from hansa.ledger import Job
from hansa.ledger.contribution import seed_of
from hansa.protocols import Brief, LocalProtocolError, ProtocolSpec, RoleSpec, Start, protocol
from hansa.protocols.alignment import AlignedRows


@dataclass(slots=True)
class Role:
    """A protocol's role at work."""

    brief: Brief
    spec: ProtocolSpec
    role: RoleSpec[Any]
    state: Any
    aligned: AlignedRows | None  # the order of our rows, where the protocol asks for one
    draws: bytes  # at the coordinator, the seed of all that is drawn to value coalitions; else empty


@dataclass(frozen=True, slots=True)
class Opening:
    """How a role of ours begins, beyond what was offered; journalled, so that it is the same after a restart.

    Attributes:
        parties: with whom.
        secret: random bytes of our own.
        draws: (32,) at a coordinator who values coalitions, the seed that the parties have made; else empty.
        volumes: at a coordinator, rows and columns by who has registered any.
    """

    parties: tuple[str, ...]
    secret: bytes
    draws: bytes = b""
    volumes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: JobSpec, parties: tuple[str, ...], secret: bytes, shown: Job | None) -> "Opening":
        """Return them, from what the ledger shows of a job that we coordinate.

        Raises:
            ValueError: a party has consented without a draw.
        """
        if shown is None:
            return cls(parties, secret)
        draws = seed_of(parties, shown.draws) if spec.contribution else b""
        held = {party: shown.volumes[party] for party in parties if party in shown.volumes}
        return cls(parties, secret, draws, {party: (each.rows, each.columns) for party, each in held.items()})

    def row(self) -> bytes:
        """Return what the journal keeps."""
        volumes: list[Plain] = [[party, *each] for party, each in self.volumes.items()]
        return pack_row(list(self.parties), self.secret, self.draws, volumes)

    @classmethod
    def read(cls, row: bytes) -> "Opening":
        """Read them back."""
        parties, secret, *more = unpack_row(row)  # before there were draws: two items
        draws, volumes = more or (b"", [])
        return cls(
            tuple(parties), secret, draws, {party: (rows, columns) for party, rows, columns in volumes}
        )


def seat(spec: JobSpec, me: str, coordinator: str, opening: Opening) -> tuple[Brief, ProtocolSpec]:
    """Return our brief in a job, but for what it starts from, and its protocol.

    Raises:
        UnknownProtocol, MalformedMessage: this version knows no such protocol, or other settings.
    """
    known = protocol(spec.protocol)
    settings = read_settings(known, spec)
    role = known.coordinator_role if me == coordinator else known.role_of(settings, me)
    brief = Brief(
        spec.job,
        me,
        role,
        coordinator,
        opening.parties,
        settings,
        spec.seed,
        secret=opening.secret,
        valued=bool(spec.contribution),
        volumes=opening.volumes,
    )
    return brief, known


def seated(
    spec: JobSpec,
    me: str,
    coordinator: str,
    opening: Opening,
    records: Records,
    spec_of: Callable[[str], JobSpec],
) -> Role:
    """Return our role in a job, with no state yet; errors as of `seat` and `order_of_rows`."""
    brief, known = seat(spec, me, coordinator, opening)
    aligned = order_of_rows(known, brief, spec.dataset, records, spec_of)
    return Role(brief, known, known.role(brief.role), None, aligned, opening.draws)


def left_by(begins: Start | None, records: Records) -> Any:
    """Return what an earlier job has left here for one that starts from it; None if that is nothing.

    Raises:
        LocalProtocolError: it has to have ended with a result, and has not here.
        CorruptBlob: the record is damaged.
    """
    if begins is None:
        return None
    if begins.of == "kept":
        return records.kept(begins.job)
    try:
        return records.result(begins.job)
    except JobError as error:
        raise LocalProtocolError(str(error)) from None


def order_of_rows(
    known: ProtocolSpec, brief: Brief, dataset: str, records: Records, spec_of: Callable[[str], JobSpec]
) -> AlignedRows | None:
    """Return the order of our rows that the settings name, if the protocol asks for one.

    Raises:
        LocalProtocolError: there is no such alignment here, of other rows, or without one of the parties.
        CorruptBlob: it is damaged.
    """
    if known.bench != "aligned" or brief.me not in brief.parties:
        return None
    name = brief.settings.alignment  # type: ignore[attr-defined]
    rows = left_by(Start(name, b"", "result"), records) if name else None
    if not isinstance(rows, AlignedRows):
        raise LocalProtocolError(f"alignment {name!r} has left no order of rows here")
    made = spec_of(name)
    if made.dataset != dataset or not set(brief.parties) <= set(made.parties):
        whom = ", ".join(made.parties)
        raise LocalProtocolError(f"alignment {name!r} is of data set {made.dataset!r} of {whom}")
    return rows
