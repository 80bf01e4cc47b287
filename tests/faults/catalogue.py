"""What can break? Every fault of the table."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pika.adapters.blocking_connection import BlockingChannel

from hansa.broker import parse_key
from hansa.ledger import LedgerStore
from tests import postgres, servers
from tests.cluster import Cluster
from tests.faults.fleet import AGENTS, KEEPER, PARTIES, ROUNDS, Stuck
from tests.faults.reckoning import Ending
from tests.faults.tap import tapped
from tests.faults.trial import Fault, Harm
from tests.faults.tripwire import OF_THE_KEEPER, POINTS, Tripwire

BRIEF_S = 3.0
NODE_LOST = "one node of three lost (the queue's leader), and back"
DATABASE_RESTARTED = "PostgreSQL restarted under two ledgers"
SLOW_BYTES_PER_S = 150_000.0


def nothing(_: Harm) -> None:
    """Leave the job alone."""


# --- processes -------------------------------------------------------------------------------------------
def dies(who: str, point: str) -> Fault:
    """SIGKILL at a point of an agent's step, in the middle of a round, then a restart."""

    def strike(harm: Harm) -> None:
        name = _victim(harm, who)
        wire = _instant(harm, name, point)
        harm.fleet.stretch(name, wire)
        harm.notes.append(f"{name}: {wire}")
        harm.fleet.until(
            lambda: harm.fleet.killed(name) or bool(harm.fleet.look(KEEPER, harm.job).get("outcome")),
            f"{name} dies",
        )
        if not harm.fleet.killed(name):
            harm.fleet.kill(name)  # the wire must not wait for the next job
            harm.bring_back(name)
            raise Stuck(f"{name} outlived the job: nothing was tried")
        harm.bring_back(name)

    return Fault(f"{who} killed {point}", strike)


def _instant(harm: Harm, name: str, point: str) -> Tripwire:
    if name != KEEPER and POINTS[point][0] is LedgerStore:
        return Tripwire(
            point, harm.dice.randrange(1, ROUNDS // 2), 1
        )  # it hears of the ledger twice a second
    return Tripwire(point, harm.dice.randrange(2, ROUNDS - 2), harm.dice.randrange(1, 4))


def killed_somewhere(who: str) -> Fault:
    """SIGKILL from outside, at any instant, then a restart."""

    def strike(harm: Harm) -> None:
        name = _victim(harm, who)
        harm.at_some_instant()
        harm.fleet.kill(name)
        harm.bring_back(name)

    return Fault(f"{who} killed at any instant", strike)


def everybody_killed(harm: Harm) -> None:
    """SIGKILL to all agents at once."""
    harm.at_some_instant()
    for name in AGENTS:
        harm.fleet.kill(name)
    harm.doubtful()
    for name in AGENTS:
        harm.fleet.start(name)
    harm.take_time()


def gone_for_good(quorum: int) -> Fault:
    """A party is killed and does not come back before the end; the others go on, or say that they can't."""
    ending = Ending(
        "finished" if quorum < len(PARTIES) else "aborted", frozenset({PARTIES[-1]}), same_model=False
    )

    def strike(harm: Harm) -> None:
        name = PARTIES[-1]
        harm.fleet.until_round(harm.job, 1)
        harm.fleet.kill(name)
        harm.doubtful()
        harm.fleet.until_over(harm.job, [agent for agent in AGENTS if agent != name])
        harm.bring_back(name)  # and learns how it ended

    return Fault(
        f"party gone for good, quorum {quorum} of {len(PARTIES)}",
        strike,
        ending,
        {"rounds": 4, "quorum": quorum, "deadline_s": 3.0},
    )


def restored(who: str) -> Fault:
    """A home is lost in the middle of a job and restored from a backup of a round before."""
    name = KEEPER if who == "aggregator" else PARTIES[-1]
    ending = Ending("aborted") if name == KEEPER else Ending("finished", frozenset({name}))

    def strike(harm: Harm) -> None:
        harm.at_some_instant()
        file = harm.fleet.back_up(name)
        harm.fleet.until_round(harm.job, harm.fleet.look(KEEPER, harm.job)["round"] + 1)
        harm.fleet.kill(name)
        harm.older.add(name)
        harm.fleet.restore(name, file)
        harm.bring_back(name)

    return Fault(
        f"{who} restored from a backup",
        strike,
        replace(ending, same_model=False),
        {"quorum": len(PARTIES) - 1},
    )


def _victim(harm: Harm, who: str) -> str:
    return KEEPER if who == "aggregator" else harm.dice.choice(PARTIES)


# --- the broker ------------------------------------------------------------------------------------------
class Broker:
    """A node that may be hurt, and the faults that do it."""

    def __init__(self, node: servers.Node) -> None:
        self.node = node

    def faults(self, stopped_s: float) -> Iterator[Fault]:
        """Yield them.

        Args:
            stopped_s: for how long the broker is stopped.
        """
        yield Fault("broker killed mid-confirm, restarted", self._killed)
        yield Fault(f"broker stopped for {stopped_s:g} s", lambda harm: self._stopped(harm, stopped_s))
        yield Fault("broker under memory alarm", self._alarmed)

    def _killed(self, harm: Harm) -> None:
        harm.at_some_instant()
        self.node.kill()
        harm.doubtful()
        self.node = servers.launch(self.node)
        servers.await_boot([self.node])
        harm.take_time()

    # The broker's command line takes seconds to act: they begin with the job, to act in the middle of it.
    def _stopped(self, harm: Harm, stopped_s: float) -> None:
        self.node.control("stop_app")
        harm.doubtful()
        time.sleep(stopped_s)
        self.node.control("start_app")
        harm.take_time()

    def _alarmed(self, harm: Harm) -> None:
        self.node.control("set_vm_memory_high_watermark", "0")
        try:
            harm.fleet.until(lambda: harm.probe.blocked, "publishers are blocked")
            time.sleep(BRIEF_S)
            harm.doubtful()
        finally:
            self.node.control("set_vm_memory_high_watermark", "0.4")
        harm.take_time()


def node_lost(cluster: Cluster) -> Fault:
    """The node that leads the aggregator's queue is killed; the job goes on without it; it comes back."""

    def strike(harm: Harm) -> None:
        leader = cluster.leader(harm.fleet.name, f"{KEEPER}.control")
        harm.notes.append(f"node {leader} led {KEEPER}.control")
        harm.at_some_instant()
        cluster.kill(leader)
        try:
            harm.doubtful()
            harm.take_time()
            harm.fleet.until_round(harm.job, harm.fleet.look(KEEPER, harm.job)["round"] + 2)
        finally:
            cluster.restart(leader)
        harm.fleet.until_ready(AGENTS)

    return Fault(NODE_LOST, strike)


def database_restarted(server: postgres.Server) -> Fault:
    """The database under the aggregator's ledger and a party's crashes, and is started again."""

    def strike(harm: Harm) -> None:
        harm.at_some_instant()
        server.stop()
        harm.doubtful()
        time.sleep(harm.dice.uniform(0.0, BRIEF_S))
        postgres.start(Path(server.folder), earlier=server)
        harm.take_time((KEEPER, PARTIES[0]))

    return Fault(DATABASE_RESTARTED, strike)


# --- the network -----------------------------------------------------------------------------------------
def network_faults() -> Iterator[Fault]:
    """Yield what happens to connections."""
    yield Fault("connections reset, everybody's", _reset)
    for who in ("party", "aggregator"):
        yield Fault(f"{who}'s connection cut for {BRIEF_S:g} s", partial(_cut, who))
        yield Fault(f"{who}'s connection silent for {BRIEF_S:g} s", partial(_frozen, who))
        yield Fault(f"{who}'s connection slow", partial(_slow, who))


def _reset(harm: Harm) -> None:
    for _ in range(3):
        time.sleep(harm.dice.uniform(0.0, 1.0))
        for name in harm.fleet.proxies:
            harm.fleet.proxies[name].reset()
        harm.doubtful()
        harm.take_time()


def _cut(who: str, harm: Harm) -> None:
    name = _victim(harm, who)
    harm.at_some_instant()
    harm.fleet.proxies[name].cut()
    harm.doubtful()
    time.sleep(BRIEF_S)
    harm.fleet.proxies[name].refusing = False
    harm.take_time((name,))


def _frozen(who: str, harm: Harm) -> None:
    name = _victim(harm, who)
    harm.at_some_instant()
    harm.fleet.proxies[name].freeze()
    time.sleep(BRIEF_S)
    harm.doubtful()
    harm.fleet.proxies[name].thaw()
    harm.take_time((name,))


def _slow(who: str, harm: Harm) -> None:
    name = _victim(harm, who)
    harm.at_some_instant()
    harm.fleet.proxies[name].slow(SLOW_BYTES_PER_S)
    harm.fleet.until_round(harm.job, harm.fleet.look(KEEPER, harm.job).get("round", 0) + 2)
    harm.fleet.proxies[name].slow(0.0)


# --- the same bytes again --------------------------------------------------------------------------------
def replayed(port: Callable[[], int]) -> Fault:
    """The broker's administrator delivers every message of the job a second time."""

    def strike(harm: Harm) -> None:
        seen: set[bytes] = set()

        def again(channel: BlockingChannel, key: str, body: bytes) -> None:
            with suppress(ValueError):  # not a key between agents
                if parse_key(key)[2] != "event" and body not in seen:
                    seen.add(body)
                    channel.basic_publish(harm.fleet.name, key, body)

        with tapped(harm.fleet.name, port(), again):
            harm.fleet.until_over(harm.job)
        harm.notes.append(f"{len(seen)} messages delivered twice")

    return Fault("the same bytes delivered twice", strike)


# --- the table -------------------------------------------------------------------------------------------
def kills() -> Iterator[Fault]:
    """Yield every way for a process to die and come back."""
    for point in POINTS:
        if point not in OF_THE_KEEPER:
            yield dies("party", point)
        yield dies("aggregator", point)
    yield killed_somewhere("party")
    yield killed_somewhere("aggregator")
    yield Fault("everybody killed at once", everybody_killed)
