"""Fractions as texts: exact, however long."""

import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hansa.protocols.ratios import exact, summed


@given(some.lists(some.fractions(), min_size=1, max_size=5))
def test_sums_are_exact(parts: list[Fraction]) -> None:
    total: dict[str, str] = {}
    for part in parts:
        total = summed(total, {"ann": f"{part.numerator}/{part.denominator}"})
    assert exact(total["ann"]) == sum(parts)


def test_sums_may_have_more_digits_than_python_writes_in_decimal() -> None:
    limit = sys.get_int_max_str_digits()
    long = {"bob": f"-0x1/{10 ** (limit + 1):#x}"}
    assert exact(summed(long, {"ann": "1/3"})["bob"]) == Fraction(-1, 10 ** (limit + 1))


def test_names_are_summed_each_by_itself_in_their_order() -> None:
    sums = summed({"cat": "1/2", "ann": "1/3"}, {"ann": "-1/3", "bob": "7/1"})
    assert sums == {"ann": "0x0/0x1", "bob": "0x7/0x1", "cat": "0x1/0x2"}


@pytest.mark.parametrize("text", ["", "1", "1/", "a/b", "0.5/1"])
def test_what_is_no_fraction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        exact(text)
