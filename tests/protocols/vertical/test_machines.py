"""Guest, host and arbiter step by step: what they refuse, when they end, and whom they wait for."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hansa.protocols.crypto import keys
from hansa.protocols.errors import LocalProtocolError, PeerError
from hansa.protocols.machine import (
    Abort,
    Compute,
    Computed,
    Event,
    PeerLeft,
    Received,
    Record,
    RoleSpec,
    Send,
    SetTimer,
    TimerFired,
)
from hansa.protocols.vertical import arbiter, course, party
from hansa.protocols.vertical.arbiter import Gathering, Keying, Serving
from hansa.protocols.vertical.job import Ended, Seat
from hansa.protocols.vertical.messages import (
    EpochClosed,
    HeldOut,
    Key,
    LossSum,
    LossTerm,
    Masked,
    MaskKey,
    Opened,
    Part,
    Ready,
    Residual,
    Scores,
    Waiting,
)
from hansa.protocols.vertical.optimiser import Learner
from hansa.protocols.vertical.outcome import Distorted, EpochEnded, Overdue, TrainingClosed
from hansa.protocols.vertical.rehearsal import HUB, rehearse
from hansa.protocols.vertical.settling import Settling
from hansa.protocols.vertical.stages import (
    Closing,
    Concluding,
    Enrolled,
    Inspecting,
    Masking,
    Parting,
    Unmasking,
    Working,
)
from hansa.protocols.vertical.tasks import open_gradient, open_loss, residual
from hansa.protocols.workbench import BareWorkbench
from tests.protocols.vertical.parts import GUEST, HOST, LINEAR_SMALL, SECOND, table, train, with_settings
from tests.protocols.vertical.play import Transcript, play

SETTINGS = with_settings(LINEAR_SMALL, epochs=2, holdout=0.2)
ROWS, HELD_OUT = 17, 4
COLUMNS = {GUEST: 2, HOST: 3, SECOND: 2}

NOTHING = np.zeros(0, np.uint8)  # a frame that nobody comes to read


@cache
def run() -> Transcript:
    columns, y = table(ROWS + HELD_OUT, hosts=2)
    return play(columns, y, SETTINGS)


def spec(name: str) -> RoleSpec[Any]:
    return arbiter.SPEC if name == HUB else party.GUEST_SPEC if name == GUEST else party.HOST_SPEC


def at(name: str, kind: type, which: int = 0) -> Any:
    """Return a state of a kind that an agent was once in."""
    return [state for state in run().states[name] if type(state) is kind][which]


def sent(kind: type, sender: str, recipient: str) -> Any:
    """Return the first message of a kind between two."""
    return next(each for who, to, each in run().of(kind) if (who, to) == (sender, recipient))


def seat_of(state: Any) -> Seat:
    """Return whose state it is."""
    holder = next((getattr(state, name) for name in ("course", "own") if hasattr(state, name)), state)
    seat: Seat = holder.seat
    return seat


SESSION = b"?" * 32
READY = Ready(b"", ROWS, HELD_OUT, 3, (0,))
KEY = Key(b"", b"x", ROWS, HELD_OUT, COLUMNS, 0, False)


@pytest.mark.parametrize(
    ("name", "kind", "sender", "change", "message"),
    [
        (HUB, Gathering, "eve", READY, "eve is not a party"),
        (HUB, Gathering, HOST, "word", "sent str, which is no message"),
        (HUB, Gathering, HOST, replace(READY, session=SESSION), "another session"),
        (HUB, Gathering, HOST, replace(READY, rows=0), "ready with 0 rows, 4 held out, and 3 columns"),
        (HUB, Gathering, HOST, replace(READY, columns=2**20), "ready with 17 rows"),
        (HUB, Gathering, HOST, replace(READY, held_out=-1), "17 rows, -1 held out"),
        (HUB, Gathering, HOST, Masked(b"", 0, NOTHING), "sent Masked while Gathering"),
        (HUB, Serving, HOST, Masked(b"", 1, NOTHING), "asked to open round 1; its next is 0"),
        (HUB, Serving, HOST, LossSum(b"", 0, NOTHING), "shop sent a loss of epoch 0 in epoch 0"),
        (HUB, Serving, GUEST, LossSum(b"", 1, NOTHING), "bank sent a loss of epoch 1 in epoch 0"),
        (GUEST, Enrolled, HOST, "word", "sent str, which is no message"),
        (GUEST, Enrolled, HOST, Scores(SESSION, 0, 0, NOTHING), "another session"),
        (GUEST, Enrolled, HOST, Scores(b"", 1, 0, NOTHING), "of round 1, expected 0"),
        (GUEST, Enrolled, HOST, Scores(b"", 0, 9, NOTHING), "of block 9 of 2"),
        (GUEST, Enrolled, "eve", Scores(b"", 0, 0, NOTHING), "eve sent Scores while Enrolled"),
        (GUEST, Enrolled, HUB, replace(KEY, columns={}), "for other rows or parties"),
        (GUEST, Enrolled, HUB, replace(KEY, rows=16), "for other rows"),
        (GUEST, Enrolled, HUB, replace(KEY, held_out=3), "for other rows"),
        (GUEST, Enrolled, HUB, replace(KEY, columns={**COLUMNS, GUEST: 3}), "for other rows"),
        (GUEST, Enrolled, HUB, replace(KEY, columns={**COLUMNS, HOST: -3}), "for other rows"),
        (GUEST, Enrolled, HUB, replace(KEY, columns={**COLUMNS, HOST: -(2**12_000)}), "beyond 64 bits"),
        (
            GUEST,
            Enrolled,
            HUB,
            replace(KEY, epochs=1),
            "goes on after 1 epochs, of which we have kept nothing",
        ),
        (GUEST, Enrolled, HUB, KEY, "sent no key: these bytes"),
        (GUEST, Enrolled, HUB, MaskKey(b"", bytes(32)), "hub sent MaskKey while Enrolled"),
        (GUEST, Enrolled, GUEST, MaskKey(b"", bytes(32)), "bank sent MaskKey while Enrolled"),
        (HOST, Inspecting, GUEST, MaskKey(b"", bytes(32)), "bank sent a key of small order for our masks"),
        (HOST, Inspecting, GUEST, MaskKey(b"", b"short"), "bank sent a key of 5 bytes for our masks, not 32"),
        (HOST, Parting, GUEST, MaskKey(b"", bytes(32)), "bank sent its key for masks again"),
        (GUEST, Working, HOST, Scores(b"", 2, 0, NOTHING), "of round 2, expected 0"),
        (GUEST, Masking, HOST, Scores(b"", 0, 0, NOTHING), "sent block 0 of round 0 again"),
        (GUEST, Working, HOST, LossTerm(b"", 0, NOTHING), "its part of epoch 0's loss in round 0"),
        (HOST, Working, GUEST, Residual(b"", 1, 0, NOTHING), "of round 1, expected 0"),
        (HOST, Working, GUEST, Residual(b"", 0, 2, NOTHING), "of block 2 of 2"),
        (HOST, Working, SECOND, Residual(b"", 0, 0, NOTHING), "telco sent Residual while Working"),
        (HOST, Unmasking, HUB, Opened(b"", 1, b""), "opened round 1 in round 0"),
        (HOST, Unmasking, HUB, Opened(b"", 0, b"x"), "opened 1 bytes, expected"),
        (HOST, Unmasking, HUB, Opened(b"", 0, b"\x01" * 64), "opened what is no gradient of ours"),
        (HOST, Closing, HUB, EpochClosed(b"", 1, 0.5, "last"), "closed epoch 1 in epoch 0"),
        (HOST, Closing, HUB, EpochClosed(b"", 0, None, "last"), "or against the job's rule"),
        (HUB, Settling, HOST, Part(b"", b"short"), "a digest again, or one of 5 bytes"),
        (HUB, Settling, HOST, READY, "sent Ready while Settling"),
        (HUB, Serving, HOST, Part(b"", bytes(32)), "sent Part while Serving"),
        (HOST, Concluding, GUEST, Residual(b"", 6, 0, NOTHING), "sent Residual while Concluding"),
    ],
)
def test_what_a_peer_may_not_send_is_refused_and_changes_nothing(
    name: str, kind: type, sender: str, change: Any, message: str
) -> None:
    state = at(name, kind)
    if not isinstance(change, str) and change.session == b"":
        change = replace(change, session=seat_of(state).session)
    if isinstance(change, Opened) and change.residues == b"\x01" * 64:
        count = len(sent(Opened, HUB, name).residues) // 64
        change = replace(change, residues=b"\x01" * 64 * count)
    with pytest.raises(PeerError, match=message):
        spec(name).step(state, Received(sender, change))


def again(name: str, kind: type) -> tuple[Any, Event]:
    """Return a state that has just taken a message of a kind, and that message."""
    for before, event, after in zip(
        run().states[name], run().events[name], run().states[name][1:], strict=False
    ):
        if isinstance(event, Received) and isinstance(event.message, kind) and type(before) is type(after):
            return after, event
    raise AssertionError(f"{name} never took {kind.__name__}")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (HUB, Ready),
        (HUB, Masked),
        (HUB, LossSum),
        (HUB, HeldOut),
        (HUB, Part),
        (GUEST, Scores),
        (GUEST, LossTerm),
        (GUEST, MaskKey),
        (HOST, Residual),
    ],
)
def test_the_same_message_twice_is_refused(name: str, kind: type) -> None:
    state, event = again(name, kind)
    with pytest.raises(PeerError):
        spec(name).step(state, event)


def test_a_weaker_key_than_agreed_is_refused() -> None:
    state, key = at(HOST, Enrolled), sent(Key, HUB, HOST)
    wanted = replace(state.own.seat, settings=with_settings(SETTINGS, key_bits=1_024))
    with pytest.raises(PeerError, match="a subgroup key of 512 bits; the job says subgroup, 1024"):
        spec(HOST).step(replace(state, own=replace(state.own, seat=wanted)), Received(HUB, key))


@pytest.mark.parametrize("name", [GUEST, HOST, HUB])
def test_a_task_that_nobody_asked_for_is_our_own_mistake(name: str) -> None:
    for state in run().states[name][:-1]:
        with pytest.raises(LocalProtocolError, match="task what/0 gave int while"):
            spec(name).step(state, Computed("what/0", 5))


@pytest.mark.parametrize("name", [GUEST, HOST, HUB])
def test_a_task_that_fails_or_a_peer_that_leaves_ends_the_job(name: str) -> None:
    for state in run().states[name][:-1]:
        failed = spec(name).step(state, Computed("what/0", None, "EncodingError: too large"))
        left = spec(name).step(state, PeerLeft(SECOND, "ill"))
        assert isinstance(failed.state, Ended)
        assert isinstance(left.state, Ended)
        assert "EncodingError: too large" in failed.effects[-1].reason  # type: ignore[union-attr]
        assert Abort("telco left: ill") in left.effects
        with pytest.raises(LocalProtocolError, match="eve left, but is"):
            spec(name).step(state, PeerLeft("eve", "?"))


@pytest.mark.parametrize("name", [GUEST, HOST, HUB])
def test_after_the_end_nothing_happens_any_more(name: str) -> None:
    state = run().states[name][-1]
    assert isinstance(state, Ended)
    assert spec(name).awaited(state).what == ""
    events: tuple[Event, ...] = (
        Received(HUB, 1), Computed("what", 1), TimerFired("overdue"), PeerLeft("eve", ""),
    )  # fmt: skip
    assert all(spec(name).step(state, event) == spec(name).step(state, events[0]) for event in events)


@pytest.mark.parametrize(
    ("name", "kind", "which", "whom"),
    [
        (HUB, Gathering, 0, (GUEST, HOST, SECOND)),
        (HUB, Keying, 0, ()),
        (HUB, Serving, 0, (GUEST,)),
        (HUB, Serving, 1, ()),
        (GUEST, Inspecting, 0, ()),
        (GUEST, Enrolled, 0, (HUB,)),
        (GUEST, Working, 0, (HOST, SECOND)),
        (GUEST, Masking, 0, ()),
        (GUEST, Unmasking, 0, (HUB,)),
        (GUEST, Closing, -1, (HUB,)),
        (HOST, Working, 0, (GUEST,)),
        (HOST, Closing, 0, (HUB,)),
        (HOST, Concluding, 0, ()),
        (HOST, Parting, 0, (HUB,)),
        (HUB, Settling, 0, (GUEST, HOST, SECOND)),
        (HUB, Settling, -1, ()),
    ],
)
def test_whoever_is_overdue_is_named_and_the_others_are_told_that_we_wait(
    name: str, kind: type, which: int, whom: tuple[str, ...]
) -> None:
    state = at(name, kind, which)
    assert spec(name).awaited(state).whom == whom
    overdue = spec(name).step(state, TimerFired("overdue"))
    assert overdue.state is state
    facts = [effect.fact for effect in overdue.effects if isinstance(effect, Record)]
    assert [fact.whom for fact in facts if isinstance(fact, Overdue)] == ([whom] if whom else [])
    held_up = spec(name).step(state, TimerFired("held-up"))
    for step in (overdue, held_up):
        told = [effect for effect in step.effects if isinstance(effect, Send)]
        assert {each.recipient for each in told} == {GUEST, HOST, SECOND, HUB} - {name, *whom}
        assert all(isinstance(each.message, Waiting) and each.message.whom == whom for each in told)
        assert any(isinstance(effect, SetTimer) and effect.name == "held-up" for effect in step.effects)
    assert not [effect for effect in held_up.effects if isinstance(effect, Record)]
    for timer, why in (("give-up", "no word from"), ("stuck", "nothing but excuses from")):
        over = spec(name).step(state, TimerFired(timer))
        if whom:
            assert isinstance(over.state, Ended)
            assert isinstance(over.effects[-1], Abort)
            assert over.effects[-1].missing == whom
            assert why in over.effects[-1].reason
        else:
            assert (over.state, [type(effect) for effect in over.effects]) == (state, [SetTimer])


@pytest.mark.parametrize(("name", "kind", "awaited"), [(GUEST, Working, HOST), (HUB, Serving, GUEST)])
def test_only_a_word_from_those_we_wait_for_gives_them_more_time(name: str, kind: type, awaited: str) -> None:
    state = at(name, kind)
    seat = seat_of(state)
    told = spec(name).step(state, Received(awaited, Waiting(seat.session, 0, ())))
    assert {effect.name for effect in told.effects if isinstance(effect, SetTimer)} == {"overdue", "give-up"}
    passed_on = {effect.recipient for effect in told.effects if isinstance(effect, Send)}
    assert passed_on == {GUEST, HOST, SECOND, HUB} - {name, *spec(name).awaited(state).whom}
    other = HUB if name == GUEST else SECOND
    assert spec(name).step(state, Received(other, Waiting(seat.session, 0, ()))).effects == ()
    with pytest.raises(PeerError, match="another session"):
        spec(name).step(state, Received(other, Waiting(SESSION, 0, ())))


def test_unlike_numbers_of_rows_end_the_job_before_it_begins() -> None:
    columns, y = table(21, hosts=2)
    columns[SECOND] = columns[SECOND][:19]
    reasons = train(columns, y, SETTINGS).aborts[HUB]
    assert reasons == (
        "parties have different numbers of aligned rows, to train and held out: "
        "bank 17 and 4, shop 17 and 4, telco 15 and 4"
    )


@pytest.mark.parametrize("shown", [True, False])
def test_losses_that_jump_end_the_job_with_the_evidence(shown: bool) -> None:
    columns, y = table(16)
    wild = with_settings(LINEAR_SMALL, epochs=9, batch=0, learning_rate=3.0, alarm=4.0, show_loss=shown)
    outcome = train(columns, y, wild)
    assert outcome.results == {}
    assert all("have jumped" in reason for reason in outcome.aborts.values())
    [proof] = [fact for who, fact in outcome.records if isinstance(fact, Distorted) and who == HUB]
    if shown:
        assert proof.loss is not None
        assert proof.before is not None
        assert proof.loss > 4 * proof.before
    else:
        assert (proof.loss, proof.before) == (None, None)


@pytest.mark.parametrize("shown", [True, False])
def test_a_loss_that_stalls_ends_training_early_for_everybody(shown: bool) -> None:
    columns, y = table(16)
    calm = with_settings(LINEAR_SMALL, epochs=50, batch=0, tol=0.5, patience=2, show_loss=shown)
    outcome = train(columns, y, calm)
    verdicts = [fact.verdict for _, fact in outcome.records if isinstance(fact, EpochEnded)]
    assert verdicts[-2:] == ["stalled", "converged"]
    assert len(verdicts) < 50
    results: dict[str, Any] = outcome.results
    assert {result.epochs for result in results.values()} == {len(verdicts)}
    assert isinstance(results[HUB], TrainingClosed)
    assert [len(result.losses) for result in results.values()] == [len(verdicts) * shown] * 3


def test_scores_of_another_format_than_agreed_end_the_job() -> None:
    columns, y = table(21, hosts=2)
    asked = run().asked(GUEST, "residual")[0][0]
    other = replace(
        asked.place, seat=replace(asked.place.seat, settings=with_settings(SETTINGS, score_bits=30))
    )
    bench = rehearse(columns, y, SETTINGS).benches[GUEST]
    with pytest.raises(PeerError, match="another format than 30 fractional bits"):
        residual(replace(asked, place=other), bench, 0)


def folded(name: str, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int]]]:
    """Return, for each block of residuals that comes in, the columns that are then multiplied, from and up to."""
    monkeypatch.setattr(course, "FOLDED_WHOLE", rows_at_once)
    state, asked = at(name, Working), []
    for message in [each for _, to, each in run().of(Residual) if (to, each.round) == (name, 0)]:
        step = spec(name).step(state, Received(GUEST, message))
        inputs: list[Any] = [effect.inputs for effect in step.effects if isinstance(effect, Compute)]
        asked.append([(each.low, each.high) for each in inputs])
        state = step.state
    assert state.residuals == ()
    return asked


def test_a_small_batch_is_folded_when_it_is_complete_and_cut_by_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert folded(HOST, 8, monkeypatch) == [[], [(0, 1), (1, 2), (2, 3)]]
    assert folded(SECOND, 8, monkeypatch) == [[], [(0, 1), (1, 2)]]


def test_a_large_batch_is_folded_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    assert folded(HOST, 7, monkeypatch) == [[(0, 3)], [(0, 3)]]


def test_of_a_wide_table_a_task_takes_a_fourth() -> None:
    wide = replace(at(HOST, Working).course, learner=Learner.at(np.zeros(30)))
    assert wide.cuts == ((0, 7), (7, 15), (15, 22), (22, 30))


def test_the_arbiter_does_not_check_its_own_key_whenever_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    [(loss, opened), *_] = run().asked(HUB, "open-loss")
    monkeypatch.setattr(keys, "is_prime", lambda _: False)  # no key would pass
    assert open_loss(loss, BareWorkbench(), 0) == opened
    [(gradient, residues), *_] = run().asked(HUB, "open")
    assert open_gradient(gradient, BareWorkbench(), 0) == residues


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros(8), "shop sent float64 of 1 dimensions; a frame is bytes in a row"),
        (np.zeros((2, 4), np.uint8), "shop sent uint8 of 2 dimensions; a frame is bytes in a row"),
        (np.zeros(2**16, np.uint8), "shop sent a frame of 65536 bytes for"),
    ],
)
def test_what_is_no_frame_or_too_long_for_one_is_refused_before_it_is_kept(frame: Any, reason: str) -> None:
    asked = (
        (GUEST, Enrolled, HOST, Scores(b"", 0, 0, frame)),
        (HUB, Serving, HOST, Masked(b"", 0, frame)),
        (HOST, Working, GUEST, Residual(b"", 0, 0, frame)),
    )
    for name, kind, sender, message in asked:
        state = at(name, kind)
        ours = replace(message, session=seat_of(state).session)
        with pytest.raises(PeerError, match=reason.replace("shop", sender)):
            spec(name).step(state, Received(sender, ours))
