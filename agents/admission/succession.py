"""What may be asked of an agent about a change of keepers? Orders to who wants to keep it, and to witnesses."""

from dataclasses import asdict, dataclass
from typing import Any

from hansa.agents.service.office import Office


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Offer this agent as keeper of the ledger; it goes on by itself, over restarts too.

    Args:
        renew: though it keeps the ledger already, in a new epoch: some have put their names to a later one.
    """

    reason: str = ""
    renew: bool = False

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how it stands; FederationError if this agent can't keep the ledger."""

        def begin() -> None:
            if self.renew or not office.agent.clerk.keeps:
                office.agent.takeover.candidate.begin(self.reason)

        office.ask(begin)
        return ShowTakeover().carry_out(office)


@dataclass(frozen=True, slots=True)
class ShowTakeover:
    """Tell how it stands with a change of keepers."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the fields of `hansa.agents.core.takeover.Progress`."""
        return asdict(office.ask(office.agent.takeover.progress))


@dataclass(frozen=True, slots=True)
class AbandonHistory:
    """A person here gives up what the present keeper has shown us and is not final (to a witness)."""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how it stands; FederationError if the keeper is not proven to have signed two histories."""
        office.ask(office.agent.takeover.abandon)
        return ShowTakeover().carry_out(office)


@dataclass(frozen=True, slots=True)
class ApproveTakeover:
    """A person here agrees that a member keeps the ledger from now on (to a witness)."""

    member: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how it stands; FederationError if it is no active member."""
        office.ask(lambda: office.agent.takeover.approve(self.member))
        return ShowTakeover().carry_out(office)
