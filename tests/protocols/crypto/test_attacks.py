"""A reader with nothing but the public key: what it reads of careless ciphertexts, and nothing of ours."""

from collections.abc import Iterable

import numpy as np
import pytest

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import objects
from hansa.protocols.crypto.errors import NotBlinded
from hansa.protocols.crypto.fixed import FixedArray, encode
from hansa.protocols.crypto.keys import KeyKind, PublicKey
from hansa.protocols.crypto.packing import Packing
from tests.protocols.crypto.keyring import KINDS, masks_for, secret_key


class Reader:
    """Try everything that needs no secret: the bare form 1 + m·n, and quotients with every ciphertext known."""

    def __init__(self, public: PublicKey, known: Iterable[int] = ()) -> None:
        self.n, self.modulus = int(public.n), int(public.n_squared)
        self.known = [1, *map(int, known)]

    def read(self, ciphertext: int) -> int | None:
        """Return a plaintext, or its difference to a known ciphertext's, if it can be had."""
        for other in self.known:
            for quotient in (ciphertext * pow(other, -1, self.modulus), ciphertext * other):
                bare, rest = divmod(quotient % self.modulus - 1, self.n)
                if rest == 0:
                    return bare
        return None

    def recognises(self, ciphertext: int, candidates: Iterable[int]) -> bool:
        """Tell whether it is one of the products that the reader can compute itself."""
        return int(ciphertext) in set(candidates)

    def reads_any(self, array: EncryptedArray) -> bool:
        return any(self.read(int(each)) is not None for each in array.ciphertexts.tolist())


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name.lower())
def public(request: pytest.FixtureRequest) -> PublicKey:
    kind: KeyKind = request.param
    return secret_key(kind).public


def numbers(public: PublicKey, values: list[float], name: str = "masks") -> EncryptedArray:
    return EncryptedArray.encrypt(public, encode(values, 8, 64.0), masks_for(public, name))


def test_a_ciphertext_without_a_mask_gives_its_plaintext_away(public: PublicKey) -> None:
    bare = objects([1 + 42 * public.n], (1,))
    careless = EncryptedArray.from_ciphertexts(public, bare, 0, 100)
    assert Reader(public).read(int(careless.ciphertexts[0])) == 42
    assert not Reader(public).reads_any(careless.rerandomised(masks_for(public)))


def test_multiplying_by_zero_or_subtracting_itself_leaves_no_mask(public: PublicKey) -> None:
    sent = numbers(public, [1.0, 2.0])
    for bare in (sent * 0, sent - sent, encode([[0.0, 0.0]], 0, 1.0) @ sent):
        assert Reader(public).reads_any(bare)
        assert not Reader(public).reads_any(bare.rerandomised(masks_for(public)))


def test_fresh_ciphertexts_tell_nothing_even_of_equal_numbers(public: PublicKey) -> None:
    array = numbers(public, [3.0] * 8)
    others = array.ciphertexts.tolist()
    for index, each in enumerate(others):
        assert Reader(public, others[:index] + others[index + 1 :]).read(int(each)) is None


def test_whoever_sent_a_ciphertext_divides_and_reads_what_was_added(public: PublicKey) -> None:
    """The host sent [[u_A]]; the guest answers [[u_A + u_B - y]]: without fresh masks its labels are gone."""
    sent = numbers(public, [0.5, -1.5, 2.0])
    secret_part = encode([-1.0, 1.0, 3.0], 8, 64.0)
    answer = sent + secret_part
    host = Reader(public, sent.ciphertexts.tolist())
    assert [host.read(int(each)) for each in answer.ciphertexts] == [
        each % int(public.n) for each in secret_part.integers.tolist()
    ]
    with pytest.raises(NotBlinded):
        answer.to_bytes()
    assert not host.reads_any(answer.rerandomised(masks_for(public, "fresh")))


def test_whoever_sent_residuals_recognises_a_column_by_its_product(public: PublicKey) -> None:
    """The guest sent [[d]]; a host's 0/1 column shows in the bare product, and not under a fresh mask."""
    sent = numbers(public, [0.5, -1.5, 2.0, 1.0])
    column = FixedArray(np.array([[1, 0, 1, 0]]), 0, 1)
    gradient = column @ sent
    products = []
    for pattern in range(16):
        product = 1
        for place, each in enumerate(sent.ciphertexts.tolist()):
            product = product * int(each) % int(public.n_squared) if pattern >> place & 1 else product
        products.append(product)
    guest = Reader(public, sent.ciphertexts.tolist())
    assert guest.recognises(gradient.ciphertexts[0], products)
    masked = gradient.rerandomised(masks_for(public, "fresh"))
    assert not guest.recognises(masked.ciphertexts[0], products)
    assert not guest.reads_any(masked)


def test_packed_numbers_come_with_FreshMasks(public: PublicKey) -> None:
    sent = numbers(public, [0.5, -1.5, 2.0, 1.0])
    packed = Packing(64 << 8, 3).pack(sent, masks_for(public, "fresh"))
    assert not Reader(public, sent.ciphertexts.tolist()).reads_any(packed)


def test_a_mask_used_twice_gives_the_difference_away(public: PublicKey) -> None:
    """Why a pool hands every mask out once."""
    one = numbers(public, [1.0], name="same")
    two = numbers(public, [1.5], name="same")
    assert Reader(public, one.ciphertexts.tolist()).read(int(two.ciphertexts[0])) == 128
