"""Which points stand in which lists."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.alignment.points import RepeatedPoint, repetition, shared
from hansa.protocols.model import Array

NUMBERS = st.lists(st.integers(0, 12), unique=True, max_size=9)


def points(numbers: list[int], leads: int = 13) -> Array:
    """Return a point for each number; with few leads, many share their first eight bytes."""
    raw = [
        (number % leads).to_bytes(8, "little") + bytes(16) + number.to_bytes(8, "little")
        for number in numbers
    ]
    return np.frombuffer(b"".join(raw), dtype=np.uint8).reshape(-1, 32)


@given(st.lists(NUMBERS, min_size=2, max_size=4), st.data(), st.sampled_from([13, 3, 1]))
def test_points_are_found_in_at_least_so_many_lists(
    lists: list[list[int]], data: st.DataObject, leads: int
) -> None:
    least = data.draw(st.integers(1, len(lists)))
    found = shared([points(each, leads) for each in lists], least)
    counts = Counter(number for each in lists for number in each)
    wanted = {number for number, count in counts.items() if count >= least}
    for numbers, positions in zip(lists, found.positions, strict=True):
        assert {numbers[place] for place in positions} == wanted & set(numbers)
    assert found.count == len(wanted)
    assert found.in_all == sum(count == len(lists) for count in counts.values())


@given(NUMBERS, NUMBERS, st.sampled_from([13, 3, 1]))
def test_lists_that_share_points_name_them_in_one_order(one: list[int], two: list[int], leads: int) -> None:
    found = shared([points(one, leads), points(two, leads)], 2)
    assert [one[place] for place in found.positions[0]] == [two[place] for place in found.positions[1]]


@pytest.mark.parametrize("leads", [13, 1])
def test_a_list_with_a_point_twice_is_named(leads: int) -> None:
    with pytest.raises(RepeatedPoint, match="list 1 holds a point twice") as caught:
        shared([points([1, 2], leads), points([3, 1, 4, 3], leads)], 2)
    assert caught.value.place == 1


@pytest.mark.parametrize("leads", [13, 1])
def test_a_repetition_is_found_with_both_places(leads: int) -> None:
    assert repetition(points([5, 1, 9, 5], leads)) == (0, 3)
    assert repetition(points([5, 1, 9, 4], leads)) is None
    assert repetition(points([], leads)) is None


def test_points_that_differ_only_between_their_like_are_told_apart() -> None:
    lists = [points([0, 2, 4], 2), points([4, 6, 0], 2)]  # all tie in their first eight bytes
    found = shared(lists, 2)
    assert found.count == 2
    assert sorted(found.positions[0]) == [0, 2]
