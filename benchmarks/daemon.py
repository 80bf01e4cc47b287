"""What does an agent's daemon cost, and how soon is it back?

`hansa agent run` in processes of their own over a private RabbitMQ node: from start to served by the broker; CPU
and memory with nothing to do; and in a job of 4 parties × 1 M float32, in which every round needs every party, from
the death of a party, of the coordinator or of the broker until the next round that needed it has ended. Moments are
read from the daemons' logs.

    python -m benchmarks --only daemon
"""

import os
import random
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.fleet import PARAMETERS, PARTIES, Daemon, Fleet, fleet
from benchmarks.report import Row, Spread, median_of
from tests import servers

STARTS, QUICK_STARTS = 5, 2
IDLE_S, QUICK_IDLE_S = 20.0, 3.0
SETTLE_S = 2.0  # after the start, before the idle seconds begin
TRIALS, QUICK_TRIALS = 7, 1
BROKER_TRIALS = 3
ROUNDS = 5_000  # more than the trials last
MIB = 2**20
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Idle:
    """An agent with nothing to do."""

    cpu_percent: float  # of one core
    rss_mib: float


def starts(daemon: Daemon, times: int) -> Spread:
    """Start and kill a daemon; return the seconds until the broker serves it."""
    seconds = []
    for _ in range(times):
        daemon.kill()
        daemon.start()
        seconds.append(daemon.ready())
    return median_of(seconds)


def idle(daemon: Daemon, seconds: float) -> Idle:
    """Watch a daemon that has nothing to do."""
    time.sleep(SETTLE_S)
    began, used = time.monotonic(), _cpu_s(daemon.pid)
    time.sleep(seconds)
    share = (_cpu_s(daemon.pid) - used) / (time.monotonic() - began)
    return Idle(100 * share, _rss(daemon.pid) / MIB)


def recoveries(ours: Fleet, victim: Daemon, times: int, dice: random.Random) -> list[float]:
    """Kill a daemon in a round, start it at once; return the seconds from its death to the end of the long pause.

    The round under way may still end without the victim, if all it had to do for it was done; the next can't.
    """
    seconds = []
    for _ in range(times):
        _let_rounds_pass(ours)
        time.sleep(dice.uniform(0.0, 0.05))
        died = time.time()
        victim.kill()
        victim.start()
        ours.next_close(died + victim.ready())
        closes = [died, *(at for at in ours.keeper.closes() if at > died)]
        _, end = max(pairwise(closes), key=lambda pause: pause[1] - pause[0])
        seconds.append(end - died)
    return seconds


def broker_recoveries(ours: Fleet, times: int) -> tuple[list[float], list[float]]:
    """Kill the broker, start it on its data; return seconds from its answering to a round's end, and without it."""
    seconds, away = [], []
    node = ours.where.node
    try:
        for _ in range(times):
            _let_rounds_pass(ours)
            died = time.time()
            node.kill()
            node = servers.start(ours.where.folder / "rabbitmq", earlier=node)
            back = time.time()
            seconds.append(ours.next_close(back) - back)
            away.append(back - died)
    finally:
        node.kill()  # the town knows only its first process
    return seconds, away


def _let_rounds_pass(ours: Fleet, count: int = 2) -> None:
    ours.wait_for_rounds(len(ours.keeper.closes()) + count)


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss(pid: int) -> int:
    """Return a process's resident bytes."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(quick: bool) -> list[Row]:
    """Return the rows: start, idle, and the three deaths."""
    trials = QUICK_TRIALS if quick else TRIALS
    dice = random.Random(1)
    with fleet() as ours:
        party = ours.parties[0]
        started = starts(party, QUICK_STARTS if quick else STARTS)
        rest = idle(party, QUICK_IDLE_S if quick else IDLE_S)
        party.kill()
        ours.begin(ROUNDS)
        ours.wait_for_rounds(3)
        rounds = _round_s(ours)
        parties = recoveries(ours, ours.parties[1], trials, dice)
        keepers = recoveries(ours, ours.keeper, trials, dice)
        brokers, away = broker_recoveries(ours, 1 if quick else BROKER_TRIALS)
    job = f"{len(PARTIES)} parties × {PARAMETERS:,} float32, every party in every round, a round in {rounds:.2f} s"
    return [
        Row("agent: start until the broker serves it", str(started), note="Python and imports included"),
        Row(
            "agent, idle",
            f"{rest.cpu_percent:.1f} % of a core, {rest.rss_mib:.0f} MiB",
            note=f"over {QUICK_IDLE_S if quick else IDLE_S:.0f} s, resident memory at the end",
        ),
        _row("a party killed in a round, started at once: until a round ends", parties, job),
        _row("the coordinator killed in a round, started at once: until a round ends", keepers, job),
        _row(
            "the broker killed and restarted: from its answering until a round ends",
            brokers,
            f"{job}; the broker was away for {statistics.median(away):.1f} s",
        ),
    ]


def _round_s(ours: Fleet) -> float:
    closes = ours.wait_for_rounds(len(ours.keeper.closes()) + 5)[-6:]
    return (closes[-1] - closes[0]) / (len(closes) - 1)


def _row(name: str, seconds: list[float], note: str) -> Row:
    """Return median and worst of several trials."""
    measured = f"{statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s, {len(seconds)} trials"
    return Row(name, measured, note=note)
