"""How does a federation begin? With a charter, which its keeper signs, and a place on a broker."""

import secrets
import time
from collections.abc import Callable
from contextlib import closing
from typing import Literal

from hansa.agents.admission.invite import broker_url
from hansa.agents.admission.registrar import PASSWORD_BYTES
from hansa.agents.admission.settling import check_free, settle
from hansa.agents.errors import FederationError
from hansa.agents.home import Home
from hansa.broker import Account, Identity
from hansa.broker.layout import check_member, exchange, user
from hansa.ledger import ChainedEntry, Charter, Keeper, LedgerError, StoreMissing
from hansa.ledger.contribution import METHODS, VOLUME


def found(
    home: Home,
    identity: Identity,
    federation: str,
    broker: str,
    provide: Callable[[Account], None],
    *,
    purpose: str = "",
    ca: str = "",
    successor: str = "",
    cosigners: int = 0,
    contribution: str = VOLUME,
    utility: Literal["score", "loss"] = "score",
    approvals: int = 0,
) -> str:
    """Found a federation whose ledger this home's agent keeps; return its charter's fingerprint, 64 hex digits.

    The place on the broker comes first, so that nothing is written here for a name that another has there. Begun
    anew after a crash, founding goes on with the place and the charter that it made.

    Args:
        broker: its URL, without user and virtual host.
        provide: builds the federation's place on the broker, or says how; called before the home is changed.
        purpose: for people; it stands in the charter.
        ca: PEM of who vouches for the broker, if not the system's authorities.
        successor: who may witness alone, and take over, while it is the only other member; "": nobody.
        cosigners: how many members beside the keeper make a checkpoint final; 0: more than half of them.
        contribution: how jobs measure contributions that don't say it themselves.
        utility: what models of coalitions are worth where they are valued.
        approvals: how many of those whom a payout pays must approve it; 0: more than half of them.

    Raises:
        FederationError: the home belongs to a federation, is no aggregator's, or holds another ledger.
        ProvisionFailed, BrokerUnreachable: from `provide`; the home is as it was.
        ValueError: no name, no URL of a broker, or no such way of measuring contributions.
    """
    if contribution not in METHODS:
        raise ValueError(f"contribution: expected one of {', '.join(METHODS)}, got {contribution!r:.60}")
    config = home.config()
    url = broker_url(broker, user(exchange(federation), check_member(identity.name)), federation)
    with home.held():
        _check_not_founded(home, identity, federation)
        if "aggregator" not in config.agent.roles:
            raise FederationError(
                f"{identity.name} is no aggregator: add it to agent.roles, since the founder keeps the ledger"
            )
        account = Account(identity.name, secrets.token_urlsafe(PASSWORD_BYTES), anew=True)
        charter = Charter(
            federation,
            identity.public,
            organisation=config.agent.organisation,
            purpose=purpose,
            successor=successor,
            cosigners=cosigners,
            contribution=contribution,
            utility=utility,
            approvals=approvals,
        )
        provide(account)
        entry = _written(home, identity, charter)
        settle(
            home,
            identity,
            entry,
            federation=federation,
            keeper=identity.name,
            broker=url,
            password=account.password,
            ca=ca,
        )
    return entry.hash.hex()


def _check_not_founded(home: Home, identity: Identity, federation: str) -> None:
    """Raise FederationError if the home belongs to a federation, or has begun to found another."""
    membership = home.config().membership
    if membership is not None and (membership.id, membership.keeper) == (federation, identity.name):
        raise FederationError(
            f"{federation} is founded already, and {identity.name} keeps its ledger; to build its place on the "
            "broker: hansa broker provision --home HOME, or hansa broker commands --home HOME for lines to type"
        )
    check_free(home, identity)
    try:
        store = home.stored()
    except StoreMissing:
        return
    with closing(store):
        try:
            Keeper(identity, federation, store)
        except LedgerError as error:
            raise FederationError(
                f"{store.address}: not the beginning of {federation}: {error}; "
                "go on with what it is the ledger of, or move it away"
            ) from None


def _written(home: Home, identity: Identity, charter: Charter) -> ChainedEntry:
    """Write the charter, or return the one that an earlier attempt wrote."""
    with closing(home.store(create=True)) as store:
        first = next(store.read(0, 1), None)
        writer = Keeper(identity, charter.federation, store)  # refuses another's ledger
        if first is not None:
            return first
        return writer.found(charter, int(time.time() * 1000))
