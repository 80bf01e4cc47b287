"""Every fault after the other, each on a federation that is at work: the whole table, or a part of it."""

import random
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from hansa.broker import Management
from tests import postgres, servers
from tests.cluster import clustered
from tests.faults import catalogue, trial
from tests.faults.fleet import KEEPER, PARTIES, Fleet
from tests.faults.reckoning import Result
from tests.faults.trial import Fault


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to try.

    Attributes:
        seed: of every choice.
        times: how often each fault strikes.
        stopped_s: for how long the broker is stopped.
        only: words, one of which a fault's name must contain; empty for all.
        kills: how many of the ways to kill a process, drawn by the seed; None for all.
    """

    seed: int
    times: int
    stopped_s: float
    only: tuple[str, ...] = ()
    kills: int | None = None

    def wants(self, fault: str) -> bool:
        """Whether a fault of this name is to be tried."""
        return not self.only or any(word in fault for word in self.only)

    def drawn(self, kills: Iterable[Fault]) -> list[Fault]:
        """Return as many ways to kill a process as are to be tried."""
        everything = list(kills)
        return everything if self.kills is None else random.Random(self.seed).sample(everything, self.kills)


Say = Callable[[Result], None]


def on_one_node(folder: Path, plan: Plan, say: Say) -> list[Result]:
    """Try what needs no more than one broker."""
    broker = catalogue.Broker(servers.start(folder / "rabbitmq"))
    try:
        faults = [
            *plan.drawn(catalogue.kills()),
            *broker.faults(plan.stopped_s),
            *catalogue.network_faults(),
            catalogue.replayed(lambda: broker.node.port),
            catalogue.gone_for_good(2),
            catalogue.gone_for_good(3),
            catalogue.restored("party"),
            catalogue.restored("aggregator"),
        ]
        management = Management.from_url(broker.node.management_url)
        return _series(
            "one broker",
            lambda number: Fleet(folder / f"fleet-{number}", [broker.node.port], management),
            faults,
            plan,
            say,
        )
    finally:
        broker.node.kill()


def on_a_cluster(folder: Path, plan: Plan, say: Say) -> list[Result]:
    """Try what happens to one node of three."""
    if not plan.wants(catalogue.NODE_LOST):
        return []
    with clustered(folder / "cluster") as cluster:
        ports = [node.port for node in cluster.nodes.values()]
        management = cluster.management()
        return _series(
            "a broker of three nodes",
            lambda number: Fleet(folder / f"fleet-{number}", ports, management),
            [catalogue.node_lost(cluster)],
            plan,
            say,
        )


def on_postgresql(folder: Path, plan: Plan, say: Say) -> list[Result]:
    """Try what happens to a database that ledgers lie in."""
    if not plan.wants(catalogue.DATABASE_RESTARTED):
        return []
    node = servers.start(folder / "rabbitmq")
    try:
        with postgres.private() as server:

            def found(number: int) -> Fleet:
                ledgers = {name: server.address(server.create()) for name in (KEEPER, PARTIES[0])}
                management = Management.from_url(node.management_url)
                return Fleet(folder / f"fleet-{number}", [node.port], management, ledgers)

            return _series("ledgers on PostgreSQL", found, [catalogue.database_restarted(server)], plan, say)
    finally:
        node.kill()


def _series(
    where: str, found: Callable[[int], Fleet], faults: Iterable[Fault], plan: Plan, say: Say
) -> list[Result]:
    """Try faults on one fleet; a fleet that something unexpected has happened to is replaced."""
    wanted = [fault for fault in faults if plan.wants(fault.name)]
    results: list[Result] = []
    if not wanted:
        return results
    fleets = _fleets(found)
    fleet = next(fleets)
    try:
        calm = trial.run(fleet, Fault(f"undisturbed, {where}", catalogue.nothing), 1, random.Random(), "")
        say(calm)
        results.append(calm)
        for fault in wanted:
            result: Result | None = None
            for number in range(1, plan.times + 1):
                dice = random.Random(f"{plan.seed} {fault.name} {number}")
                once = trial.run(fleet, fault, number, dice, calm.model)
                result = once if result is None else result + once
                if not once.tally.clean:
                    fleet = next(fleets)
            assert result is not None
            say(result)
            results.append(result)
        return results
    finally:
        fleets.close()


def _fleets(found: Callable[[int], Fleet]) -> Generator[Fleet, None, None]:
    """Yield a running fleet after the other; the one before is ended."""
    number = 0
    while True:
        number += 1
        fleet = found(number)
        try:
            fleet.start_all()
            yield fleet
        finally:
            fleet.close()


PARTS = (on_one_node, on_postgresql, on_a_cluster)
