"""What stands on the broker for one federation, and who may touch it?

One virtual host and in it one topic exchange, both named after the federation. Per agent:

    <agent>.control   durable quorum queue   *.<agent>.control
    <agent>.data      durable quorum queue   *.<agent>.data
    <agent>.events    durable, short-lived   *.all.event  and  <agent>.<agent>.takeover
    <agent>.dead      durable quorum queue   what the agent rejected, or what came back too often

Each queue hands messages to one consumer at a time. When a second connection of an agent appears, it says
so under ``<agent>.<agent>.takeover``, which only that agent's user can publish; the first hears it and leaves.
Agents declare and bind nothing, so events have a provisioned queue too: it keeps a minute's worth.

Written for RabbitMQ 3.10 and 4.x: no transient queues, no global prefetch, an explicit delivery limit.
"""

from dataclasses import dataclass
from typing import TypeAlias

from hansa.broker.identity import EVERYBODY, check_name
from hansa.broker.topics import Traffic

LANES: tuple[Traffic, ...] = ("control", "data", "event")

DELIVERY_LIMIT = 100  # 4.x's default of 20 would bury good messages on a night of a flapping link
QUEUE_BYTES = 8 * 2**30  # of one queue, then publishers are told to come again later
DEAD_BYTES = 256 * 2**20  # of one agent's dead letters, then the oldest go
EVENT_TTL_MS = 60_000
EVENT_COUNT = 10_000

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


def takeover_key(agent: str) -> str:
    """Return the key under which an agent's newer connection speaks to its older."""
    return f"{check_name(agent)}.{agent}.takeover"


def user(federation: str, agent: str) -> str:
    """Return the broker's name for an agent; users belong to a whole broker, not to one virtual host."""
    return f"{exchange(federation)}.{check_name(agent)}"


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


@dataclass(frozen=True, slots=True)
class Rights:
    """What an agent's user may do, as regular expressions over names and, for topics, over keys."""

    configure: str
    write: str
    read: str
    topic_write: str
    topic_read: str


def queues(federation: str, agent: str) -> tuple[Queue, ...]:
    """Return an agent's four queues."""
    house, dead = exchange(federation), dead_exchange(federation)
    quorum: Table = {"x-queue-type": "quorum"}
    classic: Table = {"x-queue-type": "classic"}
    single: Table = {"x-single-active-consumer": True}
    return (
        Queue(queue(agent, "control"), quorum | single, ((house, f"*.{agent}.control"),)),
        Queue(queue(agent, "data"), quorum | single, ((house, f"*.{agent}.data"),)),
        Queue(
            queue(agent, "event"),
            classic | single,
            ((house, f"*.{EVERYBODY}.event"), (house, takeover_key(agent))),
        ),
        Queue(dead_queue(agent), quorum, ((dead, f"*.{agent}.*"),)),
    )


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
        Policy("events", r"\.events$", {"message-ttl": EVENT_TTL_MS, "max-length": EVENT_COUNT}),
        # Looking at a dead letter and putting it back counts as a delivery; 4.x would drop it after 20 looks.
        Policy("dead-letters", r"\.dead$", {"max-length-bytes": DEAD_BYTES, "delivery-limit": 1_000_000}),
    )


def rights(federation: str, agent: str) -> Rights:
    """Return the least an agent can work with: read its own queues, publish under its own name."""
    return Rights(
        configure="^$",
        write=f"^{exchange(federation)}$",
        read=rf"^{check_name(agent)}\.(control|data|events|dead)$",
        topic_write=rf"^{agent}\.",
        topic_read="^$",
    )
