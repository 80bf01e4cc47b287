"""What does an agent do with what it must not act on? It refuses it by name, counts it, and does nothing else.

Coordinator, `north` and `east` are real agents in the middle of a round, stepped by hand. `west`, `stranger` and
forged words of the others are played by the test, which holds all keys. After every attack the round must end.
"""

import hashlib
import math
import shutil
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.agents.core import doubts, intake, wire
from hansa.agents.core.agent import LINGER_S, Agent
from hansa.agents.core.blobs import MemoryFiles
from hansa.agents.core.journal import MemoryJournal
from hansa.agents.core.machines import Machines
from hansa.agents.core.messages import (
    ChainedRow,
    ChunkCredit,
    CosignAsked,
    CosignDeclined,
    ForkTold,
    HeadTold,
    JobAbort,
    JobAnswer,
    JobFinish,
    JobLeft,
    JobOffer,
    JobSpec,
    JobStart,
    JoinAnswer,
    LedgerAppend,
    LedgerEntries,
    LedgerFetch,
    LedgerHeld,
    LedgerRefused,
    SignedRow,
    SuccessionAnswered,
    SuccessionAsked,
    SuccessionHeld,
    SuccessionProposed,
    spec_digest,
)
from hansa.agents.home import Home
from hansa.broker import (
    ArrayRef,
    ChunkFrame,
    Delivery,
    Identity,
    MemoryBroker,
    Plain,
    Transport,
    decode,
    encode,
    encode_chunk,
    envelope,
    from_plain,
    open_event,
    routing_key,
    seal_array,
    seal_message,
    sign_event,
    to_plain,
)
from hansa.broker.envelope import CLOCK_SKEW_MS, MAX_FRAME_BYTES
from hansa.broker.inbox import HOLD_MESSAGES
from hansa.broker.topics import Traffic
from hansa.ledger import Job, LedgerStore, MemberSuspended
from hansa.protocols import Evaluation
from hansa.protocols.alignment.messages import (
    Ask,
    Blinded,
    Here,
    Passed,
    Positions,
    Raised,
    Settled,
    Tagged,
)
from hansa.protocols.digest import array_digest
from hansa.protocols.horizontal.fedavg import Evaluated, ModelReady, RoundOpened, Update
from hansa.protocols.inference import messages as serving
from hansa.protocols.vertical import messages as training
from tests.agents.federations import PARTIES, found, rows, specification

NOW_S = 1_900_000_000.0
NOW_MS = int(NOW_S * 1000)
LATER_MS = NOW_MS + 3_600_000
JOB = "under-attack"
ME = "north"
KEEPER = "aggregator"
REAL = (KEEPER, ME, "east")
# Journal spaces that say what has come and since when a session is over, not what follows from it.
CONSUMPTION = ("seen", "held", "chunk", "evidence", "ended")
SOON_S = 1.0  # what is due by then happens before things have settled
DETACH_BYTES = 64  # so low that models travel in chunks


# --- the stage ------------------------------------------------------------------------------------------
class Patient(Executor):
    """Begins nothing until it is told to."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        self._waiting.append(run)
        return future

    def go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            task()


class OpenJournal(MemoryJournal):
    """A journal that shows all its rows."""

    def rows(self) -> dict[str, dict[bytes, bytes]]:
        return {space: dict(rows) for space, rows in self._spaces.items() if rows}


@pytest.fixture(autouse=True, scope="module")
def short_doubts() -> Iterator[None]:
    """Nothing comes here that explains a stranger: don't wait for it, or rounds run into their deadlines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doubts, "WAIT_S", LINGER_S / 2)
        yield


def expects(machines: Machines, session: str) -> bool:
    return session != "unheard-of"


@pytest.fixture(autouse=True, scope="module")
def session_probe() -> Iterator[None]:
    """What the stage says is of session "probe", which is no job's: let its arrays be taken in all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machines, "expects", expects)
        yield


@dataclass(slots=True)
class Stage:
    """A federation in the middle of a round, and the keys of all who take part in it."""

    pristine: Path
    folder: Path
    broker: MemoryBroker
    identities: dict[str, Identity]
    agents: dict[str, Agent] = field(default_factory=dict)
    connections: dict[str, Transport] = field(default_factory=dict)
    executors: dict[str, Patient] = field(default_factory=dict)
    journals: dict[str, OpenJournal] = field(default_factory=dict)
    disks: dict[str, MemoryFiles] = field(default_factory=dict)
    now_s: float = NOW_S

    @property
    def north(self) -> Agent:
        return self.agents[ME]

    @property
    def journal(self) -> OpenJournal:
        return self.journals[ME]

    @property
    def files(self) -> MemoryFiles:
        return self.disks[ME]

    def settle(self) -> None:
        """Step the agents until nothing happens any more."""
        for _ in range(500):
            self.executors[KEEPER].go()
            if any([agent.step() for agent in self.agents.values()]):
                continue
            due = min(agent.next_due() or math.inf for agent in self.agents.values())
            if due > self.now_s + SOON_S:
                return
            self.now_s = max(due, self.now_s)
        raise AssertionError("no end of steps")

    def step(self, name: str = ME) -> None:
        """Let an agent act, and commit what it would wait a little with."""
        self.agents[name].step()
        self.now_s += LINGER_S
        self.agents[name].step()

    def deliver(self, frame: bytes, sender: str = "west", traffic: Traffic = "control", to: str = ME) -> None:
        """Put a frame into an agent's queue over `sender`'s connection, and let the agent act on it."""
        self.connect(sender).publish(routing_key(sender, to, traffic), frame, -1)
        self.step(to)

    def connect(self, name: str) -> Transport:
        """Return the connection of an agent, real or played."""
        if name not in self.connections:
            self.connections[name] = self.broker.connect(name)
        return self.connections[name]

    def start(self, name: str) -> None:
        """Start a real agent, or start it again with what it has journalled."""
        self.connections[name] = self.broker.connect(name)
        self.executors[name] = Patient()
        dataset = rows(name)
        self.agents[name] = Agent(
            identity=self.identities[name],
            config=Home(self.pristine / name).config(),
            journal=self.journals.setdefault(name, OpenJournal()),
            files=self.disks.setdefault(name, MemoryFiles()),
            store=LedgerStore.open(f"sqlite:///{self.folder / name}.sqlite"),
            transport=self.connections[name],
            executor=self.executors[name],
            datasets={} if name == KEEPER else {"rows": lambda: dataset},
            clock=lambda: self.now_s,
            detach_bytes=DETACH_BYTES,
        )

    def restart(self, name: str) -> None:
        self.agents[name].close()
        self.start(name)

    def seal(self, content: object, sender: str = "west", **changes: Any) -> bytes:
        """Return the frame that `sender` says next; `content` is a message, or the bytes of a body."""
        raw = isinstance(content, bytes)
        kind = wire.KINDS[RoundOpened] if raw else wire.kind_of(content)
        session, to = changes.pop("session", "probe"), changes.pop("recipient", ME)
        fields: dict[str, Any] = {
            "federation": "local",
            "session": session,
            "incarnation": 0,
            "sequence": self.seen(sender, session, to),
            "kind": kind.name,
            "schema": kind.schema,
            "sent_at_ms": NOW_MS,
            "expires_at_ms": LATER_MS,
            "body": content if raw else encode(to_plain(content)),
        }
        identity = changes.pop("identity", self.identities[sender])
        return seal_message(identity, self.identities[to].public, **(fields | changes))

    def say(self, content: object, sender: str = "west", **changes: Any) -> None:
        """Deliver a message whose envelope is as it should be."""
        frame = self.seal(content, sender, **changes)
        self.deliver(frame, sender, to=changes.get("recipient", ME))

    def seen(self, sender: str, session: str = "probe", by: str = ME) -> int:
        """Return how many messages of this stream an agent has consumed."""
        rows = self.journals[by].rows().get("seen", {}) if by in self.journals else {}
        seen = [each for each in map(decode, rows.values()) if isinstance(each, dict)]
        return [(each["sender"], each["session"]) for each in seen].count((sender, session))

    def chunk(self, body: bytes, sender: str = "west", over: str = "", **changes: Any) -> None:
        """Deliver a chunk in the name of `sender`, over the connection of `over`."""
        fields: dict[str, Any] = {
            "federation": "local",
            "sender": sender,
            "recipient": ME,
            "blob_id": bytes(16),
            "index": 0,
            "count": 1,
            "body": body,
        }
        self.deliver(encode_chunk(ChunkFrame(**(fields | changes))), over or sender, "data")

    def dead(self) -> tuple[Delivery, ...]:
        return self.broker.dead_letters(ME)

    def consequences(self) -> tuple[object, ...]:
        """Return everything that a message may lead to at north, but for the note that it came."""
        north = self.north
        standing = north.clerk.standing
        return (
            {space: rows for space, rows in self.journal.rows().items() if space not in CONSUMPTION},
            sorted(self.files.ids()),
            north.clerk.head,
            (dict(standing.members), dict(standing.jobs), dict(standing.datasets)),
            (north.outbox.idle, north.busy(), north.outcome(JOB), north.next_due()),
            [name for name in self.agents if self.broker.backlog(name)],
        )

    def finish(self) -> None:
        """Let the round that was under way, and the job, come to an end."""
        for _ in range(10):
            for executor in self.executors.values():
                executor.go()
            self.settle()
        ends = [agent.outcome(JOB) for agent in self.agents.values()]
        assert [over.outcome if over else "running" for over in ends] == ["finished"] * len(REAL), ends
        assert len({agent.clerk.head for agent in self.agents.values()}) == 1


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals") / "federation"
    with found(folder, journalled=False) as local:
        local.settle()
    return folder


def build(pristine: Path, folder: Path) -> Stage:
    """Start the real agents and take them into the first round of a job."""
    identities = {name: Home(pristine / name).identity() for name in (KEEPER, *PARTIES)}
    identities["stranger"] = Identity.generate("stranger")
    stage = Stage(pristine, folder, MemoryBroker("local"), identities)
    for name in (KEEPER, *PARTIES):
        stage.broker.declare(name)
    for name in REAL:
        shutil.copy(pristine / name / "ledger.sqlite", folder / f"{name}.sqlite")
        stage.start(name)
    spec = specification(JOB, parties=("east", ME), minimum_parties=2, settings={"rounds": 1, "quorum": 2})
    stage.agents[KEEPER].submit(spec)
    stage.settle()
    assert stage.north.busy(), "north should be training"
    return stage


@pytest.fixture
def stage(pristine: Path, tmp_path: Path) -> Iterator[Stage]:
    stage = build(pristine, tmp_path)
    yield stage
    for agent in stage.agents.values():
        agent.close()


def unharmed(stage: Stage) -> None:
    """The stream goes on with its next message, and the job ends as if nothing had happened."""
    counted = stage.north.intake.refused.copy()
    seen = stage.seen("west")
    stage.say(ChunkCredit(bytes(16), 1), "west")
    assert stage.seen("west") == seen + 1
    assert not stage.journal.rows().get("held")
    stage.finish()
    assert stage.north.intake.refused == counted


Attack = Callable[[Stage], None]


# --- turned away: dead letters ----------------------------------------------------------------------------
def flipped(frame: bytes, place: int) -> bytes:
    changed = bytearray(frame)
    changed[place] ^= 1
    return bytes(changed)


def bad_signature(stage: Stage) -> None:
    frame = stage.seal(ChunkCredit(bytes(16), 1))
    signature = frame.index(b"\xc4\x40") + 2  # 64 bytes follow
    stage.deliver(flipped(frame, signature))


def anothers_name(stage: Stage) -> None:
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1), identity=Identity.generate("west")))


def other_payload(stage: Stage) -> None:
    stage.deliver(flipped(stage.seal(ChunkCredit(bytes(16), 1)), -1))


def anothers_seal(stage: Stage) -> None:
    """Put the payload that east sealed under a header that west signs."""
    stolen = stage.seal(ChunkCredit(bytes(16), 1), "east")[-200:]  # too short, and sealed for another header
    header = envelope.Header(
        "local", "probe", "west", 0, 0, ME, "transfer.credit", 1, NOW_MS, LATER_MS, len(stolen),
        hashlib.sha256(stolen).digest(),
    )  # fmt: skip
    packed = envelope._pack_header(envelope.ENVELOPE, header)
    stage.deliver(envelope._sign(envelope.ENVELOPE, stage.identities["west"], packed, stolen))


def suspended(stage: Stage) -> None:
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1)))


def event_in_the_queue(stage: Stage) -> None:
    frame = sign_event(
        stage.identities["west"],
        federation="local",
        session="",
        incarnation=0,
        sequence=0,
        kind="hello",
        schema=1,
        sent_at_ms=NOW_MS,
        expires_at_ms=LATER_MS,
        body=encode({}),
    )
    stage.deliver(frame)


def sealed(**changes: Any) -> Attack:
    """Deliver a message that would be good but for these fields."""
    return lambda stage: stage.deliver(stage.seal(ChunkCredit(bytes(16), 1), **changes))


def raw(frame: bytes) -> Attack:
    return lambda stage: stage.deliver(frame)


def truncated(stage: Stage) -> None:
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1))[:-5])


def oversized(stage: Stage) -> None:
    frame = stage.seal(ChunkCredit(bytes(16), 1))
    stage.deliver(frame + bytes(MAX_FRAME_BYTES + 1 - len(frame)))


def oversized_chunk(stage: Stage) -> None:
    frame = encode_chunk(ChunkFrame("local", "west", ME, bytes(16), 0, 1, bytes(100)))
    stage.deliver(frame + bytes(5 * 2**20), traffic="data")


def a_chunk(body: bytes = bytes(100), sender: str = "west", over: str = "", **changes: Any) -> Attack:
    return lambda stage: stage.chunk(body, sender, over, **changes)


TURNED_AWAY: dict[str, tuple[str, Attack]] = {
    "bad signature": ("BadSignature", bad_signature),
    "a member's name with another's keys": ("BadSignature", anothers_name),
    "unknown sender": ("UnknownSender", lambda stage: stage.deliver(stage.seal(b"", "stranger"), "stranger")),
    "another federation": ("WrongFederation", sealed(federation="elsewhere")),
    "another recipient": ("WrongRecipient", sealed(recipient="east")),
    "expired": ("Expired", sealed(sent_at_ms=NOW_MS - 60_000, expires_at_ms=NOW_MS)),
    "clock far ahead": (
        "ClockSkew",
        sealed(sent_at_ms=LATER_MS + CLOCK_SKEW_MS, expires_at_ms=LATER_MS + 2 * CLOCK_SKEW_MS),
    ),
    "far ahead in its stream": ("TooFarAhead", sealed(session="far", sequence=HOLD_MESSAGES + 1)),
    "another payload than signed": ("WrongPayload", other_payload),
    "another's ciphertext": ("Unopenable", anothers_seal),
    "oversized": ("OversizedMessage", oversized),
    "truncated": ("MalformedMessage", truncated),
    "empty": ("MalformedMessage", raw(b"")),
    "garbage": ("MalformedMessage", raw(bytes(range(256)))),
    "a frame that promises four billion parts": ("MalformedMessage", raw(b"\xdd\xff\xff\xff\xff")),
    "a later version": ("UnknownVersion", raw(b"\x94\xb0hansa-envelope-9" + bytes(50))),
    "an event": ("MalformedMessage", event_in_the_queue),
    "oversized chunk": ("OversizedMessage", oversized_chunk),
    "chunk in another's name": ("MalformedMessage", a_chunk(sender="east", over="west")),
    "chunk of another federation": ("MalformedMessage", a_chunk(federation="elsewhere")),
    "chunk for another": ("MalformedMessage", a_chunk(recipient="east")),
    "chunk of a stranger": ("UnknownSender", a_chunk(sender="stranger")),
}


SIGNED = ("Expired", "ClockSkew", "Unopenable")  # its sender stands by it: its place in the stream is taken


@pytest.mark.parametrize(("error", "attack"), TURNED_AWAY.values(), ids=TURNED_AWAY.keys())
def test_a_delivery_that_cannot_be_believed_is_counted_and_set_aside(
    stage: Stage, error: str, attack: Attack
) -> None:
    before, journal = stage.consequences(), stage.journal.rows()
    attack(stage)
    assert stage.north.intake.refused == {error: 1}
    assert stage.north.intake.last_refusal.startswith(f"{error}: ")
    assert len(stage.dead()) == 1
    assert stage.consequences() == before
    after = stage.journal.rows()
    if error in SIGNED:
        assert len(after.pop("seen")) == len(journal.pop("seen")) + 1
    assert after == journal
    unharmed(stage)


def test_a_suspended_member_is_not_heard_and_the_others_are_still_told(stage: Stage) -> None:
    stage.agents[KEEPER].write(MemberSuspended("west", "its keys were seen on a beach"))
    stage.settle()
    before = stage.consequences()
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1)))
    stage.chunk(bytes(100))
    assert stage.north.intake.refused == {"SuspendedSender": 2}
    assert len(stage.dead()) == 2
    assert stage.consequences() == before
    stage.finish()


def test_what_was_refused_is_told_by_the_name_of_the_error_and_no_more(stage: Stage) -> None:
    listener = stage.broker.connect("dashboard")
    listener.subscribe("north.all.event")
    bad_signature(stage)
    [event] = [delivery.body for delivery in listener.deliveries(10)]
    lookup = stage.north.clerk.lookup
    message = open_event(event, federation="local", lookup=lookup, now_ms=NOW_MS)
    assert message.header.kind == "message-refused"
    assert decode(message.body) == {"error": "BadSignature", "peer": "west"}


def test_a_replayed_frame_is_acknowledged_and_has_no_effect(stage: Stage) -> None:
    frame = stage.seal(ChunkCredit(bytes(16), 1))
    stage.deliver(frame)
    before, journal = stage.consequences(), stage.journal.rows()
    stage.deliver(frame)
    stage.deliver(frame, "east")  # whoever carries it
    assert not stage.north.intake.refused
    assert not stage.dead()
    assert stage.consequences() == before
    assert stage.journal.rows() == journal
    unharmed(stage)


def test_two_messages_under_one_number_are_kept_as_evidence(stage: Stage) -> None:
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1)))
    before = stage.consequences()
    second = stage.seal(ChunkCredit(bytes(16), 2), sequence=0)
    stage.deliver(second)
    assert stage.north.intake.refused == {"Equivocation": 1}
    assert list(stage.journal.rows()["evidence"].values()) == [second]
    assert [letter.body for letter in stage.dead()] == [second]
    assert stage.consequences() == before
    unharmed(stage)


def test_an_earlier_life_of_a_peer_is_not_heard_again(stage: Stage) -> None:
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1), incarnation=2))
    before = stage.consequences()
    stage.deliver(stage.seal(ChunkCredit(bytes(16), 1), incarnation=1, sequence=0))
    assert stage.north.intake.refused == {"StaleIncarnation": 1}
    assert len(stage.dead()) == 1
    assert stage.consequences() == before
    stage.finish()


# --- refused when its turn comes: the stream goes on ------------------------------------------------------
def body_of(message: object, **changes: Any) -> dict[str, Any]:
    """Return a message's plain body with some fields replaced."""
    plain = to_plain(message)
    assert isinstance(plain, dict)
    return {**plain, **changes}


def packed(value: object) -> bytes:
    """Return the bytes that msgpack makes of a value, whether or not our own codec would."""
    data: bytes = msgpack.packb(value)
    return data


def array_bytes(array: np.ndarray[Any, Any], code: int, shape: tuple[int, ...] | None = None) -> bytes:
    """Return an array as it travels, with a header that may lie."""
    shape = array.shape if shape is None else shape
    return struct.pack(f"<BB6x{len(shape)}Q", code, len(shape), *shape) + array.tobytes()


def opened(*parameters: object) -> dict[str, Any]:
    return {"round": 1, "digest": bytes(32), "parameters": list(parameters)}


FLOAT32, FLOAT64 = 9, 10
NAN = np.array([1.0, np.nan, 3.0])


def carrying(data: bytes) -> bytes:
    """Return the body of a message that carries these bytes as an array."""
    return packed(opened(msgpack.ExtType(1, data)))


def body(content: object, **changes: Any) -> Attack:
    """Say a body in a good envelope: a message, plain values, or bytes."""
    data = encode(content) if isinstance(content, dict | list) else content
    return lambda stage: stage.say(data, **changes)


def row(stage: Stage) -> ChainedRow:
    entry = next(stage.north.clerk.store.read(1, 2))
    return ChainedRow(entry.index, entry.previous, entry.signed, entry.signature, entry.hash, entry.receipt)


def entries(sender: str, **changes: Any) -> Attack:
    """Say that the ledger has gained an entry."""
    return lambda stage: stage.say(LedgerEntries((replace(row(stage), **changes),)), sender)


def lie_about_the_next_entry(stage: Stage) -> None:
    head = stage.north.clerk.head
    stage.say(LedgerEntries((replace(row(stage), index=head.size, previous=head.hash),)), KEEPER)


def offer(job: str = "other", **changes: Any) -> JobOffer:
    return JobOffer(specification(job, **changes))


CREDIT = "transfer.credit"
OFFER = "job.offer"

REFUSED_IN_TURN: dict[str, tuple[str, Attack]] = {
    "unknown kind": ("UnknownKind", body({}, kind="teleport")),
    "another schema": ("UnknownKind", body(ChunkCredit(bytes(16), 1), schema=7)),
    "empty body": ("MalformedMessage", body(b"")),
    "garbage": ("MalformedMessage", body(b"\xc1")),
    "truncated": ("MalformedMessage", body(encode(opened())[:-1])),
    "bytes behind the body": ("MalformedMessage", body(encode(opened()) + b"\xc0")),
    "not the shortest encoding": ("MalformedMessage", body(b"\xd9\x01a")),
    "no map": ("MalformedMessage", body([1, 2, 3])),
    "a field of another type": ("MalformedMessage", body({"blob_id": "text", "received": 1}, kind=CREDIT)),
    "a whole number where truth is expected": ("MalformedMessage", body({"accepted": 1}, kind="job.answer")),
    "a missing field": ("MalformedMessage", body({"received": 1}, kind=CREDIT)),
    "a field too many": (
        "MalformedMessage",
        body({"blob_id": bytes(16), "received": 1, "more": 1}, kind=CREDIT),
    ),
    "a field too many, deep inside": (
        "MalformedMessage",
        body({"spec": body_of(specification(), trust=True)}, kind=OFFER),
    ),
    "NaN": ("MalformedMessage", body(packed({"spec": body_of(specification(), consent_s=float("nan"))}))),
    "infinity": ("MalformedMessage", body(packed({"spec": body_of(specification(), consent_s=1e999)}))),
    "NaN in an array": ("MalformedMessage", body(carrying(array_bytes(NAN, FLOAT64)))),
    "infinity in an array": ("MalformedMessage", body(carrying(array_bytes(np.array([np.inf]), FLOAT64)))),
    "an array of objects": ("MalformedMessage", body(carrying(array_bytes(NAN, 200)))),
    "an array that promises a terabyte": (
        "MalformedMessage",
        body(carrying(array_bytes(NAN, FLOAT64, (2**37,)))),
    ),
    "an array whose size overflows": (
        "MalformedMessage",
        body(carrying(array_bytes(NAN, FLOAT64, (2**32, 2**32, 2)))),
    ),
    "an array of another shape": ("MalformedMessage", body(carrying(array_bytes(NAN, FLOAT32, (2, 2))))),
    "an unknown extension": ("MalformedMessage", body(packed(opened(msgpack.ExtType(42, b""))))),
    "a pickle": ("MalformedMessage", body(b"\x80\x04cos\nsystem\n(S'true'\ntR.")),
    "nested deep": ("MalformedMessage", body(b"\x91" * 40 + b"\xc0")),
    "a refusal from a member": ("PeerError", body(LedgerRefused(0, "no"))),
    "entries for the keeper": ("PeerError", body(LedgerAppend((SignedRow(b"", b""),)))),
    "entries that do not follow": ("BadEntry", lie_about_the_next_entry),
    "an altered entry under our own index": (
        "BadEntry",
        entries(KEEPER, signature=bytes(64), hash=bytes(32)),
    ),
    "a start from a fellow party": (
        "PeerError",
        body(JobStart(("east", "north")), sender="east", session=JOB),
    ),
    "an abort from a fellow party": ("PeerError", body(JobAbort("no more"), sender="east", session=JOB)),
    "a finish from an outsider": ("PeerError", body(JobFinish(bytes(32)), session=JOB)),
    "a round from a fellow party": (
        "PeerError",
        body(RoundOpened(1, bytes(32), ()), sender="east", session=JOB),
    ),
    "a word of a job that is unknown": ("PeerError", body(JobStart(("north",)), session="nothing")),
    "an offer in another session": ("PeerError", body(offer())),
    "an offer of a job that runs": ("PeerError", body(offer(JOB), session=JOB)),
}


@pytest.mark.parametrize(("error", "attack"), REFUSED_IN_TURN.values(), ids=REFUSED_IN_TURN.keys())
def test_a_body_that_cannot_be_acted_on_is_counted_and_its_stream_goes_on(
    stage: Stage, error: str, attack: Attack
) -> None:
    before, seen = stage.consequences(), len(stage.journal.rows()["seen"])
    attack(stage)
    assert stage.north.intake.refused == {error: 1}
    assert not stage.dead()
    assert stage.consequences() == before
    assert len(stage.journal.rows()["seen"]) == seen + 1
    assert not stage.journal.rows().get("held")
    unharmed(stage)


def test_a_kind_of_another_schema_is_refused_with_both_versions_named(stage: Stage) -> None:
    stage.say(ChunkCredit(bytes(16), 1), schema=7)
    text = stage.north.intake.last_refusal
    assert text == "UnknownKind: west sent 'transfer.credit' in schema 7; this version speaks schema 1"


def test_a_credit_for_an_array_that_is_not_under_way_has_no_effect(stage: Stage) -> None:
    before = stage.consequences()
    for received in (0, -1, 2**70, 5):  # a last credit may come after the transfer has ended
        stage.say(ChunkCredit(b"never sent this.", received))
    assert not stage.north.intake.refused
    assert stage.consequences() == before
    unharmed(stage)


BOMBS = {
    "nested deep": b"\x91" * 1_000_000 + b"\xc0",
    "lists of one": b"\xdc\xff\xff" + b"\x91\xc0" * 0xFFFF,
    "lists of lists of one": b"\x9f" + (b"\xdc\x80\x00" + b"\x91\x91\xc0" * 0x8000) * 10,
    "maps of one": b"\xdc\xff\xff" + b"\x81\xa1a\xc0" * 0xFFFF,
    "four billion items": b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1_000_000,
    "four billion bytes": b"\xc6\xff\xff\xff\xff" + bytes(1_000_000),
    "empty strings": b"\xdd\x00\x0f\x00\x00" + b"\xa0" * 0xF0000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_of_a_body_takes_bounded_memory(stage: Stage, bomb: bytes) -> None:
    before = stage.consequences()
    frame = stage.seal(bomb)
    tracemalloc.start()
    try:
        stage.deliver(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * MAX_FRAME_BYTES
    assert stage.north.intake.refused == {"MalformedMessage": 1}
    assert stage.consequences() == before
    unharmed(stage)


# --- arrays that travel beside their message --------------------------------------------------------------
def sealed_array(array: np.ndarray[Any, Any], **changes: Any) -> tuple[ArrayRef, list[bytes]]:
    """Return an array's chunks, and a reference that may lie about them."""
    ref, chunks = seal_array(array, array_digest(array))
    return replace(ref, **changes), list(chunks)


def speak_of(*references: ArrayRef) -> RoundOpened:
    return RoundOpened(1, bytes(32), references)  # type: ignore[arg-type]  # what `detach` makes of arrays


GOOD = np.arange(6.0)


def beside(
    array: np.ndarray[Any, Any] = GOOD, spoil: Callable[[bytes], bytes] = bytes, **lies: Any
) -> Attack:
    """Send an array's chunk, and then a message that speaks of it."""

    def attack(stage: Stage) -> None:
        ref, [chunk] = sealed_array(array, **lies)
        stage.chunk(spoil(chunk), blob_id=ref.blob_id)
        stage.say(encode(opened(ref)))

    return attack


def second_chunk_only(stage: Stage) -> None:
    ref, [chunk] = sealed_array(GOOD)
    stage.chunk(chunk, blob_id=ref.blob_id, index=1, count=2)
    stage.say(encode(opened(ref)))


def forged_reference(stage: Stage) -> None:
    ref = struct.pack("<16s32s32sBB6xQ", bytes(16), bytes(32), bytes(32), FLOAT64, 1, 2**40)
    stage.say(packed(opened(msgpack.ExtType(3, ref))))


BAD_ARRAYS: dict[str, tuple[str, Attack]] = {
    "NaN": ("MalformedMessage", beside(NAN.view(np.uint64), dtype="float64")),
    "a truth value of 7": ("MalformedMessage", beside(np.array([7], np.uint8), dtype="bool")),
    "an altered chunk": ("CorruptBlob", beside(spoil=partial(flipped, place=3))),
    "an altered tag": ("CorruptBlob", beside(spoil=partial(flipped, place=-1))),
    "a short chunk": ("CorruptBlob", beside(spoil=lambda chunk: chunk[:-1])),
    "another key": ("CorruptBlob", beside(key=bytes(32))),
    "another digest": ("CorruptBlob", beside(digest=bytes(32))),
    "another shape": ("CorruptBlob", beside(shape=(7,))),
    "another chunk than asked for": ("CorruptBlob", second_chunk_only),
    "more bytes than any array has": ("MalformedMessage", forged_reference),
}


@pytest.mark.parametrize(("error", "attack"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_an_array_that_is_not_what_was_signed_is_counted_and_its_chunks_go(
    stage: Stage, error: str, attack: Attack
) -> None:
    before = stage.consequences()
    attack(stage)
    assert stage.north.intake.refused == {error: 1}
    assert not stage.dead()
    assert stage.consequences() == before
    assert not stage.journal.rows().get("chunk")
    unharmed(stage)


def test_a_message_waits_for_its_array_and_holds_up_nobody_else(stage: Stage) -> None:
    before = stage.consequences()
    ref, [chunk] = sealed_array(GOOD)
    stage.say(encode(opened(ref)))
    stage.say(ChunkCredit(bytes(16), 1))  # behind it in the same stream
    assert len(stage.journal.rows()["held"]) == 2
    stage.say(ChunkCredit(bytes(16), 1), session="other")
    assert len(stage.journal.rows()["held"]) == 2
    stage.chunk(chunk, blob_id=ref.blob_id)
    assert stage.north.intake.refused == {"PeerError": 1}  # session "probe" is no job's
    assert not stage.journal.rows().get("held")
    assert stage.consequences() == before
    unharmed(stage)


def test_arrays_of_a_session_that_is_unknown_here_are_not_waited_for(stage: Stage) -> None:
    ref, _ = sealed_array(GOOD)
    stage.say(encode(opened(ref)), session="unheard-of")
    assert stage.north.intake.refused == {"MalformedMessage": 1}
    assert "'unheard-of', unknown here" in stage.north.intake.last_refusal
    assert not stage.journal.rows().get("held")
    unharmed(stage)


def test_a_sender_that_fills_our_disk_with_what_it_announced_is_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.finish()
    ref, [chunk] = sealed_array(GOOD)
    other, [another] = sealed_array(GOOD)
    stage.say(encode(opened(ref, other)))
    room = 2 * intake.CHUNK_COST + len(chunk)
    monkeypatch.setattr(intake, "SENDER_BYTES", room)
    stage.chunk(chunk, blob_id=ref.blob_id)
    stage.chunk(another, blob_id=other.blob_id)
    assert stage.north.intake.refused == {"TooFarAhead": 1}
    assert "of arrays on our disk" in stage.north.intake.last_refusal
    monkeypatch.setattr(intake, "SENDER_BYTES", 2 * room)
    stage.chunk(another, blob_id=other.blob_id)
    assert not +stage.north.intake._disk
    assert not stage.journal.rows().get("chunk")


def test_a_message_that_speaks_of_more_than_we_take_is_refused_in_its_turn(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = sealed_array(GOOD)
    monkeypatch.setattr(intake, "SENDER_BYTES", 10)
    stage.say(encode(opened(ref)))
    assert stage.north.intake.refused == {"MalformedMessage": 1}
    assert "bytes of arrays" in stage.north.intake.last_refusal
    assert not stage.journal.rows().get("held")


def test_two_messages_may_speak_of_one_array(stage: Stage) -> None:
    before = stage.consequences()
    ref, [chunk] = sealed_array(GOOD)
    stage.say(encode(opened(ref, ref)))
    stage.say(encode(opened(ref)))
    stage.chunk(chunk, blob_id=ref.blob_id)
    assert stage.north.intake.refused == {"PeerError": 2}
    assert stage.consequences() == before
    assert not stage.journal.rows().get("chunk")
    unharmed(stage)


def test_chunks_that_nobody_asks_for_are_taken_up_to_a_limit_and_dropped_after_an_hour(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.finish()
    monkeypatch.setattr(intake, "UNCLAIMED_BYTES", 3_000)
    before = stage.consequences()
    stage.chunk(bytes(600), blob_id=b"first".ljust(16))
    stage.chunk(bytes(600), blob_id=b"first".ljust(16))  # again: takes no more room
    stage.chunk(bytes(600), blob_id=b"second".ljust(16))
    stage.chunk(bytes(600), "east", blob_id=b"third".ljust(16))  # each sender has a limit of its own
    assert stage.north.intake.refused == {"MalformedMessage": 1}
    assert "more chunks than" in stage.north.intake.last_refusal
    assert len(stage.journal.rows()["chunk"]) == 2
    stage.now_s += intake.UNCLAIMED_S + 1
    stage.settle()
    assert not stage.journal.rows().get("chunk")
    assert stage.consequences()[1:4] == before[1:4]  # besides, it has answered the keeper's sign of life


def test_a_peer_cannot_overwrite_an_array_that_we_hold(stage: Stage) -> None:
    held = {blob_id: stage.files.read(blob_id, 0) for blob_id in stage.files.ids()}
    assert held, "the state of the round should hold arrays"
    for blob_id in held:  # fellow parties know these names from the broadcast
        stage.chunk(bytes(100), "east", blob_id=blob_id)
    assert {blob_id: stage.files.read(blob_id, 0) for blob_id in held} == held
    stage.finish()


def test_a_peer_cannot_keep_anothers_array_out_by_naming_it_first(stage: Stage) -> None:
    ref, [chunk] = sealed_array(GOOD)
    stage.chunk(bytes(100), "east", blob_id=ref.blob_id)
    stage.chunk(chunk, blob_id=ref.blob_id)
    stage.chunk(bytes(100), "east", blob_id=ref.blob_id)
    stage.say(encode(opened(ref)))
    assert stage.north.intake.refused == {"PeerError": 1}  # no job "probe": the array was whole


def test_a_peer_cannot_spoil_anothers_array_that_is_opened_in_the_same_step(stage: Stage) -> None:
    ref, [chunk] = sealed_array(GOOD)
    for sender, body in (("east", flipped(chunk, 0)), ("west", chunk)):
        frame = encode_chunk(ChunkFrame("local", sender, ME, ref.blob_id, 0, 1, body))
        stage.connect(sender).publish(routing_key(sender, ME, "data"), frame, -1)
        message = stage.seal(encode(opened(ref)), sender)
        stage.connect(sender).publish(routing_key(sender, ME, "data"), message, -1)
    stage.step()
    assert stage.north.intake.refused == {
        "CorruptBlob": 1,
        "PeerError": 1,
    }  # east's, and west's for its session
    assert not stage.journal.rows().get("chunk")
    stage.finish()


# --- whatever members say, an agent lives on --------------------------------------------------------------
ABSURD: tuple[dict[str, Any], ...] = (
    {"job": "Not A Name"},
    {"dataset": "\0" * 300_000},
    {"model": "\0" * 300_000},
    {"protocol": "\0" * 300_000},
    {"hyperparameters": {"\0\n" * 100_000: 1}},
    {"hyperparameters": {"learning_rate": 10**400}},
    {"hyperparameters": {"batch_rows": 2**70}},
    {"model": "mlp", "hyperparameters": {"hidden": 2**62}},
    {"features": 2**62},
    {"model": "mlp", "hyperparameters": {"hidden": 2**40}},
    {"features": 2**40},
    {"features": -1},
    {"seed": -1},
    {"seed": 2**200},
    {"settings": {"rounds": 2**200}},
    {"settings": {"round_deadline_s": 10**400}},
    {"consent_s": 1.7e308},
    {"classes": ["yes", "yes"]},
    {"parties": ["east", "north", "a" * 300_000]},
    {"minimum_parties": -5},
)


@pytest.mark.parametrize("absurd", ABSURD, ids=lambda absurd: f"{absurd!s:.40}")
def test_an_absurd_offer_is_refused_or_declined_and_the_agent_lives(
    stage: Stage, absurd: dict[str, Any]
) -> None:
    job = absurd.get("job", "absurd")
    offered = wire.KINDS[JobOffer]
    plain = body_of(specification("absurd"), **absurd)
    stage.say(encode({"spec": plain}), session=job, kind=offered.name, schema=offered.schema)
    stage.settle()
    assert stage.north.outcome(job) is None  # no consent before the ledger shows the proposal
    if not stage.north.intake.refused:
        spec = from_plain(JobSpec, plain)
        digest = spec_digest(spec)
        shown = Job("west", spec.protocol, spec.model, spec.dataset, spec.parties, 1, digest, proposed_at=9)
        stage.north._machines.consider_offers({job: shown}, None)
        stage.settle()
        over = stage.north.outcome(job)
        assert over is not None
        assert over.outcome in ("refused", "aborted")
    else:
        assert sum(stage.north.intake.refused.values()) == 1
    stage.finish()


@pytest.mark.parametrize("number", [-1, 2**64, 2**2000], ids=["negative", "large", "huge"])
def test_a_refusal_of_no_entry_of_ours_has_no_effect(stage: Stage, number: int) -> None:
    before = stage.consequences()
    stage.say(LedgerRefused(number, "no"), KEEPER)
    assert stage.consequences() == before


@pytest.mark.timeout(10)
@pytest.mark.parametrize("start", [-1, -100, -10_000, 2**80])
def test_a_member_that_asks_for_impossible_entries_does_not_hold_up_the_keeper(
    stage: Stage, start: int
) -> None:
    head = stage.agents[KEEPER].clerk.head
    stage.say(LedgerFetch(start), recipient=KEEPER)
    stage.settle()
    assert stage.agents[KEEPER].clerk.head == head
    stage.finish()


def test_entries_that_cannot_be_read_are_refused_by_the_keeper_with_the_reason(stage: Stage) -> None:
    keeper = stage.agents[KEEPER]
    head = keeper.clerk.head
    stage.say(LedgerAppend((SignedRow(b"scribble", bytes(64)),)), recipient=KEEPER)
    assert keeper.clerk.head == head
    assert keeper.outbox.idle is False  # LedgerRefused is on its way to west
    stage.finish()


# --- fuzz -------------------------------------------------------------------------------------------------
def mutations(frame: bytes) -> st.SearchStrategy[bytes]:
    """Return ways to damage a frame: bits, cuts, insertions, doubled and swapped parts."""
    place = st.integers(0, len(frame))
    return st.one_of(
        st.builds(partial(flipped, frame), st.integers(0, len(frame) - 1)),
        st.builds(lambda end: frame[:end], place),
        st.builds(lambda start: frame[start:], place),
        st.builds(lambda at, more: frame[:at] + more + frame[at:], place, st.binary(min_size=1, max_size=9)),
        st.builds(
            lambda at, new: frame[:at] + new + frame[at + len(new) :],
            place,
            st.binary(min_size=1, max_size=9),
        ),
        st.builds(lambda a, b: frame[: min(a, b)] + frame[max(a, b) :], place, place),
        st.builds(lambda a, b: frame[a:] + frame[b:], place, place),
    ).filter(lambda mutant: mutant != frame)


FUZZ = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(FUZZ, max_examples=150)
@given(data=st.data())
def test_no_damaged_frame_is_believed(stage: Stage, data: st.DataObject) -> None:
    frame = stage.seal(JobAbort("we are done"), "west", session=JOB)
    before, journal = stage.consequences(), stage.journal.rows()
    refused = sum(stage.north.intake.refused.values())
    stage.deliver(data.draw(mutations(frame)))
    assert sum(stage.north.intake.refused.values()) == refused + 1
    assert stage.consequences() == before
    assert stage.journal.rows() == journal


@settings(FUZZ, max_examples=75)
@given(data=st.data())
def test_a_damaged_chunk_leads_to_nothing_but_itself(stage: Stage, data: st.DataObject) -> None:
    frame = encode_chunk(ChunkFrame("local", "west", ME, bytes(16), 0, 1, bytes(64)))
    journal, _, *rest = stage.consequences()
    stage.deliver(data.draw(mutations(frame)), traffic="data")
    journal_after, _, *rest_after = stage.consequences()
    assert (journal, rest) == (journal_after, rest_after)


EXAMPLES: tuple[object, ...] = (
    offer("fuzzed"),
    JobAnswer(True, "yes"),
    JobStart(("east", "north")),
    JobLeft("no more"),
    JobAbort("no more", ("east",)),
    JobFinish(bytes(32)),
    LedgerAppend((SignedRow(b"signed", bytes(64)),)),
    LedgerEntries((ChainedRow(20, bytes(32), b"signed", bytes(64), bytes(32), bytes(64)),)),
    LedgerRefused(0, "no"),
    LedgerFetch(0),
    LedgerHeld(3),
    CosignAsked(b"note"),
    CosignDeclined(20, 0, "no"),
    HeadTold(b"note", "asked"),
    ForkTold(b"evidence"),
    SuccessionAsked(1, 20, "silent"),
    SuccessionHeld(1, 20),
    SuccessionProposed(b"note"),
    SuccessionAnswered(1, "undecided", b"", "a person is to decide"),
    JoinAnswer(bytes(32), "refused", "no"),
    ChunkCredit(bytes(16), 1),
    RoundOpened(1, bytes(32), (np.zeros((2, 4)), np.zeros(2))),
    Update(1, (np.zeros((2, 4)), np.zeros(2)), 10, Evaluation(5, 0.5, 0.5, "accuracy")),
    ModelReady(bytes(32), (np.zeros((2, 4)), np.zeros(2))),
    Evaluated(Evaluation(5, 0.5, 0.5, "accuracy")),
    Blinded(bytes(32), 17, 0, np.zeros((17, 32), dtype=np.uint8)),
    Raised(bytes(32), 0, np.zeros((17, 32), dtype=np.uint8)),
    Passed(bytes(32), "west", 17, 0, np.zeros((17, 32), dtype=np.uint8)),
    Tagged(bytes(32), "west", 17, 0, np.zeros((17, 32), dtype=np.uint8)),
    Positions(bytes(32), np.arange(17)),
    Ask(bytes(32)),
    Here(bytes(32)),
    Settled(bytes(32), 1, bytes(32)),
    training.MaskKey(bytes(32), bytes(32)),
    training.Ready(bytes(32), 40, 10, 3, (1, 2)),
    training.Key(bytes(32), bytes(64), 40, 10, {"east": 3, "north": 2}, 2, False),
    training.Scores(bytes(32), 0, 0, np.zeros(64, dtype=np.uint8)),
    training.Residual(bytes(32), 0, 0, np.zeros(64, dtype=np.uint8)),
    training.Masked(bytes(32), 0, np.zeros(64, dtype=np.uint8)),
    training.Opened(bytes(32), 0, bytes(64)),
    training.LossTerm(bytes(32), 1, np.zeros(64, dtype=np.uint8)),
    training.LossSum(bytes(32), 1, np.zeros(64, dtype=np.uint8)),
    training.EpochClosed(bytes(32), 1, 0.5, "improved"),
    training.HeldOut(bytes(32), np.zeros(10, dtype=np.uint64), np.zeros(10)),
    training.Part(bytes(32), bytes(32)),
    training.Closed(bytes(32), {"east": bytes(32)}, bytes(32), 0.5, 0.9, "auc", 10, (0.1,) * 9),
    training.Waiting(bytes(32), 1, ("east",)),
    serving.MaskKey(bytes(32), bytes(32)),
    serving.Ask(bytes(32), bytes(32), ("a", "b")),
    serving.Known(bytes(32), np.ones(2, dtype=bool)),
    serving.Chosen(bytes(32), np.arange(2)),
    serving.Due(bytes(32), 2, (0.1,) * 9),
    serving.Share(bytes(32), np.zeros(2, dtype=np.uint64)),
    serving.Answer(bytes(32), np.zeros(2)),
    serving.Waiting(bytes(32), ("east",)),
)


def test_the_examples_are_all_kinds_there_are() -> None:
    assert {type(example) for example in EXAMPLES} == set(wire.KINDS)


ARRAYS = st.sampled_from(
    [np.zeros((2, 4)), np.zeros(0), np.ones((1, 1, 1)), np.full(2, 1e308), np.ones(3, bool)]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 2**2000]) | st.integers()
TEXTS = st.sampled_from(["", "all", "north", "a" * 90_000, "\0" * 90_000]) | st.text(max_size=30)


@st.composite
def altered(draw: st.DrawFn, plain: Plain) -> Plain:
    """Return a value of the same types, some of it changed."""
    match plain:
        case bool():
            return draw(st.booleans())
        case int():
            return draw(NUMBERS)
        case float():
            return draw(st.floats(allow_nan=False, allow_infinity=False))
        case str():
            return draw(TEXTS)
        case bytes():
            return draw(st.binary(max_size=80))
        case np.ndarray():
            array: np.ndarray[Any, Any] = draw(ARRAYS)
            return array
        case dict() if plain:
            key = draw(st.sampled_from(sorted(plain)))
            return {**plain, key: draw(altered(plain[key]))}
        case list() if plain:
            return [*plain, draw(altered(plain[-1]))] if draw(st.booleans()) else [draw(altered(plain[0]))]
        case _:
            return plain


@st.composite
def words(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Return an envelope's fields, and an altered body of its kind."""
    example = draw(st.sampled_from(EXAMPLES))
    plain = to_plain(example)
    for _ in range(draw(st.integers(0, 2))):
        plain = draw(altered(plain))
    sender, recipient = draw(st.sampled_from([("west", ME), ("east", ME), (KEEPER, ME), ("west", KEEPER)]))
    fields = {
        "sender": sender,
        "recipient": recipient,
        "session": draw(st.sampled_from(["ledger", JOB, "fuzzed"])),
        "kind": wire.kind_of(example).name,
        "schema": wire.kind_of(example).schema,
    }
    return fields, encode(plain)


@settings(FUZZ, max_examples=25)
@given(said=st.lists(words(), min_size=1, max_size=10))
def test_whatever_members_say_an_agent_lives_on_and_can_be_restarted(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, said: list[tuple[dict[str, Any], bytes]]
) -> None:
    stage = build(pristine, tmp_path_factory.mktemp("fuzz"))
    try:
        for fields, data in said:
            stage.say(data, **fields)
            for executor in stage.executors.values():
                executor.go()
        for name in (ME, KEEPER):
            stage.step(name)
            rows = stage.journals[name].rows()
            stage.restart(name)
            assert stage.journals[name].rows() == rows
            stage.step(name)
    finally:
        for agent in stage.agents.values():
            agent.close()
