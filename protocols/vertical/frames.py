"""How do encrypted numbers lie in messages, and in our own hands between two tasks?

A frame is `crypto.wire`'s bytes as a uint8 array, since large arrays travel beside their message. Numbers that are
still under encryption and only wait for our own next task are bytes of the same format, but marked as not blinded
when they are read again, so that none can leave without fresh masks.
"""

from dataclasses import replace

import numpy as np

from hansa.protocols.crypto import EncryptedArray, PublicKey
from hansa.protocols.digest import freeze
from hansa.protocols.errors import PeerError
from hansa.protocols.model import Array

MOST_HEADER_BYTES = 2_048


def framed(array: EncryptedArray) -> Array:
    """Return a frame for a peer.

    Raises:
        NotBlinded: numbers without fresh masks.
    """
    return freeze(np.frombuffer(array.to_bytes(), np.uint8))


def check_frame(sender: str, frame: Array, numbers: int, key_bits: int) -> None:
    """Refuse, before it is kept, what is no frame or longer than one of so many numbers.

    Raises:
        PeerError: with how long it is.
    """
    if frame.dtype != np.uint8 or frame.ndim != 1:
        raise PeerError(f"{sender} sent {frame.dtype} of {frame.ndim} dimensions; a frame is bytes in a row")
    if frame.size > MOST_HEADER_BYTES + numbers * key_bits // 4:  # a ciphertext is twice as long as its key
        raise PeerError(f"{sender} sent a frame of {frame.size} bytes for {numbers} numbers")


def unframed(frame: Array, key: PublicKey, shape: tuple[int, ...]) -> EncryptedArray:
    """Read a peer's frame.

    Raises:
        CiphertextRefused: no numbers of this key and shape.
    """
    return EncryptedArray.from_bytes(np.ascontiguousarray(frame).data, key, shape)


def read_frame(frame: Array, key: PublicKey, size: int, bits: int, limit: int) -> EncryptedArray:
    """Read a peer's frame of so many numbers, of the agreed format.

    Raises:
        PeerError: other fractional bits, or another bound.
        CiphertextRefused: as above.
    """
    array = unframed(frame, key, (size,))
    if (array.fraction_bits, array.bound) != (bits, limit):
        raise PeerError(
            f"encrypted numbers of another format than {bits} fractional bits and the agreed bound"
        )
    return array


def kept(array: EncryptedArray) -> bytes:
    """Return numbers for our own next task."""
    return array.header().to_bytes() + array.body()


def reread(ours: bytes, key: PublicKey) -> EncryptedArray:
    """Read our own numbers again."""
    return replace(EncryptedArray.from_bytes(ours, key), blinded=False)
