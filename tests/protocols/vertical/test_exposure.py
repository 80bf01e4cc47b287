"""What own scores give away where the arbiter sees them, and what the leak guard has to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.model import FloatArray
from hansa.protocols.vertical import exposure
from hansa.protocols.vertical.errors import BareScores, FewHeldOut
from hansa.protocols.vertical.exposure import check_held_out, check_own_columns, figure, own_scores

RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.normal(size=(200, 3))
FLAGS = RANDOM.integers(0, 2, size=(200, 4)).astype(float)


@pytest.mark.parametrize(("parties", "least"), [(2, 40), (3, 80), (10, 10_240)])
def test_ten_rows_are_held_out_for_each_coalition_there_is(parties: int, least: int) -> None:
    check_held_out(least, parties)
    with pytest.raises(
        FewHeldOut, match=f"{least - 1} rows held out: .* of {2**parties} coalitions .* {least};"
    ):
        check_held_out(least - 1, parties)


def test_all_figures_together_tell_two_bits_a_row_at_most() -> None:
    for parties in range(2, 12):
        rows = exposure.ROWS_PER_COALITION * 2**parties
        assert exposure.FIGURE_BITS * 2**parties <= 2 * rows


def test_a_single_column_and_columns_of_few_kinds_of_rows_are_refused_before_training() -> None:
    check_own_columns(NUMBERS[:, :2])
    with pytest.raises(BareScores, match="our one column"):
        check_own_columns(NUMBERS[:, :1])
    with pytest.raises(BareScores, match="take 16 values in 200 rows"):
        check_own_columns(FLAGS)
    check_own_columns(NUMBERS[:12])  # of twelve rows six kinds will do


def test_scores_are_sent_in_sixteenths_of_their_spread() -> None:
    theta = np.array([0.5, -1.0, 2.0])
    plain, sent = NUMBERS @ theta, own_scores(NUMBERS, theta, guarded=True)
    step = np.std(plain) / 16
    assert sent == pytest.approx(np.rint(plain / step) * step)
    assert np.abs(sent - plain).max() <= step / 2 * (1 + 1e-9)
    assert len(np.unique(np.rint(sent / step))) < 100


def weights_of_flags(scores: FloatArray) -> list[float] | None:
    """Return the coefficients' sizes behind sums of flags of which every pattern occurs, if it all comes out.

    The least sum is 0 (after a shift), the next the least size; what that adds to all sums known so far is struck
    off, and the least that is left is the next size.
    """
    left = sorted(np.unique(np.round(scores, 9)) - scores.min())
    known, found = [left.pop(0)], []
    while left:
        found.append(left[0])
        for total in [each + found[-1] for each in known]:
            known.append(total)
            place = int(np.argmin(np.abs(np.array(left) - total))) if left else -1
            if place < 0 or abs(left[place] - total) > 1e-6:
                return None
            left.pop(place)
    return found


def test_who_sees_all_digits_tells_flags_apart_and_who_sees_sixteenths_does_not() -> None:
    flags, theta = RANDOM.integers(0, 2, size=(4_000, 7)).astype(float), RANDOM.normal(size=7)
    assert weights_of_flags(flags @ theta) == pytest.approx(sorted(np.abs(theta)), abs=1e-6)
    assert weights_of_flags(own_scores(flags, theta, guarded=True)) is None


def test_what_is_sent_of_many_flags_takes_fewer_values_than_they_have_patterns() -> None:
    """With all digits, every pattern has its own value."""
    flags, theta = RANDOM.integers(0, 2, size=(4_000, 12)).astype(float), RANDOM.normal(size=12)
    assert len(np.unique(np.round(flags @ theta, 9))) > 2_000
    assert len(np.unique(own_scores(flags, theta, guarded=True))) < 120


def test_scores_that_are_one_column_again_are_refused() -> None:
    with pytest.raises(BareScores, match=r"column 1 tells 100\.0% of our own scores"):
        own_scores(NUMBERS, np.array([0.0, -0.3, 0.0]), guarded=True)
    with pytest.raises(BareScores, match=r"column 2 tells 99\.9% of our own scores"):
        own_scores(NUMBERS, np.array([0.02, 0.02, 1.0]), guarded=True)
    assert own_scores(NUMBERS, np.array([0.1, 0.1, 1.0]), guarded=True).shape == (200,)
    assert own_scores(NUMBERS, np.array([0.0, -0.3, 0.0]), guarded=False).shape == (200,)


def test_scores_of_few_values_are_refused_and_a_column_that_stands_still_hides_nothing() -> None:
    mixed = np.column_stack([FLAGS, np.full(200, 2.0)])
    with pytest.raises(BareScores, match=r"take \d+ values in 200 rows"):
        own_scores(mixed, np.array([1.0, 0.7, 0.4, 0.2, 1.0]), guarded=True)


@pytest.mark.parametrize("guarded", [True, False])
def test_equal_scores_tell_nothing_and_are_sent_as_one_number(guarded: bool) -> None:
    assert own_scores(NUMBERS, np.zeros(3), guarded=guarded).tolist() == [0.0] * 200
    alike = np.full((9, 3), 0.1)
    assert len(set(own_scores(alike, np.array([0.3, 0.1, 0.7]), guarded=guarded).tolist())) == 1


@given(st.floats(-1e30, 1e30))
def test_a_figure_keeps_its_twenty_leading_bits(value: float) -> None:
    told = figure(value)
    assert figure(told) == told
    assert abs(told - value) <= max(abs(value) * 2.0**-20, 5e-324)
