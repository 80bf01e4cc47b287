"""The flow of money: who stands in it, where, and how wide."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.agents.audit.flow import flow
from hansa.agents.audit.streams import (
    GAP_PX,
    MOST_MEMBERS,
    MOST_POTS,
    ROW_PX,
    WHOLE_PX,
    Pot,
    bands_of,
    height_of,
    placed,
    pots_of,
    receivers_of,
)
from hansa.ledger.report import PayoutLine
from tests.agents.audit import pays
from tests.agents.audit.test_page import words

CENTS = st.integers(0, 2**53)


def lines(*amounts: dict[str, int], **changes: object) -> list[PayoutLine]:
    """Return payouts of these amounts, numbered from 10 on."""
    return [
        pays.payout(10 + at, amounts=each, pot_minor=sum(each.values()), **changes)
        for at, each in enumerate(amounts)
    ]


def test_few_pots_and_members_stand_each_for_itself() -> None:
    pots = pots_of(lines({"a": 5, "b": 1}, {"b": 7}))
    assert [(pot.name, pot.minor, pot.moved) for pot in pots] == [
        ("10 · digits-1", 6, True),
        ("11 · digits-1", 7, True),
    ]
    assert [receiver.name for receiver in receivers_of(pots)] == ["b", "a"]


def test_the_smaller_pots_are_summed_up_those_that_are_settled_apart_from_the_others() -> None:
    many = [*lines(*({"a": 100 + n} for n in range(10))), pays.payout(50, amounts={"b": 9}, status="open")]
    pots = pots_of(many)
    assert [pot.name for pot in pots] == [
        *(f"{number} · digits-1" for number in range(14, 20)),
        "4 others",
        "1 other",
    ]
    assert [pot.moved for pot in pots] == [True] * 7 + [False]
    assert pots[6].amounts == {"a": 100 + 101 + 102 + 103}
    assert len(pots_of(lines(*({"a": 1} for _ in range(MOST_POTS))))) == MOST_POTS


def test_those_who_get_least_are_summed_up() -> None:
    pots = pots_of(lines({f"m-{n:02}": n for n in range(MOST_MEMBERS + 5)}))
    receivers = receivers_of(pots)
    assert len(receivers) == MOST_MEMBERS
    assert (receivers[0].name, receivers[-1].name) == ("m-16", "6 others")
    assert receivers[-1].part(pots[0]) == sum(range(6))


def test_a_member_may_be_called_as_the_others_are() -> None:
    amounts = {"2 others": 9, **{f"m-{n:02}": 1 for n in range(MOST_MEMBERS)}}
    receivers = receivers_of(pots_of(lines(amounts)))
    assert [receiver.name for receiver in receivers].count("2 others") == 2
    assert sum(receiver.part(Pot("", amounts, True)) for receiver in receivers) == sum(amounts.values())


@given(
    st.lists(st.lists(CENTS, min_size=3, max_size=20), min_size=1, max_size=20).filter(
        lambda x: any(map(any, x))
    )
)
def test_every_cent_is_drawn_once_and_bands_fill_the_bars(rows: list[list[int]]) -> None:
    pots = pots_of(lines(*({f"m-{at:02}": minor for at, minor in enumerate(row)} for row in rows)))
    receivers = receivers_of(pots)
    gives = [pot.minor for pot in pots]
    gets = [sum(receiver.part(pot) for pot in pots) for receiver in receivers]
    whole = sum(map(sum, rows))
    assert sum(gives) == sum(gets) == whole
    height = max(height_of(gives, whole), height_of(gets, whole))
    left, right = placed(gives, whole, height), placed(gets, whole, height)
    for column in (left, right):
        assert sum(bar.height for bar in column) == pytest.approx(WHOLE_PX)
        assert all(later.middle - bar.middle >= ROW_PX for bar, later in pairwise(column))
        assert all(later.top - bar.top - bar.height >= GAP_PX - 1e-6 for bar, later in pairwise(column))
        assert column[0].top >= -1e-6
        assert column[-1].top + column[-1].height <= height + 1e-6
    bands = bands_of(pots, receivers, left, right)
    assert sum(band.minor for band in bands) == whole
    for pot, bar in zip(pots, left, strict=True):
        ours = [band for band in bands if band.pot is pot]
        assert sum(band.width for band in ours) == pytest.approx(bar.height, abs=1e-6)
        assert all(bar.top - 1e-6 <= band.start <= bar.top + bar.height + 1e-6 for band in ours)
    for receiver, bar in zip(receivers, right, strict=True):
        theirs = [band for band in bands if band.receiver is receiver]
        assert sum(band.width for band in theirs) == pytest.approx(bar.height, abs=1e-6)
        assert all(bar.top - 1e-6 <= band.end <= bar.top + bar.height + 1e-6 for band in theirs)


def test_the_drawing_says_in_words_what_it_shows_and_a_table_lists_it() -> None:
    svg = flow(lines({"north": 123_456, "south": 44}), "EUR")
    assert 'role="img"' in svg
    assert "1 pot on the left, 2 receivers on the right, 1,235.00 in all" in words(f"<div>{svg}</div>")
    seen = words(f"<div>{svg}</div>")
    assert "10 · digits-1 to north: 1,234.56" in seen
    assert "The same as a table Flow of money From payout To Amount Moved" in seen
    assert "10 · digits-1 north 1,234.56 settled 10 · digits-1 south 0.44 settled" in seen
    assert svg.count('class="band"') == 2
    assert 'class="legend"' not in svg


def test_who_gets_nothing_stands_there_with_nothing() -> None:
    svg = flow(lines({"north": 100, "idle": 0}), "EUR")
    assert svg.count('class="band"') == 1
    assert svg.count('class="node"') == 3
    assert re.search(r'class="lane"[^>]*>idle</text><text class="sum"[^>]*>0.00</text>', svg)


def test_what_is_not_settled_is_drawn_hollow_and_what_was_withdrawn_not_at_all() -> None:
    (settled,) = lines({"a": 1})
    due = pays.payout(20, amounts={"a": 2}, status="open")
    gone = pays.payout(30, amounts={"a": 4}, status="withdrawn")
    both = flow([settled, due, gone], "EUR")
    assert (both.count('class="band"'), both.count('class="band open"')) == (1, 1)
    assert "settled proposed, and not settled yet" in words(f"<div>{both}</div>")
    assert "30 ·" not in both
    assert "<li" in flow([due], "EUR")
    assert "> settled<" not in flow([due], "EUR").partition("<details")[0]
    assert "every payout was withdrawn" in flow([gone], "EUR")


def test_long_names_keep_their_ends_in_the_drawing_and_are_whole_in_the_table() -> None:
    name = "savings-bank-of-a-long-name-number-17"
    svg = flow(lines({name: 5}), "EUR")
    assert ">savings-bank…mber-17</text>" in svg
    assert f"<bdi>{name}</bdi>" in svg


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [
        (2**53, "EUR", "90,071,992,547,409.92"),
        (2**53, "JPY", "9,007,199,254,740,992"),
        (1, "KWD", "0.001"),
    ],
)
def test_money_is_printed_with_the_currency_s_own_digits(minor: int, currency: str, expected: str) -> None:
    assert f">{expected}</text>" in flow(lines({"a": minor}, currency=currency), currency)
