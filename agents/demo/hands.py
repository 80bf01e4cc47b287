"""How does an agent of a federation in this process carry out an order? As one that a daemon runs."""

from dataclasses import dataclass
from typing import Any

from hansa.agents.home import Home
from hansa.agents.local import LocalFederation
from hansa.agents.service.office import Office, Order
from hansa.broker import Health, PublicIdentity


@dataclass(frozen=True, slots=True)
class Hands:
    """Stands where a daemon would, at one agent.

    Attributes:
        public: the agent's keys.
        started, health_url: as of a daemon; this one is shown nowhere.
    """

    public: PublicIdentity
    started: float = 0.0
    health_url: str = ""

    def keys(self) -> PublicIdentity:
        """Return the public half of its agent's keys."""
        return self.public

    def health(self) -> Health:
        """Say that the broker, which is in this process, is there."""
        return Health("ready", None)

    def stop(self) -> None:
        """Leave the agent to the federation that has started it."""

    def reload(self) -> str:
        """Take nothing from agent.toml."""
        return ""


def order(local: LocalFederation, name: str, what: Order) -> dict[str, Any]:
    """Have one of a federation's agents carry out an order; errors as of the order."""
    home = Home(local.folder / name)
    office = Office(home, local.agents[name], local.transports[name], Hands(home.identity().public))
    return what.carry_out(office)
