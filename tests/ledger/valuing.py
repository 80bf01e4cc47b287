"""A federation whose jobs value coalitions: ledgers up to the point where the first values are due."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache

from hansa.broker.identity import Identity
from hansa.ledger import (
    ChainedEntry,
    CoalitionsValued,
    ContributionMeasured,
    DatasetRegistered,
    JobAccepted,
    JobProposed,
    JobStarted,
    Keeper,
    LedgerStore,
    RoundClosed,
    Verifier,
)
from hansa.ledger.contribution import Question, answered, begin, coalition_number, seed_of
from hansa.ledger.jobs import Setting
from hansa.ledger.standing import Job
from tests.ledger.town import CHARTER, DIGEST, FEDERATION, LUBECK, NOW_S, Town, admission

NAMES = ("danzig", "elbing", "kulm", "riga", "thorn", "visby")
PARTIES = {name: Identity.generate(name) for name in NAMES}
ROWS = {name: 100 + 10 * place for place, name in enumerate(NAMES)}
# Small settings, so that a round of six takes few values; each method is tried.
METHODS: dict[str, dict[str, Setting]] = {
    "leave-one-out": {},
    "shapley": {},
    "permutation": {"permutations": 4},
    "truncated": {"permutations": 3, "short": 0.25},
    "gtg": {"cycles": 1},
    "stratified": {"cycles": 1, "ends": 1},
    "banzhaf": {},
    "banzhaf-sampled": {"samples": 6},
    "group": {},
}
Worth = Callable[[frozenset[str]], float]


def settings(by: str, more: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return what a job says of the method, with settings of its own."""
    said = {"method": by, "utility": "score", "validation": "held-out", **METHODS[by], **more}
    return {f"contribution.{name}": value for name, value in said.items()}


def proposal(by: str = "shapley", /, **more: Setting) -> JobProposed:
    """Return a job that values coalitions of all six."""
    return JobProposed("herring", "fedavg", "softmax", settings(by, more), NAMES, "catch", 3, 60.0, DIGEST)


def draw(name: str) -> bytes:
    """Return a party's part of the seed."""
    return name.encode().ljust(32, b".")


STARTED = JobStarted("herring", NAMES)
CLOSED = RoundClosed("herring", 1, DIGEST, NAMES[::-1])


def closed_by(participants: tuple[str, ...], number: int = 1) -> RoundClosed:
    """Return a round in which these took part, and all others were missing."""
    missing = tuple(name for name in NAMES if name not in participants)
    return RoundClosed("herring", number, DIGEST, participants, missing)


@dataclass(frozen=True, slots=True)
class Hall:
    """A ledger that can be written on, of which others begin as copies."""

    town: Town

    @property
    def job(self) -> Job:
        """The job, as it stands."""
        return self.town.keeper.standing.jobs["herring"]

    def honest(self, worth: Worth, number: int = 1) -> CoalitionsValued:
        """Return what an honest coordinator writes of a round whose coalitions are worth so much."""
        job = self.job
        assert job.appraisal is not None
        players = job.appraisal.players(number, job.started)
        assert players is not None
        rows = {name: ROWS[name] for name in players}
        told: dict[int, float] = {}

        def tell(batch: tuple[Question, ...]) -> Mapping[Question, float]:
            told.update({coalition_number(players, each.coalition): worth(each.coalition) for each in batch})
            return {each: worth(each.coalition) for each in batch}

        seed = self.seed()
        answered(begin(job.appraisal.how.method(rows), {number: players}, seed), tell)
        numbers = tuple(sorted(told))
        values = tuple(told[each] for each in numbers)
        return CoalitionsValued("herring", number, players, tuple(rows.values()), numbers, values)

    def seed(self) -> bytes:
        """Return the job's seed."""
        return seed_of(self.job.started, self.job.draws)

    def weights(self) -> ContributionMeasured:
        """Return what an honest coordinator measures in the end."""
        job = self.job
        assert job.appraisal is not None
        return ContributionMeasured("herring", job.appraisal.how.name, job.appraisal.weights(job.started))

    def replayed(self) -> Job:
        """Return the job as somebody sees it who reads the whole chain anew."""
        verifier = Verifier(self.town.genesis.hash, FEDERATION)
        for entry in self.town.entries():
            verifier.accept(entry)
        assert verifier.head == self.town.keeper.head
        return verifier.standing.jobs["herring"]


def registered(town: Town) -> None:
    """Let all six in, with their rows; the keeper has some to value models on."""
    town.write(LUBECK, *map(admission, PARTIES.values()))
    for name, rows in ROWS.items():
        town.write(PARTIES[name], DatasetRegistered("catch", rows, ("length",), "fresh", DIGEST))
    town.write(LUBECK, DatasetRegistered("held-out", 90, ("length",), "fresh", DIGEST))


@cache
def _entries(method: str, closed: bool) -> tuple[tuple[ChainedEntry, ...], dict[str, int]]:
    with closing(LedgerStore.open("sqlite://")) as store:
        keeper = Keeper(LUBECK, FEDERATION, store)
        town = Town(store, keeper, keeper.found(CHARTER, int(NOW_S * 1000)), {"lubeck": 1})
        registered(town)
        if method:
            town.write(LUBECK, proposal(method))
            for name, identity in PARTIES.items():
                town.write(identity, JobAccepted("herring", draw(name)))
        if closed:
            town.write(LUBECK, STARTED, CLOSED)
        return tuple(town.entries()), town.numbers


@contextmanager
def hall(method: str = "", *, closed: bool = False) -> Iterator[Hall]:
    """Yield a ledger of its own: of six members; with a job by this method; whose first round is closed."""
    entries, numbers = _entries(method, closed)
    with closing(LedgerStore.open("sqlite://")) as store:
        store.append(list(entries))
        keeper = Keeper(LUBECK, FEDERATION, store)
        yield Hall(Town(store, keeper, entries[0], dict(numbers)))


def swapped(body: CoalitionsValued, **changes: object) -> CoalitionsValued:
    """Return an entry with something else in it."""
    return replace(body, **changes)  # type: ignore[arg-type]
