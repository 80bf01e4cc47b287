"""How close do estimated contributions come to Shapley's value, and what does either cost?

    python -m benchmarks contribution

Every method is held against exact Shapley on the same game: the models of all coalitions, rebuilt from the
updates of a federation that was really trained (`contribution_split`), valued by their accuracy on rows that
are nobody's. The game is played round by round and summed. An error is the largest of any party's, as a part
of what all together have gained; evaluations are distinct coalitions, as a part of the 2^n of every round.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context

import numpy as np

from benchmarks.contribution_plot import Point, draw
from benchmarks.contribution_split import SETS, Federation, Valuer, split, train
from benchmarks.report import Row, Section, duration
from hansa.ledger.contribution import (
    WHOLE_JOB,
    Banzhaf,
    Contribution,
    Grouped,
    Guided,
    LeaveOneOut,
    Method,
    Permutation,
    Question,
    SampledBanzhaf,
    Shapley,
    Stratified,
    Truncated,
    answered,
    begin,
)
from hansa.ledger.shares import volume_shares

PARTIES, PARTIES_QUICK = (6, 10), (4, 6)
SEEDS, SEEDS_QUICK = 5, 1
GROWTH, GROWTH_QUICK = range(4, 11), range(3, 6)
CORES = 2
CHUNK = 64  # coalitions that a process values at a time
# The bar is GTG's; stratified is the best of the others. Where circles stop was chosen on other federations (breast
# cancer, seeds 100 to 131) than are reported here: 5.3 % with 20 % of the coalitions there.
CIRCLES, CIRCLES_SHORT, CIRCLES_ERROR = 16, 0.005, 0.022
IN_CIRCLES = f"gtg, circles to an error of {CIRCLES_ERROR}"
BARRED = "gtg, 6 cycles", IN_CIRCLES, "stratified, 2 cycles"
BARRED_PARTIES, MOST_ERROR, MOST_EVALUATIONS = 10, 0.05, 0.25
STEADY = "group, one partition for the job"
OTHER_VALUES = ("leave-one-out", "banzhaf", "banzhaf, 256 sampled", "group", STEADY)
VOLUME = "asks for no value; its shares are the rows' parts of the gain"
WHOLE = "another game, of one-round reconstruction, and no estimate: how far do the two rank alike?"
OTHER_VALUE = "another value, and no estimate of Shapley's: its rank says more than its error"


def in_circles(error: float) -> Guided:
    """Return GTG in circles, a round ending at this standard error of accuracy."""
    return Guided(CIRCLES, within=CIRCLES_SHORT, circles=True, error=error)


CURVES: dict[str, Sequence[Method]] = {
    "permutation": [Permutation(count, paired=False) for count in (4, 8, 16, 32, 64)],
    "permutation, with reverses": [Permutation(count) for count in (4, 8, 16, 32, 64)],
    "truncated": [Truncated(count) for count in (4, 8, 16, 32, 64, 128)],
    "gtg": [Guided(count) for count in (1, 2, 3, 4, 6, 8, 12)],
    "gtg, circles to an error": [
        in_circles(error) for error in (0.06, 0.04, 0.03, 0.026, 0.022, 0.018, 0.014, 0.01)
    ],
    "stratified": [Stratified(*each) for each in ((1, 0), (1, 1), (2, 1), (1, 2), (2, 2), (4, 2))],
    "gtg, rounds under 1 % skipped": [Guided(count, between=0.01) for count in (1, 2, 4, 8, 16)],
}


@dataclass(frozen=True, slots=True)
class Played:
    """A trained federation with its exact contributions."""

    valuer: Valuer
    seed: bytes
    exact: Contribution
    seconds: float  # that the exact ones took, on one core

    @property
    def everything(self) -> int:
        """How many coalitions there are in all rounds."""
        return sum(2 ** len(players) for players in self.valuer.players.values())


@dataclass(frozen=True, slots=True)
class Found:
    """How one method did in one federation."""

    error: float
    rank: float  # Spearman's correlation with the exact contributions
    evaluations: float
    seconds: float


def play(data: str, parties: int, seed: int) -> Played:
    """Train a federation and measure exactly what everybody has contributed."""
    federation = split(data, parties, seed)
    valuer = Valuer(federation, train(federation))
    drawn = sha256(f"{data} {parties} {seed}".encode()).digest()
    began = time.perf_counter()
    exact = answered(begin(Shapley(), valuer.players, drawn), valuer)
    return Played(valuer, drawn, exact, time.perf_counter() - began)


def methods(federation: Federation) -> dict[str, Method]:
    """Return what is compared, by name."""
    rows = {name: len(X) for name, (X, _) in federation.parties.items()}
    return {
        "leave-one-out": LeaveOneOut(),
        "permutation, 32": Permutation(32, paired=False),
        "permutation, 16 with reverses": Permutation(32),
        "truncated, 40": Truncated(40),
        "gtg, 6 cycles": Guided(),
        "gtg, 6 cycles, rounds under 1 % skipped": Guided(between=0.01),
        IN_CIRCLES: in_circles(CIRCLES_ERROR),
        "stratified, 2 cycles": Stratified(),
        "banzhaf": Banzhaf(),
        "banzhaf, 256 sampled": SampledBanzhaf(256),
        **({"group": Grouped(rows), STEADY: Grouped(rows, steady=True)} if len(rows) >= 6 else {}),
    }


def compare(played: Played, method: Method) -> Found:
    """Measure by one method, with models that are rebuilt and valued anew."""
    began = time.perf_counter()
    found = answered(begin(method, played.valuer.players, played.seed), played.valuer)
    seconds = time.perf_counter() - began
    error, rank = _distance(found, played)
    return Found(error, rank, found.evaluations / played.everything, seconds)


def by_volume(played: Played) -> Found:
    """Share what was gained by rows."""
    rows = {name: len(X) for name, (X, _) in played.valuer.federation.parties.items()}
    gain = float(played.exact.gain)
    shares = {name: float(part) * gain for name, part in volume_shares(rows).items()}
    return Found(*_apart(shares, played), 0.0, 0.0)


def table(data: str, parties: int, games: Sequence[Played], explain: bool = True) -> Iterator[Row]:
    """Yield a row for each method; medians over the seeds, in brackets the lowest and the highest."""
    exact_s = statistics.median(each.seconds for each in games)
    where = f"{data}, {parties} parties"
    yield Row(f"{where}: exact", f"{duration(exact_s)}, 100 % of the coalitions", note=_told(games[0]))
    for name, method in methods(games[0].valuer.federation).items():
        found = [compare(each, method) for each in games]
        barred = name in BARRED and parties == BARRED_PARTIES
        note = OTHER_VALUE if explain and name in OTHER_VALUES else ""
        yield _row(f"{where}: {name}", found, bar=barred, note=note)
    volume = [by_volume(each) for each in games]
    yield _row(f"{where}: volume", volume, note=VOLUME if explain else "")
    yield _whole_job(where, games, WHOLE if explain else "")


def curves(games: Sequence[Played]) -> dict[str, list[Point]]:
    """Return error against evaluations by method, medians over the seeds; answered from what is known."""
    drawn: dict[str, list[Point]] = {}
    for name, listed in CURVES.items():
        drawn[name] = []
        for method in listed:
            found = [_from_known(each, method) for each in games]
            drawn[name].append(
                Point(
                    statistics.median(each.evaluations for each in found),
                    statistics.median(each.error for each in found),
                )
            )
    return drawn


def growth(sizes: Sequence[int]) -> Iterator[Row]:
    """Yield the time of exact Shapley on one core by parties, and the base of its growth."""
    seconds = [play("digits", parties, 0).seconds for parties in sizes]
    base = float(np.exp(np.polyfit(list(sizes), np.log(seconds), 1)[0]))
    yield Row(
        f"exact, digits, {sizes[0]} to {sizes[-1]} parties, one core",
        f"grows by {base:.2f} with each party",
        "2 by the number of coalitions",
        note="fitted to the logarithms; all points measured, and given below",
    )
    for parties, each in zip(sizes, seconds, strict=True):
        yield Row(f"exact, digits, {parties} parties, one core", duration(each))


def in_parallel(played: Played, cores: int = CORES) -> Row:
    """Return the time of exact Shapley with coalitions valued in several processes that run already."""
    spawning = get_context("spawn")
    with ProcessPoolExecutor(cores, spawning, _remember, (played.valuer,)) as pool:
        list(pool.map(_value, [(each,) for each in list(played.exact.values)[: 2 * cores]]))  # all are up

        def answer(batch: tuple[Question, ...]) -> dict[Question, float]:
            chunks = [batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)]
            return {each: value for values in pool.map(_value, chunks) for each, value in values.items()}

        began = time.perf_counter()
        found = answered(begin(Shapley(), played.valuer.players, played.seed), answer)
        took = time.perf_counter() - began
    parties, rounds = len(played.valuer.players[1]), len(played.valuer.rounds)
    return Row(
        f"exact, {parties} parties, {rounds} rounds, {cores} processes",
        duration(took),
        f"one: {duration(played.seconds)}",
        played.seconds / took,
        note=f"{found.evaluations:,} models rebuilt and valued; "
        + ("the same values" if found == played.exact else "OTHER values than in one process"),
    )


def run(quick: bool) -> Section:
    """Return the rows and the drawing for `python -m benchmarks`."""
    sizes, seeds = (PARTIES_QUICK, SEEDS_QUICK) if quick else (PARTIES, SEEDS)
    rows: list[Row] = []
    drawn: dict[str, dict[str, list[Point]]] = {}
    most: list[Played] = []
    for data in SETS:
        for parties in sizes:
            games = [play(data, parties, seed) for seed in range(seeds)]
            rows += table(data, parties, games, explain=not rows)
            if parties == sizes[-1]:
                most += games
                drawn[f"{data}, {parties} parties"] = curves(games)
    rows.append(in_parallel(most[0]))
    rows += growth(GROWTH_QUICK if quick else GROWTH)
    return Section(rows, [draw(drawn, MOST_ERROR, MOST_EVALUATIONS)])


def _row(name: str, found: Sequence[Found], *, bar: bool = False, note: str = "") -> Row:
    error, rank, evaluations, seconds = (
        statistics.median(getattr(each, field) for each in found) for field in Found.__dataclass_fields__
    )
    errors = [each.error for each in found]
    return Row(
        name,
        f"error {error:.1%} ({min(errors):.1%} … {max(errors):.1%}), rank {rank:.2f}",
        f"{evaluations:.1%} of the coalitions" + (f", {duration(seconds)}" if seconds else ""),
        error / MOST_ERROR if bar else None,
        f"error ≤ {MOST_ERROR:.0%} with ≤ {MOST_EVALUATIONS:.0%} of the coalitions" if bar else "–",
        (error <= MOST_ERROR and evaluations <= MOST_EVALUATIONS) if bar else None,
        note,
    )


def _whole_job(where: str, games: Sequence[Played], note: str) -> Row:
    """Say how far the game of the whole job, whose models take all rounds' steps, ranks parties differently."""
    ranks = []
    for each in games:
        players = {WHOLE_JOB: each.valuer.players[1]}
        found = answered(begin(Shapley(), players, each.seed), each.valuer)
        ranks.append(_distance(found, each)[1])
    return Row(
        f"{where}: exact, the job as one game",
        f"rank {statistics.median(ranks):.2f}",
        f"{1 / len(games[0].valuer.rounds):.1%} of the coalitions",
        note=note,
    )


def _from_known(played: Played, method: Method) -> Found:
    known = played.exact.values
    found = answered(
        begin(method, played.valuer.players, played.seed), lambda batch: {each: known[each] for each in batch}
    )
    return Found(*_distance(found, played), found.evaluations / played.everything, 0.0)


def _distance(found: Contribution, played: Played) -> tuple[float, float]:
    return _apart({name: float(share) for name, share in found.shares.items()}, played)


def _apart(shares: dict[str, float], played: Played) -> tuple[float, float]:
    """Return the largest error as a part of the gain, and the correlation of ranks."""
    exact = played.exact.shares
    ours, theirs = [shares[name] for name in exact], [float(each) for each in exact.values()]
    error = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    return error / abs(float(played.exact.gain)), spearman(ours, theirs)


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the correlation of ranks; who is equal has the mean of the ranks. 0 if either are all equal."""
    ranks = np.array([_ranks(one), _ranks(other)])
    if not ranks.std(axis=1).all():
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < each for other in values) + sum(other == each for other in values) / 2 for each in values
    ]


def _told(played: Played) -> str:
    parts = ", ".join(f"{name} {float(share):+.3f}" for name, share in played.exact.shares.items())
    return f"with the first seed {parts}"


_valuer: Valuer  # of a process of the pool


def _remember(valuer: Valuer) -> None:
    global _valuer
    _valuer = valuer


def _value(batch: Sequence[Question]) -> dict[Question, float]:
    return _valuer(batch)
