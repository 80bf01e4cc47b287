"""How is numpy written over numbers that nobody here can read? `EncryptedArray`.

    u = EncryptedArray.encrypt(public, encode(scores, 30, limit=64.0), masks)
    d = u + encode(own - y, 30, limit=64.0)          # any of + - * @ sum, slices, reshape, T, concatenate
    g = X.T @ d                                      # X a FixedArray
    g.rerandomised(masks).to_bytes()                 # what leaves has fresh masks, or `to_bytes` refuses

Every array carries its key, its fractional bits and a bound on its plaintexts' absolute values. The bound follows
from agreed limits and shapes alone, never from data; an operation after which it could leave ±(n-1)/2 raises
`PlaintextOverflow` before anything is computed, so that nothing ever wraps. The exception is deliberate:
`masked` adds residues uniform modulo n, and the result has no bound (None) and decrypts to residues. An `int` as an
operand counts as public, since it enters the bound; a private number is encoded, with the limit agreed for it.

`blinded` says whether the ciphertexts' masks are fresh. A computed ciphertext's are not: whoever knows the inputs'
ciphertexts divides and reads the difference. Selecting and reordering keep it; every computation clears it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hansa.protocols.crypto import elements
from hansa.protocols.crypto.decryption import decrypt_residues, signed
from hansa.protocols.crypto.elements import Objects, flat, objects
from hansa.protocols.crypto.errors import NotBlinded, PlaintextOverflow, ShapeMismatch, WrongKey
from hansa.protocols.crypto.fixed import FixedArray, decode
from hansa.protocols.crypto.integers import big
from hansa.protocols.crypto.keys import PublicKey, SecretKey
from hansa.protocols.crypto.masks import MaskSource
from hansa.protocols.crypto.multiexp import join_bytes, products
from hansa.protocols.crypto.wire import Header, check, read_blocks, read_header

Index = int | slice | EllipsisType | None | NDArray[np.integer] | NDArray[np.bool_]
Plain = int | FixedArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EncryptedArray:
    """Fixed-point numbers under one key.

    Attributes:
        public: the key.
        ciphertexts: integers in [1, n²), any shape; read-only.
        fraction_bits: a plaintext integer counts 2^-fraction_bits.
        bound: no plaintext integer is larger in absolute value; None for residues modulo n.
        blinded: whether the masks are fresh, so that the array may be sent.
    """

    public: PublicKey
    ciphertexts: Objects = field(repr=False)
    fraction_bits: int
    bound: int | None
    blinded: bool = False

    # numpy leaves operators with an array on the left to us.
    __array_ufunc__: ClassVar[None] = None

    def __repr__(self) -> str:
        return f"EncryptedArray({self.shape}, {self.fraction_bits} fractional bits, {self.public!r})"

    # Making and opening

    @classmethod
    def encrypt(
        cls, public: PublicKey, plain: FixedArray, masks: MaskSource, *, growth: int = 1
    ) -> "EncryptedArray":
        """Encrypt fixed-point numbers.

        Args:
            public: the key.
            plain: the numbers, with the limit that was agreed for them.
            masks: for one fresh mask for each number.
            growth: by how much later steps enlarge them, such as rows × the limit of the factors; checked now,
                before any work.

        Raises:
            PlaintextOverflow: limit × growth is beyond the key's plaintexts.
            WrongKey: the masks are another key's.
        """
        if plain.limit * growth > public.largest:
            raise PlaintextOverflow(
                f"limit × growth has {(plain.limit * growth).bit_length()} bits, plaintexts have {public.bits - 1}"
            )
        integers = objects(map(big, plain.integers.reshape(-1).tolist()), plain.shape)
        return cls.encrypt_integers(public, integers, plain.fraction_bits, plain.limit, masks)

    @classmethod
    def encrypt_integers(
        cls, public: PublicKey, integers: Objects, fraction_bits: int, bound: int, masks: MaskSource
    ) -> "EncryptedArray":
        """Encrypt integers of any size, such as packed ones, that are known to keep within a bound.

        Raises:
            PlaintextOverflow: the bound is beyond the key's plaintexts, or an integer beyond the bound.
            WrongKey: the masks are another key's.
        """
        _check_bound(bound, public)
        if any(abs(each) > bound for each in flat(integers)):
            raise PlaintextOverflow("an integer is beyond the bound stated for it")
        fresh = objects(_masks_for(public, masks, integers.size), integers.shape)
        hidden = elements.add_plain(fresh, integers, public)
        return cls(public, hidden, fraction_bits, bound, blinded=True)

    @classmethod
    def from_bytes(
        cls, frame: bytes | memoryview, public: PublicKey, shape: tuple[int, ...] | None = None
    ) -> "EncryptedArray":
        """Read a peer's frame; every ciphertext is checked.

        Raises:
            CiphertextRefused: one of its kinds; see `wire.read_header` and `wire.read_blocks`.
        """
        header, body = read_header(frame, public, shape)
        numbers = [number for block in read_blocks(body, public) for number in block]
        return cls(public, objects(numbers, header.shape), header.fraction_bits, header.bound, blinded=True)

    @classmethod
    def from_ciphertexts(
        cls, public: PublicKey, ciphertexts: Objects, fraction_bits: int, bound: int | None
    ) -> "EncryptedArray":
        """Take over integers computed elsewhere, such as a worker's results; they count as not blinded.

        Raises:
            CiphertextRefused: one of them is no ciphertext of this key.
            PlaintextOverflow: the bound is beyond the key's plaintexts.
        """
        if bound is not None:
            _check_bound(bound, public)
        numbers = [big(each) for each in flat(ciphertexts)]
        check(numbers, public)
        return cls(public, objects(numbers, ciphertexts.shape), fraction_bits, bound)

    def to_bytes(self) -> bytes:
        """Return the frame for a peer.

        Raises:
            NotBlinded: the array was computed and has no fresh masks; call `rerandomised` first.
        """
        if not self.blinded:
            raise NotBlinded(
                "computed ciphertexts need fresh masks before they are sent: call rerandomised()"
            )
        return self.header().to_bytes() + self.body()

    def header(self) -> Header:
        """Return what a frame says of this array."""
        return Header(self.public.fingerprint, self.fraction_bits, self.bound, self.shape)

    def body(self) -> bytes:
        """Return the ciphertexts' bytes, row by row, for this organisation's own worker processes."""
        return join_bytes(flat(self.ciphertexts), self.public.ciphertext_bytes)

    def decrypt(self, secret: SecretKey) -> NDArray[np.float64]:
        """Return the numbers, float64.

        Raises:
            WrongKey: not this array's key.
            PlaintextOverflow: a plaintext is beyond the bound that its sender stated, or there is none.
            EncodingError: a number too large for float64.
        """
        return decode(self.decrypt_integers(secret), self.fraction_bits)

    def decrypt_integers(self, secret: SecretKey) -> Objects:
        """Return the plaintext integers, signed.

        Raises:
            WrongKey, PlaintextOverflow: as `decrypt`.
        """
        bound = self._bound()
        self._check_secret(secret)
        integers = signed(decrypt_residues(secret, flat(self.ciphertexts)), self.public)
        if any(abs(each) > bound for each in integers):
            raise PlaintextOverflow("a decrypted number is beyond the bound that its sender stated")
        return objects(integers, self.shape)

    def decrypt_residues(self, secret: SecretKey) -> Objects:
        """Return the plaintexts as residues in [0, n).

        Raises:
            WrongKey: not this array's key.
        """
        self._check_secret(secret)
        return objects(decrypt_residues(secret, flat(self.ciphertexts)), self.shape)

    # Fresh masks

    def rerandomised(self, masks: MaskSource) -> "EncryptedArray":
        """Return the same numbers under fresh masks, ready to be sent.

        Raises:
            WrongKey: the masks are another key's.
        """
        fresh = objects(_masks_for(self.public, masks, self.size), self.shape)
        hidden = elements.add(self.ciphertexts, fresh, self.public)
        return EncryptedArray(self.public, hidden, self.fraction_bits, self.bound, blinded=True)

    def masked(self, residues: Objects) -> "EncryptedArray":
        """Add residues that are uniform modulo n: what is decrypted then tells nothing without them.

        Args:
            residues: (shape) integers in [0, n), from `integers.random_below`.

        Returns:
            An array without a bound; `decrypt_residues` opens it, and whoever knows the residues subtracts them
            modulo n. It is not blinded.

        Raises:
            ShapeMismatch: another shape.
        """
        if residues.shape != self.shape:
            raise ShapeMismatch(f"residues of shape {residues.shape} for numbers of shape {self.shape}")
        return self._computed(elements.add_plain(self.ciphertexts, residues, self.public), None)

    # numpy's view of it

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.ciphertexts.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.ciphertexts.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.ciphertexts.size

    @property
    def T(self) -> "EncryptedArray":
        """The transposed array."""
        return self._selected(self.ciphertexts.T)

    def reshape(self, *shape: int) -> "EncryptedArray":
        """Return the same elements in another shape; -1 stands for what is left."""
        return self._selected(self.ciphertexts.reshape(shape))

    def __len__(self) -> int:
        return len(self.ciphertexts)

    def __getitem__(self, index: Index | tuple[Index, ...]) -> "EncryptedArray":
        return self._selected(self.ciphertexts[index])

    def __iter__(self) -> Iterator["EncryptedArray"]:
        return (self[index] for index in range(len(self)))

    # Arithmetic

    def __add__(self, other: "EncryptedArray | Plain") -> "EncryptedArray":
        if isinstance(other, EncryptedArray):
            return self._plus(other)
        if isinstance(other, int | np.integer):
            other = FixedArray(np.asarray(other), 0, abs(int(other)))
        if not isinstance(other, FixedArray):
            raise _not_plain(other)
        bits = max(self.fraction_bits, other.fraction_bits)
        left = self.scaled_to(bits)
        factor = big(1) << (bits - other.fraction_bits)
        bound = None if left.bound is None else _sum_bound(left.bound, other.limit * int(factor), self.public)
        _check_broadcast(self.shape, other.shape)
        plain = objects((each * factor for each in other.integers.reshape(-1).tolist()), other.shape)
        return left._computed(elements.add_plain(left.ciphertexts, plain, self.public), bound)

    __radd__ = __add__

    def __neg__(self) -> "EncryptedArray":
        return self._computed(elements.negate(self.ciphertexts, self.public), self.bound)

    def __sub__(self, other: "EncryptedArray | Plain") -> "EncryptedArray":
        if isinstance(other, FixedArray):
            return self + FixedArray(-other.integers, other.fraction_bits, other.limit)
        return self + -other

    def __rsub__(self, other: Plain) -> "EncryptedArray":
        return -self + other

    def __mul__(self, other: Plain) -> "EncryptedArray":
        """Multiply by integers, which leaves the fractional bits, or by a FixedArray, which adds its own."""
        if isinstance(other, int | np.integer):
            other = FixedArray(np.asarray(other), 0, abs(int(other)))
        if not isinstance(other, FixedArray):
            raise _not_plain(other)
        bound = _check_bound(self._bound() * other.limit, self.public)
        _check_broadcast(self.shape, other.shape)
        factors = objects(other.integers.reshape(-1).tolist(), other.shape)
        scaled = elements.scale(self.ciphertexts, factors, self.public)
        return EncryptedArray(self.public, scaled, self.fraction_bits + other.fraction_bits, bound)

    __rmul__ = __mul__

    def __rmatmul__(self, plain: FixedArray) -> "EncryptedArray":
        """Return plain @ self, for one or two dimensions on either side."""
        if not isinstance(plain, FixedArray):
            raise _not_plain(plain)
        bound = self.product_bound(plain)
        matrix = np.atleast_2d(plain.integers)
        columns = self.ciphertexts if self.ndim == 2 else self.ciphertexts[:, np.newaxis]
        outcome = [products(matrix, flat(column), self.public.n_squared) for column in columns.T]
        numbers = objects(
            [number for row in zip(*outcome, strict=True) for number in row],
            plain.shape[:-1] + self.shape[1:],
        )
        return EncryptedArray(self.public, numbers, self.fraction_bits + plain.fraction_bits, bound)

    def product_bound(self, plain: FixedArray) -> int:
        """Return the bound of plain @ self, which is checked before anything is computed.

        Raises:
            ShapeMismatch: more than two dimensions, or inner extents that differ.
            PlaintextOverflow: the result could leave the range of plaintexts.
        """
        inner = self.shape[0] if self.ndim in (1, 2) else -1
        if plain.integers.ndim not in (1, 2) or plain.shape[-1] != inner:
            raise ShapeMismatch(f"{plain.shape} @ {self.shape}: the inner extents have to agree")
        return _check_bound(self._bound() * plain.limit * inner, self.public)

    def __matmul__(self, plain: FixedArray) -> "EncryptedArray":
        """Return self @ plain."""
        if not isinstance(plain, FixedArray):
            raise _not_plain(plain)
        if self.ndim not in (1, 2) or len(plain.shape) not in (1, 2) or self.shape[-1] != plain.shape[0]:
            raise ShapeMismatch(f"{self.shape} @ {plain.shape}: the inner extents have to agree")
        return (plain.T @ self.T).T

    def sum(self, axis: int | None = None) -> "EncryptedArray":
        """Return the sum along an axis, or of all elements.

        Raises:
            PlaintextOverflow: so many of them could leave the range of plaintexts.
            ShapeMismatch: no such axis.
        """
        if axis is None:
            return self.reshape(-1).sum(0)
        if not -self.ndim <= axis < self.ndim:
            raise ShapeMismatch(f"no axis {axis} in shape {self.shape}")
        bound = _check_bound(self._bound() * max(self.shape[axis], 1), self.public)
        return self._computed(elements.sum_along(self.ciphertexts, axis, self.public), bound)

    def scaled_to(self, fraction_bits: int) -> "EncryptedArray":
        """Return the same numbers with more fractional bits.

        Raises:
            PlaintextOverflow: the larger integers could leave the range of plaintexts.
            ValueError: fewer fractional bits than now; nothing can be divided under encryption.
        """
        more = fraction_bits - self.fraction_bits
        if more < 0:
            raise ValueError(f"cannot go from {self.fraction_bits} fractional bits to {fraction_bits}")
        if more == 0:
            return self
        bound = _check_bound(self._bound() << more, self.public)
        return EncryptedArray(
            self.public, elements.shift(self.ciphertexts, more, self.public), fraction_bits, bound
        )

    def _plus(self, other: "EncryptedArray") -> "EncryptedArray":
        if other.public != self.public:
            raise WrongKey(f"numbers under {self.public!r} and under {other.public!r}")
        _check_broadcast(self.shape, other.shape)
        bits = max(self.fraction_bits, other.fraction_bits)
        left, right = self.scaled_to(bits), other.scaled_to(bits)
        unbounded = left.bound is None or right.bound is None
        bound = None if unbounded else _sum_bound(left._bound(), right._bound(), self.public)
        return left._computed(elements.add(left.ciphertexts, right.ciphertexts, self.public), bound)

    def _bound(self) -> int:
        if self.bound is None:
            raise PlaintextOverflow(
                "these are residues modulo n: only sums and fresh masks make sense of them"
            )
        return self.bound

    def _check_secret(self, secret: SecretKey) -> None:
        if secret.public != self.public:
            raise WrongKey(f"numbers under {self.public!r}, a secret key of {secret.public!r}")

    def _computed(self, ciphertexts: Objects, bound: int | None) -> "EncryptedArray":
        return EncryptedArray(self.public, ciphertexts, self.fraction_bits, bound)

    def _selected(self, ciphertexts: Objects) -> "EncryptedArray":
        array: Objects = np.asarray(ciphertexts, dtype=object)
        return EncryptedArray(self.public, array, self.fraction_bits, self.bound, self.blinded)


def concatenate(arrays: Sequence[EncryptedArray], axis: int = 0) -> EncryptedArray:
    """Join arrays along an axis; what has fewer fractional bits is scaled up.

    Raises:
        ValueError: no arrays.
        ShapeMismatch: shapes that differ elsewhere than along the axis.
        WrongKey: under different keys.
    """
    if not arrays:
        raise ValueError("no arrays to join")
    public = arrays[0].public
    if any(each.public != public for each in arrays):
        raise WrongKey("arrays under different keys cannot be joined")
    bits = max(each.fraction_bits for each in arrays)
    scaled = [each.scaled_to(bits) for each in arrays]
    try:
        joined = np.concatenate([each.ciphertexts for each in scaled], axis)
    except ValueError:
        raise ShapeMismatch(
            f"shapes {[each.shape for each in arrays]} do not join along axis {axis}"
        ) from None
    joined.flags.writeable = False
    bounds = [each.bound for each in scaled]
    bound = None if None in bounds else max(each._bound() for each in scaled)
    return EncryptedArray(public, joined, bits, bound, all(each.blinded for each in scaled))


def _masks_for(public: PublicKey, masks: MaskSource, count: int) -> list[int]:
    if masks.public != public:
        raise WrongKey(f"masks of {masks.public!r} for numbers under {public!r}")
    return masks.take(count)


def _check_bound(bound: int, public: PublicKey) -> int:
    if bound > public.largest:
        raise PlaintextOverflow(
            f"the result could have {bound.bit_length()} bits, plaintexts have {public.bits - 1}: it would wrap"
        )
    return bound


def _sum_bound(left: int, right: int, public: PublicKey) -> int:
    return _check_bound(left + right, public)


def _check_broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(left, right)
    except ValueError:
        raise ShapeMismatch(f"shapes {left} and {right} do not combine") from None


def _not_plain(value: object) -> TypeError:
    return TypeError(
        f"expected an int, a FixedArray or an EncryptedArray, got {type(value).__name__}: encode() it"
    )
