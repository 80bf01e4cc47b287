"""What does an agent do with what happens to it? A journal around machines.

One step drains what has arrived, lets the machines act on it, and commits everything that follows (what was
consumed, the machines' new states, the sealed outgoing messages, timers, tasks) in one transaction. Only then
is anything acknowledged or sent. A process killed at any instant finds, on restart, either the state before a
step, and the same deliveries again, or the state after it, and the same sealed messages to send.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hansa.agents.admission.registrar import Registrar, load_invitations
from hansa.agents.config import AgentConfig
from hansa.agents.core import coordination, wire
from hansa.agents.core.belonging import Belonging
from hansa.agents.core.blobs import BlobStore, ChunkFiles
from hansa.agents.core.books import Books
from hansa.agents.core.clerk import SESSION as LEDGER_SESSION
from hansa.agents.core.clerk import Clerk
from hansa.agents.core.coordination import Over
from hansa.agents.core.deliveries import Mail
from hansa.agents.core.desk import Desk
from hansa.agents.core.doubts import Doubts
from hansa.agents.core.former_life import FormerLife
from hansa.agents.core.herald import Herald
from hansa.agents.core.housekeeping import Housekeeping
from hansa.agents.core.intake import Intake, Parcel
from hansa.agents.core.journal import Changes, Journal
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import (
    ChunkCredit,
    CosignAsked,
    CosignDeclined,
    ForkTold,
    HeadTold,
    JobOffer,
    JobSpec,
    JoinAnswer,
    LedgerAppend,
    LedgerEntries,
    LedgerFetch,
    LedgerHeld,
    LedgerRefused,
    SuccessionAnswered,
    SuccessionAsked,
    SuccessionHeld,
    SuccessionProposed,
)
from hansa.agents.core.outbox import Outbox
from hansa.agents.core.overdue import Overdue
from hansa.agents.core.patience import Patience
from hansa.agents.core.pledge import Pledge
from hansa.agents.core.policy import check_proposal, check_spec
from hansa.agents.core.requests import Answer, Requests
from hansa.agents.core.restored import renew
from hansa.agents.core.rollcall import RollCall
from hansa.agents.core.takeover import Takeover
from hansa.agents.core.tally import Tally, log_event
from hansa.agents.core.withdrawals import Kept, Withdrawals
from hansa.agents.core.witness import Witness
from hansa.agents.core.workshop import Workshop
from hansa.agents.data.commitments import Registered, commit
from hansa.agents.data.rows import Dataset
from hansa.agents.data.salts import MemorySalts, Salts
from hansa.agents.errors import ConfigError, DataError, JobError
from hansa.broker import (
    Equivocation,
    Identity,
    PublicIdentity,
    Refused,
    SuspendedSender,
    UnknownSender,
    from_plain,
)
from hansa.broker.chunks import DETACH_BYTES
from hansa.broker.transport import Delivery, Transport
from hansa.ledger import (
    Body,
    DatasetRegistered,
    LedgerError,
    LedgerStore,
    StoreError,
    sign_entry,
)
from hansa.protocols import Awaited, ModelRegistry, ProtocolError

log = logging.getLogger("hansa.agent")

BATCH = 256  # deliveries of one step
LINGER_S = 0.03  # patient changes wait so long for others
IDLE_S = 0.5  # an idle agent looks up this often
TRANSFER_SESSION = "transfer"
MOST_COLUMN_BYTES = 32 * 1024  # of column names in one ledger entry


class Agent:
    """One organisation's agent.

    Everything belongs to the thread that steps. `ask` brings a request there from any other thread, and its answer
    back; `submit`, `cancel`, `register` and `write` may be called from any thread too, and take effect in the next
    step.

    Args:
        identity: its keys.
        config: its agent.toml.
        journal: where it keeps what it must not forget.
        files: where sealed chunks of arrays lie.
        store: its copy of the ledger, founded or joined.
        transport: its connection.
        executor: where tasks run.
        heavy: where long arithmetic runs, in other processes; with other tasks if there are none.
        scratch: a folder of our own for the rows that those processes work on.
        salts: where what opens our data sets' commitments is kept; in memory, if nowhere.
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
        heavy: Executor | None = None,
        scratch: Path | None = None,
        salts: Salts | None = None,
        datasets: Mapping[str, Callable[[], Dataset]] | None = None,
        registry: ModelRegistry | None = None,
        clock: Callable[[], float] = time.time,
        detach_bytes: int = DETACH_BYTES,
    ) -> None:
        self.name = identity.name
        self.config = config
        self.datasets: dict[str, Callable[[], Dataset]] = dict(datasets or {})
        self.identity = identity
        self._federation = config.federation.id
        self._journal = journal
        restored = renew(journal)
        self._transport = transport
        self._registry = registry or ModelRegistry()
        self._desk = Desk(identity.name, clock, self._post, self._write)
        charter = bytes.fromhex(config.federation.charter)
        self.clerk = Clerk(
            identity,
            self._federation,
            config.federation.keeper,
            store,
            charter,
            journal,
            lambda name: self.outbox.unconfirmed(name),
        )
        self._blobs = BlobStore(files)
        self._belonging = Belonging(identity.name, self.clerk)
        lookup = self.clerk.lookup
        restored_ms = None if restored is None else restored.at_ms
        self.intake = Intake(
            identity,
            self._federation,
            lookup,
            self._blobs,
            journal,
            self.clerk.former,
            restored_ms,
            self.clerk.reader,
            (LEDGER_SESSION, TRANSFER_SESSION),
            self._expects,
        )
        self._doubts = Doubts(lambda: self.clerk.head.size)
        self.outbox = Outbox(
            identity, self._federation, lookup, self._blobs, journal, transport, detach_bytes
        )
        self.outbox.publish(clock())  # before anything is posted: only what is committed may go out
        self.herald = Herald(identity, self._federation, lookup, transport)
        self.rollcall = RollCall(self._desk, self.herald, transport)
        known = self.clerk.keeps or load_invitations(journal)  # who kept it before still answers
        self.registrar = self._open_registrar() if known else None
        self._workshop = Workshop(executor, transport.wake, heavy, scratch)
        self.salts = salts or MemorySalts(identity.home_key())
        self.withdrawals = Withdrawals(self._desk, journal, self.clerk, self.salts, executor, transport.wake)
        self.readers = Kept(self.datasets, self.withdrawals)
        self._machines = Machines(
            self._desk,
            self._blobs,
            journal,
            self._workshop,
            self._registry,
            self.readers,
            config.policy_under(self.clerk.keeper),
            lambda: self.clerk.standing.jobs,
            detach_bytes,
        )
        self.former_life = FormerLife(restored, self._desk, self.clerk, self._machines)
        self.overdue = Overdue(self._desk, self.clerk)
        self.pledge = Pledge(identity, journal, lambda: self.clerk.standing)
        self.witness = Witness(identity, self._desk, self.clerk, self.pledge, self.overdue, journal)
        self.takeover = Takeover(
            identity,
            self._desk,
            self.clerk,
            self.pledge,
            self.witness,
            lambda: self.config.written_policy.keeper_silence_s,
            journal,
        )
        self.books = Books(
            self._desk,
            self.clerk,
            self._belonging,
            self._machines,
            self.former_life,
            self.overdue,
            self.witness,
            self.takeover,
            lambda: self.registrar,
        )
        self._patience = Patience()
        self._requests = Requests(identity.name, transport.wake)
        self.tally = Tally()
        self._step_whole = True
        self._to_acknowledge: list[int] = []
        self._to_reject: list[int] = []
        self._patient_until: float | None = None
        self._housekeeping = Housekeeping(
            self._desk,
            journal,
            self.intake,
            self.outbox,
            self.clerk,
            self._machines,
            self.registrar,
            self.former_life,
        )
        self._blobs.adopt_orphans()
        self.former_life.begin()

    def close(self) -> None:
        """Give back the journal, the ledger's copy and the connection; what is journalled stays."""
        try:
            if self._step_whole:  # half a step must not be committed
                self._commit(self._desk.clock(), linger=False)
        finally:
            self._requests.close()
            with ExitStack() as each:  # the next even if one fails
                each.callback(self._workshop.close)
                each.callback(self.clerk.store.close)
                each.callback(self._journal.close)
                each.callback(self._transport.close)

    # --- what a person or program asks of it --------------------------------------------------------------
    def submit(self, spec: JobSpec, wanted: tuple[str, ...] = ()) -> None:
        """Propose a job; it begins with the next step.

        Args:
            spec: the job.
            wanted: ids of the rows that it is to ask for, if not for all; nobody is told but who is asked.

        Raises:
            JobError: the name is taken, or protocol, model or settings can't be.
        """
        check_spec(spec, self._registry)
        check_proposal(spec, self.name, self.clerk.standing)
        if self.knows(spec.job):
            raise JobError(f"job {spec.job!r}: a job of this name exists already")
        self._requests.add(lambda: self._machines.propose(spec, wanted))

    def cancel(self, job: str, reason: str) -> None:
        """Abort a job that this agent coordinates, or leave one that it takes part in."""
        clean = reason.encode("utf-8", "replace").decode()
        self._requests.add(lambda: self._machines.tell_job(job, coordination.Cancel(clean)))

    def register(self, dataset: Dataset) -> None:
        """Put a data set's size, columns and commitment on the ledger; its rows stay here.

        Reads, hashes and writes on the caller's thread: some seconds for a million rows. Rows that were withdrawn
        from a data set of this name are left out.

        Raises:
            ValueError: a column's name is too long for the ledger.
            DataError: no row is left, or the salts can't be written.
        """
        kept = self.withdrawals.without(dataset)
        if not kept.rows:
            raise DataError(f"{kept.source}: data set {dataset.name!r} has no other rows")
        opening = commit(kept, self.salts.key)
        root = opening.root()
        body = DatasetRegistered(
            dataset=dataset.name,
            rows=kept.rows,
            columns=_columns(kept.columns),
            target=kept.target_name,
            commitment=root,
        )
        self.salts.write(root, opening)
        self._requests.add(lambda: self._write(LEDGER_SESSION, body))

    def write(self, body: Body, session: str = LEDGER_SESSION) -> None:
        """Put an entry of one's own on the ledger.

        Raises:
            ValueError: the body is too large.
        """
        sign_entry(
            self.identity, federation=self._federation, author_seq=0, body=body, time_ms=0
        )  # does it fit?
        self._requests.add(lambda: self._write(session, body))

    def knows(self, job: str) -> bool:
        """Whether this agent proposed the job or was offered it."""
        return self._machines.knows(job)

    def outcome(self, job: str) -> Over | None:
        """Return how a job ended for this agent, or None while it runs or if it is unknown here."""
        return self._machines.outcome(job)

    def result(self, job: str) -> Any:
        """Return what a protocol's role ended with here (its model, say); JobError if there is nothing."""
        return self._machines.records.result(job)

    def spec(self, job: str) -> JobSpec:
        """Return a job as it was offered; JobError if it is unknown here."""
        return self._machines.spec(job)

    def kept(self, job: str) -> Any:
        """Return what the protocol kept here of a job that ended without a result, or None."""
        return self._machines.records.kept(job)

    def awaited(self, job: str) -> tuple[Awaited, float | None]:
        """Return what a job waits for here, and until when (UTC seconds); JobError if it is unknown here."""
        return self._machines.awaited(job)

    def open_jobs(self) -> tuple[str, ...]:
        """Return the jobs that are not over here."""
        return self._machines.open_jobs()

    def busy(self) -> bool:
        """Whether anything is under way here: commands, tasks, entries, mail unsent or unconfirmed."""
        under_way = self._requests or self._desk.changes or self._machines.busy() or self.clerk.waiting()
        return bool(under_way or not self.outbox.idle or self.withdrawals.busy())

    def posted(self) -> bool:
        """Whether all that was asked for has left: nothing to begin, to chain, to send or to be confirmed.

        On the agent's own thread only.
        """
        chaining = self.clerk.keeps and self.clerk.waiting()
        to_do = self._requests or self._desk.changes or chaining or self.clerk.next_due() is not None
        return self.outbox.idle and not to_do

    @property
    def tasks(self) -> int:
        """How many tasks run or wait for a worker."""
        return self._workshop.running

    @property
    def spent_s(self) -> Mapping[str, float]:
        """Seconds in tasks that have ended, by function; on the agent's own thread only."""
        return self._workshop.spent_s

    def registered(self, dataset: str) -> Registered | None:
        """Return a data set of ours as it is registered; None if it is not. On the agent's own thread only."""
        shown = self.clerk.standing.datasets.get((self.name, dataset))
        if shown is None:
            return None
        salt = self._journal.load("salt").get(dataset.encode())
        leaving = self.withdrawals.of(dataset).under(shown.commitment).leaves
        return Registered(shown.commitment, salt, shown.withdrawn | leaving)

    def ask(self, request: Callable[[], Answer]) -> "Future[Answer]":
        """Have the thread that steps carry out a request; the answer comes when its consequences are committed.

        What the request raises comes out of the future, if it is an error that may befall a request; it must
        raise before it changes anything.
        """
        return self._requests.ask(request)

    def reload(self, config: AgentConfig, datasets: Mapping[str, Callable[[], Dataset]]) -> None:
        """Take another policy and other data sets from here on; jobs under way go on as they were agreed.

        Raises:
            ConfigError: it is another agent's configuration, or another federation's.
        """
        if (config.agent.name, config.federation) != (self.name, self.config.federation):
            raise ConfigError(f"the new configuration is of {config.agent.name}, or of another federation")
        self.config = config
        self._machines.policy = config.policy_under(self.clerk.keeper)
        self.datasets.clear()
        self.datasets.update(datasets)

    # --- the loop -----------------------------------------------------------------------------------------
    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Step until told to stop; sleeps when nothing is due.

        Args:
            beat: called after every step, and at least every IDLE_S seconds.
        """
        while not stop.is_set():
            began = time.perf_counter()
            more = self.step()
            self.tally.stepped(time.perf_counter() - began)
            beat()
            if not more:
                due = self.next_due()
                idle_s = IDLE_S if due is None else min(max(due - self._desk.clock(), 0.0), IDLE_S)
                self._transport.wait(idle_s)

    def next_due(self) -> float | None:
        """When something becomes due by itself (a timer, a retry, entries to send), UTC seconds, or None."""
        times = (
            self._patience.next_due(self._machines.next_timer()),
            self.outbox.next_retry(),
            self.clerk.next_due(),
            self._patient_until,
            self._doubts.next_due(),
            self.intake.next_skip(),
            self.former_life.next_due(),
            self.clerk.next_answer(),
            self.overdue.next_due(),
            self.witness.next_due(),
            self.takeover.next_due(),
        )
        return min((at for at in times if at is not None), default=None)

    def step(self) -> bool:
        """Act on what has happened since the last step; return whether anything had.

        Raises:
            JournalError, StoreError: our own disk failed; nothing of the step was acknowledged or sent, and
                the agent must be restarted.
        """
        now = self._desk.clock()
        self._step_whole = False
        self._patience.look(now, self._transport.online)
        deliveries = self._transport.deliveries(BATCH)
        self.tally.received += len(deliveries)
        for delivery in deliveries:
            self._take_in(now, delivery)
        for delivery, until in self._doubts.take(now):
            self._take_in(now, delivery, until)
        for peer in self.intake.renewed():
            log.warning("%s: %s was restored from a backup, and begins anew", self.name, peer)
            self.outbox.forget_life(self._desk.changes, peer)
        for gap in self.intake.skip_gaps(self._desk.changes, now):
            log.warning("%s: is passed over, for nobody will send it any more: %s", self.name, gap)
            self.overdue.missed()
        for parcel in self.intake.ready():
            self._consume(parcel)
        self.former_life.catch_up(now)
        self._machines.consider_offers(self.clerk.standing.jobs, self._reservation())
        self._machines.begin_shown()
        self.outbox.outcomes(self._desk.changes, now, self._transport.outcomes())
        for ended in self._workshop.ended():
            self._machines.ended(ended)
        self._requests.carry_out()
        if len(deliveries) < BATCH and self._patience.ended(now):  # drained: who is overdue may be blamed now
            self._machines.fire_timers(now)
        self.takeover.look(now)
        self._heed_keeper()
        self.books.chain()
        self.overdue.look(now, self.outbox.unconfirmed(self.clerk.keeper))
        for mail in self.clerk.mail(self._desk.changes, now):
            self._send_entries(now, mail)
        self.witness.look(now, self._transport.online)
        if self.registrar is not None:
            self.registrar.settle()
        self.withdrawals.look(now)
        self._housekeeping.look(now)
        self._machines.snapshot()
        changed = self._commit(now)
        sent = self.outbox.publish(now)
        events, self._desk.events = self._desk.events, []
        self.herald.tell(now, self.outbox.incarnation, events)
        self.tally.sent += sent
        for kind, fields in events:
            log_event(self.name, kind, fields)
        self._step_whole = True
        return changed or bool(deliveries) or sent > 0

    def _commit(self, now: float, linger: bool = True) -> bool:
        """Commit the changes and acknowledge what led to them; patient ones wait a little for more.

        A large array is a chunk and then its message, and confirmations come one by one: committing each by
        itself would double the waits for the disk.
        """
        changes = self._desk.changes
        if changes and not changes.urgent and linger:
            self._patient_until = self._patient_until or now + LINGER_S
            if now < self._patient_until:
                return False
        self._patient_until = None
        if changes:
            self._blobs.flush()
            self._journal.commit(changes)
            self._desk.changes = Changes()
            self.clerk.committed()
        acknowledge, self._to_acknowledge = self._to_acknowledge, []
        reject, self._to_reject = self._to_reject, []
        self._transport.acknowledge(acknowledge)
        self._transport.reject(reject)
        self._requests.answer()
        self._blobs.sweep()
        return bool(changes or acknowledge or reject)

    # --- messages -----------------------------------------------------------------------------------------
    def _take_in(self, now: float, delivery: Delivery, until: float | None = None) -> None:
        """Verify and order a delivery; refuse it, or have it wait for the ledger until then.

        Args:
            until: when its wait is over, if it has waited already.
        """
        settled = self._to_acknowledge
        try:
            if delivery.traffic == "event":
                self.herald.hear(now, delivery)
            elif delivery.traffic == "join":
                self._hear_request(delivery)
            else:
                credit = self.intake.receive(self._desk.changes, now, delivery)
                if credit is not None:
                    self._post(TRANSFER_SESSION, credit.sender, ChunkCredit(credit.blob_id, credit.received))
        except Refused as error:
            if self._doubts.keep(error, delivery, now, until):
                return
            peer = delivery.routing_key.split(".")[0]
            self.intake.count(error)
            self._report_refusal(error, peer)
            if peer == self.clerk.keeper:
                self.overdue.missed()
            if isinstance(error, Equivocation):
                digests = error.first_digest + error.second_digest
                self._desk.changes.put("evidence", digests, delivery.body)
                self.witness.forks.equivocation(error, delivery.body)
            settled = self._to_reject
        settled.append(delivery.tag)

    def _expects(self, session: str) -> bool:
        """Whether messages of this session may bring arrays."""
        return self._machines.expects(session)

    def _consume(self, parcel: Parcel) -> None:
        """Act on a message whose turn it is; one that can't be acted on is refused and counted."""
        header = parcel.message.header
        try:
            kind = wire.message_class(header.kind, header.schema, header.sender)
            message: object = from_plain(kind, self.intake.open(parcel))
            self._act_on(header.session, header.sender, message)
            self.witness.heard(header.sender, header.sent_at_ms)
        except StoreError:
            raise  # our own disk, not the peer's fault: stop, and find the same messages again on restart
        except (Refused, ProtocolError, LedgerError) as error:
            self._report_refusal(error, header.sender)
            self.intake.refuse(self._desk.changes, parcel, error)
        else:
            self.intake.done(self._desk.changes, parcel)

    def _report_refusal(self, error: Exception, peer: str) -> None:
        log.warning("%s: refused a message from %s: %s: %s", self.name, peer, type(error).__name__, error)
        self._desk.announce("message-refused", error=type(error).__name__, peer=peer)

    def _act_on(self, session: str, sender: str, message: object) -> None:
        match message:
            case LedgerAppend() | LedgerEntries() | LedgerHeld() | LedgerRefused() | LedgerFetch():
                self.books.received(sender, message)
            case SuccessionAsked() | SuccessionHeld() | SuccessionProposed() | SuccessionAnswered():
                self.takeover.received(sender, message)
            case CosignAsked() | CosignDeclined() | HeadTold() | ForkTold():
                self.witness.received(sender, message)
            case ChunkCredit(blob_id, received):
                self.outbox.credit(self._desk.changes, sender, blob_id, received)
            case JobOffer(spec):
                self._machines.offered(session, sender, spec)
            case _:
                self._machines.received(session, sender, message)

    def _reservation(self) -> str | None:
        unknown = self.clerk.standing.unknown_kinds
        if unknown:
            return f"our version does not know entries of kind {min(unknown)!r}"
        return self._belonging.objection() or self.witness.stops_jobs() or None

    # --- who asks to join ---------------------------------------------------------------------------------
    def _open_registrar(self) -> Registrar:
        return Registrar(
            self.identity,
            self._federation,
            self._desk,
            lambda: self.clerk.standing,
            self.clerk.store,
            self._journal,
            self._answer_request,
        )

    def _hear_request(self, delivery: Delivery) -> None:
        if self.registrar is None:
            log.warning(
                "%s: a request to join came here, but %s keeps the ledger", self.name, self.clerk.keeper
            )
        else:
            self.registrar.receive(delivery)

    def _answer_request(self, reader: PublicIdentity, door: str, answer: JoinAnswer) -> None:
        self.outbox.post_to(self._desk.changes, self._desk.clock(), door, reader, door, answer)

    def _send_entries(self, now: float, mail: Mail) -> None:
        """Send what the clerk wants sent; who leaves or is suspended gets the entry that says so."""
        reader = self.clerk.reader(mail.recipient)
        self.outbox.post_to(self._desk.changes, now, LEDGER_SESSION, reader, mail.recipient, mail.message)

    def _heed_keeper(self) -> None:
        """Where another keeps the ledger from here on: take our side, go by our policy, shut our door."""
        if not self.clerk.take_sides(self._desk.changes):
            return
        keeper, epoch = self.clerk.keeper, self.clerk.standing.epoch
        self._machines.policy = self.config.policy_under(keeper)
        self.books.begin_anew()
        if self.registrar is not None:
            self.registrar.hand_over(keeper)
        elif self.clerk.keeps:
            self.registrar = self._open_registrar()
            self._housekeeping.registrar = self.registrar
        log.warning("%s: %s keeps the ledger from here on, in epoch %d", self.name, keeper, epoch)
        self._desk.announce("keeper-changed", keeper=keeper, epoch=epoch)

    def _post(self, session: str, recipient: str, message: object) -> None:
        """Send a message with this step; one to a member who may not receive it any more is dropped and told."""
        if recipient == self.name:
            self._act_on(session, self.name, message)
            return
        try:
            self.outbox.post(self._desk.changes, self._desk.clock(), session, recipient, message)
        except (UnknownSender, SuspendedSender) as error:
            log.warning("%s: cannot send to %s: %s", self.name, recipient, error)
            self._desk.announce("not-sent", peer=recipient)

    # --- the ledger ---------------------------------------------------------------------------------------
    def _write(self, session: str, body: Body) -> None:
        self.clerk.write(self._desk.changes, self._desk.clock(), session, body)


def _columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns' names as the ledger takes them: a very wide table's by number and digest."""
    if sum(len(name.encode()) + 3 for name in names) <= MOST_COLUMN_BYTES:
        return names
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()
    return (f"{len(names)} columns, sha256 {digest}",)
