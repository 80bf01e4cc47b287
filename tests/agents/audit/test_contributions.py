"""Contributions as bars around zero, with their errors."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hansa.agents.audit.contributions import MOST_PARTIES, contributions, decimals_for, measured
from hansa.agents.audit.jobs import jobs_section
from hansa.agents.audit.markup import Html
from tests.agents.audit import pays, reports
from tests.agents.audit.test_page import words


def drawn(values: dict[str, float], errors: dict[str, float] | None = None, /, **changes: object) -> Html:
    """Return the drawing of some contributions."""
    return contributions(pays.paid_job(contributions=values, errors=errors or {}, **changes))


def bars(svg: str) -> list[tuple[str, float, float]]:
    """Return the bars: their sort, where they begin and how wide they are, in percent."""
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"', svg)
    return [(sort, float(x), float(width)) for sort, x, width in found]


def zero(svg: str) -> float:
    """Return where the zero line stands, in percent."""
    (place,) = set(re.findall(r'class="zero" x1="([\d.]+)%"', svg))
    return float(place)


def test_bars_grow_from_zero_and_negative_ones_to_the_left() -> None:
    svg = drawn({"up": 0.4, "down": -0.2, "none": 0.0})
    assert [sort for sort, *_ in bars(svg)] == ["fill", "fill", "loss"]  # up, none, down
    (_, up, up_wide), (_, none, none_wide), (_, down, down_wide) = bars(svg)
    assert up == none == zero(svg) == pytest.approx(down + down_wide, abs=0.02)
    assert up_wide == pytest.approx(2 * down_wide, abs=0.02)
    assert none_wide == 0


def test_whiskers_reach_one_standard_error_to_either_side_and_words_say_so() -> None:
    svg = drawn({"one": 0.5}, {"one": 0.1})
    low, high = re.findall(r'class="error" x1="([\d.]+)%" x2="([\d.]+)%"', svg)[0]
    ((_, start, width),) = bars(svg)
    assert (float(low) + float(high)) / 2 == pytest.approx(start + width, abs=0.02)
    assert (float(high) - float(low)) / width == pytest.approx(0.4, abs=0.001)
    assert svg.count('class="error"') == 3
    assert "one 0.50 ± 0.10" in words(svg)
    assert "one standard error to either side" in words(svg)


def test_exact_contributions_have_no_whiskers_and_words_say_why() -> None:
    svg = drawn({"one": 0.5}, {"one": 0.0})
    assert "error" not in re.findall(r'class="(\w+)"', svg)
    assert "No errors are drawn: nothing was left to chance, or too little was drawn to tell." in words(svg)


def test_who_has_made_the_model_worse_or_added_nothing_is_said_to_be_paid_nothing() -> None:
    seen = words(drawn(pays.CONTRIBUTIONS, pays.ERRORS))
    assert "free-rider paid nothing 0.000 ± 0.006" in seen
    assert "poisoner paid nothing −0.087 ± 0.013" in seen
    assert seen.count("paid nothing") == 3  # those two, and the words below
    assert "Bars to the left of zero have made the model worse, and are paid nothing." in seen
    assert "Bars to the left" not in words(drawn({"one": 0.1}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Contributions, in accuracy"),
        ({"metric": ""}, "Contributions, in the model’s score"),
        ({"utility": "loss"}, "Contributions, in how much they lowered the loss"),
        ({"gain": 0.25}, "Everybody together has made the model worth 0.25 more."),
        ({"gain": -0.25}, "Everybody together has made the model worth 0.25 less."),
        ({"evaluations": 1}, "1 coalition of parties was valued."),
        ({"evaluations": 1_024}, "1,024 coalitions of parties were valued."),
    ],
)
def test_what_the_contributions_are_in_is_said(changes: dict[str, object], expected: str) -> None:
    assert expected in words(drawn({"one": 0.1}, **changes))


def test_a_gain_that_is_not_told_is_left_out() -> None:
    assert "Everybody" not in words(drawn({"one": 0.1}, gain=None))


def test_all_contributions_may_be_nothing_or_negative() -> None:
    assert zero(drawn(dict.fromkeys("abc", 0.0))) == 50
    svg = drawn({"a": -3.0, "b": -0.5})
    assert zero(svg) == 100
    assert all(sort == "loss" for sort, *_ in bars(svg))


def test_of_a_crowd_those_are_shown_who_moved_the_model_most() -> None:
    values = {f"p-{n:02}": (n - 10) / 10 for n in range(MOST_PARTIES + 10)}
    seen = words(drawn(values))
    assert "p-29" in seen
    assert "p-00 paid nothing −1.000" in seen
    assert "p-10 " not in seen  # 0.0
    assert "10 smaller ones are not shown here" in seen


def test_a_job_whose_contributions_are_volumes_has_its_shares_drawn_instead() -> None:
    volumes, valued = reports.job(1), pays.paid_job()
    assert contributions(volumes) == ""
    assert "Drawn" in words(jobs_section(replace(reports.good(), jobs=(volumes,))))
    section = jobs_section(replace(reports.good(), jobs=(valued,)))
    assert 'class="halves"' in section
    assert "Drawn" not in words(section)
    assert "much 542,455,310 54.2%" in words(section)
    assert 'class="halves"' in jobs_section(replace(reports.good(), jobs=(replace(valued, shares={}),)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_a_contribution_that_cannot_be_drawn_is_said(value: float) -> None:
    svg = drawn({"odd": value, "one": 0.5}, {"odd": 1.0, "one": math.nan})
    assert len(bars(svg)) == 1
    assert words(svg).index("odd") > words(svg).index("one")
    assert "error" not in re.findall(r'class="(\w+)"', svg.partition("<b><bdi>odd")[0])


@pytest.mark.parametrize(
    ("value", "error", "decimals", "expected"),
    [
        (0.41271, 0.0113, 3, "0.413 ± 0.011"),
        (-0.00001, 0.0113, 3, "0.000 ± 0.011"),
        (-12.0, 3.0, 1, "−12.0 ± 3.0"),
        (-0.5, 0.0, 3, "−0.500"),
        (2e7, 3.0, 0, "2e+07 ± 3"),
        (0.5, 1e-12, 13, "0.5 ± 1e-12"),
        (math.nan, 1.0, 0, "not finite"),
        (-0.0, 0.0, 0, "0"),
        (-0.0, 0.0, 12, "0"),
    ],
)
def test_a_contribution_has_as_many_decimals_as_its_error_bears(
    value: float, error: float, decimals: int, expected: str
) -> None:
    assert measured(value, error, decimals) == expected


def test_the_largest_error_sets_the_decimals_and_without_errors_the_largest_value() -> None:
    assert decimals_for({"a": 5.0}, {"a": 0.0113, "b": 0.002}) == 3
    assert decimals_for({"a": 5.0}, {"a": 250.0}) == 0
    assert decimals_for({"a": -0.8599, "b": math.nan}, {"a": 0.0, "b": math.inf}) == 4
    assert decimals_for({"a": 0.0}, {}) == 0


@example({"a": 1.0, "b": -0.0}, {})
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(-1e99, 1e99), min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e99)),
)
def test_every_contribution_can_be_drawn(values: dict[str, float], errors: dict[str, float]) -> None:
    svg = drawn(values, errors)
    assert len(bars(svg)) == len(values)
    assert not re.search(r'"-?(nan|inf)', svg)
    assert all(0 <= x and x + wide <= 100.02 for _, x, wide in bars(svg))
