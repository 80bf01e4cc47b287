"""Every fault after the other, each on a federation that is at work: the whole table, or a part of it."""

import random
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from hansa.broker import Management
from tests import servers
from tests.cluster import clustered
from tests.faults import catalogue, trial
from tests.faults.fleet import Fleet
from tests.faults.reckoning import Result
from tests.faults.trial import Fault

UNDISTURBED = Fault("undisturbed", catalogue.nothing)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to try.

    Attributes:
        seed: of every choice.
        times: how often each fault strikes.
        stopped_s: for how long the broker is stopped.
        only: words, one of which a fault's name must contain; empty for all.
    """

    seed: int
    times: int
    stopped_s: float
    only: tuple[str, ...] = ()

    def wants(self, fault: Fault) -> bool:
        """Whether this fault is to be tried."""
        return not self.only or any(word in fault.name for word in self.only)


Say = Callable[[Result], None]


def on_one_node(folder: Path, plan: Plan, say: Say) -> list[Result]:
    """Try what needs no more than one broker."""
    broker = catalogue.Broker(servers.start(folder / "rabbitmq"))
    try:
        faults = [
            *catalogue.kills(),
            *broker.faults(plan.stopped_s),
            *catalogue.network_faults(),
            catalogue.replayed(lambda: broker.node.port),
            catalogue.gone_for_good(2),
            catalogue.gone_for_good(3),
        ]
        management = Management.from_url(broker.node.management_url)
        return _series(
            lambda number: Fleet(folder / f"fleet-{number}", [broker.node.port], management),
            faults,
            plan,
            say,
        )
    finally:
        broker.node.kill()


def on_a_cluster(folder: Path, plan: Plan, say: Say) -> list[Result]:
    """Try what happens to one node of three."""
    fault = catalogue.node_lost
    with clustered(folder / "cluster") as cluster:
        ports = [node.port for node in cluster.nodes.values()]
        management = cluster.management()
        return _series(
            lambda number: Fleet(folder / f"fleet-{number}", ports, management), [fault(cluster)], plan, say
        )


def _series(found: Callable[[int], Fleet], faults: Iterable[Fault], plan: Plan, say: Say) -> list[Result]:
    """Try faults on one fleet; a fleet that something unexpected has happened to is replaced."""
    wanted = [fault for fault in faults if plan.wants(fault)]
    results: list[Result] = []
    fleets = _fleets(found)
    fleet = next(fleets)
    try:
        calm = trial.run(fleet, UNDISTURBED, 1, random.Random(), "")
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
