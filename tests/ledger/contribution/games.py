"""Random games for tests: integer values, so that all arithmetic on them is exact."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import combinations

from hypothesis import strategies as st

from hansa.ledger.contribution import (
    Banzhaf,
    Grouped,
    Guided,
    LeaveOneOut,
    Method,
    Permutation,
    SampledBanzhaf,
    Shapley,
    Stratified,
    Truncated,
    measure,
)
from hansa.ledger.shares import Value, volume_shares

PLAYERS = ("bremen", "danzig", "lubeck", "riga", "visby")
ROWS = dict(zip(PLAYERS, (40, 10, 25, 5, 20), strict=True))
SEED = bytes(range(32))
EVERY = tuple(frozenset(each) for size in range(len(PLAYERS) + 1) for each in combinations(PLAYERS, size))

METHODS: tuple[Method, ...] = (
    LeaveOneOut(),
    Shapley(),
    Banzhaf(),
    Permutation(6),
    Permutation(3, paired=False),
    Truncated(4, short=0.3),
    Guided(1, between=0.2, within=0.3),
    Stratified(2, ends=1),
    SampledBanzhaf(8),
    Grouped(ROWS),
)

Table = Mapping[frozenset[str], float]
Shares = Mapping[str, Fraction]
TABLES: st.SearchStrategy[Table] = st.lists(
    st.integers(-50, 50), min_size=len(EVERY), max_size=len(EVERY)
).map(lambda values: dict(zip(EVERY, map(float, values), strict=True)))


def table(worth: Callable[[frozenset[str]], float]) -> Table:
    """Write a game down."""
    return {each: float(worth(each)) for each in EVERY}


def gain(game: Table) -> Fraction:
    """Return v(everybody) − v(nobody)."""
    return Fraction(game[frozenset(PLAYERS)]) - Fraction(game[frozenset()])


def shares(method: Method | str, game: Table, seed: bytes = SEED) -> Shares:
    """Return what a method gives; "volume" stands for the rows' part of the gain."""
    if isinstance(method, str):
        return {name: part * gain(game) for name, part in volume_shares(ROWS).items()}
    return measure(method, PLAYERS, game.__getitem__, seed).shares


def name_of(method: Method | str) -> str:
    """Return a method's name in the table of properties."""
    return method if isinstance(method, str) else method.name


def asked(value: Value) -> tuple[Value, list[frozenset[str]]]:
    """Return the same function, and the list of what it is asked."""
    questions: list[frozenset[str]] = []

    def noted(coalition: frozenset[str]) -> float:
        questions.append(coalition)
        return value(coalition)

    return noted, questions


def additive(worth: Mapping[str, float]) -> Callable[[Iterable[str]], float]:
    """Return the game in which everybody brings its own worth."""
    return lambda coalition: sum(worth[name] for name in coalition)
