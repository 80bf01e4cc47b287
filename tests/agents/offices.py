"""Orders carried out in a federation of one process, without a daemon."""

from dataclasses import dataclass, field
from typing import Any

from hansa.agents.home import Home
from hansa.agents.local import LocalFederation
from hansa.agents.service.office import Office, Order
from hansa.broker import Health, PublicIdentity


@dataclass(slots=True)
class Desk:
    """Stands for the daemon: it notes what it was asked."""

    started: float = 0.0
    health_url: str = ""
    reloads: list[str] = field(default_factory=list)

    def keys(self) -> PublicIdentity:
        raise AssertionError

    def health(self) -> Health:
        return Health("ready", None)

    def stop(self) -> None:
        raise AssertionError

    def reload(self) -> str:
        self.reloads.append("reload")
        return "taken"


def office(local: LocalFederation, name: str) -> Office:
    """Return what orders are carried out with at one of a local federation's agents."""
    agent = local.agents[name]
    return Office(Home(local.folder / name), agent, agent._transport, Desk())


def order(local: LocalFederation, name: str, what: Order) -> dict[str, Any]:
    """Have an agent carry out an order."""
    return what.carry_out(office(local, name))
