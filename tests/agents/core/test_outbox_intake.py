"""What leaves one agent's outbox arrives in another's intake: in order, once and whole, whatever happens."""

import contextlib
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hansa.agents.core.blobs import RECENT_BYTES, BlobStore, ChunkFiles, DiskFiles, MemoryFiles
from hansa.agents.core.intake import UNCLAIMED_S, Intake
from hansa.agents.core.journal import Changes, MemoryJournal
from hansa.agents.core.messages import ChunkCredit, JobAbort
from hansa.agents.core.outbox import UNROUTABLE_RETRY_S, Outbox
from hansa.broker import (
    WINDOW,
    Busy,
    CorruptBlob,
    Identity,
    MemoryBroker,
    MemoryTransport,
    Outcome,
    PublicIdentity,
    UnknownSender,
    decode_chunk,
    frame_kind,
    from_plain,
    seal_array,
)
from hansa.broker.chunks import CHUNK_BYTES
from hansa.protocols.digest import array_digest
from hansa.protocols.horizontal.fedavg import ModelReady

NOW_S = 1_900_000_000.0
FEDERATION = "hanse"
SMALL = 1_024  # bytes of a chunk where many are needed
MIB = 2**20


@cache
def agent(name: str) -> Identity:
    return Identity.generate(name)


def lookup(name: str) -> PublicIdentity:
    if name not in ("alice", "bob"):
        raise UnknownSender(name)
    return agent(name).public


class Road(MemoryBroker):
    """A broker that remembers what was published, and loses what it is told to."""

    def __init__(self) -> None:
        super().__init__(FEDERATION)
        self.frames: list[bytes] = []
        self.loses: Callable[[int], bool] = lambda place: False

    def chunks(self) -> list[int]:
        """Return the indexes of all chunks published so far, lost or not."""
        return [decode_chunk(frame).index for frame in self.frames if frame_kind(frame) == "chunk"]


class Connection:
    """A connection over which publications may be lost; the publisher is told so."""

    def __init__(self, road: Road, inner: MemoryTransport) -> None:
        self._road = road
        self._inner = inner
        self._lost: list[Outcome] = []
        self.room_left = 256
        self.gone_at = -1  # how many may be published before the connection is lost, unseen by `room`

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        if self.gone_at == len(self._road.frames):
            raise Busy("the connection went after it was asked for room")
        place = len(self._road.frames)
        self._road.frames.append(bytes(body))
        if self._road.loses(place):
            self._lost.append(Outcome(tag, "lost"))
        else:
            self._inner.publish(routing_key, body, tag)

    def outcomes(self) -> list[Outcome]:
        lost, self._lost = self._lost, []
        return [*self._inner.outcomes(), *lost]

    def room(self) -> int:
        return min(self._inner.room(), self.room_left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@dataclass(slots=True)
class Side:
    """The outbox and intake of one agent, and what it was sent; started again at will."""

    road: Road
    name: str
    files: ChunkFiles = field(default_factory=MemoryFiles)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    got: list[object] = field(default_factory=list)
    now_s: float = NOW_S
    transport: Any = None
    changes: Changes = field(default_factory=Changes)
    outbox: Outbox = field(init=False)
    intake: Intake = field(init=False)
    blobs: BlobStore = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin, or begin again with what is journalled; nothing else is remembered."""
        self.transport = Connection(self.road, self.road.connect(self.name))
        self.changes = Changes()
        self.blobs = BlobStore(self.files)
        identity = agent(self.name)
        self.intake = Intake(identity, FEDERATION, lookup, self.blobs, self.journal)
        self.outbox = Outbox(identity, FEDERATION, lookup, self.blobs, self.journal, self.transport, 64)
        self.blobs.adopt_orphans()

    def post(self, message: object, to: str = "bob", session: str = "job") -> None:
        self.outbox.post(self.changes, self.now_s, session, to, message)

    def commit(self) -> None:
        self.blobs.flush()
        self.journal.commit(self.changes)
        self.changes = Changes()

    def step(self, most: int = 256) -> bool:
        """Do what an agent does in a step; return whether there was anything to do."""
        deliveries = self.transport.deliveries(most)
        for delivery in deliveries:
            credit = self.intake.receive(self.changes, self.now_s, delivery)
            if credit is not None:
                self.post(ChunkCredit(credit.blob_id, credit.received), credit.sender, "transfer")
        for parcel in self.intake.ready():
            self._act_on(parcel)
        self.outbox.outcomes(self.changes, self.now_s, self.transport.outcomes())
        busy = bool(self.changes)
        self.commit()
        self.transport.acknowledge([delivery.tag for delivery in deliveries])
        self.blobs.sweep()
        return bool(self.outbox.publish(self.now_s)) or busy or bool(deliveries)

    def _act_on(self, parcel: Any) -> None:
        plain = self.intake.open(parcel)
        header = parcel.message.header
        if header.kind == "transfer.credit":
            credit = from_plain(ChunkCredit, plain)
            self.outbox.credit(self.changes, header.sender, credit.blob_id, credit.received)
        else:
            self.got.append(from_plain(ModelReady if "ModelReady" in header.kind else JobAbort, plain))
        self.intake.done(self.changes, parcel)

    def rows(self, space: str) -> int:
        return len(self.journal.load(space))


@pytest.fixture
def road() -> Road:
    road = Road()
    for name in ("alice", "bob"):
        road.declare(name)
    return road


@pytest.fixture
def alice(road: Road) -> Side:
    return Side(road, "alice")


@pytest.fixture
def bob(road: Road) -> Side:
    return Side(road, "bob")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("arrays", "chunks"):
        monkeypatch.setattr(f"hansa.broker.{module}.CHUNK_BYTES", SMALL)


def numbers(chunks: int) -> np.ndarray[Any, Any]:
    """Return an array of so many chunks."""
    return np.arange(chunks * SMALL // 8, dtype=np.float64)


def model(array: np.ndarray[Any, Any]) -> ModelReady:
    return ModelReady(bytes(32), (array,))


def settle(*sides: Side) -> None:
    for _ in range(1_000):
        if not any([side.step() for side in sides]):
            return
    raise AssertionError("no end of steps")


def arrived(bob: Side, *arrays: np.ndarray[Any, Any]) -> None:
    """Check that these models, and nothing else, came whole and in order, and that nothing is left of the way."""
    models = [message for message in bob.got if isinstance(message, ModelReady)]
    assert len(models) == len(arrays)
    for message, array in zip(models, arrays, strict=True):
        assert np.array_equal(message.parameters[0], array)
    assert not bob.rows("held")
    assert not bob.rows("chunk")


# --- credit -----------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("small_chunks")
def test_no_more_than_a_window_of_chunks_is_under_way(road: Road, alice: Side, bob: Side) -> None:
    array = numbers(5 * WINDOW)
    alice.post(model(array))
    alice.commit()
    while alice.step():
        pass
    assert road.chunks() == list(range(WINDOW))  # and then it waits
    assert alice.outbox.waiting == 1  # chunks are not counted: their message is
    steps = 0
    while not bob.got:
        bob.step(most=3)
        alice.step()
        sent, here = len(road.chunks()), bob.rows("chunk")
        assert bob.got or sent - here <= WINDOW
        assert road.backlog("bob") <= (WINDOW + 1) * (SMALL + 200) + 4_096
        steps += 1
    settle(alice, bob)
    arrived(bob, array)
    assert road.chunks() == list(range(5 * WINDOW))  # each once
    assert steps >= 5 * WINDOW // 3
    assert alice.outbox.idle
    assert alice.outbox.waiting == 0
    assert alice.rows("transfer") == alice.rows("outbox") == 0
    assert not alice.files.ids()


@pytest.mark.usefixtures("small_chunks")
def test_an_array_within_one_window_needs_no_credit(road: Road, alice: Side, bob: Side) -> None:
    array = numbers(WINDOW)
    alice.post(model(array))
    alice.commit()
    settle(alice, bob)
    arrived(bob, array)
    assert bob.rows("sequence") == 0  # bob has said nothing


@pytest.mark.usefixtures("small_chunks")
def test_a_message_follows_its_own_arrays_before_those_of_the_next(road: Road, alice: Side) -> None:
    for _ in range(3):
        alice.post(model(numbers(2)))
    alice.commit()
    alice.outbox.publish(NOW_S)
    assert [frame_kind(frame) for frame in road.frames] == ["chunk", "chunk", "envelope"] * 3


def test_an_array_of_72_mib_is_sent_within_bounded_memory(road: Road, tmp_path: Path) -> None:
    alice = Side(road, "alice", DiskFiles(tmp_path / "alice"))
    bob = Side(road, "bob", DiskFiles(tmp_path / "bob"))
    array = np.random.default_rng(5).random(18 * MIB, dtype=np.float32)
    tracemalloc.start()
    try:
        alice.post(model(array))
        alice.commit()
        road.frames.clear()
        while alice.step():
            road.frames.clear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert WINDOW * CHUNK_BYTES < road.backlog("bob") < (WINDOW + 1) * CHUNK_BYTES
    assert peak < WINDOW * CHUNK_BYTES + RECENT_BYTES + 4 * CHUNK_BYTES
    while not bob.got:
        bob.step(most=4)
        alice.step()
        road.frames.clear()
        assert road.backlog("bob") < (WINDOW + 1) * CHUNK_BYTES
    arrived(bob, array)


# --- losses -----------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("index", [0, 1, 7, 15, 16, 39])
def test_a_lost_chunk_is_sent_again(road: Road, alice: Side, bob: Side, index: int) -> None:
    array = numbers(40)
    road.loses = lambda place: (
        frame_kind(road.frames[place]) == "chunk" and road.chunks() == list(range(index + 1))
    )
    alice.post(model(array))
    alice.commit()
    while alice.step() | bob.step(most=5):
        pass
    arrived(bob, array)
    assert alice.outbox.idle


@pytest.mark.usefixtures("small_chunks")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lost=st.sets(st.integers(0, 120)),
    most=st.integers(1, 40),
    chunks=st.integers(1, 50),
    restarts=st.dictionaries(st.integers(0, 60), st.sampled_from(["alice", "bob"]), max_size=4),
)
def test_whatever_is_lost_and_whoever_restarts_everything_arrives_once(
    lost: set[int], most: int, chunks: int, restarts: dict[int, str]
) -> None:
    road = Road()
    sides = {}
    for name in ("alice", "bob"):
        road.declare(name)
        sides[name] = Side(road, name)
    alice, bob = sides["alice"], sides["bob"]
    road.loses = lost.__contains__
    arrays = [numbers(chunks), numbers(1) * -1]
    for array in arrays:
        alice.post(model(array))
    alice.commit()
    for turn in range(500):
        if turn in restarts:
            sides[restarts[turn]].start()
        if not (alice.step() | bob.step(most)) and turn > max(restarts, default=0):
            break
    bob.intake.drop_unclaimed(bob.changes, bob.now_s + 2 * UNCLAIMED_S)  # chunks that came once too often
    settle(alice, bob)
    arrived(bob, *arrays)
    assert alice.outbox.idle
    assert not alice.files.ids()


# --- restarts ---------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("small_chunks")
def test_a_restarted_sender_sends_the_same_bytes_again(road: Road, alice: Side, bob: Side) -> None:
    array = numbers(3)
    alice.post(model(array))
    alice.post(JobAbort("later"))
    alice.step()
    before = road.frames.copy()
    assert len(before) == 5
    alice.start()
    road.frames.clear()
    alice.step()
    assert sorted(road.frames) == sorted(before)
    settle(alice, bob)
    arrived(bob, array)
    assert bob.got[1:] == [JobAbort("later")]
    assert not bob.intake.refused  # neither equivocation nor anything else
    assert alice.outbox.idle


def test_what_was_committed_and_not_yet_published_is_published_after_a_restart(
    alice: Side, bob: Side
) -> None:
    alice.post(JobAbort("one"))
    alice.commit()
    alice.start()
    alice.post(JobAbort("two"))  # takes the next number
    settle(alice, bob)
    assert bob.got == [JobAbort("one"), JobAbort("two")]


def test_what_was_not_committed_was_never_said(alice: Side, bob: Side) -> None:
    alice.post(JobAbort("unsaid"))
    alice.post(model(np.zeros(100)))
    alice.start()
    alice.post(JobAbort("said"))
    settle(alice, bob)
    assert bob.got == [JobAbort("said")]
    assert not alice.files.ids()


@pytest.mark.usefixtures("small_chunks")
def test_a_receiver_restarted_with_half_of_the_chunks_goes_on(road: Road, alice: Side, bob: Side) -> None:
    array = numbers(40)
    alice.post(model(array))
    alice.commit()
    while bob.rows("chunk") < 20:
        alice.step()
        bob.step(most=2)
    bob.start()
    assert bob.rows("chunk") >= 20
    settle(alice, bob)
    arrived(bob, array)
    assert road.chunks() == list(range(40))  # none twice
    assert not bob.intake.refused


@pytest.mark.usefixtures("small_chunks")
def test_a_message_that_waits_for_its_array_survives_a_restart(road: Road, alice: Side, bob: Side) -> None:
    array = numbers(2)
    road.loses = lambda place: frame_kind(road.frames[place]) == "chunk"
    alice.post(model(array))
    alice.step()
    bob.step()
    assert bob.rows("held") == 1
    bob.start()
    assert not bob.got
    road.loses = lambda place: False
    settle(alice, bob)
    arrived(bob, array)


def test_messages_that_came_too_early_survive_a_restart_and_are_acted_on_in_order(
    road: Road, alice: Side, bob: Side
) -> None:
    road.loses = lambda place: place == 0
    for word in ("first", "second", "third"):
        alice.post(JobAbort(word))
        alice.commit()
        alice.outbox.publish(NOW_S)
    bob.step()
    assert not bob.got
    assert bob.rows("held") == 2
    bob.start()
    bob.step()
    assert not bob.got
    settle(alice, bob)
    assert bob.got == [JobAbort("first"), JobAbort("second"), JobAbort("third")]
    assert bob.rows("held") == 0
    bob.start()
    settle(alice, bob)
    assert len(bob.got) == 3


def test_a_frame_that_comes_twice_is_acted_on_once(road: Road, alice: Side, bob: Side) -> None:
    alice.post(JobAbort("once"))
    alice.step()
    again = road.frames[0]
    bob.step()
    bob.start()
    alice.transport.publish("alice.bob.control", again, -1)
    settle(alice, bob)
    assert bob.got == [JobAbort("once")]
    assert not bob.intake.refused


# --- recipients that are not there ------------------------------------------------------------------------
def test_an_unroutable_recipient_is_named_and_tried_again() -> None:
    road = Road()
    road.declare("alice")
    alice, bob = Side(road, "alice"), Side(road, "bob")
    array = np.arange(100.0)
    alice.post(model(array))
    alice.post(JobAbort("anybody?"))
    while alice.step():
        pass
    assert alice.outbox.unroutable == {"bob"}
    assert alice.outbox.next_retry() == NOW_S + UNROUTABLE_RETRY_S
    assert (alice.rows("outbox"), alice.rows("transfer")) == (2, 1)
    tried = len(road.frames)
    assert tried == 3
    alice.now_s += UNROUTABLE_RETRY_S / 2
    alice.step()
    assert len(road.frames) == tried
    road.declare("bob")
    alice.now_s += UNROUTABLE_RETRY_S
    settle(alice, bob)
    arrived(bob, array)
    assert bob.got[1:] == [JobAbort("anybody?")]
    assert not alice.outbox.unroutable
    assert alice.outbox.idle
    assert alice.outbox.next_retry() is None


def test_a_message_to_a_stranger_takes_no_number(alice: Side, bob: Side) -> None:
    with pytest.raises(UnknownSender):
        alice.post(JobAbort("hello"), to="carol")
    alice.post(JobAbort("hello"))
    settle(alice, bob)
    assert bob.got == [JobAbort("hello")]


@pytest.mark.usefixtures("small_chunks")
def test_a_transport_without_room_is_waited_for(alice: Side, bob: Side) -> None:
    array = numbers(6)
    alice.post(JobAbort("early"))
    alice.post(model(array))
    alice.transport.room_left = 0
    assert alice.step()
    assert not alice.step()
    alice.transport.room_left = 256
    settle(alice, bob)
    arrived(bob, array)
    assert bob.got[0] == JobAbort("early")


@pytest.mark.usefixtures("small_chunks")
def test_a_word_does_not_wait_behind_arrays(road: Road, alice: Side, bob: Side) -> None:
    arrays = [numbers(2 * WINDOW) + place for place in range(20)]
    for array in arrays:
        alice.post(model(array))
    while alice.step():
        pass
    assert alice.transport.room() == 0
    alice.post(JobAbort("stop"), session="another job")
    bob.step(most=1)
    alice.step()
    assert road.frames[-1] in [frame for frame in road.frames if frame_kind(frame) == "envelope"]
    bob.step(most=1)
    assert bob.got == [JobAbort("stop")]
    settle(alice, bob)
    arrived(bob, *arrays)


@pytest.mark.usefixtures("small_chunks")
def test_one_array_to_one_peer_twice_arrives_twice(alice: Side, bob: Side) -> None:
    array = numbers(3)
    alice.post(model(array))
    alice.post(model(array))
    settle(alice, bob)
    arrived(bob, array, array)


def test_an_array_stays_as_it_was_opened_whatever_another_sends_under_its_name() -> None:
    files, array = MemoryFiles(), np.arange(9.0)
    ref, [chunk] = seal_array(array, array_digest(array))
    good, bad = b"berth of alice..", b"berth of mallory"
    blobs = BlobStore(files)
    blobs.write_chunk(good, 0, chunk)
    blobs.write_chunk(bad, 0, bytes(len(chunk)))
    opened = blobs.adopt(ref, good)
    with contextlib.suppress(CorruptBlob):
        blobs.adopt(ref, bad)  # a fellow recipient speaks of it too, in the same step
    blobs.use("machine", b"state", [ref])
    blobs.sweep()
    assert np.array_equal(opened, array)
    assert np.array_equal(BlobStore(files).load(ref), array)  # after a restart


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("published", [0, 1, 3, 5])
def test_a_connection_lost_after_it_was_asked_for_room_costs_a_repetition(
    road: Road, alice: Side, bob: Side, published: int
) -> None:
    alice.post(JobAbort("first"))
    alice.post(model(numbers(4)))
    alice.post(JobAbort("last"))
    alice.transport.gone_at = published
    alice.step()
    assert len(road.frames) == published
    alice.transport.gone_at = -1
    settle(alice, bob)
    assert [type(message) for message in bob.got] == [JobAbort, ModelReady, JobAbort]
    assert alice.outbox.idle
