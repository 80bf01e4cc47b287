"""A federation on a real broker: homes on disk, queues provisioned, nobody running yet.

Whoever joins by invite goes another way; this is for tests of what comes after.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomlkit

from hansa.agents.home import PASSWORD, Home, write_whole
from hansa.agents.local import AGGREGATOR, LocalFederation, Member
from hansa.broker import Account, Management, provision
from hansa.broker.layout import user
from tests.servers import Node


def found_town(
    folder: Path,
    node: Node,
    parties: Sequence[str | Member],
    *,
    federation: str = "",
    aggregator: str = AGGREGATOR,
    port: int | None = None,
) -> dict[str, Home]:
    """Found a federation whose agents meet on a node; return their homes by name, the aggregator's first.

    Args:
        folder: empty or missing; the homes are made in it.
        parties: names, or `Member`s with sections for their agent.toml.
        federation: a fresh name unless given, since tests share the node.
        port: where the agents connect, if not straight to the node (a proxy, say).
    """
    name = federation or f"town-{secrets.token_hex(4)}"
    members = [party if isinstance(party, Member) else Member(party) for party in parties]
    LocalFederation.found(members, federation=name, folder=folder, aggregator=aggregator).close()
    homes = {each: Home(folder / each) for each in (aggregator, *(member.name for member in members))}
    passwords = {each: secrets.token_urlsafe(24) for each in homes}
    provision(
        Management.from_url(node.management_url),
        name,
        [Account(each, password) for each, password in passwords.items()],
    )
    for each, home in homes.items():
        write_whole(home.path / PASSWORD, passwords[each])
        connect(home, f"amqp://{user(name, each)}@127.0.0.1:{port or node.port}/{name}")
    return homes


def connect(home: Home, url: str) -> None:
    """Write into a home's agent.toml where its broker is; the password lies in the home already."""

    def change(document: tomlkit.TOMLDocument) -> None:
        section: dict[str, Any] = {"url": url, "password_file": PASSWORD}
        document["broker"] = section

    home.edit(change)


def raze_town(node: Node, homes: dict[str, Home]) -> None:
    """Take a federation off a node that other tests share."""
    management = Management.from_url(node.management_url)
    federation = next(iter(homes.values())).config().federation.id
    management.call("DELETE", f"vhosts/{federation}")
    for each in homes:
        management.call("DELETE", f"users/{user(federation, each)}")
