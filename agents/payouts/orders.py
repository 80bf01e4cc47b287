"""What may be asked of an agent about payouts, and about uses of a model outside hansa?

What an order writes is on the chain of this agent's copy when it answers.
"""

from dataclasses import dataclass
from typing import Any, Literal

from hansa.agents.admission.membership import ASKED_S, until
from hansa.agents.core.agent import Agent
from hansa.agents.errors import PayoutError
from hansa.agents.payouts.chained import check_ours, write
from hansa.agents.payouts.sheet import Sheet, drafted, payout_of, recomputed
from hansa.agents.service.logs import printable
from hansa.agents.service.office import Office
from hansa.ledger import (
    Body,
    ModelUsed,
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
    Standing,
)
from hansa.ledger.payouts import needed_approvals, obstacles


@dataclass(frozen=True, slots=True)
class DraftPayout:
    """Compute what a payout would pay; nothing is written.

    Args:
        pot: as typed, in the currency's major units; empty: as the job's parties have agreed.
        currency: empty likewise.
    """

    job: str
    pot: str = ""
    currency: str = ""
    basis: Literal["training", "uses"] = "training"
    scheme: Literal["weights", "fli"] = "weights"

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the sheet, whether the entry it rests on is final, and what that lacks.

        Raises:
            PayoutError, RuleBroken, ValueError: there can be no such payout.
        """
        agent = office.agent

        def draft() -> dict[str, Any]:
            now = agent.clerk.standing
            sheet = drafted(now, agent.name, self.job, self.pot, self.currency, self.basis, self.scheme)
            finality = _finality(agent, sheet.rests_at)
            if finality["final"]:  # what the rules refuse is refused before anybody is asked
                check_ours(agent, sheet.proposal(*_certificate(agent, sheet.rests_at)))
            return {**sheet.as_json(), **finality}

        return office.ask(draft)


@dataclass(frozen=True, slots=True)
class Finality:
    """Tell whether an entry can be taken back no more, and if it can, whom that waits for."""

    index: int

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return whether, and what is lacking."""
        return office.ask(lambda: _finality(office.agent, self.index))


@dataclass(frozen=True, slots=True)
class ProposePayout:
    """Propose a payout as it was shown.

    Args:
        sheet: the answer to `DraftPayout`.
    """

    sheet: Sheet

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the payout's number.

        Raises:
            PayoutError: the entry that it rests on is not final yet.
            RuleBroken: what was shown is not so any more, or never was.
        """
        agent, sheet = office.agent, self.sheet
        number = write(office, lambda _: sheet.proposal(*_certificate(agent, sheet.rests_at)))
        return {"payout": number, **office.ask(lambda: _state(agent, number))}


@dataclass(frozen=True, slots=True)
class ReviewPayout:
    """Compute a payout anew from this agent's copy of the ledger, before we approve it."""

    payout: int

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the sheet, and how far the payout has come.

        Raises:
            PayoutError: there is none, or its entry says something else.
            RuleBroken: we can't approve it.
        """
        agent = office.agent
        _await(office, self.payout)

        def review() -> dict[str, Any]:
            check_ours(agent, PayoutApproved(self.payout))
            return {**recomputed(agent.clerk.standing, self.payout).as_json(), **_state(agent, self.payout)}

        return office.ask(review)


@dataclass(frozen=True, slots=True)
class ApprovePayout:
    """Agree to a payout (to one whom it pays)."""

    payout: int

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come; RuleBroken says why it can't be approved here.

        Its amounts are computed anew first: PayoutError if the entry says something else.
        """
        _await(office, self.payout)

        def body(now: Standing) -> Body:
            check_ours(office.agent, PayoutApproved(self.payout))
            recomputed(now, self.payout)
            return PayoutApproved(self.payout, payout_of(now, self.payout).digest)

        write(office, body)
        return office.ask(lambda: _state(office.agent, self.payout))


@dataclass(frozen=True, slots=True)
class HoldPayout:
    """Have a payout settled by nobody before this is released (to its proposer, or the keeper)."""

    payout: int
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come; RuleBroken says why it can't be held here."""
        return _follow_up(office, PayoutHeld(self.payout, self.reason))


@dataclass(frozen=True, slots=True)
class DisputePayout:
    """Contest a payout (to one whom it pays)."""

    payout: int
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come; RuleBroken says why it can't be disputed here."""
        return _follow_up(office, PayoutDisputed(self.payout, self.reason))


@dataclass(frozen=True, slots=True)
class ReleasePayout:
    """Hold or dispute a payout no more (to one who does)."""

    payout: int

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come; RuleBroken if we neither hold nor dispute it."""
        return _follow_up(office, PayoutReleased(self.payout))


@dataclass(frozen=True, slots=True)
class WithdrawPayout:
    """Take an open payout back (to its proposer)."""

    payout: int
    reason: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come; RuleBroken says why it can't be withdrawn here."""
        return _follow_up(office, PayoutWithdrawn(self.payout, self.reason))


@dataclass(frozen=True, slots=True)
class SettlePayout:
    """Say that the money has moved (to the proposer).

    Args:
        reference: the bank's, or the books'.
    """

    payout: int
    reference: str

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return how far the payout has come.

        Raises:
            PayoutError: what is in the way, and who can help.
            RuleBroken: another has proposed it.
        """
        agent = office.agent
        _await(office, self.payout)
        waiting, help_by = office.ask(lambda: _waiting(agent, self.payout))
        if waiting:
            asks = [
                f"{', '.join(names)} may {word} it: hansa payout {word} {self.payout}"
                for word, names in help_by.items()
                if names
            ]
            raise PayoutError(f"payout {self.payout} can't be settled yet: {'; '.join([*waiting, *asks])}")
        return _follow_up(office, PayoutSettled(self.payout, self.reference))


@dataclass(frozen=True, slots=True)
class NoteUse:
    """Note that a job's model has scored rows outside hansa (to anybody in the job)."""

    job: str
    rows: int
    purpose: str = ""

    def carry_out(self, office: Office) -> dict[str, Any]:
        """Return the entry's index, and the rows of all uses so far.

        Raises:
            PayoutError: the purpose is a job's name: such a job notes its uses itself.
            RuleBroken: there is no such model, or we had no part in it.
        """
        agent = office.agent

        def body(now: Standing) -> Body:
            if self.purpose in now.jobs:
                raise PayoutError(
                    f"{self.purpose} is a job, and notes itself what it uses; say what else it was for"
                )
            return ModelUsed(self.job, self.rows, self.purpose)

        index = write(office, body)
        return {"entry": index, "rows": office.ask(lambda: agent.clerk.standing.uses[self.job].newest.total)}


def _follow_up(
    office: Office, body: PayoutHeld | PayoutDisputed | PayoutReleased | PayoutWithdrawn | PayoutSettled
) -> dict[str, Any]:
    """Write what a person says of a payout; return how far that has come."""
    _await(office, body.payout)

    def checked(now: Standing) -> Body:
        payout_of(now, body.payout)
        return body

    write(office, checked)
    return office.ask(lambda: _state(office.agent, body.payout))


def _await(office: Office, number: int) -> None:
    """Wait a little for a payout that our copy may be about to hear of; PayoutError if it does not."""
    agent = office.agent
    until(office, lambda: number in agent.clerk.standing.payouts or number < agent.clerk.head.size, ASKED_S)
    office.ask(lambda: payout_of(agent.clerk.standing, number))


# --- on the agent's own thread ----------------------------------------------------------------------------
def _state(agent: Agent, number: int) -> dict[str, Any]:
    """Return how far a payout has come, and what is in the way of its settlement."""
    now = agent.clerk.standing
    payout = payout_of(now, number)
    return {
        "number": number,
        "proposer": payout.proposer,
        "status": payout.status,
        "approved": list(payout.approved),
        "needed": needed_approvals(now.charter, payout),
        "held": dict(payout.held),
        "disputed": dict(payout.disputed),
        "waiting": list(obstacles(now, payout)) if payout.status == "open" else [],
    }


def _waiting(agent: Agent, number: int) -> tuple[list[str], dict[str, list[str]]]:
    """Return what keeps us from settling an open payout of ours, and by which word of whom it could be settled."""
    now = agent.clerk.standing
    payout = payout_of(now, number)
    if payout.status != "open" or payout.proposer != agent.name:
        return [], {}  # the rule says that better
    found, answered = obstacles(now, payout), {*payout.approved, *payout.disputed}
    silent = [p for p in sorted(payout.amounts) if p not in answered and now.members[p].status == "active"]
    short = len(found) > len(payout.held)  # of names, not of time
    stopping = {*payout.held, *(payout.disputed if short and not silent else ())}
    help_by = {"approve": silent if short else [], "release": sorted(stopping)}
    return [printable(each) for each in found], help_by


def _finality(agent: Agent, index: int) -> dict[str, Any]:
    """Return whether an entry is final in our copy, and what that lacks, in words."""
    final = agent.witness.heads.final
    if final is not None and final.checkpoint.size > index:
        return {"final": True, "lacks": ""}
    roster, awaited = agent.clerk.standing.roster, agent.witness.state().awaited
    if awaited is not None:
        return {"final": False, "lacks": printable(str(awaited))}
    witnesses = ", ".join(sorted(roster.witnesses)) or "nobody"
    lacks = f"{roster.needed} of these are to cosign it, whom {agent.clerk.keeper} asks: {witnesses}"
    return {"final": False, "lacks": lacks}


def _certificate(agent: Agent, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the newest final head, and the path of an entry under it; PayoutError if that does not cover it."""
    heads, final = agent.witness.heads, agent.witness.heads.final
    note = None if final is None else heads.note(final.checkpoint)
    if final is None or note is None or final.checkpoint.size <= index:
        raise PayoutError(f"entry {index} is not final: {_finality(agent, index)['lacks']}")
    return note.encoded(), agent.clerk.store.tree().inclusion(index, final.checkpoint.size)
