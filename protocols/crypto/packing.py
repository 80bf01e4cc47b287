"""How do several numbers share one ciphertext? In slots of a plaintext, with room for sign and sums.

A plaintext of 2,047 bits has room for 28 numbers of 72 bits. Packed before encryption it costs nothing; under
encryption it costs `slot_bits` squarings for each number (Horner's rule), at whoever packs, and saves all but one
decryption in `slots` at the key's holder.

Slots hold signed numbers: the plaintext is Σ v_i·2^(i·slot_bits), and unpacking takes the lowest slot's
representative around 0, subtracts it and goes on. `guard_bits` leave room for adding packed ciphertexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hansa.protocols.crypto.array import EncryptedArray
from hansa.protocols.crypto.elements import Objects, objects
from hansa.protocols.crypto.errors import NotASlot, PlaintextOverflow, ShapeMismatch
from hansa.protocols.crypto.integers import big, powmod
from hansa.protocols.crypto.keys import PublicKey
from hansa.protocols.crypto.masks import MaskSource


@dataclass(frozen=True, slots=True)
class Packing:
    """How numbers lie in a plaintext; both sides derive it from what was agreed.

    Attributes:
        bound: no number is larger in absolute value, sums of packed numbers included.
        slots: numbers in one plaintext, ≥ 1.

    Raises:
        ValueError: a negative bound, or no slots.
    """

    bound: int
    slots: int

    def __post_init__(self) -> None:
        if self.bound < 0 or self.slots < 1:
            raise ValueError("a packing has a bound of at least 0 and at least one slot")

    @classmethod
    def of(cls, public: PublicKey, bound: int, guard_bits: int = 0) -> "Packing":
        """Return the packing with the most slots that a key has room for.

        Args:
            public: the key.
            bound: on each number.
            guard_bits: 2^guard_bits packed ciphertexts may be added.

        Raises:
            PlaintextOverflow: not even one number fits.
        """
        room = bound << guard_bits
        slots = (public.bits - 2) // (room.bit_length() + 1)
        if slots < 1:
            raise PlaintextOverflow(f"numbers of {room.bit_length()} bits under a key of {public.bits}")
        return cls(room, slots)

    @property
    def slot_bits(self) -> int:
        """The width of a slot: the bound's, and the sign."""
        return self.bound.bit_length() + 1

    @property
    def plaintext_bound(self) -> int:
        """The largest absolute value of a packed plaintext."""
        return self.bound * (((1 << self.slots * self.slot_bits) - 1) // ((1 << self.slot_bits) - 1))

    def packed_size(self, count: int) -> int:
        """Return how many plaintexts so many numbers fill."""
        return -(-count // self.slots)

    def pack_integers(self, numbers: Sequence[int]) -> Objects:
        """Pack plain integers, before encryption; (packed_size,) integers of any size.

        Raises:
            PlaintextOverflow: a number beyond the bound.
        """
        if any(abs(number) > self.bound for number in numbers):
            raise PlaintextOverflow("a number is beyond its slot's bound")
        groups = (numbers[start : start + self.slots] for start in range(0, len(numbers), self.slots))
        return objects((self._packed(group) for group in groups), (self.packed_size(len(numbers)),))

    def unpack_integers(self, plaintexts: Sequence[int], count: int) -> list[int]:
        """Return the first `count` numbers of signed plaintexts.

        Raises:
            ShapeMismatch: another number of plaintexts than `count` numbers fill.
            NotASlot: a plaintext holds more than its slots: it was packed otherwise, or a sum left the bound.
        """
        if len(plaintexts) != self.packed_size(count):
            raise ShapeMismatch(f"{len(plaintexts)} plaintexts for {count} numbers, {self.slots} in each")
        numbers = [number for plaintext in plaintexts for number in self._unpacked(plaintext)]
        if any(numbers[count:]):
            raise NotASlot("a slot that should be empty is not")
        return numbers[:count]

    def pack(self, array: EncryptedArray, masks: MaskSource) -> EncryptedArray:
        """Pack encrypted numbers under encryption, with fresh masks, ready to be sent.

        Args:
            array: (count,) numbers.
            masks: for `packed_size` masks.

        Raises:
            PlaintextOverflow: the array's bound is not within a slot, or the slots do not fit the key.
            ShapeMismatch: more than one dimension.
            WrongKey: the masks are another key's.
        """
        if array.ndim != 1:
            raise ShapeMismatch(f"a packing takes one dimension, not shape {array.shape}")
        if array.bound is None or array.bound > self.bound:
            raise PlaintextOverflow("the numbers' bound is beyond that of a slot")
        if self.plaintext_bound > array.public.largest:
            raise PlaintextOverflow(f"{self.slots} slots of {self.slot_bits} bits under {array.public!r}")
        modulus, factor = array.public.n_squared, big(1) << self.slot_bits
        results = []
        for start in range(0, len(array), self.slots):
            group = array.ciphertexts[start : start + self.slots].tolist()
            packed = group[-1]
            for ciphertext in group[-2::-1]:
                packed = powmod(packed, factor, modulus) * ciphertext % modulus
            results.append(packed)
        packed_array = EncryptedArray(
            array.public, objects(results, (len(results),)), array.fraction_bits, self.plaintext_bound
        )
        return packed_array.rerandomised(masks)

    def _packed(self, group: Sequence[int]) -> int:
        plaintext = big(0)
        for number in reversed(group):
            plaintext = (plaintext << self.slot_bits) + number
        return plaintext

    def _unpacked(self, plaintext: int) -> list[int]:
        base, half = 1 << self.slot_bits, 1 << (self.slot_bits - 1)
        numbers = []
        for _ in range(self.slots):
            number = plaintext & (base - 1)
            number = number - base if number >= half else number
            if abs(number) > self.bound:
                raise NotASlot("a slot holds more than its bound")
            numbers.append(int(number))
            plaintext = (plaintext - number) >> self.slot_bits
        if plaintext:
            raise NotASlot("a plaintext is wider than its slots")
        return numbers
