"""Every kind goes onto the wire and back; every field refuses what it may not hold."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.broker.codec import encode
from hansa.broker.records import to_plain
from hansa.ledger import (
    KINDS,
    Body,
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    DatasetWithdrawn,
    DistortionFound,
    EpochEnded,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobRefused,
    JobStarted,
    KeeperChanged,
    KeyRevoked,
    KeyRotated,
    MalformedEntry,
    MemberLeft,
    MemberSuspended,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    PayoutApproved,
    PayoutDisputed,
    PayoutHeld,
    PayoutReleased,
    PayoutSettled,
    PayoutWithdrawn,
    RoundClosed,
    RowsAligned,
    RowsWithdrawn,
    UnknownBody,
    decode_body,
    kind_of,
    read_entry,
    schema_of,
    sign_entry,
)
from hansa.ledger.bodies import plain_body
from hansa.ledger.checks import LABEL_CHARS, REASON_CHARS
from hansa.ledger.jobs import MOST_PLAYERS, MOST_VALUES
from hansa.ledger.membership import MOST_CERTIFICATE_BYTES, MOST_LEAVES_AT_ONCE
from hansa.ledger.money import MAX_MINOR, MOST_HASHES
from tests.ledger.town import BREMEN, CATCH, CHARTER, DIGEST, FINISH, PAYOUT, PROPOSAL, admission

KEYS = BREMEN.public
ROUND = RoundClosed("herring", 2, DIGEST, ("bremen",), ("danzig",))
EVALUATION = ModelEvaluated("herring", 2, DIGEST, 0.5, 0.75, "accuracy", 100)
EPOCH = EpochEnded("herring", 3, 0.412, "improved")
OVERDUE = PartiesOverdue("herring", 7, ("danzig", "lubeck"))
DISTORTION = DistortionFound("herring", 4, 9.5, 0.412)
ALIGNED = RowsAligned("herring", {"bremen": 500, "danzig": 450}, 412)
NO_MODEL = JobFinished("herring", b"", loss=None, score=None, metric="", rounds=1)
HIDDEN = JobFinished("herring", DIGEST, loss=None, score=0.9, metric="auc", rounds=1)
PAIR = replace(CHARTER, successor="bremen")
ROWS = RowsWithdrawn("catch", (0, 3, 699), "asked to be forgotten")
PAYING = replace(CHARTER, contribution="gtg", utility="loss", approvals=2)
VALUED = CoalitionsValued("herring", 1, ("bremen", "danzig"), (700, 300), (0, 1, 3), (0.1, 0.5, 0.9))
USES = replace(PAYOUT, basis="uses", since=9, until=12)
EXAMPLES: list[Body] = [
    CHARTER,
    PAIR,
    PAYING,
    replace(CHARTER, cosigners=3),
    admission(BREMEN),
    MemberSuspended("bremen", "pirates"),
    MemberLeft("bremen"),
    KeyRotated("bremen", KEYS.verify_key, KEYS.seal_key),
    KeyRevoked("bremen", KEYS.verify_key, "lost at sea"),
    KeeperChanged(b"a certificate"),
    CATCH,
    DatasetWithdrawn("catch", "spoiled"),
    ROWS,
    PROPOSAL,
    JobAccepted("herring"),
    JobAccepted("herring", DIGEST),
    JobRefused("herring", "not with Danzig"),
    JobStarted("herring", ("bremen", "danzig")),
    FINISH,
    NO_MODEL,
    HIDDEN,
    replace(HIDDEN, loss=0.5, score=None),
    JobAborted("herring", "storm", ("danzig",)),
    ROUND,
    VALUED,
    ContributionMeasured("herring", "volume", {"bremen": 700, "danzig": 300}),
    EVALUATION,
    ModelUsed("herring", 10, "next year's catch"),
    EPOCH,
    replace(EPOCH, loss=None, verdict="last"),
    OVERDUE,
    DISTORTION,
    DistortionFound("herring", 4, None, None),
    ALIGNED,
    RowsAligned("herring", {}, None),
    PAYOUT,
    USES,
    replace(PAYOUT, scheme="fli"),
    PayoutApproved(7),
    PayoutApproved(7, DIGEST),
    PayoutHeld(7, "the bank is closed"),
    PayoutDisputed(7, "we had more barrels"),
    PayoutReleased(7),
    PayoutWithdrawn(7, "another pot"),
    PayoutSettled(7, "ledger folio 12"),
]


def written(body: Body) -> bytes:
    return encode(plain_body(body))


def test_every_kind_has_an_example_here_and_a_place_in_the_union() -> None:
    assert {type(body) for body in EXAMPLES} == set(KINDS.values()) == set(get_args(Body))


def test_every_kind_is_documented_with_all_its_fields() -> None:
    page = Path(__file__).parents[2] / "docs" / "ledger.md"
    rows = [line.split("|")[1:3] for line in page.read_text(encoding="utf-8").splitlines() if "| `" in line]
    documented = {kind.strip(" `"): set(re.findall(r"`(\w+)`", names)) for kind, names in rows}
    assert documented == {kind: {each.name for each in fields(body)} for kind, body in KINDS.items()}


@pytest.mark.parametrize("body", EXAMPLES, ids=kind_of)
def test_a_body_comes_back_as_it_was_written(body: Body) -> None:
    assert decode_body(kind_of(body), schema_of(body), written(body)) == body


@pytest.mark.parametrize("body", EXAMPLES, ids=kind_of)
def test_a_body_lacking_a_field_or_with_one_more_is_refused(body: Body) -> None:
    plain = plain_body(body)
    assert isinstance(plain, dict)
    with pytest.raises(MalformedEntry, match="weather"):
        decode_body(kind_of(body), schema_of(body), encode({**plain, "weather": "fair"}))
    first, *others = plain
    with pytest.raises(MalformedEntry, match=f"lacks {first}"):
        decode_body(kind_of(body), schema_of(body), encode({name: plain[name] for name in others}))


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200))
def test_noise_is_refused_as_malformed_or_happens_to_be_a_body(kind: str, raw: bytes) -> None:
    try:
        body = decode_body(kind, 1, raw)
    except MalformedEntry:
        return
    assert not isinstance(body, UnknownBody)
    assert written(body) == raw


@pytest.mark.parametrize(("kind", "schema"), [("tide-turned", 1), ("job-accepted", 3), ("job-finished", 3)])
def test_unknown_kinds_and_schemas_are_kept_as_they_are(kind: str, schema: int) -> None:
    body = decode_body(kind, schema, b"\xff any bytes")
    assert body == UnknownBody(kind, schema, b"\xff any bytes")
    assert kind_of(body) == kind
    assert "any bytes" not in repr(body)


def test_an_entry_is_signed_in_the_oldest_form_that_can_say_it() -> None:
    drawn, bound = JobAccepted("herring", DIGEST), PayoutApproved(7, DIGEST)
    first = (FINISH, EPOCH, CHARTER, PAYOUT, JobAccepted("herring"), VALUED, PayoutApproved(7))
    newer = ((NO_MODEL, 2), (HIDDEN, 2), (PAIR, 2), (PAYING, 3), (USES, 2), (drawn, 2), (bound, 2))
    for body, schema in (*((each, 1) for each in first), *newer):
        signed = sign_entry(BREMEN, federation="hansa", author_seq=0, body=body, time_ms=0)
        assert read_entry(signed.signed).schema == schema_of(body) == schema


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (FINISH, 2),
        (NO_MODEL, 1),
        (HIDDEN, 1),
        (CHARTER, 2),
        (CHARTER, 3),
        (PAIR, 1),
        (PAIR, 3),
        (PAYING, 2),
        (JobAccepted("herring"), 2),
        (JobAccepted("herring", DIGEST), 1),
        (PAYOUT, 2),
        (USES, 1),
    ],
)
def test_a_body_in_another_form_than_the_oldest_that_can_say_it_is_refused(body: Body, found: int) -> None:
    with pytest.raises(MalformedEntry, match=f"expected schema {schema_of(body)} for it, found {found}"):
        decode_body(kind_of(body), found, written(body))


def test_a_charter_names_cosigners_or_a_successor_only_where_they_say_something() -> None:
    plain = plain_body(CHARTER)
    assert isinstance(plain, dict)
    assert not {"cosigners", "successor"} & plain.keys()
    later = ({"cosigners": 0}, {"successor": ""}, {"contribution": "volume"}, {"approvals": 0})
    for field in later:
        with pytest.raises(MalformedEntry, match=f"schema 1 has no {next(iter(field))}"):
            decode_body("charter", 1, encode({**plain, **field}))


def test_a_verdict_is_one_of_five() -> None:
    plain = to_plain(EPOCH)
    assert isinstance(plain, dict)
    with pytest.raises(MalformedEntry, match="verdict"):
        decode_body("epoch-ended", 1, encode({**plain, "verdict": "splendid"}))


LONG = "x" * (REASON_CHARS + 1)
WIDE = "x" * (LABEL_CHARS + 1)
WRONG: dict[str, Callable[[], Body]] = {
    "charter-federation": lambda: replace(CHARTER, federation="Hansa!"),
    "charter-organisation": lambda: replace(CHARTER, organisation=WIDE),
    "charter-purpose": lambda: replace(CHARTER, purpose=LONG),
    "charter-quorum": lambda: replace(CHARTER, quorum=0),
    "charter-cosigners": lambda: replace(CHARTER, cosigners=-1),
    "charter-successor": lambda: replace(CHARTER, successor="Bremen!"),
    "charter-contribution": lambda: replace(CHARTER, contribution="by size!"),
    "charter-approvals": lambda: replace(CHARTER, approvals=-1),
    "charter-succeeding-itself": lambda: replace(CHARTER, successor="lubeck"),
    "changed-certificate": lambda: KeeperChanged(bytes(MOST_CERTIFICATE_BYTES + 1)),
    "rows-name": lambda: replace(ROWS, dataset="my catch"),
    "rows-reason": lambda: replace(ROWS, reason=LONG),
    "rows-none": lambda: replace(ROWS, leaves=()),
    "rows-too-many": lambda: replace(ROWS, leaves=tuple(range(MOST_LEAVES_AT_ONCE + 1))),
    "rows-before-the-first": lambda: replace(ROWS, leaves=(-1, 3)),
    "rows-twice": lambda: replace(ROWS, leaves=(3, 3)),
    "rows-falling": lambda: replace(ROWS, leaves=(3, 2)),
    "admitted-name": lambda: replace(admission(BREMEN), name="all"),
    "admitted-organisation": lambda: replace(admission(BREMEN), organisation=WIDE),
    "admitted-verify-key": lambda: replace(admission(BREMEN), verify_key=bytes(31)),
    "admitted-seal-key": lambda: replace(admission(BREMEN), seal_key=bytes(31)),
    "suspended-name": lambda: MemberSuspended("", "pirates"),
    "suspended-reason": lambda: MemberSuspended("bremen", LONG),
    "left-name": lambda: MemberLeft("Bremen"),
    "rotated-key": lambda: KeyRotated("bremen", bytes(31), KEYS.seal_key),
    "revoked-name": lambda: KeyRevoked("a" * 41, KEYS.verify_key, ""),
    "revoked-key": lambda: KeyRevoked("bremen", bytes(31), ""),
    "revoked-reason": lambda: KeyRevoked("bremen", KEYS.verify_key, LONG),
    "dataset-name": lambda: DatasetRegistered("my catch", 1, (), None, DIGEST),
    "dataset-rows": lambda: DatasetRegistered("catch", -1, (), None, DIGEST),
    "dataset-column": lambda: DatasetRegistered("catch", 1, (WIDE,), None, DIGEST),
    "dataset-target": lambda: DatasetRegistered("catch", 1, (), WIDE, DIGEST),
    "dataset-commitment": lambda: DatasetRegistered("catch", 1, (), None, b"short"),
    "withdrawn-name": lambda: DatasetWithdrawn("", "spoiled"),
    "withdrawn-reason": lambda: DatasetWithdrawn("catch", LONG),
    "proposed-job": lambda: replace(PROPOSAL, job="the job"),
    "proposed-dataset": lambda: replace(PROPOSAL, dataset=""),
    "proposed-protocol": lambda: replace(PROPOSAL, protocol=WIDE),
    "proposed-model": lambda: replace(PROPOSAL, model=WIDE),
    "proposed-setting-name": lambda: replace(PROPOSAL, settings={WIDE: 1}),
    "proposed-setting": lambda: replace(PROPOSAL, settings={"note": LONG}),
    "proposed-party-name": lambda: replace(PROPOSAL, parties=("bremen", "Danzig")),
    "proposed-party-twice": lambda: replace(PROPOSAL, parties=("bremen", "bremen")),
    "proposed-no-quorum": lambda: replace(PROPOSAL, quorum=0),
    "proposed-quorum-too-high": lambda: replace(PROPOSAL, quorum=3),
    "proposed-deadline": lambda: replace(PROPOSAL, deadline_s=0.0),
    "proposed-deadline-nan": lambda: replace(PROPOSAL, deadline_s=float("nan")),
    "accepted-job": lambda: JobAccepted(""),
    "accepted-draw": lambda: JobAccepted("herring", bytes(31)),
    "started-job": lambda: JobStarted("", ("bremen",)),
    "started-by-nobody": lambda: JobStarted("herring", ()),
    "started-unsorted": lambda: JobStarted("herring", ("danzig", "bremen")),
    "started-twice": lambda: JobStarted("herring", ("bremen", "bremen")),
    "valued-job": lambda: replace(VALUED, job=""),
    "valued-round": lambda: replace(VALUED, round=-1),
    "valued-nobody": lambda: replace(VALUED, players=(), rows=()),
    "valued-unsorted": lambda: replace(VALUED, players=("danzig", "bremen")),
    "valued-twice-a-player": lambda: replace(VALUED, players=("bremen", "bremen")),
    "valued-too-many-players": lambda: replace(
        VALUED, players=tuple(f"p{each:02}" for each in range(MOST_PLAYERS + 1)), rows=(1,) * 63
    ),
    "valued-rows-of-one": lambda: replace(VALUED, rows=(700,)),
    "valued-no-rows": lambda: replace(VALUED, rows=(700, 0)),
    "valued-rows-beyond-all": lambda: replace(VALUED, rows=(700, 2**53 + 1)),
    "used-rows-beyond-all": lambda: ModelUsed("herring", 2**32 + 1),
    "valued-too-few": lambda: replace(VALUED, coalitions=(0,), values=(0.1,)),
    "valued-without-a-value": lambda: replace(VALUED, values=(0.1, 0.5)),
    "valued-too-many": lambda: replace(
        VALUED,
        players=tuple(f"p{each:02}" for each in range(13)),
        rows=(1,) * 13,
        coalitions=tuple(range(MOST_VALUES + 1)),
        values=(0.5,) * (MOST_VALUES + 1),
    ),
    "valued-falling": lambda: replace(VALUED, coalitions=(0, 3, 1)),
    "valued-twice": lambda: replace(VALUED, coalitions=(0, 1, 1)),
    "valued-below-nobody": lambda: replace(VALUED, coalitions=(-1, 1, 3)),
    "valued-beyond-everybody": lambda: replace(VALUED, coalitions=(0, 1, 4)),
    "valued-infinite": lambda: replace(VALUED, values=(0.1, 0.5, float("inf"))),
    "valued-nan": lambda: replace(VALUED, values=(0.1, 0.5, float("nan"))),
    "refused-job": lambda: JobRefused("", "no"),
    "refused-reason": lambda: JobRefused("herring", LONG),
    "finished-job": lambda: replace(FINISH, job=""),
    "finished-digest": lambda: replace(FINISH, model_digest=bytes(31)),
    "finished-without-what-the-loss-is-of": lambda: replace(NO_MODEL, loss=0.5),
    "finished-without-what-the-score-is-of": lambda: replace(NO_MODEL, score=0.5),
    "finished-loss": lambda: replace(FINISH, loss=float("nan")),
    "finished-score": lambda: replace(FINISH, score=float("inf")),
    "finished-metric": lambda: replace(FINISH, metric=WIDE),
    "finished-rounds": lambda: replace(FINISH, rounds=-1),
    "aborted-job": lambda: JobAborted("", "storm"),
    "aborted-reason": lambda: JobAborted("herring", LONG),
    "aborted-missing": lambda: JobAborted("herring", "storm", ("danzig", "danzig")),
    "closed-job": lambda: replace(ROUND, job=""),
    "closed-round": lambda: replace(ROUND, round=-1),
    "closed-digest": lambda: replace(ROUND, model_digest=bytes(33)),
    "closed-participants": lambda: replace(ROUND, participants=("Bremen",)),
    "closed-missing": lambda: replace(ROUND, missing=("Danzig",)),
    "measured-job": lambda: ContributionMeasured("", "volume", {}),
    "measured-method": lambda: ContributionMeasured("herring", WIDE, {}),
    "measured-party": lambda: ContributionMeasured("herring", "volume", {"Bremen": 1}),
    "measured-weight": lambda: ContributionMeasured("herring", "volume", {"bremen": -1}),
    "evaluated-job": lambda: replace(EVALUATION, job=""),
    "evaluated-round": lambda: replace(EVALUATION, round=-1),
    "evaluated-digest": lambda: replace(EVALUATION, model_digest=b""),
    "evaluated-loss": lambda: replace(EVALUATION, loss=float("inf")),
    "evaluated-rows": lambda: replace(EVALUATION, rows=-1),
    "used-job": lambda: ModelUsed("", 1),
    "used-rows": lambda: ModelUsed("herring", 0),
    "used-purpose": lambda: ModelUsed("herring", 1, LONG),
    "epoch-job": lambda: replace(EPOCH, job=""),
    "epoch-number": lambda: replace(EPOCH, epoch=0),
    "epoch-loss": lambda: replace(EPOCH, loss=float("nan")),
    "overdue-job": lambda: replace(OVERDUE, job=""),
    "overdue-round": lambda: replace(OVERDUE, round=-1),
    "overdue-nobody": lambda: replace(OVERDUE, missing=()),
    "overdue-twice": lambda: replace(OVERDUE, missing=("danzig", "danzig")),
    "distorted-job": lambda: replace(DISTORTION, job=""),
    "distorted-epoch": lambda: replace(DISTORTION, epoch=0),
    "distorted-loss": lambda: replace(DISTORTION, loss=float("inf")),
    "distorted-before": lambda: replace(DISTORTION, before=float("nan")),
    "aligned-job": lambda: replace(ALIGNED, job=""),
    "aligned-party": lambda: replace(ALIGNED, sizes={"Bremen": 1}),
    "aligned-size": lambda: replace(ALIGNED, sizes={"bremen": -1}),
    "aligned-common": lambda: replace(ALIGNED, common=-1),
    "payout-job": lambda: replace(PAYOUT, job=""),
    "payout-currency": lambda: replace(PAYOUT, currency="eur"),
    "payout-currency-formula": lambda: replace(PAYOUT, currency="=A1"),
    "payout-payee": lambda: replace(PAYOUT, amounts={"Bremen": 100}),
    "payout-amount": lambda: replace(PAYOUT, amounts={"bremen": 101, "danzig": -1}),
    "payout-sum": lambda: replace(PAYOUT, amounts={"bremen": 99}),
    "payout-nothing": lambda: replace(PAYOUT, pot_minor=0, amounts={}),
    "payout-too-much": lambda: replace(PAYOUT, pot_minor=MAX_MINOR + 1, amounts={"bremen": MAX_MINOR + 1}),
    "payout-checkpoint": lambda: replace(PAYOUT, checkpoint=bytes(MOST_CERTIFICATE_BYTES + 1)),
    "payout-path": lambda: replace(PAYOUT, inclusion=(DIGEST,) * (MOST_HASHES + 1)),
    "payout-path-of-no-hash": lambda: replace(PAYOUT, inclusion=(DIGEST[1:],)),
    "payout-uses-of-no-time": lambda: replace(PAYOUT, basis="uses"),
    "payout-uses-backwards": lambda: replace(USES, until=8),
    "payout-uses-by-instalments": lambda: replace(USES, scheme="fli"),
    "payout-training-of-a-time": lambda: replace(PAYOUT, since=9, until=12),
    "approved-number": lambda: PayoutApproved(-1),
    "approved-digest": lambda: PayoutApproved(7, b"short"),
    "held-number": lambda: PayoutHeld(-1, ""),
    "held-reason": lambda: PayoutHeld(1, LONG),
    "disputed-number": lambda: PayoutDisputed(-1, ""),
    "disputed-reason": lambda: PayoutDisputed(1, LONG),
    "released-number": lambda: PayoutReleased(-1),
    "payout-withdrawn-number": lambda: PayoutWithdrawn(-1, ""),
    "payout-withdrawn-reason": lambda: PayoutWithdrawn(1, LONG),
    "settled-number": lambda: PayoutSettled(-1, ""),
    "settled-reference": lambda: PayoutSettled(1, LONG),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_a_field_out_of_bounds_is_a_value_error(make: Callable[[], Body]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        make()
