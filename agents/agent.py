"""What does an agent do with what happens to it? A journal around machines.

One step drains what has arrived, lets the machines act on it, and commits everything that follows (what was
consumed, the machines' new states, the sealed outgoing messages, timers, tasks) in one transaction. Only then
is anything acknowledged or sent. A process killed at any instant finds, on restart, either the state before a
step, and the same deliveries again, or the state after it, and the same sealed messages to send.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from hansa.agents import coordination, wire
from hansa.agents.blobs import BlobStore, ChunkFiles
from hansa.agents.clerk import SESSION as LEDGER_SESSION
from hansa.agents.clerk import Chained, Clerk, Declined, Mail, Outcome
from hansa.agents.config import AgentConfig
from hansa.agents.coordination import Over, StartRole, StopRole, TellRole
from hansa.agents.data import Dataset, new_salt
from hansa.agents.errors import JobError
from hansa.agents.intake import Intake, Parcel
from hansa.agents.journal import Changes, Journal, pack_row, unpack_row
from hansa.agents.messages import (
    ChunkCredit,
    JobOffer,
    JobSpec,
    LedgerAppend,
    LedgerEntries,
    LedgerFetch,
    LedgerRefused,
)
from hansa.agents.outbox import Outbox
from hansa.agents.policy import check_spec, objection, read_settings
from hansa.agents.workshop import Workshop, workbench
from hansa.broker import (
    BrokerError,
    Identity,
    Plain,
    attach,
    decode,
    detach,
    encode,
    from_plain,
    refs,
    routing_key,
    sign_event,
)
from hansa.broker.chunks import DETACH_BYTES
from hansa.broker.transport import Transport
from hansa.ledger import (
    Behind,
    Body,
    DatasetRegistered,
    ForkFound,
    LedgerError,
    LedgerStore,
    ModelEvaluated,
    RoundClosed,
    SignedEntry,
    StoreError,
)
from hansa.protocols import (
    Abort,
    Brief,
    CancelTimer,
    Compute,
    Computed,
    Effect,
    Event,
    Finish,
    ModelRegistry,
    PeerError,
    ProtocolError,
    ProtocolSpec,
    Received,
    Record,
    RoleSpec,
    Send,
    SetTimer,
    Step,
    TimerFired,
    protocol,
)

log = logging.getLogger("hansa.agent")

BATCH = 256  # deliveries of one step
HOUSEKEEPING_S = 300.0
IDLE_S = 0.5  # an idle agent looks up this often
EVENT_EXPIRY_MS = 60_000
TRANSFER_SESSION = "transfer"


@dataclass(slots=True)
class _Role:
    """A protocol's role at work."""

    brief: Brief
    spec: ProtocolSpec
    role: RoleSpec[Any]
    state: Any


Place = tuple[str, str, str]  # session, slot (job or role), name


class Agent:
    """One organisation's agent.

    Args:
        identity: its keys.
        config: its agent.toml.
        journal: where it keeps what it must not forget.
        files: where sealed chunks of arrays lie.
        store: its copy of the ledger, founded or joined.
        transport: its connection.
        executor: where tasks run.
        datasets: by name, how to read its rows; called when a task needs them.
        registry: the models that jobs may name.
        clock: UTC seconds since the epoch.
        detach_bytes: arrays of at least this size travel and lie beside the messages.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        config: AgentConfig,
        journal: Journal,
        files: ChunkFiles,
        store: LedgerStore,
        transport: Transport,
        executor: Executor,
        datasets: Mapping[str, Callable[[], Dataset]] | None = None,
        registry: ModelRegistry | None = None,
        clock: Callable[[], float] = time.time,
        detach_bytes: int = DETACH_BYTES,
    ) -> None:
        self.name = identity.name
        self.config = config
        self._identity = identity
        self._journal = journal
        self._transport = transport
        self._datasets = dict(datasets or {})
        self._registry = registry or ModelRegistry()
        self._clock = clock
        self._detach_bytes = detach_bytes
        self._federation = config.federation.id
        self.clerk = Clerk(
            identity,
            self._federation,
            config.federation.keeper,
            store,
            bytes.fromhex(config.federation.charter),
            journal,
        )
        self._blobs = BlobStore(files)
        self.intake = Intake(identity, self._federation, self.clerk.lookup, self._blobs, journal)
        self.outbox = Outbox(
            identity, self._federation, self.clerk.lookup, self._blobs, journal, transport, detach_bytes
        )
        self._workshop = Workshop(executor, transport.wake)
        self._jobs: dict[str, coordination.JobState] = {}
        self._roles: dict[str, _Role] = {}
        self._dirty: set[tuple[str, str]] = set()  # (session, slot) whose state the journal doesn't have yet
        self._tasks: dict[tuple[str, str], Compute] = {}
        self._timers: dict[tuple[str, str, str], float] = {}
        self._commands: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._changes = Changes()
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._appends: list[tuple[str, SignedEntry]] = []
        self._swept_at = clock()
        self._event_sequence = 0
        self._restore()
        self._blobs.adopt_orphans()
        self.outbox.publish(clock())

    @property
    def datasets(self) -> Mapping[str, Callable[[], Dataset]]:
        """The data sets of this agent, by name."""
        return self._datasets

    def close(self) -> None:
        """Give back the journal, the ledger's copy and the connection; what is journalled stays."""
        self._transport.close()
        self._journal.close()
        self.clerk.store.close()

    # --- what a person or program asks of it --------------------------------------------------------------
    def submit(self, spec: JobSpec) -> None:
        """Propose a job; it begins with the next step.

        Raises:
            JobError: the name is taken, or protocol, model or settings can't be.
        """
        check_spec(spec, self._registry)
        if self.name in spec.parties:
            raise JobError(f"job {spec.job!r}: {self.name} coordinates it and can't be one of its parties")
        if spec.job in self.clerk.standing.jobs or spec.job in self._jobs:
            raise JobError(f"job {spec.job!r}: a job of this name exists already")
        unknown = [party for party in spec.parties if party not in self.clerk.standing.members]
        if unknown:
            raise JobError(f"job {spec.job!r}: {unknown[0]!r} is no member of {self._federation}")
        self._command(lambda: self._coordinate(spec.job, coordination.propose(spec)))

    def cancel(self, job: str, reason: str) -> None:
        """Abort a job that this agent coordinates, or leave one that it takes part in."""
        self._command(lambda: self._tell_job(job, coordination.Cancel(reason)))

    def register(self, dataset: Dataset) -> None:
        """Put a data set's size, columns and commitment on the ledger; its rows stay here."""
        self._command(lambda: self._register(dataset))

    def write(self, body: Body, session: str = LEDGER_SESSION) -> None:
        """Put an entry of one's own on the ledger."""
        self._command(lambda: self._write(session, body))

    def knows(self, job: str) -> bool:
        """Whether this agent proposed the job or was offered it."""
        return job in self._jobs

    def outcome(self, job: str) -> Over | None:
        """Return how a job ended for this agent, or None while it runs or if it is unknown here."""
        state = self._jobs.get(job)
        return state if isinstance(state, Over) else None

    def result(self, job: str) -> Any:
        """Return what a protocol's role ended with here (its model, say).

        Raises:
            JobError: nothing, or not yet.
        """
        value = self._journal.load("result").get(job.encode())
        if value is None:
            raise JobError(f"job {job!r} has left no result at {self.name}")
        spec = self._jobs[job].spec
        return wire.restore(attach(decode(value), self._blobs.load), protocol(spec.protocol).results)

    def busy(self) -> bool:
        """Whether anything is under way that needs no message from outside: tasks, unsent or unconfirmed mail."""
        return bool(self._commands or self._tasks or self._appends or not self.outbox.idle)

    def _command(self, action: Callable[[], None]) -> None:
        with self._lock:
            self._commands.append(action)
        self._transport.wake()

    # --- the loop -----------------------------------------------------------------------------------------
    def run(self, stop: threading.Event) -> None:
        """Step until told to stop; sleeps when nothing is due."""
        while not stop.is_set():
            if not self.step():
                self._transport.wait(self._patience())

    def next_due(self) -> float | None:
        """When something becomes due by itself (a timer, a retry), in UTC seconds, or None."""
        times = (min(self._timers.values(), default=None), self.outbox.next_retry())
        return min((at for at in times if at is not None), default=None)

    def _patience(self) -> float:
        due = self.next_due()
        return IDLE_S if due is None else min(max(due - self._clock(), 0.0), IDLE_S)

    def step(self) -> bool:
        """Act on what has happened since the last step; return whether anything had."""
        now = self._clock()
        deliveries = self._transport.deliveries(BATCH)
        acknowledge: list[int] = []
        reject: list[int] = []
        for delivery in deliveries:
            try:
                credit = self.intake.receive(self._changes, now, delivery)
                acknowledge.append(delivery.tag)
                if credit is not None:
                    answer = ChunkCredit(credit.blob_id, credit.received)
                    self.outbox.post(self._changes, now, TRANSFER_SESSION, credit.sender, answer)
            except BrokerError as error:
                log.warning("%s: refused a delivery: %s: %s", self.name, type(error).__name__, error)
                self._announce("message-refused", error=type(error).__name__)
                reject.append(delivery.tag)
        for parcel in self.intake.ready():
            self._consume(parcel)
        self.outbox.outcomes(self._changes, now, self._transport.outcomes())
        for ended in self._workshop.ended():
            self._computed(ended.session, Computed(ended.task_id, ended.result, ended.error))
        self._run_commands()
        if len(deliveries) < BATCH:  # drained: who is overdue may be blamed now
            self._fire_timers(now)
        self._chain()
        for mail in self.clerk.mail(self._changes):
            self._post(LEDGER_SESSION, mail.recipient, mail.message)
        self._housekeep(now)
        return self._commit(now, acknowledge, reject)

    def _commit(self, now: float, acknowledge: list[int], reject: list[int]) -> bool:
        self._snapshot()
        changed = len(self._changes) > 0
        if changed:
            self._blobs.flush()
            self._journal.commit(self._changes)
            self._changes = Changes()
            self.clerk.committed()
        if acknowledge:
            self._transport.acknowledge(acknowledge)
        if reject:
            self._transport.reject(reject)
        self._blobs.sweep()
        sent = self.outbox.publish(now)
        events, self._events = self._events, []
        for kind, fields in events:
            self._publish_event(now, kind, fields)
        return changed or bool(acknowledge or reject or sent)

    def _run_commands(self) -> None:
        while self._commands:
            with self._lock:
                action = self._commands.popleft()
            action()

    def _fire_timers(self, now: float) -> None:
        for place in sorted(place for place, due in self._timers.items() if due <= now):
            if self._timers.get(place, now + 1) > now:
                continue
            self._drop_timer(place)
            session, slot, name = place
            if slot == "job":
                self._tell_job(session, TimerFired(name))
            else:
                self._tell_role(session, TimerFired(name))

    def _housekeep(self, now: float) -> None:
        if now - self._swept_at >= HOUSEKEEPING_S:
            self._swept_at = now
            self.intake.drop_unclaimed(self._changes, now)

    # --- messages -----------------------------------------------------------------------------------------
    def _consume(self, parcel: Parcel) -> None:
        header = parcel.message.header
        try:
            kind = wire.message_class(header.kind, header.schema, header.sender)
            plain = attach(parcel.plain, self._blobs.load)
            self._act_on(header.session, header.sender, from_plain(kind, plain))
        except StoreError:
            raise  # our own disk, not the peer's fault: stop, and find the same messages again on restart
        except (BrokerError, ProtocolError, LedgerError) as error:
            log.warning("%s: refused %s from %s: %s", self.name, header.kind, header.sender, error)
            self._announce("message-refused", error=type(error).__name__, peer=header.sender)
            self.intake.refuse(self._changes, parcel, error)
        else:
            self.intake.done(self._changes, parcel)

    def _act_on(self, session: str, sender: str, message: object) -> None:
        match message:
            case LedgerAppend(rows):
                self._appends.extend((sender, SignedEntry(row.signed, row.signature)) for row in rows)
            case LedgerEntries():
                self._require_keeper(sender)
                self._accept_entries(message)
            case LedgerRefused():
                self._require_keeper(sender)
                self._note(self.clerk.declined(self._changes, message))
            case LedgerFetch(start):
                self.clerk.fetch(sender, start)
            case ChunkCredit(blob_id, received):
                self.outbox.credit(self._changes, sender, blob_id, received)
            case JobOffer(spec):
                self._offered(session, sender, spec)
            case _ if wire.kind_of(message).slot == "job":
                if session not in self._jobs:
                    raise PeerError(f"{sender} spoke of job {session!r}, which is unknown here")
                self._tell_job(session, Received(sender, message))
            case _:
                self._tell_role(session, Received(sender, message))

    def _accept_entries(self, message: LedgerEntries) -> None:
        try:
            self._note(list(self.clerk.accept(self._changes, message)))
        except Behind as error:  # a restored backup: ask for what is missing before it
            self._post(LEDGER_SESSION, self.config.federation.keeper, LedgerFetch(error.expected_index))
        except ForkFound as error:
            log.critical("%s: the keeper has signed two histories: %s", self.name, error)
            self._announce("fork-found", index=error.index, ours=error.ours, theirs=error.theirs)
            raise

    def _require_keeper(self, sender: str) -> None:
        if sender != self.config.federation.keeper:
            raise PeerError(f"{sender} is not the keeper of the ledger")

    def _post(self, session: str, recipient: str, message: object) -> None:
        if recipient == self.name:
            self._act_on(session, self.name, message)
        else:
            self.outbox.post(self._changes, self._clock(), session, recipient, message)

    # --- the ledger ---------------------------------------------------------------------------------------
    def _write(self, session: str, body: Body) -> None:
        self.clerk.write(self._changes, self._clock(), session, body)

    def _chain(self) -> None:
        """As keeper: chain what members sent, and our own entries of earlier, committed steps."""
        if self.config.federation.keeper != self.name:
            if self._appends:
                self._appends.clear()
                log.warning(
                    "%s: entries were sent to us, but %s keeps the ledger",
                    self.name,
                    self.config.federation.keeper,
                )
            return
        own = [(self.name, entry) for entry in self.clerk.due_drafts()]
        batch, self._appends = [*own, *self._appends], []
        if batch:
            senders, entries = zip(*batch, strict=True)
            outcomes = self.clerk.chain(self._changes, self._clock(), tuple(entries), tuple(senders))
            for outcome in outcomes:
                if isinstance(outcome, Mail):
                    self._post(LEDGER_SESSION, outcome.recipient, outcome.message)
                else:
                    self._note([outcome])

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        """Tell a job what became of the entries that were written about it."""
        for outcome in outcomes:
            match outcome:
                case Chained(session, kind):
                    self._announce("entry-chained", entry=kind)
                    if session in self._jobs:
                        self._tell_job(session, coordination.Receipted(kind))
                case Declined(session, kind, reason):
                    log.error("%s: the keeper refused our %s entry: %s", self.name, kind, reason)
                    if session in self._jobs:
                        self._tell_job(session, coordination.EntryRefused(kind, reason))

    def _register(self, dataset: Dataset) -> None:
        salt = new_salt()
        self._changes.put("salt", dataset.name.encode(), salt)
        body = DatasetRegistered(
            dataset=dataset.name,
            rows=dataset.rows,
            columns=dataset.columns,
            target=dataset.target_name,
            commitment=dataset.commitment(salt),
        )
        self._write(LEDGER_SESSION, body)

    # --- jobs ---------------------------------------------------------------------------------------------
    def _offered(self, session: str, sender: str, spec: JobSpec) -> None:
        if session != spec.job:
            raise PeerError(f"{sender} offered job {spec.job!r} in session {session!r}")
        if session in self._jobs:
            raise PeerError(f"{sender} offered job {spec.job!r}, which is known here already")
        why_not = objection(spec, sender, self.config.policy, self._datasets, self._registry)
        self._announce("job-offered", job=spec.job, refused=why_not or "")
        self._coordinate(session, coordination.consider(spec, sender, why_not))

    def _tell_job(self, session: str, event: coordination.JobEvent) -> None:
        state = self._jobs.get(session)
        if state is not None:
            self._coordinate(session, coordination.step(state, event))

    def _coordinate(self, session: str, step: coordination.JobStep) -> None:
        """Take a job's next state and carry out what it asks for."""
        before = self._jobs.get(session)
        self._jobs[session] = step.state
        if step.state != before:
            self._dirty.add((session, "job"))
        spec = step.state.spec
        for effect in step.effects:
            match effect:
                case StartRole(role, parties):
                    self._start_role(spec, role, parties)
                case TellRole(event):
                    self._tell_role(session, event)
                case StopRole():
                    self._stop_role(session)
                case Send() | Record() | SetTimer() | CancelTimer() | Compute() | Finish() | Abort():
                    self._carry_out(session, "job", spec, effect)
        if isinstance(step.state, Over) and not isinstance(before, Over):
            ended = step.state
            self._announce("job-over", job=session, outcome=ended.outcome, reason=ended.reason)

    def _start_role(self, spec: JobSpec, name: str, parties: tuple[str, ...]) -> None:
        """Begin a protocol's role; settings that don't fit end the job here, with the reason."""
        try:
            brief, known = self._brief(spec, name, parties)
            role = known.role(name)
            first = role.begin(brief)
        except (ProtocolError, BrokerError, ValueError) as error:
            self._tell_job(spec.job, coordination.RoleFailed(f"{self.name}: cannot begin: {error}"))
            return
        self._changes.put("role", spec.job.encode(), pack_row(name, list(parties)))
        self._roles[spec.job] = _Role(brief, known, role, first.state)
        self._advance(spec.job, first)

    def _brief(self, spec: JobSpec, name: str, parties: tuple[str, ...]) -> tuple[Brief, ProtocolSpec]:
        known = protocol(spec.protocol)
        state = self._jobs[spec.job]
        coordinator = getattr(state, "coordinator", self.name)
        settings = read_settings(known, spec)
        return Brief(spec.job, self.name, name, coordinator, parties, settings, spec.seed), known

    def _tell_role(self, session: str, event: Event) -> None:
        role = self._roles.get(session)
        if role is None:
            return  # over here; late words are expected
        try:
            step = role.role.step(role.state, event)
        except PeerError:
            raise
        except ProtocolError as error:
            self._give_up(session, f"{self.name}: {error}")
            return
        self._advance(session, step)

    def _advance(self, session: str, step: Step[Any]) -> None:
        """Take a role's next state and carry out what it asks for."""
        role = self._roles[session]
        if step.state is not role.state or step.effects:
            role.state = step.state
            self._dirty.add((session, "role"))
        spec = self._jobs[session].spec
        for effect in step.effects:
            match effect:
                case Finish(result):
                    self._finish(session, result)
                case Abort(reason):
                    self._give_up(session, reason)
                case Send() | Record() | SetTimer() | CancelTimer() | Compute():
                    self._carry_out(session, "role", spec, effect)

    def _finish(self, session: str, result: object) -> None:
        plain = detach(wire.snapshot(result), self._blobs.keep, self._detach_bytes)
        self._changes.put("result", session.encode(), encode(plain))
        self._blobs.use("result", session.encode(), refs(plain))
        self._stop_role(session)
        self._tell_job(session, wire.role_done(result))

    def _give_up(self, session: str, reason: str) -> None:
        self._stop_role(session)
        self._tell_job(session, coordination.RoleFailed(reason))

    def _stop_role(self, session: str) -> None:
        """Forget a role, its secrets, its tasks and its timers."""
        if self._roles.pop(session, None) is None:
            return
        self._drop_snapshot(session, "role")
        self._changes.drop("role", session.encode())
        for place in [place for place in self._timers if place[:2] == (session, "role")]:
            self._drop_timer(place)
        for task in [task for task in self._tasks if task[0] == session]:
            self._drop_task(*task)

    def _carry_out(self, session: str, slot: str, spec: JobSpec, effect: Effect) -> None:
        match effect:
            case Send(recipient, message):
                self._post(session, recipient, message)
            case Record(fact):
                body = wire.body_of(spec, fact)
                self._write(session, body)
                self._announce_fact(session, body)
            case SetTimer(name, after_s):
                self._set_timer((session, slot, name), self._clock() + after_s)
            case CancelTimer(name):
                self._drop_timer((session, slot, name))
            case Compute():
                self._set_task(session, effect)
                self._run_task(session, effect)
            case Finish() | Abort():
                raise ProtocolError(f"{type(effect).__name__} outside a role")

    # --- tasks --------------------------------------------------------------------------------------------
    def _set_task(self, session: str, effect: Compute) -> None:
        key = pack_row(session, effect.task_id)
        row: list[Plain] = [effect.function, effect.seed, wire.snapshot(effect.inputs)]
        detached = detach(row, self._blobs.keep, self._detach_bytes)
        self._tasks[session, effect.task_id] = effect
        self._changes.put("task", key, encode(detached))
        self._blobs.use("task", key, refs(detached))

    def _drop_task(self, session: str, task_id: str) -> None:
        if self._tasks.pop((session, task_id), None) is not None:
            key = pack_row(session, task_id)
            self._changes.drop("task", key)
            self._blobs.use("task", key, ())

    def _run_task(self, session: str, effect: Compute) -> None:
        role = self._roles[session]
        spec = self._jobs[session].spec
        task = role.spec.tasks[effect.function]
        name = role.brief.role
        self._workshop.start(
            session, task, effect, lambda: workbench(spec, self._registry, self._datasets, name)
        )

    def _computed(self, session: str, event: Computed) -> None:
        if (session, event.task_id) not in self._tasks:
            return  # its role has ended, or a later task of the same name took its place
        self._drop_task(session, event.task_id)
        try:
            self._tell_role(session, event)
        except PeerError as error:
            self._give_up(session, f"{self.name}: {error}")

    # --- timers -------------------------------------------------------------------------------------------
    def _set_timer(self, place: Place, due: float) -> None:
        self._timers[place] = due
        self._changes.put("timer", pack_row(*place), pack_row(float(due)))

    def _drop_timer(self, place: Place) -> None:
        if self._timers.pop(place, None) is not None:
            self._changes.drop("timer", pack_row(*place))

    # --- snapshots ----------------------------------------------------------------------------------------
    def _snapshot(self) -> None:
        """Write the states that changed in this step, once each."""
        for session, slot in sorted(self._dirty):
            if slot == "job":
                plain = wire.snapshot(self._jobs[session])
            elif session in self._roles:
                role = self._roles[session]
                plain = detach(wire.snapshot(role.state), self._blobs.keep, self._detach_bytes)
            else:
                continue  # ended within the step
            key = pack_row(session, slot)
            self._changes.put("machine", key, encode(plain))
            self._blobs.use("machine", key, refs(plain))
        self._dirty.clear()

    def _drop_snapshot(self, session: str, slot: str) -> None:
        key = pack_row(session, slot)
        self._changes.drop("machine", key)
        self._blobs.use("machine", key, ())

    def _restore(self) -> None:
        """Take up what the journal holds: jobs, roles, timers, and the tasks that had not ended."""
        machines = {}
        for key, value in self._journal.load("machine").items():
            session, slot = unpack_row(key)
            plain = decode(value)
            self._blobs.use("machine", key, refs(plain))
            machines[session, slot] = plain
        for (session, slot), plain in machines.items():
            if slot == "job":
                self._jobs[session] = wire.restore(attach(plain, self._blobs.load), wire.JOB_STATES)
        for key, value in self._journal.load("role").items():
            session = key.decode()
            name, parties = unpack_row(value)
            brief, known = self._brief(self._jobs[session].spec, name, tuple(parties))
            role = known.role(name)
            state = wire.restore(attach(machines[session, "role"], self._blobs.load), role.states)
            self._roles[session] = _Role(brief, known, role, state)
        for key, value in self._journal.load("timer").items():
            session, slot, name = unpack_row(key)
            [self._timers[session, slot, name]] = unpack_row(value)
        for key, value in self._journal.load("result").items():
            self._blobs.use("result", key, refs(decode(value)))
        for key, value in self._journal.load("task").items():
            session, task_id = unpack_row(key)
            plain = decode(value)
            self._blobs.use("task", key, refs(plain))
            function, seed, inputs = wire.parts(attach(plain, self._blobs.load))
            task = self._roles[session].spec.tasks[function]
            effect = Compute(task_id, function, wire.restore(inputs, [task.inputs]), seed)
            self._tasks[session, task_id] = effect
            self._run_task(session, effect)

    # --- events -------------------------------------------------------------------------------------------
    def _announce(self, kind: str, **fields: Any) -> None:
        """Queue a signed event, metadata only, for after the commit."""
        self._events.append((kind, fields))

    def _announce_fact(self, session: str, body: Body) -> None:
        match body:
            case RoundClosed():
                self._announce("round-closed", job=session, round=body.round, missing=list(body.missing))
            case ModelEvaluated():
                self._announce(
                    "model-evaluated",
                    job=session,
                    round=body.round,
                    loss=body.loss,
                    score=body.score,
                    metric=body.metric,
                )
            case _:
                pass

    def _publish_event(self, now: float, kind: str, fields: dict[str, Any]) -> None:
        sent_at_ms = int(now * 1000)
        frame = sign_event(
            self._identity,
            federation=self._federation,
            session=str(fields.get("job", "")),
            incarnation=self.outbox.incarnation,
            sequence=self._event_sequence,
            kind=kind,
            schema=wire.AGENT_SCHEMA,
            sent_at_ms=sent_at_ms,
            expires_at_ms=sent_at_ms + EVENT_EXPIRY_MS,
            body=encode(fields),
        )
        self._event_sequence += 1
        self._transport.publish(routing_key(self.name, "all", "event"), frame, -1)
