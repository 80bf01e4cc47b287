"""Fixed point: rounding, limits, and the way back."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hansa.protocols.crypto.errors import EncodingError
from hansa.protocols.crypto.fixed import FixedArray, decode, encode
from hansa.protocols.model import FloatArray

REALS = arrays(np.float64, array_shapes(max_dims=3), elements=st.floats(-1_000, 1_000))


@settings(deadline=None)
@given(REALS, st.integers(0, 50))
def test_a_number_comes_back_within_half_a_step(values: FloatArray, bits: int) -> None:
    fixed = encode(values, bits, 1_000.0)
    assert fixed.shape == values.shape
    assert fixed.limit == 1_000 << bits
    assert np.abs(fixed.decoded() - values).max() <= 0.5 * 2.0**-bits


@settings(deadline=None)
@given(st.lists(st.integers(-(2**300), 2**300), max_size=5), st.integers(0, 400))
def test_large_integers_are_rounded_once(integers: list[int], bits: int) -> None:
    decoded = decode(np.array(integers, dtype=object), bits)
    assert decoded.tolist() == [float(Fraction(each, 1 << bits)) for each in integers]


def test_the_transpose_is_that_of_the_integers() -> None:
    fixed = encode([[1.0, 2.0, 3.0]], 4, 8.0)
    assert fixed.T.integers.tolist() == [[16], [32], [48]]


@pytest.mark.parametrize(
    ("values", "bits", "limit", "says"),
    [
        ([1.0, float("nan")], 4, 8.0, r"element \[1\] is NaN"),
        (float("inf"), 4, 8.0, r"element \[\] is NaN or infinite"),
        ([[1.0, 2.0], [9.0, 3.0]], 4, 8.0, r"element \[1, 0\] is beyond the agreed limit of 8"),
        ([1.0], -1, 8.0, "fraction_bits"),
        ([1.0], 1_001, 8.0, "fraction_bits"),
        ([1.0], 4, -1.0, "limit"),
        ([1.0], 4, float("inf"), "limit"),
        ([1.0], 62, 1.0, "below 2\\^62"),
        ([1.0], 1_000, 1e300, "below 2\\^62"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_position(
    values: object, bits: int, limit: float, says: str
) -> None:
    with pytest.raises(EncodingError, match=says):
        encode(np.array(values), bits, limit)


def test_no_error_quotes_a_value() -> None:
    with pytest.raises(EncodingError) as refusal:
        encode([7654321.0], 4, 8.0)
    assert "7654321" not in str(refusal.value)


def test_a_limit_is_kept_by_integers_too() -> None:
    with pytest.raises(EncodingError, match=r"element \[1\]"):
        FixedArray(np.array([1, -5]), 0, 4)
    with pytest.raises(EncodingError, match="holds no integers"):
        FixedArray(np.array([1.0]), 0, 4)
    with pytest.raises(EncodingError, match="2\\^62"):
        FixedArray(np.array([1]), 0, 2**62)
    assert encode(0.0, 4, 0.0).limit == 0


def test_the_integers_cannot_be_written_to_from_outside() -> None:
    source = np.array([1, 2])
    fixed = FixedArray(source, 0, 4)
    source[0] = 9
    assert fixed.integers.tolist() == [1, 2]
    assert not fixed.integers.flags.writeable


def test_a_number_beyond_float64_is_refused() -> None:
    with pytest.raises(EncodingError, match="too large for float64"):
        decode(np.array([1 << 2_000], dtype=object), 0)
