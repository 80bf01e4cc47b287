"""Which of our data sets are on the ledger, and are they still what we said there?

agent.toml names the data sets; the ledger shows to the others their size, columns and a commitment to the rows.
What agent.toml has and the ledger has not is registered. A file that has changed since is told, and not more:
jobs go by what is registered, and to register anew is for a person to decide.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hansa.agents.core.agent import Agent
from hansa.agents.data.commitments import unchanged
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import AgentError

log = logging.getLogger("hansa.data")


@dataclass(frozen=True, slots=True)
class Settled:
    """Whether data sets may be registered now.

    Attributes:
        member: this agent may write to the ledger.
        waiting: entries of its own are under way, perhaps these very data sets.
        names: of those to be looked at.
    """

    member: bool
    waiting: bool
    names: tuple[str, ...]


def settled(agent: Agent) -> Settled:
    """Return whether data sets may be registered now; on the agent's own thread only."""
    member = agent.clerk.standing.members.get(agent.name)
    active = member is not None and member.status == "active"
    return Settled(active or agent.clerk.keeps, agent.clerk.waiting(), tuple(agent.datasets))


def offer(agent: Agent, name: str, read: Callable[[], Dataset]) -> None:
    """Register a data set unless it is registered; say so if its rows have changed since.

    Reads all its rows, on the caller's thread. A data set that can't be used is told, and no reason to stop.

    Raises:
        AgentError: the agent has stopped.
    """
    known = agent.ask(lambda: agent.registered(name)).result()
    try:
        dataset = agent.withdrawals.without(read())
        if known is None:
            agent.register(dataset)
            same: bool | None = True
        else:
            same = unchanged(dataset, known, agent.salts.read(name, known.commitment))
            agent.ask(lambda: agent.withdrawals.tidy(name, known.commitment)).result()
    except (AgentError, ValueError, OSError) as error:
        log.error("%s: data set %s: %s", agent.name, name, error)
        return
    if known is None:
        log.info("%s: data set %s: %d rows, going on the ledger", agent.name, name, dataset.rows)
    elif same is False:
        log.warning(
            "%s: data set %s has changed since it was registered: jobs will use the rows of now, while the ledger "
            "shows those of then; `hansa data add %s --replace` registers it anew",
            agent.name,
            name,
            name,
        )
