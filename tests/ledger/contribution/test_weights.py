"""Contributions become whole weights; what is negative counts as zero and stays visible."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.ledger import largest_remainder
from hansa.ledger.contribution import WEIGHT_SCALE, weights

SHARES = st.dictionaries(st.text("abcd", min_size=1, max_size=2), st.fractions(), min_size=1, max_size=8)


@settings(max_examples=50)
@given(SHARES)
def test_weights_are_whole_sum_to_the_scale_and_keep_the_ratios(shares: dict[str, Fraction]) -> None:
    found = weights(shares)
    positive = sum(share for share in shares.values() if share > 0)
    assert list(found.whole) == list(shares)
    assert found.negative == {party: share for party, share in shares.items() if share < 0}
    assert all(found.whole[party] == 0 for party in found.negative)
    if positive:
        assert sum(found.whole.values()) == WEIGHT_SCALE
        for party, weight in found.whole.items():
            assert abs(weight - WEIGHT_SCALE * max(shares[party], Fraction(0)) / positive) < 1


def test_if_nobody_has_contributed_no_pot_can_be_split() -> None:
    found = weights({"bremen": Fraction(-1), "riga": Fraction(0)})
    assert found.whole == {"bremen": 0, "riga": 0}
    assert found.negative == {"bremen": -1}
    with pytest.raises(ValueError, match="no positive weight"):
        largest_remainder(100, found.whole)


def test_of_nobody_there_are_no_weights() -> None:
    with pytest.raises(ValueError, match="no contributions"):
        weights({})
