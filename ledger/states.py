"""What is known of a member, a data set and a job as of one head of the chain? Values of a `Standing`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hansa.broker.identity import PublicIdentity
from hansa.ledger.appraisal import Appraisal
from hansa.ledger.jobs import Setting

Status = Literal["active", "suspended", "revoked", "left"]


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation's agent.

    Attributes:
        admitted_at: index of the entry that let it in, last.
        status_at: index of the entry that gave it its status.
        former: the keys before these, unless they were revoked; messages under them may still be on their way.
        rotated_ms: when it took its present keys in their place, as it says, UTC.
    """

    public: PublicIdentity
    organisation: str
    status: Status
    admitted_at: int
    status_at: int
    former: PublicIdentity | None = None
    rotated_ms: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set on offer.

    Attributes:
        rows: as registered, those withdrawn since among them.
        registered_at: index of its entry.
        withdrawn: where rows withdrawn since stand in the commitment's tree.
        commitment: (32,) to its rows, as registered.
    """

    owner: str
    rows: int
    columns: tuple[str, ...]
    target: str | None
    registered_at: int
    withdrawn: frozenset[int] = frozenset()
    commitment: bytes = b""

    @property
    def usable(self) -> int:
        """How many rows later jobs may use."""
        return self.rows - len(self.withdrawn)


@dataclass(frozen=True, slots=True)
class Volume:
    """How much of a data set jobs could use when one was proposed: rows, and columns that are features."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """How many values that is."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Job:
    """A job and how far it has come.

    Attributes:
        specification: (32,) digest of what the parties were offered.
        proposed_at: index of its proposal.
        model_digest: (32,) of the finished model, empty before, and of a job that makes none.
        shares: the newest measured weights; `method` says of what.
        settings: as proposed.
        withdrawn: how many rows each party has withdrawn since this job, or the one that it started from, may have
            used them.
        volumes: what each party had registered when it was proposed, as far as it had: nobody brings in more.
        draws: by party that accepted, its part of the seed, where there is one.
        started: who takes part, once that is written; empty before, and where nothing is valued.
        appraisal: what has been contributed, as far as rounds are valued; None where nothing is valued.
        rests_at: index of its finish or its newest measured weights, whichever is later: a payout rests on it.
        rests_on: (32,) hash of that entry, empty before.
    """

    coordinator: str
    protocol: str
    model: str
    dataset: str
    parties: tuple[str, ...]
    quorum: int
    specification: bytes
    proposed_at: int
    status: Literal["open", "finished", "aborted"] = "open"
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    model_digest: bytes = b""
    method: str = ""
    shares: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    withdrawn: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    draws: Mapping[str, bytes] = field(default_factory=dict)
    started: tuple[str, ...] = ()
    appraisal: Appraisal | None = None
    rests_at: int = -1
    rests_on: bytes = b""
