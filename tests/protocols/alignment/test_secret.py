"""What is drawn from a party's secret."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hansa.protocols.alignment.secret import permutation, private_key, random_digests

SECRETS = st.binary(min_size=32, max_size=32)


@given(SECRETS, st.integers(0, 300))
def test_the_order_is_a_permutation_and_repeats(secret: bytes, count: int) -> None:
    order = permutation(secret, count)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, permutation(secret, count))


@given(SECRETS, SECRETS)
def test_other_secrets_draw_otherwise(one: bytes, two: bytes) -> None:
    same = one == two
    assert (private_key(one) == private_key(two)) == same
    assert np.array_equal(permutation(one, 100), permutation(two, 100)) == same
    assert np.array_equal(random_digests(one, 3), random_digests(two, 3)) == same


def test_each_purpose_draws_its_own() -> None:
    secret = bytes(32)
    key, padding = private_key(secret), random_digests(secret, 1).tobytes()
    assert len({secret, key, padding}) == 3


def test_every_place_is_as_likely_as_any() -> None:
    first = np.array(
        [permutation(bytes([high, low, *bytes(30)]), 4)[0] for high in range(8) for low in range(250)]
    )
    counts = np.bincount(first, minlength=4)
    assert (abs(counts - 500) < 90).all()  # 4.6 standard deviations; the secrets are fixed
