"""How a job comes about and ends: the grid of states and events, then the stories."""

from collections import deque
from copy import deepcopy
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.core.coordination import (
    FINISH_S,
    JOB_STATES,
    REASON_CHARS,
    RECEIPT_S,
    START_SLACK_S,
    Accepted,
    Accepting,
    Cancel,
    Delivered,
    EntryRefused,
    Finishing,
    JobEvent,
    JobState,
    JobStep,
    Over,
    Proposing,
    Receipted,
    RoleDone,
    RoleFailed,
    Running,
    StartRole,
    StopRole,
    TakingPart,
    TellRole,
    consider,
    propose,
    step,
)
from hansa.agents.core.messages import (
    JobAbort,
    JobAnswer,
    JobFinish,
    JobLeft,
    JobOffer,
    JobSpec,
    JobStart,
    spec_digest,
)
from hansa.ledger import (
    ContributionMeasured,
    JobAborted,
    JobAccepted,
    JobFinished,
    JobProposed,
    JobRefused,
    kind_of,
)
from hansa.protocols import (
    CancelTimer,
    LocalProtocolError,
    PeerError,
    PeerLeft,
    ProtocolError,
    Received,
    Record,
    Send,
    SetTimer,
    TimerFired,
)

HUB, EAST, NORTH, SOUTH = "hub", "east", "north", "south"
DIGEST, OTHER_DIGEST = b"\x01" * 32, b"\x02" * 32
SPEC = JobSpec(
    job="credit-1",
    protocol="horizontal-fedavg",
    model="softmax",
    dataset="loans",
    parties=(EAST, NORTH, SOUTH),
    classes=("no", "yes"),
    features=4,
    hyperparameters={"learning_rate": 0.1},
    settings={"rounds": 3},
    minimum_parties=2,
    consent_s=60.0,
    seed=7,
)
DONE = RoleDone(DIGEST, rounds=3, loss=0.5, score=0.9, metric="accuracy", weights={NORTH: 30, SOUTH: 10})

# The states of the grid: east has not answered yet, north and south have accepted.
STATES: dict[str, JobState] = {
    "Proposing": Proposing(SPEC, accepted=(NORTH, SOUTH)),
    "Running": Running(SPEC, (NORTH, SOUTH)),
    "Finishing": Finishing(SPEC, (NORTH, SOUTH), DIGEST),
    "Accepting": Accepting(SPEC, HUB),
    "Accepted": Accepted(SPEC, HUB),
    "TakingPart": TakingPart(SPEC, HUB),
    "Delivered": Delivered(SPEC, HUB, DIGEST),
    "Over": Over(SPEC, "finished", "done"),
}
EVENTS: dict[str, JobEvent] = {
    "east: yes": Received(EAST, JobAnswer(True)),
    "east: no": Received(EAST, JobAnswer(False, "no")),
    "north: yes": Received(NORTH, JobAnswer(True)),
    "stranger: yes": Received("stranger", JobAnswer(True)),
    "north: left": Received(NORTH, JobLeft("power cut")),
    "east: left": Received(EAST, JobLeft("no receipt")),
    "stranger: left": Received("stranger", JobLeft("bored")),
    "north: abort": Received(NORTH, JobAbort("I say so")),
    "north: finish": Received(NORTH, JobFinish(DIGEST)),
    "hub: offer": Received(HUB, JobOffer(SPEC)),
    "hub: yes": Received(HUB, JobAnswer(True)),
    "hub: left": Received(HUB, JobLeft("bye")),
    "hub: start": Received(HUB, JobStart((NORTH, SOUTH))),
    "hub: abort": Received(HUB, JobAbort("too few", (EAST,))),
    "hub: finish": Received(HUB, JobFinish(DIGEST)),
    "hub: other finish": Received(HUB, JobFinish(OTHER_DIGEST)),
    "timer consent": TimerFired("consent"),
    "timer receipt": TimerFired("receipt"),
    "timer start": TimerFired("start"),
    "timer finish": TimerFired("finish"),
    "timer unknown": TimerFired("unknown"),
    "chained proposed": Receipted("job-proposed"),
    "chained accepted": Receipted("job-accepted"),
    "chained finished": Receipted("job-finished"),
    "entry refused": EntryRefused("round-closed", "no"),
    "role done": DONE,
    "role failed": RoleFailed("no rows"),
    "cancel": Cancel("changed our mind"),
}

# A cell says what follows: a state's name, "=" (nothing at all), "+" (the same state, and effects),
# "peer" (PeerError) or "local" (LocalProtocolError).
GRID = """
                   Proposing Running   Finishing Accepting Accepted   TakingPart Delivered Over
east: yes          Running   +         +         peer      peer       peer       peer      =
east: no           Running   +         +         peer      peer       peer       peer      =
north: yes         peer      peer      peer      peer      peer       peer       peer      =
stranger: yes      peer      peer      peer      peer      peer       peer       peer      =
north: left        Proposing +         =         peer      peer       peer       peer      =
east: left         Running   =         =         peer      peer       peer       peer      =
stranger: left     peer      peer      peer      peer      peer       peer       peer      =
north: abort       peer      peer      peer      peer      peer       peer       peer      =
north: finish      peer      peer      peer      peer      peer       peer       peer      =
hub: offer         peer      peer      peer      peer      peer       peer       peer      =
hub: yes           peer      peer      peer      peer      peer       peer       peer      =
hub: left          peer      peer      peer      peer      peer       peer       peer      =
hub: start         peer      peer      peer      peer      TakingPart peer       peer      =
hub: abort         peer      peer      peer      Over      Over       Over       Over      =
hub: finish        peer      peer      peer      peer      peer       Over       Over      =
hub: other finish  peer      peer      peer      peer      peer       Over       Over      =
timer consent      Running   =         =         =         =          =          =         =
timer receipt      =         =         Over      Over      =          =          =         =
timer start        =         =         =         =         Over       =          =         =
timer finish       =         =         =         =         =          =          Over      =
timer unknown      =         =         =         =         =          =          =         =
chained proposed   =         =         =         =         =          =          =         =
chained accepted   =         =         =         Accepted  =          =          =         =
chained finished   =         =         Over      =         =          =          =         =
entry refused      Over      Over      Over      Over      Over       Over       Over      =
role done          local     Finishing local     local     local      Delivered  local     =
role failed        Over      Over      =         Over      Over       Over       Over      =
cancel             Over      Over      =         Over      Over       Over       Over      =
"""


def cells() -> list[tuple[str, str, str]]:
    heads, *lines = GRID.strip("\n").splitlines()
    return [
        (state, line[:19].strip(), cell)
        for line in lines
        for state, cell in zip(heads.split(), line[19:].split(), strict=True)
    ]


def test_the_grid_is_whole() -> None:
    assert {type(state) for state in STATES.values()} == set(JOB_STATES)
    assert {(state, event) for state, event, _ in cells()} == {(s, e) for s in STATES for e in EVENTS}


@pytest.mark.parametrize(("state_name", "event_name", "cell"), cells())
def test_every_pair_of_state_and_event_does_what_the_grid_says(
    state_name: str, event_name: str, cell: str
) -> None:
    state, event = STATES[state_name], EVENTS[event_name]
    before = deepcopy(state)
    match cell:
        case "peer" | "local":
            with pytest.raises(PeerError if cell == "peer" else LocalProtocolError):
                step(state, event)
        case "=":
            assert step(state, event) == JobStep(state)
        case "+":
            taken = step(state, event)
            assert taken.state == state
            assert taken.effects
        case _:
            taken = step(state, event)
            assert type(taken.state).__name__ == cell
            assert taken == step(state, event)  # pure: the same again
    assert state == before


def test_states_cannot_be_changed_in_place() -> None:
    for state in STATES.values():
        with pytest.raises(FrozenInstanceError):
            state.spec = SPEC  # type: ignore[misc]


WAITS = {
    Accepting: "receipt",
    Accepted: "start",
    Delivered: "finish",
    Finishing: "receipt",
    Proposing: "consent",
}


@pytest.mark.parametrize(("state_name", "event_name", "cell"), cells())
def test_who_begins_to_wait_sets_a_timer_and_who_stops_cancels_it(
    state_name: str, event_name: str, cell: str
) -> None:
    """Running and TakingPart wait too, but for the protocol's role, which has timers of its own."""
    state, event = STATES[state_name], EVENTS[event_name]
    if cell in ("peer", "local", "=", "+") or cell == state_name:
        return
    taken = step(state, event)
    waits_for = WAITS.get(type(taken.state))
    assert [effect.name for effect in taken.effects if isinstance(effect, SetTimer)] == (
        [waits_for] if waits_for else []
    )
    waited_for = WAITS.get(type(state))
    if waited_for is not None and event != TimerFired(waited_for):
        assert CancelTimer(waited_for) in taken.effects


# --- helpers of the stories -----------------------------------------------------------------------------
def after(first: JobStep, *events: JobEvent) -> JobStep:
    """Return the step of the last event, after all the others."""
    taken = first
    for event in events:
        taken = step(taken.state, event)
    return taken


def sent(taken: JobStep) -> list[tuple[str, object]]:
    return [(effect.recipient, effect.message) for effect in taken.effects if isinstance(effect, Send)]


def recorded(taken: JobStep) -> list[object]:
    return [effect.fact for effect in taken.effects if isinstance(effect, Record)]


def ended(taken: JobStep) -> Over:
    assert isinstance(taken.state, Over)
    return taken.state


def yes(party: str) -> JobEvent:
    return Received(party, JobAnswer(True))


def no(party: str, reason: str = "not with our data") -> JobEvent:
    return Received(party, JobAnswer(False, reason))


# --- the coordinator's stories --------------------------------------------------------------------------
def test_a_proposal_goes_on_the_ledger_and_to_every_invited_party() -> None:
    taken = propose(SPEC)
    assert taken.state == Proposing(SPEC)
    assert recorded(taken) == [
        JobProposed(
            job="credit-1",
            protocol="horizontal-fedavg",
            model="softmax",
            settings={"model.learning_rate": 0.1, "protocol.rounds": 3},
            parties=(EAST, NORTH, SOUTH),
            dataset="loans",
            quorum=2,
            deadline_s=60.0,
            specification=spec_digest(SPEC),
        )
    ]
    assert sent(taken) == [(party, JobOffer(SPEC)) for party in SPEC.parties]
    assert SetTimer("consent", 60.0) in taken.effects


def test_the_job_starts_as_soon_as_all_have_accepted() -> None:
    waiting = after(propose(SPEC), yes(SOUTH), yes(EAST))
    assert waiting.effects == ()
    taken = step(waiting.state, yes(NORTH))
    assert taken.state == Running(SPEC, (EAST, NORTH, SOUTH))
    assert sent(taken) == [(party, JobStart((EAST, NORTH, SOUTH))) for party in SPEC.parties]
    assert taken.effects[0] == CancelTimer("consent")
    assert taken.effects[-1] == StartRole((EAST, NORTH, SOUTH))


def test_one_refuses_and_the_quorum_starts_without_it() -> None:
    taken = after(propose(SPEC), yes(NORTH), no(EAST), yes(SOUTH))
    assert taken.state == Running(SPEC, (NORTH, SOUTH))
    assert sent(taken) == [(NORTH, JobStart((NORTH, SOUTH))), (SOUTH, JobStart((NORTH, SOUTH)))]


def test_one_is_silent_and_the_quorum_starts_at_the_deadline_telling_it_so() -> None:
    taken = after(propose(SPEC), yes(NORTH), yes(SOUTH), TimerFired("consent"))
    assert taken.state == Running(SPEC, (NORTH, SOUTH))
    assert sent(taken)[-1] == (EAST, JobAbort("the job began without you: no answer within 60 s"))


def test_an_answer_after_the_start_is_told_that_it_came_too_late() -> None:
    running = after(propose(SPEC), yes(NORTH), yes(SOUTH), TimerFired("consent"))
    taken = step(running.state, yes(EAST))
    assert taken.state == running.state
    assert sent(taken) == [(EAST, JobAbort("the job began without you: your answer came too late"))]


def test_too_few_accept_and_everybody_and_the_ledger_learn_who_refused_and_who_was_silent() -> None:
    taken = after(propose(SPEC), no(SOUTH), yes(NORTH), TimerFired("consent"))
    reason = (
        "1 of at least 2 parties accepted; south refused: not with our data; no answer from east within 60 s"
    )
    assert ended(taken) == Over(SPEC, "aborted", reason, (EAST,))
    assert recorded(taken) == [JobAborted(job="credit-1", reason=reason, missing=(EAST,))]
    assert sent(taken) == [(party, JobAbort(reason, (EAST,))) for party in SPEC.parties]
    assert CancelTimer("consent") in taken.effects
    assert StopRole() in taken.effects


def test_enough_refusals_end_the_job_before_the_deadline() -> None:
    taken = after(propose(SPEC), no(SOUTH), no(NORTH), yes(EAST))
    assert ended(taken).missing == ()
    assert "south refused" in ended(taken).reason
    assert "north refused" in ended(taken).reason


def test_one_long_refusal_does_not_push_the_others_out_of_the_reason() -> None:
    taken = after(propose(SPEC), no(NORTH, "x" * 10_000), no(EAST, "y" * 10_000), TimerFired("consent"))
    reason = ended(taken).reason
    assert len(reason) <= REASON_CHARS
    assert "north refused: x" in reason
    assert "east refused: y" in reason
    assert "no answer from south" in reason


def test_who_accepted_and_left_before_the_start_counts_as_refusing() -> None:
    taken = after(propose(SPEC), yes(NORTH), Received(NORTH, JobLeft("power cut")), yes(SOUTH), yes(EAST))
    assert taken.state == Running(SPEC, (EAST, SOUTH))


def test_who_leaves_instead_of_answering_is_not_waited_for() -> None:
    taken = after(propose(SPEC), yes(NORTH), yes(SOUTH), Received(EAST, JobLeft("no receipt")))
    assert taken.state == Running(SPEC, (NORTH, SOUTH))


def test_who_left_cannot_come_back() -> None:
    state = after(propose(SPEC), Received(NORTH, JobLeft("power cut"))).state
    with pytest.raises(PeerError, match="north answered credit-1 twice"):
        step(state, yes(NORTH))


def test_who_leaves_while_the_job_runs_is_told_to_the_role() -> None:
    taken = step(STATES["Running"], Received(NORTH, JobLeft("power cut")))
    assert taken.effects == (TellRole(PeerLeft(NORTH, "power cut")),)


def test_the_finish_waits_for_the_receipt() -> None:
    finishing = step(STATES["Running"], DONE)
    assert finishing.state == Finishing(SPEC, (NORTH, SOUTH), DIGEST)
    assert recorded(finishing) == [
        ContributionMeasured(job="credit-1", method="volume", shares={NORTH: 30, SOUTH: 10}),
        JobFinished(job="credit-1", model_digest=DIGEST, loss=0.5, score=0.9, metric="accuracy", rounds=3),
    ]
    assert sent(finishing) == []
    assert SetTimer("receipt", RECEIPT_S) in finishing.effects
    still = after(finishing, Receipted("contribution-measured"))
    assert still == JobStep(finishing.state)
    finished = step(still.state, Receipted("job-finished"))
    assert ended(finished) == Over(SPEC, "finished", "done")
    assert sent(finished) == [(NORTH, JobFinish(DIGEST)), (SOUTH, JobFinish(DIGEST))]
    assert CancelTimer("receipt") in finished.effects


def test_a_keeper_that_never_chains_the_end_ends_the_job_for_everybody_without_another_entry() -> None:
    taken = after(step(STATES["Running"], DONE), TimerFired("receipt"))
    reason = "the keeper has not chained the end within 120 s"
    assert ended(taken) == Over(SPEC, "aborted", reason)
    assert sent(taken) == [(party, JobAbort(reason)) for party in SPEC.parties]
    assert recorded(taken) == []


def test_a_refused_proposal_ends_the_job_without_another_entry() -> None:
    taken = after(propose(SPEC), EntryRefused("job-proposed", "east is suspended"))
    assert ended(taken).reason == "the keeper refused our job-proposed entry: east is suspended"
    assert recorded(taken) == []
    assert [party for party, _ in sent(taken)] == list(SPEC.parties)


@pytest.mark.parametrize("state_name", ["Running", "Finishing"])
def test_a_refused_entry_of_a_job_under_way_aborts_it_on_the_ledger(state_name: str) -> None:
    taken = step(STATES[state_name], EntryRefused("round-closed", "round 1 after round 2"))
    [entry] = recorded(taken)
    assert isinstance(entry, JobAborted)
    assert entry.reason == "the keeper refused our round-closed entry: round 1 after round 2"
    assert kind_of(entry) == "job-aborted"


@pytest.mark.parametrize("state_name", ["Proposing", "Running"])
@pytest.mark.parametrize("event", [Cancel("changed our mind"), RoleFailed("changed our mind")])
def test_a_cancelled_or_failed_job_tells_all_who_were_invited(state_name: str, event: JobEvent) -> None:
    taken = step(STATES[state_name], event)
    assert ended(taken) == Over(SPEC, "aborted", "changed our mind")
    assert sent(taken) == [(party, JobAbort("changed our mind")) for party in SPEC.parties]
    assert recorded(taken) == [JobAborted(job="credit-1", reason="changed our mind")]
    assert StopRole() in taken.effects


def test_a_cancel_that_comes_while_the_end_is_being_chained_is_too_late() -> None:
    taken = after(step(STATES["Running"], DONE), Cancel("changed our mind"), Receipted("job-finished"))
    assert ended(taken).outcome == "finished"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Received("stranger", JobAnswer(True)), "stranger was not invited to credit-1"),
        (Received("stranger", JobLeft("bye")), "stranger was not invited to credit-1"),
        (Received(NORTH, JobAnswer(True)), "north answered credit-1 twice"),
        (Received(NORTH, JobStart(())), "north sent JobStart to the coordinator of credit-1"),
    ],
)
def test_a_refused_message_names_its_sender_and_the_job(event: JobEvent, text: str) -> None:
    with pytest.raises(PeerError) as caught:
        step(STATES["Proposing"], event)
    assert str(caught.value) == text


# --- a member's stories ---------------------------------------------------------------------------------
def test_a_member_consents_on_the_ledger_before_it_answers() -> None:
    accepting = consider(SPEC, HUB, None)
    assert accepting.state == Accepting(SPEC, HUB)
    assert recorded(accepting) == [JobAccepted(job="credit-1")]
    assert sent(accepting) == []
    assert SetTimer("receipt", RECEIPT_S) in accepting.effects
    accepted = step(accepting.state, Receipted("job-accepted"))
    assert accepted.state == Accepted(SPEC, HUB)
    assert sent(accepted) == [(HUB, JobAnswer(True))]
    assert CancelTimer("receipt") in accepted.effects
    assert SetTimer("start", 60.0 + START_SLACK_S) in accepted.effects


def test_a_member_that_objects_says_why_on_the_ledger_and_to_the_coordinator() -> None:
    taken = consider(SPEC, HUB, "our policy does not allow model 'softmax'")
    assert ended(taken) == Over(SPEC, "refused", "our policy does not allow model 'softmax'")
    assert recorded(taken) == [JobRefused(job="credit-1", reason="our policy does not allow model 'softmax'")]
    assert sent(taken) == [(HUB, JobAnswer(False, "our policy does not allow model 'softmax'"))]


def test_a_long_objection_is_cut_to_what_the_ledger_takes() -> None:
    taken = consider(SPEC, HUB, "x" * 10_000)
    assert ended(taken).reason == "x" * REASON_CHARS


def test_a_keeper_that_refuses_the_consent_makes_the_member_leave() -> None:
    taken = after(consider(SPEC, HUB, None), EntryRefused("job-accepted", "no such job"))
    reason = "the keeper refused our job-accepted entry: no such job"
    assert ended(taken) == Over(SPEC, "aborted", reason)
    assert sent(taken) == [(HUB, JobLeft(reason))]


@pytest.mark.parametrize(
    ("parties", "reason"),
    [
        ((NORTH,), "hub began credit-1 with 1 parties; it promised 2 at least"),
        ((NORTH, NORTH), "hub began credit-1 with 1 parties; it promised 2 at least"),
        ((NORTH, SOUTH, "west"), "hub began credit-1 with west, who was not invited"),
    ],
    ids=["alone", "alone, twice", "a stranger"],
)
def test_a_member_starts_in_no_other_company_than_it_consented_to(
    parties: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(PeerError, match=f"^{reason}$"):
        step(STATES["Accepted"], Received(HUB, JobStart(parties)))


def test_a_member_starts_its_role_with_the_parties_it_is_told() -> None:
    taken = step(STATES["Accepted"], Received(HUB, JobStart((NORTH, SOUTH))))
    assert taken.state == TakingPart(SPEC, HUB)
    assert taken.effects == (CancelTimer("start"), StartRole((NORTH, SOUTH)))


def test_a_member_whose_role_is_done_waits_for_the_last_word() -> None:
    delivered = step(STATES["TakingPart"], DONE)
    assert delivered.state == Delivered(SPEC, HUB, DIGEST)
    assert delivered.effects == (SetTimer("finish", FINISH_S),)
    finished = step(delivered.state, Received(HUB, JobFinish(DIGEST)))
    assert ended(finished) == Over(SPEC, "finished", "done")
    assert finished.effects == (CancelTimer("finish"),)


def test_a_finish_with_another_model_is_no_finish() -> None:
    taken = step(STATES["Delivered"], Received(HUB, JobFinish(OTHER_DIGEST)))
    assert ended(taken).outcome == "aborted"
    assert ended(taken).reason == "the coordinator finished with another model than it sent"


def test_a_job_that_finishes_without_a_member_stops_its_role() -> None:
    taken = step(STATES["TakingPart"], Received(HUB, JobFinish(DIGEST)))
    assert ended(taken) == Over(SPEC, "aborted", "the job finished without our last part")
    assert StopRole() in taken.effects


@pytest.mark.parametrize("state_name", ["Accepting", "Accepted", "TakingPart", "Delivered"])
def test_an_abort_reaches_a_member_wherever_it_is(state_name: str) -> None:
    taken = step(STATES[state_name], Received(HUB, JobAbort("too few", (EAST,))))
    assert ended(taken) == Over(SPEC, "aborted", "too few", (EAST,))
    assert sent(taken) == []
    assert StopRole() in taken.effects


@pytest.mark.parametrize("state_name", ["Accepting", "Accepted", "TakingPart", "Delivered"])
@pytest.mark.parametrize("event", [Cancel("power cut"), RoleFailed("power cut")])
def test_a_member_that_gives_up_tells_the_coordinator_why(state_name: str, event: JobEvent) -> None:
    taken = step(STATES[state_name], event)
    assert ended(taken) == Over(SPEC, "aborted", "power cut")
    assert sent(taken) == [(HUB, JobLeft("power cut"))]
    assert StopRole() in taken.effects


@pytest.mark.parametrize(
    ("state_name", "timer", "reason", "told"),
    [
        ("Accepting", "receipt", "the keeper has not chained our consent within 120 s", True),
        ("Accepted", "start", "no start from hub within 120 s", True),
        ("Delivered", "finish", "we hold the model, but no last word from hub within 600 s", False),
    ],
)
def test_a_members_wait_ends_with_a_reason(state_name: str, timer: str, reason: str, told: bool) -> None:
    taken = step(STATES[state_name], TimerFired(timer))
    assert ended(taken).reason == reason
    assert ended(taken).missing == (() if told else (HUB,))
    assert sent(taken) == ([(HUB, JobLeft(reason))] if told else [])


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Received(NORTH, JobStart(())), "north sent JobStart, but hub coordinates credit-1"),
        (Received(HUB, JobFinish(DIGEST)), "hub sent JobFinish while Accepted"),
    ],
)
def test_a_member_names_who_spoke_out_of_turn(event: JobEvent, text: str) -> None:
    with pytest.raises(PeerError) as caught:
        step(STATES["Accepted"], event)
    assert str(caught.value) == text


# --- all of them together -------------------------------------------------------------------------------
@dataclass
class Federation:
    """A coordinator and its members over a link that delivers in order, and a keeper that chains at once."""

    objecting: set[str]
    silent: set[str]
    failing: set[str]
    states: dict[str, JobState] = field(default_factory=dict)
    due: deque[tuple[str, JobEvent]] = field(default_factory=deque)
    entries: list[object] = field(default_factory=list)
    role_of_hub: bool = False

    def run(self) -> None:
        self.take(HUB, propose(SPEC))
        while True:
            while self.due:
                name, event = self.due.popleft()
                if name in self.states:
                    self.take(name, step(self.states[name], event))
                elif isinstance(event, Received) and isinstance(event.message, JobOffer):
                    if name not in self.silent:
                        objection = "our policy says no" if name in self.objecting else None
                        self.take(name, consider(event.message.spec, HUB, objection))
            if not isinstance(self.states[HUB], Proposing):
                return
            self.due.append((HUB, TimerFired("consent")))

    def take(self, name: str, taken: JobStep) -> None:
        self.states[name] = taken.state
        for effect in taken.effects:
            match effect:
                case Send(recipient, message):
                    self.due.append((recipient, Received(name, message)))
                case Record(fact):
                    self.entries.append(fact)
                    self.due.append((name, Receipted(kind_of(fact))))  # type: ignore[arg-type]
                case StartRole():
                    failed = name != HUB and name in self.failing
                    self.due.append((name, RoleFailed("no rows") if failed else DONE))
                case TellRole() | StopRole():
                    pass


SOME = st.sets(st.sampled_from(SPEC.parties))


@given(objecting=SOME, silent=SOME, failing=SOME)
def test_everybody_learns_the_same_end(objecting: set[str], silent: set[str], failing: set[str]) -> None:
    federation = Federation(objecting, silent, failing)
    federation.run()
    ends = {name: state for name, state in federation.states.items() if isinstance(state, Over)}
    assert ends.keys() == federation.states.keys()
    willing = set(SPEC.parties) - objecting - silent
    if len(willing) < SPEC.minimum_parties:
        assert {end.outcome for name, end in ends.items() if name not in objecting} == {"aborted"}
        assert ends[HUB].missing == tuple(sorted(silent))
        assert sum(isinstance(entry, JobAborted) for entry in federation.entries) == 1
    else:
        assert ends[HUB].outcome == "finished"
        assert {name for name in willing if ends[name].outcome == "finished"} == willing - failing
        assert sum(isinstance(entry, JobFinished) for entry in federation.entries) == 1
    for name in objecting - silent:
        assert ends[name] == Over(SPEC, "refused", "our policy says no")


@given(st.sampled_from(sorted(STATES)), st.lists(st.sampled_from(sorted(EVENTS)), max_size=12))
def test_no_run_of_events_does_more_than_refuse_and_what_is_over_stays_over(
    start: str, names: list[str]
) -> None:
    state = STATES[start]
    for name in names:
        try:
            taken = step(state, EVENTS[name])
        except ProtocolError:
            continue
        if isinstance(state, Over):
            assert taken == JobStep(state)
        state = taken.state


def test_a_job_for_one_party_needs_only_its_answer() -> None:
    alone = replace(SPEC, parties=(NORTH,), minimum_parties=1)
    assert after(propose(alone), yes(NORTH)).state == Running(alone, (NORTH,))
