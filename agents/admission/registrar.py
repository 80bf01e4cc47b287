"""Whom does the keeper let in? It remembers whom it invited, hears who asks, and answers.

An invitation is open until somebody asks with its secret; then the request waits for a person, or is granted at
once if the invitation says so. Granted is what the ledger says: the answer goes out when the admission is on
the chain. Whoever asks again with the same keys gets the same answer, so that a crash anywhere costs nobody more
than asking again; with other keys it is refused, for an invitation serves one.

Everything here happens on the agent's thread, in its steps.
"""

import logging
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from hansa.agents.admission.invite import Invite, door_of
from hansa.agents.core.desk import Desk
from hansa.agents.core.journal import Journal
from hansa.agents.core.messages import JoinAnswer
from hansa.agents.errors import FederationError
from hansa.broker import (
    Identity,
    JoinRequest,
    PublicIdentity,
    Refused,
    check_mac,
    decode,
    encode,
    from_plain,
    open_request,
    to_plain,
)
from hansa.broker.envelope import CLOCK_SKEW_MS
from hansa.broker.layout import DOOR_UNUSED_MS, check_member, is_door
from hansa.broker.request import ARRIVED, INVITE_BYTES, SECRET_BYTES
from hansa.broker.transport import Delivery
from hansa.ledger import LedgerStore, MemberAdmitted, RuleBroken, Standing
from hansa.ledger.rules import check_body

MOST_HOURS = 30 * 24  # shorter than a door that nobody uses stands
PASSWORD_BYTES = 24
MOST_REPORTED = 8  # refused requests of one door that are told of, each once; a fresh nonce makes a fresh one
REPORTED_ANEW_MS = 3_600_000  # then they count from 0

SPACE = "invitation"

Status = Literal["open", "waiting", "admitted", "arrived", "rejected", "withdrawn"]
Letter = Callable[[PublicIdentity, str, JoinAnswer], None]  # to these keys, through this door

log = logging.getLogger("hansa.agent")


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asked with an invitation."""

    public: PublicIdentity
    organisation: str
    nonce: bytes
    since_ms: int


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the keeper remembers of an invitation.

    Attributes:
        number: (16,) names it.
        secret: (32,) that a request must know.
        password: of the member's own user at the broker.
        automatic: admit without asking a person.
        status: "arrived": the joiner has said that it has its answer.
        again: the name was a member's before.
        reason: why it was rejected or withdrawn.
    """

    number: bytes
    member: str
    secret: bytes = field(repr=False)
    password: str = field(repr=False)
    expires_ms: int
    automatic: bool
    status: Status = "open"
    applicant: Applicant | None = None
    again: bool = False
    reason: str = ""

    @property
    def door(self) -> str:
        """The name of its temporary user at the broker."""
        return door_of(self.number)

    def pending(self, now_ms: int) -> bool:
        """Whether something can still come of it."""
        return self.status in ("open", "waiting") and now_ms < self.expires_ms


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh invitation.

    Attributes:
        invite: the file's content.
        password: for the member's own user at the broker.
        replaced: an earlier one holds no longer.
        again: the name was a member's before.
    """

    invite: Invite
    password: str = field(repr=False)
    replaced: bool
    again: bool


class Registrar:
    """The keeper's side of joining.

    Args:
        identity: the keeper's, to sign invitations.
        federation: its id.
        desk: of the agent.
        standing: the ledger's, as of now.
        store: the ledger, for its charter.
        journal: where invitations are kept.
        letter: seals an answer into this step's changes.
    """

    def __init__(
        self,
        identity: Identity,
        federation: str,
        desk: Desk,
        standing: Callable[[], Standing],
        store: LedgerStore,
        journal: Journal,
        letter: Letter,
    ) -> None:
        self._identity = identity
        self._federation = federation
        self._desk = desk
        self._standing = standing
        self._store = store
        self._letter = letter
        self._invitations = {each.number: each for each in load_invitations(journal)}
        # Admissions whose answer waits for the chain; after a restart it may go out once more.
        self._owed = {each.number for each in self._invitations.values() if each.status == "admitted"}
        self._reported: dict[str, set[bytes]] = {}  # by door
        self._reported_since_ms = 0
        self._left = self._who_left()

    # --- what a person does --------------------------------------------------------------------------------
    def invite(self, member: str, hours: float, *, automatic: bool, broker: str, ca: str = "") -> Issued:
        """Make an invitation, in place of an earlier one that nobody has been admitted by.

        Args:
            broker: its URL as the joiner reaches it, without user and path.
            ca: PEM of the authority that vouches for it, if not the system's.

        Raises:
            FederationError: the name is a member's already, or about to be; or the time is out of range.
            BadName: no name for a member.
        """
        check_member(member)
        if not 0 < hours <= MOST_HOURS:
            raise FederationError(f"an invitation holds for more than 0 and at most {MOST_HOURS} hours")
        known = self._standing().members.get(member)
        if known is not None and known.status == "active":
            raise FederationError(
                f"{member} is a member already; to let it join with new keys: hansa federation suspend {member}"
            )
        if any(each.member == member and each.number in self._owed for each in self._invitations.values()):
            raise FederationError(f"{member} is being admitted just now")
        earlier = [each for each in self._of(member) if each.status not in ("rejected", "withdrawn")]
        pending = [each for each in earlier if each.pending(self._now_ms())]
        reason = "a newer invitation took its place"
        for each in earlier:
            self._keep(replace(each, status="withdrawn", reason=reason))
        for each in pending:
            self._close(each, "withdrawn", reason)
        invitation = Invitation(
            number=secrets.token_bytes(INVITE_BYTES),
            member=member,
            secret=secrets.token_bytes(SECRET_BYTES),
            password=secrets.token_urlsafe(PASSWORD_BYTES),
            expires_ms=self._now_ms() + int(hours * 3_600_000),
            automatic=automatic,
            again=known is not None,
        )
        self._keep(invitation)
        self._desk.announce("member-invited", member=member)
        invite = Invite(
            federation=self._federation,
            member=member,
            number=invitation.number,
            charter=next(self._store.read(0, 1)),
            broker=broker,
            ca=ca,
            password=secrets.token_urlsafe(PASSWORD_BYTES),
            secret=invitation.secret,
            expires_ms=invitation.expires_ms,
            inviter=None
            if self._standing().charter.keeper == self._identity.public
            else self._identity.public,
        ).signed_by(self._identity)
        return Issued(invite, invitation.password, bool(pending), invitation.again)

    def withdraw(self, member: str) -> None:
        """Take an invitation back; FederationError if there is none that anybody could still use."""
        pending = [each for each in self._of(member) if each.pending(self._now_ms())]
        if not pending:
            raise FederationError(f"no invitation of {member} is open")
        for each in pending:
            self._close(each, "withdrawn", "the keeper took the invitation back")

    def waiting(self, member: str) -> Invitation | None:
        """Return the invitation by which a member asks to be let in, if it does."""
        now_ms = self._now_ms()
        asking = (each for each in self._of(member) if each.status == "waiting" and each.pending(now_ms))
        return next(asking, None)

    def asking(self, member: str) -> Invitation:
        """Return the invitation by which a member asks; FederationError says what is missing."""
        invitation = self.waiting(member)
        if invitation is None:
            now_ms = self._now_ms()
            invited = any(each.pending(now_ms) for each in self._of(member))
            raise FederationError(
                f"{member} was invited and has not asked yet: it runs `hansa join FILE`"
                if invited
                else f"nobody asks to join as {member}: `hansa federation invite {member}` comes first"
            )
        return invitation

    def admit(self, member: str, fingerprint: str) -> None:
        """Let in who asks under this name with these keys.

        Raises:
            FederationError: nobody asks, or somebody with other keys.
            RuleBroken: the ledger's rules forbid it.
        """
        invitation = self.asking(member)
        public = _applicant(invitation).public
        if public.fingerprint != fingerprint:
            raise FederationError(f"{member} asks with other keys than these: look at its fingerprint again")
        self._check_admissible(invitation.number, public)
        self._admit(invitation)

    def reject(self, member: str, reason: str) -> None:
        """Turn away who asks under this name; FederationError if nobody does."""
        self._close(self.asking(member), "rejected", reason)

    def shuttable(self) -> list[str]:
        """Return the doors that nobody needs any more, but that may still stand at the broker."""
        now_ms = self._now_ms()
        return [
            each.door
            for each in self._invitations.values()
            if each.status in ("arrived", "rejected", "withdrawn")
            or (each.status != "admitted" and now_ms >= each.expires_ms)
        ]

    def shut(self, doors: Collection[str]) -> None:
        """Forget invitations whose doors were withdrawn at the broker: nobody can ask with them again."""
        for each in list(self._invitations.values()):
            if each.door in doors and each.door in self.shuttable():
                self._drop(each)

    def arrived(self, member: str) -> bool:
        """Whether the last one that was admitted under this name has its answer."""
        return any(each.status == "arrived" for each in self._of(member))

    # --- what the agent does in its steps --------------------------------------------------------------------
    def receive(self, delivery: Delivery) -> None:
        """Hear a request; what is wrong with it is said in the log, to everybody, and to who asks."""
        door = delivery.routing_key.split(".")[0]
        try:
            request = open_request(delivery.body)
        except Refused as error:
            self._report(delivery.body, door, door, f"{type(error).__name__}: {error}")
            return
        if not is_door(door) or door != door_of(request.invite):
            self._report(delivery.body, door, door, "a request that came through another's door")
            return
        invitation = self._invitations.get(request.invite)
        objection = self._objection(request, invitation)
        if objection or invitation is None:
            self._report(request.signed, door, f"{request.public.name} ({door})", objection)
            answer = JoinAnswer(request.nonce, "refused", objection)
            self._letter(request.public, door, answer)
        elif request.stage == ARRIVED:
            self._note_arrival(invitation)
        else:
            self._hear(invitation, request)

    def hand_over(self, keeper: str) -> None:
        """Another keeps the ledger from here on: our invitations hold no longer, and who asks is told so."""
        reason = (
            f"{keeper} keeps the ledger now, and our invitation holds no longer: ask {keeper} for a new one"
        )
        for each in list(self._invitations.values()):
            if each.status in ("open", "waiting") or each.number in self._owed:
                self._owed.discard(each.number)
                self._close(each, "withdrawn", reason)

    def declined(self, door: str, reason: str) -> None:
        """The chain did not take an admission after all: whoever asked is turned away."""
        for each in list(self._invitations.values()):
            if each.door == door and each.status == "admitted":
                self._owed.discard(each.number)
                self._close(each, "rejected", reason)

    def settle(self) -> None:
        """Answer those whose admission has come on the chain, and say who has left since the last step."""
        left = self._who_left()
        for name in sorted(left - self._left):
            log.warning(
                "%s has left; its user is still at the broker: hansa broker withdraw --federation %s --agent %s",
                name,
                self._federation,
                name,
            )
        self._left = left
        for number in list(self._owed):
            invitation = self._invitations[number]
            member = self._standing().members.get(invitation.member)
            if member is not None and member.public == _applicant(invitation).public:
                self._owed.discard(number)
                self._answer(invitation)

    def tidy(self) -> None:
        """Erase what expired invitations hold, and forget those whose doors the broker has removed by now.

        Whoever was admitted and has not thanked for its answer yet may still come for it.
        """
        now_ms = self._now_ms()
        for each in list(self._invitations.values()):
            if now_ms >= each.expires_ms + DOOR_UNUSED_MS:
                log.warning(
                    "the broker may still have the user of the door %s: nobody withdrew it", each.door
                )
                self._drop(each)
            elif now_ms >= each.expires_ms and each.password and each.status != "admitted":
                self._keep(replace(each, password=""))

    # --- private -----------------------------------------------------------------------------------------------
    def _objection(self, request: JoinRequest, invitation: Invitation | None) -> str:
        """Return why a request is refused, or "". What the sender need not know comes after the MAC."""
        if request.federation != self._federation:
            return f"the invitation is to another federation than {self._federation}"
        if invitation is None:
            return "no such invitation is known here: it was withdrawn, used or expired long ago"
        if not check_mac(request, invitation.secret):
            return "the request does not know the invitation's secret"
        if request.public.name != invitation.member:
            return f"the invitation is for {invitation.member}, not for {request.public.name}"
        now_ms = self._now_ms()
        applicant = invitation.applicant
        if applicant is not None and applicant.public != request.public:
            used = applicant.public.short_fingerprint
            return f"the invitation was used already, with other keys ({used}…): ask for a new one"
        if invitation.status in ("rejected", "withdrawn"):
            return invitation.reason
        if now_ms >= invitation.expires_ms and invitation.status in ("open", "waiting"):
            return "the invitation has expired: ask for a new one"  # whoever was admitted is a member
        if request.sent_at_ms > now_ms + CLOCK_SKEW_MS:
            ahead_s = (request.sent_at_ms - now_ms) / 1000
            return f"the clock of {request.public.name} is {ahead_s:.0f} s ahead: set it, and ask again"
        return self._standing_objection(invitation, request.public)

    def _standing_objection(self, invitation: Invitation, public: PublicIdentity) -> str:
        if invitation.status in ("admitted", "arrived"):
            member = self._standing().members.get(invitation.member)
            if member is not None and member.public == public and member.status != "active":
                return f"{invitation.member} is {member.status} by now"
            return ""
        try:
            self._check_admissible(invitation.number, public)
        except RuleBroken as error:
            return error.reason
        return ""

    def _check_admissible(self, number: bytes, public: PublicIdentity) -> None:
        """Raise RuleBroken if the ledger would refuse this member, or will because of one being admitted."""
        for other in self._owed - {number}:
            admitted = _applicant(self._invitations[other]).public
            if admitted.verify_key == public.verify_key:
                raise RuleBroken(f"{admitted.name} has this key already")
        body = MemberAdmitted(public.name, public.verify_key, public.seal_key)
        check_body(self._standing(), self._identity.name, body)

    def _hear(self, invitation: Invitation, request: JoinRequest) -> None:
        """Take in a request to which nothing is to be objected."""
        first = invitation.applicant is None
        since_ms = self._now_ms() if invitation.applicant is None else invitation.applicant.since_ms
        applicant = Applicant(request.public, request.organisation, request.nonce, since_ms)
        status: Status = "waiting" if first else invitation.status
        invitation = replace(invitation, applicant=applicant, status=status)
        self._keep(invitation)
        if first:
            log.info("%s asks to join (%s)", invitation.member, request.public.short_fingerprint)
            self._desk.announce("join-requested", member=invitation.member)
        if first and invitation.automatic:
            self._admit(invitation)
        elif invitation.number not in self._owed:
            self._answer(invitation)

    def _admit(self, invitation: Invitation) -> None:
        applicant = _applicant(invitation)
        public = applicant.public
        body = MemberAdmitted(public.name, public.verify_key, public.seal_key, applicant.organisation)
        self._desk.write(invitation.door, body)
        self._keep(replace(invitation, status="admitted"))
        self._owed.add(invitation.number)
        log.info("admitted %s (%s)", public.name, public.short_fingerprint)

    def _note_arrival(self, invitation: Invitation) -> None:
        if invitation.status == "admitted":
            self._keep(replace(invitation, status="arrived"))
            log.info("%s has joined", invitation.member)

    def _close(self, invitation: Invitation, status: Literal["rejected", "withdrawn"], reason: str) -> None:
        closed = replace(invitation, status=status, reason=reason)
        self._keep(closed)
        if closed.applicant is not None:
            log.info("turned %s away: %s", closed.member, reason)
            self._desk.announce("join-refused", member=closed.member, reason=reason)
            self._answer(closed)

    def _answer(self, invitation: Invitation) -> None:
        """Say to who asked how it stands."""
        applicant = _applicant(invitation)
        match invitation.status:
            case "admitted" | "arrived":
                answer = JoinAnswer(
                    applicant.nonce, "admitted", password=invitation.password, again=invitation.again
                )
            case "rejected" | "withdrawn":
                answer = JoinAnswer(applicant.nonce, "refused", invitation.reason)
            case "open" | "waiting":
                answer = JoinAnswer(applicant.nonce, "waiting")
        self._letter(applicant.public, invitation.door, answer)

    def _report(self, seen: bytes, door: str, who: str, reason: str) -> None:
        """Tell of a refused request once, however often it comes; of many through one door, not of all."""
        if self._now_ms() - self._reported_since_ms >= REPORTED_ANEW_MS:
            self._reported, self._reported_since_ms = {}, self._now_ms()
        known = self._reported.setdefault(door, set())
        if seen in known or len(known) >= MOST_REPORTED:
            return
        known.add(seen)
        log.warning("%s: refused a request to join from %s: %s", self._identity.name, who, reason)
        if len(known) == MOST_REPORTED:
            log.warning("%s: of more through %s nothing is said for an hour", self._identity.name, door)
        self._desk.announce("join-refused", member=who, reason=reason)

    def _who_left(self) -> frozenset[str]:
        members = self._standing().members
        return frozenset(name for name, member in members.items() if member.status == "left")

    def _of(self, member: str) -> list[Invitation]:
        return [each for each in self._invitations.values() if each.member == member]

    def _keep(self, invitation: Invitation) -> None:
        self._invitations[invitation.number] = invitation
        self._desk.changes.put(SPACE, invitation.number, encode(to_plain(invitation)))

    def _drop(self, invitation: Invitation) -> None:
        del self._invitations[invitation.number]
        self._owed.discard(invitation.number)
        self._desk.changes.drop(SPACE, invitation.number)

    def _now_ms(self) -> int:
        return int(self._desk.clock() * 1000)


def _applicant(invitation: Invitation) -> Applicant:
    """Return who asked with an invitation that is waiting, or has been."""
    assert invitation.applicant is not None
    return invitation.applicant


def load_invitations(journal: Journal) -> list[Invitation]:
    """Return what a keeper's journal holds of invitations, by number."""
    return [from_plain(Invitation, decode(row)) for row in journal.load(SPACE).values()]
