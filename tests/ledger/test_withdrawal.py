"""Which models are marked once rows are withdrawn: those they served, and those that went on from them."""

from dataclasses import replace

import pytest

from hansa.ledger import JobAborted, JobAccepted, RowsWithdrawn, RuleBroken
from tests.ledger.test_rules import Books, joined
from tests.ledger.town import CATCH, PROPOSAL

AGAIN = replace(PROPOSAL, job="herring-r2", settings={"protocol.start_job": "herring"})


def stopped() -> Books:
    """Return books with a data set of 700 rows, and a job that has used them."""
    books = joined().write("bremen", CATCH).write("lubeck", PROPOSAL)
    books.write("bremen", JobAccepted("herring")).write("danzig", JobAccepted("herring"))
    return books.write("lubeck", JobAborted("herring", "storm"))


def test_what_is_left_of_a_data_set_is_counted() -> None:
    books = stopped().write("bremen", RowsWithdrawn("catch", (0, 699)), RowsWithdrawn("catch", (5,)))
    held = books.standing.datasets["bremen", "catch"]
    assert (held.rows, held.withdrawn, held.usable) == (700, frozenset((0, 5, 699)), 697)
    assert held.commitment == CATCH.commitment
    assert books.standing.jobs["herring"].withdrawn == {"bremen": 3}


def test_a_job_that_starts_from_a_marked_one_is_marked_too() -> None:
    books = stopped().write("bremen", RowsWithdrawn("catch", (1, 2))).write("lubeck", AGAIN)
    assert books.standing.jobs["herring-r2"].withdrawn == {"bremen": 2}
    books.write("lubeck", replace(PROPOSAL, job="sprat"))
    assert books.standing.jobs["sprat"].withdrawn == {}


@pytest.mark.parametrize("leaves", [(700,), (1,)])
def test_a_row_that_is_not_there_is_not_withdrawn(leaves: tuple[int, ...]) -> None:
    books = stopped().write("bremen", RowsWithdrawn("catch", (1,)))
    with pytest.raises(RuleBroken, match=r"700 rows, and none at 700|row 1 of catch is withdrawn already"):
        books.write("bremen", RowsWithdrawn("catch", leaves))
