"""Curves and their ticks, whatever the figures."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hansa.agents.audit.plots import MOST_DRAWN, curve, nice_ticks, step_ticks, thinned, tick_label
from tests.agents.audit.test_page import words


def test_a_curve_says_in_words_what_it_shows() -> None:
    drawn = curve([(1, 2.0), (2, None), (3, math.nan), (4, 0.5), (5, 0.75)], "loss", "round")
    assert "It goes from 2 in round 1 to 0.75 in round 5; least 0.5, most 2." in drawn
    assert drawn.count("<circle") == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, None])
def test_what_cannot_be_drawn_is_said(value: float | None) -> None:
    assert "No loss is told that could be drawn." in words(curve([(1, value)], "loss", "round"))


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.floats(-1e99, 1e99) | st.none()), max_size=300),
    st.sampled_from(["round", "epoch"]),
)
def test_every_course_can_be_drawn(points: list[tuple[int, float | None]], step_name: str) -> None:
    drawn = curve(sorted(points, key=lambda point: point[0]), "loss", step_name)
    assert not re.search("nan|inf", drawn)
    for place in re.findall(r'(?:cx|x)="([\d.e+-]+)%"', drawn):
        assert 0 <= float(place) <= 100


@example(-9.999999999999994e98, -9.999999999999998e98)
@example(0.0, 5e-324)
@given(st.floats(-1e99, 1e99), st.floats(-1e99, 1e99))
def test_ticks_are_few_and_span_what_they_label(one: float, other: float) -> None:
    least, most = min(one, other), max(one, other)
    ticks = nice_ticks(least, most)
    assert 2 <= len(ticks) <= 7
    slack = 1e-6 * (ticks[1] - ticks[0])
    assert ticks[0] <= least + slack
    assert most - slack <= ticks[-1]


@pytest.mark.parametrize(
    ("least", "most", "labels"),
    [
        (0.21, 2.3, ["0", "1", "2", "3"]),
        (0.61, 0.97, ["0.6", "0.7", "0.8", "0.9", "1.0"]),
        (5.0, 5.0, ["2", "4", "6", "8"]),
        (0.0, 0.0, ["-0.5", "0.0", "0.5"]),
        (0.0, 4e7, ["0", "1e+07", "2e+07", "3e+07", "4e+07"]),
    ],
)
def test_ticks_are_round_numbers(least: float, most: float, labels: list[str]) -> None:
    ticks = nice_ticks(least, most)
    found = [tick_label(tick, ticks[1] - ticks[0]) for tick in ticks]
    assert all(label in found for label in labels)


def test_steps_are_labelled_from_the_first_on() -> None:
    assert step_ticks(1, 40) == [1, 10, 20, 30, 40]
    assert step_ticks(1, 4) == [1, 2, 3, 4]
    assert step_ticks(7, 7) == [7]


def test_a_thinned_course_keeps_its_ends() -> None:
    points = [(step, float(step)) for step in range(1_000)]
    kept = thinned(points)
    assert len(kept) == MOST_DRAWN
    assert (kept[0], kept[-1]) == (points[0], points[-1])
