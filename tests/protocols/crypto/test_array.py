"""Encrypted arrays: numpy's semantics, exact results, and bounds that refuse before anything wraps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, mutually_broadcastable_shapes

from hansa.protocols.crypto.array import EncryptedArray, concatenate
from hansa.protocols.crypto.digits import Integers
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import NotBlinded, PlaintextOverflow, ShapeMismatch, WrongKey
from hansa.protocols.crypto.fixed import FixedArray, encode
from hansa.protocols.crypto.integers import random_below
from hansa.protocols.crypto.keys import KeyKind
from tests.protocols.crypto.keyring import KINDS, masks_for, secret_key, seeded

SECRET = secret_key(KeyKind.SUBGROUP)
PUBLIC = SECRET.public
OTHER = secret_key(KeyKind.STANDARD)
MASKS = masks_for(PUBLIC)
LIMIT = 2**20
SMALL = st.integers(-LIMIT, LIMIT)
FRACTIONS = st.integers(0, 30)


def integers(shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[Integers]:
    return arrays(np.int64, shape, elements=SMALL)


def fixed(values: Integers, fraction_bits: int = 0) -> FixedArray:
    return FixedArray(values, fraction_bits, LIMIT)


def encrypted(values: Integers, fraction_bits: int = 0) -> EncryptedArray:
    return EncryptedArray.encrypt(PUBLIC, fixed(values, fraction_bits), MASKS)


def opened(array: EncryptedArray) -> Any:
    """Return plaintexts with all their fractional bits, as exact as Python's integers."""
    return array.decrypt_integers(SECRET)


def same(array: EncryptedArray, exact: Any) -> bool:
    """Compare shapes and plaintexts; both sides in units of the array's last fractional bit."""
    exact = np.asarray(exact, dtype=object)
    return array.shape == exact.shape and bool((opened(array) == exact).all())


PAIRS = mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3).flatmap(
    lambda shapes: st.tuples(integers(shapes.input_shapes[0]), integers(shapes.input_shapes[1]))
)


@settings(max_examples=50, deadline=None)
@given(PAIRS, FRACTIONS, FRACTIONS)
def test_sums_and_differences_decrypt_to_sums_and_differences(
    pair: tuple[Integers, Integers], left: int, right: int
) -> None:
    a, b = (each.astype(object) for each in pair)
    bits = max(left, right)
    a, b = a << (bits - left), b << (bits - right)
    x, y = encrypted(pair[0], left), encrypted(pair[1], right)
    plain = fixed(pair[1], right)
    assert same(x + y, a + b)
    assert same(x - y, a - b)
    assert same(x + plain, a + b)
    assert same(plain + x, a + b)
    assert same(x - plain, a - b)
    assert same(plain - x, b - a)
    assert (x + y).fraction_bits == (x + plain).fraction_bits == bits


@settings(max_examples=50, deadline=None)
@given(PAIRS, FRACTIONS, FRACTIONS)
def test_products_with_plain_numbers_add_their_fractional_bits(
    pair: tuple[Integers, Integers], left: int, right: int
) -> None:
    x, plain = encrypted(pair[0], left), fixed(pair[1], right)
    product = pair[0].astype(object) * pair[1]
    assert same(x * plain, product)
    assert same(plain * x, product)
    assert (x * plain).fraction_bits == left + right


@settings(deadline=None)
@given(integers((2, 2)), SMALL)
def test_integers_count_as_whole_numbers(values: Integers, number: int) -> None:
    x, a = encrypted(values, 4), values.astype(object)
    assert same(x + number, a + 16 * number)
    assert same(number + x, a + 16 * number)
    numpys: Any = np.int64(number)  # numpy has to leave the operators to us
    assert same(numpys - x, 16 * number - a)
    assert same(x - number, a - 16 * number)
    assert same(x * number, a * number)
    assert same(numpys * x, a * number)
    assert same(-x, -a)
    assert same(sum(list(x), start=x[0] * 0), a.sum(0))


MATRICES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)).flatmap(
    lambda n: st.tuples(integers((n[0], n[1])), integers((n[1], n[2])))
)


@settings(max_examples=40, deadline=None)
@given(MATRICES)
def test_matrix_products_agree_with_numpy_from_either_side(pair: tuple[Integers, Integers]) -> None:
    a, b = pair
    exact = a.astype(object) @ b.astype(object)
    assert same(fixed(a, 3) @ encrypted(b, 5), exact)
    assert same(encrypted(a, 3) @ fixed(b, 5), exact)
    assert same(fixed(a) @ encrypted(b[:, 0]), exact[:, 0])
    assert same(fixed(a[0]) @ encrypted(b), exact[0])
    assert same(encrypted(a) @ fixed(b[:, 0]), exact[:, 0])
    assert same(encrypted(a[0]) @ fixed(b[:, 0]), exact[0, 0])
    assert (fixed(a, 3) @ encrypted(b, 5)).fraction_bits == 8


def test_a_matrix_product_over_nothing_is_zero() -> None:
    empty = FixedArray(np.zeros((2, 0), np.int64), 0, 1)
    assert same(empty @ encrypted(np.zeros((0,), np.int64)), [0, 0])


@settings(deadline=None)
@given(integers((2, 3)))
def test_sums_run_along_an_axis_or_over_all(values: Integers) -> None:
    x, a = encrypted(values, 4), values.astype(object)
    assert same(x.sum(0), a.sum(0))
    assert same(x.sum(-1), a.sum(-1))
    assert same(x.sum(), a.sum())
    assert same(x[:0].sum(0), [0, 0, 0])


def test_selecting_is_numpys_and_keeps_masks_fresh() -> None:
    values = np.arange(12).reshape(3, 4)
    x = encrypted(values)
    for index in (0, -1, (1, 2), slice(1, None), (slice(None), 2), (..., slice(None, None, 2)), None):
        assert same(x[index], values[index])
        assert x[index].blinded
    assert same(x[np.array([2, 0])], values[[2, 0]])
    assert same(x[values > 5], values[values > 5])
    assert same(x.T, values.T)
    assert same(x.reshape(2, -1), values.reshape(2, -1))
    assert [same(row, values[index]) for index, row in enumerate(x)] == [True] * 3
    assert (len(x), x.ndim, x.size, x.shape) == (3, 2, 12, (3, 4))
    joined = concatenate([x, encrypted(values[:1], 2)])
    assert same(joined, np.concatenate([values * 4, values[:1]]))
    assert joined.fraction_bits == 2
    assert same(concatenate([x, x], axis=1), np.concatenate([values, values], axis=1))
    assert concatenate([x, x], axis=1).blinded
    with pytest.raises(IndexError):
        x[3]


def test_numbers_come_back_as_float64() -> None:
    values = np.array([1.5, -2.25, 0.0])
    decrypted = EncryptedArray.encrypt(PUBLIC, encode(values, 10, 4.0), MASKS).decrypt(SECRET)
    assert decrypted.dtype == np.float64
    assert decrypted.tolist() == values.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_does_the_same(kind: KeyKind) -> None:
    secret = secret_key(kind)
    masks = masks_for(secret.public)
    x = EncryptedArray.encrypt(secret.public, encode([[1.0, -2.0], [3.0, 4.5]], 8, 8.0), masks)
    y = (encode([2.0, -1.0], 8, 8.0) @ x + 1).rerandomised(masks)
    received = EncryptedArray.from_bytes(y.to_bytes(), secret.public, (2,))
    assert received.decrypt(secret).tolist() == [0.0, -7.5]


def test_FreshMasks_change_every_ciphertext_and_no_plaintext() -> None:
    x = encrypted(np.arange(5))
    y = x.rerandomised(MASKS)
    assert same(y, np.arange(5))
    assert not set(x.ciphertexts.tolist()) & set(y.ciphertexts.tolist())


def test_residues_uniform_modulo_n_hide_and_come_off_again() -> None:
    randomness = seeded("residues")
    x = encrypted(np.array([5, -7, 0]), 3)
    residues = objects((random_below(PUBLIC.n, randomness) for _ in range(3)), (3,))
    y = x.masked(residues)
    received = EncryptedArray.from_bytes(y.rerandomised(MASKS).to_bytes(), PUBLIC)
    seen = received.decrypt_residues(SECRET)
    assert [int((s - r) % PUBLIC.n) for s, r in zip(seen, residues, strict=True)] == [5, int(PUBLIC.n) - 7, 0]
    assert (y + 1 - x).bound is None
    assert ((-y + fixed(np.arange(3), 3)).bound, (x + y).bound, concatenate([x, y]).bound) == (None,) * 3
    with pytest.raises(ShapeMismatch, match="residues of shape"):
        x.masked(residues[:2])
    attempts: list[Callable[[], object]] = [
        lambda: y * 2,
        lambda: y.sum(0),
        lambda: fixed(np.ones(3, np.int64)) @ y,
        lambda: y.scaled_to(4),
        lambda: y.decrypt(SECRET),
    ]
    for attempt in attempts:
        with pytest.raises(PlaintextOverflow, match="residues modulo n"):
            attempt()


def test_no_bound_depends_on_data() -> None:
    low, high = encrypted(np.zeros(3, np.int64)), encrypted(np.full(3, LIMIT))
    ones, many = fixed(np.ones(3, np.int64)), fixed(np.full(3, LIMIT))
    assert (ones @ low).bound == (many @ high).bound == 3 * LIMIT**2
    assert (low + ones).bound == (high + many).bound == 2 * LIMIT


BIG = 2**500  # of a key of 512 bits


def large(value: int = BIG, fraction_bits: int = 0) -> EncryptedArray:
    return EncryptedArray.encrypt_integers(PUBLIC, objects([value] * 4, (4,)), fraction_bits, BIG, MASKS)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: large() * 2**12,
        lambda: large() * fixed(np.array([1])),
        lambda: large() + large().scaled_to(11),
        lambda: large().scaled_to(11),
        lambda: fixed(np.ones(4, np.int64)) @ large(),
        lambda: (large() * 2**9).sum(),
        lambda: large() * 2**10 + large() * 2**10,
        lambda: large() * 2**10 + fixed(np.ones(4, np.int64), 500),
        lambda: EncryptedArray.encrypt(PUBLIC, fixed(np.array([1])), MASKS, growth=BIG),
        lambda: EncryptedArray.encrypt_integers(PUBLIC, objects([1], (1,)), 0, int(PUBLIC.n), MASKS),
        lambda: EncryptedArray.encrypt_integers(PUBLIC, objects([3], (1,)), 0, 2, MASKS),
        lambda: EncryptedArray.from_ciphertexts(PUBLIC, objects([1], (1,)), 0, int(PUBLIC.n)),
    ],
)
def test_what_could_wrap_is_refused_before_it_is_computed(attempt: Callable[[], object]) -> None:
    with pytest.raises(PlaintextOverflow):
        attempt()


def test_the_last_integer_that_fits_does() -> None:
    largest = int(PUBLIC.largest)
    x = EncryptedArray.encrypt_integers(PUBLIC, objects([largest, -largest], (2,)), 0, largest, MASKS)
    assert same(x, [largest, -largest])
    assert EncryptedArray.encrypt(PUBLIC, fixed(np.array([1])), MASKS, growth=largest // LIMIT).size == 1
    with pytest.raises(PlaintextOverflow):
        x + 1


def test_a_plaintext_beyond_the_bound_its_sender_stated_is_refused_unread() -> None:
    lying = EncryptedArray(PUBLIC, large().ciphertexts, 0, 1_000)
    with pytest.raises(PlaintextOverflow, match="beyond the bound") as refusal:
        lying.decrypt(SECRET)
    assert str(BIG) not in str(refusal.value)


def test_other_keys_are_refused_by_name() -> None:
    x = encrypted(np.arange(2))
    y = EncryptedArray.encrypt(OTHER.public, fixed(np.arange(2)), masks_for(OTHER.public))
    for attempt in (
        lambda: x + y,
        lambda: x - y,
        lambda: concatenate([x, y]),
        lambda: x.rerandomised(masks_for(OTHER.public)),
        lambda: EncryptedArray.encrypt(PUBLIC, fixed(np.arange(2)), masks_for(OTHER.public)),
        lambda: x.decrypt(OTHER),
        lambda: x.decrypt_residues(OTHER),
    ):
        with pytest.raises(WrongKey):
            attempt()


def test_shapes_that_do_not_combine_are_refused_by_name() -> None:
    x, plain = encrypted(np.zeros((2, 3), np.int64)), fixed(np.zeros((2, 3), np.int64))
    cube = encrypted(np.zeros((1, 1, 1), np.int64))
    attempts: list[Callable[[], object]] = [
        lambda: x + x[:, :2],
        lambda: x + plain.T,
        lambda: x * plain.T,
        lambda: plain @ x,
        lambda: x @ plain,
        lambda: cube @ plain,
        lambda: plain @ cube,
        lambda: x.sum(2),
        lambda: concatenate([x, x[:, :2]]),
    ]
    for attempt in attempts:
        with pytest.raises(ShapeMismatch):
            attempt()


def test_fewer_fractional_bits_and_nothing_to_join_are_refused() -> None:
    with pytest.raises(ValueError, match="from 4 fractional bits to 3"):
        encrypted(np.arange(2), 4).scaled_to(3)
    with pytest.raises(ValueError, match="no arrays"):
        concatenate([])


@pytest.mark.parametrize("operand", [1.5, np.ones(2), "x"])
def test_plain_numbers_have_to_be_encoded_first(operand: Any) -> None:
    x = encrypted(np.arange(2))
    attempts: list[Callable[[], object]] = [
        lambda: x + operand,
        lambda: operand - x,
        lambda: x * operand,
        lambda: x @ operand,
        lambda: operand @ x,
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="encode"):
            attempt()


def test_a_computed_array_says_what_to_do_and_shows_no_number() -> None:
    computed = encrypted(np.arange(2)) + 1
    with pytest.raises(NotBlinded, match="rerandomised"):
        computed.to_bytes()
    assert "EncryptedArray((2,), 0 fractional bits" in repr(computed)
    assert str(computed.ciphertexts[0]) not in repr(computed)


def test_ciphertexts_cannot_be_written_to() -> None:
    x = encrypted(np.arange(4)).reshape(2, 2)
    with pytest.raises(ValueError, match="read-only"):
        x.ciphertexts[0, 0] = 1
