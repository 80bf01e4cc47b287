"""Who may write what, and when: every rule broken once, one thing at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hansa.broker.identity import Identity
from hansa.ledger import (
    Body,
    ContributionMeasured,
    DatasetWithdrawn,
    DistortionFound,
    EntryFields,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobRefused,
    KeeperChanged,
    KeyRevoked,
    KeyRotated,
    MemberLeft,
    MemberSuspended,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    PayoutApproved,
    PayoutSettled,
    RoundClosed,
    RowsAligned,
    RowsWithdrawn,
    RuleBroken,
    Standing,
    UnknownBody,
    kind_of,
)
from hansa.ledger.rules import check_author, check_body, check_founding
from tests.ledger.town import (
    BREMEN,
    CATCH,
    CHARTER,
    DANZIG,
    DIGEST,
    FEDERATION,
    FINISH,
    LUBECK,
    NEXT_CATCH,
    PROPOSAL,
    SMALL_CATCH,
    STRANGER,
    admission,
    final_payout,
)

NEW_KEYS = Identity.generate("bremen").public
ROTATION = KeyRotated("bremen", NEW_KEYS.verify_key, NEW_KEYS.seal_key)
ROUND = RoundClosed("herring", 0, DIGEST, ("bremen",), ("danzig",))
EVALUATION = ModelEvaluated("herring", 0, DIGEST, 0.5, 0.5, "accuracy", 10)
SHARES = ContributionMeasured("herring", "volume", {"bremen": 7, "danzig": 3})
EPOCH = EpochEnded("herring", 3, 0.412, "improved")
OVERDUE = PartiesOverdue("herring", 7, ("danzig",))
DISTORTION = DistortionFound("herring", 4, None, None)
ALIGNED = RowsAligned("herring", {"bremen": 500, "danzig": 450}, 412)
REVOCATION = KeyRevoked("bremen", BREMEN.public.verify_key, "lost at sea")


class Books:
    """A standing, and the index of the next entry."""

    def __init__(self) -> None:
        self.standing = Standing()
        self.digests: list[bytes] = []

    @property
    def size(self) -> int:
        return len(self.digests)

    def fields(self, author: str, body: Body | UnknownBody) -> EntryFields:
        number = self.standing.next_author_seq(author)
        return EntryFields(FEDERATION, author, number, kind_of(body), 1, 0, b"")

    def write(self, author: str, *bodies: Body | UnknownBody) -> "Books":
        for body in bodies:
            fields = self.fields(author, body)
            if self.standing.founded:
                check_author(self.standing, fields)
                check_body(self.standing, author, body)
            else:
                check_founding(fields, body)
            digest = bytes([self.size % 256]) * 32
            self.standing.apply(self.size, digest, fields, body)
            self.digests.append(digest)
        return self


def founded() -> Books:
    return Books().write("lubeck", CHARTER)


def joined() -> Books:
    return founded().write("lubeck", admission(BREMEN), admission(DANZIG))


def registered() -> Books:
    return joined().write("bremen", CATCH).write("danzig", SMALL_CATCH)


def proposed() -> Books:
    return registered().write("lubeck", PROPOSAL)


def accepted() -> Books:
    return proposed().write("bremen", JobAccepted("herring")).write("danzig", JobAccepted("herring"))


def finished() -> Books:
    return accepted().write("lubeck", ROUND, SHARES, FINISH)


def aborted() -> Books:
    return accepted().write("lubeck", JobAborted("herring", "storm"))


FINISHED = finished()
PAYOUT = final_payout(FINISHED.standing, FINISHED.digests)


def paying() -> Books:
    return finished().write("lubeck", PAYOUT)


NUMBER = paying().size - 1  # of the payout


def test_the_charter_makes_its_keeper_the_first_member() -> None:
    standing = founded().standing
    assert standing.charter == CHARTER
    assert standing.members["lubeck"].public == LUBECK.public
    assert standing.members["lubeck"].status == "active"
    assert repr(standing) == "Standing(1 members, 0 jobs)"


def test_nothing_is_known_before_the_charter() -> None:
    with pytest.raises(RuleBroken, match="first entry must be a charter"):
        _ = Standing().charter
    assert not Standing().founded


@pytest.mark.parametrize(
    ("changes", "body", "reason"),
    [
        ({}, JobAccepted("herring"), "must be a charter, found charter"),
        ({}, UnknownBody("charter", 2, b""), "must be a charter"),
        ({"author": "bremen"}, CHARTER, "names 'lubeck' as keeper, but 'bremen' wrote it"),
        ({"federation": "league"}, CHARTER, "'hansa' in an entry of 'league'"),
        ({"author_seq": 1}, CHARTER, "expected entry 0 of lubeck, found 1"),
    ],
)
def test_what_may_not_found_a_federation(
    changes: dict[str, object], body: Body | UnknownBody, reason: str
) -> None:
    fields = replace(Books().fields("lubeck", CHARTER), **changes)  # type: ignore[arg-type]
    with pytest.raises(RuleBroken, match=reason):
        check_founding(fields, body)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"federation": "league"}, "of 'league', not of 'hansa'"),
        ({"author": "stranger"}, "'stranger' is no member"),
        ({"author_seq": 0}, "entry 0 of bremen comes after its entry 0"),
    ],
)
def test_an_author_writes_in_its_own_name_under_a_rising_number(
    changes: dict[str, object], reason: str
) -> None:
    books = joined().write("bremen", CATCH)
    fields = books.fields("bremen", DatasetWithdrawn("catch", ""))
    check_author(books.standing, replace(fields, author_seq=fields.author_seq + 3))  # gaps are fine
    check_author(books.standing, fields)
    with pytest.raises(RuleBroken, match=reason):
        check_author(books.standing, replace(fields, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ending", "author", "status"),
    [
        (MemberSuspended("bremen", "pirates"), "lubeck", "suspended"),
        (MemberLeft("bremen"), "bremen", "left"),
        (REVOCATION, "bremen", "revoked"),
        (REVOCATION, "lubeck", "revoked"),
    ],
)
def test_who_is_not_active_writes_nothing_until_admitted_again(
    ending: Body, author: str, status: str
) -> None:
    books = joined().write(author, ending)
    assert books.standing.members["bremen"].status == status
    with pytest.raises(RuleBroken, match=f"bremen may not write: {status}"):
        check_author(books.standing, books.fields("bremen", CATCH))
    number = books.standing.next_author_seq("bremen")
    keys = NEW_KEYS if status == "revoked" else BREMEN.public
    again = replace(admission(BREMEN), verify_key=keys.verify_key, seal_key=keys.seal_key)
    books.write("lubeck", again)
    assert books.standing.members["bremen"].admitted_at == books.size - 1
    assert books.standing.next_author_seq("bremen") == number  # numbers are never used again
    books.write("bremen", CATCH)


REFUSED: dict[str, tuple[Callable[[], Books], str, Body, str]] = {
    "a second charter": (joined, "lubeck", CHARTER, "has its charter"),
    "admission by a member": (joined, "bremen", admission(STRANGER), "the keeper admits"),
    "admission of a member": (joined, "lubeck", admission(BREMEN), "bremen is a member already"),
    "admission under another's key": (
        joined,
        "lubeck",
        replace(admission(STRANGER), verify_key=BREMEN.public.verify_key),
        "bremen has this key already",
    ),
    "admission under a revoked key": (
        lambda: joined().write("bremen", REVOCATION),
        "lubeck",
        admission(BREMEN),
        "this key is revoked",
    ),
    "suspension by a member": (joined, "bremen", MemberSuspended("danzig", ""), "the keeper suspends"),
    "suspension of the keeper": (joined, "lubeck", MemberSuspended("lubeck", ""), "lubeck keeps the ledger"),
    "suspension of a stranger": (joined, "lubeck", MemberSuspended("stranger", ""), "stranger is no member"),
    "suspension of one who left": (
        lambda: joined().write("bremen", MemberLeft("bremen")),
        "lubeck",
        MemberSuspended("bremen", ""),
        "bremen is not active but left",
    ),
    "leaving for another": (joined, "lubeck", MemberLeft("bremen"), "leaves for itself"),
    "the keeper leaving": (joined, "lubeck", MemberLeft("lubeck"), "lubeck keeps the ledger"),
    "rotating another's keys": (joined, "danzig", ROTATION, "its own keys"),
    "rotating to the same key": (
        joined,
        "bremen",
        replace(ROTATION, verify_key=BREMEN.public.verify_key),
        "bremen has this key already",
    ),
    "rotating to another's key": (
        joined,
        "bremen",
        replace(ROTATION, verify_key=DANZIG.public.verify_key),
        "danzig has this key already",
    ),
    "rotating the keeper's keys": (
        joined,
        "lubeck",
        replace(ROTATION, name="lubeck"),
        "lubeck keeps the ledger",
    ),
    "revoking another's key": (joined, "danzig", REVOCATION, "by its owner or the keeper"),
    "revoking the keeper's key": (joined, "lubeck", replace(REVOCATION, name="lubeck"), "keeps the ledger"),
    "revoking a stranger's key": (joined, "lubeck", replace(REVOCATION, name="stranger"), "no member"),
    "revoking the key of one who left": (
        lambda: joined().write("bremen", MemberLeft("bremen")),
        "lubeck",
        REVOCATION,
        "bremen has left",
    ),
    "revoking a key nobody has": (
        joined,
        "bremen",
        replace(REVOCATION, verify_key=NEW_KEYS.verify_key),
        "neither the key that bremen has nor the one before it",
    ),
    "revoking twice": (
        lambda: joined().write("bremen", REVOCATION),
        "lubeck",
        REVOCATION,
        "revoked already",
    ),
    "registering twice": (lambda: joined().write("bremen", CATCH), "bremen", CATCH, "withdraw it first"),
    "withdrawing another's data": (
        lambda: joined().write("bremen", CATCH),
        "danzig",
        DatasetWithdrawn("catch", ""),
        "danzig has not registered catch",
    ),
    "withdrawing rows of another's data": (
        lambda: joined().write("bremen", CATCH),
        "danzig",
        RowsWithdrawn("catch", (0,)),
        "danzig has not registered catch",
    ),
    "taking over without a certificate": (
        joined,
        "bremen",
        KeeperChanged(b""),
        "bremen can't take over: a note is",
    ),
    "proposing a job's name again": (proposed, "bremen", PROPOSAL, "was proposed already"),
    "proposing to a stranger": (
        joined,
        "lubeck",
        replace(PROPOSAL, parties=("bremen", "stranger")),
        "stranger is no member",
    ),
    "proposing to one suspended": (
        lambda: joined().write("lubeck", MemberSuspended("danzig", "")),
        "lubeck",
        PROPOSAL,
        "danzig can't take part: suspended",
    ),
    "accepting nothing": (joined, "bremen", JobAccepted("herring"), "no job herring"),
    "accepting uninvited": (proposed, "lubeck", JobAccepted("herring"), "not among the parties"),
    "accepting twice": (accepted, "bremen", JobAccepted("herring"), "answered herring already"),
    "refusing after all": (accepted, "bremen", JobRefused("herring", ""), "answered herring already"),
    "accepting too late": (aborted, "bremen", JobAccepted("herring"), "job herring is aborted"),
    "finishing another's job": (accepted, "bremen", FINISH, "one coordinator: lubeck, not bremen"),
    "finishing without a quorum": (
        proposed,
        "lubeck",
        FINISH,
        "0 parties of herring accepted, its quorum is 2",
    ),
    "finishing twice": (finished, "lubeck", FINISH, "job herring is finished"),
    "aborting another's job": (accepted, "bremen", JobAborted("herring", ""), "one coordinator"),
    "aborting what is finished": (finished, "lubeck", JobAborted("herring", ""), "job herring is finished"),
    "missing a stranger": (
        accepted,
        "lubeck",
        JobAborted("herring", "", ("stranger",)),
        "stranger is not among the parties",
    ),
    "closing another's round": (accepted, "bremen", ROUND, "one coordinator"),
    "closing a round too late": (finished, "lubeck", replace(ROUND, round=9), "job herring is finished"),
    "closing a round again": (
        lambda: accepted().write("lubeck", ROUND),
        "lubeck",
        ROUND,
        "round 0 of herring after round 0",
    ),
    "a participant that never accepted": (
        proposed,
        "lubeck",
        ROUND,
        "bremen is not among those who accepted",
    ),
    "there and missing": (
        accepted,
        "lubeck",
        replace(ROUND, missing=("bremen",)),
        "bremen took part in round 0 and was missing",
    ),
    "measuring another's job": (accepted, "bremen", SHARES, "one coordinator"),
    "measuring an aborted job": (aborted, "lubeck", SHARES, "job herring is aborted"),
    "measuring a stranger": (
        accepted,
        "lubeck",
        replace(SHARES, shares={"stranger": 1}),
        "stranger is not among",
    ),
    "evaluating another's job": (accepted, "bremen", EVALUATION, "one coordinator"),
    "evaluating an aborted job": (aborted, "lubeck", EVALUATION, "job herring is aborted"),
    "using a model before there is one": (accepted, "bremen", ModelUsed("herring", 1), "no model: open"),
    "using others' model": (
        lambda: finished().write("lubeck", admission(STRANGER)),
        "stranger",
        ModelUsed("herring", 1),
        "stranger is not among those who made the model",
    ),
    "using what made no model": (
        lambda: accepted().write("lubeck", JobFinished("herring", b"", None, None, "", 1)),
        "bremen",
        ModelUsed("herring", 1),
        "no model: it made none",
    ),
    "an epoch of no job": (joined, "bremen", EPOCH, "no job herring"),
    "an epoch told by one who never accepted": (proposed, "bremen", EPOCH, "bremen is not among those in"),
    "an epoch told twice": (
        lambda: accepted().write("bremen", EPOCH),
        "bremen",
        EPOCH,
        "epoch 3 of herring after epoch 3",
    ),
    "a distortion told by a stranger to the job": (proposed, "danzig", DISTORTION, "danzig is not among"),
    "waiting for a stranger": (
        accepted,
        "bremen",
        replace(OVERDUE, missing=("danzig", "stranger")),
        "stranger is not among those in herring",
    ),
    "comparing lists in another's job": (accepted, "bremen", ALIGNED, "one coordinator"),
    "comparing lists of an aborted job": (aborted, "lubeck", ALIGNED, "job herring is aborted"),
    "comparing a stranger's list": (
        accepted,
        "lubeck",
        replace(ALIGNED, sizes={"stranger": 1}),
        "stranger is not among",
    ),
    "paying for another's job": (finished, "bremen", PAYOUT, "one coordinator"),
    "paying before the end": (accepted, "lubeck", PAYOUT, "no model: open"),
    "paying a stranger": (
        finished,
        "lubeck",
        replace(PAYOUT, amounts={"stranger": 100}),
        "stranger: expected none, found 1.00 EUR",
    ),
    "approving what is no payout": (paying, "bremen", PayoutApproved(0), "entry 0 proposes no payout"),
    "approving unpaid": (paying, "lubeck", PayoutApproved(NUMBER), "lubeck is not among those whom"),
    "approving twice": (
        lambda: paying().write("bremen", PayoutApproved(NUMBER)),
        "bremen",
        PayoutApproved(NUMBER),
        "bremen has approved",
    ),
    "settling another's payout": (paying, "bremen", PayoutSettled(NUMBER, ""), "who proposed a payout"),
    "settling unapproved": (
        lambda: paying().write("bremen", PayoutApproved(NUMBER)),
        "lubeck",
        PayoutSettled(NUMBER, ""),
        "1 of 2 payees approve it, 2 must; not yet danzig",
    ),
    "settling twice": (
        lambda: (
            paying()
            .write("bremen", PayoutApproved(NUMBER))
            .write("danzig", PayoutApproved(NUMBER))
            .write("lubeck", PayoutSettled(NUMBER, ""))
        ),
        "lubeck",
        PayoutSettled(NUMBER, ""),
        "settled already",
    ),
}


@pytest.mark.parametrize(("stage", "author", "body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_broken_rule_is_named(stage: Callable[[], Books], author: str, body: Body, reason: str) -> None:
    books = stage()
    with pytest.raises(RuleBroken, match=reason):
        books.write(author, body)


def test_a_job_goes_from_proposal_to_settled_payout() -> None:
    books = paying()
    job = books.standing.jobs["herring"]
    assert (job.status, job.coordinator, job.accepted) == ("finished", "lubeck", ("bremen", "danzig"))
    assert (job.model_digest, job.method, job.shares) == (DIGEST, "volume", {"bremen": 7, "danzig": 3})
    assert books.standing.rounds == {"herring": 0}
    books.write("bremen", PayoutApproved(NUMBER)).write("danzig", PayoutApproved(NUMBER))
    books.write("lubeck", PayoutSettled(NUMBER, "folio 12"))
    payout = books.standing.payouts[NUMBER]
    assert (payout.status == "settled", payout.approved, payout.amounts) == (
        True,
        ("bremen", "danzig"),
        PAYOUT.amounts,
    )
    books.write("bremen", ModelUsed("herring", 5)).write("lubeck", EVALUATION)


def test_anybody_in_a_job_tells_its_course_and_may_come_after_its_end() -> None:
    waiting_for_all = replace(OVERDUE, missing=("danzig", "lubeck"))
    for stage in (accepted, finished, aborted):
        books = stage().write("bremen", EPOCH, replace(EPOCH, epoch=4), waiting_for_all, DISTORTION)
        books.write("lubeck", EPOCH, OVERDUE)
        assert books.standing.epochs == {("herring", "bremen"): 4, ("herring", "lubeck"): 3}


def test_lists_are_compared_before_the_job_ends() -> None:
    books = accepted().write("lubeck", ALIGNED, JobFinished("herring", b"", None, None, "", 1))
    assert books.standing.jobs["herring"].status == "finished"
    assert not books.standing.jobs["herring"].model_digest


def test_a_refusal_is_remembered() -> None:
    job = proposed().write("danzig", JobRefused("herring", "busy")).standing.jobs["herring"]
    assert (job.refused, job.accepted, job.status) == (("danzig",), (), "open")


def test_a_quorum_smaller_than_all_is_enough() -> None:
    books = joined().write("lubeck", replace(PROPOSAL, quorum=1)).write("bremen", JobAccepted("herring"))
    books.write("lubeck", FINISH)
    assert books.standing.jobs["herring"].status == "finished"


def test_a_data_set_can_be_withdrawn_and_registered_anew() -> None:
    books = joined().write("bremen", CATCH)
    assert books.standing.datasets["bremen", "catch"].rows == 700
    books.write("bremen", DatasetWithdrawn("catch", "spoiled"))
    assert books.standing.datasets == {}
    books.write("bremen", replace(CATCH, rows=10))
    assert books.standing.datasets["bremen", "catch"].registered_at == books.size - 1


def test_a_job_on_other_data_is_not_marked_by_rows_withdrawn() -> None:
    books = (
        joined()
        .write("bremen", CATCH)
        .write("lubeck", PROPOSAL, replace(PROPOSAL, job="salt", dataset="salt"))
    )
    for job in ("herring", "salt"):
        books.write("bremen", JobAccepted(job))
    books.write("bremen", RowsWithdrawn("catch", (1, 2)))
    assert books.standing.jobs["herring"].withdrawn == {"bremen": 2}
    assert books.standing.jobs["salt"].withdrawn == {}


def test_rotated_keys_are_the_members_from_then_on() -> None:
    books = joined().write("bremen", ROTATION)
    assert books.standing.members["bremen"].public == NEW_KEYS
    assert books.standing.members["bremen"].status == "active"


def test_any_member_may_write_an_unknown_kind_which_is_remembered() -> None:
    books = joined().write("bremen", UnknownBody("tide-turned", 1, b""))
    assert books.standing.unknown_kinds == {"tide-turned"}


def test_a_copy_goes_its_own_way() -> None:
    books = paying()
    before = books.standing
    books.standing = before.copy()
    books.write("bremen", PayoutApproved(NUMBER), NEXT_CATCH).write("lubeck", admission(STRANGER))
    books.write("lubeck", replace(PROPOSAL, job="salt"), REVOCATION).write("danzig", JobAccepted("salt"))
    books.write("danzig", UnknownBody("tide-turned", 1, b""))
    books.write("lubeck", replace(ROUND, job="salt", participants=("danzig",), missing=()))
    books.write("lubeck", EPOCH)
    assert "stranger" not in before.members
    assert before.members["bremen"].status == "active"
    assert not before.revoked_keys
    assert set(before.datasets) == {("bremen", "catch"), ("danzig", "catch")}
    assert not before.unknown_kinds
    assert list(before.jobs) == list(before.rounds) == ["herring"]
    assert not before.epochs
    assert before.payouts[NUMBER].approved == ()
    assert before.next_author_seq("bremen") == 2


def test_finish_takes_the_models_digest() -> None:
    other = bytes(reversed(DIGEST))
    books = accepted().write("lubeck", JobFinished("herring", other, 0.1, 0.9, "accuracy", 1))
    assert books.standing.jobs["herring"].model_digest == other
