"""How does a job come about, and how does everybody learn of its end? Two machines around a protocol's role.

    coordinator  Proposing → Running → Finishing → Over
    member       Accepting → Accepted → Taking part → Delivered → Over

Both are pure, like the protocol machines they surround: the agent journals their states and carries out
their effects. Every state that waits has a timer, so that no wait is silent; every end has a reason.
What goes on the ledger is recorded here as the ledger's own bodies.
"""

from dataclasses import dataclass, field, replace

from hansa.agents.core.agreed import measured, proposal
from hansa.agents.core.messages import (
    JobAbort,
    JobAnswer,
    JobFinish,
    JobLeft,
    JobOffer,
    JobSpec,
    JobStart,
)
from hansa.ledger import (
    JobAborted,
    JobAccepted,
    JobFinished,
    JobRefused,
)
from hansa.protocols import (
    Awaited,
    CancelTimer,
    LocalProtocolError,
    PeerError,
    PeerLeft,
    Received,
    Record,
    Send,
    SetTimer,
    TimerFired,
)

RECEIPT_S = 120.0  # how long the keeper may take to chain an entry that we wait for
START_SLACK_S = 60.0  # a member waits this much longer than the consent deadline for the start
FINISH_S = 600.0  # a member waits this long for the coordinator's last word
APPRAISED_S = 86_400.0  # and this long if coalitions are still to be valued: it holds the model meanwhile
REASON_CHARS = 500
REFUSAL_CHARS = 120  # of one refusal in the reason of an abort, so that it does not push out the others


# --- effects that only coordination has -----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StartRole:
    """Begin our role of the protocol, with these parties."""

    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellRole:
    """Pass an event on to the protocol's role."""

    event: PeerLeft


@dataclass(frozen=True, slots=True)
class StopRole:
    """Drop the protocol's role: nobody waits for it any more."""


Errand = Send | Record | SetTimer | CancelTimer  # what any machine may ask for
JobEffect = Errand | StartRole | TellRole | StopRole


# --- events ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Receipted:
    """The keeper has chained an entry of ours about this job."""

    kind: str


@dataclass(frozen=True, slots=True)
class EntryRefused:
    """The keeper won't chain an entry of ours about this job."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoleDone:
    """The protocol's role finished here.

    Attributes:
        model_digest: (32,) of the model that all share or have parts of; empty if there is none.
        loss, score: of the model, if anybody has measured it; `metric` says what the score is.
        weights: what each party brought in (coordinator only): rows, or rows × columns.
        contributions: what each has added to the model (coordinator only), exactly, as of
            `hansa.protocols.ratios`, if coalitions were valued.
    """

    model_digest: bytes = b""
    rounds: int = 0
    loss: float | None = None
    score: float | None = None
    metric: str = ""
    weights: dict[str, int] = field(default_factory=dict)
    contributions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoleFailed:
    """The protocol's role gave up here; `missing` did not answer it."""

    reason: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person wants the job stopped."""

    reason: str


JobEvent = Received | TimerFired | Receipted | EntryRefused | RoleDone | RoleFailed | Cancel


# --- states ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Proposing:
    """Coordinator: waiting for answers."""

    spec: JobSpec
    accepted: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # (party, reason)


@dataclass(frozen=True, slots=True)
class Running:
    """Coordinator: the protocol is at work."""

    spec: JobSpec
    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finishing:
    """Coordinator: waiting until the ledger has the end."""

    spec: JobSpec
    parties: tuple[str, ...]
    model_digest: bytes


@dataclass(frozen=True, slots=True)
class Accepting:
    """Member: waiting until the ledger has our consent."""

    spec: JobSpec
    coordinator: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Member: waiting for the start."""

    spec: JobSpec
    coordinator: str


@dataclass(frozen=True, slots=True)
class TakingPart:
    """Member: the protocol is at work."""

    spec: JobSpec
    coordinator: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """Member: our part is done; waiting for the coordinator's last word."""

    spec: JobSpec
    coordinator: str
    model_digest: bytes


@dataclass(frozen=True, slots=True)
class Over:
    """Either: the end, and why."""

    spec: JobSpec
    outcome: str  # finished | aborted | refused
    reason: str
    missing: tuple[str, ...] = ()


JobState = Proposing | Running | Finishing | Accepting | Accepted | TakingPart | Delivered | Over


@dataclass(frozen=True, slots=True)
class JobStep:
    """The next state, and what it asks for, in order."""

    state: JobState
    effects: tuple[JobEffect, ...] = ()


JOB_STATES: tuple[type, ...] = (
    Proposing,
    Running,
    Finishing,
    Accepting,
    Accepted,
    TakingPart,
    Delivered,
    Over,
)


def propose(spec: JobSpec) -> JobStep:
    """Begin as coordinator: the proposal goes on the ledger and to every invited party."""
    offers = tuple(Send(party, JobOffer(spec)) for party in spec.parties)
    return JobStep(Proposing(spec), (Record(proposal(spec)), *offers, SetTimer("consent", spec.consent_s)))


def consider(spec: JobSpec, coordinator: str, objection: str | None, draw: bytes = b"") -> JobStep:
    """Begin as member: consent, or refuse with our policy's objection; either way on the ledger.

    Args:
        draw: (32,) random bytes for the seed, if coalitions of this job are to be valued.
    """
    if objection is None:
        consent = JobAccepted(job=spec.job, draw=draw)
        return JobStep(Accepting(spec, coordinator), (Record(consent), SetTimer("receipt", RECEIPT_S)))
    reason = objection[:REASON_CHARS]
    return JobStep(
        Over(spec, "refused", reason),
        (Record(JobRefused(job=spec.job, reason=reason)), Send(coordinator, JobAnswer(False, reason))),
    )


def step(state: JobState, event: JobEvent) -> JobStep:
    """Return the job's next state and what to do; pure.

    Raises:
        PeerError: a peer said what it may not say now; the state stands.
        LocalProtocolError: our own agent did.
    """
    match state:
        case Proposing() | Running() | Finishing():
            return _coordinator(state, event)
        case Accepting() | Accepted() | TakingPart() | Delivered():
            return _member(state, event)
        case Over():
            return _over(state, event)


def awaited(state: JobState) -> Awaited:
    """Return what a job waits for while its protocol is not at work, and for whom."""
    match state:
        case Proposing(spec):
            answered = {*state.accepted, *dict(state.refused)}
            return Awaited("consent", tuple(party for party in spec.parties if party not in answered))
        case Finishing():
            return Awaited("the keeper's receipt for the end")
        case Accepting():
            return Awaited("the keeper's receipt for our consent")
        case Accepted():
            return Awaited("the start", (state.coordinator,))
        case Delivered():
            return Awaited("the coordinator's last word", (state.coordinator,))
        case Running() | TakingPart():
            return Awaited("the protocol")
        case Over():
            return Awaited("")


def last_word_s(spec: JobSpec) -> float:
    """Return how long a member that has done its part waits for the coordinator's last word, seconds."""
    return APPRAISED_S if spec.contribution else FINISH_S


# --- the coordinator ------------------------------------------------------------------------------------
def _coordinator(state: Proposing | Running | Finishing, event: JobEvent) -> JobStep:
    match event:
        case Received(sender, JobAnswer() as answer):
            return _answered(state, sender, answer)
        case Received(sender, JobLeft(reason)):
            return _left(state, sender, reason)
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__} to the coordinator of {state.spec.job}")
        case TimerFired("consent") if isinstance(state, Proposing):
            return _decide(state)
        case TimerFired("receipt") if isinstance(state, Finishing):
            return _abort(state, f"the keeper has not chained the end within {RECEIPT_S:g} s", record=False)
        case TimerFired():
            return JobStep(state, ())  # a timer of an earlier state
        case Receipted("job-finished") if isinstance(state, Finishing):
            ends = tuple(Send(party, JobFinish(state.model_digest)) for party in state.parties)
            return JobStep(Over(state.spec, "finished", "done"), (*ends, CancelTimer("receipt")))
        case Receipted():
            return JobStep(state, ())
        case EntryRefused(kind, reason):
            return _abort(
                state, f"the keeper refused our {kind} entry: {reason}", record=kind != "job-proposed"
            )
        case RoleDone() if isinstance(state, Running):
            finished = JobFinished(
                job=state.spec.job,
                model_digest=event.model_digest,
                loss=event.loss,
                score=event.score,
                metric=event.metric,
                rounds=event.rounds,
            )
            shares = measured(state.spec, state.parties, event.weights, event.contributions)
            return JobStep(
                Finishing(state.spec, state.parties, event.model_digest),
                (*map(Record, shares), Record(finished), SetTimer("receipt", RECEIPT_S)),
            )
        case RoleDone():
            raise LocalProtocolError(f"role done while {type(state).__name__}")
        case RoleFailed() | Cancel() if isinstance(state, Finishing):
            return JobStep(state, ())  # too late: the end is on its way to the ledger
        case RoleFailed(reason, missing):
            return _abort(state, reason, missing)
        case Cancel(reason):
            return _abort(state, reason)


def _answered(state: Proposing | Running | Finishing, sender: str, answer: JobAnswer) -> JobStep:
    if sender not in state.spec.parties:
        raise PeerError(f"{sender} was not invited to {state.spec.job}")
    if not isinstance(state, Proposing):
        if sender in state.parties:
            raise PeerError(f"{sender} answered {state.spec.job} twice")
        return JobStep(
            state, (Send(sender, JobAbort("the job began without you: your answer came too late")),)
        )
    if sender in state.accepted or sender in dict(state.refused):
        raise PeerError(f"{sender} answered {state.spec.job} twice")
    if answer.accepted:
        state = replace(state, accepted=tuple(sorted((*state.accepted, sender))))
    else:
        state = replace(state, refused=(*state.refused, (sender, answer.reason[:REASON_CHARS])))
    return _decide_if_all_answered(state)


def _decide_if_all_answered(state: Proposing) -> JobStep:
    if len(state.accepted) + len(state.refused) == len(state.spec.parties):
        return _decide(state)
    return JobStep(state, ())


def _decide(state: Proposing) -> JobStep:
    """Start with those who accepted, or abort, saying who refused and who never answered."""
    spec = state.spec
    silent = tuple(p for p in spec.parties if p not in state.accepted and p not in dict(state.refused))
    if len(state.accepted) < spec.minimum_parties:
        parts = [f"{len(state.accepted)} of at least {spec.minimum_parties} parties accepted"]
        parts += [f"{party} refused: {reason[:REFUSAL_CHARS]}" for party, reason in state.refused]
        parts += [f"no answer from {party} within {spec.consent_s:g} s" for party in silent]
        return _abort(state, "; ".join(parts), missing=silent)
    starts = tuple(Send(party, JobStart(state.accepted)) for party in state.accepted)
    late = tuple(
        Send(party, JobAbort(f"the job began without you: no answer within {spec.consent_s:g} s"))
        for party in silent
    )
    return JobStep(
        Running(spec, state.accepted),
        (CancelTimer("consent"), *starts, *late, StartRole(state.accepted)),
    )


def _left(state: Proposing | Running | Finishing, sender: str, reason: str) -> JobStep:
    if sender not in state.spec.parties:
        raise PeerError(f"{sender} was not invited to {state.spec.job}")
    match state:
        case Proposing():
            accepted = tuple(party for party in state.accepted if party != sender)
            refused = tuple(pair for pair in state.refused if pair[0] != sender)
            refused = (*refused, (sender, reason[:REASON_CHARS]))
            return _decide_if_all_answered(replace(state, accepted=accepted, refused=refused))
        case Running() if sender in state.parties:
            return JobStep(state, (TellRole(PeerLeft(sender, reason[:REASON_CHARS])),))
        case Running() | Finishing():
            return JobStep(state, ())  # not in it, or no longer needed


def _abort(
    state: Proposing | Running | Finishing, reason: str, missing: tuple[str, ...] = (), record: bool = True
) -> JobStep:
    reason = reason[:REASON_CHARS]
    told = tuple(Send(party, JobAbort(reason, missing)) for party in state.spec.parties)
    entry = (Record(JobAborted(job=state.spec.job, reason=reason, missing=missing)),) if record else ()
    return JobStep(
        Over(state.spec, "aborted", reason, missing),
        (*entry, *told, CancelTimer("consent"), CancelTimer("receipt"), StopRole()),
    )


# --- a member -------------------------------------------------------------------------------------------
def _member(state: Accepting | Accepted | TakingPart | Delivered, event: JobEvent) -> JobStep:
    match event:
        case Received(sender, message) if sender != state.coordinator:
            raise PeerError(
                f"{sender} sent {type(message).__name__}, but {state.coordinator} coordinates {state.spec.job}"
            )
        case Received(_, JobAbort(reason, missing)):
            return JobStep(Over(state.spec, "aborted", reason, missing), (*_CANCELLED, StopRole()))
        case Received(sender, JobStart(parties)) if isinstance(state, Accepted):
            _check_start(state.spec, sender, parties)
            started = TakingPart(state.spec, state.coordinator)
            return JobStep(started, (CancelTimer("start"), StartRole(parties)))
        case Received(_, JobFinish(digest)) if isinstance(state, Delivered):
            if digest != state.model_digest:
                other = "the coordinator finished with another model than it sent"
                return JobStep(Over(state.spec, "aborted", other), (CancelTimer("finish"),))
            return JobStep(Over(state.spec, "finished", "done"), (CancelTimer("finish"),))
        case Received(_, JobFinish()) if isinstance(state, TakingPart):
            return JobStep(
                Over(state.spec, "aborted", "the job finished without our last part"), (StopRole(),)
            )
        case Received(sender, message):
            raise PeerError(f"{sender} sent {type(message).__name__} while {type(state).__name__}")
        case Receipted("job-accepted") if isinstance(state, Accepting):
            accepted = Accepted(state.spec, state.coordinator)
            wait = SetTimer("start", state.spec.consent_s + START_SLACK_S)
            return JobStep(accepted, (CancelTimer("receipt"), Send(state.coordinator, JobAnswer(True)), wait))
        case Receipted():
            return JobStep(state, ())
        case RoleDone() if isinstance(state, TakingPart):
            delivered = Delivered(state.spec, state.coordinator, event.model_digest)
            return JobStep(delivered, (SetTimer("finish", last_word_s(state.spec)),))
        case RoleDone():
            raise LocalProtocolError(f"role done while {type(state).__name__}")
        case TimerFired(name):
            return _overdue(state, name)
        case EntryRefused(kind, reason):
            return _leave(state, f"the keeper refused our {kind} entry: {reason}")
        case RoleFailed(reason) | Cancel(reason):
            return _leave(state, reason)


def _check_start(spec: JobSpec, sender: str, parties: tuple[str, ...]) -> None:
    """Refuse a start in other company than we consented to, which the ledger does not show.

    Raises:
        PeerError: somebody who was not invited, or fewer than the job promised.
    """
    strangers = sorted({*parties} - {*spec.parties})
    if strangers:
        raise PeerError(f"{sender} began {spec.job} with {strangers[0]:.60}, who was not invited")
    if len({*parties}) < spec.minimum_parties:
        raise PeerError(
            f"{sender} began {spec.job} with {len({*parties})} parties; it promised {spec.minimum_parties} at least"
        )


_CANCELLED = (CancelTimer("receipt"), CancelTimer("start"), CancelTimer("finish"))


def _overdue(state: Accepting | Accepted | TakingPart | Delivered, name: str) -> JobStep:
    match state, name:
        case Accepting(), "receipt":
            return _leave(state, f"the keeper has not chained our consent within {RECEIPT_S:g} s")
        case Accepted(), "start":
            waited = state.spec.consent_s + START_SLACK_S
            return _leave(state, f"no start from {state.coordinator} within {waited:g} s")
        case Delivered(), "finish":
            waited = last_word_s(state.spec)
            reason = f"we hold the model, but no last word from {state.coordinator} within {waited:g} s"
            return JobStep(Over(state.spec, "aborted", reason, (state.coordinator,)), ())
        case _, _:
            return JobStep(state, ())  # a timer of an earlier state


def _leave(state: Accepting | Accepted | TakingPart | Delivered, reason: str) -> JobStep:
    reason = reason[:REASON_CHARS]
    return JobStep(
        Over(state.spec, "aborted", reason),
        (Send(state.coordinator, JobLeft(reason)), *_CANCELLED, StopRole()),
    )


# --- afterwards -----------------------------------------------------------------------------------------
def _over(state: Over, event: JobEvent) -> JobStep:
    """Late words are expected after the end (an answer on its way, a timer): the outcome stands."""
    match event:
        case Received() | TimerFired() | Receipted() | EntryRefused() | RoleDone() | RoleFailed() | Cancel():
            return JobStep(state, ())
