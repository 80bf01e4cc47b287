"""Values that many tests start from: two agents, one message, and a roster."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hansa.broker import Header, Identity, Message, PublicIdentity, UnknownSender, seal_message, sign_event

FEDERATION = "hanse"
NOW_MS = 1_800_000_000_000

# Vary one field per test: `seal(kind="other")`.
FIELDS: Mapping[str, Any] = {
    "federation": FEDERATION,
    "session": "job-1",
    "incarnation": 1,
    "sequence": 0,
    "kind": "greeting",
    "schema": 1,
    "sent_at_ms": NOW_MS,
    "expires_at_ms": NOW_MS + 60_000,
    "body": b"moin",
}


@cache
def agent(name: str) -> Identity:
    """Return the same keys for the same name, for the length of the run."""
    return Identity.generate(name)


def roster(*names: str) -> Callable[[str], PublicIdentity]:
    """Return a lookup that knows these agents."""

    def lookup(name: str) -> PublicIdentity:
        if name not in names:
            raise UnknownSender(name)
        return agent(name).public

    return lookup


def seal(sender: str = "alice", recipient: str = "bob", **changes: Any) -> bytes:
    """Return a frame from one agent to another."""
    return seal_message(agent(sender), agent(recipient).public, **{**FIELDS, **changes})


def announce(sender: str = "alice", **changes: Any) -> bytes:
    """Return an event's frame."""
    return sign_event(agent(sender), **{**FIELDS, **changes})


def header(**changes: Any) -> Header:
    """Return a header as `open_message` gives it."""
    fields = {name: value for name, value in FIELDS.items() if name != "body"}
    rest = {"sender": "alice", "recipient": "bob", "payload_bytes": 4, "payload_digest": bytes(32)}
    return Header(**{**fields, **rest, **changes})


def message(sequence: int, digest: str = "", body: bytes = b"moin", **changes: Any) -> Message:
    """Return an opened message whose digest follows from its number, unless another is named."""
    return Message(header(sequence=sequence, **changes), body, (digest or f"digest {sequence}").encode())
