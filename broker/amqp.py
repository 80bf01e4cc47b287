"""What carries messages between organisations: RabbitMQ, 3.10 and newer.

The agent's side of it: queues and counters under one lock. Sockets live on a thread of their own, so that
heartbeats are served while the agent computes: a `Publisher` and a `Consumer`, each on its own connection.

A connection that is lost is not an event the agent must handle: what was unconfirmed comes out of `outcomes`
as lost, what was unacknowledged comes again, `room` is 0 meanwhile, and `health` says why.

What must stand on the broker first, `layout` says and `provision` builds.
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias

from pika.adapters.select_connection import IOLoop
from pika.spec import Basic

from hansa.broker.address import BrokerAddress
from hansa.broker.consumer import PREFETCH, Consumer
from hansa.broker.errors import (
    AccessRefused,
    BrokerUnreachable,
    Busy,
    Disconnected,
    TransportError,
    UnknownAgent,
    UntrustedBroker,
)
from hansa.broker.identity import EVERYBODY, check_name
from hansa.broker.layout import EVENT_COUNT, exchange, takeover_key
from hansa.broker.publisher import Parcel, Publisher, Status
from hansa.broker.topics import Traffic, check_pattern, matches, parse_key
from hansa.broker.transport import MAX_UNCONFIRMED, Delivery, Outcome, check_publish

MAX_UNCONFIRMED_BYTES = 64 * 2**20  # held here until confirmed; one more message may go over it
FIRST_ANNOUNCE_S = 0.05  # a newer connection repeats that it is there until the older has gone:
MAX_ANNOUNCE_S = 5.0  # at first often, since the older, told once, goes at once
CLOSE_S = 2.0  # how long to wait for the broker's goodbye

State: TypeAlias = Literal["connecting", "standby", "ready", "blocked", "closed"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How a transport is.

    Attributes:
        state: ``connecting``: no working connection, see `trouble`. ``standby``: connected, but an older
            connection of this agent has not gone yet. ``ready``. ``blocked``: the broker is out of disk or
            memory and takes no messages. ``closed``: for good.
        trouble: what last went wrong and has not gone right since.
    """

    state: State
    trouble: TransportError | None

    def __str__(self) -> str:
        return f"{self.state}: {self.trouble}" if self.trouble else self.state


class AmqpTransport:
    """One agent's way to a RabbitMQ broker; see `transport.Transport` for what each method promises.

    It connects in the background and stays connected; `ready` waits until it is.

    Raises:
        BadName: the agent's or the federation's name is none.
        OSError: a certificate file cannot be read.
    """

    def __init__(self, address: BrokerAddress, federation: str, name: str) -> None:
        self._name = check_name(name)
        exchange(federation)  # checks its name, before there is anything to clean up
        self._address = address
        address.parameters(name)
        self._takeover_key = takeover_key(name)
        # Orders the connections of one agent: the newest wins.
        self._stamp = (time.time_ns(), secrets.token_hex(8))

        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._ended = ""  # why, once it has
        self._troubles: dict[str, TransportError | None] = {"in": None, "out": None}  # by connection
        self._publishing = self._consuming = self._alone = False
        self._blocked: str | None = None
        self._woken = False
        self._unconfirmed = self._unconfirmed_bytes = 0
        self._outcomes: list[Outcome] = []
        self._arrived: dict[Traffic, deque[Delivery]] = {
            "control": deque(),
            "event": deque(maxlen=EVENT_COUNT),
            "join": deque(),
            "data": deque(),
        }
        self._next_tag = 0
        self._unsettled: dict[
            int, tuple[Traffic, int]
        ] = {}  # delivery by tag: lane, number on the connection
        self._epoch = 0  # counts incoming connections, so that a number never settles another's delivery
        self._patterns: list[str] = []

        self._commands: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._loop = IOLoop()
        self._publisher = Publisher(self._loop, address, name, federation, self)
        self._consumer = Consumer(self._loop, address, name, self)
        self._announcing: Any = None  # pika's name for a timer
        self._thread = threading.Thread(target=self._run, name=f"amqp {name}", daemon=True)
        self._thread.start()

    # --- the agent's side --------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The agent it belongs to."""
        return self._name

    @property
    def online(self) -> bool:
        """Whether messages flow both ways now."""
        with self._lock:
            self._check_open()
            return self._usable()

    def ready(self, timeout_s: float) -> None:
        """Wait until messages flow both ways.

        Raises:
            AccessRefused, UnknownAgent, UntrustedBroker: at once, since waiting rarely helps.
            TransportError: what is in the way after `timeout_s`.
        """

        def settled() -> bool:
            hopeless = isinstance(self._trouble(), AccessRefused | UnknownAgent | UntrustedBroker)
            return bool(self._ended) or self._usable() or hopeless

        with self._lock:
            self._changed.wait_for(settled, timeout_s)
            self._check_open()
            if not self._usable():
                raise self._health().trouble or BrokerUnreachable(f"no connection to {self._address} yet")

    def health(self) -> Health:
        """Say how the connection is."""
        with self._lock:
            return self._health()

    def publish(self, routing_key: str, body: bytes, tag: int) -> None:
        """Hand a message over; its outcome follows under `tag`."""
        _, traffic = check_publish(self._name, routing_key, body)
        with self._lock:
            self._check_open()
            if traffic == "event":
                self._outcomes.append(Outcome(tag, "confirmed"))
                if not self._usable():
                    return
                parcel = Parcel(routing_key, body, traffic, None)
            else:
                if self._room() <= 0:
                    raise Busy(f"{self._name}: {self._unconfirmed} messages unconfirmed ({self._health()})")
                self._unconfirmed += 1
                self._unconfirmed_bytes += len(body)
                parcel = Parcel(routing_key, body, traffic, tag)
        self._post(lambda: self._publisher.publish(parcel))

    def room(self) -> int:
        """How many more messages may be published before some are confirmed; 0 while not connected."""
        with self._lock:
            self._check_open()
            return self._room()

    def deliveries(self, limit: int) -> list[Delivery]:
        """Take up to `limit` of what has come: control first, then events, requests to join, and data."""
        with self._lock:
            self._check_open()
            return list(islice(self._take(), limit))

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Say that these deliveries are safe with us."""
        self._settle(tags, safe=True)

    def reject(self, tags: Iterable[int]) -> None:
        """Have these deliveries set aside as dead letters."""
        self._settle(tags, safe=False)

    def outcomes(self) -> list[Outcome]:
        """Take what is known of published messages since the last call."""
        with self._lock:
            self._check_open()
            outcomes, self._outcomes = self._outcomes, []
            return outcomes

    def wait(self, timeout_s: float) -> bool:
        """Sleep until deliveries or outcomes are there, or `wake` is called; False if time ran out.

        It also ends when there is room again after an outage.
        """
        with self._lock:
            awake = self._changed.wait_for(
                lambda: bool(self._ended or self._woken or self._outcomes or any(self._arrived.values())),
                timeout_s,
            )
            self._check_open()
            self._woken = False
            return awake

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        with self._lock:
            self._wake()

    def subscribe(self, pattern: str) -> None:
        """Hear events whose routing key matches, from now on, after an outage too."""
        with self._lock:
            self._check_open()
            self._patterns.append(check_pattern(pattern))

    def close(self) -> None:
        """Leave; unacknowledged deliveries go back to their queues."""
        self._end("closed")
        self._thread.join(2 * CLOSE_S)

    # --- under the lock ----------------------------------------------------------------------------------

    def _usable(self) -> bool:
        return self._publishing and self._consuming and self._alone and self._blocked is None

    def _room(self) -> int:
        if not self._usable() or self._unconfirmed_bytes >= MAX_UNCONFIRMED_BYTES:
            return 0
        return MAX_UNCONFIRMED - self._unconfirmed

    def _trouble(self) -> TransportError | None:
        return self._troubles["in"] or self._troubles["out"]

    def _health(self) -> Health:
        if self._ended:
            return Health("closed", Disconnected(self._ended))
        if not (self._publishing and self._consuming):
            return Health("connecting", self._trouble())
        if self._blocked is not None:
            return Health("blocked", TransportError(f"the broker is out of disk or memory: {self._blocked}"))
        if not self._alone:
            return Health("standby", TransportError(f"another connection of {self._name} has not gone yet"))
        return Health("ready", None)

    def _take(self) -> Iterator[Delivery]:
        for arrived in self._arrived.values():
            while arrived:
                yield arrived.popleft()

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _check_open(self) -> None:
        if self._ended:
            raise Disconnected(f"this connection of {self._name} is over: {self._ended}")

    # --- across the threads ------------------------------------------------------------------------------

    def _settle(self, tags: Iterable[int], *, safe: bool) -> None:
        numbers: dict[Traffic, list[int]] = {}
        with self._lock:
            self._check_open()
            for tag in tags:
                if tag in self._unsettled:
                    lane, number = self._unsettled.pop(tag)
                    numbers.setdefault(lane, []).append(number)
            epoch = self._epoch
        if numbers:
            self._post(lambda: self._settle_numbers(epoch, numbers, safe=safe))

    def _settle_numbers(self, epoch: int, numbers: dict[Traffic, list[int]], *, safe: bool) -> None:
        if epoch == self._epoch:
            for lane, of_lane in numbers.items():
                self._consumer.settle(lane, of_lane, safe=safe)

    def _post(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        if not self._scheduled:
            self._scheduled = True
            self._loop.add_callback_threadsafe(self._drain)

    def _drain(self) -> None:
        self._scheduled = False  # first: what is appended from here on schedules again
        while self._commands:
            self._commands.popleft()()
        self._publisher.flush()

    def _end(self, reason: str) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = reason
            self._changed.notify_all()
        self._post(self._stop)

    # --- on the connections' thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._publisher.line.start()
            self._consumer.line.start()
            self._loop.start()
        except Exception as error:
            # A bug, ours or pika's: say so rather than hang; the daemon is restarted and loses nothing.
            log.exception("the connections of %s failed", self._name)
            self._end(f"internal error: {error!r}")
            with suppress(Exception):
                self._loop.start()  # once more, to close the connections
        finally:
            self._loop.close()

    def _stop(self) -> None:
        lines = [self._publisher.line, self._consumer.line]
        open_lines = len(lines)

        def stopped() -> None:
            nonlocal open_lines
            open_lines -= 1
            if not open_lines:
                self._loop.stop()

        def insist() -> None:
            for line in lines:
                line.abort()

        self._loop.call_later(CLOSE_S, insist)
        for line in lines:
            line.stop(stopped)

    def settled(self, parcels: Iterable[Parcel], status: Status) -> None:
        """Keep the outcomes of published messages for the agent."""
        with self._lock:
            for parcel in parcels:
                if parcel.tag is not None:
                    self._unconfirmed -= 1
                    self._unconfirmed_bytes -= len(parcel.body)
                    self._outcomes.append(Outcome(parcel.tag, status))
            if self._outcomes:
                self._changed.notify_all()

    def publishing(self, *, possible: bool, error: TransportError | None) -> None:
        """Note that the outgoing connection works, or not."""
        with self._lock:
            self._publishing, self._troubles["out"], self._blocked = possible, error, None
            self._changed.notify_all()
        if possible:
            self._announce()

    def consuming(self, *, possible: bool, error: TransportError | None) -> None:
        """Note that the incoming connection works, or not; then forget what it brought."""
        with self._lock:
            self._consuming, self._troubles["in"], self._alone = possible, error, False
            if not possible:
                self._epoch += 1
                self._unsettled.clear()
                for lane in PREFETCH:
                    self._arrived[lane].clear()
            self._changed.notify_all()
        if possible:
            self._announce()

    def blocked(self, reason: str | None) -> None:
        """Note that the broker is short of something, or no longer."""
        with self._lock:
            self._blocked = reason
            self._wake()

    def arrived(self, traffic: Traffic, number: int, method: Basic.Deliver, body: bytes) -> None:
        """Keep a message for the agent."""
        key = str(method.routing_key)
        if key == self._takeover_key:
            self._heard(body)
            return
        try:
            _, recipient, of_key = parse_key(key)
        except ValueError:
            recipient, of_key = "", traffic
        if recipient not in (self._name, EVERYBODY) or of_key != traffic:
            log.error("%s: a message under %r is in the wrong queue: check the bindings", self._name, key)
            if traffic != "event":
                self._consumer.settle(traffic, [number], safe=False)
            return
        with self._lock:
            if traffic == "event":
                if not any(matches(pattern, key) for pattern in self._patterns):
                    return
            else:
                self._unsettled[self._next_tag] = (traffic, number)
            self._arrived[traffic].append(
                Delivery(self._next_tag, key, body, traffic, bool(method.redelivered))
            )
            self._next_tag += 1
            self._changed.notify_all()

    # --- one connection at a time ------------------------------------------------------------------------

    def _announce(self, after_s: float = FIRST_ANNOUNCE_S) -> None:
        """Tell an older connection of ours to go; when we hear it ourselves, we are the one that is served."""
        if self._announcing is not None:
            self._loop.remove_timeout(self._announcing)
            self._announcing = None
        if self._publishing and self._consuming and not self._alone and not self._ended:
            text = f"{self._stamp[0]}:{self._stamp[1]}"
            self._publisher.publish(Parcel(self._takeover_key, text.encode(), "event", None))
            self._publisher.flush()
            self._announcing = self._loop.call_later(
                after_s, lambda: self._announce(min(2 * after_s, MAX_ANNOUNCE_S))
            )

    def _heard(self, body: bytes) -> None:
        time_text, _, nonce = body.decode("ascii", "replace").partition(":")
        stamp = (int(time_text), nonce) if time_text.isdecimal() else (0, "")
        if stamp > self._stamp:
            self._end("a newer connection took over")
        elif stamp == self._stamp and not self._alone:  # on a slow broker it comes back more than once
            with self._lock:
                self._alone = True
                self._wake()
            log.debug("%s is connected to %s", self._name, self._address)
