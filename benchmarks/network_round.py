"""How long is a FedAvg round of 4 parties × 1 M float32 parameters when every organisation is a process?

hansa: five daemons, journals and array files on disk, sealed and signed messages over RabbitMQ on loopback.
Flower: its deployment runtime as documented for one machine, a SuperLink and four SuperNodes on loopback without
TLS, nothing on disk (`benchmarks.flower_network`). Both update a model by adding a constant, both are timed from
the end of one round to the end of the next, so that starting up is not in it.

    python -m benchmarks --only network_round
"""

from itertools import pairwise

from benchmarks import flower_network
from benchmarks.fleet import PARAMETERS, PARTIES, fleet
from benchmarks.flower_peer import PeerUnavailable
from benchmarks.report import Row, Spread, at_least, median_of

ROUNDS, QUICK_ROUNDS = 24, 6


def hansa_rounds(rounds: int) -> Spread:
    """Return the seconds of each round after the first, from close to close."""
    with fleet() as ours:
        ours.begin(rounds)
        closes = ours.wait_for_rounds(rounds)
    return median_of([later - earlier for earlier, later in pairwise(closes)])


def run(quick: bool) -> list[Row]:
    """Return hansa's rounds against Flower's."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    ours = hansa_rounds(rounds)
    name = f"FedAvg round over the network, {len(PARTIES)} parties × {PARAMETERS:,} float32"
    measured = f"{1 / ours.median_s:.2f} rounds/s; {ours}"
    try:
        peers = flower_network.measure_all(quick, parties=len(PARTIES), parameters=PARAMETERS)
    except PeerUnavailable as error:
        return [Row(name, measured, note=f"Flower: {error}")]
    rows = []
    for peer in peers:
        label = f"Flower, {peer.setting}: {1 / peer.round_s.median_s:.2f} rounds/s; {peer.round_s}"
        gain = peer.round_s.median_s / ours.median_s
        versions = ", ".join(f"{package} {version}" for package, version in peer.versions.items())
        if peer.poll_s is None:
            note = (
                "hansa: 5 daemons over RabbitMQ, journals on disk, sealed and signed; Flower: SuperLink and "
                f"{len(PARTIES)} SuperNodes, --insecure, nothing on disk, each call of a ClientApp in a new "
                f"process; first round {peer.first_s:.1f} s; {versions}"
            )
            rows.append(at_least(name, measured, label, gain, 1.5, note))
        else:
            rows.append(Row(name, measured, label, gain, note="Flower looking for tasks as often as it may"))
    return rows
