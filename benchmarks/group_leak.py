"""What do the sums of groups tell about single parties, round after round?

    python -m benchmarks contribution

Group Shapley is for protected aggregation, under which the aggregator sees the row-weighted average of each group
of three or more, and never a party's update. But a party's updates are much alike from round to round. An
aggregator that does all it is asked to, and is curious, takes what it has seen as linear equations in the parties'
steady parts, and solves them.

Parties train a softmax regression on digits by federated averaging, as in `hansa demo horizontal`; each digit has a
holder, who has most of its rows. The attack is the best linear estimate of every party's mean update (Gauss and
Markov's, with a prior that says how alike updates are, chosen by hindsight among a few: no attacker knows better).
Its error is a part of that of knowing the rounds' averages alone: 1 tells nothing more, 0 is the update itself.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from math import exp, inf

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.group_leak_plot import Course, draw
from benchmarks.report import Row, Section
from hansa.ledger.contribution import Game
from hansa.ledger.contribution.groups import partition
from hansa.protocols.horizontal import SoftmaxRegression, weighted_average
from hansa.protocols.model import Array, FloatArray, ModelShape

PARTIES, PARTIES_QUICK = (6, 9, 12), (6,)
ROUNDS, ROUNDS_QUICK = (1, 2, 5, 10, 20, 40), (1, 5)
SEEDS, SEEDS_QUICK = 5, 1
DIGITS = 10
HELD = 0.6  # of a digit's rows: its holder's; everybody has a share of the others
LEARNING_RATE, EPOCHS, BATCH_ROWS = 0.5, 2, 32
ERROR = (
    "what is left open of parties' mean updates, as a part of what the rounds' averages leave open; median "
)
FOUND = "of the seeds, and the lowest and highest. Digits: whose holders the estimate names rightly"


@dataclass(frozen=True, slots=True)
class Watched:
    """A job that was really trained.

    Attributes:
        names: of the parties, ascending.
        rows: (n,) that each trains on.
        steps: (rounds, n, parameters): each party's update less the round's base.
        holders: (10,) the place among the names of who has most rows of a digit.
    """

    names: tuple[str, ...]
    rows: FloatArray
    steps: FloatArray
    holders: Array

    @property
    def averages(self) -> FloatArray:
        """(rounds, parameters): what everybody sees, since it makes the next model."""
        weights = self.rows / self.rows.sum()
        return np.asarray(np.einsum("n,tnd->td", weights, self.steps))


@dataclass(frozen=True, slots=True)
class Prior:
    """What an attacker takes for granted about how a party's steps differ from the average.

    Attributes:
        memory: rounds after which they are alike by 1/e less; infinite where they are the same throughout.
        fresh: variance of what each round brings anew, as a part of what lasts.
        noise: variance that is added to every average seen, likewise.
    """

    memory: float
    fresh: float
    noise: float

    def covariance(self, rounds: int) -> FloatArray:
        """Return (rounds, rounds): how a party's deviations of two rounds vary together."""
        apart = np.abs(np.subtract.outer(np.arange(rounds), np.arange(rounds)))
        alike = np.array([[exp(-each / self.memory) for each in line] for line in apart])
        return np.asarray(alike + self.fresh * np.eye(rounds))


PRIORS = tuple(Prior(*each) for each in product((inf, 8.0, 2.0), (0.0, 0.3, 3.0), (1e-6, 0.01, 0.05)))
FIRM = Prior(inf, 0.3, 0.01)  # chosen without hindsight


@dataclass(frozen=True, slots=True)
class Leak:
    """What an attack has brought: the error left, and the part of the digits whose holder it names rightly."""

    error: float
    found: float


def watch(parties: int, seed: int, rounds: int = ROUNDS[-1]) -> Watched:
    """Deal digits out unevenly and train on them."""
    generator = np.random.default_rng(seed)
    X, y = load_digits(return_X_y=True)
    holders = np.resize(generator.permutation(parties), DIGITS)
    owners = np.where(generator.random(len(y)) < HELD, holders[y], generator.integers(parties, size=len(y)))
    dealt = [(X[owners == party] / 16.0, y[owners == party]) for party in range(parties)]
    rows = [len(target) for _, target in dealt]
    model = SoftmaxRegression(
        ModelShape(X.shape[1], tuple(range(DIGITS))),
        learning_rate=LEARNING_RATE,
        batch_rows=BATCH_ROWS,
        epochs=EPOCHS,
    )
    base, steps = tuple(model.get_parameters()), []
    for number in range(rounds):
        updates = []
        for features, target in dealt:
            model.set_parameters(base)
            model.fit(features, target, seed=number)
            updates.append(tuple(model.get_parameters()))
        steps.append([_flat(update) - _flat(base) for update in updates])
        base = tuple(weighted_average(updates, rows))
    names = tuple(f"party-{number:02}" for number in range(parties))
    return Watched(names, np.array(rows, float), np.array(steps), holders)


def weights(watched: Watched, rounds: int, seed: int, *, steady: bool) -> FloatArray:
    """Return (rounds, groups, n): a party's weight in each average that the aggregator sees."""
    drawn = sha256(f"group leak {seed}".encode()).digest()
    seen = []
    for number in range(1, rounds + 1):
        groups = partition(Game(number, watched.names), drawn, steady=steady)
        masses = [np.isin(watched.names, group) * watched.rows for group in groups]
        seen.append([each / each.sum() for each in masses])
    return np.array(seen)


def solve(weighed: FloatArray, seen: FloatArray, prior: Prior) -> FloatArray:
    """Return (n, parameters): the best linear estimate of each party's mean deviation.

    Args:
        weighed: (rounds, groups, n), as of ``weights``.
        seen: (rounds, groups, parameters): averages of groups less that of everybody.
    """
    rounds, groups, parties = weighed.shape
    likeness = prior.covariance(rounds)
    among = np.einsum("tgn,shn,ts->tgsh", weighed, weighed, likeness).reshape(rounds * groups, -1)
    among[np.diag_indices_from(among)] += prior.noise
    across = np.einsum("shn,s->nsh", weighed, likeness.mean(axis=0)).reshape(parties, -1)
    return np.asarray(across @ np.linalg.solve(among, seen.reshape(rounds * groups, -1)))


def attack(
    watched: Watched, rounds: int, seed: int, *, steady: bool, priors: Sequence[Prior] = PRIORS
) -> Leak:
    """Solve for single parties after so many rounds, with the prior that turns out best."""
    weighed = weights(watched, rounds, seed, steady=steady)
    steps, averages = watched.steps[:rounds], watched.averages[:rounds]
    seen = np.einsum("tgn,tnd->tgd", weighed, steps) - averages[:, None]
    truth = (steps - averages[:, None]).mean(axis=0)
    estimates = [solve(weighed, seen, prior) for prior in priors]
    errors = [float(np.linalg.norm(each - truth) / np.linalg.norm(truth)) for each in estimates]
    best = int(np.argmin(errors))
    # A digit's intercept, the last parameters, rises most where its rows are.
    named = estimates[best][:, -DIGITS:].argmax(axis=0)
    return Leak(errors[best], float((named == watched.holders).mean()))


def run(quick: bool) -> Section:
    """Return the rows and the drawing for `python -m benchmarks`."""
    sizes, rounds = (PARTIES_QUICK, ROUNDS_QUICK) if quick else (PARTIES, ROUNDS)
    rows: list[Row] = []
    courses: dict[int, Mapping[bool, Course]] = {}
    for parties in sizes:
        jobs = [watch(parties, seed, rounds[-1]) for seed in range(SEEDS_QUICK if quick else SEEDS)]
        measured = {steady: list(_courses(jobs, rounds, steady=steady)) for steady in (False, True)}
        rows += _rows(parties, rounds, measured, note="" if rows else ERROR + FOUND)
        rows.append(_without_hindsight(parties, rounds[-1], jobs))
        courses[parties] = {
            steady: Course(
                rounds,
                [statistics.median(leak.error for leak in leaks) for leaks in each],
                [statistics.mean(leak.found for leak in leaks) for leaks in each],
            )
            for steady, each in measured.items()
        }
    return Section(rows, [draw(courses)])


def _flat(parameters: Sequence[Array]) -> FloatArray:
    return np.concatenate([each.ravel() for each in parameters])


def _courses(jobs: Sequence[Watched], rounds: Sequence[int], *, steady: bool) -> Iterator[list[Leak]]:
    """Yield, for each number of rounds, what the attack brings in every job."""
    for count in rounds:
        yield [attack(job, count, seed, steady=steady) for seed, job in enumerate(jobs)]


def _rows(
    parties: int, rounds: Sequence[int], measured: Mapping[bool, Sequence[Sequence[Leak]]], note: str
) -> Iterator[Row]:
    for place, count in enumerate(rounds):
        yield Row(
            f"{parties} parties, {count} round{'s' * (count > 1)}, groups drawn anew",
            _told(measured[False][place]),
            f"one partition for the job: {_told(measured[True][place])}",
            note="" if place else note,
        )


def _without_hindsight(parties: int, rounds: int, jobs: Sequence[Watched]) -> Row:
    leaks = [attack(job, rounds, seed, steady=False, priors=(FIRM,)) for seed, job in enumerate(jobs)]
    return Row(f"{parties} parties, {rounds} rounds, drawn anew, a prior fixed beforehand", _told(leaks))


def _told(leaks: Sequence[Leak]) -> str:
    errors = [leak.error for leak in leaks]
    found = statistics.mean(leak.found for leak in leaks)
    spread = f" ({min(errors):.2f} … {max(errors):.2f})" if len(errors) > 1 else ""
    return f"error {statistics.median(errors):.2f}{spread}, {found:.0%} of the digits"
