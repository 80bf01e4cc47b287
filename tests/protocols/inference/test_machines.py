"""Guest, hosts and arbiter step by step: what they refuse, when they end, and whom they wait for."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.inference import arbiter, guest, host
from hansa.protocols.inference.job import Answered, Ended, InferenceSettings
from hansa.protocols.inference.messages import (
    Answer,
    Ask,
    Chosen,
    Due,
    Known,
    MaskKey,
    Share,
    Waiting,
)
from hansa.protocols.inference.spec import INFERENCE
from hansa.protocols.inference.tasks import Found, Listed, Numbers, Scoring
from hansa.protocols.machine import (
    Abort,
    CancelTimer,
    Compute,
    Computed,
    Finish,
    PeerLeft,
    Received,
    Record,
    RoleSpec,
    Send,
    SetTimer,
    TimerFired,
)
from hansa.protocols.vertical import Overdue
from tests.protocols.inference.parts import (
    BANK,
    DECILE,
    DECILES,
    HUB,
    LABEL,
    ROWS,
    SCORE,
    SHOP,
    TELCO,
    laid_out,
    play,
)
from tests.protocols.transcript import Transcript

JOBS: dict[str, InferenceSettings] = {"score": SCORE, "label": LABEL, "decile": DECILE}
KEY = bytes([9]) + bytes(31)
SIX = np.zeros(6, np.uint64)


@cache
def run(job: str) -> Transcript:
    return play(laid_out(JOBS[job]))


def spec(name: str) -> RoleSpec[Any]:
    role = {BANK: "guest", HUB: "arbiter"}.get(name, "host")
    return INFERENCE.role(role)


def at(job: str, name: str, kind: type, which: int = 0) -> Any:
    """Return a state of a kind that an agent was once in."""
    return [state for state in run(job).states[name] if type(state) is kind][which]


def lacking(kind: type, name: str) -> Any:
    """Return a state in which the rows are chosen and no key has come."""
    told: Any = at("label", name, guest.Asking if kind is guest.Lacking else host.Told)
    more = {"known": told.known} if kind is guest.Lacking else {}
    return kind(told.seat, told.secret, told.part, {}, told.ids, **more)


def positions(*places: int) -> Any:
    return np.array(places, np.int64)


@pytest.mark.parametrize(
    ("job", "name", "kind", "sender", "message", "said"),
    [
        # anybody
        ("score", SHOP, host.Open, "eve", Ask(b"", b"", ("a",)), "eve has no part in this job"),
        ("score", SHOP, host.Open, SHOP, Ask(b"", b"", ("a",)), "shop has no part in this job"),
        ("score", SHOP, host.Open, BANK, "word", "bank sent str, which is no message of this protocol"),
        ("score", SHOP, host.Open, BANK, Ask(b"?", b"", ("a",)), "bank sent Ask of another session"),
        ("score", SHOP, host.Open, BANK, Waiting(b"?", ()), "bank sent Waiting of another session"),
        # hosts
        ("score", SHOP, host.Open, TELCO, Ask(b"", b"", ("a",)), "telco sent Ask while Open"),
        ("score", SHOP, host.Open, BANK, Ask(b"", b"", ()), "asked for 0 rows; the job allows 1 to 1000"),
        ("score", SHOP, host.Open, BANK, Ask(b"", b"", ("a",) * 1001), "bank asked for 1001 rows; the job a"),
        ("score", SHOP, host.Open, BANK, Chosen(b"", positions(0)), "bank sent Chosen while Open"),
        (
            "score",
            SHOP,
            host.Open,
            BANK,
            Ask(b"", b"", ("a", "a\u0300\u0327" * 400)),
            "for a row by 1200 char",
        ),
        ("score", SHOP, host.Told, BANK, Ask(b"", b"", ("a",)), "bank sent Ask while Told"),
        ("score", SHOP, host.Told, TELCO, Chosen(b"", positions(0)), "telco sent Chosen while Told"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", np.zeros(1)), r"by \(1,\) float64, not by positions"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(0).reshape(1, 1)), "not by positions"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(*range(9))), r"by \(9,\) int64, not by"),
        (
            "score",
            SHOP,
            host.Told,
            BANK,
            Chosen(b"", positions(8)),
            "chose rows out of order, or that shop do",
        ),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(-1)), "bank chose rows out of order"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(1, 0)), "bank chose rows out of order"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(1, 1)), "bank chose rows out of order"),
        ("score", SHOP, host.Told, BANK, Chosen(b"", positions(2)), "or that shop does not have"),
        (
            "score",
            SHOP,
            host.Open,
            BANK,
            MaskKey(b"", KEY),
            "bank sent a key for masks, which we have none of",
        ),
        ("score", SHOP, host.Open, TELCO, MaskKey(b"", b"short"), "telco sent a key of 5 bytes"),
        ("score", SHOP, host.Open, TELCO, MaskKey(b"", bytes(32)), "telco sent a key of small order"),
        ("score", SHOP, host.Told, TELCO, MaskKey(b"", KEY), "telco sent its key for masks twice"),
        ("score", SHOP, host.Giving, TELCO, MaskKey(b"", KEY), "telco sent MaskKey while Giving"),
        ("label", SHOP, host.Lacking, TELCO, MaskKey(b"", bytes(32)), "telco sent a key of small order"),
        ("label", SHOP, host.Lacking, HUB, MaskKey(b"", KEY), "hub sent a key for masks, which we have none"),
        # the guest
        (
            "score",
            BANK,
            guest.Reading,
            SHOP,
            MaskKey(b"", KEY),
            "shop sent a key for masks, which we have no",
        ),
        ("score", BANK, guest.Reading, SHOP, Known(b"", np.ones(8, bool)), "shop sent Known while Reading"),
        ("label", BANK, guest.Asking, HUB, Known(b"", np.ones(8, bool)), "hub sent Known while Asking"),
        (
            "score",
            BANK,
            guest.Asking,
            SHOP,
            Known(b"", np.ones(7, bool)),
            r"shop answered \(7,\) bool when ask",
        ),
        (
            "score",
            BANK,
            guest.Asking,
            SHOP,
            Known(b"", np.ones(8)),
            r"shop answered \(8,\) float64 when asked",
        ),
        ("score", BANK, guest.Asking, SHOP, Share(b"", SIX), "shop sent Share while Asking"),
        ("score", BANK, guest.Adding, SHOP, Share(b"", SIX.astype(int)), r"a share of \(6,\) int64, not of"),
        ("score", BANK, guest.Adding, SHOP, Share(b"", SIX.reshape(2, 3)), r"a share of \(2, 3\) uint64"),
        ("score", BANK, guest.Adding, SHOP, Share(b"", SIX[:0]), "not of 1 to 1000 uint64"),
        (
            "score",
            BANK,
            guest.Adding,
            SHOP,
            Share(b"", np.zeros(1001, np.uint64)),
            r"of \(1001,\) uint64, not",
        ),
        ("label", BANK, guest.Lacking, SHOP, MaskKey(b"", bytes(32)), "shop sent a key of small order"),
        ("label", BANK, guest.Giving, HUB, Answer(b"", positions(*[0] * 6)), "hub sent Answer while Giving"),
        (
            "label",
            BANK,
            guest.Expecting,
            SHOP,
            Answer(b"", positions(*[0] * 6)),
            "shop sent Answer while Exp",
        ),
        (
            "label",
            BANK,
            guest.Expecting,
            HUB,
            Answer(b"", positions(0)),
            r"hub answered \(1,\) int64 for 6 row",
        ),
        ("label", BANK, guest.Expecting, HUB, Answer(b"", SIX), r"hub answered \(6,\) uint64 for 6 rows"),
        ("label", BANK, guest.Expecting, HUB, Answer(b"", positions(*[2] * 6)), "answered what is no label"),
        ("label", BANK, guest.Expecting, HUB, Answer(b"", positions(*[-1] * 6)), "answered what is no label"),
        (
            "decile",
            BANK,
            guest.Expecting,
            HUB,
            Answer(b"", positions(*[0] * 6)),
            "answered what is no decile",
        ),
        (
            "decile",
            BANK,
            guest.Expecting,
            HUB,
            Answer(b"", positions(*[11] * 6)),
            "answered what is no decile",
        ),
        # the arbiter
        ("label", HUB, arbiter.Opening, SHOP, Due(b"", 6, ()), "shop sent Due while Opening"),
        (
            "label",
            HUB,
            arbiter.Opening,
            BANK,
            Due(b"", -1, ()),
            "bank asks for -1 rows; the job allows at mos",
        ),
        (
            "label",
            HUB,
            arbiter.Opening,
            BANK,
            Due(b"", 2**12_000, ()),
            "bank sent Due with a number beyond 64",
        ),
        ("label", HUB, arbiter.Opening, BANK, Due(b"", 1001, ()), "bank asks for 1001 rows"),
        (
            "label",
            HUB,
            arbiter.Opening,
            BANK,
            Due(b"", 6, (0.5,)),
            "sent edges for labels, which lie on eithe",
        ),
        ("decile", HUB, arbiter.Opening, BANK, Due(b"", 6, (0.5,)), "sent 1 edges between deciles, not 9"),
        ("decile", HUB, arbiter.Opening, BANK, Due(b"", 6, DECILES[::-1]), "not 9 ascending numbers"),
        ("decile", HUB, arbiter.Opening, BANK, Due(b"", 6, (float("nan"),) * 9), "not 9 ascending numbers"),
        ("label", HUB, arbiter.Opening, SHOP, Share(b"", SIX.astype(float)), r"share of \(6,\) float64"),
        ("label", HUB, arbiter.Opening, SHOP, MaskKey(b"", KEY), "shop sent MaskKey while Opening"),
        ("label", HUB, arbiter.Adding, BANK, Due(b"", 6, ()), "bank sent Due while Adding"),
    ],
)
def test_what_a_role_must_not_take_is_refused_by_the_senders_name(
    job: str, name: str, kind: type, sender: str, message: Any, said: str
) -> None:
    lacks = kind in (guest.Lacking, host.Lacking)
    state = lacking(kind, name) if lacks else at(job, name, kind, -1 if kind is host.Told else 0)
    session = state.seat.session
    if not isinstance(message, str) and message.session == b"":
        message = replace(message, session=session)
    with pytest.raises(PeerError, match=said):
        spec(name).step(state, Received(sender, message))


def test_nothing_is_taken_twice() -> None:
    """Keys, answers and shares, each from the same sender once more."""
    asking = at("score", BANK, guest.Asking, 1)
    said = next(iter(asking.answers))
    with pytest.raises(PeerError, match=f"{said} said twice which rows it has"):
        spec(BANK).step(asking, Received(said, Known(asking.seat.session, asking.known)))
    for name, kind in ((BANK, guest.Adding), (HUB, arbiter.Adding)):
        job = "score" if name == BANK else "label"
        adding = next(s for s in run(job).states[name] if type(s) is kind and {SHOP} & s.shares.keys())
        with pytest.raises(PeerError, match="shop sent its share twice"):
            spec(name).step(adding, Received(SHOP, Share(adding.seat.session, SIX)))


def aborts(step: Any) -> str:
    assert isinstance(step.state, Ended)
    assert step.effects[:3] == tuple(CancelTimer(name) for name in ("overdue", "held-up", "give-up"))
    (abort,) = [effect for effect in step.effects if isinstance(effect, Abort)]
    return str(abort.reason)


def test_a_guest_with_another_model_ends_the_job() -> None:
    state = at("score", SHOP, host.Open)
    ask = Ask(state.seat.session, b"x" * 32, ("a",))
    assert aborts(spec(SHOP).step(state, Received(BANK, ask))) == (
        "bank asks another model of credit than shop has"
    )


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (Listed(0, (), np.zeros(0, bool)), "bank has no rows to be scored"),
        (
            Listed(1001, (), np.zeros(0, bool)),
            "bank has 1001 rows to be scored, more than 1000: score them in",
        ),
        (
            Listed(900, (), np.zeros(0, bool)),
            "bank has 900 rows to be scored, whose ids fill more than one m",
        ),
    ],
)
def test_too_few_or_too_many_rows_end_the_job(listed: Listed, said: str) -> None:
    assert aborts(spec(BANK).step(at("score", BANK, guest.Reading), Computed("list", listed))).startswith(
        said
    )


def test_shares_of_other_lengths_end_the_job_by_their_senders_name() -> None:
    said = "shop sent a share of 5 rows; bank asked for 6"
    adding = at("score", BANK, guest.Adding)
    for name, numbers in ((SHOP, SIX[:5]), (TELCO, SIX)):
        adding = spec(BANK).step(adding, Received(name, Share(adding.seat.session, numbers))).state
    assert aborts(spec(BANK).step(adding, Computed("share", Numbers(SIX)))) == said

    opening = at("label", HUB, arbiter.Opening)
    for name, numbers in ((SHOP, SIX[:5]), (TELCO, SIX), (BANK, SIX)):
        opening = spec(HUB).step(opening, Received(name, Share(opening.seat.session, numbers))).state
    assert isinstance(opening, arbiter.Opening)
    assert aborts(spec(HUB).step(opening, Received(BANK, Due(opening.seat.session, 6, ())))) == said


def test_masks_that_do_not_cancel_are_noticed() -> None:
    adding = at("label", HUB, arbiter.Adding)
    for name in (SHOP, TELCO):
        adding = replace(adding, shares={**adding.shares, name: SIX})
    noise = np.full(6, 2**61, np.uint64)
    reason = aborts(
        spec(HUB).step(
            replace(adding, shares={SHOP: SIX, TELCO: SIX}), Received(BANK, Share(adding.seat.session, noise))
        )
    )
    assert reason == "the shares of bank, shop, telco do not add up to scores"


@pytest.mark.parametrize(
    ("kind", "name", "peers"), [(host.Lacking, SHOP, (BANK, TELCO)), (guest.Lacking, BANK, (SHOP, TELCO))]
)
def test_a_share_is_made_once_all_keys_are_here(kind: type, name: str, peers: tuple[str, str]) -> None:
    state = lacking(kind, name)
    assert spec(name).awaited(state).whom == peers
    first = spec(name).step(state, Received(peers[0], MaskKey(state.seat.session, KEY)))
    assert type(first.state) is kind
    assert spec(name).awaited(first.state).whom == peers[1:]
    second = spec(name).step(first.state, Received(peers[1], MaskKey(state.seat.session, KEY)))
    assert type(second.state) in (host.Giving, guest.Giving)
    (task,) = [effect for effect in second.effects if isinstance(effect, Compute)]
    assert isinstance(task.inputs, Scoring)
    assert task.inputs.keys == dict.fromkeys(peers, KEY)


def test_a_host_that_is_asked_for_no_row_is_done() -> None:
    told = at("score", SHOP, host.Told)
    step = spec(SHOP).step(told, Received(BANK, Chosen(told.seat.session, positions())))
    assert step.effects[-1] == Finish(Answered(0))


@pytest.mark.parametrize(
    ("job", "name", "kind", "result"),
    [
        ("score", SHOP, host.Open, Found(np.ones(1, bool))),
        ("score", SHOP, host.Giving, Found(np.ones(1, bool))),
        ("score", BANK, guest.Asking, Numbers(SIX)),
        ("score", BANK, guest.Reading, Found(np.ones(1, bool))),
        ("label", HUB, arbiter.Opening, Numbers(SIX)),
    ],
)
def test_a_result_that_nobody_asked_for_is_a_bug_here(
    job: str, name: str, kind: type, result: object
) -> None:
    with pytest.raises(LocalProtocolError, match=f"gave {type(result).__name__} while {kind.__name__}"):
        spec(name).step(at(job, name, kind), Computed("task", result))


def test_the_guests_own_share_comes_once() -> None:
    adding = replace(at("score", BANK, guest.Adding), shares={BANK: SIX})
    with pytest.raises(LocalProtocolError, match="task share gave Numbers while Adding"):
        spec(BANK).step(adding, Computed("share", Numbers(SIX)))


@pytest.mark.parametrize(
    ("job", "name", "kind"), [("score", SHOP, host.Finding), ("label", BANK, guest.Giving)]
)
def test_a_task_that_fails_ends_the_job(job: str, name: str, kind: type) -> None:
    step = spec(name).step(at(job, name, kind), Computed("share", None, "the data set is gone"))
    assert aborts(step) == "share: the data set is gone"


def everywhere() -> list[tuple[str, Any]]:
    """Return every state that a role is ever in, once of each kind."""
    seen: dict[tuple[str, type], Any] = {
        (SHOP, host.Lacking): lacking(host.Lacking, SHOP),
        (BANK, guest.Lacking): lacking(guest.Lacking, BANK),
    }
    for job in JOBS:
        for name, states in run(job).states.items():
            for state in states:
                seen.setdefault((name, type(state)), state)
    return [(name, state) for (name, _), state in seen.items()]


def test_the_grid_meets_every_state_of_every_role() -> None:
    met = {type(state) for _, state in everywhere()}
    assert met == {kind for role in INFERENCE.roles.values() for kind in role.states}


@pytest.mark.parametrize(("name", "state"), everywhere(), ids=lambda value: getattr(value, "__name__", None))
def test_in_every_state_a_role_ends_when_somebody_leaves_and_knows_no_stranger(name: str, state: Any) -> None:
    other = TELCO if name != TELCO else SHOP
    step = spec(name).step(state, PeerLeft(other, "fire"))
    if isinstance(state, Ended):
        assert step.state is state
        assert step.effects == ()
        return
    assert aborts(step) == f"{other} left: fire"
    with pytest.raises(LocalProtocolError, match="eve left, but is not in this job"):
        spec(name).step(state, PeerLeft("eve", "fire"))


@pytest.mark.parametrize(("name", "state"), everywhere(), ids=lambda value: getattr(value, "__name__", None))
def test_in_every_state_timers_name_whoever_is_missing(name: str, state: Any) -> None:
    awaited = spec(name).awaited(state)
    if isinstance(state, Ended):
        assert (awaited.what, awaited.whom) == ("", ())
        return
    assert awaited.what
    overdue = spec(name).step(state, TimerFired("overdue"))
    assert overdue.state is state
    facts = [effect.fact for effect in overdue.effects if isinstance(effect, Record)]
    assert facts == ([Overdue(0, awaited.whom)] if awaited.whom else [])
    told = {effect.recipient: effect.message for effect in overdue.effects if isinstance(effect, Send)}
    assert told == dict.fromkeys(
        {*state.seat.everybody} - {name, *awaited.whom}, Waiting(state.seat.session, awaited.whom)
    )
    again = spec(name).step(state, TimerFired("held-up"))
    assert not [effect for effect in again.effects if isinstance(effect, Record)]
    for timer, why in (("give-up", "no word"), ("stuck", "nothing but excuses")):
        end = spec(name).step(state, TimerFired(timer))
        if awaited.whom:
            assert aborts(end) == f"{awaited.what}: {why} from {', '.join(awaited.whom)}"
            (abort,) = [effect for effect in end.effects if isinstance(effect, Abort)]
            assert abort.missing == awaited.whom
        else:
            assert end.state is state
            assert [type(effect) for effect in end.effects] == [SetTimer]


@pytest.mark.parametrize(("name", "state"), everywhere(), ids=lambda value: getattr(value, "__name__", None))
def test_in_every_state_one_that_only_waits_gets_its_time_again_and_the_word_is_passed_on(
    name: str, state: Any
) -> None:
    if isinstance(state, Ended):
        return
    whom = spec(name).awaited(state).whom
    for sender in state.seat.everybody:
        if sender == name:
            continue
        step = spec(name).step(state, Received(sender, Waiting(state.seat.session, ("x",))))
        assert step.state is state
        timers = [effect.name for effect in step.effects if isinstance(effect, SetTimer)]
        assert timers == (["overdue", "give-up"] if sender in whom else [])
        sends = {effect.recipient for effect in step.effects if isinstance(effect, Send)}
        assert sends == ({*state.seat.everybody} - {name, *whom} if sender in whom else set())


def test_those_who_know_first_hand_have_least_patience() -> None:
    def patience(name: str, state: Any) -> float:
        step = spec(name).step(state, TimerFired("held-up"))
        (timer,) = [effect for effect in step.effects if isinstance(effect, SetTimer)]
        return timer.after_s / SCORE.overdue_s

    kinds = {(name, type(state)): patience(name, state) for name, state in everywhere() if patience_of(state)}
    assert kinds[SHOP, host.Lacking] < kinds[HUB, arbiter.Adding] < kinds[BANK, guest.Expecting]
    assert kinds[SHOP, host.Lacking] < kinds[BANK, guest.Adding]
    assert kinds[BANK, guest.Asking] < kinds[SHOP, host.Told]
    assert kinds[BANK, guest.Lacking] < kinds[HUB, arbiter.Opening]


def patience_of(state: Any) -> bool:
    return not isinstance(state, Ended)


def test_all_rows_are_the_banks_to_ask_for() -> None:
    (_, _, ask), *_ = run("score").of(Ask)
    assert len(ask.ids) == ROWS
