"""What can go wrong with keys, ciphertexts and encoded numbers.

::

    Exception
    ├── ProtocolError
    │   ├── LocalProtocolError
    │   │   └── NotBlinded            computed ciphertexts were about to be sent without fresh masks
    │   └── PeerError
    │       └── CiphertextRefused     a ciphertext, or an array of them, is not what a peer may send
    │           ├── MalformedFrame    the bytes are no frame of this format and version
    │           ├── ZeroCiphertext    the integer 0
    │           ├── CiphertextTooLarge    c ≥ n²
    │           ├── NotInvertible     gcd(c, n) ≠ 1: the sender knows a factor, or sent noise
    │           ├── WrongKey          made under another key
    │           └── WrongShape        another shape than the protocol expects here
    ├── ValueError
    │   ├── KeyRefused                bytes or numbers that make no key
    │   ├── EncodingError             NaN, infinity, or beyond the limit that was agreed for this value
    │   ├── ShapeMismatch             shapes that don't combine
    │   ├── PlaintextOverflow         a result could leave ±n/2, or a slot's range: it would wrap
    │   ├── NotASlot                  a decrypted plaintext was not packed with this layout
    │   └── InterchangeUnavailable    phe is not installed
    └── RuntimeError
        └── MasksExhausted            the pool is empty, and it was given nothing to make masks with

No message quotes a plaintext, an exponent or anything secret; sizes, shapes, positions and fingerprints only.
"""

from hansa.protocols.errors import LocalProtocolError, PeerError


class NotBlinded(LocalProtocolError):
    """Computed ciphertexts were about to be sent without fresh masks."""


class CiphertextRefused(PeerError):
    """A ciphertext is not what a peer may send."""


class MalformedFrame(CiphertextRefused):
    """The bytes are no frame of encrypted numbers."""


class ZeroCiphertext(CiphertextRefused):
    """A ciphertext is the integer 0, which encrypts nothing."""


class CiphertextTooLarge(CiphertextRefused):
    """A ciphertext is not below n²."""


class NotInvertible(CiphertextRefused):
    """A ciphertext shares a factor with n."""


class WrongKey(CiphertextRefused):
    """A ciphertext was made under another key."""


class WrongShape(CiphertextRefused):
    """Encrypted numbers came in another shape than the protocol expects."""


class KeyRefused(ValueError):
    """Bytes or numbers that make no key."""


class EncodingError(ValueError):
    """A number that the fixed-point format, as agreed, does not hold."""


class ShapeMismatch(ValueError):
    """Two shapes that do not combine."""


class PlaintextOverflow(ValueError):
    """A result could leave the range of plaintexts."""


class NotASlot(ValueError):
    """A plaintext was not packed with this layout."""


class InterchangeUnavailable(ValueError):
    """phe is not installed here."""


class MasksExhausted(RuntimeError):
    """No ready mask is left."""
