"""Whom the keeper lets in: asked by hand, crashed at will, and everybody else turned away."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hansa.agents.admission import registrar
from hansa.agents.admission.invite import Invite
from hansa.agents.core.messages import JoinAnswer
from hansa.agents.errors import FederationError
from hansa.broker import BadName, Identity, seal_request
from hansa.broker.layout import DOOR_UNUSED_MS
from hansa.broker.request import ARRIVED
from hansa.ledger import MemberAdmitted, MemberLeft, MemberSuspended, RuleBroken, sign_entry
from tests.agents.hall import GUILD, NORTH, NOW_S, TOWN, Hall

STRANGER = Identity.generate("north")
SOUTH_WITH_NORTHS_KEYS = Identity("south", NORTH._secrets)


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall.found(tmp_path)
    yield hall
    hall.close()


def admit(hall: Hall, member: str = "north", identity: Identity = NORTH) -> None:
    hall.ask(lambda: hall.registrar.admit(member, identity.public.fingerprint))


def admitted(hall: Hall) -> Invite:
    """Let north in."""
    invite = hall.invite(automatic=True)
    hall.knock(invite)
    assert [answer.verdict for answer in hall.answers(invite)] == ["admitted"]
    return invite


# --- the way in -----------------------------------------------------------------------------------------
def test_who_asks_waits_for_a_person_and_is_let_in(hall: Hall) -> None:
    issued = hall.issue()
    request = hall.knock(issued.invite)
    assert hall.answers(issued.invite) == [JoinAnswer(request.nonce, "waiting")]
    waiting = hall.registrar.asking("north").applicant
    assert waiting is not None
    assert (waiting.public, waiting.organisation) == (NORTH.public, "north org")
    assert hall.entries() == 1
    admit(hall)
    member = hall.standing.members["north"]
    assert (member.public, member.organisation, member.status) == (NORTH.public, "north org", "active")
    assert hall.answers(issued.invite) == [
        JoinAnswer(request.nonce, "admitted", password=issued.password, again=False)
    ]
    assert not hall.registrar.arrived("north")
    hall.knock(issued.invite, stage=ARRIVED)
    assert hall.registrar.arrived("north")
    assert hall.answers(issued.invite) == []


def test_an_invitation_may_admit_by_itself(hall: Hall) -> None:
    admitted(hall)
    assert hall.standing.members["north"].public == NORTH.public


def test_the_same_request_again_is_answered_the_same_and_admits_once(hall: Hall) -> None:
    invite = hall.invite()
    request = hall.knock(invite)
    frame = seal_request(NORTH, invite.secret, request)
    hall.knock(invite, frame=frame)
    admit(hall)
    hall.knock(invite, frame=frame)
    verdicts = [answer.verdict for answer in hall.answers(invite)]
    assert verdicts == ["waiting", "waiting", "admitted", "admitted"]
    assert hall.entries() == 2


def test_who_lost_its_answer_asks_again_with_the_same_keys_and_gets_it(hall: Hall) -> None:
    issued = hall.issue(automatic=True)
    hall.knock(issued.invite)
    hall.answers(issued.invite)
    hall.restart()
    again = hall.knock(issued.invite)
    (answer,) = hall.answers(issued.invite)
    assert answer == JoinAnswer(again.nonce, "admitted", password=issued.password)
    hall.knock(issued.invite, stage=ARRIVED)
    third = hall.knock(issued.invite)
    assert hall.answers(issued.invite) == [replace(answer, nonce=third.nonce)]
    assert hall.entries() == 2


def test_a_keeper_killed_after_the_admission_was_signed_goes_on(hall: Hall) -> None:
    invite = hall.invite()
    hall.knock(invite)
    hall.answers(invite)
    hall.agent.ask(lambda: hall.registrar.admit("north", NORTH.public.fingerprint))
    hall.agent.step()  # signed and journalled; the next step chains it
    assert hall.entries() == 1
    hall.restart()
    assert [answer.verdict for answer in hall.answers(invite)] == ["admitted"]
    assert hall.entries() == 2


def test_a_keeper_killed_before_it_committed_hears_the_request_again(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    invite = hall.invite(automatic=True)

    def killed(_changes: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hall.journal, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            hall.knock(invite)
    hall.restart()
    assert [answer.verdict for answer in hall.answers(invite)] == ["admitted"]
    assert hall.entries() == 2


def test_a_member_that_left_may_join_again_with_new_keys(hall: Hall) -> None:
    admitted(hall)
    leave(hall)
    issued = hall.issue()
    assert issued.again
    hall.knock(issued.invite, STRANGER)
    hall.answers(issued.invite, STRANGER)
    admit(hall, identity=STRANGER)
    (answer,) = hall.answers(issued.invite, STRANGER)
    assert (answer.verdict, answer.again) == ("admitted", True)
    assert hall.standing.members["north"].public == STRANGER.public


def leave(hall: Hall) -> None:
    """Chain north's leaving."""
    number = hall.standing.next_author_seq("north")
    entry = sign_entry(
        NORTH, federation=TOWN, author_seq=number, body=MemberLeft("north"), time_ms=int(NOW_S * 1000)
    )
    hall.agent.books._appends.append(("north", entry))
    hall.settle()


# --- who is turned away -----------------------------------------------------------------------------------
def no_such(hall: Hall) -> tuple[Invite, Identity]:
    known = hall.invite()
    unknown = replace(known, number=known.number[:4] + bytes(12))
    hall.knock(unknown)
    return known, NORTH


def wrong_secret(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.knock(invite, secret=bytes(32))
    return invite, NORTH


def another_federation(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.knock(invite, federation="city")
    return invite, NORTH


def another_name(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite("south")
    hall.knock(invite)
    return invite, NORTH


def used(hall: Hall) -> tuple[Invite, Identity]:
    invite = admitted(hall)
    hall.knock(invite, STRANGER)
    return invite, STRANGER


def asked_by_another(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.knock(invite)
    hall.door(invite.door).acknowledge(each.tag for each in hall.door(invite.door).deliveries(9))
    hall.knock(invite, STRANGER)
    return invite, STRANGER


def expired(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite(hours=1)
    hall.now_s += 3_601
    hall.knock(invite)
    return invite, NORTH


def withdrawn(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.ask(lambda: hall.registrar.withdraw("north"))
    hall.knock(invite)
    return invite, NORTH


def replaced(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    assert hall.issue().replaced
    hall.knock(invite)
    return invite, NORTH


def rejected(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.knock(invite)
    assert len(hall.answers(invite)) == 1
    hall.ask(lambda: hall.registrar.reject("north", "not this year"))
    assert [answer.reason for answer in hall.answers(invite)] == ["not this year"]
    hall.knock(invite)
    return invite, NORTH


def early(hall: Hall) -> tuple[Invite, Identity]:
    invite = hall.invite()
    hall.knock(invite, sent_at_ms=int(hall.now_s * 1000) + 600_000)
    return invite, NORTH


def a_name_taken(hall: Hall) -> tuple[Invite, Identity]:
    """The name was given away by hand while the invitation was out."""
    invite = hall.invite()
    hall.agent.write(MemberAdmitted("north", STRANGER.public.verify_key, STRANGER.public.seal_key))
    hall.settle()
    hall.knock(invite)
    return invite, NORTH


def anothers_key(hall: Hall) -> tuple[Invite, Identity]:
    admitted(hall)
    invite = hall.invite("south")
    hall.knock(invite, SOUTH_WITH_NORTHS_KEYS)
    return invite, SOUTH_WITH_NORTHS_KEYS


def suspended(hall: Hall) -> tuple[Invite, Identity]:
    invite = admitted(hall)
    hall.agent.write(MemberSuspended("north", "dues"))
    hall.settle()
    hall.knock(invite)
    return invite, NORTH


REFUSALS: dict[str, tuple[Callable[[Hall], tuple[Invite, Identity]], str]] = {
    "no such invitation": (no_such, "no such invitation is known"),
    "wrong secret": (wrong_secret, "does not know the invitation's secret"),
    "another federation": (another_federation, "to another federation than town"),
    "another name": (another_name, "is for south, not for north"),
    "used": (used, "was used already, with other keys"),
    "asked by another": (asked_by_another, "was used already, with other keys"),
    "expired": (expired, "has expired"),
    "withdrawn": (withdrawn, "the keeper took the invitation back"),
    "replaced": (replaced, "a newer invitation took its place"),
    "rejected": (rejected, "not this year"),
    "a clock ahead": (early, "the clock of north is 600 s ahead"),
    "a name taken": (a_name_taken, "north is a member already"),
    "another's key": (anothers_key, "north has this key already"),
    "suspended meanwhile": (suspended, "north is suspended by now"),
}


@pytest.mark.parametrize(("attempt", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_whoever_may_not_come_in_is_told_why_and_leaves_nothing(
    hall: Hall,
    attempt: Callable[[Hall], tuple[Invite, Identity]],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[str, object]] = []
    transport = hall.broker.connect("observer")
    transport.subscribe("#")
    invite, identity = attempt(hall)
    size, rows = hall.entries(), hall.journal.load(registrar.SPACE)
    lines = [line for line in caplog.messages if "refused a request to join" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    (answer,) = hall.answers(invite, identity)
    assert answer.verdict == "refused"
    assert reason in answer.reason
    assert answer.password == ""
    assert hall.registrar.waiting(identity.name) is None or attempt is asked_by_another
    assert (hall.entries(), hall.journal.load(registrar.SPACE)) == (size, rows)
    heard += [(each.routing_key, b"join-refused" in each.body) for each in transport.deliveries(100)]
    assert ("guild.all.event", True) in heard


def test_a_refused_request_that_comes_again_is_told_of_once(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    invite = hall.invite()
    request = hall.knock(invite, secret=bytes(32))
    frame = seal_request(NORTH, bytes(32), request)
    for _ in range(3):
        hall.knock(invite, frame=frame)
    assert caplog.text.count("refused a request") == 1
    assert len(hall.answers(invite)) == 4


def test_whoever_floods_a_door_does_not_flood_the_log(
    hall: Hall, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "MOST_REPORTED", 2)
    invite, other = hall.invite(), hall.invite("south")
    for _ in range(4):
        hall.knock(invite, secret=bytes(32))  # each with a nonce of its own
    assert caplog.text.count("refused a request") == 2
    assert caplog.text.count(f"of more through {invite.door} nothing is said for an hour") == 1
    hall.knock(other, secret=bytes(32))
    assert caplog.text.count("refused a request") == 3
    hall.now_s += 3_600
    hall.knock(invite, secret=bytes(32))
    assert caplog.text.count("refused a request") == 4


def test_what_is_no_request_is_told_of_and_not_answered(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    invite = hall.invite()
    hall.knock(invite, frame=b"let me in")
    assert "MalformedMessage" in caplog.text
    hall.knock(invite, door="join-ffffffff")
    assert caplog.text.count("through another's door") == 1
    hall.broker.declare("west")
    hall.knock(invite, door="west")
    assert caplog.text.count("through another's door") == 2
    assert hall.answers(invite) == []
    assert hall.broker.dead_letters("guild") == ()


def test_two_who_ask_with_one_key_are_not_both_admitted(hall: Hall) -> None:
    west = Identity.generate("west")
    asking = {"west": west, "north": NORTH, "south": SOUTH_WITH_NORTHS_KEYS}
    for name, identity in asking.items():
        hall.knock(hall.invite(name), identity)
    futures = [
        hall.agent.ask(partial(hall.registrar.admit, name, identity.public.fingerprint))
        for name, identity in asking.items()
    ]
    hall.settle()
    assert [future.exception(0) for future in futures[:2]] == [None, None]
    with pytest.raises(RuleBroken, match="north has this key already"):
        futures[2].result(0)
    assert hall.entries() == 3


def test_an_admission_that_the_chain_refuses_after_all_is_taken_back(hall: Hall) -> None:
    hall.invite("south")
    invite = hall.invite()
    hall.knock(invite)
    hall.answers(invite)
    hall.agent.write(MemberAdmitted("north", STRANGER.public.verify_key, STRANGER.public.seal_key))
    hall.agent.ask(lambda: hall.registrar.admit("north", NORTH.public.fingerprint))
    (answer,) = hall.answers(invite)
    assert (answer.verdict, answer.reason) == ("refused", "north is a member already")
    assert hall.invitations()["north"].status == "rejected"


# --- what a person may ask for ------------------------------------------------------------------------------
def test_an_admission_is_of_the_keys_that_were_looked_at(hall: Hall) -> None:
    hall.knock(hall.invite())
    with pytest.raises(FederationError, match="with other keys"):
        admit(hall, identity=STRANGER)
    assert hall.registrar.waiting("north") is not None


def test_only_who_asks_can_be_admitted_or_rejected(hall: Hall) -> None:
    with pytest.raises(FederationError, match="nobody asks to join as north"):
        admit(hall)
    hall.invite()
    with pytest.raises(FederationError, match="was invited and has not asked yet"):
        hall.ask(lambda: hall.registrar.reject("north", "no"))


def test_members_are_not_invited_again_nor_names_that_are_none(hall: Hall) -> None:
    for name in ("join-12345678", "North", "all"):
        with pytest.raises(BadName):
            hall.issue(name)
    with pytest.raises(FederationError, match="guild is a member already"):
        hall.issue("guild")
    for hours in (0, -1, 721, float("nan")):
        with pytest.raises(FederationError, match="at most 720 hours"):
            hall.issue(hours=hours)
    hall.knock(hall.invite())
    hall.agent.ask(lambda: hall.registrar.admit("north", NORTH.public.fingerprint))
    with pytest.raises(FederationError, match="north is being admitted just now"):
        hall.issue()
    with pytest.raises(FederationError, match="hansa federation suspend north"):
        hall.issue()


def test_an_invitation_can_be_taken_back_while_it_is_open(hall: Hall) -> None:
    with pytest.raises(FederationError, match="no invitation of north is open"):
        hall.ask(lambda: hall.registrar.withdraw("north"))
    invite = hall.invite()
    hall.knock(invite)
    hall.ask(lambda: hall.registrar.withdraw("north"))
    assert [answer.verdict for answer in hall.answers(invite)] == ["waiting", "refused"]


def test_doors_that_nobody_needs_are_known_and_forgotten_when_they_are_shut(hall: Hall) -> None:
    invite = hall.invite(automatic=True)
    assert hall.registrar.shuttable() == []
    hall.ask(lambda: hall.registrar.shut([invite.door]))
    hall.knock(invite)
    assert hall.registrar.shuttable() == []
    hall.knock(invite, stage=ARRIVED)
    hall.knock(invite, stage=ARRIVED)
    assert hall.registrar.shuttable() == [invite.door]
    hall.ask(lambda: hall.registrar.shut([invite.door, "join-ffffffff"]))
    assert hall.journal.load(registrar.SPACE) == {}
    assert hall.standing.members["north"].status == "active"


def test_an_expired_invitation_keeps_no_password_and_is_forgotten_with_its_door(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    later = hall.invite("south", hours=3)
    invite = hall.invite()
    assert hall.invitations()["north"].password
    hall.now_s += 3_700
    hall.settle()
    assert hall.invitations()["north"].password == ""
    assert hall.invitations()["south"].password
    assert hall.registrar.shuttable() == [invite.door]
    hall.now_s += DOOR_UNUSED_MS / 1000
    hall.settle()
    assert list(hall.journal.load(registrar.SPACE)) == [later.number]
    assert f"the broker may still have the user of the door {invite.door}" in caplog.text


def test_whoever_was_admitted_gets_its_answer_after_the_invitation_has_expired(hall: Hall) -> None:
    issued = hall.issue(automatic=True)
    hall.knock(issued.invite)
    hall.answers(issued.invite)  # which was lost
    hall.now_s += 3_700
    hall.settle()
    assert hall.registrar.shuttable() == []  # its door stands
    again = hall.knock(issued.invite)
    expected = JoinAnswer(again.nonce, "admitted", password=issued.password)
    assert hall.answers(issued.invite) == [expected]
    hall.knock(issued.invite, stage=ARRIVED)
    hall.now_s += 3_700  # the keeper tidies now and then
    hall.settle()
    assert hall.registrar.arrived("north")
    assert hall.registrar.shuttable() == [issued.invite.door]
    assert hall.invitations()["north"].password == ""


def test_an_answer_to_a_door_that_is_gone_is_dropped(hall: Hall) -> None:
    invite = hall.invite()
    gone = replace(invite, number=bytes(16))
    hall.knock(gone, door="join-00000000")  # a door without a queue
    hall.now_s += 10
    hall.settle()
    assert hall.agent.outbox.idle
    assert hall.agent.outbox.unroutable == set()


def test_the_keeper_says_who_has_left(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    admitted(hall)
    leave(hall)
    hall.settle()
    assert caplog.text.count("north has left; its user is still at the broker: hansa broker withdraw") == 1
    hall.restart()
    hall.settle()
    assert caplog.text.count("north has left") == 1


def test_nothing_the_keeper_remembers_shows_a_secret(hall: Hall) -> None:
    issued = hall.issue()
    shown = repr(hall.invitations()["north"]) + repr(issued)
    assert issued.password not in shown
    assert issued.invite.password not in shown
    assert repr(issued.invite.secret) not in shown


def test_the_keeper_signs_its_invitations(hall: Hall) -> None:
    invite = hall.invite()
    invite.check()
    assert invite.keeper() == GUILD.public
