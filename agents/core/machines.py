"""Which machines are at work in an agent, and what do they ask of it?

A job is coordination (propose, consent, start, end) around a protocol's role. This holds the states of both,
feeds them events, and carries out their effects into the step's changes.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from hansa.agents.config import PolicySection
from hansa.agents.core import coordination, wire
from hansa.agents.core.agreed import as_registered
from hansa.agents.core.blobs import BlobStore
from hansa.agents.core.briefing import Opening, Role, left_by, seated
from hansa.agents.core.coordination import Errand, Over, StartRole, StopRole, TellRole
from hansa.agents.core.desk import Desk
from hansa.agents.core.early import Early
from hansa.agents.core.errands import Errands
from hansa.agents.core.journal import Journal
from hansa.agents.core.labour import Labour
from hansa.agents.core.lending import lend
from hansa.agents.core.messages import JobAbort, JobLeft, JobSpec
from hansa.agents.core.offered import Offered, agrees
from hansa.agents.core.policy import objection
from hansa.agents.core.quota import Quota
from hansa.agents.core.records import Records
from hansa.agents.core.restored import PATIENCE_S
from hansa.agents.core.sightings import seen_enough
from hansa.agents.core.snapshots import Snapshots
from hansa.agents.core.starts import SHOWN, Starts
from hansa.agents.core.timers import Timers
from hansa.agents.core.wanted import Wanted
from hansa.agents.core.workshop import Ended, Workshop
from hansa.agents.data.rows import Dataset
from hansa.agents.errors import JobError
from hansa.broker import BrokerError, Refused, attach
from hansa.ledger import Job, JobStarted
from hansa.protocols import (
    Abort,
    Awaited,
    CancelTimer,
    Compute,
    Computed,
    Event,
    Finish,
    Keep,
    LocalProtocolError,
    ModelRegistry,
    Overstated,
    PeerError,
    PeerLeft,
    ProtocolError,
    Received,
    Record,
    Send,
    SetTimer,
    Step,
    TimerFired,
    Workbench,
    protocol,
)

log = logging.getLogger("hansa.agent")

SECRET_BYTES = 32  # of each role: all its secrets derive from them
DRAW_BYTES = 32  # that we add to the seed of a job whose coalitions are valued


class Machines:
    """The jobs of one agent and the protocol roles at work in them.

    Args:
        desk: where the step under way gathers what follows.
        blobs: where large arrays of snapshots lie.
        journal: what to take up after a restart.
        workshop: who runs tasks.
        registry: the models that jobs may name.
        datasets: by name, how to read our rows.
        policy: which jobs we consent to.
        shown: the ledger's jobs, as our copy has them.
        detach_bytes: arrays of at least this size lie beside the snapshots.

    Attributes:
        records: what jobs have left here.
    """

    def __init__(
        self,
        desk: Desk,
        blobs: BlobStore,
        journal: Journal,
        workshop: Workshop,
        registry: ModelRegistry,
        datasets: Mapping[str, Callable[[], Dataset]],
        policy: PolicySection,
        shown: Callable[[], Mapping[str, Job]],
        detach_bytes: int,
    ) -> None:
        self._desk = desk
        self._blobs = blobs
        self._journal = journal
        self._registry = registry
        self._datasets = datasets
        self.policy = policy
        self._jobs: dict[str, coordination.JobState] = {}
        self._roles: dict[str, Role] = {}
        self._snapshots = Snapshots(desk, blobs, journal, detach_bytes)
        self._timers = Timers(desk, journal)
        self._errands = Errands(desk, self._timers)
        self._starts = Starts(self._timers, shown)
        self._labour = Labour(desk, blobs, journal, workshop, detach_bytes)
        self._offered = Offered(desk, journal)
        self._quota = Quota(desk, journal)
        self._wanted = Wanted(desk, journal)
        self._early = Early(desk, blobs, journal, detach_bytes)
        self.records = Records(desk, blobs, journal, detach_bytes, self.spec)
        self._restore()

    # --- what the agent asks ------------------------------------------------------------------------------
    def knows(self, job: str) -> bool:
        """Whether the job was proposed here or offered to us."""
        return job in self._jobs

    def expects(self, session: str) -> bool:
        """Whether a session is a job's that is known here, or on offer."""
        return session in self._jobs or session in self._offered.sessions

    def outcome(self, job: str) -> Over | None:
        """Return how a job ended here, or None while it runs or if it is unknown."""
        state = self._jobs.get(job)
        return state if isinstance(state, Over) else None

    def spec(self, job: str) -> JobSpec:
        """Return a job as it was offered; JobError if it is unknown here."""
        state = self._jobs.get(job)
        if state is None:
            raise JobError(f"job {job!r} is unknown at {self._desk.name}")
        return state.spec

    def awaited(self, job: str) -> tuple[Awaited, float | None]:
        """Return what a job waits for here, and when that patience ends (UTC seconds, None: with no deadline).

        Raises:
            JobError: the job is unknown here.
        """
        self.spec(job)
        role = self._roles.get(job)
        awaited = coordination.awaited(self._jobs[job])
        slot = "job"
        if role is not None:
            awaited, slot = role.role.awaited(role.state), "role"
        elif job in self._starts:
            awaited = Awaited("the ledger to show all consents", self._starts.lacking(job))
        return awaited, self._timers.first(job, slot)

    def going_on(self) -> set[str]:
        """Return the jobs that are not over here, and those on offer."""
        return self._offered.sessions | set(self.open_jobs())

    def over(self) -> set[str]:
        """Return the jobs that are over here and have left no result."""
        over = {job for job, state in self._jobs.items() if isinstance(state, Over)}
        return over - self.records.with_result()

    def forget(self, job: str) -> None:
        """Drop a job that is over; a result stays, with the specification that says what it is of."""
        self.records.drop_kept(job)
        if job in self.over():
            del self._jobs[job]
            self._snapshots.drop(job, "job")

    def open_jobs(self) -> tuple[str, ...]:
        """Return the jobs that are not over here, in the order in which they came."""
        return tuple(job for job, state in self._jobs.items() if not isinstance(state, Over))

    def leave_all(self, reason: str) -> None:
        """End every job here; one whose end is on its way to the ledger waits for that, with time to catch up."""
        for job in self.open_jobs():
            self.tell_job(job, coordination.Cancel(reason))
        for job in self.open_jobs():
            self._timers.set((job, "job", "receipt"), coordination.RECEIPT_S + PATIENCE_S)

    def busy(self) -> bool:
        """Whether tasks are under way."""
        return bool(self._labour)

    def next_timer(self) -> float | None:
        """When the next timer is due, UTC seconds, or None."""
        return self._timers.next()

    # --- what happens to them -----------------------------------------------------------------------------
    def propose(self, spec: JobSpec, wanted: tuple[str, ...] = ()) -> None:
        """Begin a job as its coordinator; one of a name that is known already is dropped.

        Args:
            spec: the job.
            wanted: ids of the rows that it is to ask for, if not for all.
        """
        if spec.job in self._jobs:
            log.error("%s: job %s was submitted twice", self._desk.name, spec.job)
            return
        self._wanted.note(spec.job, wanted)
        self._coordinate(spec.job, coordination.propose(spec))

    def offered(self, session: str, sender: str, spec: JobSpec) -> None:
        """Keep an offer until the ledger shows the proposal that it must match (`consider_offers`).

        Raises:
            PeerError: the offer contradicts itself, comes twice, or there are too many from its sender.
        """
        if session in self._jobs:
            raise PeerError(f"{sender} offered job {spec.job!r}, which is known here already")
        self._offered.add(sender, session, spec)

    def consider_offers(self, proposed: Mapping[str, Job], reservation: str | None) -> None:
        """Consent to, or refuse, the offers whose proposals are on the ledger; drop those that do not match.

        Args:
            proposed: the ledger's jobs.
            reservation: why this agent takes no job at present, or None.
        """
        for sender, session, spec, job in self._offered.shown(proposed):
            if session in self._jobs or not agrees(spec, sender, job):  # over, perhaps, before we heard of it
                self._offered.refuse(sender, session)
                continue
            why_not = reservation or objection(
                spec, sender, self.policy, self._datasets, self._registry, proposed
            )
            why_not = why_not or seen_enough(spec, self._desk.name, proposed)
            why_not = why_not or self._quota.objection(spec, sender, self.policy)
            self._desk.announce("job-offered", job=spec.job, refused=why_not or "")
            draw = os.urandom(DRAW_BYTES) if spec.contribution else b""
            self._coordinate(session, coordination.consider(spec, sender, why_not, draw))

    def begin_shown(self) -> None:
        """Begin the jobs of ours whose parties' consents our copy of the ledger shows by now."""
        for job, parties, shown in self._starts.ready():
            self._start_role(self._jobs[job].spec, parties, shown)

    def drop_stale_offers(self) -> None:
        """Forget offers that the ledger has not shown for an hour."""
        self._offered.drop_stale()

    def received(self, session: str, sender: str, message: object) -> None:
        """Give a peer's message to the machine it is for.

        Raises:
            PeerError: the machine refuses it, or there is no such job here.
        """
        if self._offered.has(sender, session) and isinstance(message, JobAbort):
            self._abandon(sender, session, message)
            return
        if session not in self._jobs:
            raise PeerError(f"{sender} spoke of job {session!r}, which is unknown here")
        if wire.kind_of(message).slot == "job":
            self.tell_job(session, Received(sender, message))
        else:
            self._hear(session, sender, message)

    def _hear(self, session: str, sender: str, message: object) -> None:
        """Give a message to the role it is for, or have it wait for that to begin."""
        job = self._jobs[session]
        early = isinstance(job, coordination.Accepting | coordination.Accepted) or session in self._starts
        if not early:
            self._tell(session, sender, message)
        elif sender not in (self._coordinator(session), *job.spec.parties):
            raise PeerError(f"{sender} has no part in job {session!r}")
        elif type(message) not in protocol(job.spec.protocol).messages:
            raise PeerError(f"{sender} sent {type(message).__name__}, no message of {job.spec.protocol}")
        else:
            self._early.keep(session, sender, message)

    def _tell(self, session: str, sender: str, message: object) -> None:
        """Give a peer's message to a role, which goes on without a peer that claims more than it has registered."""
        try:
            self._tell_role(session, Received(sender, message))
        except Overstated as error:
            self._desk.post(session, sender, JobAbort(f"the job goes on without you: {error}"))
            self._tell_role(session, PeerLeft(sender, f"refused: {error}"))
            raise

    def _abandon(self, sender: str, session: str, abort: JobAbort) -> None:
        """A job was called off before the ledger had shown us its proposal."""
        spec = self._offered.take(sender, session)
        self._coordinate(session, coordination.JobStep(Over(spec, "aborted", abort.reason, abort.missing)))

    def tell_job(self, session: str, event: coordination.JobEvent) -> None:
        """Give an event to a job's coordination; jobs unknown here have none."""
        state = self._jobs.get(session)
        if state is not None:
            self._coordinate(session, coordination.step(state, event))

    def ended(self, ended: Ended) -> None:
        """Give a task's end to the role that asked for it."""
        if not self._labour.ended(ended):
            return
        try:
            self._tell_role(ended.session, Computed(ended.task_id, ended.result, ended.error))
        except PeerError as error:
            self._give_up(ended.session, f"{self._desk.name}: {error}")

    def fire_timers(self, now: float) -> None:
        """Tell the machines whose timers are due."""
        for session, slot, name in self._timers.fire(now):
            if (slot, name) == ("job", SHOWN):
                why = f"{self._desk.name}: cannot begin: {self._starts.overdue(session)}"
                self.tell_job(session, coordination.RoleFailed(why))
            elif slot == "job":
                self.tell_job(session, TimerFired(name))
            else:
                self._tell_role(session, TimerFired(name))

    def snapshot(self) -> None:
        """Write the states that changed in this step, once each."""
        self._snapshots.write(self._state)

    def _state(self, session: str, slot: str) -> object | None:
        if slot == "job":
            return self._jobs[session]
        role = self._roles.get(session)
        return None if role is None else role.state

    # --- coordination -------------------------------------------------------------------------------------
    def _coordinate(self, session: str, step: coordination.JobStep) -> None:
        """Take a job's next state and carry out what it asks for."""
        before = self._jobs.get(session)
        self._jobs[session] = step.state
        if step.state != before:
            self._snapshots.changed(session, "job")
        spec = step.state.spec
        for effect in step.effects:
            match effect:
                case StartRole(parties) if self._coordinator(session) == self._desk.name:
                    self._starts.wait(session, parties)
                    self.begin_shown()
                case StartRole(parties):
                    self._start_role(spec, parties)
                case TellRole(event) if session in self._starts:
                    self._early.keep(session, event.name, JobLeft(event.reason))
                case TellRole(event):
                    self._tell_role(session, event)
                case StopRole():
                    self._stop_role(session)
                case Send() | Record() | SetTimer() | CancelTimer():
                    self._run(session, "job", effect)
        if isinstance(step.state, Over) and not isinstance(before, Over):
            ended = step.state
            self._starts.drop(session)
            self._early.drop(session)
            self._desk.announce("job-over", job=session, outcome=ended.outcome, reason=ended.reason)

    def _start_role(self, spec: JobSpec, parties: tuple[str, ...], shown: Job | None = None) -> None:
        """Begin our role in a job; settings that don't fit end the job here, with the reason.

        Args:
            shown: what the ledger says of it, if we coordinate it.
        """
        try:
            opening = Opening.of(spec, parties, os.urandom(SECRET_BYTES), shown)
            role = self._seated(spec, opening)
            brief = replace(role.brief, start=left_by(role.spec.start(role.brief.settings), self.records))
            first = role.role.begin(brief)
        except (ProtocolError, BrokerError, ValueError) as error:
            self.tell_job(spec.job, coordination.RoleFailed(f"{self._desk.name}: cannot begin: {error}"))
            return
        if opening.draws:
            self._desk.write(spec.job, JobStarted(job=spec.job, parties=parties))
        self._desk.changes.put("role", spec.job.encode(), opening.row())
        self._roles[spec.job] = replace(role, brief=brief, state=first.state)
        self._advance(spec.job, first)
        self._catch_up(spec.job)

    def _catch_up(self, session: str) -> None:
        """Tell a role that has just begun what has come before; what a power failure has taken ends it here."""
        try:
            for sender, message in self._early.take(session):
                try:
                    if isinstance(message, JobLeft):
                        self._tell_role(session, PeerLeft(sender, message.reason))
                    else:
                        self._tell(session, sender, message)
                except PeerError as error:
                    log.warning("%s: refused a message from %s: %s", self._desk.name, sender, error)
                    self._desk.announce("message-refused", error="PeerError", peer=sender)
        except Refused as error:
            self._give_up(session, f"{self._desk.name}: cannot act on what came before the start: {error}")

    def _coordinator(self, session: str) -> str:
        return getattr(self._jobs[session], "coordinator", self._desk.name)

    def _seated(self, spec: JobSpec, opening: Opening) -> Role:
        return seated(spec, self._desk.name, self._coordinator(spec.job), opening, self.records, self.spec)

    # --- roles --------------------------------------------------------------------------------------------
    def _tell_role(self, session: str, event: Event) -> None:
        role = self._roles.get(session)
        if role is None:
            return  # over here; late words are expected
        try:
            step = role.role.step(role.state, event)
        except PeerError:
            raise
        except ProtocolError as error:
            self._give_up(session, f"{self._desk.name}: {error}")
            return
        except Exception as error:  # our mistake: whoever has found it ends a job by it, not the agent
            log.exception("%s: job %s broke", self._desk.name, session)
            why = f"{type(error).__name__}; this agent's own log says why"
            self._give_up(session, f"{self._desk.name}: the protocol failed with {why}")
            return
        self._advance(session, step)

    def _advance(self, session: str, step: Step[Any]) -> None:
        """Take a role's next state and carry out what it asks for."""
        role = self._roles[session]
        if step.state is not role.state or step.effects:
            role.state = step.state
            self._snapshots.changed(session, "role")
        for effect in step.effects:
            if self._roles.get(session) is not role:
                return  # a message that can't be sent has ended it
            match effect:
                case Finish(result):
                    self._finish(session, result)
                case Abort(reason, missing):
                    self._give_up(session, reason, missing)
                case Keep(record):
                    self.records.keep(session, record)
                case Compute():
                    self._labour.begin(session, role.spec, effect, self._bench(session))
                case Send() | Record() | SetTimer() | CancelTimer():
                    self._run(session, "role", effect)

    def _finish(self, session: str, result: object) -> None:
        self.records.finish(session, result)
        role = self._roles[session]
        self._stop_role(session)
        for body in wire.closing_bodies(self._jobs[session].spec, result):
            self._desk.write(session, body)
        done = wire.role_done(result)
        weights = as_registered(role.spec, done.weights, role.brief.volumes)
        self.tell_job(session, replace(done, weights=weights))

    def _give_up(self, session: str, reason: str, missing: tuple[str, ...] = ()) -> None:
        self._stop_role(session)
        self.tell_job(session, coordination.RoleFailed(reason, missing))

    def _stop_role(self, session: str) -> None:
        """Forget a role, its secrets, its tasks and its timers."""
        self._roles.pop(session, None)
        self._wanted.forget(session)
        self._snapshots.drop(session, "role")
        self._desk.changes.drop("role", session.encode())
        self._timers.drop_all(session, "role")
        self._labour.stop(session)

    def _run(self, session: str, slot: str, errand: Errand) -> None:
        """Do as a machine asks, or end its job by what can't be done."""
        why_not = self._errands.run(session, slot, self._jobs[session].spec, errand)
        if why_not:
            self._give_up(session, f"{self._desk.name}: {why_not}")

    def _bench(self, session: str) -> Callable[[], Workbench]:
        """Return how a role's tasks come to what they may use here; it is made where it is needed."""
        role = self._roles[session]
        ours = (role.aligned, self._wanted.of(session), role.draws)
        spec = self._jobs[session].spec
        return partial(lend, spec, role.spec, role.brief, self._registry, self._datasets, *ours)

    # --- the journal --------------------------------------------------------------------------------------
    def _restore(self) -> None:
        """Take up what the journal holds of jobs and roles.

        A role whose arrays a power failure has taken gives up, with that reason, like any other; so does one whose
        order of rows is gone.
        """
        machines = dict(self._snapshots.load())
        for (session, slot), plain in machines.items():
            if slot == "job":
                self._jobs[session] = wire.restore(plain, wire.JOB_STATES)
        lost: dict[str, Exception] = {}
        for key, value in self._journal.load("role").items():
            session = key.decode()
            try:
                role = self._seated(self._jobs[session].spec, Opening.read(value))
                plain = attach(machines[session, "role"], self._blobs.load)
                role.state = wire.restore(plain, role.role.states)
                self._roles[session] = role
                self._labour.resume(session, role.spec, self._bench(session))
            except (Refused, LocalProtocolError) as error:
                lost[session] = error
        for session, job in self._jobs.items():
            if isinstance(job, coordination.Running) and session not in self._roles and session not in lost:
                self._starts.resume(session, job.parties)
        for session, why in lost.items():
            self._give_up(session, f"{self._desk.name}: cannot go on after the restart: {why}")
