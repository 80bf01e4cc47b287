"""How long is a FedAvg round of 4 parties × 1 M float32 parameters when every organisation is a process?

hansa: five daemons, journals and array files on disk, sealed and signed messages over RabbitMQ on loopback.
Flower: its deployment runtime as documented for one machine, a SuperLink and four SuperNodes on loopback without
TLS, nothing on disk (`benchmarks.flower_network`). Both update a model by adding a constant, both are timed from
the end of one round to the end of the next, so that starting up is not in it.

    python -m benchmarks --only network_round
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import flower_network
from benchmarks.flower_peer import PeerUnavailable
from benchmarks.report import Row, Spread, at_least, median_of
from benchmarks.town import FEDERATION, KEEPER, OBSERVER, WITH_ROWS, Child, Town, town
from hansa.agents.home import Home
from hansa.agents.local import EVENTS, Member
from hansa.agents.messages import JobSpec
from hansa.broker import AmqpTransport, PublicIdentity, decode, open_event, to_plain

PARTIES = tuple(f"party-{number}" for number in range(4))
PARAMETERS = 1_000_000
ROUNDS, QUICK_ROUNDS = 24, 6
JOB_S = 150.0  # a job that has not ended by then has failed
MODEL = "untrained"


class JobFailed(Exception):
    """The job did not get as far as it should; the message is one line."""


def specification(job: str, rounds: int, quorum: int = len(PARTIES)) -> JobSpec:
    """Return a job over all parties."""
    return JobSpec(
        job=job,
        protocol="horizontal-fedavg",
        model=MODEL,
        dataset="rows",
        parties=PARTIES,
        classes=("no", "yes"),
        features=2,
        hyperparameters={},
        settings={"rounds": rounds, "quorum": quorum, "round_deadline_s": 60.0, "silence_s": 240.0},
        minimum_parties=len(PARTIES),
        consent_s=60.0,
        seed=1,
    )


def install_model(folder: Path) -> Path:
    """Write a package that brings the model, as any installed one would; return the folder for the path."""
    metadata = folder / "packages" / "untrained-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: untrained\nVersion: 1\n")
    entry = f"[hansa.models]\n{MODEL} = benchmarks.fedavg_round:untrained\n"
    (metadata / "entry_points.txt").write_text(entry)
    return metadata.parent


@dataclass(slots=True)
class Watch:
    """Hears the keeper's events, with the time at which each was heard.

    Args:
        transport: the observer's.
        keeper: whose signature counts.
    """

    transport: AmqpTransport
    keeper: PublicIdentity
    heard: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    def listen(self, until_s: float) -> None:
        """Take in what comes, waiting until then (monotonic) at most for the first."""
        self.transport.wait(max(0.0, until_s - time.monotonic()))
        now = time.monotonic()
        for delivery in self.transport.deliveries(256):
            if not delivery.routing_key.startswith(f"{KEEPER}."):
                continue
            event = open_event(
                delivery.body,
                federation=FEDERATION,
                lookup=lambda _: self.keeper,
                now_ms=int(time.time() * 1000),
            )
            fields = decode(event.body)
            assert isinstance(fields, dict)
            self.heard.append((now, event.header.kind, fields))

    def closes(self, job: str) -> list[float]:
        """Return when each round of a job ended, as heard."""
        return [at for at, kind, fields in self.heard if kind == "round-closed" and fields["job"] == job]

    def wait_for_rounds(self, job: str, count: int) -> list[float]:
        """Listen until so many rounds have ended.

        Raises:
            JobFailed: they have not.
        """
        deadline = time.monotonic() + JOB_S
        while len(closes := self.closes(job)) < count:
            if time.monotonic() > deadline:
                raise JobFailed(f"job {job}: {len(closes)} of {count} rounds within {JOB_S:g} s")
            self.listen(deadline)
        return closes


@contextmanager
def watching(where: Town) -> Iterator[Watch]:
    """Listen to a town's events."""
    transport = AmqpTransport(where.address(OBSERVER), FEDERATION, OBSERVER)
    try:
        transport.subscribe(EVENTS)
        transport.ready(30.0)
        yield Watch(transport, Home(where.home(KEEPER)).identity().public)
    finally:
        transport.close()


def start(where: Town, agent: str, packages: Path) -> Child:
    """Start an agent's daemon."""
    told = {"home": str(where.home(agent))}
    return Child("benchmarks.daemon_process", told, log=where.folder / f"{agent}.log", path=packages)


def hansa_rounds(rounds: int) -> Spread:
    """Return the seconds of each round after the first, from close to close."""
    with ExitStack() as stack:
        where = stack.enter_context(town([Member(name, config=WITH_ROWS) for name in PARTIES]))
        packages = install_model(where.folder)
        agents = [stack.enter_context(start(where, name, packages)) for name in (KEEPER, *PARTIES)]
        watch = stack.enter_context(watching(where))
        for agent in agents:
            agent.answer()
        agents[0].tell({"submit": to_plain(specification("rounds", rounds))})
        agents[0].answer()
        closes = watch.wait_for_rounds("rounds", rounds)
    return median_of([later - earlier for earlier, later in pairwise(closes)])


def run(quick: bool) -> list[Row]:
    """Return hansa's rounds against Flower's."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    ours = hansa_rounds(rounds)
    name = f"FedAvg round over the network, {len(PARTIES)} parties × {PARAMETERS:,} float32"
    measured = f"{1 / ours.median_s:.2f} rounds/s; {ours}"
    try:
        peer = flower_network.measure(
            rounds=flower_network.QUICK_ROUNDS if quick else flower_network.ROUNDS,
            parties=len(PARTIES),
            parameters=PARAMETERS,
        )
    except PeerUnavailable as error:
        return [Row(name, measured, note=f"Flower: {error}")]
    note = (
        "hansa: 5 daemons over RabbitMQ, journals on disk, sealed and signed; Flower: SuperLink and 4 SuperNodes, "
        f"--insecure, nothing on disk, first round {peer.first_s:.1f} s; "
        + ", ".join(f"{package} {version}" for package, version in peer.versions.items())
    )
    other = f"Flower, {1 / peer.round_s.median_s:.2f} rounds/s; {peer.round_s}"
    return [at_least(name, measured, other, peer.round_s.median_s / ours.median_s, 1.5, note)]
