"""Uses of a model stay easy to carry about, however many there are."""

import pickle
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.ledger import Standing
from hansa.ledger.uses import Use, Uses

MANY = 100_000
DIGEST = bytes(32)


def noted(rows: list[int], gap: int = 3) -> Uses:
    """Return uses of so many rows each, every few entries."""
    uses = Uses()
    for number, each in enumerate(rows):
        uses = uses.after(number * gap, DIGEST, each)
    return uses


@given(st.lists(st.integers(1, 1_000), max_size=70))
def test_uses_come_back_in_order_with_their_sums(rows: list[int]) -> None:
    uses = noted(rows)
    assert [each.rows for each in uses] == rows
    assert [each.total for each in uses] == [sum(rows[: place + 1]) for place in range(len(rows))]
    assert (len(uses), uses.total) == (len(rows), sum(rows))
    assert [len(block) for block in uses.blocks] == [
        1 << place for place in reversed(range(7)) if len(rows) >> place & 1
    ]
    for place in range(len(rows)):
        found = uses.at(3 * place)
        assert found is not None
        assert (found.index, found.rows) == (3 * place, rows[place])
        assert uses.at(3 * place + 1) is None
        after = uses.following(3 * place)
        assert (after is None) if place == len(rows) - 1 else (after == uses.at(3 * place + 3))
        assert uses.rows(0, 3 * place) == sum(rows[: place + 1])
        assert uses.rows(3 * place, 3 * place) == rows[place]


def test_what_is_no_use_has_no_rows() -> None:
    uses = noted([1, 2, 3])
    with pytest.raises(ValueError, match="entry 4 is no use"):
        uses.rows(0, 4)
    with pytest.raises(ValueError, match="entry 1 is no use"):
        uses.rows(1, 3)
    with pytest.raises(IndexError):
        _ = Uses().newest
    assert Uses().at(0) is None
    assert repr(uses) == "Uses(3)"
    assert uses.newest == Use(6, DIGEST, 3, 6)


def test_a_standing_with_many_uses_is_copied_compared_packed_and_let_go_quickly_and_flatly() -> None:
    standing = Standing()
    standing.uses["herring"] = noted([1] * MANY)
    limit = sys.getrecursionlimit()
    started = time.perf_counter()
    sys.setrecursionlimit(400)
    try:
        copies = [standing.copy() for _ in range(1_000)]
        twin = pickle.loads(pickle.dumps(standing)).uses["herring"]  # noqa: S301 - our own bytes, to see how deep it goes
        assert twin == standing.uses["herring"] == copies[-1].uses["herring"]
        assert hash(twin) == hash(standing.uses["herring"])
        more = twin.after(MANY * 3, DIGEST, 1)
        assert (len(more), len(twin), more == twin) == (MANY + 1, MANY, False)
        del twin, more, copies
        standing.uses.clear()
    finally:
        sys.setrecursionlimit(limit)
    assert time.perf_counter() - started < 20  # seconds; a chain of links would not end at all
