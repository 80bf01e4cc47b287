"""What must a home hold to belong to a federation? Written once, in an order that bears a crash at any point.

agent.toml names the federation last: until it does, the home belongs to none, and founding or joining can begin
anew over what the first attempt left.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import tomlkit

from hansa.agents.core.clerk import note_head, note_introduced
from hansa.agents.core.journal import Changes
from hansa.agents.errors import FederationError
from hansa.agents.home import PASSWORD, Home, write_whole
from hansa.broker import Identity, PublicIdentity
from hansa.ledger import ChainedEntry, Head, Replica, StoreMissing

CA = "broker-ca.pem"


def check_free(home: Home, identity: Identity) -> None:
    """Raise FederationError if the home belongs to a federation already."""
    membership = home.config().membership
    if membership is not None:
        raise FederationError(f"{identity.name} belongs to a federation already: {membership.id}")


def check_ledger(home: Home, charter: ChainedEntry | None) -> None:
    """Raise FederationError if there is a ledger in the home that does not begin with this charter."""
    try:
        store = home.stored()
    except StoreMissing:
        return
    with closing(store):
        first, address = next(store.read(0, 1), None), store.address
    if first is not None and (charter is None or first.hash != charter.hash):
        raise FederationError(
            f"{address}: holds another ledger; move it away, or name another place in agent.toml"
        )


def settle(
    home: Home,
    identity: Identity,
    charter: ChainedEntry,
    *,
    federation: str,
    keeper: str,
    broker: str,
    password: str,
    ca: str = "",
    introduced: PublicIdentity | None = None,
) -> None:
    """Write everything that makes this home one of the federation's.

    Args:
        broker: URL with the agent's user, without its password.
        ca: PEM of who vouches for the broker, if not the system's authorities.
        introduced: who keeps the ledger now, if that is not whom the charter names.

    Raises:
        AgentError, LedgerError, OSError: something could not be written; to begin anew is fine.
    """
    section: dict[str, Any] = {"url": broker, "password_file": PASSWORD}
    if ca:
        write_whole(home.path / CA, ca)
        section["ca_file"] = CA
    write_whole(home.path / PASSWORD, password + "\n")
    with closing(home.store(create=True)) as store:
        if identity.name != keeper:
            Replica(store, charter.hash, federation).accept([charter])
    remember_head(home, identity, charter.head, introduced)
    membership = {"id": federation, "keeper": keeper, "charter": charter.hash.hex()}

    def change(document: tomlkit.TOMLDocument) -> None:
        document["federation"] = membership
        document["broker"] = section

    home.edit(change)


def remember_head(
    home: Home, identity: Identity, head: Head, introduced: PublicIdentity | None = None
) -> None:
    """Note in the journal that the ledger has come this far, so that a copy cut shorter is found out.

    Args:
        introduced: a member that our copy does not show yet, and from whom it will come.
    """
    changes = Changes()
    note_head(changes, head)
    if introduced is not None:
        note_introduced(changes, introduced)
    with closing(home.journal(identity)) as journal:
        journal.commit(changes)


def read_ca(path: Path | None) -> str:
    """Return an authority's certificates, or "" for none; FederationError if that is no such file."""
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise FederationError(f"{path}: no file of certificates: {error}") from None
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise FederationError(f"{path}: expected certificates in PEM, and nothing else")
    return text
