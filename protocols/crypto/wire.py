"""How do encrypted numbers travel, and what is believed of them on arrival?

A frame, all integers big-endian::

    domain                "hansa/paillier-array/1" and a zero byte
    32 bytes              fingerprint of the public key
    4 bytes               fractional bits
    4 bytes, then so many the bound on absolute plaintexts; no bytes for "any residue modulo n"
    1 byte                number of dimensions, then 8 bytes for each extent
    the rest              the ciphertexts, row by row, each of the key's fixed length

On arrival every ciphertext is compared with 0 and n², and one gcd over the product of a block finds whether any
shares a factor with n. The bound is the sender's word; decryption checks it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hansa.protocols.crypto.errors import (
    CiphertextTooLarge,
    MalformedFrame,
    NotInvertible,
    WrongKey,
    WrongShape,
    ZeroCiphertext,
)
from hansa.protocols.crypto.integers import gcd, product
from hansa.protocols.crypto.keys import PublicKey
from hansa.protocols.crypto.multiexp import split_bytes

DOMAIN = b"hansa/paillier-array/1\x00"
FINGERPRINT_BYTES = 32
COUNT_BYTES = 4
EXTENT_BYTES = 8
MOST_DIMENSIONS = 8
MOST_FRACTION_BITS = 4_096
MOST_ELEMENTS = 2**32  # numpy makes no array of an absurd shape, even of an empty one
BLOCK = 4_096  # ciphertexts read together


@dataclass(frozen=True, slots=True)
class Header:
    """What a frame says of its ciphertexts.

    Attributes:
        fingerprint: of the public key.
        fraction_bits: a plaintext integer counts 2^-fraction_bits.
        bound: no plaintext integer is larger in absolute value; None for residues modulo n.
        shape: of the array.
    """

    fingerprint: bytes
    fraction_bits: int
    bound: int | None
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of ciphertexts."""
        return math.prod(self.shape)

    def to_bytes(self) -> bytes:
        """Return the frame up to the ciphertexts."""
        bound = b""
        if self.bound is not None:
            bound = self.bound.to_bytes(max(1, (self.bound.bit_length() + 7) // 8), "big")
        return b"".join(
            [
                DOMAIN,
                self.fingerprint,
                self.fraction_bits.to_bytes(COUNT_BYTES, "big"),
                len(bound).to_bytes(COUNT_BYTES, "big") + bound,
                bytes([len(self.shape)]),
                *(extent.to_bytes(EXTENT_BYTES, "big") for extent in self.shape),
            ]
        )


def read_header(
    frame: bytes | memoryview, public: PublicKey, shape: tuple[int, ...] | None = None
) -> tuple[Header, memoryview]:
    """Take a frame apart, without copying its ciphertexts.

    Args:
        frame: as it arrived.
        public: the key that its ciphertexts have to be under.
        shape: what the protocol expects; None takes any.

    Returns:
        The header, and the ciphertexts' bytes, of the length that the header says.

    Raises:
        MalformedFrame: cut short, too long, of another format or version, or with impossible numbers.
        WrongKey: made under another key.
        WrongShape: another shape than expected.
    """
    reader = _Reader(memoryview(frame))
    if reader.take(len(DOMAIN)) != DOMAIN:
        raise MalformedFrame("this is no frame of encrypted numbers of this version")
    fingerprint = bytes(reader.take(FINGERPRINT_BYTES))
    if fingerprint != public.fingerprint:
        raise WrongKey(
            f"encrypted under key {fingerprint.hex()[:16]}…, expected {public.fingerprint.hex()[:16]}…"
        )
    fraction_bits = reader.number(COUNT_BYTES)
    bound_bytes = reader.number(COUNT_BYTES)
    bound = reader.number(bound_bytes) if bound_bytes else None
    if fraction_bits > MOST_FRACTION_BITS or (bound is not None and bound > public.largest):
        raise MalformedFrame("more fractional bits than there may be, or a bound beyond the key's plaintexts")
    dimensions = reader.number(1)
    if dimensions > MOST_DIMENSIONS:
        raise MalformedFrame(f"{dimensions} dimensions; at most {MOST_DIMENSIONS}")
    header = Header(
        fingerprint, fraction_bits, bound, tuple(reader.number(EXTENT_BYTES) for _ in range(dimensions))
    )
    if math.prod(extent or 1 for extent in header.shape) > MOST_ELEMENTS:
        raise MalformedFrame(f"a shape of more than {MOST_ELEMENTS:,} elements, but for extents of 0")
    if shape is not None and header.shape != shape:
        raise WrongShape(f"encrypted numbers of shape {header.shape}, expected {shape}")
    if len(reader.rest) != header.elements * public.ciphertext_bytes:
        raise MalformedFrame(f"{len(reader.rest)} bytes of ciphertexts for shape {header.shape}")
    return header, reader.rest


def read_blocks(body: memoryview, public: PublicKey, block: int = BLOCK) -> Iterator[list[int]]:
    """Yield the ciphertexts in blocks, each one checked, so that a large frame never stands in memory twice.

    Raises:
        ZeroCiphertext, CiphertextTooLarge, NotInvertible: with the position of the first such one.
    """
    step = block * public.ciphertext_bytes
    for start in range(0, len(body), step):
        numbers = split_bytes(body[start : start + step], public.ciphertext_bytes)
        check(numbers, public, first=start // public.ciphertext_bytes)
        yield numbers


def check(ciphertexts: Sequence[int], public: PublicKey, first: int = 0) -> None:
    """Check that integers are ciphertexts of a key; `first` is the position of the first, for the message.

    Raises:
        ZeroCiphertext, CiphertextTooLarge, NotInvertible: with the position of the first such one.
    """
    n, modulus = public.n, public.n_squared
    for position, ciphertext in enumerate(ciphertexts, first):
        if not 0 < ciphertext < modulus:
            if ciphertext == 0:
                raise ZeroCiphertext(f"element {position} is the integer 0, which no encryption gives")
            raise CiphertextTooLarge(f"element {position} is not between 1 and n²")
    if gcd(product([ciphertext % n for ciphertext in ciphertexts], n), n) != 1:
        culprit = next(place for place, each in enumerate(ciphertexts, first) if gcd(each, n) != 1)
        raise NotInvertible(f"element {culprit} shares a factor with the modulus")


class _Reader:
    """Take a buffer's bytes from the front."""

    def __init__(self, data: memoryview) -> None:
        self.rest = data.cast("B")

    def take(self, count: int) -> memoryview:
        if count > len(self.rest):
            raise MalformedFrame("the frame ends before its header does")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")
