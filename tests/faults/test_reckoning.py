"""The reckoning finds what it is there to find."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hansa.agents.home import find_homes
from tests.agents.federations import found, specification
from tests.faults.books import Books, Course, course, read_books
from tests.faults.reckoning import Ending, Tally, reckon

JOB = "trial"


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, Books]:
    """A federation's books before and after one job."""
    folder: Path = tmp_path_factory.mktemp("federation") / "homes"
    with found(folder) as local:
        local.settle()
        homes = {home.path.name: home for home in find_homes(folder)}
        before = read_books(homes, verify=True)
        local.run(specification(JOB))
        local.settle()
    return before, read_books(homes, verify=True)


def probe(sent: int, received: Counter[int], confirmed: set[int] | None = None) -> Any:
    acknowledged = set(range(sent)) if confirmed is None else confirmed
    return SimpleNamespace(
        attempted=sent, acknowledged=acknowledged, received=received, in_doubt=set(), refused=[]
    )


QUIET = probe(0, Counter())


def reckoned(before: Books, after: Books, told: Any = QUIET) -> Tally:
    return reckon(before, after, (), told, course(after.chains["aggregator"], JOB), after.trouble)


def test_a_job_that_nothing_disturbed_is_all_ok(books: tuple[Books, Books]) -> None:
    tally = reckoned(*books)
    assert tally.attempted == tally.acknowledged == tally.ok > 50
    assert tally.clean
    end = course(books[1].chains["aggregator"], JOB)
    assert (end.rounds, end.outcome, end.missing, end.doubled) == ((1, 2, 3), "finished", frozenset(), 0)


def test_a_message_that_nobody_consumed_is_lost(books: tuple[Books, Books]) -> None:
    before, after = books
    gone = next(letter for letter in after.consumed if letter not in before.consumed)
    assert reckoned(before, replace(after, consumed=after.consumed - {gone})).lost == 1


def test_a_message_that_nobody_posted_is_unexpected(books: tuple[Books, Books]) -> None:
    before, after = books
    stray = ("nobody", 0, JOB, "east", 0)
    assert reckoned(before, replace(after, consumed=after.consumed | {stray})).unexpected == 1


def test_a_message_left_in_an_outbox_is_unexpected_and_not_lost(books: tuple[Books, Books]) -> None:
    before, after = books
    waiting = next(letter for letter in after.consumed if letter not in before.consumed)
    left = replace(after, consumed=after.consumed - {waiting}, unconfirmed=frozenset({bytes(32)}))
    tally = reckoned(before, left)
    assert (tally.lost, tally.unexpected, tally.attempted - tally.acknowledged) == (0, 1, 1)


def test_an_entry_that_one_copy_lacks_is_lost(books: tuple[Books, Books]) -> None:
    before, after = books
    short = dict(after.chains) | {"east": after.chains["east"][:-1]}
    assert reckoned(before, replace(after, chains=short)).lost == 1


def test_an_entry_that_stands_or_speaks_twice_is_duplicated(books: tuple[Books, Books]) -> None:
    before, after = books
    twice = {name: (*chain, chain[-1]) for name, chain in after.chains.items()}
    # Twice on the chain, and twice the same thing said of the job.
    assert reckoned(before, replace(after, chains=twice)).duplicated == 2


def test_probes_are_counted_by_number(books: tuple[Books, Books]) -> None:
    before, _ = books
    tally = reckoned(before, before, probe(4, Counter({0: 1, 1: 2}), {0, 1, 2}))
    assert (tally.attempted, tally.acknowledged, tally.ok) == (4, 3, 2)
    assert (tally.lost, tally.duplicated, tally.unexpected) == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outcome": ""}, "has not ended"),
        ({"outcome": "aborted", "reason": "too few"}, "too few"),
        ({"missing": frozenset({"west"})}, "named as missing"),
        ({"rounds": (1, 2, 2)}, "rounds on the ledger"),
        ({"rounds": (1, 2)}, "rounds on the ledger"),
        ({"model": "beef"}, "the model is beef"),
    ],
)
def test_a_course_that_is_otherwise_is_named(changes: dict[str, Any], text: str) -> None:
    good = Course((1, 2, 3), "cafe", "finished", "", frozenset(), 0)
    assert list(Ending(rounds=3).disagreements(good, "cafe")) == []
    [told] = Ending(rounds=3).disagreements(replace(good, **changes), "cafe")
    assert text in told
