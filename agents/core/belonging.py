"""Do we belong to the federation? What our own copy of the ledger says of us, told once when it changes."""

import logging

from hansa.agents.core.clerk import Clerk
from hansa.ledger import KeyRevoked, MemberSuspended, decode_body, read_entry

log = logging.getLogger("hansa.agent")


class Belonging:
    """Our standing as a member.

    Args:
        name: ours.
        clerk: our side of the ledger.
    """

    def __init__(self, name: str, clerk: Clerk) -> None:
        self._name = name
        self._clerk = clerk
        self._told = self.objection()

    def objection(self) -> str:
        """Return why we may not take part, or ""; a copy that does not show us yet has no objection."""
        member = self._clerk.standing.members.get(self._name)
        if member is None or member.status == "active":
            return ""
        said = "has left" if member.status == "left" else f"is {member.status}"
        return f"{self._name} {said}{self._reason(member.status_at)}"

    def news(self) -> str | None:
        """Return the objection if it is new, "" if there is none any more, None if nothing has changed."""
        objection = self.objection()
        if objection == self._told:
            return None
        self._told = objection
        if objection:
            status = self._clerk.standing.members[self._name].status
            until = "reinstated" if status == "suspended" else "admitted again"
            log.error("%s: the others refuse what it says until it is %s", objection, until)
        else:
            log.info("%s takes part again", self._name)
        return objection

    def _reason(self, index: int) -> str:
        entry = next(self._clerk.store.read(index, index + 1))
        fields = read_entry(entry.signed)
        match decode_body(fields.kind, fields.schema, fields.body):
            case MemberSuspended(_, reason) | KeyRevoked(_, _, reason):
                return f" by {fields.author}: {reason}" if reason else f" by {fields.author}"
            case _:
                return ""
