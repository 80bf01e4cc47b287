"""One agent that sends or receives, in a process of its own: `python -m benchmarks.correspondent`.

The whole stack of an agent works here (`Agent.step`: seal, sign, journal, publish, confirm; verify, open, order,
journal, acknowledge), except that no job's machine waits at the end: a message that arrived is counted.

Told: {"home"}; then, as often as wanted, {"send": messages, "to", "floats": of each, "backlog": at most so
many unconfirmed} or {"receive": messages}. Answers {"ready"} once, then {"began", "ended", "commits"} for each, by
the system's monotonic clock, which all processes share.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hansa.agents.core.agent import Agent
from hansa.agents.core.journal import Changes, SqliteJournal
from hansa.agents.home import JOURNAL, Home
from hansa.agents.memory import keep_freed_memory
from hansa.broker import AmqpTransport
from hansa.protocols import Evaluation
from hansa.protocols.horizontal.fedavg import Update

SESSION = "benchmark"
READY_S = 30.0
PAUSE_S = 0.5
EVALUATION = Evaluation(1, 1.0, 0.5, "accuracy")


class CountingJournal(SqliteJournal):
    """Counts its commits."""

    commits = 0

    def commit(self, changes: Changes) -> None:
        super().commit(changes)
        self.commits += 1


class Correspondent(Agent):
    """An agent whose updates belong to no job: counted where a job's machine would get them."""

    received = 0

    def send(self, recipient: str, update: Update) -> None:
        """Post a message with the next step."""
        self._post(SESSION, recipient, update)

    def _expects(self, session: str) -> bool:
        return session == SESSION or super()._expects(session)

    def _act_on(self, session: str, sender: str, message: object) -> None:
        if isinstance(message, Update):
            self.received += 1
        else:
            super()._act_on(session, sender, message)


def open_agent(home: Home) -> tuple[Correspondent, CountingJournal, AmqpTransport]:
    """Build the agent of a home, connected."""
    keep_freed_memory()
    identity, config = home.identity(), home.config()
    journal = CountingJournal(home.path / JOURNAL, identity.home_key())
    transport = AmqpTransport(home.address(), config.federation.id, identity.name)
    transport.ready(READY_S)
    agent = Correspondent(
        identity=identity,
        config=config,
        journal=journal,
        files=home.files(),
        store=home.store(),
        transport=transport,
        executor=ThreadPoolExecutor(1),
    )
    return agent, journal, transport


def pause(agent: Agent, transport: AmqpTransport) -> None:
    """Sleep until there is something to step for."""
    due = agent.next_due()
    transport.wait(PAUSE_S if due is None else min(max(due - time.time(), 0.0), PAUSE_S))


def send(agent: Correspondent, transport: AmqpTransport, order: dict[str, Any]) -> None:
    """Send messages, never more than the backlog of them unconfirmed, until all are confirmed."""
    numbers = np.random.default_rng(0).random(order["floats"], dtype=np.float32)
    sent, count = 0, order["send"]
    while sent < count or not agent.outbox.idle:
        while sent < count and agent.outbox.waiting < order["backlog"]:
            # A view is another array to the agent: sealed, digested and written anew, as each message's is.
            agent.send(order["to"], Update(1, (numbers.view(),), 1, EVALUATION))
            sent += 1
        if not agent.step() and (sent == count or agent.outbox.waiting >= order["backlog"]):
            pause(agent, transport)


def receive(agent: Correspondent, transport: AmqpTransport, count: int) -> None:
    """Take in messages until so many have been acted on, committed and acknowledged."""
    while agent.received < count:
        if not agent.step():
            pause(agent, transport)
    agent.received -= count


def main() -> None:
    """Do as told on standard input."""
    lines = map(json.loads, sys.stdin)
    told: dict[str, Any] = next(lines)
    agent, journal, transport = open_agent(Home(Path(told["home"])))
    print(json.dumps({"ready": agent.name}), flush=True)
    for order in lines:
        began, commits = time.monotonic(), journal.commits
        if "send" in order:
            send(agent, transport, order)
        else:
            receive(agent, transport, order["receive"])
        ended = time.monotonic()
        figures = {"began": began, "ended": ended, "commits": journal.commits - commits}
        print(json.dumps(figures), flush=True)
    agent.close()


if __name__ == "__main__":
    main()
