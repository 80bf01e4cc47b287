"""What does everybody hear? Signed events on the federation's exchange: metadata only, best effort."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hansa.agents.core import wire
from hansa.broker import (
    EVERYBODY,
    Identity,
    PublicIdentity,
    Refused,
    decode,
    encode,
    open_event,
    routing_key,
    sign_event,
)
from hansa.broker.transport import Delivery, Transport

EXPIRY_MS = 60_000

Listener = Callable[[str, str, Mapping[str, Any]], None]  # sender, kind of event, its fields

log = logging.getLogger("hansa.agent")


class Herald:
    """Tells events to everybody, and ours the events of others."""

    def __init__(
        self,
        identity: Identity,
        federation: str,
        lookup: Callable[[str], PublicIdentity],
        transport: Transport,
    ) -> None:
        self._identity = identity
        self._federation = federation
        self._lookup = lookup
        self._transport = transport
        self._sequence = 0
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(sender, kind, fields)` for every event that reaches this agent, on the agent's thread."""
        self._listeners.append(listener)

    def tell(self, now_s: float, incarnation: int, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Sign and publish events; whoever is not connected misses them."""
        sent_at_ms = int(now_s * 1000)
        for kind, fields in events:
            frame = sign_event(
                self._identity,
                federation=self._federation,
                session=str(fields.get("job", "")),
                incarnation=incarnation,
                sequence=self._sequence,
                kind=kind,
                schema=wire.AGENT_SCHEMA,
                sent_at_ms=sent_at_ms,
                expires_at_ms=sent_at_ms + EXPIRY_MS,
                body=encode(fields),
            )
            self._sequence += 1
            self._transport.publish(routing_key(self._identity.name, EVERYBODY, "event"), frame, -1)

    def hear(self, now_s: float, delivery: Delivery) -> None:
        """Tell the listeners of an event; one that is none of a member's is passed over."""
        if not self._listeners:
            return
        try:
            event = open_event(
                delivery.body, federation=self._federation, lookup=self._lookup, now_ms=int(now_s * 1000)
            )
            fields = decode(event.body)
        except Refused as error:
            log.debug("%s: passed over an event: %s", self._identity.name, error)
            return
        if isinstance(fields, dict):
            for listener in self._listeners:
                listener(event.header.sender, event.header.kind, fields)
