"""How does a person's entry come onto the chain? Checked, written, and awaited until our own copy has it."""

from collections.abc import Callable

from hansa.agents.admission.membership import CHAINED_S, until
from hansa.agents.core.agent import Agent
from hansa.agents.core.belonging import Belonging
from hansa.agents.errors import PayoutError
from hansa.agents.service.logs import printable
from hansa.agents.service.office import Office
from hansa.ledger import Body, Standing, decode_body, kind_of, read_entry
from hansa.ledger.rules import check_body


def write(office: Office, body_of: Callable[[Standing], Body]) -> int:
    """Write an entry that the rules allow now; return its index once our copy of the chain has it.

    Raises:
        RuleBroken: they don't allow it; nothing is written.
        PayoutError: we may write nothing at all; or it is not on the chain in time, and who is waited for; or the
            keeper has refused it.
    """
    agent = office.agent

    def begin() -> tuple[Body, int]:
        body = body_of(agent.clerk.standing)
        check_ours(agent, body)
        agent.write(body)
        return body, agent.clerk.head.size

    body, start = office.ask(begin)
    found: list[int] = []

    def settled() -> bool:
        found.extend(_places(agent, body, start))
        return bool(found) or not agent.clerk.waiting()

    done = until(office, settled, CHAINED_S)
    if found:
        return found[0]
    keeper, kind = agent.clerk.keeper, kind_of(body)
    if done:
        raise PayoutError(f"{keeper}, who keeps the ledger, has refused our {kind}; our agent's log says why")
    raise PayoutError(
        f"our {kind} is signed, and not on the chain yet: it waits for {keeper}, who keeps the ledger, and gets "
        "there by itself when our agent runs (hansa agent run); don't type it again"
    )


def check_ours(agent: Agent, body: Body) -> None:
    """Say whether we may write this now, as far as our copy of the ledger goes.

    Raises:
        PayoutError: we are suspended, say, and why; the others would not hear of it before that is over.
        RuleBroken: the rules don't allow it.
    """
    objection = Belonging(agent.name, agent.clerk).objection()
    if objection:
        raise PayoutError(
            f"{printable(objection)}, as far as this copy of the ledger goes: nothing is written; "
            f"{agent.clerk.keeper}, who keeps it, can let {agent.name} in again"
        )
    check_body(agent.clerk.standing, agent.name, body)


def _places(agent: Agent, body: Body, start: int) -> list[int]:
    """Return where, from an index on, our copy has an entry of ours that says this."""
    places = []
    for entry in agent.clerk.store.read(start):
        fields = read_entry(entry.signed)
        if fields.author == agent.name and decode_body(fields.kind, fields.schema, fields.body) == body:
            places.append(entry.index)
    return places
