"""How does an agent get other keys? The ledger says so first; then the agent starts anew with them.

    identity.next    the keys to come, sealed under the home's key: there until they are in place

Whatever stops in between, `hansa federation rotate-keys` again goes on: the same keys to come, and an entry that is
on the chain already is not written twice. The keys before stay in the key file, to open what is still on its way.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hansa.agents.admission.membership import CHAINED_S, POLL_S, until, write
from hansa.agents.core.agent import Agent
from hansa.agents.errors import AgentNotRunning, FederationError, HomeError
from hansa.agents.home import IDENTITY, Home, sync_folder
from hansa.agents.service.connection import Patience
from hansa.agents.service.office import Office
from hansa.broker import Identity, IdentityMissing, PublicIdentity
from hansa.ledger import KeyRevoked, KeyRotated, Standing
from hansa.ledger.rules import check_body

NEXT = "identity.next"


@dataclass(frozen=True, slots=True)
class RotateKeys:
    """Have the ledger say that the keys in identity.next are this agent's (to a member)."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether the entry has come back from the chain, and the agent works with its new keys.

        Raises:
            FederationError: the keeper's keys stay as they are; or jobs are under way.
            HomeError: there are no keys to come.
        """
        agent = office.agent
        if agent.clerk.keeps:
            raise FederationError(
                f"{agent.name} keeps the ledger: its keys cannot change before another member has taken over"
            )
        fresh = keys_to_come(office.home, agent.identity)
        if fresh is None:
            raise HomeError(f"{office.home.path / NEXT}: missing")
        with suppress(AgentNotRunning):  # it is being built anew, since the keys are on the chain already
            office.ask(lambda: _announce(agent, fresh))
        return {"chained": _in_use(office, fresh.public), "keeper": agent.clerk.keeper}


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Have nothing count any more that is signed with a member's key (to that member, or to the keeper).

    Args:
        former: the key that it had before its present one; False: the present one, and the member is out until it
            is invited again.
    """

    member: str
    reason: str
    former: bool

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether the entry has come back from the chain; FederationError if there is no such key."""
        agent = office.agent
        revoked = office.ask(lambda: self._key(agent.clerk.standing))
        write(office, lambda _: KeyRevoked(self.member, revoked, self.reason))
        return {"chained": until(office, lambda: revoked in agent.clerk.standing.revoked_keys, CHAINED_S)}

    def _key(self, now: Standing) -> bytes:
        member = now.members.get(self.member)
        if member is None:
            raise FederationError(f"{self.member} is no member")
        if not self.former:
            return member.public.verify_key
        if member.former is None:
            raise FederationError(f"{self.member} has no former key")
        return member.former.verify_key


def prepare_keys(home: Home, identity: Identity) -> Identity:
    """Return the keys to come; made now unless that was done before."""
    fresh = keys_to_come(home, identity)
    if fresh is None:
        fresh = identity.rotated()
        fresh.save(home.path / NEXT, identity.home_key())
    return fresh


def keys_to_come(home: Home, identity: Identity) -> Identity | None:
    """Return the keys in identity.next, or None if there are none.

    Raises:
        BrokerError: the file is damaged, or not sealed under this home's key.
    """
    try:
        return Identity.load(home.path / NEXT, identity.home_key())
    except IdentityMissing:
        return None


def put_in_place(home: Home, fresh: Identity, passphrase: bytes | None) -> None:
    """Make the keys to come the home's keys; a crash in between leaves the old ones and those to come."""
    draft = home.path / f".{IDENTITY}.fresh"
    draft.unlink(missing_ok=True)
    fresh.save(draft, passphrase)
    draft.replace(home.path / IDENTITY)
    sync_folder(home.path)
    (home.path / NEXT).unlink(missing_ok=True)


def present_keys(home: Home, identity: Identity, agent: Agent) -> Identity | None:
    """Return the keys that the ledger has for this agent, if they are not `identity` but those to come.

    Called on the agent's thread.

    Raises:
        HomeError: the ledger has keys for us that this home does not hold: it is an older copy of it.
    """
    member = agent.clerk.standing.members.get(agent.name)
    if member is None or member.public == identity.public:
        return None
    fresh = keys_to_come(home, identity)
    if fresh is None or fresh.public != member.public:
        raise HomeError(
            f"{home.path / IDENTITY}: on the ledger {agent.name} has other keys, {member.public.short_fingerprint};"
            " is this an older copy of its home?"
        )
    return fresh


def _in_use(office: Office, keys: PublicIdentity) -> bool:
    """Wait until the agent was built anew with these keys, which happens once they are on the chain."""
    patience = Patience(office.daemon.health, CHAINED_S)
    while office.daemon.keys() != keys:
        if patience.spent():
            return False
        time.sleep(POLL_S)
    return True


def _announce(agent: Agent, fresh: Identity) -> None:
    """Write that these are the agent's keys from here on, unless that stands on the ledger."""
    now, keys = agent.clerk.standing, fresh.public
    member = now.members.get(agent.name)
    if member is not None and member.public == keys:
        return
    jobs = agent.open_jobs()
    if jobs:
        raise FederationError(f"job {jobs[0]} is under way; rotate the keys when it is over")
    body = KeyRotated(agent.name, keys.verify_key, keys.seal_key)
    check_body(now, agent.name, body)
    agent.identity.expect(fresh)  # the keeper's answer will be sealed to them
    agent.write(body)
