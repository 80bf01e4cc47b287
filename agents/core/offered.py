"""Which jobs are we offered that the ledger does not show yet? Kept until it does, for an hour at most."""

import logging
from collections.abc import Iterator, Mapping

from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal, pack_row, unpack_row
from hansa.agents.core.messages import OWN_SESSIONS, JobSpec, spec_digest
from hansa.broker import BadName, check_name, from_plain, to_plain
from hansa.ledger import Job
from hansa.protocols import PeerError

log = logging.getLogger("hansa.agent")

MOST_OFFERS = 16  # from one sender, that the ledger does not show yet
OFFER_S = 3_600.0  # after which they are forgotten


class Offered:
    """Offers by sender and session; those the journal has are taken up again."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal
        self._offers: dict[tuple[str, str], JobSpec] = {}
        for key, value in journal.load("offer").items():
            sender, session = unpack_row(key)
            _, offered = unpack_row(value)
            self._offers[sender, session] = from_plain(JobSpec, offered)

    def has(self, sender: str, session: str) -> bool:
        """Whether this sender has offered that job."""
        return (sender, session) in self._offers

    @property
    def sessions(self) -> set[str]:
        """The jobs on offer."""
        return {session for _, session in self._offers}

    def add(self, sender: str, session: str, spec: JobSpec) -> None:
        """Keep an offer.

        Raises:
            PeerError: it contradicts itself, comes twice, has a name that no job has, or there are too many from
                its sender.
        """
        try:
            check_name(spec.job)
        except BadName as error:  # it could not even be refused on the ledger
            raise PeerError(f"{sender} offered a job without a name: {error}") from None
        if spec.job in OWN_SESSIONS:
            raise PeerError(f"{sender} offered a job of the name {spec.job!r}, which no job has")
        if session != spec.job:
            raise PeerError(f"{sender} offered job {spec.job!r} in session {session!r}")
        if self.has(sender, session):
            raise PeerError(f"{sender} offered job {spec.job!r}, which is known here already")
        if sum(who == sender for who, _ in self._offers) >= MOST_OFFERS:
            raise PeerError(f"{sender} has offered {MOST_OFFERS} jobs that the ledger does not know")
        self._offers[sender, session] = spec
        row = pack_row(float(self._desk.clock()), to_plain(spec))
        self._desk.changes.put("offer", pack_row(sender, session), row)

    def take(self, sender: str, session: str) -> JobSpec:
        """Return an offer, and forget it."""
        self._desk.changes.drop("offer", pack_row(sender, session))
        return self._offers.pop((sender, session))

    def shown(self, proposed: Mapping[str, Job]) -> Iterator[tuple[str, str, JobSpec, Job]]:
        """Take and yield (sender, session, offer, proposal) of those whose proposal is on the ledger.

        Consent is bound to the ledger: its proposal names the coordinator and the digest of the whole
        specification, so nobody can have us consent to one thing while the books show another.
        """
        for sender, session in list(self._offers):
            job = proposed.get(session)
            if job is not None:
                yield sender, session, self.take(sender, session), job

    def refuse(self, sender: str, session: str) -> None:
        """Say that an offer is not what the ledger has."""
        log.warning("%s: %s offered another job %s than the ledger has", self._desk.name, sender, session)
        self._desk.announce("message-refused", error="PeerError", peer=sender)

    def drop_stale(self) -> None:
        """Forget offers that the ledger has not shown for an hour."""
        for key, value in self._journal.load("offer").items():
            since, _ = unpack_row(value)
            sender, session = unpack_row(key)
            if self.has(sender, session) and since + OFFER_S < self._desk.clock():
                log.warning(
                    "%s: the ledger never showed job %s, offered by %s", self._desk.name, session, sender
                )
                self.take(sender, session)


def agrees(spec: JobSpec, sender: str, job: Job) -> bool:
    """Whether an offer is what its sender has proposed on the ledger, and still open."""
    return (job.status, job.coordinator, job.specification) == ("open", sender, spec_digest(spec))
