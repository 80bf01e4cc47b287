"""Seeds stretched to randomness."""

import pytest

from hansa.protocols.crypto.stream import SeedStream


def test_the_same_seed_gives_the_same_bytes_and_every_call_others() -> None:
    one, two = SeedStream(bytes(32)), SeedStream(bytes(32))
    first, second = one(40), one(40)
    assert (first, second) == (two(40), two(40))
    assert first != second


def test_another_seed_gives_other_bytes() -> None:
    assert SeedStream(bytes(32))(32) != SeedStream(b"\1" + bytes(31))(32)


def test_a_seed_of_another_length_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 16"):
        SeedStream(b"secret" + bytes(10))
    assert repr(SeedStream(b"secret" + bytes(26))) == "SeedStream()"
