"""How does an organisation come in? It asks through the door that its invitation opens, and waits.

The request is the same however often it is sent; the answer is believed only if the keeper that the charter
names has sealed it to our keys, for this request. Until it says "admitted" nothing is written; then the home is
settled, and only after that is the answer acknowledged: whoever is interrupted asks again and gets it again.
"""

import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hansa.agents.admission.invite import Invite, broker_url
from hansa.agents.admission.settling import check_free, check_ledger, settle
from hansa.agents.core import wire
from hansa.agents.core.journal import mark_restored
from hansa.agents.core.messages import JoinAnswer
from hansa.agents.errors import InviteError, NotAdmitted
from hansa.agents.home import JOURNAL, Home
from hansa.broker import (
    AccessRefused,
    Busy,
    ClockSkew,
    Doorway,
    Identity,
    JoinRequest,
    PublicIdentity,
    Refused,
    TransportError,
    UnknownAgent,
    UnknownSender,
    UntrustedBroker,
    decode,
    from_plain,
    open_message,
    seal_request,
)
from hansa.broker.layout import user
from hansa.broker.request import ARRIVED, ASKING, NONCE_BYTES

ASK_AGAIN_S = 15.0  # a request may be lost with a keeper's answer: it is repeated so often
SILENT_S = 10.0  # then we say that the keeper has not answered at all
LOOK_UP_S = 5.0
SOON_S = 0.25  # an answer is given so long even when there is no time to wait
RECONNECT_S = 2.0

log = logging.getLogger("hansa.agent")


@dataclass(slots=True)
class _Attempt:
    """One run of the joiner, over as many connections as it takes."""

    identity: Identity
    invite: Invite
    keeper: PublicIdentity
    request: JoinRequest
    tell: Callable[[str], None]
    deadline: float
    said: set[str] = field(default_factory=set)
    heard: bool = False  # the keeper has answered, though not decided

    def say(self, line: str) -> None:
        """Tell the person something, once."""
        if line not in self.said:
            self.said.add(line)
            self.tell(line)


def join(
    home: Home,
    identity: Identity,
    invite: Invite,
    *,
    wait_s: float,
    tell: Callable[[str], None],
) -> None:
    """Ask to be let in, and settle the home when the keeper has admitted us.

    Args:
        invite: checked.
        wait_s: how long to wait for the keeper; the request stands after that.
        tell: shows a person a line.

    Raises:
        InviteError: it is another agent's.
        NotAdmitted: refused, or not decided within `wait_s`; the home is as it was.
        FederationError: the home belongs to a federation already, or holds another ledger.
        TransportError: the broker can't be reached, or doesn't know the invitation's user any more.
    """
    if identity.name != invite.member:
        raise InviteError(f"the invitation is for {invite.member}; this home is {identity.name}'s")
    with home.held():
        check_free(home, identity)
        check_ledger(home, invite.charter)
        request = JoinRequest(
            federation=invite.federation,
            invite=invite.number,
            stage=ASKING,
            public=identity.public,
            organisation=home.config().agent.organisation,
            nonce=secrets.token_bytes(NONCE_BYTES),
            sent_at_ms=int(time.time() * 1000),
        )
        attempt = _Attempt(identity, invite, invite.keeper(), request, tell, time.monotonic() + wait_s)
        with _authority(invite) as ca_file:
            _ask(attempt, home, ca_file)


def _ask(attempt: _Attempt, home: Home, ca_file: Path | None) -> None:
    """Go through the door, again if the connection breaks, until there is an answer or the time is up."""
    invite, keeper = attempt.invite, attempt.keeper.name
    while True:
        try:
            with Doorway(invite.address(ca_file), invite.federation, invite.door, keeper) as doorway:
                _converse(attempt, doorway, home)
                return
        except AccessRefused as error:
            raise NotAdmitted(
                f"the broker does not know this invitation (used, expired or withdrawn: ask for a new one): {error}"
            ) from None
        except (Busy, UnknownAgent, UntrustedBroker):
            raise
        except TransportError as error:
            if time.monotonic() + RECONNECT_S > attempt.deadline:
                raise
            attempt.say(f"{error}; trying again")
            time.sleep(RECONNECT_S)


def _converse(attempt: _Attempt, doorway: Doorway, home: Home) -> None:
    """Ask over one connection, until admitted; NotAdmitted if refused, or when the time is up."""
    frame = seal_request(attempt.identity, attempt.invite.secret, attempt.request)
    keeper = attempt.keeper.name
    began = ask_at = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= ask_at:
            doorway.ask(frame)
            ask_at = now + ASK_AGAIN_S
        body = doorway.answer(max(min(ask_at, attempt.deadline, now + LOOK_UP_S) - now, SOON_S))
        answer = None if body is None else _read(attempt, body)
        if answer is not None and answer.verdict == "admitted":
            _settle(attempt, home, answer)
            _thank(attempt, doorway)
            return
        if body is not None:
            doorway.acknowledge()
        if answer is not None and answer.verdict == "refused":
            raise NotAdmitted(f"{keeper} refuses: {answer.reason}")
        if answer is not None:
            attempt.heard = True
            admit = f"hansa federation admit {attempt.identity.name}"
            attempt.say(f"{keeper} has the request and waits for a person there: {admit}")
        if not attempt.heard and time.monotonic() >= began + SILENT_S:
            attempt.say(f"{keeper} has not answered yet; the request waits for its agent to run")
        if time.monotonic() >= attempt.deadline:
            raise NotAdmitted(_undecided(attempt))


def _thank(attempt: _Attempt, doorway: Doorway) -> None:
    """Say that the answer is safe here; the keeper only tidies up by it."""
    arrived = replace(attempt.request, stage=ARRIVED)
    with suppress(TransportError):
        doorway.acknowledge()
        doorway.ask(seal_request(attempt.identity, attempt.invite.secret, arrived))


def _undecided(attempt: _Attempt) -> str:
    keeper = attempt.keeper.name
    if time.time() * 1000 >= attempt.invite.expires_ms:
        return f"no answer from {keeper}, and the invitation has expired: ask for a new one"
    if attempt.heard:
        return f"{keeper} has not decided yet; the request stands: run the same command again later"
    return (
        f"no answer from {keeper}: is its agent running? The request waits there; run this again later,"
        " or ask for a new invitation if another member keeps the ledger by now"
    )


def _read(attempt: _Attempt, frame: bytes) -> JoinAnswer | None:
    """Return the keeper's answer to this very request; None for anything else.

    Raises:
        ClockSkew: our clock is behind the keeper's.
    """

    def lookup(name: str) -> PublicIdentity:
        if name != attempt.keeper.name:
            raise UnknownSender(f"{name!r} does not keep the ledger")
        return attempt.keeper

    try:
        message = open_message(
            frame,
            attempt.identity,
            federation=attempt.invite.federation,
            lookup=lookup,
            now_ms=int(time.time() * 1000),
        )
        header = message.header
        if wire.message_class(header.kind, header.schema, header.sender) is not JoinAnswer:
            return None
        answer = from_plain(JoinAnswer, decode(message.body))
    except ClockSkew:
        raise
    except Refused as error:
        log.warning("passed over what is no answer of the keeper's: %s", error)
        return None
    return answer if answer.nonce == attempt.request.nonce else None  # of an earlier run


def _settle(attempt: _Attempt, home: Home, answer: JoinAnswer) -> None:
    invite, name = attempt.invite, attempt.identity.name
    if answer.again:
        # Others know streams and entries under this name: begin a new incarnation, as after a restored backup.
        mark_restored(home.path / JOURNAL, int(time.time() * 1000))
    settle(
        home,
        attempt.identity,
        invite.charter,
        federation=invite.federation,
        keeper=attempt.keeper.name,
        broker=broker_url(invite.broker, user(invite.federation, name), invite.federation),
        password=answer.password,
        ca=invite.ca,
        introduced=invite.inviter,
    )


@contextmanager
def _authority(invite: Invite) -> Iterator[Path | None]:
    """Give a file with the invitation's authority while we ask; the home gets its own when we are admitted."""
    if not invite.ca:
        yield None
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem", encoding="ascii") as file:
        file.write(invite.ca)
        file.flush()
        yield Path(file.name)
