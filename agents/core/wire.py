"""Which class travels under which name, and which fact becomes which ledger entry? The one place that says.

Machines emit plain dataclasses and know neither the wire nor the ledger. Here every message class gets its
kind and schema number, every state its snapshot form, and every recorded fact its ledger body.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from hansa.agents.core import coordination, messages
from hansa.agents.core.coordination import RoleDone
from hansa.agents.core.messages import JobSpec
from hansa.broker import MalformedMessage, UnknownKind, from_plain, to_plain
from hansa.broker.codec import Plain
from hansa.ledger import KINDS as ENTRY_KINDS
from hansa.ledger import (
    Body,
    CoalitionsValued,
    DistortionFound,
    EpochEnded,
    ModelEvaluated,
    ModelUsed,
    PartiesOverdue,
    RoundClosed,
    RowsAligned,
)
from hansa.protocols import PROTOCOLS, Evaluation, ProtocolSpec, Valuation, alignment, inference, vertical
from hansa.protocols.alignment.job import SENTINELS
from hansa.protocols.horizontal import fedavg

AGENT_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A message class's name on the wire, its schema number, and which slot of a session it is for."""

    name: str
    schema: int
    slot: str  # "ledger" | "join" | "transfer" | "job" | "role"


_AGENT_KINDS: dict[type, Kind] = {
    messages.JobOffer: Kind("job.offer", AGENT_SCHEMA, "job"),
    messages.JobAnswer: Kind("job.answer", AGENT_SCHEMA, "job"),
    messages.JobStart: Kind("job.start", AGENT_SCHEMA, "job"),
    messages.JobLeft: Kind("job.left", AGENT_SCHEMA, "job"),
    messages.JobAbort: Kind("job.abort", AGENT_SCHEMA, "job"),
    messages.JobFinish: Kind("job.finish", AGENT_SCHEMA, "job"),
    messages.LedgerAppend: Kind("ledger.append", AGENT_SCHEMA, "ledger"),
    messages.LedgerEntries: Kind("ledger.entries", AGENT_SCHEMA, "ledger"),
    messages.LedgerRefused: Kind("ledger.refused", AGENT_SCHEMA, "ledger"),
    messages.LedgerFetch: Kind("ledger.fetch", AGENT_SCHEMA, "ledger"),
    messages.JoinAnswer: Kind("join.answer", AGENT_SCHEMA, "join"),
    messages.LedgerHeld: Kind("ledger.held", AGENT_SCHEMA, "ledger"),
    messages.CosignAsked: Kind("ledger.cosign-asked", AGENT_SCHEMA, "ledger"),
    messages.CosignDeclined: Kind("ledger.cosign-declined", AGENT_SCHEMA, "ledger"),
    messages.HeadTold: Kind("ledger.head-told", AGENT_SCHEMA, "ledger"),
    messages.ForkTold: Kind("ledger.fork-told", AGENT_SCHEMA, "ledger"),
    messages.SuccessionAsked: Kind("ledger.succession-asked", AGENT_SCHEMA, "ledger"),
    messages.SuccessionHeld: Kind("ledger.succession-held", AGENT_SCHEMA, "ledger"),
    messages.SuccessionProposed: Kind("ledger.succession-proposed", AGENT_SCHEMA, "ledger"),
    messages.SuccessionAnswered: Kind("ledger.succession-answered", AGENT_SCHEMA, "ledger"),
    messages.ChunkCredit: Kind("transfer.credit", AGENT_SCHEMA, "transfer"),
}


def _kinds(protocols: Iterable[ProtocolSpec]) -> dict[type, Kind]:
    kinds = dict(_AGENT_KINDS)
    for spec in protocols:
        for message in spec.messages:
            # Protocols that share a message speak of it by the first one's name.
            kinds.setdefault(message, Kind(f"{spec.name}.{message.__name__}", spec.version, "role"))
    return kinds


KINDS: dict[type, Kind] = _kinds(PROTOCOLS.values())
_CLASSES: dict[str, type] = {kind.name: message for message, kind in KINDS.items()}


def kind_of(message: object) -> Kind:
    """Return a message's kind; KeyError means that a class was never registered, a bug here."""
    return KINDS[type(message)]


def message_class(kind: str, schema: int, sender: str) -> type:
    """Return the class that a received kind names.

    Raises:
        UnknownKind: no such kind here, or another schema; the text names the sender and both versions.
    """
    message = _CLASSES.get(kind)
    if message is None:
        raise UnknownKind(f"{sender} sent {kind!r} (schema {schema}), which this version does not know")
    if KINDS[message].schema != schema:
        raise UnknownKind(
            f"{sender} sent {kind!r} in schema {schema}; this version speaks schema {KINDS[message].schema}"
        )
    return message


# --- snapshots ------------------------------------------------------------------------------------------
def snapshot(value: object) -> Plain:
    """Return a state, task input or result as a plain value that `restore` reads back."""
    return [type(value).__name__, to_plain(value)]


def restore(plain: Plain, classes: Iterable[type]) -> Any:
    """Rebuild a value from its snapshot, as one of the named classes (MalformedMessage otherwise)."""
    match plain:
        case [str(name), fields]:
            for candidate in classes:
                if candidate.__name__ == name:
                    return from_plain(candidate, fields)
    raise MalformedMessage(f"snapshot of an unknown class: {plain!r:.80}")


def parts(plain: Plain) -> list[Any]:
    """Return the items of a list that this agent wrote itself (MalformedMessage otherwise)."""
    if not isinstance(plain, list):
        raise MalformedMessage(f"expected a list, got {type(plain).__name__}")
    return plain


JOB_STATES = coordination.JOB_STATES


# --- facts and results ----------------------------------------------------------------------------------
def _round_closed(spec: JobSpec, fact: fedavg.RoundClosed) -> Body:
    return RoundClosed(
        job=spec.job,
        round=fact.round,
        model_digest=fact.digest,
        participants=fact.participants,
        missing=tuple(sorted(fact.missing)),
    )


def _model_evaluated(spec: JobSpec, fact: fedavg.ModelEvaluated) -> Body:
    return ModelEvaluated(
        job=spec.job,
        round=fact.round,
        model_digest=fact.digest,
        loss=fact.evaluation.loss,
        score=fact.evaluation.score,
        metric=fact.evaluation.metric,
        rows=fact.evaluation.rows,
    )


def _epoch_ended(spec: JobSpec, fact: vertical.EpochEnded) -> Body:
    return EpochEnded(job=spec.job, epoch=fact.epoch + 1, loss=fact.loss, verdict=fact.verdict)


def _overdue(spec: JobSpec, fact: vertical.Overdue) -> Body:
    return PartiesOverdue(job=spec.job, round=fact.round, missing=tuple(sorted(fact.whom)))


def _distorted(spec: JobSpec, fact: vertical.Distorted) -> Body:
    return DistortionFound(job=spec.job, epoch=fact.epoch + 1, loss=fact.loss, before=fact.before)


def _served(spec: JobSpec, fact: inference.ModelServed) -> Body:
    # Whoever follows the job that serves finds its rows by the purpose.
    return ModelUsed(job=fact.model, rows=fact.rows, purpose=spec.job)


def _valued(spec: JobSpec, fact: Valuation) -> Body:
    return CoalitionsValued(
        job=spec.job,
        round=fact.round,
        players=fact.players,
        rows=fact.rows,
        coalitions=fact.coalitions,
        values=fact.values,
    )


_BODIES: dict[type, Callable[[JobSpec, Any], Body]] = {
    fedavg.RoundClosed: _round_closed,
    fedavg.ModelEvaluated: _model_evaluated,
    vertical.EpochEnded: _epoch_ended,
    vertical.Overdue: _overdue,
    vertical.Distorted: _distorted,
    inference.ModelServed: _served,
    Valuation: _valued,
}


def body_of(spec: JobSpec, fact: object) -> Body:
    """Return the ledger body of a recorded fact; bodies themselves (from coordination) pass as they are."""
    mapping = _BODIES.get(type(fact))
    if mapping is not None:
        return mapping(spec, fact)
    if type(fact) not in ENTRY_KINDS.values():
        raise TypeError(f"no ledger entry for {type(fact).__name__}")
    return cast("Body", fact)


def events_of(body: Body) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return what everybody is told at once, besides the ledger; (kind, fields), and metadata only."""
    match body:
        case RoundClosed():
            told = {"round": body.round, "missing": list(body.missing)}
            return (("round-closed", {"job": body.job, **told}),)
        case ModelEvaluated():
            figures = {"loss": body.loss, "score": body.score, "metric": body.metric}
            return (("model-evaluated", {"job": body.job, "round": body.round, **figures}),)
        case EpochEnded():
            verdict = {"epoch": body.epoch, "loss": body.loss, "verdict": body.verdict}
            return (("epoch-ended", {"job": body.job, **verdict}),)
        case PartiesOverdue():
            return (("parties-overdue", {"job": body.job, "missing": list(body.missing)}),)
    return ()


def closing_bodies(spec: JobSpec, result: object) -> tuple[Body, ...]:
    """Return what the ledger is told when a role of ours ends with this, besides how the job ends."""
    match result:
        case alignment.AlignmentClosed(sizes, common):
            rows = {party: size - SENTINELS for party, size in sizes.items()}  # everybody adds as many
            return (RowsAligned(job=spec.job, sizes=rows, common=common),)
    return ()


def role_done(result: object) -> RoleDone:
    """Return what coordination needs to know of a role's result."""
    match result:
        case fedavg.TrainingDone():
            done = _evaluated(result.digest, result.evaluation, result.rounds, dict(result.rows))
            return replace(done, contributions=dict(result.contributions))
        case fedavg.ModelReceived():
            return _evaluated(result.digest, result.evaluation)
        case vertical.TrainingClosed():
            done = RoleDone(result.digest, result.epochs, result.loss, result.score, result.metric)
            return replace(done, weights=dict(result.cells), contributions=dict(result.contributions))
        case vertical.OwnCoefficients():
            return RoleDone(result.digest, result.epochs, result.loss, result.score, result.metric)
        case (
            alignment.AlignedRows()
            | alignment.SharedRows()
            | alignment.Served()
            | alignment.AlignmentClosed()
            | inference.Scored()
            | inference.Answered()
        ):
            return RoleDone()
    raise TypeError(f"no job result in {type(result).__name__}")


def _evaluated(
    digest: bytes, evaluation: Evaluation, rounds: int = 0, weights: dict[str, int] | None = None
) -> RoleDone:
    return RoleDone(
        digest, rounds, evaluation.loss, evaluation.score, evaluation.metric, weights=weights or {}
    )
