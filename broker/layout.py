"""What stands on the broker for one federation, and who may touch it?

One virtual host and in it one topic exchange, both named after the federation. Per agent:

    <agent>.control   durable quorum queue   *.<agent>.control
    <agent>.data      durable quorum queue   *.<agent>.data
    <agent>.events    quorum, short-lived    *.all.event  and  <agent>.<agent>.takeover
    <agent>.join      durable quorum queue   *.<agent>.join
    <agent>.dead      durable quorum queue   what the agent rejected, or what came back too often

Each queue hands messages to one consumer at a time. When a second connection of an agent appears, it says
so under ``<agent>.<agent>.takeover``, which only that agent's user can publish; the first hears it and leaves.
Agents declare and bind nothing, so events have a provisioned queue too: it keeps a minute's worth. It is a
quorum queue like the others: a classic one goes with its node, and its agent could not connect meanwhile.

Whoever is invited comes in by a door: a temporary user ``join-<8 hex digits>`` that may publish
``<door>.<keeper>.join``, read ``<door>.control``, and do nothing else. No member's name begins like that.

Written for RabbitMQ 3.10 and 4.x: no transient queues, no global prefetch, an explicit delivery limit.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from hansa.broker.errors import BadName
from hansa.broker.identity import EVERYBODY, check_name
from hansa.broker.topics import Traffic

LANES: tuple[Traffic, ...] = ("control", "data", "event", "join")

DELIVERY_LIMIT = 100  # 4.x's default of 20 would bury good messages on a night of a flapping link
QUEUE_BYTES = 8 * 2**30  # of one queue, then publishers are told to come again later
DEAD_BYTES = 256 * 2**20  # of one agent's dead letters, then the oldest go
EVENT_TTL_MS = 60_000
EVENT_COUNT = 10_000
JOIN_COUNT = 1_000  # requests that wait for one keeper
JOIN_TTL_MS = 7 * 86_400_000
DOOR_COUNT = 100  # answers that wait behind one door, then the oldest go
DOOR_UNUSED_MS = 31 * 86_400_000  # longer than any invitation holds; then the broker removes the queue

DOOR_PREFIX = "join-"
_DOOR = re.compile(rf"{DOOR_PREFIX}[0-9a-f]{{8}}")

Table: TypeAlias = dict[str, str | int | bool]


def exchange(federation: str) -> str:
    """Return the exchange's name, which is also the virtual host's."""
    return check_name(federation)


def dead_exchange(federation: str) -> str:
    """Return where dead letters go."""
    return f"{exchange(federation)}.dead"


def queue(agent: str, lane: Traffic) -> str:
    """Return the name of the queue an agent reads for one class of traffic."""
    return f"{check_name(agent)}.{'events' if lane == 'event' else lane}"


def dead_queue(agent: str) -> str:
    """Return where an agent's dead letters are kept."""
    return f"{check_name(agent)}.dead"


def check_member(name: str) -> str:
    """Return the name of somebody who may be a member, unchanged; BadName if it is none, or like a door's."""
    if check_name(name).startswith(DOOR_PREFIX):
        raise BadName(f"names that begin with {DOOR_PREFIX!r} are for doors, not for members: {name!r}")
    return name


def is_door(name: str) -> bool:
    """Say whether this is the name of a temporary user who asks to join."""
    return _DOOR.fullmatch(name) is not None


def takeover_key(agent: str) -> str:
    """Return the key under which an agent's newer connection speaks to its older."""
    return f"{check_name(agent)}.{agent}.takeover"


def user(federation: str, agent: str) -> str:
    """Return the broker's name for an agent; users belong to a whole broker, not to one virtual host."""
    return f"{exchange(federation)}.{check_name(agent)}"


def description(owner: str) -> str:
    """Return how a federation's virtual host is described, for whoever runs the broker, and for us to know it.

    Args:
        owner: fingerprint of its keeper's first keys.
    """
    return f"hansa, kept by {owner}"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to declare, and what it is bound to."""

    name: str
    arguments: Table
    bindings: tuple[tuple[str, str], ...]  # exchange, key


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings by pattern: unlike a queue's arguments they can be changed later."""

    name: str
    pattern: str
    definition: Table
    priority: int = 0  # of two that match a queue, the higher counts


@dataclass(frozen=True, slots=True)
class Rights:
    """What an agent's user may do, as regular expressions over names and, for topics, over keys."""

    configure: str
    write: str
    read: str
    topic_write: str
    topic_read: str


def queues(federation: str, agent: str) -> tuple[Queue, ...]:
    """Return an agent's queues."""
    house, dead = exchange(federation), dead_exchange(federation)
    quorum: Table = {"x-queue-type": "quorum"}
    single: Table = {"x-single-active-consumer": True}
    return (
        Queue(queue(agent, "control"), quorum | single, ((house, f"*.{agent}.control"),)),
        Queue(queue(agent, "data"), quorum | single, ((house, f"*.{agent}.data"),)),
        Queue(
            queue(agent, "event"),
            quorum | single,
            ((house, f"*.{EVERYBODY}.event"), (house, takeover_key(agent))),
        ),
        Queue(queue(agent, "join"), quorum | single, ((house, f"*.{agent}.join"),)),
        Queue(dead_queue(agent), quorum, ((dead, f"*.{agent}.*"),)),
    )


def door_queues(federation: str, door: str, keeper: str) -> tuple[Queue, ...]:
    """Return the one queue behind a door; only the keeper's words get there."""
    key = f"{check_name(keeper)}.{door}.control"
    return (Queue(queue(door, "control"), {"x-queue-type": "quorum"}, ((exchange(federation), key),)),)


def policies(federation: str) -> tuple[Policy, ...]:
    """Return the federation's policies.

    Dead letters are moved at least once, which asks for ``reject-publish``: a full queue refuses new messages
    rather than dropping old ones, and the publisher keeps them in its outbox.
    """
    return (
        Policy(
            "mailboxes",
            r"\.(control|data)$",
            {
                "delivery-limit": DELIVERY_LIMIT,
                "max-length-bytes": QUEUE_BYTES,
                "overflow": "reject-publish",
                "dead-letter-exchange": dead_exchange(federation),
                "dead-letter-strategy": "at-least-once",
            },
        ),
        # No dead letters: what strangers send must not push out what members sent.
        Policy(
            "requests",
            r"\.join$",
            {
                "delivery-limit": DELIVERY_LIMIT,
                "max-length": JOIN_COUNT,
                "message-ttl": JOIN_TTL_MS,
                "overflow": "reject-publish",
            },
        ),
        Policy(
            "doors",
            rf"^{_DOOR.pattern}\.control$",
            {"max-length": DOOR_COUNT, "overflow": "drop-head", "expires": DOOR_UNUSED_MS},
            priority=1,
        ),
        Policy("events", r"\.events$", {"message-ttl": EVENT_TTL_MS, "max-length": EVENT_COUNT}),
        # Looking at a dead letter and putting it back counts as a delivery; 4.x would drop it after 20 looks.
        Policy("dead-letters", r"\.dead$", {"max-length-bytes": DEAD_BYTES, "delivery-limit": 1_000_000}),
    )


def rights(federation: str, agent: str) -> Rights:
    """Return the least an agent can work with: read its own queues, publish under its own name."""
    return Rights(
        configure="^$",
        write=f"^{exchange(federation)}$",
        read=rf"^{check_name(agent)}\.(control|data|events|join|dead)$",
        topic_write=rf"^{agent}\.",
        topic_read="^$",
    )


def door_rights(federation: str, door: str, keeper: str) -> Rights:
    """Return what whoever is invited may do before anybody has admitted it: ask the keeper, and hear it."""
    return Rights(
        configure="^$",
        write=f"^{exchange(federation)}$",
        read=rf"^{check_name(door)}\.control$",
        topic_write=rf"^{door}\.{check_name(keeper)}\.join$",
        topic_read="^$",
    )
