"""What may be asked of an agent about who belongs to the federation? Orders to a keeper, and to a member.

What an order changes is on the chain when it answers: whoever reads "admitted" can rely on it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hansa.agents.admission.invite import broker_url, dump_invite
from hansa.agents.admission.registrar import Registrar
from hansa.agents.core.agent import Agent
from hansa.agents.errors import FederationError
from hansa.agents.service.connection import Patience
from hansa.agents.service.office import Office
from hansa.ledger import Body, MemberAdmitted, MemberLeft, MemberSuspended, Standing
from hansa.ledger.rules import check_body

POLL_S = 0.05
ASKED_S = 5.0  # how long to wait for a request that may be in the queue still
ARRIVED_S = 10.0  # how long to wait for an admitted joiner to say that it has its answer
CHAINED_S = 20.0  # how long to wait for an entry to come back from the chain
JOBS_S = 5.0  # how long to wait until the jobs that are left have been told


@dataclass(frozen=True, slots=True)
class OpenInvite:
    """Invite an organisation (to the keeper).

    Args:
        broker: URL of the broker as the joiner reaches it, without user and virtual host.
        ca: PEM of who vouches for the broker, if not the system's authorities.
    """

    member: str
    hours: float
    automatic: bool
    broker: str
    ca: str = ""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the file's text and the two accounts that the broker needs; the invitation is open."""
        broker_url(self.broker, self.member, office.agent.config.federation.id)  # is it one?
        issued = _ask_registrar(
            office,
            lambda registrar: registrar.invite(
                self.member, self.hours, automatic=self.automatic, broker=self.broker, ca=self.ca
            ),
        )
        return {
            "file": dump_invite(issued.invite),
            "door": issued.invite.door,
            "door_password": issued.invite.password,
            "member_password": issued.password,
            "replaced": issued.replaced,
            "again": issued.again,
            "expires_ms": issued.invite.expires_ms,
            "fingerprint": issued.invite.fingerprint,
        }


@dataclass(frozen=True, slots=True)
class CloseInvite:
    """Take an invitation back (to the keeper)."""

    member: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return nothing of interest; FederationError if there is none."""
        _ask_registrar(office, lambda registrar: registrar.withdraw(self.member))
        return {}


@dataclass(frozen=True, slots=True)
class ShowApplicant:
    """Tell who asks to be let in under a name (to the keeper)."""

    member: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return name, organisation, fingerprint and time; waits a little, for it may be in the queue still.

        Raises:
            FederationError: nobody asks.
        """
        until(office, lambda: _registrar(office.agent).waiting(self.member) is not None, ASKED_S)
        applicant = _ask_registrar(office, lambda registrar: registrar.asking(self.member)).applicant
        assert applicant is not None  # somebody asks
        return {
            "member": self.member,
            "organisation": applicant.organisation,
            "fingerprint": applicant.public.fingerprint,
            "since_ms": applicant.since_ms,
        }


@dataclass(frozen=True, slots=True)
class Admit:
    """Let in who asks under a name, with the keys of this fingerprint (to the keeper)."""

    member: str
    fingerprint: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return once the admission is on the chain.

        Raises:
            FederationError: nobody asks, or with other keys.
        """
        _ask_registrar(office, lambda registrar: registrar.admit(self.member, self.fingerprint))
        _await_status(office, self.member, "active")
        return {}


@dataclass(frozen=True, slots=True)
class AwaitArrival:
    """Wait a while for an admitted member to say that it has its answer (to the keeper)."""

    member: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether it has."""
        return {"arrived": until(office, lambda: _registrar(office.agent).arrived(self.member), ARRIVED_S)}


@dataclass(frozen=True, slots=True)
class Reject:
    """Turn away who asks under a name (to the keeper)."""

    member: str
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return nothing of interest; FederationError if nobody asks."""
        until(office, lambda: _registrar(office.agent).waiting(self.member) is not None, ASKED_S)
        _ask_registrar(office, lambda registrar: registrar.reject(self.member, self.reason))
        return {}


@dataclass(frozen=True, slots=True)
class ShuttableDoors:
    """Tell which temporary users at the broker nobody needs any more (to the keeper)."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return their names."""
        return {"doors": _ask_registrar(office, lambda registrar: registrar.shuttable())}


@dataclass(frozen=True, slots=True)
class ForgetDoors:
    """Note that these temporary users are gone from the broker (to the keeper)."""

    doors: tuple[str, ...]

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return nothing of interest."""
        _ask_registrar(office, lambda registrar: registrar.shut(self.doors))
        return {}


@dataclass(frozen=True, slots=True)
class Suspend:
    """Let a member speak no more, until it is reinstated (to the keeper)."""

    member: str
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return once it is on the chain."""
        _require_keeper(office.agent)
        write(office, lambda _: MemberSuspended(self.member, self.reason))
        _await_status(office, self.member, "suspended")
        return {}


@dataclass(frozen=True, slots=True)
class Reinstate:
    """Let a suspended member speak again, with the keys it had (to the keeper)."""

    member: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return once it is on the chain; FederationError if the member is not suspended."""
        _require_keeper(office.agent)
        write(office, self._body)
        _await_status(office, self.member, "active")
        return {}

    def _body(self, standing: Standing) -> Body:
        member = standing.members.get(self.member)
        if member is None:
            raise FederationError(f"{self.member} is no member")
        if member.status != "suspended":
            raise FederationError(f"{self.member} is not suspended but {member.status}")
        return MemberAdmitted(
            self.member, member.public.verify_key, member.public.seal_key, member.organisation
        )


@dataclass(frozen=True, slots=True)
class Leave:
    """Take part no longer (to a member)."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Leave the jobs under way, then the federation; say whether the entry has come back from the chain.

        Raises:
            FederationError: the keeper cannot leave; or we have left, or are suspended.
        """
        agent = office.agent
        if agent.clerk.keeps:
            raise FederationError(f"{agent.name} keeps the ledger, and cannot leave its federation")
        # Our copy may be about to hear that we were reinstated.
        if not until(office, lambda: _status(agent, agent.name) in ("active", ""), ASKED_S):
            raise FederationError(office.ask(lambda: _why_not_leave(agent)))
        for job in office.ask(agent.open_jobs):
            agent.cancel(job, f"{agent.name} leaves the federation")
        until(office, lambda: not agent.open_jobs(), JOBS_S)
        write(office, lambda _: MemberLeft(agent.name))
        chained = until(office, lambda: _status(agent, agent.name) == "left", CHAINED_S)
        return {"chained": chained, "keeper": agent.clerk.keeper}


def _why_not_leave(agent: Agent) -> str:
    status = _status(agent, agent.name)
    if status == "left":
        return f"{agent.name} has left already"
    as_of = f"by its copy of the ledger, as of entry {agent.clerk.standing.members[agent.name].status_at}"
    return f"{agent.name} is {status}, {as_of}; reinstated, it may leave once its running agent has heard so"


def write(office: Office, body_of: Callable[[Standing], Body]) -> None:
    """Write an entry that the rules allow now; RuleBroken says why not."""
    agent = office.agent

    def write() -> None:
        body = body_of(agent.clerk.standing)
        check_body(agent.clerk.standing, agent.name, body)
        agent.write(body)

    office.ask(write)


def _registrar(agent: Agent) -> Registrar:
    _require_keeper(agent)
    assert agent.registrar is not None  # it keeps the ledger
    return agent.registrar


def _require_keeper(agent: Agent) -> None:
    if not agent.clerk.keeps:
        raise FederationError(f"only the keeper does that: {agent.clerk.keeper}, not {agent.name}")


def _ask_registrar(office: Office, request: Callable[[Registrar], Any]) -> Any:
    return office.ask(lambda: request(_registrar(office.agent)))


def _status(agent: Agent, name: str) -> str:
    member = agent.clerk.standing.members.get(name)
    return "" if member is None else member.status


def _await_status(office: Office, name: str, status: str) -> None:
    if not until(office, lambda: _status(office.agent, name) == status, CHAINED_S):
        raise FederationError(f"{name}: the entry is written but not on the chain yet; look at the log")


def until(office: Office, condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until something holds on the agent's thread, unless the broker is away; say whether it does."""
    patience = Patience(office.daemon.health, timeout_s)
    while not office.ask(condition):
        if patience.spent():
            return False
        time.sleep(POLL_S)
    return True
